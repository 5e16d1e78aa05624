/*
 * Recovery: from a directory, in any state that a crash can leave, to an engine.
 *
 * The manifest says which segments there are; nothing else does. Sealed ones are loaded
 * from their hint files, or read. Those that were open, unless the store was closed
 * cleanly, are read to their valid ends (engine/tails) and sealed there, in the manifest alone:
 * no data file is ever changed. Then what no manifest names is swept away.
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
