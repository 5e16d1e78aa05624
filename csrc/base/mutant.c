#include "base/mutant.h"

#include <stdatomic.h>
#include <string.h>

static const struct {
  const char *name, *does;
} mutants[] = {
#define MUTANT_ENTRY(name, does) {#name, does},
    MUTANTS(MUTANT_ENTRY)
#undef MUTANT_ENTRY
};

static int chosen = -1;
static atomic_size_t met;

bool mutant_is_chosen(enum mutant mutant) {
  if ((int)mutant != chosen) return false;
  atomic_fetch_add(&met, 1);
  return true;
}

bool mutant_choose(const char *name) {
  chosen = -1;
  atomic_store(&met, 0);
  if (name == NULL) return true;
  for (int i = 0; i < MUTANT_COUNT; i++)
    if (strcmp(mutants[i].name, name) == 0) chosen = i;
  return chosen >= 0;
}

const char *mutant_name(enum mutant mutant) { return mutants[mutant].name; }
const char *mutant_does(enum mutant mutant) { return mutants[mutant].does; }
size_t mutant_met(void) { return atomic_load(&met); }
