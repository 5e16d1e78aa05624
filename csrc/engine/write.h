/*
 * Writing: one put or delete, or a group of them that counts all or not at all, with the
 * conditions under which it is to happen.
 *
 * The order of a write: conditions -> room in the segment -> room in the keydir -> append
 * -> (flush) -> publish. What can fail harmlessly comes first; once bytes are appended
 * there are two ends only: the keydir learns of them, or the engine stops.
 *
 * The records of a group stand one behind the other in one segment, each but the last marked
 * as going on; recovery drops a group whose last record is not there.
 */
#ifndef BITCASK_ENGINE_WRITE_H
#define BITCASK_ENGINE_WRITE_H

#include "engine/engine.h"

/* A condition on the version that a key has when the write happens. */
struct write_condition {
  bool is_set;
  bool is_optional; /* of a group: where it does not hold this one is left out, and no more */
  uint64_t version; /* 0: there is no such key */
};

struct write_request {
  bitcask_bytes key;
  bitcask_bytes value;
  uint64_t ttl_ms; /* as in struct bitcask_write_options */
  uint64_t expires; /* not 0: milliseconds since 1970, whatever ttl_ms says */
  bool is_delete;
  struct write_condition condition;
};

/* A key whose version must be what it was when it was read. */
struct write_expectation {
  bitcask_bytes key;
  uint64_t version; /* 0: there was no such key */
};

/* One write. ABSENT: a delete of a key that is not there; nothing was written. CONFLICT: the
 * condition does not hold. */
enum bitcask_status engine_write(struct engine *engine, const struct write_request *request,
                                 uint64_t *version);

struct write_outcome {
  uint64_t version; /* of the last write, or the newest published where there was none */
  size_t count;     /* of the writes, without those that were left out */
};

/* All of them as one. Deletes of keys that are not there are left out. */
enum bitcask_status engine_write_group(struct engine *engine, const struct write_request *requests,
                                       size_t count, const struct write_expectation *expected,
                                       size_t expected_count, struct write_outcome *outcome);

#endif
