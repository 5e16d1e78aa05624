/*
 * The registry: which engines of this process write to which directories, found by the
 * identity of the directory, so that several opens share one.
 *
 * While an engine is being opened or closed, others who want it wait; the registry's lock is
 * never held across that. Engines that only read belong to one handle each, so that a handle
 * moves forward when it asks to and not when another does.
 *
 * Threads: safe.
 */
#ifndef BITCASK_ENGINE_REGISTRY_H
#define BITCASK_ENGINE_REGISTRY_H

#include "engine/opening.h"

/* Give the handle an engine: the one of this process that writes to its directory, if there
 * is one, else a new one. BUSY: that one is not to be shared, or has other options. */
enum bitcask_status registry_attach(struct bitcask *handle, struct disk *disk);

/* The handle lets go of its shared engine; the last one closes it. */
enum bitcask_status registry_leave(struct shared *shared);

#endif
