/* store/guard: readers, and somebody who takes away what they read. */
#include "bind/internals/room.h"
#include "store/guard.h"

enum { THREADS_MAX = 8 };

/* What is read: alive as long as somebody may be led to it. */
struct exhibit {
  alignas(64) atomic_bool is_alive;
};

enum { CROWD = 16 };

struct guard_race {
  struct guard guard;
  struct exhibit exhibits[2];
  struct exhibit crowd[CROWD]; /* that all stores go to, so that those behind them come late */
  alignas(64) atomic_uint shown; /* which of them newcomers are led to */
  atomic_bool is_over;
  atomic_uint_least64_t visits;
  atomic_uint_least64_t dead; /* read, though they were taken away */
};

/* Somebody who takes it away too early gets the time to do so. */
static bool stays_alive(struct guard_race *race) {
  unsigned shown = atomic_load_explicit(&race->shown, memory_order_acquire);
  bool is_alive = true;
  for (unsigned look = 0; look < 8; look++) {
    is_alive &= atomic_load_explicit(&race->exhibits[shown].is_alive, memory_order_relaxed);
    thread_breathe();
  }
  return is_alive;
}

static void push_through_crowd(struct guard_race *race) {
  for (unsigned i = 0; i < CROWD; i++)
    atomic_store_explicit(&race->crowd[i].is_alive, true, memory_order_relaxed);
}

static void *visit(void *context) {
  struct guard_race *race = context;
  uint64_t visits = 0, dead = 0;
  while (!atomic_load_explicit(&race->is_over, memory_order_relaxed)) {
    push_through_crowd(race);
    guard_token outer = guard_enter(&race->guard);
    dead += !stays_alive(race);
    guard_token inner = guard_enter(&race->guard);
    dead += !stays_alive(race);
    guard_leave(inner);
    guard_leave_counted(outer);
    visits++;
  }
  atomic_fetch_add(&race->visits, visits);
  atomic_fetch_add(&race->dead, dead);
  return NULL;
}

/* Now this one is shown, now that one; what nobody can see is dead. */
static void take_away(struct guard_race *race, unsigned rounds) {
  for (unsigned i = 0; i < rounds; i++) {
    unsigned next = (i + 1) % 2;
    atomic_store(&race->exhibits[next].is_alive, true);
    atomic_store_explicit(&race->shown, next, memory_order_release);
    guard_wait(&race->guard);
    atomic_store_explicit(&race->exhibits[i % 2].is_alive, false, memory_order_relaxed);
  }
}

static unsigned run_race(struct guard_race *race, unsigned count, unsigned rounds) {
  pthread_t threads[THREADS_MAX];
  unsigned started = 0;
  while (started < count && thread_start(&threads[started], "race", visit, race) == BITCASK_OK)
    started++;
  take_away(race, rounds);
  atomic_store(&race->is_over, true);
  for (unsigned i = 0; i < started; i++) pthread_join(threads[i], NULL);
  return started;
}

/* (threads, rounds, whether threads may own stripes) -> whether all ran, how often something dead
 * was read, how many visits too many were counted */
static int guard_race_(lua_State *L) {
  static struct guard_race race;
  unsigned count = (unsigned)room_u64(L, 1), rounds = (unsigned)room_u64(L, 2);
  luaL_argcheck(L, count <= THREADS_MAX, 1, "too many threads");
  memset(&race, 0, sizeof race);
  guard_init(&race.guard);
  if (!lua_toboolean(L, 3)) race.guard.has_owners = false;
  atomic_store(&race.exhibits[0].is_alive, true);
  lua_pushboolean(L, run_race(&race, count, rounds) == count);
  lua_pushinteger(L, (lua_Integer)atomic_load(&race.dead));
  lua_pushinteger(L, (lua_Integer)(guard_count(&race.guard) - atomic_load(&race.visits)));
  return 3;
}

static const luaL_Reg guard_functions[] = {{"race", guard_race_}, {NULL, NULL}};

void room_open_guard(lua_State *L) { room_set_functions(L, "guard", guard_functions); }
