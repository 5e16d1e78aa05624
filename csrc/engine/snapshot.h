/*
 * Snapshots: a version, and the promise that what was visible at it stays readable. While
 * one is open, entries that it can see are kept in the keydir when they are superseded.
 * Taking one copies nothing and stops nobody.
 */
#ifndef BITCASK_ENGINE_SNAPSHOT_H
#define BITCASK_ENGINE_SNAPSHOT_H

#include "engine/lookup.h"

/* The version of everything published so far; what it sees stays until it is released. */
enum bitcask_status snapshot_take(struct engine *engine, uint64_t *version);
void snapshot_release(struct engine *engine, uint64_t version);

/* The same, with the number of live keys at that moment, and whether any waits to expire. */
enum bitcask_status snapshot_take_counting(struct engine *engine, uint64_t *version,
                                           uint64_t *count, bool *has_expiring);

/* One more claim on a version of which there is one already. */
enum bitcask_status snapshot_take_again(struct engine *engine, uint64_t version);

/* The record of the key that was the newest at `version`, unless it has expired by now. The
 * guard is held by the caller; *pinned gets a segment to be unreferenced once the record is
 * read, or NULL. */
enum bitcask_status snapshot_locate(struct engine *engine, uint64_t version, bitcask_bytes key,
                                    uint64_t hash, struct bitcask_buffer *scratch,
                                    struct located *out, struct segment **pinned);

#endif
