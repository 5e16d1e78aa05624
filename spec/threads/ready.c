/*
 * One thread appends to a file while another makes it ready, as far ahead as may be, and a third
 * flushes it: not a byte that was appended is changed, and behind the last there are zeros.
 *
 *   ready DIRECTORY SEED
 *
 * Appends of all sizes, so that some go through the mapping and some past it; now and then what
 * was allocated ahead is given back, as when a segment could not be sealed. Prints the bytes that
 * were appended. Exit status 1, with the seed on standard error: something was changed.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "disk/disk.h"

enum { CAPACITY = 16 << 20, APPEND_SIZE_MAX = 40 << 10 };

static struct disk_file *file;
static atomic_bool is_done;

__attribute__((noreturn)) static void die(const char *what, uint64_t where) {
  fprintf(stderr, "ready: %s: %" PRIu64 "\n", what, where);
  exit(1);
}

static void check(enum bitcask_status status) {
  if (status != BITCASK_OK) die(bitcask_error_text(), (uint64_t)status);
}

static uint64_t draw(uint64_t *state) { /* splitmix64 */
  uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
  z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
  return z ^ (z >> 31);
}

/* Never zero, and another at each place for a long while. */
static uint8_t byte_at(uint64_t offset) { return (uint8_t)(offset % 251 + 1); }

static void *make_ready(void *context) {
  uint64_t state = *(uint64_t *)context;
  while (!atomic_load(&is_done))
    file->ops->make_ready(file, disk_file_size(file) + draw(&state) % (256 << 10));
  return NULL;
}

static void *flush(void *context) {
  (void)context;
  while (!atomic_load(&is_done)) check(file->ops->sync(file));
  return NULL;
}

static size_t draw_size(uint64_t *state) {
  uint64_t z = draw(state);
  return (size_t)(z % 64 == 0 ? draw(state) % APPEND_SIZE_MAX : z % 300);
}

static void append_until_full(uint64_t *state) {
  uint8_t bytes[APPEND_SIZE_MAX];
  for (;;) {
    uint64_t start = disk_file_size(file);
    size_t size = draw_size(state);
    if (start + size > CAPACITY) return;
    for (size_t i = 0; i < size; i++) bytes[i] = byte_at(start + i);
    bitcask_bytes parts[2] = {bytes_of(bytes, size / 3), bytes_of(bytes + size / 3, size - size / 3)};
    check(file->ops->append(file, parts, 2, 0));
    if (size > 0 && file->map[start] != byte_at(start)) die("another byte, at once, at", start);
    if (draw(state) % 4096 == 0) check(file->ops->finish(file));
  }
}

static void compare(void) {
  uint64_t size = disk_file_size(file);
  for (uint64_t i = 0; i < size; i++)
    if (file->map[i] != byte_at(i)) die("another byte at", i);
}

int main(int count, char **words) {
  if (count != 3) return 2;
  uint64_t seed = strtoull(words[2], NULL, 10), state = seed, other = seed + 1;
  struct disk_directory *directory;
  pthread_t helper, flusher;
  fprintf(stderr, "ready: SEED=%" PRIu64 "\n", seed);
  check(disk_posix()->ops->open_directory(disk_posix(), words[1], true, &directory));
  check(directory->ops->create(directory, "file", CAPACITY, &file));
  pthread_create(&helper, NULL, make_ready, &other);
  pthread_create(&flusher, NULL, flush, NULL);
  append_until_full(&state);
  atomic_store(&is_done, true);
  pthread_join(helper, NULL);
  pthread_join(flusher, NULL);
  compare();
  check(file->ops->finish(file));
  file->ops->freeze(file);
  file->ops->make_ready(file, CAPACITY); /* comes too late, and does nothing */
  compare();
  printf("%" PRIu64 "\n", disk_file_size(file));
  disk_file_close(file);
  directory->ops->remove(directory, "file");
  directory->ops->close(directory);
  return 0;
}
