/*
 * bitcask: a log-structured key/value store. README.md has a tour, docs/ the details.
 *
 * Conventions
 *   Status   Functions that can fail return enum bitcask_status; bitcask_error_text()
 *            says what happened, for a person: which file, where, why.
 *   Out      Results come back through the last parameters, and only on BITCASK_OK.
 *   Owning   open/close come in pairs; closing NULL does nothing. Bytes passed in are
 *            read before the call returns and never kept.
 *   Threads  A store may be used by any number of threads at once. An iterator or a
 *            merge belongs to one thread at a time. Closing a store must not race with
 *            other calls on the same handle.
 *   Forks    A handle does not survive fork(): the child's calls return BITCASK_INVALID.
 */
#ifndef BITCASK_H
#define BITCASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define BITCASK_API __attribute__((visibility("default")))
#else
#define BITCASK_API
#endif

#define BITCASK_VERSION "1.0.0"

/* A key is at most this many bytes, a value at most that many. Both may be empty. */
#define BITCASK_KEY_SIZE_MAX 65535u
#define BITCASK_VALUE_SIZE_MAX 4294967295u

/* The bounds and the default of bitcask_options.segment_size, bytes. */
#define BITCASK_SEGMENT_SIZE_MIN 256u
#define BITCASK_SEGMENT_SIZE_MAX (UINT64_C(1) << 34)
#define BITCASK_SEGMENT_SIZE_DEFAULT (UINT64_C(256) << 20)

/* ---- Status ------------------------------------------------------------------- */

/* Every outcome: X(NAME, "stable name"). */
#define BITCASK_STATUS_LIST(X)                                                          \
  X(OK, "ok")                                                                           \
  X(ABSENT, "absent")             /* no such key: an answer, not a failure */           \
  X(INVALID, "invalid")           /* the caller asked for something impossible */       \
  X(IO, "io")                     /* the system refused a file operation */             \
  X(NOSPACE, "nospace")           /* the device, a quota or a limit has no room left */ \
  X(LOCKED, "locked")             /* another process has the store open for writing */  \
  X(CORRUPT, "corrupt")           /* bytes on disk are not those that were written */   \
  X(CONFLICT, "conflict")         /* a condition of the write did not hold */           \
  X(READONLY, "readonly")         /* a write on a store opened for reading */           \
  X(TOOLARGE, "toolarge")         /* a key or a value over the limit */                 \
  X(EXISTS, "exists")             /* something is in the way */                         \
  X(NOTFOUND, "notfound")         /* no store, file or segment there */                 \
  X(BUSY, "busy")                 /* a merge is running, or the store is not shared */  \
  X(CANCELLED, "cancelled")       /* the merge was cancelled */                         \
  X(INCOMPATIBLE, "incompatible") /* written by a format this version does not know */  \
  X(NOMEMORY, "nomemory")         /* an allocation failed */                            \
  X(POLICY, "policy")             /* a merge policy failed or returned nonsense */      \
  X(STOPPED, "stopped")           /* an earlier write or flush failed; reopen */

enum bitcask_status {
#define BITCASK_STATUS_ENUM(name, text) BITCASK_##name,
  BITCASK_STATUS_LIST(BITCASK_STATUS_ENUM)
#undef BITCASK_STATUS_ENUM
};

/* The stable lowercase name of a status, such as "corrupt". */
BITCASK_API const char *bitcask_status_name(enum bitcask_status status);

/* What went wrong last in this thread. Valid until the thread's next failing call. ABSENT is an
 * answer, and sets none. */
BITCASK_API const char *bitcask_error_text(void);

/* ---- Bytes ---------------------------------------------------------------------- */

/* Borrowed bytes. data may be NULL when size is 0. */
typedef struct bitcask_bytes {
  const void *data;
  size_t size;
} bitcask_bytes;

/* Owned bytes, growing as needed. Start with {0}; end with bitcask_buffer_release. */
struct bitcask_buffer {
  void *data;
  size_t size;     /* bytes in use */
  size_t capacity; /* bytes allocated */
};

/* Give the memory back and leave the buffer empty and usable. */
BITCASK_API void bitcask_buffer_release(struct bitcask_buffer *buffer);

/* ---- Hashing -------------------------------------------------------------------- */

/*
 * A caller's own hash: sets *out, or fails with a status that the call passes on.
 * Called in the thread of a call on the store, before any lock is taken, once a call;
 * and during open, once a key. Quality decides speed, never correctness.
 */
typedef enum bitcask_status (*bitcask_hash_function)(void *context, bitcask_bytes key,
                                                     uint64_t *out);

/* The reference hashes of xxHash, as BITCASK_API so that programs need no second copy. */
BITCASK_API uint64_t bitcask_xxh3(bitcask_bytes bytes, uint64_t seed);
BITCASK_API uint64_t bitcask_xxh64(bitcask_bytes bytes, uint64_t seed);
BITCASK_API uint32_t bitcask_xxh32(bitcask_bytes bytes, uint32_t seed);
/* out[0] is the high, out[1] the low half, as in the canonical form. */
BITCASK_API void bitcask_xxh128(bitcask_bytes bytes, uint64_t seed, uint64_t out[2]);

/* ---- Opening -------------------------------------------------------------------- */

struct bitcask; /* a handle on an open store */
struct disk;    /* where files live; NULL in the options: the operating system */

enum bitcask_sync {
  BITCASK_SYNC_NONE,     /* put survives the process; a power cut may lose the newest */
  BITCASK_SYNC_INTERVAL, /* the same, and at most sync_seconds of writes at risk */
  BITCASK_SYNC_ALWAYS    /* put returns when it survives a power cut */
};

/* Which of the engine's options the caller names. Naming one that differs from what an
 * engine already open in this process uses is refused (BITCASK_BUSY). */
enum bitcask_named {
  BITCASK_NAMED_SYNC = 1 << 0,
  BITCASK_NAMED_SEGMENT_SIZE = 1 << 1,
  BITCASK_NAMED_HASH = 1 << 2,
  BITCASK_NAMED_VERIFY = 1 << 3,
  BITCASK_NAMED_TTL = 1 << 4
};

/* How long what is written lives, milliseconds; or one of these. */
#define BITCASK_TTL_DEFAULT 0          /* as the option of the store says */
#define BITCASK_TTL_NEVER UINT64_MAX   /* for ever */

/* Does the handle have a merge policy? One handle of a store at most has. */
enum bitcask_consults {
  BITCASK_CONSULTS_NOT,
  BITCASK_CONSULTS_IF_FREE, /* unless another has */
  BITCASK_CONSULTS          /* or the open fails, BUSY, where another has */
};

struct bitcask_options {
  struct disk *disk;       /* NULL: the operating system */
  bool readonly;           /* creates, writes and locks nothing */
  bool create;             /* make a store where none is; else BITCASK_NOTFOUND */
  bool salvage;            /* read-only, what is left of a store that would be refused */
  bool verify;             /* check the record's checksums on every read */
  bool events;             /* collect events for bitcask_next_event */
  enum bitcask_consults consults; /* see there; a store opened for reading consults nobody */
  bool no_threads;         /* do background work inside the calls that cause it */
  enum bitcask_sync sync;  /* see enum bitcask_sync */
  double sync_seconds;     /* with BITCASK_SYNC_INTERVAL: > 0 */
  uint64_t segment_size;   /* bytes at which the active segment is sealed */
  uint64_t ttl_ms;         /* of what is written without one of its own; 0: for ever */
  const char *hash;        /* "xxh3", "xxh64" or "xxh32" */
  bitcask_hash_function hash_function; /* instead of hash, or NULL; makes it unshared */
  void *hash_context;                  /* passed to hash_function */
  unsigned named;          /* enum bitcask_named: what the caller chose himself */
};

/* The defaults: create, verify, sync none, segments of 256 MiB, xxh3, nothing named. */
BITCASK_API void bitcask_options_default(struct bitcask_options *out);

/*
 * Open the store in `directory` (made when create is set and its parent exists).
 * Opens of one directory in one process share one engine.
 * Fails with LOCKED (another process writes), NOTFOUND, CORRUPT (naming each damaged or
 * missing file), INCOMPATIBLE, BUSY (an unshared engine, or options that differ),
 * INVALID (options out of range), IO, NOSPACE, NOMEMORY.
 */
BITCASK_API enum bitcask_status bitcask_open(const char *directory,
                                             const struct bitcask_options *options,
                                             struct bitcask **out);

/*
 * Close the handle; the last one closes the engine: cancels the merge that there is, in the
 * background or between two steps, and waits for its end, flushes what was written, and
 * records a clean end. Everything is released whatever is returned. Iterators, snapshots and
 * changes of the handle must be closed before; a merge may be closed after it, and is not to be
 * stepped by another thread meanwhile.
 */
BITCASK_API enum bitcask_status bitcask_close(struct bitcask *db);

/* The directory as it was given to bitcask_open. */
BITCASK_API const char *bitcask_directory(const struct bitcask *db);

/* A read-only store moves forward to what the writer has written since. Elsewhere it
 * does nothing. Iterators opened before keep their view. */
BITCASK_API enum bitcask_status bitcask_refresh(struct bitcask *db);

/* ---- Reading and writing -------------------------------------------------------- */

/* Versions are the 64-bit sequence numbers of writes: unique, rising, never 0. */

/* Store `value` under `key`. *version may be NULL. Fails with TOOLARGE, READONLY,
 * NOSPACE (nothing was changed), STOPPED, IO, NOMEMORY. */
BITCASK_API enum bitcask_status bitcask_put(struct bitcask *db, bitcask_bytes key,
                                            bitcask_bytes value, uint64_t *version);

/* What a single write may ask for. All zeros: nothing. */
struct bitcask_write_options {
  uint64_t ttl_ms;     /* BITCASK_TTL_DEFAULT, BITCASK_TTL_NEVER, or milliseconds to live */
  uint64_t if_version; /* not 0: write only if this is the key's current version */
  bool if_absent;      /* write only if there is no such key */
};

/* The same as bitcask_put and bitcask_delete; CONFLICT, with nothing written, when the
 * condition does not hold. `options` may be NULL. */
BITCASK_API enum bitcask_status bitcask_put_with(struct bitcask *db, bitcask_bytes key,
                                                 bitcask_bytes value,
                                                 const struct bitcask_write_options *options,
                                                 uint64_t *version);
BITCASK_API enum bitcask_status bitcask_delete_with(struct bitcask *db, bitcask_bytes key,
                                                    const struct bitcask_write_options *options,
                                                    uint64_t *version);

/* Replace the contents of *into by the value. ABSENT where there is none, CORRUPT where
 * the newest record is damaged. *version may be NULL. */
BITCASK_API enum bitcask_status bitcask_get(struct bitcask *db, bitcask_bytes key,
                                            struct bitcask_buffer *into, uint64_t *version);

/* OK or ABSENT; reads no value. */
BITCASK_API enum bitcask_status bitcask_has(struct bitcask *db, bitcask_bytes key);

/* Write a tombstone; ABSENT, with nothing written, where there is no such key. */
BITCASK_API enum bitcask_status bitcask_delete(struct bitcask *db, bitcask_bytes key,
                                               uint64_t *version);

struct bitcask_stat {
  uint64_t version;
  uint64_t size;    /* bytes of the value */
  uint64_t expires; /* milliseconds since 1970; 0: never */
  uint64_t segment; /* id of the segment that holds it */
  uint64_t offset;  /* of the record in that segment, bytes */
};

/* What is known of a key without reading its value; ABSENT where there is none. */
BITCASK_API enum bitcask_status bitcask_stat_key(struct bitcask *db, bitcask_bytes key,
                                                 struct bitcask_stat *out);

struct bitcask_found {
  enum bitcask_status status; /* OK, ABSENT or a failure of this key alone */
  size_t offset;              /* of the value in the arena */
  size_t size;                /* bytes of the value */
  uint64_t version;
};

/* Look up `count` keys, reading the values in file order. out[i] answers keys[i]; the
 * values stand in *arena, whose contents are replaced. A failure of one key is its
 * out[i].status, and its text is the thread's error text; the call itself fails only
 * for want of memory or a hash function that fails. */
BITCASK_API enum bitcask_status bitcask_get_many(struct bitcask *db, const bitcask_bytes *keys,
                                                 size_t count, struct bitcask_buffer *arena,
                                                 struct bitcask_found *out);

/* Number of live keys. */
BITCASK_API uint64_t bitcask_count(struct bitcask *db);

/* After OK, every write that returned before survives a power cut. */
BITCASK_API enum bitcask_status bitcask_sync_now(struct bitcask *db);

/* Seal the active segment: its id, or 0 where nothing was written since the last. */
BITCASK_API enum bitcask_status bitcask_seal(struct bitcask *db, uint64_t *segment);

/* Write down now what opening needs to know: then it takes no longer than what is written after
 * this call has to be gone through, whatever becomes of the process. It is done without being
 * asked at a clean close, and in the background now and then. ABSENT: not for a store with a hash
 * function of the caller's own. BUSY: while a merge changes over. CORRUPT: damage was met since the
 * store was opened; with a checkpoint the next opening would not meet it. */
BITCASK_API enum bitcask_status bitcask_checkpoint(struct bitcask *db);

/* ---- Batches ---------------------------------------------------------------------- */

/* Writes that count all or not at all, through any crash. They are collected in memory, and
 * belong to one thread at a time. A batch may be larger than a segment: it then stands in one
 * of its own. */
struct bitcask_batch;

BITCASK_API enum bitcask_status bitcask_batch_new(struct bitcask_batch **out);
BITCASK_API void bitcask_batch_free(struct bitcask_batch *batch);

/* Add a write, of which copies are kept. TOOLARGE, NOMEMORY: it was not added. Of writes to
 * the same key the last counts. `options` may be NULL. */
BITCASK_API enum bitcask_status bitcask_batch_put(struct bitcask_batch *batch, bitcask_bytes key,
                                                  bitcask_bytes value,
                                                  const struct bitcask_write_options *options);
BITCASK_API enum bitcask_status bitcask_batch_delete(
    struct bitcask_batch *batch, bitcask_bytes key, const struct bitcask_write_options *options);

/* Commit only if `version` is the key's current one then; 0: if there is no such key. */
BITCASK_API enum bitcask_status bitcask_batch_expect(struct bitcask_batch *batch,
                                                     bitcask_bytes key, uint64_t version);

/* Writes added so far. */
BITCASK_API size_t bitcask_batch_count(const struct bitcask_batch *batch);

/* Forget all of them, and all that was expected. */
BITCASK_API void bitcask_batch_clear(struct bitcask_batch *batch);

/* Write all of it as one. *version gets the version of the last write, or the newest of the
 * store when there was nothing to write. CONFLICT: a condition did not hold; on this and any
 * other failure nothing was written. The batch keeps its contents. */
BITCASK_API enum bitcask_status bitcask_batch_commit(struct bitcask *db,
                                                     struct bitcask_batch *batch,
                                                     uint64_t *version);

/* ---- Snapshots -------------------------------------------------------------------- */

/* The store as it was at one moment, whatever is written, merged or sealed since. What has
 * expired is hidden from it as from everyone. May be used by any number of threads. */
struct bitcask_snapshot;

BITCASK_API enum bitcask_status bitcask_snapshot_open(struct bitcask *db,
                                                      struct bitcask_snapshot **out);
BITCASK_API void bitcask_snapshot_close(struct bitcask_snapshot *snapshot);
BITCASK_API uint64_t bitcask_snapshot_version(const struct bitcask_snapshot *snapshot);
BITCASK_API enum bitcask_status bitcask_snapshot_count(struct bitcask_snapshot *snapshot,
                                                       uint64_t *count);
BITCASK_API enum bitcask_status bitcask_snapshot_get(struct bitcask_snapshot *snapshot,
                                                     bitcask_bytes key,
                                                     struct bitcask_buffer *into,
                                                     uint64_t *version);
BITCASK_API enum bitcask_status bitcask_snapshot_stat_key(struct bitcask_snapshot *snapshot,
                                                          bitcask_bytes key,
                                                          struct bitcask_stat *out);

/* ---- Changes ---------------------------------------------------------------------- */

/* Every write after a version that is still on disk, oldest first. */
struct bitcask_changes;

struct bitcask_change {
  uint64_t version;
  bitcask_bytes key;   /* borrowed until the next call on the changes */
  bitcask_bytes value;
  uint64_t expires;    /* milliseconds since 1970; 0: never */
  bool deleted;
};

/* NOTFOUND: merges have dropped some of the writes after `since`. */
BITCASK_API enum bitcask_status bitcask_changes_open(struct bitcask *db, uint64_t since,
                                                     struct bitcask_changes **out);
/* ABSENT at the end: nothing newer was written when it was asked. NOTFOUND: a merge has
 * dropped what would have come next. */
BITCASK_API enum bitcask_status bitcask_changes_next(struct bitcask_changes *changes,
                                                     struct bitcask_change *out);
BITCASK_API void bitcask_changes_close(struct bitcask_changes *changes);

/* ---- Iteration ------------------------------------------------------------------ */

struct bitcask_iterator;

struct bitcask_iterator_options {
  bitcask_bytes prefix; /* only keys that begin so */
  bool keys_only;       /* values are not read */
  bool skip_damaged;    /* pass over damaged records, reporting each as an event */
};

/* Begin a walk over the keys as they are now, in no order that could be relied on.
 * Whatever is written, sealed or merged meanwhile does not change what it yields. */
BITCASK_API enum bitcask_status bitcask_iterator_open(
    struct bitcask *db, const struct bitcask_iterator_options *options,
    struct bitcask_iterator **out);

/* The same over what a snapshot sees. The snapshot may be closed before the iterator. */
BITCASK_API enum bitcask_status bitcask_snapshot_iterator_open(
    struct bitcask_snapshot *snapshot, const struct bitcask_iterator_options *options,
    struct bitcask_iterator **out);

/* The next pair, borrowed until the next call on the iterator; ABSENT at the end.
 * CORRUPT at a damaged record; calling again goes on behind it. */
BITCASK_API enum bitcask_status bitcask_iterator_next(struct bitcask_iterator *iterator,
                                                      bitcask_bytes *key, bitcask_bytes *value,
                                                      uint64_t *version);

BITCASK_API void bitcask_iterator_close(struct bitcask_iterator *iterator);

/* ---- Segments and statistics ---------------------------------------------------- */

struct bitcask_segment {
  uint64_t id;
  uint64_t bytes;         /* of its records, headers of the file not counted */
  uint64_t live_bytes;    /* of the records that a read can reach */
  uint64_t dead_bytes;    /* bytes - live_bytes, less the tombstones known to be needed */
  uint64_t records;
  uint64_t live_records;
  uint64_t tombstones;
  uint64_t tombstone_bytes;
  uint64_t expired_bytes;   /* estimate of what has expired */
  uint64_t last_expired_ms; /* when the last of that did; 0: nothing has */
  uint64_t min_version;
  uint64_t max_version;
  uint64_t created_ms;    /* milliseconds since 1970 */
  uint64_t sealed_ms;     /* 0 while it is active */
  bool pinned;            /* readers hold it */
  bool damaged;           /* a merge met damage in it; it is kept as it is */
  bool active;
};

/* All segments, oldest first, the active one last if there is one. *out is to be given
 * back with bitcask_segments_free. */
BITCASK_API enum bitcask_status bitcask_segments(struct bitcask *db,
                                                 struct bitcask_segment **out, size_t *count);
BITCASK_API void bitcask_segments_free(struct bitcask_segment *segments);

/* Bytes at which the active segment is sealed; 0 when the handle cannot be used. */
BITCASK_API uint64_t bitcask_segment_size(struct bitcask *db);

/* The time by which keys expire and segments are sealed, milliseconds since 1970: that of the
 * store's disk; 0 when the handle cannot be used. */
BITCASK_API uint64_t bitcask_now_ms(struct bitcask *db);

/* From now on seal the active segment at so many bytes already, where that is less than
 * bitcask_segment_size; 0: no sooner than that. Where the next segment is not ready yet, the active
 * one may become four times as long, so that nobody waits. For policies: small stores are merged
 * with less room, and less copying, in small segments. */
BITCASK_API enum bitcask_status bitcask_seal_at(struct bitcask *db, uint64_t size);

/* The counters of a store: X(field, "what it counts"). */
#define BITCASK_STATS_LIST(X)                                                           \
  X(keys, "live keys")                                                                  \
  X(bytes, "bytes of records in all segments")                                          \
  X(live_bytes, "bytes of records that a read can reach")                               \
  X(dead_bytes, "bytes that merging could free")                                        \
  X(segments, "segments, the active one included")                                      \
  X(open_files, "file descriptors held by the store")                                   \
  X(keydir_bytes, "bytes of memory of the keydir")                                      \
  X(gets, "look-ups of keys")                                                           \
  X(puts, "values written")                                                             \
  X(deletes, "tombstones written")                                                      \
  X(merges, "merges committed")                                                         \
  X(merging, "1 while a merge is under way")                                            \
  X(syncs, "flushes of the active segment")                                             \
  X(snapshots, "snapshots and iterators open")                                          \
  X(old_versions, "superseded entries kept for snapshots")                              \
  X(pinned_segments, "obsolete segments kept for readers")                              \
  X(expiring, "entries that wait to expire")                                            \
  X(version, "the newest version given out")                                            \
  X(bytes_written, "bytes of records appended by users")                                \
  X(merge_bytes_read, "bytes read by merges")                                           \
  X(merge_bytes_written, "bytes written by merges")                                     \
  X(corruptions, "damaged records met")                                                 \
  X(failures, "failures in the background, of a policy too: each an event \"error\"")    \
  X(stopped, "1 when a failed write or flush stopped the store")

struct bitcask_stats {
#define BITCASK_STATS_FIELD(name, text) uint64_t name;
  BITCASK_STATS_LIST(BITCASK_STATS_FIELD)
#undef BITCASK_STATS_FIELD
};

BITCASK_API enum bitcask_status bitcask_stats(struct bitcask *db, struct bitcask_stats *out);

/* ---- Merging -------------------------------------------------------------------- */

struct bitcask_merge; /* a merge under way; one at a time in a store */

/* Longer reasons are cut, bytes. */
#define BITCASK_REASON_SIZE_MAX 255u

struct bitcask_merge_options {
  const uint64_t *segments; /* sealed segments to merge; NULL: all with anything to drop */
  size_t segment_count;
  uint64_t rate;            /* bytes per second read at most; 0: no limit */
  const char *reason;       /* why, for the message of its events; may be NULL */
  bool asks;                /* what is to become of each live record; without `segments` all
                             * sealed segments are merged */
};

struct bitcask_merge_report {
  uint64_t segments_in;
  uint64_t segments_out;
  uint64_t bytes_read;
  uint64_t bytes_written;
  uint64_t records_kept;
  uint64_t records_dropped;
  uint64_t tombstones_kept;
  uint64_t tombstones_dropped;
  uint64_t segments_damaged; /* inputs left as they are, because of damage in them */
  uint64_t keys_dropped;     /* that a filter wanted to go */
  uint64_t keys_rewritten;
  double seconds;
};

struct bitcask_merge_progress {
  uint64_t done;  /* bytes read so far */
  uint64_t total; /* bytes to read */
  double delay;   /* seconds before the rate lets the next step work; 0: none */
  bool paused;
  bool finished;
};

/* Plan a merge. INVALID when a segment is not there, not sealed, or named twice; BUSY when
 * one is running. Nothing is read or written before the first step. */
BITCASK_API enum bitcask_status bitcask_merge_open(struct bitcask *db,
                                                   const struct bitcask_merge_options *options,
                                                   struct bitcask_merge **out);

/* Do about `budget` bytes of the work (0: all of it, waiting as the rate asks for). A step
 * with a budget never waits: before its time, and while the merge is paused, it does nothing.
 * *finished tells when the merge is committed. After a failure only close is left; the store
 * is as it was. */
BITCASK_API enum bitcask_status bitcask_merge_step(struct bitcask_merge *merge, uint64_t budget,
                                                   bool *finished);

/* A live record of a merge that asks. The bytes are borrowed until it is answered. */
struct bitcask_merge_question {
  bitcask_bytes key;
  bitcask_bytes value;
  uint64_t version;
  uint64_t expires; /* milliseconds since 1970; 0: never */
  uint64_t segment; /* id of the one that it stands in */
};

enum bitcask_verdict { BITCASK_KEEP, BITCASK_DROP, BITCASK_REWRITE };

/* After each step: does the merge wait for an answer? No step goes on before it is given. */
BITCASK_API bool bitcask_merge_question(struct bitcask_merge *merge,
                                        struct bitcask_merge_question *out);

/* Say what becomes of the record: it is kept, its key is deleted, or gets `value` (and keeps
 * the time at which it expires). Deletes and new values are written once every record was
 * asked about, just before the merge is committed, each with a version of its own, and only
 * where the key still has the version that was asked about. TOOLARGE: ask again. */
BITCASK_API enum bitcask_status bitcask_merge_answer(struct bitcask_merge *merge,
                                                     enum bitcask_verdict verdict,
                                                     bitcask_bytes value);

/* Wait until the rate lets the next step work, and while the merge is paused. */
BITCASK_API enum bitcask_status bitcask_merge_rest(struct bitcask_merge *merge);

/* Do all of it on a thread of its own. */
BITCASK_API enum bitcask_status bitcask_merge_start(struct bitcask_merge *merge);

/* Wait for the thread: the outcome of the merge. Without a thread: the outcome so far. */
BITCASK_API enum bitcask_status bitcask_merge_wait(struct bitcask_merge *merge);

/* Let it rest, or go on again. Safe from any thread, as cancelling is. */
BITCASK_API void bitcask_merge_pause(struct bitcask_merge *merge, bool is_paused);

/* Ask it to stop; it ends with CANCELLED unless it was committed already. */
BITCASK_API void bitcask_merge_cancel(struct bitcask_merge *merge);

BITCASK_API void bitcask_merge_progress(struct bitcask_merge *merge,
                                        struct bitcask_merge_progress *out);

/* What it did, once it is finished; all zeros before. */
BITCASK_API void bitcask_merge_report(struct bitcask_merge *merge,
                                      struct bitcask_merge_report *out);

/* Cancels it if it runs, waits for its thread, and undoes what was not committed. */
BITCASK_API void bitcask_merge_close(struct bitcask_merge *merge);

/* ---- Events --------------------------------------------------------------------- */

enum bitcask_event_kind {
  BITCASK_EVENT_RECOVERED, /* seconds, records, replayed, torn_bytes, orphans, segments */
  BITCASK_EVENT_SEALED,    /* segment, bytes */
  BITCASK_EVENT_MERGING,   /* segments, bytes; message: the reason, if one was given */
  BITCASK_EVENT_MERGED,    /* report, seconds; message as before */
  BITCASK_EVENT_CORRUPTION,/* file, offset, bytes, message */
  BITCASK_EVENT_ERROR      /* status, message: background work that failed */
};

struct bitcask_event {
  enum bitcask_event_kind kind;
  enum bitcask_status status;
  uint64_t segment;
  uint64_t segments;
  uint64_t records;
  uint64_t replayed; /* of these, beside what the keydir checkpoint told */
  uint64_t bytes;
  uint64_t offset;
  uint64_t torn_bytes;
  uint64_t orphans;
  double seconds;
  struct bitcask_merge_report report;
  char file[64];
  char message[256];
};

/* Take the oldest event that happened since the handle was opened; false: none waits.
 * At most a thousand are kept, the oldest lost first. */
BITCASK_API bool bitcask_next_event(struct bitcask *db, struct bitcask_event *out);

/* Tell of a failure of the caller's own, as an event of the kind "error". */
BITCASK_API void bitcask_report(struct bitcask *db, enum bitcask_status status,
                                const char *message);

/* ---- Consulting a policy ---------------------------------------------------------- */

/* The engine decides nothing about merging. It leaves notes, which a program takes when it
 * likes, in its own thread. */
enum bitcask_note {
  BITCASK_NOTE_CONSULT = 1 << 0, /* a segment was sealed, or much has died: for the policy */
  BITCASK_NOTE_MERGED = 1 << 1   /* a merge has ended, whatever its outcome: for all */
};

/* Whether this handle is the one that has the policy. */
BITCASK_API bool bitcask_consults(struct bitcask *db);

/* Whether events or notes wait. Two loads: to be asked after every call. */
BITCASK_API bool bitcask_has_news(const struct bitcask *db);

/* Leave one for this handle itself: what it has put off is due. */
BITCASK_API void bitcask_leave_note(struct bitcask *db, enum bitcask_note note);

/* The notes left since the last time, of enum bitcask_note. */
BITCASK_API unsigned bitcask_take_notes(struct bitcask *db);

#ifdef __cplusplus
}
#endif

#endif
