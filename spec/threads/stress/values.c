/* Keys and values that tell who wrote them, and when. */
#include "stress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bitcask_bytes key_of(unsigned number, char into[KEY_SIZE_MAX]) {
  int size = snprintf(into, KEY_SIZE_MAX, "%s-%u-", number % 2 == 0 ? "even" : "odd", number);
  int padding = number % 7 == 0 ? 200 : (int)(number % 5);
  memset(into + size, 'x', (size_t)padding);
  return (bitcask_bytes){into, (size_t)(size + padding)};
}

bool is_expiring(bitcask_bytes key) {
  return key.size >= 3 && memcmp(key.data, "ttl", 3) == 0;
}

unsigned number_of(bitcask_bytes key) {
  char again[KEY_SIZE_MAX];
  const char *dash = memchr(key.data, '-', key.size);
  if (dash == NULL) die("a key that nobody wrote");
  unsigned number = 0;
  const char *end = (const char *)key.data + key.size;
  for (const char *at = dash + 1; at < end && *at >= '0' && *at <= '9'; at++)
    number = number * 10 + (unsigned)(*at - '0');
  if (number >= run.keys) die("a key that nobody wrote");
  bitcask_bytes expected = key_of(number, again);
  if (expected.size != key.size || memcmp(expected.data, key.data, key.size) != 0)
    die("key %u is not as it was written", number);
  return number;
}

struct value_head {
  uint32_t key;
  uint32_t worker;
  uint64_t write; /* its number among the worker's */
};

static uint8_t filler(const struct value_head *head, size_t i) {
  return (uint8_t)(head->write * 31 + head->worker * 7 + head->key + i);
}

bitcask_bytes make_value(struct worker *worker, unsigned key, uint64_t write,
                         uint8_t into[VALUE_SIZE_MAX]) {
  struct value_head head = {key, worker->number, write};
  unsigned most = one_in(&worker->chance, 50) ? VALUE_SIZE_MAX - (unsigned)sizeof head : 120;
  size_t size = sizeof head + below(&worker->chance, most);
  memcpy(into, &head, sizeof head);
  for (size_t i = sizeof head; i < size; i++) into[i] = filler(&head, i);
  return (bitcask_bytes){into, size};
}

void check_value(const char *by, unsigned key, bitcask_bytes value, uint64_t version) {
  struct value_head head;
  if (value.size < sizeof head) die("%s: key %u: a value of %zu bytes", by, key, value.size);
  memcpy(&head, value.data, sizeof head);
  if (head.key != key || head.worker >= run.worker_count || head.write >= WRITES_MAX)
    die("%s: key %u: the value of key %u, worker %u, write %" PRIu64, by, key, head.key,
        head.worker, head.write);
  for (size_t i = sizeof head; i < value.size; i++)
    if (((const uint8_t *)value.data)[i] != filler(&head, i))
      die("%s: key %u: byte %zu of the value differs", by, key, i);
  uint64_t put = atomic_load(&run.workers[head.worker].put_versions[head.write]);
  if (put != 0 && put != version)
    die("%s: key %u: version %" PRIu64 " with the value put as %" PRIu64, by, key, version, put);
}
