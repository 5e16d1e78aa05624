/*
 * Snapshots: a version, and the promise that what was visible at it stays readable. While
 * one is open, entries that it can see are kept in the keydir when they are superseded.
 * Taking one copies nothing and stops nobody.
 */
#ifndef BITCASK_ENGINE_SNAPSHOT_H
#define BITCASK_ENGINE_SNAPSHOT_H

#include "engine/engine.h"

/* The version of everything published so far; what it sees stays until it is released.
 * `count` (may be NULL) gets the number of live keys at that version. */
enum bitcask_status snapshot_take(struct engine *engine, uint64_t *version, uint64_t *count);
void snapshot_release(struct engine *engine, uint64_t version);

#endif
