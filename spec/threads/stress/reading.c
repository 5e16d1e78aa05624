/* Readers of single keys, and of many; what they saw. */
#include "stress.h"

#include <inttypes.h>

static void saw_version(const char *by, unsigned key, uint64_t floor, uint64_t version) {
  if (version < floor)
    die("%s: key %u: version %" PRIu64 ", but %" PRIu64 " was known before", by, key, version,
        floor);
  if (version > atomic_load(&run.begun))
    die("%s: key %u: version %" PRIu64 " was not given out yet", by, key, version);
  raise_to(&run.known[key], version);
}

void saw_sight(struct worker *worker, unsigned key, uint64_t floor, bool is_there) {
  if (worker->sight_count == SIGHTS_MAX) return;
  worker->sights[worker->sight_count++] =
      (struct sight){key, is_there, floor, atomic_load(&run.begun)};
}

static void saw_value(struct worker *worker, const char *by, unsigned key, uint64_t floor,
                      enum bitcask_status status, bitcask_bytes value, uint64_t version) {
  if (status == BITCASK_ABSENT) {
    saw_sight(worker, key, floor, false);
    return;
  }
  check(status, by);
  check_value(by, key, value, version);
  saw_version(by, key, floor, version);
}

uint64_t version_now(struct worker *worker, unsigned key) {
  char key_bytes[KEY_SIZE_MAX];
  struct bitcask_stat stat;
  enum bitcask_status status = bitcask_stat_key(worker->db, key_of(key, key_bytes), &stat);
  if (status == BITCASK_ABSENT) return NO_VERSION;
  check(status, "stat");
  return stat.version;
}

void get_once(struct worker *worker) {
  char key_bytes[KEY_SIZE_MAX];
  unsigned key = choose_key(worker);
  uint64_t floor = atomic_load(&run.known[key]), version = 0;
  enum bitcask_status status =
      bitcask_get(worker->db, key_of(key, key_bytes), &worker->into, &version);
  bitcask_bytes value = {worker->into.data, worker->into.size};
  saw_value(worker, "get", key, floor, status, value, version);
}

void has_once(struct worker *worker) {
  char key_bytes[KEY_SIZE_MAX];
  unsigned key = choose_key(worker);
  uint64_t floor = atomic_load(&run.known[key]);
  enum bitcask_status status = bitcask_has(worker->db, key_of(key, key_bytes));
  if (status != BITCASK_ABSENT) check(status, "has");
  saw_sight(worker, key, floor, status == BITCASK_OK);
}

static void stat_once(struct worker *worker) {
  char key_bytes[KEY_SIZE_MAX];
  struct bitcask_stat stat;
  unsigned key = choose_key(worker);
  uint64_t floor = atomic_load(&run.known[key]);
  enum bitcask_status status = bitcask_stat_key(worker->db, key_of(key, key_bytes), &stat);
  if (status == BITCASK_ABSENT) {
    saw_sight(worker, key, floor, false);
    return;
  }
  check(status, "stat");
  saw_version("stat", key, floor, stat.version);
}

static void get_many_once(struct worker *worker) {
  char key_bytes[MANY_MAX][KEY_SIZE_MAX];
  unsigned numbers[MANY_MAX];
  uint64_t floors[MANY_MAX];
  bitcask_bytes keys[MANY_MAX];
  struct bitcask_found found[MANY_MAX];
  unsigned count = 1 + below(&worker->chance, MANY_MAX);
  for (unsigned i = 0; i < count; i++) {
    numbers[i] = choose_key(worker);
    keys[i] = key_of(numbers[i], key_bytes[i]);
    floors[i] = atomic_load(&run.known[numbers[i]]);
  }
  check(bitcask_get_many(worker->db, keys, count, &worker->into, found), "get_many");
  for (unsigned i = 0; i < count; i++) {
    bitcask_bytes value = {NULL, found[i].size};
    if (found[i].size > 0) value.data = (const uint8_t *)worker->into.data + found[i].offset;
    saw_value(worker, "get_many", numbers[i], floors[i], found[i].status, value, found[i].version);
  }
}

void work_as_reader(struct worker *worker) {
  while (goes_on(worker)) {
    unsigned which = below(&worker->chance, 16);
    if (which == 0)
      get_many_once(worker);
    else if (which == 1)
      has_once(worker);
    else if (which == 2)
      stat_once(worker);
    else
      get_once(worker);
  }
}
