/*
 * Strays: files in a store's directory that its manifest does not name. A crash leaves some: what a
 * merge had copied, a segment made ahead, a manifest that was replaced, temporary files. They are
 * removed. One with a newer write than the manifest tells of is no stray: it is the manifest that
 * has forgotten something. What bears another store's identity was put there by somebody, and stays.
 *
 * Threads: during open only.
 */
#ifndef BITCASK_ENGINE_STRAYS_H
#define BITCASK_ENGINE_STRAYS_H

#include "engine/engine.h"

/* A segment without which the store is not whole, and why: CORRUPT, or that it cannot be read. What
 * it returns, if it is not OK, ends the check. */
typedef enum bitcask_status (*strays_problem)(void *context, uint64_t id,
                                              enum bitcask_status status);

/* Is there a write newer than `newest`, the version of the newest that the manifest and its segments
 * tell of, in a segment that it does not name? Each such segment is a problem. */
enum bitcask_status strays_check(struct engine *engine, uint64_t newest, strays_problem problem,
                                 void *context);

/* Remove them, and count them in *removed; by this session's own manifest, which is made if there
 * are any. `was_stopped`: the last session was, by a failed flush, and left word of it, which goes
 * too. What cannot be removed does no harm. */
enum bitcask_status strays_sweep(struct engine *engine, bool was_stopped, uint64_t *removed);

#endif
