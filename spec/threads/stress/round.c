/* The round that is played: what all of it shares. */
#include "stress.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

uint64_t round_seed;

__attribute__((format(printf, 1, 2), noreturn)) void die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "stress: ");
  vfprintf(stderr, format, arguments);
  fprintf(stderr, "\nstress: SEED=%" PRIu64 "\n", round_seed);
  va_end(arguments);
  exit(1);
}

void check(enum bitcask_status status, const char *what) {
  if (status != BITCASK_OK)
    die("%s: %s: %s", what, bitcask_status_name(status), bitcask_error_text());
}

void *allocate(size_t count, size_t size) {
  void *memory = calloc(count, size);
  if (memory == NULL) die("out of memory");
  return memory;
}

uint64_t draw(struct chance *chance) { /* splitmix64 */
  uint64_t z = (chance->state += UINT64_C(0x9E3779B97F4A7C15));
  z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
  return z ^ (z >> 31);
}

unsigned below(struct chance *chance, unsigned limit) {
  return (unsigned)(draw(chance) % limit);
}

bool one_in(struct chance *chance, unsigned n) { return below(chance, n) == 0; }

struct round run;

void raise_to(atomic_uint_least64_t *to, uint64_t value) {
  uint64_t before = atomic_load(to);
  while (before < value && !atomic_compare_exchange_weak(to, &before, value)) {
  }
}

unsigned choose_key(struct worker *worker) {
  return below(&worker->chance, one_in(&worker->chance, 2) ? 8 : run.keys);
}

/* Like the others, each turn may begin with a handle of its own, opened anew. */
static void perhaps_reopen(struct worker *worker) {
  if (run.options.hash_function != NULL || !one_in(&worker->chance, 400)) return;
  check(bitcask_close(worker->db), "close");
  worker->db = NULL;
  check(bitcask_open(run.directory, &run.options, &worker->db), "open");
}

bool goes_on(struct worker *worker) {
  worker->operations++;
  if (atomic_load(&run.is_over) || worker->write_count + BATCH_MAX > WRITES_MAX) return false;
  perhaps_reopen(worker);
  return true;
}
