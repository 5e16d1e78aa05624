/*
 * The entries of one shard of the keydir: a table of open addressing, in the order of hashes.
 *
 *   0                          homes          homes + tail
 *   +---+---+---+---+---+- - - +---+---+- - - +
 *   | a | b |   | c | d |      | y | z |      |    hash of a <= hash of b <= ... <= hash of z
 *   +---+---+---+---+---+- - - +---+---+- - - +
 *
 * The home of hash h is h * homes / 2^32. An entry stands at its home or, where others are in
 * the way, right behind them; behind the last home stand those pushed past it. So where each
 * stands follows from which there are and how many homes, a miss ends at the first larger hash,
 * and to grow is to go through the entries from one end to the other.
 *
 * A table grows where it stands: its entries move together at the end of the longer table, and
 * from there each to its new place, which is never behind the place that it comes from. Whether
 * all will fit is known before the second step; if not, and more memory cannot be had, they go
 * back to where they were.
 *
 * Threads: no locks here.
 */
#ifndef BITCASK_STORE_KEYDIR_TABLE_H
#define BITCASK_STORE_KEYDIR_TABLE_H

#include "base/bytes.h"

/* Where a record stands: the slot of its segment and its offset, with two marks. 0: nowhere. */
typedef uint64_t place;

enum {
  PLACE_SLOT_BITS = 20,
  PLACE_SLOT_MAX = (1 << PLACE_SLOT_BITS) - 1,
  PLACE_OFFSET_BITS = 33, /* in units of 8 bytes */
  PLACE_SLOT_SHIFT = 40
};
#define PLACE_TOMBSTONE (UINT64_C(1) << 33) /* while loading: the key's newest is a delete */
#define PLACE_EXPIRES (UINT64_C(1) << 34)

static inline place place_make(uint32_t slot, uint64_t offset, uint64_t marks) {
  return ((uint64_t)slot << PLACE_SLOT_SHIFT) | (offset >> 3) | marks;
}
static inline uint32_t place_slot(place at) { return (uint32_t)(at >> PLACE_SLOT_SHIFT); }
static inline uint64_t place_offset(place at) {
  return (at & ((UINT64_C(1) << PLACE_OFFSET_BITS) - 1)) << 3;
}

struct keydir_entry {
  uint32_t hash; /* the 32 bits after those that chose the shard */
  uint32_t units; /* size of the record in units of 8 bytes */
  place at;
};

static inline uint64_t keydir_entry_size(const struct keydir_entry *entry) {
  return (uint64_t)entry->units * 8;
}

/* Zeros make an empty one. Where `at` is 0 a slot is empty. */
struct keydir_table {
  struct keydir_entry *slots; /* homes + tail of them; NULL: there are none */
  uint32_t homes;
  uint32_t tail;
  uint32_t count;    /* of its entries */
  uint32_t used_end; /* no entry stands at this slot or behind it; may be too high */
};

static inline uint32_t keydir_table_end(const struct keydir_table *table) {
  return table->homes + table->tail;
}
static inline size_t keydir_table_bytes(const struct keydir_table *table) {
  return (size_t)keydir_table_end(table) * sizeof *table->slots;
}

static inline uint32_t keydir_table_home(uint32_t homes, uint32_t hash) {
  return (uint32_t)(((uint64_t)hash * homes) >> 32);
}

/* Is it whole: entries in their order, none before its home, none behind used_end, the count
 * right? Whatever bytes its slots hold, nothing outside them is read. */
bool keydir_table_is_sound(const struct keydir_table *table);

/* Make room for `more` entries of any hashes. Tables of other phases, from 0 on, grow at other
 * sizes. On failure no entry has changed. */
enum bitcask_status keydir_table_make_room(struct keydir_table *table, unsigned more,
                                           unsigned phase);

/* Is there that room? Looks at nothing but the table's numbers most of the time. */
bool keydir_table_has_room(struct keydir_table *table, unsigned more);

/* Put the same entries into slots of its own, made by base/memory, so many that `more` entries
 * have homes; the old ones are left to whose they are. On failure nothing has changed. */
enum bitcask_status keydir_table_own(struct keydir_table *table, unsigned more, unsigned phase);

/* Give its slots back, and make it empty. */
void keydir_table_clear(struct keydir_table *table);

/* The first slot, of those before `end`, whose entry is not before `hash`: where it is, or would
 * be inserted. The table has slots. */
static inline const struct keydir_entry *keydir_table_slot(const struct keydir_table *table,
                                                           const struct keydir_entry *end,
                                                           uint32_t hash) {
  const struct keydir_entry *slot = table->slots + keydir_table_home(table->homes, hash);
  while (slot < end && slot->at != 0 && slot->hash < hash) slot++;
  return slot;
}

/* The number of that slot; 0 where there are none. */
static inline uint32_t keydir_table_seek(const struct keydir_table *table, uint32_t hash) {
  if (table->slots == NULL) return 0;
  const struct keydir_entry *end = table->slots + keydir_table_end(table);
  return (uint32_t)(keydir_table_slot(table, end, hash) - table->slots);
}

/* Does an entry of `hash` stand at the slot, which is one before `end`? */
static inline bool keydir_table_is_of(const struct keydir_entry *slot,
                                      const struct keydir_entry *end, uint32_t hash) {
  return slot < end && slot->at != 0 && slot->hash == hash;
}

/* Does the entry of `hash`, or the next one of it, stand at slot i? */
static inline bool keydir_table_is_at(const struct keydir_table *table, uint32_t i,
                                      uint32_t hash) {
  uint32_t end = keydir_table_end(table);
  return i < end && keydir_table_is_of(&table->slots[i], &table->slots[end], hash);
}

/* The entry that stands for (hash, at), or NULL. */
struct keydir_entry *keydir_table_entry(const struct keydir_table *table, uint32_t hash, place at);

/* Add an entry behind those of its hash; there is room. */
void keydir_table_insert(struct keydir_table *table, const struct keydir_entry *entry);

/* Remove the entry at slot i; those that it had pushed away from home move up. */
void keydir_table_remove(struct keydir_table *table, uint32_t i);

#endif
