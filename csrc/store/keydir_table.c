#include "store/keydir_table.h"

#include <string.h>

/* An entry stands at its home, or right behind another that is not before its own home and
 * has no larger hash; behind the last there is nothing but empty slots. */
bool keydir_table_is_sound(const struct keydir_table *table) {
  uint32_t count = 0, hash = 0;
  uint64_t end = (uint64_t)table->homes + table->tail;
  bool is_after_entry = false;
  if (table->homes == 0) return table->tail == 0 && table->count == 0 && table->used_end == 0;
  if (end > UINT32_MAX || table->used_end > end) return false;
  for (uint32_t i = 0; i < end; i++) {
    const struct keydir_entry *entry = &table->slots[i];
    if (entry->at != 0) {
      uint32_t home = keydir_table_home(table->homes, entry->hash);
      if (home > i || (home < i && !is_after_entry) || entry->hash < hash) return false;
      if (i >= table->used_end) return false;
      hash = entry->hash;
      count++;
    }
    is_after_entry = entry->at != 0;
  }
  return count == table->count;
}

/* ---- Growing ---- */

enum { TAIL_MIN = 4, TAIL_USUAL_MAX = 24 };

/* The tail that hardly ever becomes too short with a hash worth its name. */
static uint32_t usual_tail(uint32_t homes) {
  uint32_t tail = homes / 64;
  if (tail < TAIL_MIN) return TAIL_MIN;
  return tail > TAIL_USUAL_MAX ? TAIL_USUAL_MAX : tail;
}

/* The tail for so many behind the last home, some more of that, and `more` entries. */
static uint32_t tail_for(uint32_t behind, unsigned more) { return behind + behind / 4 + more; }

/* Homes that so many entries fill up. One in seven stays empty, so that the next empty one is
 * near; of a small table, which grows by whole pages and is soon gone through, one in twelve. */
static uint64_t least_homes(uint64_t count) {
  enum { SMALL = 1024 };
  return count + (count < SMALL ? count / 11 : count / 6);
}

static bool is_full(uint64_t count, uint32_t homes) { return least_homes(count) > homes; }

/* More than that, by a fifth or so: the next rung of a ladder, of which there are four between a
 * size and its double. Tables of other phases stand on other rungs, so that not all of them grow
 * at the same time, and what they take together is the same at any time. */
static uint32_t homes_for(uint64_t count, unsigned phase) {
  enum { PARTS = 32, STEP = 8 };
  uint64_t least = least_homes(count) + count / 16 + 4, part = 1;
  while (part * PARTS * 2 <= least) part *= 2;
  uint64_t parts = (least + part - 1) / part;
  uint64_t homes = (parts + (phase + 2 * STEP * PARTS - parts) % STEP) * part;
  return homes > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uint32_t)homes;
}

/* As many slots as the memory for these would hold anyway. */
static uint32_t slots_for(uint32_t slots) {
  return (uint32_t)(memory_table_size(slots * sizeof(struct keydir_entry)) /
                    sizeof(struct keydir_entry));
}

/* Move all entries together, their last one to the last slot; the slot of the first. *needed
 * gets the slots that they take when each stands at its place again: the last of n entries
 * stands at the largest of home + the number of those behind it, over all of them. */
static uint32_t pack(const struct keydir_table *table, uint32_t homes, uint32_t *needed) {
  uint32_t end = keydir_table_end(table), to = end;
  *needed = 0;
  for (uint32_t i = table->used_end; i-- > 0;) {
    struct keydir_entry entry = table->slots[i];
    table->slots[to - 1] = entry; /* what an empty slot leaves there is written over later */
    to -= entry.at != 0;
    uint32_t least = keydir_table_home(homes, entry.hash) + end - to;
    *needed = least > *needed ? least : *needed;
  }
  return to;
}

/* Move packed entries each to its place. That is never behind the place it comes from, since
 * those that are still packed fit behind it; so nothing is written over before it is read. */
static void spread(struct keydir_table *table, uint32_t packed) {
  const struct keydir_entry empty = {0};
  uint32_t next = 0, end = keydir_table_end(table);
  for (uint32_t i = packed; i < end; i++) {
    struct keydir_entry entry = table->slots[i];
    uint32_t home = keydir_table_home(table->homes, entry.hash);
    table->slots[next] = empty; /* without asking: one gap in three is longer than that */
    for (uint32_t gap = next + 1; gap < home; gap++) table->slots[gap] = empty;
    next = home > next ? home : next;
    table->slots[next++] = entry;
  }
  table->used_end = next;
  memset(table->slots + next, 0, (end - next) * sizeof *table->slots);
}

/* Memory for so many slots; the old ones are as they were, the new ones hold anything. */
static enum bitcask_status lengthen(struct keydir_table *table, uint32_t slots) {
  struct keydir_entry *longer = memory_table_resize(table->slots, keydir_table_bytes(table),
                                                    slots * sizeof *longer);
  if (longer == NULL) return BITCASK_NOMEMORY;
  __atomic_store_n(&table->slots, longer, __ATOMIC_RELAXED); /* for keydir_prefetch */
  return BITCASK_OK;
}

static void set_homes(struct keydir_table *table, uint32_t homes, uint32_t slots) {
  __atomic_store_n(&table->homes, homes, __ATOMIC_RELAXED); /* for keydir_prefetch */
  table->tail = slots - homes;
}

/* The packed entries need a longer tail than one usually does. Where it cannot be had they go
 * back to where they were. */
static enum bitcask_status grow_further(struct keydir_table *table, uint32_t slots,
                                        uint32_t old_homes, uint32_t *packed) {
  uint32_t end = keydir_table_end(table), count = end - *packed;
  enum bitcask_status status = lengthen(table, slots);
  if (status != BITCASK_OK) {
    set_homes(table, old_homes, end);
    spread(table, *packed);
    return status;
  }
  memmove(&table->slots[slots - count], &table->slots[*packed], count * sizeof *table->slots);
  *packed = slots - count;
  set_homes(table, table->homes, slots);
  return BITCASK_OK;
}

static enum bitcask_status grow(struct keydir_table *table, uint32_t homes, unsigned more) {
  uint32_t tail = usual_tail(homes) + more, old_homes = table->homes, needed = 0;
  uint32_t slots = slots_for(homes + tail);
  if (slots < keydir_table_end(table)) slots = keydir_table_end(table);
  TRY(lengthen(table, slots));
  set_homes(table, slots - tail, slots);
  uint32_t packed = pack(table, table->homes, &needed);
  uint32_t behind = needed > table->homes ? needed - table->homes : 0;
  if (tail_for(behind, more) > tail)
    TRY(grow_further(table, slots_for(table->homes + tail_for(behind, more)), old_homes, &packed));
  spread(table, packed);
  return BITCASK_OK;
}

/* Room behind the last home alone: no entry moves. */
static enum bitcask_status grow_tail(struct keydir_table *table, unsigned more) {
  uint32_t behind = table->used_end > table->homes ? table->used_end - table->homes : 0;
  uint32_t old_end = keydir_table_end(table);
  uint32_t slots = slots_for(table->homes + tail_for(behind, more));
  TRY(lengthen(table, slots));
  memset(table->slots + old_end, 0, (slots - old_end) * sizeof *table->slots);
  set_homes(table, table->homes, slots);
  return BITCASK_OK;
}

/* Whatever is inserted pushes entries at most `more` slots beyond the last that is used, or
 * beyond the last home if that is farther. The bound on the used ones is kept beside the table's
 * numbers, because the end of the table is a cache line of its own. */
static bool tail_has_room(struct keydir_table *table, unsigned more) {
  uint32_t end = keydir_table_end(table);
  if (table->tail < more) return false;
  if (end - table->used_end >= more) return true;
  while (table->used_end > 0 && table->slots[table->used_end - 1].at == 0) table->used_end--;
  return end - table->used_end >= more;
}

static bool homes_have_room(const struct keydir_table *table, unsigned more) {
  return table->homes > 0 && !is_full((uint64_t)table->count + more, table->homes);
}

bool keydir_table_has_room(struct keydir_table *table, unsigned more) {
  return homes_have_room(table, more) && tail_has_room(table, more);
}

enum bitcask_status keydir_table_make_room(struct keydir_table *table, unsigned more,
                                           unsigned phase) {
  if (!homes_have_room(table, more))
    TRY(grow(table, homes_for((uint64_t)table->count + more, phase), more));
  return tail_has_room(table, more) ? BITCASK_OK : grow_tail(table, more);
}

/* ---- Owning ---- */

/* Where the last entry would end among so many homes. */
static uint32_t end_among(const struct keydir_table *table, uint32_t homes) {
  uint32_t next = 0;
  for (uint32_t i = 0; i < table->used_end; i++) {
    uint32_t home = keydir_table_home(homes, table->slots[i].hash);
    if (table->slots[i].at != 0) next = (home > next ? home : next) + 1;
  }
  return next;
}

/* Put each entry of `from` to its place among the slots of `to`, which hold anything. */
static void spread_into(struct keydir_table *to, const struct keydir_table *from) {
  const struct keydir_entry empty = {0};
  uint32_t next = 0;
  for (uint32_t i = 0; i < from->used_end; i++) {
    uint32_t home = keydir_table_home(to->homes, from->slots[i].hash);
    if (from->slots[i].at == 0) continue;
    while (next < home) to->slots[next++] = empty;
    to->slots[next++] = from->slots[i];
  }
  to->used_end = next;
  memset(to->slots + next, 0, (keydir_table_end(to) - next) * sizeof *to->slots);
}

/* The numbers of a table for its entries and `more`. */
static struct keydir_table larger(const struct keydir_table *table, unsigned more, unsigned phase) {
  uint32_t homes = homes_for((uint64_t)table->count + more, phase), tail = usual_tail(homes) + 1;
  uint32_t slots = slots_for(homes + tail);
  homes = slots - tail;
  uint32_t end = end_among(table, homes), behind = end > homes ? end - homes : 0;
  if (tail_for(behind, 1) > tail) slots = slots_for(homes + tail_for(behind, 1));
  return (struct keydir_table){.homes = homes, .tail = slots - homes, .count = table->count};
}

static struct keydir_table same_size(const struct keydir_table *table) {
  struct keydir_table same = *table;
  same.slots = NULL;
  return same;
}

enum bitcask_status keydir_table_own(struct keydir_table *table, unsigned more, unsigned phase) {
  bool is_enough = more == 0 || homes_have_room(table, more);
  struct keydir_table own = is_enough ? same_size(table) : larger(table, more, phase);
  size_t size = keydir_table_bytes(&own);
  own.slots = memory_table_resize(NULL, 0, size);
  if (own.slots == NULL) return BITCASK_NOMEMORY;
  if (is_enough)
    memcpy(own.slots, table->slots, size);
  else
    spread_into(&own, table);
  __atomic_store_n(&table->slots, own.slots, __ATOMIC_RELAXED); /* for keydir_prefetch */
  __atomic_store_n(&table->homes, own.homes, __ATOMIC_RELAXED);
  table->tail = own.tail;
  table->used_end = own.used_end;
  return BITCASK_OK;
}

void keydir_table_clear(struct keydir_table *table) {
  memory_table_free(table->slots, keydir_table_bytes(table));
  *table = (struct keydir_table){0};
}

/* ---- Changing ---- */

struct keydir_entry *keydir_table_entry(const struct keydir_table *table, uint32_t hash,
                                        place at) {
  if (table->homes == 0) return NULL;
  for (uint32_t i = keydir_table_seek(table, hash); keydir_table_is_at(table, i, hash); i++)
    if (table->slots[i].at == at) return &table->slots[i];
  return NULL;
}

void keydir_table_insert(struct keydir_table *table, const struct keydir_entry *entry) {
  struct keydir_entry *slots = table->slots;
  uint32_t i = keydir_table_seek(table, entry->hash);
  while (slots[i].at != 0 && slots[i].hash == entry->hash) i++; /* behind its equals */
  uint32_t empty = i;
  while (slots[empty].at != 0) empty++;
  memmove(&slots[i + 1], &slots[i], (empty - i) * sizeof slots[0]);
  slots[i] = *entry;
  if (empty >= table->used_end) table->used_end = empty + 1;
  table->count++;
}

void keydir_table_remove(struct keydir_table *table, uint32_t i) {
  struct keydir_entry *slots = table->slots;
  uint32_t end = keydir_table_end(table), last = i;
  while (last + 1 < end && slots[last + 1].at != 0 &&
         keydir_table_home(table->homes, slots[last + 1].hash) <= last)
    last++;
  memmove(&slots[i], &slots[i + 1], (last - i) * sizeof slots[0]);
  slots[last] = (struct keydir_entry){0};
  table->count--;
}
