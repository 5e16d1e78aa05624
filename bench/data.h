/*
 * The keys and values of a run, computed from numbers so that making them costs a few
 * nanoseconds and no cache miss, and a value can be checked without remembering it.
 *
 *   key   = two mixes of its id, cut or repeated to key_size: the ids 0, 1, 2, ... give
 *           unique keys in random order
 *   value = | mix of id | generation | filler ... | mix of id and generation |
 *             8 bytes     8 bytes      incompressible  8 bytes
 *
 * Threads: a struct data is read-only once made; a value_maker belongs to one thread.
 */
#ifndef BENCH_DATA_H
#define BENCH_DATA_H

#include "driver.h"

enum { KEY_SIZE_MIN = 8, KEY_SIZE_MAX = 511, KEY_BUFFER_SIZE = 520, VALUE_SIZE_MIN = 24 };

/* Ids from here on are never put. */
#define ABSENT_ID (UINT64_C(1) << 40)

struct data {
  uint64_t key_count;
  size_t key_size;
  size_t value_size;
  char *filler; /* value_size bytes */
};

void data_init(struct data *data, uint64_t key_count, size_t key_size, size_t value_size);

/* The key of `id`, written to `into`, which holds KEY_BUFFER_SIZE bytes. */
driver_bytes key_make(const struct data *data, uint64_t id, char *into);

/* The id of a key that key_make gave; ends the process if it is none. */
uint64_t key_id(const struct data *data, driver_bytes key);

struct value_maker {
  const struct data *data;
  char *bytes;
};

void value_maker_init(struct value_maker *maker, const struct data *data);
void value_maker_release(struct value_maker *maker);

/* Valid until the next call. */
driver_bytes value_make(struct value_maker *maker, uint64_t id, uint64_t generation);

/* End the process unless `value` is one that value_make gave for `id`: its generation. Up to
 * a KiB every byte is compared, beyond that a cache line of every KiB: comparing more would
 * take longer than many a get. */
uint64_t value_check(const struct data *data, uint64_t id, driver_bytes value);

/* A bijection of 64-bit numbers that looks random. */
static inline uint64_t mix64(uint64_t x) {
  x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
  return x ^ (x >> 31);
}

/* The splitmix64 sequence. */
struct rng {
  uint64_t state;
};

static inline uint64_t rng_next(struct rng *rng) {
  return mix64(rng->state += UINT64_C(0x9e3779b97f4a7c15));
}

static inline uint64_t rng_below(struct rng *rng, uint64_t limit) {
  return (uint64_t)(((unsigned __int128)rng_next(rng) * limit) >> 64);
}

/* `count` ids below key_count with YCSB's scrambled zipfian distribution, theta 0.99, to
 * be given back with free. */
uint32_t *zipf_ids(uint64_t key_count, size_t count, uint64_t seed);

#endif
