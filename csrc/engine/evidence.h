/*
 * Evidence: what the names in a directory tell of a store, before its manifest is read, and which
 * manifest that is. Of what the store holds names decide nothing; they tell whether files of one
 * are there without a manifest, which ids were given out, which hint files there are to be looked
 * into, whether the reserves are there, and whether the last session was stopped.
 *
 *   CURRENT leads to a manifest         the store is what that says
 *   none, and no file of a store        a new one is made, where that is asked for
 *   none, but files of a store          refused; with salvage, every segment file counts
 *
 * Threads: during open only.
 */
#ifndef BITCASK_ENGINE_EVIDENCE_H
#define BITCASK_ENGINE_EVIDENCE_H

#include "engine/engine.h"

struct evidence {
  uint64_t max_number; /* of any segment or hint file */
  bool was_stopped;
  bool has_reserve[RESERVE_KINDS];
  bool has_segment;
  bool has_manifest;
  struct bitcask_buffer hints; /* uint64_t: of each hint file */
};

/* List the directory, and load the manifest or make the first one. *evidence is all zeros before;
 * its hints are the caller's to release, on failure too. NOTFOUND: there is no store, and none is
 * to be made. CORRUPT: something of one is missing or damaged. */
enum bitcask_status evidence_find_manifest(struct engine *engine, struct evidence *evidence);

#endif
