/*
 * Settling: what becomes of a segment that is full, behind the writer's back.
 *
 *   full: no more writes, among the sealed ones in memory, open in the manifest
 *     -> space beyond its end given back -> flushed -> edit: sealed, with its facts -> settled
 *
 * A writer goes on in the next segment meanwhile; only when too many are full does it wait, for
 * the oldest. They are settled in the order in which they were filled. Whoever needs all sealed
 * segments to be durable, as a merge does, settles what is full himself.
 */
#ifndef BITCASK_ENGINE_SETTLE_H
#define BITCASK_ENGINE_SETTLE_H

#include "engine/engine.h"

/* Take note of a segment that is full from now on: there is room, and it is in the list of
 * sealed ones. */
void settle_add(struct engine *engine, struct segment *segment) REQUIRES(engine->set_lock);

/* Is any full? */
bool settle_is_due(struct engine *engine) EXCLUDES(engine->set_lock);

/* Is this one full, and not sealed in the manifest yet? */
bool settle_is_full(const struct engine *engine, const struct segment *segment)
    REQUIRES(engine->set_lock);

/* Can one more become full, without waiting for any? */
bool settle_has_room(struct engine *engine) EXCLUDES(engine->set_lock);

/* Why: to have all that is full sealed, for which the reserve of the manifest is there; to have
 * room for one more; or because what is full now is to be sealed some time. */
enum settle_need { SETTLE_ALL, SETTLE_FOR_ROOM, SETTLE_LATER };

enum bitcask_status settle_full(struct engine *engine, enum settle_need need)
    EXCLUDES(engine->settle_lock);

/* Have them settled in the background, where there is one; else that is left to the next who
 * needs it. */
void settle_later(struct engine *engine);

/* Of one that is sealed, durably: all that has to be done then. */
void settle_finish(struct engine *engine, struct segment *segment);

#endif
