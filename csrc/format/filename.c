#include "format/filename.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static filename make(const char *before, uint64_t number, const char *after) {
  filename name;
  snprintf(name.text, sizeof name.text, "%s%06" PRIu64 "%s", before, number, after);
  return name;
}

filename filename_of_manifest(uint64_t number) { return make("MANIFEST-", number, ""); }
filename filename_of_segment(uint64_t id) { return make("", id, ".seg"); }
filename filename_of_hint(uint64_t id) { return make("", id, ".hint"); }
filename filename_of_hint_temporary(uint64_t id) { return make("", id, ".hint.tmp"); }

static bool is_made_by(const char *name, filename (*maker)(uint64_t), uint64_t number) {
  filename made = maker(number);
  return strcmp(name, made.text) == 0;
}

static uint64_t first_number(const char *name) {
  size_t skip = strcspn(name, "0123456789");
  uint64_t number = 0;
  for (const char *at = name + skip; *at >= '0' && *at <= '9'; at++)
    number = number * 10 + (uint64_t)(*at - '0');
  return number;
}

enum filename_kind filename_parse(const char *name, uint64_t *number) {
  *number = 0;
  if (strcmp(name, FILENAME_CURRENT) == 0) return FILENAME_KIND_CURRENT;
  if (strcmp(name, FILENAME_LOCK) == 0) return FILENAME_KIND_LOCK;
  if (strcmp(name, FILENAME_STOPPED) == 0) return FILENAME_KIND_STOPPED;
  if (strcmp(name, FILENAME_RESERVE) == 0 || strcmp(name, FILENAME_RESERVE_EDIT) == 0)
    return FILENAME_KIND_RESERVE;
  if (strcmp(name, FILENAME_CHECKPOINT) == 0) return FILENAME_KIND_CHECKPOINT;
  if (strcmp(name, FILENAME_CHECKPOINT_TEMPORARY) == 0) return FILENAME_KIND_TEMPORARY;
  if (strcmp(name, FILENAME_CURRENT_TEMPORARY) == 0) return FILENAME_KIND_TEMPORARY;
  uint64_t parsed = first_number(name);
  enum filename_kind kind = FILENAME_KIND_OTHER;
  if (parsed > FILENAME_NUMBER_MAX) return kind;
  if (is_made_by(name, filename_of_manifest, parsed)) kind = FILENAME_KIND_MANIFEST;
  if (is_made_by(name, filename_of_segment, parsed)) kind = FILENAME_KIND_SEGMENT;
  if (is_made_by(name, filename_of_hint, parsed)) kind = FILENAME_KIND_HINT;
  if (is_made_by(name, filename_of_hint_temporary, parsed)) kind = FILENAME_KIND_TEMPORARY;
  if (kind != FILENAME_KIND_OTHER) *number = parsed;
  return kind;
}
