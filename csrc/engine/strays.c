#include "engine/strays.h"

#include <stdio.h>

#include "base/mutant.h"
#include "engine/reserve.h"
#include "format/filename.h"

/* ---- What is one? ---- */

static bool is_of_store(const struct engine *engine, uint64_t id) {
  const struct manifest_state *state = &engine->manifest.state;
  return manifest_is_open(state, id) || manifest_sealed(state, id) != NULL;
}

/* The header of a file. ABSENT: it cannot be read; CORRUPT: it is none of ours. */
static enum bitcask_status read_header(struct engine *engine, const char *name,
                                       enum header_kind kind, struct header *out) {
  struct disk_file *file = NULL;
  uint8_t bytes[HEADER_SIZE];
  size_t got = 0;
  if (engine->directory->ops->open(engine->directory, name, true, &file) != BITCASK_OK)
    return BITCASK_ABSENT;
  enum bitcask_status status = file->ops->read_at(file, 0, bytes, sizeof bytes, &got);
  disk_file_close(file);
  if (status != BITCASK_OK) return BITCASK_ABSENT;
  return header_decode(bytes, got, kind, name, out) == BITCASK_OK ? BITCASK_OK : BITCASK_CORRUPT;
}

/* Of another store, put there by somebody: not ours to remove. */
static bool is_foreign(struct engine *engine, const char *name, enum header_kind kind) {
  struct header header;
  enum bitcask_status status = read_header(engine, name, kind, &header);
  if (status != BITCASK_OK) return status == BITCASK_ABSENT;
  return !store_identity_equal(header.store, engine->manifest.store);
}

/* The one that counts. */
static bool is_checkpoint(struct engine *engine, const char *name) {
  struct header header;
  return read_header(engine, name, HEADER_CHECKPOINT, &header) == BITCASK_OK &&
         store_identity_equal(header.store, engine->manifest.store) &&
         header.salt == engine->manifest.state.checkpoint;
}

static bool is_stray(struct engine *engine, const char *name) {
  uint64_t number = 0;
  switch (filename_parse(name, &number)) {
    case FILENAME_KIND_TEMPORARY:
      return true;
    case FILENAME_KIND_CHECKPOINT:
      return !is_checkpoint(engine, name) && !is_foreign(engine, name, HEADER_CHECKPOINT);
    case FILENAME_KIND_MANIFEST:
      return number != engine->manifest.number && !is_foreign(engine, name, HEADER_MANIFEST);
    case FILENAME_KIND_SEGMENT:
      return !is_of_store(engine, number) && !is_foreign(engine, name, HEADER_SEGMENT);
    case FILENAME_KIND_HINT:
      return !is_of_store(engine, number) && !is_foreign(engine, name, HEADER_HINT);
    default:
      return false;
  }
}

/* ---- Is the manifest the newest there was? ---- */

struct unknown_segments {
  const struct engine *engine;
  struct bitcask_buffer ids; /* uint64_t */
};

static void note_unknown(void *context, const char *name) {
  struct unknown_segments *unknown = context;
  uint64_t id = 0;
  if (filename_parse(name, &id) != FILENAME_KIND_SEGMENT || is_of_store(unknown->engine, id)) return;
  buffer_append(&unknown->ids, bytes_of(&id, sizeof id));
}

/* A writer beside a reader goes on. By now the manifest may know the segment, or, where that was
 * merged away, the write. It names a segment before the first write goes there. */
static bool is_known_by_now(const struct engine *engine, uint64_t id, uint64_t version) {
  struct manifest now = {0};
  if (!engine->is_readonly ||
      manifest_load(&now, engine->disk, engine->directory) != BITCASK_OK)
    return false;
  bool is_known = manifest_is_open(&now.state, id) || manifest_sealed(&now.state, id) != NULL ||
                  version <= now.state.last_version;
  manifest_release(&now);
  return is_known;
}

/* The version of the first record that can be read; ABSENT: there is none. */
static enum bitcask_status first_version(struct segment *segment, uint64_t *out) {
  struct segment_scan scan;
  enum segment_scan_kind kind = SEGMENT_SCAN_END;
  enum bitcask_status status;
  segment_scan_init(&scan, segment, disk_file_size(segment->file), false);
  do {
    status = segment_scan_next(&scan, &kind);
  } while (status == BITCASK_OK && kind == SEGMENT_SCAN_DAMAGED);
  if (kind == SEGMENT_SCAN_RECORD) *out = scan.record.version;
  segment_scan_release(&scan);
  return status == BITCASK_OK && kind != SEGMENT_SCAN_RECORD ? BITCASK_ABSENT : status;
}

/* What a crash leaves over is no newer than what the manifest tells of: copies that a merge
 * made, or what it had copied, or a segment without a record. A newer write is one that the
 * manifest has forgotten. Its first record tells: all those behind it are newer still. */
static enum bitcask_status check_unknown(struct engine *engine, uint64_t id, uint64_t newest) {
  struct segment_facts facts = segment_facts_empty(id, 0);
  struct segment *segment = NULL;
  uint64_t version = 0;
  if (segment_open(engine->directory, engine->manifest.store, &facts, true, &segment) != BITCASK_OK)
    return BITCASK_OK; /* foreign, or its header was never finished */
  enum bitcask_status status = first_version(segment, &version);
  segment_unref(segment);
  if (status == BITCASK_ABSENT) return BITCASK_OK;
  TRY(status);
  if (version <= newest || is_known_by_now(engine, id, version)) return BITCASK_OK;
  return status_fail(BITCASK_CORRUPT,
                     "%s: holds writes that the manifest knows nothing of: "
                     "it is cut short, or an older one",
                     filename_of_segment(id).text);
}

enum bitcask_status strays_check(struct engine *engine, uint64_t newest, strays_problem problem,
                                 void *context) {
  struct unknown_segments unknown = {.engine = engine};
  enum bitcask_status status =
      engine->directory->ops->list(engine->directory, note_unknown, &unknown);
  const uint64_t *ids = unknown.ids.data;
  for (size_t i = 0; status == BITCASK_OK && i < unknown.ids.size / sizeof *ids; i++) {
    status = check_unknown(engine, ids[i], newest);
    if (status != BITCASK_OK) status = problem(context, ids[i], status);
  }
  bitcask_buffer_release(&unknown.ids);
  return status;
}

/* ---- Removing them ---- */

struct sweep {
  struct engine *engine;
  struct bitcask_buffer names; /* struct filename-sized texts */
};

static void note_stray(void *context, const char *name) {
  struct sweep *sweep = context;
  filename copy;
  if (!is_stray(sweep->engine, name)) return;
  snprintf(copy.text, sizeof copy.text, "%s", name);
  buffer_append(&sweep->names, bytes_of(&copy, sizeof copy)); /* else it waits till next time */
}

/* The manifest as it is read may be in the system's cache only: the process may have died, or
 * its flush failed, after an edit was written and before it was durable. Were files removed on
 * the word of such an edit, a power cut could bring back a manifest that names them. So this
 * session's own manifest comes first. */
enum bitcask_status strays_sweep(struct engine *engine, bool was_stopped, uint64_t *removed) {
  struct disk_directory *directory = engine->directory;
  struct sweep sweep = {.engine = engine};
  enum bitcask_status status = directory->ops->list(directory, note_stray, &sweep);
  size_t count = status == BITCASK_OK ? sweep.names.size / sizeof(filename) : 0;
  if ((count > 0 || was_stopped) && engine->manifest.file == NULL &&
      !MUTANT(SWEPT_FIRST))
    status = reserve_commit(engine, bytes_of(NULL, 0));
  const filename *names = sweep.names.data;
  /* Asked again: the new manifest may have taken the name of one that a crash left behind. */
  for (size_t i = 0; status == BITCASK_OK && i < count; i++)
    if (is_stray(engine, names[i].text) &&
        directory->ops->remove(directory, names[i].text) == BITCASK_OK)
      ++*removed;
  bitcask_buffer_release(&sweep.names);
  if (status == BITCASK_OK && was_stopped)
    directory->ops->remove(directory, FILENAME_STOPPED);
  return status;
}
