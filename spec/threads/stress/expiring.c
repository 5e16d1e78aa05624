/* Keys that expire: they are in no history, since their worker knows when they go. */
#include "stress.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static uint64_t now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

struct expiring {
  uint64_t version;
  uint64_t from, to; /* it expires at some moment between these */
};

static bitcask_bytes expiring_key(const struct worker *worker, unsigned i,
                                  char into[KEY_SIZE_MAX]) {
  int size = snprintf(into, KEY_SIZE_MAX, "ttl-%u-%u", worker->number, i);
  return (bitcask_bytes){into, (size_t)size};
}

static void put_expiring(struct worker *worker, unsigned i, struct expiring *state) {
  char key_bytes[KEY_SIZE_MAX];
  struct bitcask_write_options options = {0};
  options.ttl_ms = one_in(&worker->chance, 4) ? BITCASK_TTL_NEVER : 1 + below(&worker->chance, 40);
  bool is_for_ever = options.ttl_ms == BITCASK_TTL_NEVER;
  uint64_t before = now_ms();
  atomic_fetch_add(&run.begun, 1);
  check(bitcask_put_with(worker->db, expiring_key(worker, i, key_bytes),
                         (bitcask_bytes){key_bytes, 4}, &options, &state->version),
        "put with a time to live");
  state->from = is_for_ever ? UINT64_MAX : before + options.ttl_ms;
  state->to = is_for_ever ? UINT64_MAX : now_ms() + options.ttl_ms;
  raise_to(&run.newest, state->version);
}

static void get_expiring(struct worker *worker, unsigned i, const struct expiring *state) {
  char key_bytes[KEY_SIZE_MAX];
  uint64_t version = 0, before = now_ms();
  enum bitcask_status status =
      bitcask_get(worker->db, expiring_key(worker, i, key_bytes), &worker->into, &version);
  uint64_t after = now_ms();
  if (status == BITCASK_ABSENT && state->version != 0 && after < state->from)
    die("a key is gone %" PRIu64 " ms before its time", state->from - after);
  if (status == BITCASK_ABSENT) return;
  check(status, "get of a key that expires");
  if (before >= state->to) die("a key is there %" PRIu64 " ms after its time", before - state->to);
  if (version != state->version) die("a key that expires has another version");
}

void work_as_expirer(struct worker *worker) {
  char key_bytes[KEY_SIZE_MAX];
  struct expiring states[EXPIRING_MAX] = {{0}};
  while (goes_on(worker)) {
    unsigned i = below(&worker->chance, EXPIRING_MAX);
    if (one_in(&worker->chance, 4))
      put_expiring(worker, i, &states[i]);
    else
      get_expiring(worker, i, &states[i]);
    struct timespec nap = {0, 200000L};
    if (one_in(&worker->chance, 4)) nanosleep(&nap, NULL);
  }
  for (unsigned i = 0; i < EXPIRING_MAX; i++) {
    atomic_fetch_add(&run.begun, 1);
    enum bitcask_status status =
        bitcask_delete(worker->db, expiring_key(worker, i, key_bytes), NULL);
    if (status != BITCASK_ABSENT) check(status, "delete");
  }
}
