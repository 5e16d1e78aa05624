#include "disk/sim_fault.h"

#include <string.h>

#include "base/memory.h"

const char *sim_op_name(enum sim_op op) {
  static const char *const names[] = {
#define SIM_OP_TEXT(name, text) text,
      SIM_OP_LIST(SIM_OP_TEXT)
#undef SIM_OP_TEXT
  };
  return names[op];
}

void sim_faults_release(struct sim_faults *faults) {
  memory_free(faults->all);
  *faults = (struct sim_faults){0};
}

enum bitcask_status sim_faults_add(struct sim_faults *faults, const struct sim_fault *fault) {
  struct sim_fault *all = memory_resize(faults->all, faults->count + 1, sizeof *all);
  if (all == NULL) return BITCASK_NOMEMORY;
  faults->all = all;
  all[faults->count++] = *fault;
  return BITCASK_OK;
}

static bool concerns(const struct sim_fault *fault, enum sim_op op, const char *name) {
  return (fault->op == SIM_OP_ANY || fault->op == op) && strstr(name, fault->name) != NULL;
}

/* All of them count the operation, and the first that is due makes it fail. */
const struct sim_fault *sim_faults_meet(struct sim_faults *faults, enum sim_op op,
                                        const char *name) {
  const struct sim_fault *due = NULL;
  for (size_t i = 0; i < faults->count; i++) {
    struct sim_fault *fault = &faults->all[i];
    if (fault->times == 0 || !concerns(fault, op, name)) continue;
    if (fault->at > 1) {
      fault->at--;
    } else if (due == NULL) {
      due = fault;
      if (fault->times != UINT64_MAX) fault->times--;
    }
  }
  return due;
}
