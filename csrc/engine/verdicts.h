/*
 * Verdicts: what a filter said of live records, until the merge carries it out.
 *
 * To drop or to rewrite a key is a write like any other, under the condition that the key
 * still has the version that the filter saw: it gets a version of its own the moment it can
 * be seen. So a write that came between counts, snapshots keep what they saw, transactions
 * conflict, and changes tell of it. The verdicts wait in memory until every record was
 * looked at: before that, a filter that fails has changed nothing.
 *
 * Threads: none of its own; belongs to the merge.
 */
#ifndef BITCASK_ENGINE_VERDICTS_H
#define BITCASK_ENGINE_VERDICTS_H

#include "engine/engine.h"

struct verdict {
  bitcask_bytes key; /* owned, the value with it */
  bitcask_bytes value;
  uint64_t version; /* that the filter saw */
  uint64_t expires;
  bool is_delete;
};

struct verdicts {
  struct verdict *items;
  size_t count;
  size_t capacity;
  size_t done;
  uint64_t keys_dropped; /* carried out */
  uint64_t keys_rewritten;
};

/* The key of the record is to go, or to get this value, which is copied. */
enum bitcask_status verdicts_add_drop(struct verdicts *verdicts, const struct record *record);
enum bitcask_status verdicts_add_rewrite(struct verdicts *verdicts, const struct record *record,
                                         bitcask_bytes value);

static inline bool verdicts_are_done(const struct verdicts *verdicts) {
  return verdicts->done == verdicts->count;
}

/* Carry out some more of them, about `budget` bytes of records. */
enum bitcask_status verdicts_carry_out(struct verdicts *verdicts, struct engine *engine,
                                       uint64_t budget);

/* Forget all that is not carried out. */
void verdicts_clear(struct verdicts *verdicts);

#endif
