/*
 * The keydir: for each live key, where its newest record stands. The keys themselves are
 * not in memory: an entry keeps 41 bits of the key's hash, and whoever looks a key up
 * compares it with the record that an entry leads to.
 *
 *   hash ──high 9 bits──> shard ──next 32 bits──> slot
 *
 * A shard is a table of 16-byte entries (see store/keydir_table.h) that grows by a fifth or so,
 * where it stands, and not all at once: no more than a 512th of the keydir is ever moved, and
 * nothing is in memory twice.
 *
 * While a snapshot is open, entries that it can see and that are replaced or removed are
 * kept aside in their shard as old entries, each with a reference on its segment.
 *
 * A shard may be asleep: its table stands in a checkpoint, and is asked for, and checked, the
 * first time that anybody needs an entry of the shard. So opening costs the same whatever the
 * number of keys.
 *
 * Threads: safe; each shard has a lock of its own, held for one look or one change and
 * never across I/O, but for the moment when it wakes.
 */
#ifndef BITCASK_STORE_KEYDIR_H
#define BITCASK_STORE_KEYDIR_H

#include "base/thread.h"
#include "store/keydir_table.h"

/* An entry that snapshots can still see. */
struct keydir_old {
  struct keydir_entry entry;
  uint64_t born;           /* version of its record */
  uint64_t died;           /* version of the write that superseded it */
  struct segment *segment; /* referenced */
};

enum { KEYDIR_MATCHES = 8 };

/* The entries of one hash: as many as fit, beginning with the `first`-th. Only a hash
 * function that is poor, or unlucky once in 2^41, gives more than one. */
struct keydir_matches {
  enum bitcask_status status; /* not OK: the shard could not be woken, and nothing is known */
  unsigned count;
  bool more;       /* there are others behind these */
  uint64_t stamp;  /* of the shard: changes with every change of it */
  struct keydir_entry entries[KEYDIR_MATCHES];
};

/* Who knows the tables of shards that are asleep. */
struct keydir_waker {
  /* The table of a shard. Its slots stay the waker's, but may be written to, until they are
   * dropped; or, where *is_given is set, become the keydir's, made by a table itself. Called
   * with the lock of that shard held, on any thread: the keydir is not to be touched. */
  enum bitcask_status (*wake)(void *context, unsigned shard, struct keydir_table *out,
                              bool *is_given);
  void (*drop)(void *context, unsigned shard);
  void (*release)(void *context); /* the keydir is gone */
  void *context;
};

struct keydir;

enum bitcask_status keydir_new(struct keydir **out);
void keydir_free(struct keydir *keydir);

enum { KEYDIR_SHARD_BITS = 9, KEYDIR_SHARDS = 1 << KEYDIR_SHARD_BITS };

static inline unsigned keydir_shard_of(uint64_t hash) {
  return (unsigned)(hash >> (64 - KEYDIR_SHARD_BITS));
}
static inline uint32_t keydir_hash_in_shard(uint64_t hash) {
  return (uint32_t)(hash >> (32 - KEYDIR_SHARD_BITS));
}
/* A hash that leads to the entry again. */
static inline uint64_t keydir_hash_of(unsigned shard, uint32_t hash) {
  return ((uint64_t)shard << (64 - KEYDIR_SHARD_BITS)) |
         ((uint64_t)hash << (32 - KEYDIR_SHARD_BITS));
}

/* Put every shard of an empty keydir to sleep; counts[i] is the number of entries of shard i. */
void keydir_sleep(struct keydir *keydir, const struct keydir_waker *waker,
                  const uint32_t counts[KEYDIR_SHARDS]);

/* Back to an empty one that nobody sleeps in; the waker is not released. */
void keydir_clear(struct keydir *keydir);

/* Wake a shard, or all. What cannot be woken stays asleep; the waker says why. Only functions
 * that return a status, and keydir_find, wake shards by themselves; the others are for entries
 * that were found before. */
enum bitcask_status keydir_wake(struct keydir *keydir, unsigned shard);
enum bitcask_status keydir_wake_all(struct keydir *keydir);

/* Put the table of a shard that is awake into memory of its own, for many changes to come, with
 * homes for `more` entries: what is the waker's may cost more to change, a page at a time. The
 * waker is not told to drop it. */
enum bitcask_status keydir_own(struct keydir *keydir, unsigned shard, unsigned more);

/* A copy of the table of a shard, its slots in *slots. */
enum bitcask_status keydir_copy_table(struct keydir *keydir, unsigned shard,
                                      struct bitcask_buffer *slots, struct keydir_table *out);

/* Take the table of a shard, which is empty then, slots and all. Nothing may be asleep. */
void keydir_take_table(struct keydir *keydir, unsigned shard, struct keydir_table *out);

/* Start loading the cache lines where the entry of `hash` has its home. Takes no lock: a shard
 * that is just growing makes it useless, and no more. */
void keydir_prefetch(const struct keydir *keydir, uint64_t hash);

/* The entry of `hash`, where there is one and no other: what most looks find, in two registers.
 * `at` is 0 where there is none, and KEYDIR_UNSURE where there are several or the shard is asleep:
 * then keydir_find tells. */
#define KEYDIR_UNSURE UINT64_MAX
struct keydir_entry keydir_find_only(struct keydir *keydir, uint64_t hash);

/* Entries of `hash`. */
void keydir_find(struct keydir *keydir, uint64_t hash, unsigned first,
                 struct keydir_matches *out);

/* The same among the old entries alive at `version` (born <= version < died). *out gets a
 * reference on the segment of each that is returned in `segments`. */
void keydir_find_old(struct keydir *keydir, uint64_t hash, uint64_t version, unsigned first,
                     struct keydir_matches *out, struct segment *segments[KEYDIR_MATCHES]);

/* Make room, so that `more` inserts of any hashes in the shard of `hash` cannot fail, nor, if
 * `keeping`, as many changes that keep the old entry. Without `keeping` room that was made for
 * old entries before may be gone. Reserving and changing need outside exclusion. */
enum bitcask_status keydir_reserve(struct keydir *keydir, uint64_t hash, unsigned more,
                                   bool keeping);

/* The same as keydir_reserve and keydir_find_only, in one look. */
enum bitcask_status keydir_reserve_and_find(struct keydir *keydir, uint64_t hash, unsigned more,
                                            bool keeping, struct keydir_entry *out);

/* Add an entry; room was reserved. */
void keydir_insert(struct keydir *keydir, uint64_t hash, place at, uint64_t size);

/* The entry that stands for (hash, from) now leads to `to`. False: there is none, and
 * nothing was changed. `keep`: the old entry is kept with these facts; NULL: it is not. */
bool keydir_replace(struct keydir *keydir, uint64_t hash, place from, place to, uint64_t size,
                    const struct keydir_old *keep);
bool keydir_remove(struct keydir *keydir, uint64_t hash, place from,
                   const struct keydir_old *keep);

/* Append the places of all entries of a shard to *places, and copies of the old ones alive at
 * `version`, whose segments are referenced, to *olds (struct keydir_old). */
enum bitcask_status keydir_copy_shard(struct keydir *keydir, unsigned shard, uint64_t version,
                                      struct bitcask_buffer *places, struct bitcask_buffer *olds);

/* Call `each` for copies of the entries of a shard, taken some at a time: those that were not there
 * all the while may be left out. The lock is not held then, nor is memory touched for the first
 * time while it is: whoever writes would wait for this thread's processor, or the system.
 * *scratch is where they are copied to; it can be used for the next shard. */
typedef void (*keydir_reader)(void *context, uint64_t hash, const struct keydir_entry *entry);
enum bitcask_status keydir_read_shard(struct keydir *keydir, unsigned shard,
                                      struct bitcask_buffer *scratch, keydir_reader each,
                                      void *context);

/* Call `each` for every entry of a shard itself, its lock held. Fails only where the shard cannot be
 * woken: then none was visited, though there are some. */
enum bitcask_status keydir_visit_shard(
    struct keydir *keydir, unsigned shard,
    void (*each)(void *context, uint64_t hash, struct keydir_entry *entry), void *context);

/* Remove the entries of a shard marked PLACE_TOMBSTONE, after loading; returns how many. */
uint64_t keydir_drop_tombstones(struct keydir *keydir, unsigned shard);

/* Forget the old entries that died at `limit` or before and that no snapshot can see:
 * `snapshots` holds the versions, rising, of those open when the newest version was `limit`.
 * Their segments are unreferenced. */
void keydir_prune(struct keydir *keydir, const uint64_t *snapshots, size_t count,
                  uint64_t limit);

uint64_t keydir_count(const struct keydir *keydir);
uint64_t keydir_old_count(const struct keydir *keydir);
uint64_t keydir_bytes(const struct keydir *keydir);

#endif
