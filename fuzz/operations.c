/*
 * Programs against a store on a simulated disk. Input: settings (1), then operations, each a
 * byte and what it takes: puts, deletes, batches, seals, steps of merges, snapshots, iterations,
 * syncs; closing and opening; the death of the process; power cuts.
 *
 * A table in memory follows. What the store holds is what the table holds; what a snapshot
 * shows is what it held then; and after a power cut what it held at some moment that was not
 * before the last sync, with batches wholly or not at all.
 */
#include "bitcask.h"

#include <stdio.h>
#include <stdlib.h>

#include "disk/sim.h"
#include "fuzz.h"
#include "values.h"

enum { KEYS = 12, WRITES_MAX = 400, BATCH_MAX = 5, SNAPSHOTS = 3, CUT_STATES = 24 };

/* ---- The table ---- */

struct table {
  unsigned numbers[KEYS]; /* of the value; 0: there is none */
};

struct write {
  unsigned key, number;
  bool continues; /* part of a batch that goes on with the next */
};

struct held {
  struct bitcask_snapshot *snapshot;
  struct table table;
};

struct world {
  struct sim *sim;
  struct bitcask *db;
  struct bitcask_merge *merge;
  struct held held[SNAPSHOTS];
  struct table table;
  struct write writes[WRITES_MAX]; /* since the machine was started, on top of `base` */
  size_t count, durable;           /* the first so many survive a power cut */
  struct table base;
  unsigned next_number;
  unsigned settings;
};

static bitcask_bytes key_of(unsigned key, char out[48]) {
  if (key == 0) return bytes_of("", 0);
  int size = snprintf(out, 48, "key %u%.*s", key, (int)(key % 5) * 8,
                      "................................");
  return bytes_of(out, (size_t)size);
}

static void note(struct world *world, unsigned key, unsigned number, bool continues) {
  world->table.numbers[key] = number;
  if (world->count < WRITES_MAX)
    world->writes[world->count++] = (struct write){key, number, continues};
}

static bool is_full(const struct world *world) {
  return world->count + BATCH_MAX + 1 >= WRITES_MAX;
}

/* ---- Comparing ---- */

static unsigned number_of(bitcask_bytes key, bitcask_bytes value) {
  unsigned number = 0;
  MUST(value_is_of(key, value));
  sscanf((const char *)value.data + key.size, "|%u|", &number);
  return number;
}

typedef enum bitcask_status (*get_function)(void *from, bitcask_bytes key,
                                            struct bitcask_buffer *into);

static enum bitcask_status get_now(void *from, bitcask_bytes key, struct bitcask_buffer *into) {
  return bitcask_get(from, key, into, NULL);
}

static enum bitcask_status get_then(void *from, bitcask_bytes key, struct bitcask_buffer *into) {
  return bitcask_snapshot_get(from, key, into, NULL);
}

static struct table read_table(void *from, get_function get) {
  struct table table = {{0}};
  for (unsigned i = 0; i < KEYS; i++) {
    struct bitcask_buffer value = {0};
    char text[48];
    bitcask_bytes key = key_of(i, text);
    enum bitcask_status status = get(from, key, &value);
    MUST(status == BITCASK_OK || status == BITCASK_ABSENT);
    if (status == BITCASK_OK) {
      MUST(buffer_append(&value, bytes_of("", 1)) == BITCASK_OK);
      table.numbers[i] = number_of(key, bytes_of(value.data, value.size - 1));
    }
    bitcask_buffer_release(&value);
  }
  return table;
}

static bool table_equal(const struct table *a, const struct table *b) {
  return memcmp(a, b, sizeof *a) == 0;
}

static void check_walk(struct bitcask_iterator *iterator, const struct table *table) {
  bitcask_bytes key, value;
  uint64_t version;
  unsigned seen = 0, live = 0;
  while (bitcask_iterator_next(iterator, &key, &value, &version) == BITCASK_OK) {
    MUST(value_is_of(key, value));
    seen++;
  }
  for (unsigned i = 0; i < KEYS; i++) live += table->numbers[i] != 0;
  MUST(seen == live);
  bitcask_iterator_close(iterator);
}

static void check_now(struct world *world) {
  struct table found = read_table(world->db, get_now);
  struct bitcask_iterator_options options = {.keys_only = false};
  struct bitcask_iterator *iterator = NULL;
  MUST(table_equal(&found, &world->table));
  MUST(bitcask_iterator_open(world->db, &options, &iterator) == BITCASK_OK);
  check_walk(iterator, &world->table);
}

static void check_held(struct held *held) {
  struct bitcask_iterator_options options = {.keys_only = false};
  struct bitcask_iterator *iterator = NULL;
  uint64_t count = 0;
  unsigned live = 0;
  if (held->snapshot == NULL) return;
  struct table found = read_table(held->snapshot, get_then);
  MUST(table_equal(&found, &held->table));
  for (unsigned i = 0; i < KEYS; i++) live += held->table.numbers[i] != 0;
  MUST(bitcask_snapshot_count(held->snapshot, &count) == BITCASK_OK && count == live);
  MUST(bitcask_snapshot_iterator_open(held->snapshot, &options, &iterator) == BITCASK_OK);
  check_walk(iterator, &held->table);
}

/* ---- Opening, closing, dying ---- */

static void open_store(struct world *world) {
  static const uint64_t sizes[] = {256, 512, 1024, 65536};
  struct bitcask_options options;
  bitcask_options_default(&options);
  options.disk = sim_disk(world->sim);
  options.no_threads = true;
  options.segment_size = sizes[world->settings & 3];
  options.sync = world->settings & 4 ? BITCASK_SYNC_ALWAYS : BITCASK_SYNC_NONE;
  MUST(bitcask_open("store", &options, &world->db) == BITCASK_OK);
}

static void let_go(struct world *world) {
  bitcask_merge_close(world->merge);
  world->merge = NULL;
  for (int i = 0; i < SNAPSHOTS; i++) {
    bitcask_snapshot_close(world->held[i].snapshot);
    world->held[i].snapshot = NULL;
  }
}

static void close_store(struct world *world) {
  let_go(world);
  MUST(bitcask_close(world->db) == BITCASK_OK);
  world->db = NULL;
}

static void start_anew(struct world *world, struct sim *sim) {
  close_store(world); /* on the old disk, which nobody looks at again */
  sim_unref(world->sim);
  world->sim = sim;
  open_store(world);
}

static void die(struct world *world) {
  struct sim *left = NULL;
  MUST(sim_kill(world->sim, 0, &left) == BITCASK_OK);
  start_anew(world, left);
  check_now(world);
}

/* Is this what the table was at some moment after the last sync? Then it is that now. */
static bool accept(struct world *world, const struct table *found) {
  struct table table = world->base;
  for (size_t i = 0; i <= world->count; i++) {
    bool is_moment = i == 0 || !world->writes[i - 1].continues;
    if (i > 0) table.numbers[world->writes[i - 1].key] = world->writes[i - 1].number;
    if (i < world->durable || !is_moment || !table_equal(&table, found)) continue;
    world->table = world->base = table;
    world->count = world->durable = 0;
    return true;
  }
  return false;
}

static void cut_power(struct world *world, uint64_t seed) {
  struct sim_cut *cut = NULL;
  struct sim *left = NULL;
  const char *name = NULL;
  MUST(sim_cut(world->sim, CUT_STATES, seed, &cut) == BITCASK_OK);
  for (uint64_t wanted = seed % CUT_STATES + 1; wanted > 0; wanted--) {
    struct sim_image image = {0};
    struct sim *next = NULL;
    if (sim_cut_next(cut, &image, &name) != BITCASK_OK) break;
    MUST(sim_survivor(world->sim, &image, &next) == BITCASK_OK);
    sim_unref(left);
    left = next;
  }
  sim_cut_free(cut);
  if (left == NULL) return;
  start_anew(world, left);
  struct table found = read_table(world->db, get_now);
  MUST(accept(world, &found));
  /* What was found was made durable when the store was opened. */
}

/* ---- Operations ---- */

static void note_durability(struct world *world) {
  if (world->settings & 4) world->durable = world->count;
}

static void put(struct world *world, struct coding_reader *input) {
  char text[48], value[VALUE_SIZE_MAX];
  unsigned key = (unsigned)fuzz_number(input, 1) % KEYS, number = world->next_number++;
  bitcask_bytes name = key_of(key, text);
  bitcask_bytes content = bytes_of(value, value_make(name, number, value));
  MUST(bitcask_put(world->db, name, content, NULL) == BITCASK_OK);
  note(world, key, number, false);
  note_durability(world);
}

static void put_if_absent(struct world *world, struct coding_reader *input) {
  char text[48], value[VALUE_SIZE_MAX];
  unsigned key = (unsigned)fuzz_number(input, 1) % KEYS, number = world->next_number++;
  bitcask_bytes name = key_of(key, text);
  bitcask_bytes content = bytes_of(value, value_make(name, number, value));
  struct bitcask_write_options options = {.if_absent = true};
  enum bitcask_status status = bitcask_put_with(world->db, name, content, &options, NULL);
  MUST(status == (world->table.numbers[key] != 0 ? BITCASK_CONFLICT : BITCASK_OK));
  if (status == BITCASK_OK) note(world, key, number, false);
  note_durability(world);
}

static void delete(struct world *world, struct coding_reader *input) {
  char text[48];
  unsigned key = (unsigned)fuzz_number(input, 1) % KEYS;
  enum bitcask_status status = bitcask_delete(world->db, key_of(key, text), NULL);
  MUST(status == (world->table.numbers[key] != 0 ? BITCASK_OK : BITCASK_ABSENT));
  if (status == BITCASK_OK) note(world, key, 0, false);
  note_durability(world);
}

static void batch(struct world *world, struct coding_reader *input) {
  struct bitcask_batch *writes = NULL;
  unsigned count = 1 + (unsigned)fuzz_number(input, 1) % BATCH_MAX;
  MUST(bitcask_batch_new(&writes) == BITCASK_OK);
  for (unsigned i = 0; i < count; i++) {
    char text[48], value[VALUE_SIZE_MAX];
    unsigned what = (unsigned)fuzz_number(input, 1), key = what % KEYS;
    unsigned number = what & 128 ? 0 : world->next_number++;
    bitcask_bytes name = key_of(key, text);
    bitcask_bytes content = bytes_of(value, value_make(name, number, value));
    if (number == 0)
      MUST(bitcask_batch_delete(writes, name, NULL) == BITCASK_OK);
    else
      MUST(bitcask_batch_put(writes, name, content, NULL) == BITCASK_OK);
    note(world, key, number, i + 1 < count);
  }
  MUST(bitcask_batch_commit(world->db, writes, NULL) == BITCASK_OK);
  bitcask_batch_free(writes);
  note_durability(world);
}

static void step_merge(struct world *world, struct coding_reader *input) {
  uint64_t budget = fuzz_number(input, 1) * 8;
  struct bitcask_merge_options options = {.rate = 0};
  bool finished = false;
  if (world->merge == NULL) {
    MUST(bitcask_merge_open(world->db, &options, &world->merge) == BITCASK_OK);
    return;
  }
  MUST(bitcask_merge_step(world->merge, budget, &finished) == BITCASK_OK);
  if (!finished) return;
  bitcask_merge_close(world->merge);
  world->merge = NULL;
}

static void hold(struct world *world, struct coding_reader *input) {
  struct held *held = &world->held[fuzz_number(input, 1) % SNAPSHOTS];
  check_held(held);
  bitcask_snapshot_close(held->snapshot);
  held->snapshot = NULL;
  MUST(bitcask_snapshot_open(world->db, &held->snapshot) == BITCASK_OK);
  held->table = world->table;
}

static void seal(struct world *world) {
  uint64_t segment = 0;
  MUST(bitcask_seal(world->db, &segment) == BITCASK_OK);
}

static void sync_store(struct world *world) {
  MUST(bitcask_sync_now(world->db) == BITCASK_OK);
  world->durable = world->count;
}

static void reopen(struct world *world) {
  close_store(world);
  world->durable = world->count;
  open_store(world);
  check_now(world);
}

static void do_one(struct world *world, struct coding_reader *input) {
  switch (fuzz_number(input, 1) % 18) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
      put(world, input);
      return;
    case 5:
    case 6:
      delete (world, input);
      return;
    case 7:
      batch(world, input);
      return;
    case 8:
      put_if_absent(world, input);
      return;
    case 9:
      seal(world);
      return;
    case 10:
    case 11:
      step_merge(world, input);
      return;
    case 12:
      hold(world, input);
      return;
    case 13:
      check_held(&world->held[fuzz_number(input, 1) % SNAPSHOTS]);
      return;
    case 14:
      sync_store(world);
      return;
    case 15:
      reopen(world);
      return;
    case 16:
      die(world);
      return;
    case 17:
      cut_power(world, fuzz_number(input, 1));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct coding_reader input = coding_read(bytes_of(data, size));
  struct world *world = calloc(1, sizeof *world);
  struct sim_options options;
  MUST(world != NULL);
  sim_options_default(&options);
  world->settings = (unsigned)fuzz_number(&input, 1);
  world->next_number = 1;
  options.is_unmapped = world->settings & 8;
  MUST(sim_new(&options, &world->sim) == BITCASK_OK);
  open_store(world);
  for (int i = 0; i < 200 && input.left > 0 && !is_full(world); i++) do_one(world, &input);
  check_now(world);
  for (int i = 0; i < SNAPSHOTS; i++) check_held(&world->held[i]);
  reopen(world);
  close_store(world);
  sim_unref(world->sim);
  free(world);
  return 0;
}
