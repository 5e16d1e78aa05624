#include "engine/evidence.h"

#include <stdio.h>
#include <string.h>

#include "format/filename.h"

static void note_name(void *context, const char *name) {
  struct evidence *evidence = context;
  uint64_t number = 0;
  enum filename_kind kind = filename_parse(name, &number);
  if (kind == FILENAME_KIND_SEGMENT || kind == FILENAME_KIND_HINT) {
    evidence->has_segment |= kind == FILENAME_KIND_SEGMENT;
    if (kind == FILENAME_KIND_HINT) /* without memory it is written anew, no more */
      buffer_append(&evidence->hints, bytes_of(&number, sizeof number));
    if (number > evidence->max_number) evidence->max_number = number;
  }
  if (kind == FILENAME_KIND_STOPPED) evidence->was_stopped = true;
  if (strcmp(name, FILENAME_RESERVE) == 0) evidence->has_reserve[RESERVE_WORK] = true;
  if (strcmp(name, FILENAME_RESERVE_EDIT) == 0) evidence->has_reserve[RESERVE_EDIT] = true;
  /* The first manifest without CURRENT is what a crash during creation leaves. */
  if (kind == FILENAME_KIND_MANIFEST && number > 1) evidence->has_manifest = true;
}

static enum bitcask_status create_store(struct engine *engine, const struct evidence *evidence) {
  if (evidence->has_segment || evidence->has_manifest)
    return status_fail(BITCASK_CORRUPT,
                       "CURRENT: is missing, though there are files of a store");
  TRY(manifest_init(&engine->manifest, engine->disk, engine->directory));
  return engine_commit(engine, bytes_of(NULL, 0));
}

/* Without a manifest that can be believed: every segment file of one store counts, those
 * that a merge has replaced included, which can bring deleted keys back. */
static void salvage_segment(void *context, const char *name) {
  struct engine *engine = context;
  struct manifest_state *state = &engine->manifest.state;
  struct disk_file *file = NULL;
  uint64_t id = 0;
  uint8_t bytes[HEADER_SIZE];
  size_t got = 0;
  struct header header;
  if (filename_parse(name, &id) != FILENAME_KIND_SEGMENT) return;
  if (engine->directory->ops->open(engine->directory, name, true, &file) != BITCASK_OK) return;
  uint64_t length = disk_file_size(file);
  enum bitcask_status status = file->ops->read_at(file, 0, bytes, sizeof bytes, &got);
  disk_file_close(file);
  if (status != BITCASK_OK || header_decode(bytes, got, HEADER_SEGMENT, name, &header) != BITCASK_OK)
    return;
  if (state->sealed_count == 0) engine->manifest.store = header.store;
  if (!store_identity_equal(header.store, engine->manifest.store)) return;
  struct segment_facts *sealed =
      memory_resize(state->sealed, state->sealed_count + 1, sizeof *sealed);
  if (sealed == NULL) return;
  state->sealed = sealed;
  sealed[state->sealed_count] = segment_facts_empty(id, header.created_ms);
  sealed[state->sealed_count++].length = length;
}

static enum bitcask_status salvage_manifest(struct engine *engine) {
  struct bitcask_event event = {.kind = BITCASK_EVENT_CORRUPTION, .status = BITCASK_CORRUPT};
  snprintf(event.file, sizeof event.file, FILENAME_CURRENT);
  snprintf(event.message, sizeof event.message, "%.120s; every segment file was read instead",
           bitcask_error_text());
  engine_report(engine, &event);
  engine->manifest = (struct manifest){.disk = engine->disk, .directory = engine->directory};
  return engine->directory->ops->list(engine->directory, salvage_segment, engine);
}

enum bitcask_status evidence_find_manifest(struct engine *engine, struct evidence *evidence) {
  TRY(engine->directory->ops->list(engine->directory, note_name, evidence));
  enum bitcask_status status =
      manifest_load(&engine->manifest, engine->disk, engine->directory);
  if (engine->options.salvage && status != BITCASK_OK && evidence->has_segment)
    return salvage_manifest(engine);
  if (status != BITCASK_NOTFOUND) return status;
  if (!engine->is_readonly && engine->options.create) return create_store(engine, evidence);
  if (evidence->has_segment || evidence->has_manifest)
    return status_fail(BITCASK_CORRUPT,
                       "CURRENT: is missing, though there are files of a store");
  return status_fail(BITCASK_NOTFOUND, "there is no store in that directory");
}
