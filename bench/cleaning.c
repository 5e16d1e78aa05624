#include "cleaning.h"

#include <math.h>
#include <stdlib.h>

enum { PART_OF_LIVE = 16, BATCH_SEGMENTS = 4, LEAST_SEGMENT = 1 << 20, LEAST_DEAD = 10 };

/* A segment that is worth merging, and what for. */
struct candidate {
  uint64_t id;
  uint64_t copied; /* bytes that a merge would write again */
  uint64_t freed;
  uint64_t age; /* in writes, since its newest */
  uint64_t max_version;
  double score;
};

struct survey {
  uint64_t bytes, live, newest;
  struct candidate *candidates;
  size_t count;
};

static uint64_t smaller(uint64_t a, uint64_t b) { return a < b ? a : b; }
static uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* ---- What there is ---- */

static void add(struct survey *survey, const struct bitcask_segment *segment) {
  survey->bytes += segment->bytes;
  survey->live += segment->live_bytes;
  survey->newest = larger(survey->newest, segment->max_version);
  if (segment->active || segment->damaged) return;
  if (segment->dead_bytes * LEAST_DEAD < segment->bytes || segment->dead_bytes == 0) return;
  survey->candidates[survey->count++] =
      (struct candidate){.id = segment->id,
                         .copied = segment->bytes - segment->dead_bytes,
                         .freed = segment->dead_bytes,
                         .max_version = segment->max_version};
}

static enum bitcask_status look(struct bitcask *db, struct survey *out) {
  struct bitcask_segment *segments;
  size_t count;
  *out = (struct survey){0};
  enum bitcask_status status = bitcask_segments(db, &segments, &count);
  if (status != BITCASK_OK) return status;
  out->candidates = malloc((count + 1) * sizeof *out->candidates);
  if (out->candidates == NULL) status = BITCASK_NOMEMORY;
  for (size_t i = 0; status == BITCASK_OK && i < count; i++) add(out, &segments[i]);
  bitcask_segments_free(segments);
  return status;
}

/* ---- What is merged ---- */

static int by_score(const void *left, const void *right) {
  double a = ((const struct candidate *)left)->score, b = ((const struct candidate *)right)->score;
  return (a < b) - (a > b);
}

static int by_age(const void *left, const void *right) {
  uint64_t a = ((const struct candidate *)left)->max_version;
  uint64_t b = ((const struct candidate *)right)->max_version;
  return (a > b) - (a < b);
}

/* The best, until `excess` bytes are freed: they come to stand first. Returns how many. */
static size_t choose(struct survey *survey, uint64_t excess) {
  for (size_t i = 0; i < survey->count; i++) {
    struct candidate *one = &survey->candidates[i];
    double used = (double)one->copied / (double)(one->copied + one->freed);
    if (used < 1e-6) used = 1e-6;
    one->score = (1 - used) / used * sqrt((double)(survey->newest - one->max_version + 1));
  }
  qsort(survey->candidates, survey->count, sizeof *survey->candidates, by_score);
  size_t chosen = 0;
  for (uint64_t freed = 0; chosen < survey->count && freed < excess;)
    freed += survey->candidates[chosen++].freed;
  qsort(survey->candidates, chosen, sizeof *survey->candidates, by_age);
  return chosen;
}

enum bitcask_status cleaning_merge(struct bitcask *db, const uint64_t *ids, size_t count) {
  struct bitcask_merge_options options = {.segments = ids, .segment_count = count};
  struct bitcask_merge *merge;
  enum bitcask_status status = bitcask_merge_open(db, &options, &merge);
  if (status != BITCASK_OK) return status;
  status = bitcask_merge_start(merge);
  if (status == BITCASK_OK) status = bitcask_merge_wait(merge);
  bitcask_merge_close(merge);
  return status;
}

/* Merges that copy no more than `most` each, one after the other. */
static enum bitcask_status merge_in_batches(struct bitcask *db, const struct survey *survey,
                                            size_t chosen, uint64_t most) {
  enum bitcask_status status = BITCASK_OK;
  uint64_t *ids = malloc((chosen + 1) * sizeof *ids), copied = 0;
  size_t count = 0;
  if (ids == NULL) return BITCASK_NOMEMORY;
  for (size_t i = 0; status == BITCASK_OK && i < chosen; i++) {
    const struct candidate *one = &survey->candidates[i];
    if (count > 0 && copied + one->copied > most) {
      status = cleaning_merge(db, ids, count);
      count = copied = 0;
    }
    ids[count++] = one->id;
    copied += one->copied;
  }
  if (status == BITCASK_OK && count > 0) status = cleaning_merge(db, ids, count);
  free(ids);
  return status;
}

/* ---- When ---- */

static uint64_t fitting_size(struct bitcask *db, uint64_t live) {
  uint64_t full = bitcask_segment_size(db);
  uint64_t least = larger(LEAST_SEGMENT, full / PART_OF_LIVE);
  return smaller(full, larger(least, live / PART_OF_LIVE));
}

enum bitcask_status cleaning_run(struct bitcask *db, bool *worked) {
  struct survey survey;
  *worked = false;
  enum bitcask_status status = look(db, &survey);
  if (status == BITCASK_OK) {
    uint64_t size = fitting_size(db, survey.live), allowed = survey.live + survey.live / 2;
    status = bitcask_seal_at(db, size);
    if (status == BITCASK_OK && survey.bytes > allowed) {
      uint64_t excess = survey.bytes - allowed + smaller(size, survey.live / 10);
      size_t chosen = choose(&survey, excess);
      uint64_t most = smaller(BATCH_SEGMENTS * size, larger(size, survey.live / PART_OF_LIVE));
      *worked = chosen > 0;
      status = merge_in_batches(db, &survey, chosen, most);
    }
  }
  free(survey.candidates);
  return status;
}
