/*
 * The names of the files in a store's directory, to and from (kind, number).
 *
 *   CURRENT          which manifest counts
 *   MANIFEST-000007  the history of the set of segments
 *   000012.seg       a segment;  000012.hint its hint file
 *   KEYDIR           the keydir checkpoint
 *   LOCK             locked by the writing process
 *   STOPPED          left by a session that a failed flush has ended
 *   RESERVE, RESERVE.edit   space kept for the day when the disk is full
 *   *.tmp            being written; never counts
 *
 * Numbers have at least six digits, no others in front than zeros up to six, and are at most
 * FILENAME_NUMBER_MAX, which no store reaches: so the next one can always be given out.
 */
#ifndef BITCASK_FORMAT_FILENAME_H
#define BITCASK_FORMAT_FILENAME_H

#include "base/status.h"

#define FILENAME_NUMBER_MAX (UINT64_MAX >> 1)

#define FILENAME_CURRENT "CURRENT"
#define FILENAME_CURRENT_TEMPORARY "CURRENT.tmp"
#define FILENAME_CHECKPOINT "KEYDIR"
#define FILENAME_CHECKPOINT_TEMPORARY "KEYDIR.tmp"
#define FILENAME_LOCK "LOCK"
#define FILENAME_STOPPED "STOPPED"
#define FILENAME_RESERVE "RESERVE"
#define FILENAME_RESERVE_EDIT "RESERVE.edit"

enum filename_kind {
  FILENAME_KIND_OTHER, /* not ours */
  FILENAME_KIND_CURRENT,
  FILENAME_KIND_LOCK,
  FILENAME_KIND_STOPPED,
  FILENAME_KIND_RESERVE,
  FILENAME_KIND_MANIFEST,
  FILENAME_KIND_SEGMENT,
  FILENAME_KIND_HINT,
  FILENAME_KIND_CHECKPOINT,
  FILENAME_KIND_TEMPORARY
};

/* Room for any name this module makes, its terminating zero included. */
#define FILENAME_SIZE_MAX 40

typedef struct filename {
  char text[FILENAME_SIZE_MAX];
} filename;

filename filename_of_manifest(uint64_t number);
filename filename_of_segment(uint64_t id);
filename filename_of_hint(uint64_t id);
filename filename_of_hint_temporary(uint64_t id);

/* What a name stands for; *number is set for the numbered kinds, else 0. Only names that
 * this module would have made count as ours. */
enum filename_kind filename_parse(const char *name, uint64_t *number);

#endif
