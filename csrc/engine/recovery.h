/*
 * Recovery: from a directory, in any state that a crash can leave, to an engine.
 *
 * The manifest says which segments there are; nothing else does. Sealed ones are loaded
 * from their hint files, or read. The one that was active, unless the store was closed
 * cleanly, is read to its valid end and sealed there, in the manifest alone: no data file
 * is ever changed. Then what no manifest names is swept away.
 *
 * Bad bytes in the segment that was active mean one of three things:
 *   - nothing valid stands behind them: a torn tail, dropped;
 *   - valid records stand behind them, and the machine was not started anew since, or one of
 *     them tells that the place was durable before: damage, reported, all else kept;
 *   - else the system wrote later pages before earlier ones when the power was cut: what
 *     stands behind the hole was never promised, and is dropped, so that what remains is
 *     what had been written up to some moment.
 */
#ifndef BITCASK_ENGINE_RECOVERY_H
#define BITCASK_ENGINE_RECOVERY_H

#include "engine/engine.h"

/* Fill a new engine from its directory, which is locked if the engine may write. Opening
 * again without a write in between gives the same. Tells what it did in *out. */
enum bitcask_status recovery_run(struct engine *engine, struct bitcask_event *out);

/* Write the hint files that were missing or not to be believed, in the background. */
void recovery_write_hints(struct engine *engine);

#endif
