#include "fuzz.h"

#include <sanitizer/allocator_interface.h>
#include <stdio.h>
#include <stdlib.h>

_Noreturn void fuzz_fail(const char *file, int line, const char *what) {
  fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
  abort();
}

static _Thread_local bool is_counting;
static _Thread_local size_t largest;

static void note_allocation(const volatile void *pointer, size_t size) {
  (void)pointer;
  if (is_counting && size > largest) largest = size;
}

static void note_release(const volatile void *pointer) { (void)pointer; }

void fuzz_memory_begin(void) {
  static bool is_installed;
  if (!is_installed) __sanitizer_install_malloc_and_free_hooks(note_allocation, note_release);
  is_installed = true;
  largest = 0;
  is_counting = true;
}

void fuzz_memory_end(size_t input_size, size_t base, size_t factor) {
  is_counting = false;
  if (largest <= base + factor * input_size) return;
  fprintf(stderr, "%zu bytes were asked for at once, for an input of %zu\n", largest, input_size);
  abort();
}
