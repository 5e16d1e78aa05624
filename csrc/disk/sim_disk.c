#include "disk/sim_disk.h"

#include <inttypes.h>

#include "base/checksum.h"
#include "disk/sim_file.h"

struct sim_directory {
  struct disk_directory base;
  struct sim *sim;
  size_t folder;
  bool has_lock;
  atomic_uint open_files;
};

/* ---- Directories ---- */

static struct sim_names *names_of(const struct sim_directory *directory) {
  return &directory->sim->image.folders[directory->folder].seen;
}

static enum bitcask_status change_names(const struct sim_directory *directory,
                                        enum sim_change_kind kind, const char *name,
                                        const char *to) {
  struct sim_change change = {
      .kind = kind, .folder = directory->folder, .name = name, .to = to};
  return sim_change(directory->sim, &change);
}

/* A handle on the file of that name, which is there. */
static enum bitcask_status hold(struct sim_directory *directory, const char *name,
                                uint64_t capacity, struct disk_file **out) {
  return sim_file_open(directory->sim, name, sim_names_find(names_of(directory), name), capacity,
                       &directory->open_files, out);
}

static enum bitcask_status create_file(struct sim_directory *directory, const char *name,
                                       uint64_t capacity, struct disk_file **out) {
  TRY(change_names(directory, SIM_CREATE, name, NULL));
  TRY(hold(directory, name, capacity, out));
  if (capacity > 0) sim_file_map(*out);
  return BITCASK_OK;
}

static enum bitcask_status directory_create(struct disk_directory *base, const char *name,
                                            uint64_t capacity, struct disk_file **out) {
  struct sim_directory *directory = (struct sim_directory *)base;
  struct sim_operation operation = sim_begin(directory->sim, SIM_OP_CREATE, name);
  if (sim_names_find(names_of(directory), name) != NULL)
    return sim_refuse(&operation, BITCASK_EXISTS, "it exists");
  if (sim_prevents(&operation)) return sim_end(&operation, sim_failure(&operation));
  struct disk_file *made = NULL;
  enum bitcask_status status =
      sim_finish(&operation, create_file(directory, name, capacity, &made));
  if (status == BITCASK_OK)
    *out = made;
  else
    disk_file_close(made);
  return status;
}

static enum bitcask_status directory_reserve(struct disk_directory *base, const char *name,
                                             uint64_t size) {
  struct sim_directory *directory = (struct sim_directory *)base;
  struct sim_operation operation = sim_begin(directory->sim, SIM_OP_RESERVE, name);
  if (sim_names_find(names_of(directory), name) != NULL)
    return sim_refuse(&operation, BITCASK_EXISTS, "it exists");
  if (!sim_has_space(directory->sim, size))
    return sim_refuse(&operation, BITCASK_NOSPACE, "the simulated disk is full");
  if (sim_prevents(&operation)) return sim_end(&operation, sim_failure(&operation));
  enum bitcask_status status = change_names(directory, SIM_CREATE, name, NULL);
  if (status == BITCASK_OK) {
    struct sim_change change = {.kind = SIM_HOLD,
                                .node = sim_names_find(names_of(directory), name)->id,
                                .size = size};
    status = sim_change(directory->sim, &change);
  }
  return sim_finish(&operation, status);
}

static enum bitcask_status open_file(struct sim_operation *operation,
                                     struct sim_directory *directory, const char *name,
                                     uint64_t capacity, struct disk_file **out) UNCHECKED {
  if (sim_names_find(names_of(directory), name) == NULL)
    return sim_refuse(operation, BITCASK_NOTFOUND, "no such file");
  if (operation->fault != NULL) return sim_end(operation, sim_failure(operation));
  return sim_end(operation, hold(directory, name, capacity, out));
}

static enum bitcask_status directory_open(struct disk_directory *base, const char *name,
                                          bool growing, struct disk_file **out) {
  struct sim_directory *directory = (struct sim_directory *)base;
  struct sim_operation operation = sim_begin(directory->sim, SIM_OP_OPEN, name);
  TRY(open_file(&operation, directory, name, 0, out));
  if (!growing && disk_file_size(*out) > 0) sim_file_map(*out);
  return BITCASK_OK;
}

/* Without a mapping: what a file holds here is all handles'. */
static enum bitcask_status directory_open_private(struct disk_directory *base, const char *name,
                                                  struct disk_file **out) {
  return directory_open(base, name, true, out);
}

static enum bitcask_status directory_reopen(struct disk_directory *base, const char *name,
                                            uint64_t size, uint64_t capacity,
                                            struct disk_file **out) {
  struct sim_directory *directory = (struct sim_directory *)base;
  struct sim_operation operation = sim_begin(directory->sim, SIM_OP_REOPEN, name);
  struct disk_file *file = NULL;
  TRY(open_file(&operation, directory, name, capacity > size ? capacity : size, &file));
  if (disk_file_size(file) != size) {
    uint64_t found = disk_file_size(file);
    disk_file_close(file);
    return status_fail(BITCASK_CORRUPT, "%s: %" PRIu64 " bytes, where %" PRIu64 " were written",
                       name, found, size);
  }
  sim_file_map(file);
  *out = file;
  return BITCASK_OK;
}

static enum bitcask_status change_name(struct sim_directory *directory, enum sim_op op,
                                       enum sim_change_kind kind, const char *name,
                                       const char *to) {
  struct sim_operation operation = sim_begin(directory->sim, op, name);
  if (sim_names_find(names_of(directory), name) == NULL)
    return sim_refuse(&operation, BITCASK_NOTFOUND, "no such file");
  if (sim_prevents(&operation)) return sim_end(&operation, sim_failure(&operation));
  return sim_finish(&operation, change_names(directory, kind, name, to));
}

static enum bitcask_status directory_remove(struct disk_directory *base, const char *name) {
  return change_name((struct sim_directory *)base, SIM_OP_REMOVE, SIM_REMOVE, name, NULL);
}

static enum bitcask_status directory_rename(struct disk_directory *base, const char *from,
                                            const char *to) {
  return change_name((struct sim_directory *)base, SIM_OP_RENAME, SIM_RENAME, from, to);
}

static enum bitcask_status directory_sync(struct disk_directory *base) {
  struct sim_directory *directory = (struct sim_directory *)base;
  struct sim_operation operation = sim_begin(directory->sim, SIM_OP_SYNC_DIRECTORY, "");
  enum sim_change_kind kind = sim_prevents(&operation) ? SIM_FAIL_NAMES : SIM_SYNC_NAMES;
  return sim_finish(&operation, change_names(directory, kind, NULL, NULL));
}

/* The names as they are now, zero-terminated one after the other. */
static enum bitcask_status copy_names(const struct sim_directory *directory,
                                      struct bitcask_buffer *out) {
  const struct sim_names *names = names_of(directory);
  for (size_t i = 0; i < names->count; i++)
    TRY(buffer_append(out, bytes_of(names->all[i].text, strlen(names->all[i].text) + 1)));
  return BITCASK_OK;
}

/* Whoever is called may use the disk. */
static enum bitcask_status directory_list(struct disk_directory *base, disk_name_function each,
                                          void *context) {
  struct sim_directory *directory = (struct sim_directory *)base;
  struct bitcask_buffer names = {0};
  struct sim_operation operation = sim_begin(directory->sim, SIM_OP_LIST, "");
  enum bitcask_status status =
      operation.fault != NULL ? sim_failure(&operation) : copy_names(directory, &names);
  status = sim_end(&operation, status);
  const char *text = names.data;
  for (size_t at = 0; status == BITCASK_OK && at < names.size; at += strlen(text + at) + 1)
    each(context, text + at);
  bitcask_buffer_release(&names);
  return status;
}

static enum bitcask_status directory_lock(struct disk_directory *base, const char *name) {
  struct sim_directory *directory = (struct sim_directory *)base;
  struct sim *sim = directory->sim;
  struct sim_operation operation = sim_begin(sim, SIM_OP_LOCK, name);
  if (operation.fault != NULL) return sim_end(&operation, sim_failure(&operation));
  if (sim->locked[directory->folder])
    return sim_refuse(&operation, BITCASK_LOCKED, "the store is open for writing elsewhere");
  enum bitcask_status status = BITCASK_OK;
  if (sim_names_find(names_of(directory), name) == NULL)
    status = change_names(directory, SIM_CREATE, name, NULL);
  if (status == BITCASK_OK) sim->locked[directory->folder] = directory->has_lock = true;
  return sim_end(&operation, status);
}

static void directory_unlock(struct disk_directory *base) {
  struct sim_directory *directory = (struct sim_directory *)base;
  if (!directory->has_lock) return;
  sim_lock(directory->sim);
  directory->sim->locked[directory->folder] = directory->has_lock = false;
  sim_unlock(directory->sim);
}

static void directory_identify(struct disk_directory *base, struct disk_identity *out) {
  const struct sim_directory *directory = (const struct sim_directory *)base;
  *out = (struct disk_identity){directory->sim->serial, directory->folder + 1};
}

static unsigned directory_open_files(struct disk_directory *base) {
  return atomic_load(&((struct sim_directory *)base)->open_files);
}

/* Asking changes nothing, and is no operation that could fail. */
static uint64_t directory_free_space(struct disk_directory *base) {
  struct sim *sim = ((struct sim_directory *)base)->sim;
  if (sim->options.space == 0) return UINT64_MAX;
  sim_lock(sim);
  uint64_t used = sim_image_used(&sim->image);
  sim_unlock(sim);
  return used < sim->options.space ? sim->options.space - used : 0;
}

static void directory_close(struct disk_directory *base) {
  struct sim_directory *directory = (struct sim_directory *)base;
  struct sim *sim = directory->sim;
  directory_unlock(base);
  memory_free(directory);
  sim_unref(sim);
}

static const struct disk_directory_ops directory_ops = {
    .create = directory_create,
    .reserve = directory_reserve,
    .open = directory_open,
    .open_private = directory_open_private,
    .reopen = directory_reopen,
    .remove = directory_remove,
    .rename = directory_rename,
    .sync = directory_sync,
    .list = directory_list,
    .lock = directory_lock,
    .unlock = directory_unlock,
    .identify = directory_identify,
    .open_files = directory_open_files,
    .free_space = directory_free_space,
    .close = directory_close,
};

/* ---- The disk ---- */

/* Make the folder, and its name durable, as the real disk does. */
static enum bitcask_status make_folder(struct sim *sim, const char *path) {
  struct sim_change make = {.kind = SIM_MAKE_FOLDER, .name = path};
  struct sim_change sync = {.kind = SIM_SYNC_ROOT};
  TRY(sim_change(sim, &make));
  return sim_change(sim, &sync);
}

static enum bitcask_status know_lock(struct sim *sim) {
  if (sim->locked_count == sim->image.folder_count) return BITCASK_OK;
  bool *locked = memory_resize(sim->locked, sim->image.folder_count, sizeof *locked);
  if (locked == NULL) return BITCASK_NOMEMORY;
  sim->locked = locked;
  while (sim->locked_count < sim->image.folder_count) locked[sim->locked_count++] = false;
  return BITCASK_OK;
}

static enum bitcask_status find_folder(struct sim *sim, const char *path, bool create,
                                       struct sim_directory *directory) {
  if (strlen(path) >= SIM_PATH_SIZE)
    return status_fail(BITCASK_IO, "%.40s...: the name is too long for a simulated disk", path);
  directory->folder = sim_image_folder(&sim->image, path);
  if (directory->folder == sim->image.folder_count) {
    if (!create) return status_fail(BITCASK_NOTFOUND, "%s: no such directory", path);
    TRY(make_folder(sim, path));
  }
  return know_lock(sim);
}

static enum bitcask_status sim_open_directory(struct disk *disk, const char *path, bool create,
                                              struct disk_directory **out) {
  struct sim *sim = (struct sim *)disk;
  struct sim_directory *directory = memory_zeroed(1, sizeof *directory);
  if (directory == NULL) return BITCASK_NOMEMORY;
  directory->base.ops = &directory_ops;
  directory->sim = sim;
  struct sim_operation operation = sim_begin(sim, SIM_OP_OPEN_DIRECTORY, path);
  enum bitcask_status status = operation.fault != NULL
                                   ? sim_failure(&operation)
                                   : find_folder(sim, path, create, directory);
  status = sim_end(&operation, status);
  if (status != BITCASK_OK) {
    memory_free(directory);
    return status;
  }
  sim_ref(sim);
  *out = &directory->base;
  return BITCASK_OK;
}

static uint64_t sim_now_ms(struct disk *disk) {
  struct sim *sim = (struct sim *)disk;
  sim_lock(sim);
  uint64_t now = sim->image.now_ms;
  sim_unlock(sim);
  return now;
}

/* Each operation takes a microsecond. */
static uint64_t sim_monotonic_us(struct disk *disk) {
  struct sim *sim = (struct sim *)disk;
  sim_lock(sim);
  uint64_t now = sim->image.now_ms * 1000 + sim->ops;
  sim_unlock(sim);
  return now;
}

static uint32_t sim_boot(struct disk *disk) { return ((struct sim *)disk)->boot; }

/* SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), with the finaliser at hand. */
static uint64_t draw(struct sim *sim) {
  sim->random += UINT64_C(0x9e3779b97f4a7c15);
  return checksum_mix(sim->random);
}

static enum bitcask_status sim_random(struct disk *disk, void *into, size_t size) {
  struct sim *sim = (struct sim *)disk;
  struct sim_operation operation = sim_begin(sim, SIM_OP_RANDOM, "");
  if (operation.fault != NULL) return sim_end(&operation, sim_failure(&operation));
  for (size_t i = 0; i < size; i++) ((uint8_t *)into)[i] = (uint8_t)draw(sim);
  return sim_end(&operation, BITCASK_OK);
}

const struct disk_ops sim_disk_ops = {
    .open_directory = sim_open_directory,
    .now_ms = sim_now_ms,
    .monotonic_us = sim_monotonic_us,
    .boot = sim_boot,
    .random = sim_random,
};
