/*
 * Which operations of a simulated disk fail, and how.
 */
#ifndef BITCASK_DISK_SIM_FAULT_H
#define BITCASK_DISK_SIM_FAULT_H

#include "base/status.h"

/* The operations: X(NAME, "name"). */
#define SIM_OP_LIST(X)                \
  X(ANY, "any")                       \
  X(OPEN_DIRECTORY, "open_directory") \
  X(CREATE, "create")                 \
  X(OPEN, "open")                     \
  X(REOPEN, "reopen")                 \
  X(RESERVE, "reserve")               \
  X(REMOVE, "remove")                 \
  X(RENAME, "rename")                 \
  X(SYNC_DIRECTORY, "sync_directory") \
  X(LIST, "list")                     \
  X(LOCK, "lock")                     \
  X(APPEND, "append")                 \
  X(WRITE_AT, "write_at")             \
  X(CUT, "cut")                       \
  X(READ, "read")                     \
  X(SYNC, "sync")                     \
  X(FINISH, "finish")                 \
  X(RANDOM, "random")

enum sim_op {
#define SIM_OP_ENUM(name, text) SIM_OP_##name,
  SIM_OP_LIST(SIM_OP_ENUM)
#undef SIM_OP_ENUM
  SIM_OP_COUNT
};

const char *sim_op_name(enum sim_op op);

struct sim_fault {
  enum sim_op op;      /* ANY: whichever it is */
  char name[64];       /* only on files whose name has this in it; "": on all */
  uint64_t at;         /* from the n-th such operation on, counted from when it was set */
  uint64_t times;      /* so many of them */
  enum bitcask_status status; /* IO or NOSPACE; NOMEMORY */
  uint64_t written;    /* of an append or a write: bytes that were written all the same */
  uint64_t got;        /* of a read: bytes that come back, with OK; UINT64_MAX: it fails */
  bool is_done;        /* the operation was done, though it says that it failed */
};

struct sim_faults {
  struct sim_fault *all;
  size_t count;
};

/* {0} is none. */
void sim_faults_release(struct sim_faults *faults);
enum bitcask_status sim_faults_add(struct sim_faults *faults, const struct sim_fault *fault);

/* The operation is about to happen: how it fails, or NULL. Counts it. */
const struct sim_fault *sim_faults_meet(struct sim_faults *faults, enum sim_op op,
                                        const char *name);

#endif
