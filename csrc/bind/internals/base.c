/* base/: what needs no object. */
#include "base/checksum.h"
#include "base/checksum_avx2.h"
#include "base/checksum_avx512.h"
#include "base/coding.h"
#include "base/latch.h"
#include "base/memory.h"
#include "base/radix.h"
#include "base/status.h"
#include "bind/internals/room.h"
#include "bind/lua_result.h"

/* ---- Memory ---------------------------------------------------------------------- */

static int memory_refuse_(lua_State *L) {
  memory_refuse(room_u64(L, 1), lua_toboolean(L, 2));
  return 0;
}

static int memory_balance_(lua_State *L) {
  lua_pushinteger(L, memory_balance());
  return 1;
}

/* What memory_zeroed and memory_resize make of count * size: can it be had? */
static int memory_asks(lua_State *L) {
  void *zeroed = memory_zeroed((size_t)room_u64(L, 1), (size_t)room_u64(L, 2));
  void *resized = memory_resize(NULL, (size_t)room_u64(L, 1), (size_t)room_u64(L, 2));
  lua_pushboolean(L, zeroed != NULL);
  lua_pushboolean(L, resized != NULL);
  memory_free(zeroed);
  memory_free(resized);
  return 2;
}

/* Let a table grow through these sizes, each byte of it written anew each time. Returns how
 * many of them were had before one was refused, and whether what was there had stayed. */
static int memory_grows(lua_State *L) {
  uint8_t *table = NULL;
  size_t size = 0;
  int had = 0, count = lua_gettop(L);
  bool has_stayed = true;
  for (; had < count; had++) {
    size_t next = (size_t)room_u64(L, had + 1);
    uint8_t *grown = memory_table_resize(table, size, next);
    if (grown != NULL) table = grown;
    for (size_t i = 0; i < size; i++) has_stayed &= table[i] == (uint8_t)(i * 7 + (size_t)had);
    if (grown == NULL) break;
    size = next;
    for (size_t i = 0; i < size; i++) table[i] = (uint8_t)(i * 7 + (size_t)had + 1);
  }
  memory_table_free(table, size);
  lua_pushinteger(L, had);
  lua_pushboolean(L, has_stayed);
  return 2;
}

static int memory_table_size_(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)memory_table_size((size_t)room_u64(L, 1)));
  return 1;
}

static const luaL_Reg memory_functions[] = {
    {"refuse", memory_refuse_}, {"balance", memory_balance_}, {"asks", memory_asks},
    {"grows", memory_grows},    {"table_size", memory_table_size_}, {NULL, NULL}};

/* ---- Latches --------------------------------------------------------------------- */

struct latch_race {
  struct latch latch;
  uint64_t count;
  unsigned rounds;
  unsigned pause; /* every so many rounds a thread takes its time; 0: never */
};

static void *run_race(void *context) {
  struct latch_race *race = context;
  for (unsigned i = 1; i <= race->rounds; i++) {
    latch_lock(&race->latch);
    uint64_t count = race->count;
    if (race->pause > 0 && i % race->pause == 0) thread_pause(); /* the others nap */
    race->count = count + 1;
    latch_unlock(&race->latch);
  }
  return NULL;
}

/* (threads, rounds, pause) -> how often they counted, and whether the latch is free at last */
static int latch_race_(lua_State *L) {
  enum { THREADS_MAX = 8 };
  pthread_t threads[THREADS_MAX];
  struct latch_race race = {.rounds = (unsigned)room_u64(L, 2), .pause = (unsigned)room_u64(L, 3)};
  unsigned count = (unsigned)room_u64(L, 1), started = 0;
  luaL_argcheck(L, count <= THREADS_MAX, 1, "too many threads");
  while (started < count && thread_start(&threads[started], "race", run_race, &race) == BITCASK_OK)
    started++;
  for (unsigned i = 0; i < started; i++) pthread_join(threads[i], NULL);
  lua_pushinteger(L, (lua_Integer)race.count);
  lua_pushboolean(L, started == count && !atomic_load(&race.latch.is_held));
  return 2;
}

static const luaL_Reg latch_functions[] = {{"race", latch_race_}, {NULL, NULL}};

/* ---- Status ---------------------------------------------------------------------- */

static int status_name(lua_State *L) {
  lua_pushstring(L, bitcask_status_name((enum bitcask_status)luaL_checkinteger(L, 1)));
  return 1;
}

static int status_text(lua_State *L) {
  status_fail(BITCASK_IO, "%s", luaL_checkstring(L, 1));
  lua_pushstring(L, bitcask_error_text());
  return 1;
}

/* A note keeps the first of two failures, and gives it back over a third. */
static int status_first(lua_State *L) {
  struct status_note note = {.status = BITCASK_OK};
  status_note_take(&note, status_fail(BITCASK_NOSPACE, "%s", luaL_checkstring(L, 1)));
  status_note_take(&note, status_fail(BITCASK_CORRUPT, "%s", luaL_checkstring(L, 2)));
  status_fail(BITCASK_IO, "%s", luaL_checkstring(L, 3));
  return lua_result_failure(L, status_note_give(&note));
}

static const luaL_Reg status_functions[] = {
    {"name", status_name}, {"text", status_text}, {"first", status_first}, {NULL, NULL}};

/* ---- Coding ---------------------------------------------------------------------- */

/* (bytes, sizes as in "1 2 4 8") -> the integers read, one after the other; failed? */
static int coding_read_(lua_State *L) {
  struct coding_reader reader = coding_read(lua_result_check_bytes(L, 1));
  int count = 0;
  luaL_checkstack(L, 64, "too many fields");
  for (const char *at = luaL_checkstring(L, 2); *at != '\0'; at++) {
    if (*at == '1') lua_pushinteger(L, coding_u8(&reader));
    if (*at == '2') lua_pushinteger(L, coding_u16(&reader));
    if (*at == '4') lua_pushinteger(L, coding_u32(&reader));
    if (*at == '8') lua_pushinteger(L, (lua_Integer)coding_u64(&reader));
    if (*at >= '1' && *at <= '8') count++;
  }
  lua_pushboolean(L, reader.failed);
  return count + 1;
}

/* (a u8, a u32, a u64) -> the bytes appended one behind the other */
static int coding_append(lua_State *L) {
  struct bitcask_buffer buffer = {0};
  enum bitcask_status status = coding_append_u8(&buffer, (uint8_t)room_u64(L, 1));
  if (status == BITCASK_OK) status = coding_append_u32(&buffer, (uint32_t)room_u64(L, 2));
  if (status == BITCASK_OK) status = coding_append_u64(&buffer, room_u64(L, 3));
  if (status == BITCASK_OK) lua_result_push_bytes(L, bytes_of(buffer.data, buffer.size));
  bitcask_buffer_release(&buffer);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

static const luaL_Reg coding_functions[] = {
    {"read", coding_read_}, {"append", coding_append}, {NULL, NULL}};

/* ---- Radix ----------------------------------------------------------------------- */

/* (numbers, size, mask) -> where each of the sorted ones stood before. Items have `size` bytes, 16
 * at least; between the number and where it stood they hold bytes that tell it, too. */
static int radix_sort_(lua_State *L) {
  size_t count = (size_t)luaL_len(L, 1), size = (size_t)luaL_checkinteger(L, 2);
  uint8_t *items = lua_newuserdatauv(L, count * size + 1, 0);
  uint8_t *spare = lua_newuserdatauv(L, count * size + 1, 0);
  for (size_t i = 0; i < count; i++) {
    lua_geti(L, 1, (lua_Integer)i + 1);
    uint64_t number = room_u64(L, -1), stood = i + 1;
    lua_pop(L, 1);
    memset(items + i * size, (int)(stood & 0xFF), size);
    memcpy(items + i * size, &number, sizeof number);
    memcpy(items + (i + 1) * size - sizeof stood, &stood, sizeof stood);
  }
  radix_sort(items, spare, count, size, room_u64(L, 3));
  lua_newtable(L);
  for (size_t i = 0; i < count; i++) {
    uint64_t stood;
    memcpy(&stood, items + (i + 1) * size - sizeof stood, sizeof stood);
    for (size_t k = 8; k < size - 8; k++)
      if (items[i * size + k] != (stood & 0xFF)) return luaL_error(L, "an item is torn");
    lua_pushinteger(L, (lua_Integer)stood);
    lua_seti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static const luaL_Reg radix_functions[] = {{"sort", radix_sort_}, {NULL, NULL}};

/* ---- Checksum -------------------------------------------------------------------- */

/* (bytes, seed, how many to leave out in front) -> what each way makes of the rest, by its name;
 * only of those that this processor has. */
static int checksum_ways(lua_State *L) {
  bitcask_bytes bytes = lua_result_check_bytes(L, 1);
  uint64_t seed = room_u64(L, 2);
  size_t skipped = (size_t)luaL_checkinteger(L, 3), size = bytes.size - skipped;
  const uint8_t *data = (const uint8_t *)bytes.data + skipped;
  lua_newtable(L);
  lua_pushinteger(L, (lua_Integer)XXH3_64bits_withSeed(data, size, seed));
  lua_setfield(L, -2, "plain");
  lua_pushinteger(L, (lua_Integer)checksum64(data, size, seed));
  lua_setfield(L, -2, "chosen");
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) {
    lua_pushinteger(L, (lua_Integer)checksum64_avx2(data, size, seed));
    lua_setfield(L, -2, "avx2");
  }
  if (__builtin_cpu_supports("avx512f")) {
    lua_pushinteger(L, (lua_Integer)checksum64_avx512(data, size, seed));
    lua_setfield(L, -2, "avx512");
  }
#endif
  return 1;
}

static void push_two_sums(lua_State *L, uint64_t both, const char *name) {
  lua_pushinteger(L, (lua_Integer)both);
  lua_setfield(L, -2, name);
}

/* (first, seed, second) -> what each way makes of the low halves of both, by its name; only of those
 * that this processor has. */
static int checksum_two(lua_State *L) {
  bitcask_bytes first = lua_result_check_bytes(L, 1), second = lua_result_check_bytes(L, 3);
  uint64_t seed = room_u64(L, 2);
  uint64_t one = XXH3_64bits_withSeed(first.data, first.size, seed);
  uint64_t other = XXH3_64bits(second.data, second.size);
  lua_newtable(L);
  push_two_sums(L, (uint32_t)one | other << 32, "plain");
  push_two_sums(L, checksum32_two(first.data, first.size, seed, second.data, second.size),
                "chosen");
#if defined(__x86_64__)
  if (checksum_short_is_here && checksum_is_short(first.size) && checksum_is_short(second.size))
    push_two_sums(L, checksum32_short_two(first.data, first.size, seed, second.data, second.size),
                  "short");
#endif
  return 1;
}

static const luaL_Reg checksum_functions[] = {
    {"ways", checksum_ways}, {"two", checksum_two}, {NULL, NULL}};

void room_open_base(lua_State *L) {
  room_set_functions(L, "memory", memory_functions);
  room_set_functions(L, "latch", latch_functions);
  room_set_functions(L, "status", status_functions);
  room_set_functions(L, "coding", coding_functions);
  room_set_functions(L, "radix", radix_functions);
  room_set_functions(L, "checksum", checksum_functions);
}
