/*
 * The time of day as bitcask.core sees it, moved at will:
 *
 *   local clock = require "spec.clock"      -- behind require "bitcask"
 *   clock.move(seconds)                     -- forward, or back, from where it is
 *   clock.reset()                           -- as the system has it
 *   clock.stop()                            -- it stands still until it is reset
 *   clock.now()                             -- seconds since 1970
 *
 * The calls of the library itself are led here, by changing where its table of imported
 * functions points to; nobody else's clock is touched, nor clocks that measure durations.
 */
#include <elf.h>
#include <lauxlib.h>
#include <link.h>
#include <lua.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static atomic_llong offset_ns;
static atomic_llong stopped_ns; /* 0: it runs */

static long long system_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static long long now_ns(void) {
  long long stopped = atomic_load(&stopped_ns);
  return (stopped != 0 ? stopped : system_ns()) + atomic_load(&offset_ns);
}

static void tell(struct timespec *out) {
  long long now = now_ns();
  out->tv_sec = now / 1000000000;
  out->tv_nsec = now % 1000000000;
}

static int moved_clock_gettime(clockid_t clock, struct timespec *out) {
  if (clock != CLOCK_REALTIME) return clock_gettime(clock, out);
  tell(out);
  return 0;
}

static int moved_timespec_get(struct timespec *out, int base) {
  tell(out);
  return base;
}

/* ---- The table of imported functions ---- */

static uintptr_t replacement(const char *name) {
  if (strcmp(name, "clock_gettime") == 0) return (uintptr_t)moved_clock_gettime;
  if (strcmp(name, "timespec_get") == 0) return (uintptr_t)moved_timespec_get;
  return 0;
}

static void patch(uintptr_t *slot, uintptr_t with) {
  uintptr_t page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
  uintptr_t page = (uintptr_t)slot & ~(page_size - 1);
  mprotect((void *)page, page_size, PROT_READ | PROT_WRITE);
  *slot = with;
}

static int patch_all(const struct dl_phdr_info *object, const ElfW(Rela) * relocations,
                     size_t size, const ElfW(Sym) * symbols, const char *names) {
  int patched = 0;
  for (size_t i = 0; relocations != NULL && i < size / sizeof *relocations; i++) {
    size_t symbol = sizeof(void *) == 8 ? ELF64_R_SYM(relocations[i].r_info)
                                        : ELF32_R_SYM(relocations[i].r_info);
    uintptr_t with = symbol == 0 ? 0 : replacement(names + symbols[symbol].st_name);
    if (with == 0) continue;
    patch((uintptr_t *)(object->dlpi_addr + relocations[i].r_offset), with);
    patched++;
  }
  return patched;
}

static const ElfW(Dyn) *dynamic_of(const struct dl_phdr_info *object) {
  for (int i = 0; i < object->dlpi_phnum; i++)
    if (object->dlpi_phdr[i].p_type == PT_DYNAMIC)
      return (const ElfW(Dyn) *)(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
  return NULL;
}

static int visit(struct dl_phdr_info *object, size_t size, void *patched) {
  (void)size;
  const ElfW(Rela) *imported = NULL, *others = NULL;
  const ElfW(Sym) *symbols = NULL;
  const char *names = NULL;
  size_t imported_size = 0, others_size = 0;
  if (strstr(object->dlpi_name, "bitcask/core.so") == NULL) return 0;
  for (const ElfW(Dyn) *entry = dynamic_of(object); entry->d_tag != DT_NULL; entry++) {
    if (entry->d_tag == DT_JMPREL) imported = (const ElfW(Rela) *)entry->d_un.d_ptr;
    if (entry->d_tag == DT_PLTRELSZ) imported_size = entry->d_un.d_val;
    if (entry->d_tag == DT_RELA) others = (const ElfW(Rela) *)entry->d_un.d_ptr;
    if (entry->d_tag == DT_RELASZ) others_size = entry->d_un.d_val;
    if (entry->d_tag == DT_SYMTAB) symbols = (const ElfW(Sym) *)entry->d_un.d_ptr;
    if (entry->d_tag == DT_STRTAB) names = (const char *)entry->d_un.d_ptr;
  }
  *(int *)patched += patch_all(object, imported, imported_size, symbols, names) +
                     patch_all(object, others, others_size, symbols, names);
  return 0;
}

/* ---- For Lua ---- */

static int clock_move(lua_State *L) {
  atomic_fetch_add(&offset_ns, (long long)(luaL_checknumber(L, 1) * 1e9));
  return 0;
}

static int clock_reset(lua_State *L) {
  (void)L;
  atomic_store(&offset_ns, 0);
  atomic_store(&stopped_ns, 0);
  return 0;
}

static int clock_stop(lua_State *L) {
  (void)L;
  if (atomic_load(&stopped_ns) == 0) atomic_store(&stopped_ns, system_ns());
  return 0;
}

static int clock_now(lua_State *L) {
  lua_pushnumber(L, (lua_Number)now_ns() / 1e9);
  return 1;
}

int luaopen_spec_clock(lua_State *L);
int luaopen_spec_clock(lua_State *L) {
  static const luaL_Reg functions[] = {{"move", clock_move},
                                       {"reset", clock_reset},
                                       {"stop", clock_stop},
                                       {"now", clock_now},
                                       {NULL, NULL}};
  int patched = 0;
  dl_iterate_phdr(visit, &patched);
  if (patched == 0) return luaL_error(L, "bitcask.core is not loaded, or does not ask the time");
  luaL_newlib(L, functions);
  return 1;
}
