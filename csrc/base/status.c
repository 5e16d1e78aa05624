#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char last_text[STATUS_TEXT_MAX];

const char *bitcask_status_name(enum bitcask_status status) {
  switch (status) {
#define CASE(name, text) \
  case BITCASK_##name:   \
    return text;
    BITCASK_STATUS_LIST(CASE)
#undef CASE
  }
  return "unknown";
}

const char *bitcask_error_text(void) { return last_text; }

enum bitcask_status status_fail(enum bitcask_status status, const char *format, ...) {
  /* Formatted aside first: an argument may be the last text itself. */
  char text[STATUS_TEXT_MAX];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  memcpy(last_text, text, sizeof text);
  return status;
}

struct status_text status_text_keep(void) {
  struct status_text kept;
  memcpy(kept.text, last_text, sizeof kept.text);
  return kept;
}

void status_text_restore(const struct status_text *kept) {
  memcpy(last_text, kept->text, sizeof last_text);
}

void status_note_take(struct status_note *note, enum bitcask_status status) {
  if (note->status != BITCASK_OK) return;
  note->status = status;
  memcpy(note->text, last_text, sizeof note->text);
}

enum bitcask_status status_note_give(const struct status_note *note) {
  if (note->status == BITCASK_OK) return BITCASK_OK;
  return status_fail(note->status, "%s", note->text);
}
