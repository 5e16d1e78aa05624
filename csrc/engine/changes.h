/*
 * Changes: every write after a version that is still on disk, oldest first.
 *
 * Segments are not in the order of versions, once merges have written some; so the next few
 * thousand versions are collected from all segments, by their hint files where they have
 * them, sorted, and read; then the next. Before each portion it is checked that no merge has
 * dropped anything after the version reached: then history has a hole, and that is said.
 *
 * Threads: one thread at a time.
 */
#ifndef BITCASK_ENGINE_CHANGES_H
#define BITCASK_ENGINE_CHANGES_H

#include "engine/engine.h"

struct bitcask_changes;

/* Holds a reference on the engine until it is closed. */
enum bitcask_status changes_open(struct engine *engine, uint64_t since,
                                 struct bitcask_changes **out);

#endif
