#include "disk/sim_machine.h"

#include <stdio.h>

/* ---- Life ---- */

struct sim *sim_ref(struct sim *sim) {
  atomic_fetch_add(&sim->references, 1);
  return sim;
}

void sim_unref(struct sim *sim) {
  if (sim == NULL || atomic_fetch_sub(&sim->references, 1) != 1) return;
  sim_history_unref(sim->recorded);
  sim_history_unref(sim->played);
  sim_faults_release(&sim->faults);
  sim_trace_release(&sim->trace);
  sim_image_release(&sim->image);
  mutex_destroy(&sim->lock);
  memory_free(sim->locked);
  memory_free(sim);
}

void sim_lock(struct sim *sim) {
  mutex_lock(&sim->lock);
  memory_exempt(true);
}

void sim_unlock(struct sim *sim) {
  memory_exempt(false);
  mutex_unlock(&sim->lock);
}

enum bitcask_status sim_change(struct sim *sim, const struct sim_change *change) {
  TRY(sim_image_apply(&sim->image, change));
  return sim->recorded != NULL ? sim_history_add(sim->recorded, change, sim->ops) : BITCASK_OK;
}

bool sim_has_space(const struct sim *sim, uint64_t more) {
  return sim->options.space == 0 || sim_image_used(&sim->image) + more <= sim->options.space;
}

/* ---- Operations ---- */

/* The lock goes from sim_begin to sim_end, which clang cannot follow. */

struct sim_operation sim_begin(struct sim *sim, enum sim_op op, const char *name) UNCHECKED {
  sim_lock(sim);
  sim->ops++;
  struct sim_operation operation = {.sim = sim, .entry = {.op = op}};
  snprintf(operation.entry.name, sizeof operation.entry.name, "%s", name);
  operation.fault = sim_faults_meet(&sim->faults, op, name);
  return operation;
}

enum bitcask_status sim_end(struct sim_operation *operation, enum bitcask_status status) UNCHECKED {
  operation->entry.status = status;
  sim_trace_add(&operation->sim->trace, &operation->entry);
  sim_unlock(operation->sim);
  return status;
}

bool sim_prevents(const struct sim_operation *operation) {
  return operation->fault != NULL && !operation->fault->is_done;
}

enum bitcask_status sim_failure(const struct sim_operation *operation) {
  return status_fail(operation->fault->status, "%s: cannot %s: a simulated failure (%s)",
                     operation->entry.name, sim_op_name(operation->entry.op),
                     bitcask_status_name(operation->fault->status));
}

enum bitcask_status sim_finish(struct sim_operation *operation, enum bitcask_status status)
    UNCHECKED {
  if (status == BITCASK_OK && operation->fault != NULL) status = sim_failure(operation);
  return sim_end(operation, status);
}

enum bitcask_status sim_refuse(struct sim_operation *operation, enum bitcask_status status,
                               const char *why) {
  return sim_end(operation, status_fail(status, "%s: cannot %s: %s", operation->entry.name,
                                        sim_op_name(operation->entry.op), why));
}

