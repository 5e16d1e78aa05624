/*
 * core.trial, of the trial build alone: memory that runs out, and deliberate defects.
 *
 *   trial.refuse(n [, forever])  the n-th allocation from now on fails; 0: none
 *   trial.refuses_after()        allocations until then; 0: it came to that
 *   trial.balance()              allocations that were not freed
 *   trial.mutants()              a list of { name =, does = }
 *   trial.mutate([name])         switch that one on, or none
 *   trial.met()                  how often the one that is on was met
 */
#ifndef BITCASK_BIND_LUA_TRIAL_H
#define BITCASK_BIND_LUA_TRIAL_H

#include <lua.h>

/* Push the table. */
void lua_trial_push(lua_State *L);

#endif
