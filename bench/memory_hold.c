#include "memory_hold.h"

#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>

#include "driver.h"

enum { PAGE = 4096 };

static char *held;
static size_t held_bytes;

static uint64_t available_bytes(void) {
  unsigned long long kibibytes = 0;
  char line[256];
  FILE *file = fopen("/proc/meminfo", "r");
  if (file == NULL) return 0;
  while (fgets(line, sizeof line, file) != NULL)
    if (sscanf(line, "MemAvailable: %llu kB", &kibibytes) == 1) break;
  fclose(file);
  return kibibytes * 1024;
}

void memory_hold(uint64_t bytes) {
  uint64_t most = available_bytes() / 2;
  held_bytes = (size_t)(bytes < most ? bytes : most);
  if (held_bytes == 0) return;
  held = mmap(NULL, held_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (held == MAP_FAILED) driver_die("out of memory");
  for (size_t i = 0; i < held_bytes; i += PAGE) held[i] = 1;
}

void memory_hold_end(void) {
  if (held_bytes > 0) munmap(held, held_bytes);
  held_bytes = 0;
}
