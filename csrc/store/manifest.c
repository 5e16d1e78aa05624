#include "store/manifest.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/checksum.h"
#include "base/mutant.h"
#include "format/filename.h"

enum {
  ROLLOVER_SIZE_MIN = 256 << 10,
  MANIFEST_SIZE_MAX = 1 << 30,
  CURRENT_SIZE_MAX = 128
};

/* ---- State ---- */

static void state_release(struct manifest_state *state) {
  memory_free(state->sealed);
  *state = (struct manifest_state){0};
}

static enum bitcask_status state_copy(const struct manifest_state *from,
                                      struct manifest_state *out) {
  *out = *from;
  out->sealed_capacity = from->sealed_count + 1;
  out->sealed = memory_new(out->sealed_capacity * sizeof *out->sealed);
  if (out->sealed == NULL) return BITCASK_NOMEMORY;
  if (from->sealed_count > 0)
    memcpy(out->sealed, from->sealed, from->sealed_count * sizeof *out->sealed);
  return BITCASK_OK;
}

const struct segment_facts *manifest_sealed(const struct manifest_state *state, uint64_t id) {
  for (size_t i = 0; i < state->sealed_count; i++)
    if (state->sealed[i].id == id) return &state->sealed[i];
  return NULL;
}

static size_t find_open(const struct manifest_state *state, uint64_t id) {
  size_t i = 0;
  while (i < state->open_count && state->open[i] != id) i++;
  return i;
}

bool manifest_is_open(const struct manifest_state *state, uint64_t id) {
  return find_open(state, id) < state->open_count;
}

static bool close_open(struct manifest_state *state, uint64_t id) {
  size_t i = find_open(state, id);
  if (i == state->open_count) return false;
  state->open_count--;
  memmove(&state->open[i], &state->open[i + 1],
          (state->open_count - i) * sizeof state->open[0]);
  state->is_closed = false;
  return true;
}

/* Can the set get a segment with this id and length, sealed or open? */
static enum bitcask_status check_new(const struct manifest_state *state, uint64_t id,
                                     uint64_t length) {
  if (manifest_sealed(state, id) != NULL)
    return status_fail(BITCASK_CORRUPT, "manifest: segment %" PRIu64 " is sealed already", id);
  if (id == 0 || length < HEADER_SIZE)
    return status_fail(BITCASK_CORRUPT, "manifest: impossible facts of segment %" PRIu64, id);
  return BITCASK_OK;
}

static enum bitcask_status add_sealed(struct manifest_state *state,
                                      const struct segment_facts *facts) {
  TRY(check_new(state, facts->id, facts->length));
  if (state->sealed_count == state->sealed_capacity) {
    size_t capacity = state->sealed_capacity * 2 + 8;
    struct segment_facts *sealed = memory_resize(state->sealed, capacity, sizeof *sealed);
    if (sealed == NULL) return BITCASK_NOMEMORY;
    state->sealed = sealed;
    state->sealed_capacity = capacity;
  }
  state->sealed[state->sealed_count++] = *facts;
  close_open(state, facts->id); /* any other segment changes nothing of what was closed */
  return BITCASK_OK;
}

/* One that was closed is open again by this. */
static enum bitcask_status add_open(struct manifest_state *state, uint64_t id, uint64_t length) {
  TRY(check_new(state, id, length));
  state->is_closed = false;
  if (manifest_is_open(state, id)) return BITCASK_OK;
  if (state->open_count == MANIFEST_OPEN_MAX)
    return status_fail(BITCASK_CORRUPT,
                       "manifest: segment %" PRIu64 " is one too many to be open", id);
  state->open[state->open_count++] = id;
  return BITCASK_OK;
}

static enum bitcask_status set_closed(struct manifest_state *state,
                                      const struct segment_facts *facts) {
  TRY(add_open(state, facts->id, facts->length));
  if (state->open_count > 1)
    return status_fail(BITCASK_CORRUPT, "manifest: closed with %zu segments open",
                       state->open_count);
  state->is_closed = true;
  state->closed = *facts;
  return BITCASK_OK;
}

static enum bitcask_status remove_segment(struct manifest_state *state, uint64_t id) {
  if (close_open(state, id)) return BITCASK_OK;
  for (size_t i = 0; i < state->sealed_count; i++) {
    if (state->sealed[i].id != id) continue;
    size_t behind = state->sealed_count - i - 1;
    memmove(&state->sealed[i], &state->sealed[i + 1], behind * sizeof state->sealed[0]);
    state->sealed_count--;
    return BITCASK_OK;
  }
  return status_fail(BITCASK_CORRUPT, "manifest: segment %" PRIu64 " is removed but not there", id);
}

static enum bitcask_status apply_item(struct manifest_state *state, const struct edit_item *item) {
  switch (item->tag) {
    case EDIT_FULL:
      state->sealed_count = 0;
      state->open_count = 0;
      state->is_closed = false;
      state->dropped_version = 0;
      state->checkpoint = 0;
      return BITCASK_OK;
    case EDIT_NUMBERS:
      state->next_id = item->next_id;
      state->last_version = item->last_version;
      return BITCASK_OK;
    case EDIT_OPEN:
      return add_open(state, item->id, HEADER_SIZE);
    case EDIT_DROPPED:
      if (item->version > state->dropped_version) state->dropped_version = item->version;
      return BITCASK_OK;
    case EDIT_CHECKPOINT:
      state->checkpoint = item->salt;
      return BITCASK_OK;
    case EDIT_CLOSED:
      return set_closed(state, &item->facts);
    case EDIT_SEALED:
      return add_sealed(state, &item->facts);
    case EDIT_REMOVED:
      return remove_segment(state, item->id);
  }
  return status_fail(BITCASK_CORRUPT, "manifest: unknown item");
}

static enum bitcask_status apply(struct manifest_state *state, bitcask_bytes payload) {
  struct coding_reader reader = coding_read(payload);
  struct edit_item item;
  while (edit_next_item(&reader, &item)) TRY(apply_item(state, &item));
  if (reader.failed) return status_fail(BITCASK_CORRUPT, "manifest: an edit that cannot be read");
  return BITCASK_OK;
}

static enum bitcask_status encode_full(const struct manifest_state *state,
                                       struct bitcask_buffer *payload) {
  TRY(edit_append_full(payload));
  TRY(edit_append_numbers(payload, state->next_id, state->last_version));
  if (state->dropped_version > 0) TRY(edit_append_dropped(payload, state->dropped_version));
  if (state->checkpoint != 0) TRY(edit_append_checkpoint(payload, state->checkpoint));
  for (size_t i = 0; i < state->sealed_count; i++)
    TRY(edit_append_facts(payload, EDIT_SEALED, &state->sealed[i]));
  if (state->is_closed) return edit_append_facts(payload, EDIT_CLOSED, &state->closed);
  for (size_t i = 0; i < state->open_count; i++)
    TRY(edit_append_open(payload, state->open[i]));
  return BITCASK_OK;
}

/* ---- CURRENT: "MANIFEST-000007 <identity, 32 hex> <check, 16 hex>\n" ---- */

static size_t format_current(uint64_t number, store_identity store, char out[CURRENT_SIZE_MAX]) {
  int size = snprintf(out, CURRENT_SIZE_MAX, "%s ", filename_of_manifest(number).text);
  for (size_t i = 0; i < sizeof store.bytes; i++)
    size += snprintf(out + size, (size_t)(CURRENT_SIZE_MAX - size), "%02x", store.bytes[i]);
  uint64_t check = checksum64(out, (size_t)size, 0);
  size += snprintf(out + size, (size_t)(CURRENT_SIZE_MAX - size), " %016" PRIx64 "\n", check);
  return (size_t)size;
}

static bool parse_hex(const char *text, store_identity *out) {
  for (size_t i = 0; i < sizeof out->bytes; i++) {
    unsigned byte = 0;
    if (sscanf(text + 2 * i, "%2x", &byte) != 1) return false;
    out->bytes[i] = (uint8_t)byte;
  }
  return true;
}

/* Read the fields, write them again, and compare: only what we would write passes. */
static bool parse_current(const char *text, size_t size, uint64_t *number,
                          store_identity *store) {
  char name[CURRENT_SIZE_MAX], identity[CURRENT_SIZE_MAX], again[CURRENT_SIZE_MAX];
  if (size >= CURRENT_SIZE_MAX) return false;
  if (sscanf(text, "%127s %127s", name, identity) != 2 || strlen(identity) != 32) return false;
  if (filename_parse(name, number) != FILENAME_KIND_MANIFEST) return false;
  if (!parse_hex(identity, store)) return false;
  return format_current(*number, *store, again) == size && memcmp(again, text, size) == 0;
}

enum bitcask_status manifest_current(struct disk_directory *directory, uint64_t *number,
                                     store_identity *store) {
  struct bitcask_buffer text = {0};
  enum bitcask_status status =
      disk_read_whole(directory, FILENAME_CURRENT, CURRENT_SIZE_MAX, &text);
  size_t size = text.size;
  if (status == BITCASK_OK) status = buffer_append(&text, bytes_of("", 1));
  if (status == BITCASK_OK && !parse_current(text.data, size, number, store))
    status = status_fail(BITCASK_CORRUPT, "CURRENT: damaged");
  bitcask_buffer_release(&text);
  return status;
}

/* ---- Loading ---- */

/* A whole edit somewhere behind a place that holds none: then that was no torn tail. */
static bool has_edit_behind(const struct manifest *manifest, bitcask_bytes rest) {
  for (size_t skip = 1; skip + EDIT_FRAME_SIZE <= rest.size; skip++) {
    uint64_t number = 0;
    bitcask_bytes payload;
    bitcask_bytes from = bytes_of((const uint8_t *)rest.data + skip, rest.size - skip);
    if (edit_decode_frame(from, manifest->salt, &number, &payload)) return true;
  }
  return false;
}

static enum bitcask_status replay(struct manifest *manifest, bitcask_bytes edits,
                                  const char *name) {
  while (edits.size > 0) {
    uint64_t number = 0;
    bitcask_bytes payload;
    bool is_whole = edit_decode_frame(edits, manifest->salt, &number, &payload);
    if (!is_whole && (manifest->edit_number == 0 || has_edit_behind(manifest, edits)))
      return status_fail(BITCASK_CORRUPT, "%s: edit %" PRIu64 " is damaged", name,
                         manifest->edit_number + 1);
    if (!is_whole) {
      /* Cut off before it was synced, so nobody was told that it counts. */
      manifest->torn_bytes = edits.size;
      return BITCASK_OK;
    }
    if (number != manifest->edit_number + 1)
      return status_fail(BITCASK_CORRUPT, "%s: edit %" PRIu64 " where %" PRIu64 " was due", name,
                         number, manifest->edit_number + 1);
    if (number == 1 && (payload.size == 0 || *(const char *)payload.data != EDIT_FULL))
      return status_fail(BITCASK_CORRUPT, "%s: does not begin with a full set", name);
    TRY(apply(&manifest->state, payload));
    manifest->edit_number = number;
    size_t size = EDIT_FRAME_SIZE + payload.size;
    edits = bytes_of((const uint8_t *)edits.data + size, edits.size - size);
  }
  if (manifest->edit_number == 0) return status_fail(BITCASK_CORRUPT, "%s: holds no edit", name);
  return BITCASK_OK;
}

static enum bitcask_status load_file(struct manifest *manifest, struct bitcask_buffer *whole) {
  filename name = filename_of_manifest(manifest->number);
  enum bitcask_status status =
      disk_read_whole(manifest->directory, name.text, MANIFEST_SIZE_MAX, whole);
  if (status == BITCASK_NOTFOUND)
    return status_fail(BITCASK_CORRUPT, "%s: is missing, though CURRENT names it", name.text);
  TRY(status);
  struct header header;
  TRY(header_decode(whole->data, whole->size, HEADER_MANIFEST, name.text, &header));
  if (!store_identity_equal(header.store, manifest->store) || header.number != manifest->number)
    return status_fail(BITCASK_CORRUPT, "%s: belongs to another store or place", name.text);
  manifest->salt = header.salt;
  return replay(manifest,
                bytes_of((const uint8_t *)whole->data + HEADER_SIZE, whole->size - HEADER_SIZE),
                name.text);
}

enum bitcask_status manifest_load(struct manifest *manifest, struct disk *disk,
                                  struct disk_directory *directory) {
  *manifest = (struct manifest){.disk = disk, .directory = directory};
  TRY(manifest_current(directory, &manifest->number, &manifest->store));
  struct bitcask_buffer whole = {0};
  enum bitcask_status status = load_file(manifest, &whole);
  bitcask_buffer_release(&whole);
  if (status != BITCASK_OK) manifest_release(manifest);
  return status;
}

enum bitcask_status manifest_init(struct manifest *manifest, struct disk *disk,
                                  struct disk_directory *directory) {
  *manifest = (struct manifest){.disk = disk, .directory = directory};
  manifest->state.next_id = 1;
  return disk->ops->random(disk, manifest->store.bytes, sizeof manifest->store.bytes);
}

void manifest_release(struct manifest *manifest) {
  disk_file_close(manifest->file);
  state_release(&manifest->state);
  *manifest = (struct manifest){0};
}

/* ---- Committing ---- */

static enum bitcask_status write_manifest(struct manifest *manifest, struct disk_file *file,
                                          uint64_t number, uint64_t salt, bitcask_bytes payload) {
  struct header header = {.kind = HEADER_MANIFEST,
                          .store = manifest->store,
                          .number = number,
                          .salt = salt,
                          .created_ms = manifest->disk->ops->now_ms(manifest->disk)};
  uint8_t head[HEADER_SIZE], frame[EDIT_FRAME_SIZE];
  header_encode(&header, head);
  edit_encode_frame(payload, 1, salt, frame);
  const bitcask_bytes parts[] = {bytes_of(head, sizeof head), bytes_of(frame, sizeof frame),
                                 payload};
  TRY(file->ops->append(file, parts, 3, 0));
  if (!MUTANT(MANIFEST_UNFLUSHED)) TRY(file->ops->sync(file));
  if (MUTANT(MANIFEST_NAME_UNFLUSHED)) return BITCASK_OK;
  /* Before CURRENT leads there, the name has to be durable. */
  return manifest->directory->ops->sync(manifest->directory);
}

static enum bitcask_status switch_current(struct manifest *manifest, uint64_t number) {
  struct disk_directory *directory = manifest->directory;
  char text[CURRENT_SIZE_MAX];
  size_t size = format_current(number, manifest->store, text);
  enum bitcask_status status = disk_replace(directory, FILENAME_CURRENT_TEMPORARY,
                                            FILENAME_CURRENT, bytes_of(text, size));
  /* From the rename on, nobody can say which of the two a crash would leave, until the
   * directory is synced. That there was no room, or no memory, is sure, and nothing else is. */
  if (status == BITCASK_NOSPACE || status == BITCASK_NOMEMORY) return status;
  if (status == BITCASK_OK && !MUTANT(CURRENT_NAME_UNFLUSHED))
    status = directory->ops->sync(directory);
  if (status != BITCASK_OK) manifest->is_unknown = true;
  return status;
}

static enum bitcask_status roll_over(struct manifest *manifest,
                                     const struct manifest_state *state) {
  struct disk_directory *directory = manifest->directory;
  uint64_t number = manifest->number + 1, salt = 0;
  struct bitcask_buffer payload = {0};
  struct disk_file *file = NULL;
  TRY(manifest->disk->ops->random(manifest->disk, &salt, sizeof salt));
  enum bitcask_status status = encode_full(state, &payload);
  filename name = filename_of_manifest(number);
  if (status == BITCASK_OK) {
    directory->ops->remove(directory, name.text); /* of a roll-over that a crash cut off */
    status = directory->ops->create(directory, name.text, 0, &file);
  }
  if (status == BITCASK_OK)
    status = write_manifest(manifest, file, number, salt, bytes_of(payload.data, payload.size));
  if (status == BITCASK_OK) status = switch_current(manifest, number);
  uint64_t full_size = payload.size;
  bitcask_buffer_release(&payload);
  if (status != BITCASK_OK) {
    disk_file_close(file);
    if (file != NULL && !manifest->is_unknown) disk_remove_quietly(directory, name.text);
    return status;
  }
  filename before = filename_of_manifest(manifest->number);
  if (manifest->number > 0) directory->ops->remove(directory, before.text);
  disk_file_close(manifest->file);
  manifest->file = file;
  manifest->number = number;
  manifest->salt = salt;
  manifest->edit_number = 1;
  manifest->rollover_size = full_size * 4 + ROLLOVER_SIZE_MIN;
  return BITCASK_OK;
}

static enum bitcask_status append_edit(struct manifest *manifest, bitcask_bytes payload) {
  uint8_t frame[EDIT_FRAME_SIZE];
  edit_encode_frame(payload, manifest->edit_number + 1, manifest->salt, frame);
  const bitcask_bytes parts[] = {bytes_of(frame, sizeof frame), payload};
  struct disk_file *file = manifest->file;
  TRY(file->ops->append(file, parts, 2, 0));
  enum bitcask_status status = MUTANT(EDIT_UNFLUSHED) ? BITCASK_OK : file->ops->sync(file);
  if (status != BITCASK_OK) {
    manifest->is_unknown = !MUTANT(EDIT_FAILURE_IGNORED);
    return status;
  }
  manifest->edit_number++;
  return BITCASK_OK;
}

enum bitcask_status manifest_commit(struct manifest *manifest, uint64_t last_version,
                                    bitcask_bytes items) {
  if (manifest->is_unknown)
    return status_fail(BITCASK_STOPPED, "manifest: an earlier edit failed with unknown outcome");
  struct manifest_state next = {0};
  struct bitcask_buffer payload = {0};
  enum bitcask_status status =
      edit_append_numbers(&payload, manifest->state.next_id, last_version);
  if (status == BITCASK_OK) status = buffer_append(&payload, items);
  if (status == BITCASK_OK) status = state_copy(&manifest->state, &next);
  if (status == BITCASK_OK) status = apply(&next, bytes_of(payload.data, payload.size));
  if (status == BITCASK_OK) {
    bool is_long = manifest->file == NULL ||
                   disk_file_size(manifest->file) + payload.size > manifest->rollover_size;
    status = is_long ? roll_over(manifest, &next)
                     : append_edit(manifest, bytes_of(payload.data, payload.size));
  }
  bitcask_buffer_release(&payload);
  if (status != BITCASK_OK) {
    state_release(&next);
    return status;
  }
  next.next_id = manifest->state.next_id; /* ids may have been handed out meanwhile */
  state_release(&manifest->state);
  manifest->state = next;
  return BITCASK_OK;
}
