#include "base/memory.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#ifdef __linux__
#include <sys/auxv.h>
#endif

/* Off in the shipped library: a shared counter would cost every allocation a contended
 * cache line. The test build turns it on. */
#ifdef BITCASK_TEST_MEMORY
static atomic_uint_least64_t calls_left; /* 0: refuse none */
static atomic_bool refuse_forever;
static atomic_int_least64_t balance;

static _Thread_local int exempt_depth;

static bool is_refused(void) {
  if (exempt_depth > 0) return false;
  uint64_t left = atomic_load(&calls_left);
  while (left > 0) {
    uint64_t next = left == 1 ? (atomic_load(&refuse_forever) ? 1 : 0) : left - 1;
    if (atomic_compare_exchange_weak(&calls_left, &left, next)) return left == 1;
  }
  return false;
}

static void count(int by) { atomic_fetch_add(&balance, by); }

void memory_refuse(uint64_t n, bool forever) {
  atomic_store(&refuse_forever, forever);
  atomic_store(&calls_left, n);
}

uint64_t memory_refuses_after(void) { return atomic_load(&calls_left); }

void memory_exempt(bool on) { exempt_depth += on ? 1 : -1; }

int64_t memory_balance(void) { return atomic_load(&balance); }
#else
static bool is_refused(void) { return false; }
static void count(int by) { (void)by; }
void memory_refuse(uint64_t n, bool forever) {
  (void)n;
  (void)forever;
}
uint64_t memory_refuses_after(void) { return 0; }
void memory_exempt(bool on) { (void)on; }
int64_t memory_balance(void) { return 0; }
#endif

static void *checked(void *pointer, size_t size) {
  if (pointer == NULL)
    status_fail(BITCASK_NOMEMORY, "out of memory: %zu bytes were asked for", size);
  else
    count(1);
  return pointer;
}

void *memory_new(size_t size) {
  return checked(is_refused() ? NULL : malloc(size > 0 ? size : 1), size);
}

void *memory_zeroed(size_t items, size_t size) {
  return checked(is_refused() ? NULL : calloc(items > 0 ? items : 1, size), items * size);
}

void *memory_resize(void *old, size_t items, size_t size) {
  size_t bytes = 0;
  void *new = NULL;
  if (!__builtin_mul_overflow(items, size, &bytes) && !is_refused())
    new = realloc(old, bytes > 0 ? bytes : 1);
  if (new == NULL || old == NULL) return checked(new, bytes);
  return new;
}

void *memory_aligned(size_t alignment, size_t size) {
  void *pointer = NULL;
  if (is_refused() || posix_memalign(&pointer, alignment, size) != 0) pointer = NULL;
  return checked(pointer, size);
}

void *memory_sparse(size_t items, size_t size) {
  void *pages = MAP_FAILED;
  if (!is_refused())
    pages = mmap(NULL, items * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return checked(pages == MAP_FAILED ? NULL : pages, items * size);
}

void memory_sparse_free(void *pointer, size_t items, size_t size) {
  if (pointer == NULL) return;
  count(-1);
  munmap(pointer, items * size);
}

/* ---- Tables that grow ---- */

/* ThreadSanitizer knows nothing of mremap. */
#if defined(__SANITIZE_THREAD__)
#define HAS_MREMAP 0
#elif defined(__has_feature)
#define HAS_MREMAP (!__has_feature(thread_sanitizer))
#else
#define HAS_MREMAP 1
#endif

static size_t page_size(void) {
#ifdef __linux__
  return (size_t)getauxval(AT_PAGESZ);
#else
  return 64 << 10; /* too much takes some memory more, and does no harm */
#endif
}

/* What malloc had for smaller ones it may keep, so it gets no more of them than it has to: what
 * fills most of a page has one. */
static bool is_paged(size_t size) { return size >= page_size() / 4 * 3; }

size_t memory_table_size(size_t size) {
  return is_paged(size) ? (size + page_size() - 1) / page_size() * page_size() : size;
}

/* The bytes of addresses that a table of pages has: up to the next power of two, of which those
 * that were never touched take no memory. An odd number of pages, since what translates addresses
 * sorts pages by their lowest bits: those of tables side by side are to fall everywhere. */
static size_t reach_of(size_t size) {
  size_t reach = 4 * page_size();
  while (reach < size) reach *= 2;
  return reach + page_size();
}

static void *new_pages(size_t reach) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void *pages = mmap(NULL, reach, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (pages == MAP_FAILED) return NULL;
#ifdef MADV_NOHUGEPAGE
  madvise(pages, reach, MADV_NOHUGEPAGE); /* one would reach beyond the end of the table */
#endif
  return pages;
}

/* More addresses, with the same pages. */
static void *move_pages(void *old, size_t old_size, size_t reach) {
#if defined(MREMAP_MAYMOVE) && HAS_MREMAP
  void *pages = mremap(old, reach_of(old_size), reach, MREMAP_MAYMOVE);
  return pages == MAP_FAILED ? NULL : pages;
#else
  void *pages = new_pages(reach);
  if (pages == NULL) return NULL;
  memcpy(pages, old, old_size);
  munmap(old, reach_of(old_size));
  return pages;
#endif
}

/* All of a new table is written to at once: to take its page faults by one call costs less. Where
 * that is not supported they come one by one. */
static void touch_pages(void *pages, size_t size) {
#ifdef MADV_POPULATE_WRITE
  int before = errno;
  madvise(pages, size, MADV_POPULATE_WRITE);
  errno = before;
#else
  (void)pages, (void)size;
#endif
}

static void *first_pages(size_t size) {
  void *pages = new_pages(reach_of(size));
  if (pages != NULL) touch_pages(pages, size);
  return pages;
}

/* A table of malloc's becomes one of pages. */
static void *to_pages(void *old, size_t old_size, size_t reach) {
  void *pages = new_pages(reach);
  if (pages == NULL) return NULL;
  memcpy(pages, old, old_size);
  free(old);
  return pages;
}

static void *grow_table(void *old, size_t old_size, size_t size) {
  if (!is_paged(size)) return realloc(old, size > 0 ? size : 1);
  if (old == NULL) return first_pages(size);
  size_t reach = reach_of(size);
  if (!is_paged(old_size)) return to_pages(old, old_size, reach);
  return reach == reach_of(old_size) ? old : move_pages(old, old_size, reach);
}

void *memory_table_resize(void *old, size_t old_size, size_t size) {
  void *new = is_refused() || size > SIZE_MAX / 4 ? NULL : grow_table(old, old_size, size);
  return new == NULL || old == NULL ? checked(new, size) : new;
}

void memory_table_free(void *table, size_t size) {
  if (table == NULL) return;
  if (!is_paged(size)) {
    memory_free(table);
    return;
  }
  count(-1);
  munmap(table, reach_of(size));
}

void memory_free(void *pointer) {
  if (pointer == NULL) return;
  count(-1);
  free(pointer);
}

char *memory_string(const char *text) {
  size_t size = strlen(text) + 1;
  char *copy = memory_new(size);
  if (copy != NULL) memcpy(copy, text, size);
  return copy;
}
