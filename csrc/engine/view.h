/*
 * A view: the snapshot that a program holds, and what it can be asked.
 *
 * Threads: a view may be used by several; closing it must not race with its other calls.
 */
#ifndef BITCASK_ENGINE_VIEW_H
#define BITCASK_ENGINE_VIEW_H

#include "engine/engine.h"

struct bitcask_snapshot;

/* Holds a reference on the engine until it is closed. */
enum bitcask_status view_open(struct engine *engine, struct bitcask_snapshot **out);

#endif
