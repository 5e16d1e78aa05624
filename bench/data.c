#include "data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define KEY_SEED UINT64_C(0x6269746361736b31)

void data_init(struct data *data, uint64_t key_count, size_t key_size, size_t value_size) {
  *data = (struct data){.key_count = key_count, .key_size = key_size, .value_size = value_size};
  data->filler = driver_allocate(value_size + 8);
  struct rng rng = {42};
  for (size_t i = 0; i < value_size; i += 8) {
    uint64_t word = rng_next(&rng);
    memcpy(data->filler + i, &word, 8);
  }
}

/* Each word is stored by itself: one store of two that were just written waits until everything
 * before it is written, the value of the last call included, and so would the next call. */
driver_bytes key_make(const struct data *data, uint64_t id, char *into) {
  uint64_t first = mix64(id + KEY_SEED), second = mix64(first ^ id);
  memcpy(into, &first, 8);
  memcpy(into + 8, &second, 8);
  for (size_t i = 16; i < data->key_size; i += 8) memcpy(into + i, i & 8 ? &second : &first, 8);
  return (driver_bytes){into, data->key_size};
}

/* The way back through mix64: shifts are undone, and odd factors have inverses. */
static uint64_t unmix64(uint64_t x) {
  x = (x ^ (x >> 31) ^ (x >> 62)) * UINT64_C(0x319642b2d24d8ec3);
  x = (x ^ (x >> 27) ^ (x >> 54)) * UINT64_C(0x96de1b173f119089);
  return x ^ (x >> 30) ^ (x >> 60);
}

uint64_t key_id(const struct data *data, driver_bytes key) {
  char bytes[KEY_BUFFER_SIZE];
  uint64_t word;
  if (key.size != data->key_size) driver_die("a key of %zu bytes", key.size);
  memcpy(&word, key.data, 8);
  uint64_t id = unmix64(word) - KEY_SEED;
  if (memcmp(key_make(data, id, bytes).data, key.data, key.size) != 0)
    driver_die("a key that was never put");
  return id;
}

void value_maker_init(struct value_maker *maker, const struct data *data) {
  maker->data = data;
  maker->bytes = driver_allocate(data->value_size);
  memcpy(maker->bytes, data->filler, data->value_size);
}

void value_maker_release(struct value_maker *maker) {
  free(maker->bytes);
  maker->bytes = NULL;
}

static uint64_t stamp_of(uint64_t id) { return mix64(id ^ UINT64_C(0x76616c7565)); }

/* Binds a generation to a key: no value passes that is put together from two. */
static uint64_t seal_of(uint64_t stamp, uint64_t generation) {
  return stamp ^ (generation * UINT64_C(0x9E3779B97F4A7C15));
}

driver_bytes value_make(struct value_maker *maker, uint64_t id, uint64_t generation) {
  size_t size = maker->data->value_size;
  uint64_t stamp = stamp_of(id);
  uint64_t seal = seal_of(stamp, generation);
  memcpy(maker->bytes, &stamp, 8);
  memcpy(maker->bytes + 8, &generation, 8);
  memcpy(maker->bytes + size - 8, &seal, 8);
  return (driver_bytes){maker->bytes, size};
}

static bool filler_is_whole(const struct data *data, const char *value) {
  enum { WHOLE_MAX = 1024, LINE = 64 };
  size_t end = data->value_size - 8;
  if (end <= WHOLE_MAX) return memcmp(value + 16, data->filler + 16, end - 16) == 0;
  for (size_t at = 16; at + LINE <= end; at += WHOLE_MAX)
    if (memcmp(value + at, data->filler + at, LINE) != 0) return false;
  return memcmp(value + end - LINE, data->filler + end - LINE, LINE) == 0;
}

uint64_t value_check(const struct data *data, uint64_t id, driver_bytes value) {
  size_t size = data->value_size;
  if (value.size != size)
    driver_die("key %llu: a value of %zu bytes", (unsigned long long)id, value.size);
  uint64_t stamp, generation, seal;
  memcpy(&stamp, value.data, 8);
  memcpy(&generation, value.data + 8, 8);
  memcpy(&seal, value.data + size - 8, 8);
  if (stamp != stamp_of(id) || seal != seal_of(stamp, generation) ||
      !filler_is_whole(data, value.data))
    driver_die("key %llu: a wrong value", (unsigned long long)id);
  return generation;
}

/* ---- Zipf ------------------------------------------------------------------------ */

/* Gray et al., Quickly generating billion-record synthetic databases, 1994. */
struct zipf {
  double count, theta, zeta, alpha, eta;
};

static struct zipf zipf_of(uint64_t count) {
  struct zipf zipf = {.count = (double)count, .theta = 0.99};
  for (uint64_t i = 1; i <= count; i++) zipf.zeta += pow((double)i, -zipf.theta);
  zipf.alpha = 1 / (1 - zipf.theta);
  double zeta2 = 1 + pow(0.5, zipf.theta);
  zipf.eta = (1 - pow(2 / zipf.count, 1 - zipf.theta)) / (1 - zeta2 / zipf.zeta);
  return zipf;
}

static uint64_t zipf_rank(const struct zipf *zipf, double uniform) {
  double scaled = uniform * zipf->zeta;
  if (scaled < 1) return 0;
  if (scaled < 1 + pow(0.5, zipf->theta)) return 1;
  double rank = zipf->count * pow(zipf->eta * uniform - zipf->eta + 1, zipf->alpha);
  return (uint64_t)fmin(rank, zipf->count - 1);
}

uint32_t *zipf_ids(uint64_t key_count, size_t count, uint64_t seed) {
  struct zipf zipf = zipf_of(key_count);
  struct rng rng = {seed};
  uint32_t *ids = driver_allocate(count * sizeof *ids);
  for (size_t i = 0; i < count; i++) {
    double uniform = (double)(rng_next(&rng) >> 11) * 0x1p-53;
    ids[i] = (uint32_t)(mix64(zipf_rank(&zipf, uniform)) % key_count);
  }
  return ids;
}
