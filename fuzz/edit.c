/*
 * Edits of a manifest. Input: salt (8), then frames; and the same bytes as a payload.
 *
 * Items written again are the same bytes.
 */
#include "format/edit.h"

#include <stdlib.h>

#include "fuzz.h"

static enum bitcask_status append(struct bitcask_buffer *payload, const struct edit_item *item) {
  switch (item->tag) {
    case EDIT_FULL:
      return edit_append_full(payload);
    case EDIT_NUMBERS:
      return edit_append_numbers(payload, item->next_id, item->last_version);
    case EDIT_OPEN:
      return edit_append_open(payload, item->id);
    case EDIT_REMOVED:
      return edit_append_removed(payload, item->id);
    case EDIT_DROPPED:
      return edit_append_dropped(payload, item->version);
    case EDIT_CHECKPOINT:
      return edit_append_checkpoint(payload, item->salt);
    case EDIT_CLOSED:
    case EDIT_SEALED:
      return edit_append_facts(payload, item->tag, &item->facts);
  }
  return BITCASK_INVALID;
}

static void check_items(bitcask_bytes payload) {
  struct coding_reader reader = coding_read(payload);
  struct bitcask_buffer again = {0};
  struct edit_item item;
  while (edit_next_item(&reader, &item)) MUST(append(&again, &item) == BITCASK_OK);
  MUST(again.size <= payload.size);
  MUST(again.size == 0 || memcmp(again.data, payload.data, again.size) == 0);
  MUST(reader.failed || again.size == payload.size);
  bitcask_buffer_release(&again);
}

/* The frame of these bytes, were they a payload, leads to them again. */
static void check_frame(bitcask_bytes payload, uint64_t salt) {
  uint8_t *whole = malloc(EDIT_FRAME_SIZE + payload.size);
  uint64_t number = 0;
  bitcask_bytes found;
  MUST(whole != NULL);
  edit_encode_frame(payload, salt ^ 7, salt, whole);
  memcpy(whole + EDIT_FRAME_SIZE, payload.data, payload.size);
  MUST(edit_decode_frame(bytes_of(whole, EDIT_FRAME_SIZE + payload.size), salt, &number, &found));
  MUST(number == (salt ^ 7) && bytes_equal(found, payload));
  if (payload.size > 0)
    MUST(!edit_decode_frame(bytes_of(whole, EDIT_FRAME_SIZE + payload.size - 1), salt, &number,
                            &found));
  free(whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct coding_reader input = coding_read(bytes_of(data, size));
  uint64_t salt = fuzz_number(&input, 8), number = 0;
  bitcask_bytes bytes = fuzz_bytes(&input, input.left), payload;
  if (bytes.size == 0) return 0;
  fuzz_memory_begin();
  bool is_whole = edit_decode_frame(bytes, salt, &number, &payload);
  fuzz_memory_end(size, 0, 0);
  if (is_whole) {
    MUST(payload.size <= bytes.size - EDIT_FRAME_SIZE);
    check_items(payload);
  }
  check_items(bytes);
  check_frame(bytes, salt);
  return 0;
}
