#include "disk/sim_disk.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/checksum.h"

struct sim_directory {
  struct disk_directory base;
  struct sim *sim;
  size_t folder;
  bool has_lock;
  atomic_uint open_files;
};

struct sim_file {
  struct disk_file base;
  struct sim_directory *directory;
  struct sim_node *node;
  uint64_t capacity; /* 0: space is not allocated ahead */
  char name[SIM_NAME_SIZE];
};

void sim_lock(struct sim *sim) {
  mutex_lock(&sim->lock);
  memory_exempt(true);
}

void sim_unlock(struct sim *sim) {
  memory_exempt(false);
  mutex_unlock(&sim->lock);
}

enum bitcask_status sim_change(struct sim *sim, const struct sim_change *change) {
  TRY(sim_image_apply(&sim->image, change));
  return sim->recorded != NULL ? sim_history_add(sim->recorded, change, sim->ops) : BITCASK_OK;
}

/* SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), with the finaliser at hand. */
static uint64_t draw(struct sim *sim) {
  sim->random += UINT64_C(0x9e3779b97f4a7c15);
  return checksum_mix(sim->random);
}

/* ---- Operations: counted, failing, written down ---- */

/* The lock is taken by `begin` and given back by `end`, which clang cannot follow. */

/* One operation, from when the disk begins it until sim_end. */
struct operation {
  struct sim *sim;
  const struct sim_fault *fault; /* how it is to fail, or NULL */
  struct sim_entry entry;
};

static struct operation begin(struct sim *sim, enum sim_op op, const char *name) UNCHECKED {
  sim_lock(sim);
  sim->ops++;
  struct operation operation = {.sim = sim, .entry = {.op = op}};
  snprintf(operation.entry.name, sizeof operation.entry.name, "%s", name);
  operation.fault = sim_faults_meet(&sim->faults, op, name);
  return operation;
}

static enum bitcask_status end(struct operation *operation, enum bitcask_status status) UNCHECKED {
  operation->entry.status = status;
  sim_trace_add(&operation->sim->trace, &operation->entry);
  sim_unlock(operation->sim);
  return status;
}

/* A fault that keeps the operation from being done. */
static bool prevents(const struct operation *operation) {
  return operation->fault != NULL && !operation->fault->is_done;
}

static enum bitcask_status fail(const struct operation *operation) {
  return status_fail(operation->fault->status, "%s: cannot %s: a simulated failure (%s)",
                     operation->entry.name, sim_op_name(operation->entry.op),
                     bitcask_status_name(operation->fault->status));
}

/* How an operation ends that was done, or could not be. */
static enum bitcask_status finish(struct operation *operation, enum bitcask_status status)
    UNCHECKED {
  if (status == BITCASK_OK && operation->fault != NULL) status = fail(operation);
  return end(operation, status);
}

static enum bitcask_status refuse(struct operation *operation, enum bitcask_status status,
                                  const char *why) {
  return end(operation, status_fail(status, "%s: cannot %s: %s", operation->entry.name,
                                    sim_op_name(operation->entry.op), why));
}

/* ---- Files ---- */

static struct sim *sim_of(const struct sim_file *file) { return file->directory->sim; }

static enum bitcask_status change_file(struct sim_file *file, enum sim_change_kind kind,
                                       uint64_t offset, uint64_t size, const uint8_t *data) {
  struct sim_change change = {
      .kind = kind, .node = file->node->id, .offset = offset, .size = size, .data = data};
  return sim_change(sim_of(file), &change);
}

static bool has_space(struct sim *sim, uint64_t more) {
  return sim->options.space == 0 || sim_image_used(&sim->image) + more <= sim->options.space;
}

/* Have space for `needed` bytes, and some ahead if that can be had. */
static enum bitcask_status allocate(struct sim_file *file, uint64_t needed) {
  struct sim *sim = sim_of(file);
  uint64_t length = file->node->length;
  if (needed <= length) return BITCASK_OK;
  uint64_t ahead = length > sim->options.allocation ? length * 2 : sim->options.allocation;
  if (ahead < needed) ahead = needed;
  if (ahead > file->capacity) ahead = file->capacity;
  if (!has_space(sim, ahead - length)) ahead = needed;
  if (!has_space(sim, ahead - length))
    return status_fail(BITCASK_NOSPACE, "%s: cannot allocate space: the simulated disk is full",
                       file->name);
  return change_file(file, SIM_LENGTH, 0, ahead, NULL);
}

static enum bitcask_status prepare(struct sim_file *file, uint64_t end_of_write,
                                   size_t headroom) {
  if (file->capacity == 0) {
    uint64_t length = file->node->length;
    if (end_of_write <= length) return BITCASK_OK;
    if (!has_space(sim_of(file), end_of_write - length))
      return status_fail(BITCASK_NOSPACE, "%s: cannot write: the simulated disk is full",
                         file->name);
    return change_file(file, SIM_LENGTH, 0, end_of_write, NULL);
  }
  uint64_t needed = end_of_write + headroom;
  if (end_of_write > file->capacity)
    return status_fail(BITCASK_INVALID,
                       "%s: %" PRIu64 " bytes are more than its capacity of %" PRIu64, file->name,
                       end_of_write, file->capacity);
  return allocate(file, needed < file->capacity ? needed : file->capacity);
}

static enum bitcask_status join(const bitcask_bytes *parts, size_t count,
                                struct bitcask_buffer *out) {
  for (size_t i = 0; i < count; i++) TRY(buffer_append(out, parts[i]));
  return BITCASK_OK;
}

/* A part of it was written, and undone when the rest failed. */
static enum bitcask_status append_in_part(struct sim_file *file, const struct operation *operation,
                                          uint64_t start, bitcask_bytes bytes) {
  uint64_t written = operation->fault->written;
  if (written > bytes.size) written = bytes.size;
  if (written > 0) {
    TRY(prepare(file, start + written, 0));
    TRY(change_file(file, SIM_WRITE, start, written, bytes.data));
    TRY(change_file(file, SIM_WRITE, start, written, NULL));
    if (file->capacity == 0) TRY(change_file(file, SIM_LENGTH, 0, start, NULL));
  }
  return fail(operation);
}

static enum bitcask_status append_whole(struct sim_file *file, uint64_t start,
                                        bitcask_bytes bytes, size_t headroom) {
  TRY(prepare(file, start + bytes.size, headroom));
  if (bytes.size > 0) TRY(change_file(file, SIM_WRITE, start, bytes.size, bytes.data));
  atomic_store_explicit(&file->base.size, start + bytes.size, memory_order_release);
  return BITCASK_OK;
}

static enum bitcask_status file_append(struct disk_file *base, const bitcask_bytes *parts,
                                       size_t count, size_t headroom) {
  struct sim_file *file = (struct sim_file *)base;
  struct bitcask_buffer buffer = {0};
  uint64_t start = disk_file_size(base);
  struct operation operation = begin(sim_of(file), SIM_OP_APPEND, file->name);
  enum bitcask_status status = join(parts, count, &buffer);
  bitcask_bytes bytes = bytes_of(buffer.data, buffer.size);
  operation.entry.offset = start;
  operation.entry.size = bytes.size;
  if (status == BITCASK_OK)
    status = operation.fault != NULL ? append_in_part(file, &operation, start, bytes)
                                     : append_whole(file, start, bytes, headroom);
  bitcask_buffer_release(&buffer);
  return end(&operation, status);
}

static enum bitcask_status file_read_at(struct disk_file *base, uint64_t offset, void *into,
                                        size_t size, size_t *got) {
  struct sim_file *file = (struct sim_file *)base;
  struct operation operation = begin(sim_of(file), SIM_OP_READ, file->name);
  operation.entry.offset = offset;
  operation.entry.size = size;
  const struct sim_fault *fault = operation.fault;
  if (fault != NULL && fault->got == UINT64_MAX) return end(&operation, fail(&operation));
  uint64_t length = file->node->length;
  uint64_t there = offset >= length ? 0 : length - offset;
  if (there > size) there = size;
  if (fault != NULL && there > fault->got) there = fault->got;
  if (there > 0) memcpy(into, file->node->seen + offset, (size_t)there);
  *got = (size_t)there;
  return end(&operation, BITCASK_OK);
}

/* After a failed flush nothing is known of what is durable, and what is not never will be;
 * unless the fault says that only the answer was lost. */
static enum bitcask_status file_sync(struct disk_file *base) {
  struct sim_file *file = (struct sim_file *)base;
  struct operation operation = begin(sim_of(file), SIM_OP_SYNC, file->name);
  enum sim_change_kind kind = prevents(&operation) ? SIM_FAIL_SYNC : SIM_SYNC;
  return finish(&operation, change_file(file, kind, 0, 0, NULL));
}

static enum bitcask_status file_finish(struct disk_file *base) {
  struct sim_file *file = (struct sim_file *)base;
  struct operation operation = begin(sim_of(file), SIM_OP_FINISH, file->name);
  enum bitcask_status status = BITCASK_OK;
  if (!prevents(&operation) && file->node->length > disk_file_size(base))
    status = change_file(file, SIM_LENGTH, 0, disk_file_size(base), NULL);
  return finish(&operation, status);
}

static void file_freeze(struct disk_file *base) { (void)base; }

static void file_forget(struct disk_file *base, uint64_t offset, uint64_t size) {
  (void)base;
  (void)offset;
  (void)size;
}

static void file_close(struct disk_file *base) {
  struct sim_file *file = (struct sim_file *)base;
  struct sim *sim = sim_of(file);
  sim_lock(sim);
  sim_node_unref(file->node);
  sim_unlock(sim);
  atomic_fetch_sub(&file->directory->open_files, 1);
  memory_free(file);
}

static const struct disk_file_ops file_ops = {
    .append = file_append,
    .read_at = file_read_at,
    .sync = file_sync,
    .finish = file_finish,
    .freeze = file_freeze,
    .forget = file_forget,
    .close = file_close,
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
  struct sim_file *file = memory_zeroed(1, sizeof *file);
  if (file == NULL) return BITCASK_NOMEMORY;
  file->base.ops = &file_ops;
  file->directory = directory;
  file->node = sim_node_ref(sim_names_find(names_of(directory), name));
  file->capacity = capacity;
  snprintf(file->name, sizeof file->name, "%s", name);
  atomic_store(&file->base.size, file->node->length);
  enum bitcask_status status = sim_node_reserve(file->node, capacity);
  if (status != BITCASK_OK) {
    sim_node_unref(file->node);
    memory_free(file);
    return status;
  }
  atomic_fetch_add(&directory->open_files, 1);
  *out = &file->base;
  return BITCASK_OK;
}

/* Let the file be read where it stands; its bytes do not move while the handle is open. */
static void map(struct sim *sim, struct disk_file *base) {
  const struct sim_node *node = ((struct sim_file *)base)->node;
  if (!sim->options.is_unmapped) base->map = node->seen;
}

static enum bitcask_status create_file(struct sim_directory *directory, const char *name,
                                       uint64_t capacity, struct disk_file **out) {
  TRY(change_names(directory, SIM_CREATE, name, NULL));
  TRY(hold(directory, name, capacity, out));
  if (capacity > 0) map(directory->sim, *out);
  return BITCASK_OK;
}

static enum bitcask_status directory_create(struct disk_directory *base, const char *name,
                                            uint64_t capacity, struct disk_file **out) {
  struct sim_directory *directory = (struct sim_directory *)base;
  struct operation operation = begin(directory->sim, SIM_OP_CREATE, name);
  if (sim_names_find(names_of(directory), name) != NULL)
    return refuse(&operation, BITCASK_EXISTS, "it exists");
  if (prevents(&operation)) return end(&operation, fail(&operation));
  struct disk_file *made = NULL;
  enum bitcask_status status =
      finish(&operation, create_file(directory, name, capacity, &made));
  if (status == BITCASK_OK)
    *out = made;
  else
    disk_file_close(made);
  return status;
}

static enum bitcask_status directory_reserve(struct disk_directory *base, const char *name,
                                             uint64_t size) {
  struct sim_directory *directory = (struct sim_directory *)base;
  struct operation operation = begin(directory->sim, SIM_OP_RESERVE, name);
  if (sim_names_find(names_of(directory), name) != NULL)
    return refuse(&operation, BITCASK_EXISTS, "it exists");
  if (!has_space(directory->sim, size))
    return refuse(&operation, BITCASK_NOSPACE, "the simulated disk is full");
  if (prevents(&operation)) return end(&operation, fail(&operation));
  enum bitcask_status status = change_names(directory, SIM_CREATE, name, NULL);
  if (status == BITCASK_OK) {
    struct sim_change change = {.kind = SIM_HOLD,
                                .node = sim_names_find(names_of(directory), name)->id,
                                .size = size};
    status = sim_change(directory->sim, &change);
  }
  return finish(&operation, status);
}

static enum bitcask_status open_file(struct operation *operation, struct sim_directory *directory,
                                     const char *name, uint64_t capacity, struct disk_file **out)
    UNCHECKED {
  if (sim_names_find(names_of(directory), name) == NULL)
    return refuse(operation, BITCASK_NOTFOUND, "no such file");
  if (operation->fault != NULL) return end(operation, fail(operation));
  return end(operation, hold(directory, name, capacity, out));
}

static enum bitcask_status directory_open(struct disk_directory *base, const char *name,
                                          bool growing, struct disk_file **out) {
  struct sim_directory *directory = (struct sim_directory *)base;
  struct operation operation = begin(directory->sim, SIM_OP_OPEN, name);
  TRY(open_file(&operation, directory, name, 0, out));
  if (!growing && disk_file_size(*out) > 0) map(directory->sim, *out);
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
  struct operation operation = begin(directory->sim, SIM_OP_REOPEN, name);
  struct disk_file *file = NULL;
  TRY(open_file(&operation, directory, name, capacity > size ? capacity : size, &file));
  if (disk_file_size(file) != size) {
    uint64_t found = disk_file_size(file);
    file_close(file);
    return status_fail(BITCASK_CORRUPT, "%s: %" PRIu64 " bytes, where %" PRIu64 " were written",
                       name, found, size);
  }
  map(directory->sim, file);
  *out = file;
  return BITCASK_OK;
}

static enum bitcask_status change_name(struct sim_directory *directory, enum sim_op op,
                                       enum sim_change_kind kind, const char *name,
                                       const char *to) {
  struct operation operation = begin(directory->sim, op, name);
  if (sim_names_find(names_of(directory), name) == NULL)
    return refuse(&operation, BITCASK_NOTFOUND, "no such file");
  if (prevents(&operation)) return end(&operation, fail(&operation));
  return finish(&operation, change_names(directory, kind, name, to));
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
  struct operation operation = begin(directory->sim, SIM_OP_SYNC_DIRECTORY, "");
  enum sim_change_kind kind = prevents(&operation) ? SIM_FAIL_NAMES : SIM_SYNC_NAMES;
  return finish(&operation, change_names(directory, kind, NULL, NULL));
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
  struct operation operation = begin(directory->sim, SIM_OP_LIST, "");
  enum bitcask_status status =
      operation.fault != NULL ? fail(&operation) : copy_names(directory, &names);
  status = end(&operation, status);
  const char *text = names.data;
  for (size_t at = 0; status == BITCASK_OK && at < names.size; at += strlen(text + at) + 1)
    each(context, text + at);
  bitcask_buffer_release(&names);
  return status;
}

static enum bitcask_status directory_lock(struct disk_directory *base, const char *name) {
  struct sim_directory *directory = (struct sim_directory *)base;
  struct sim *sim = directory->sim;
  struct operation operation = begin(sim, SIM_OP_LOCK, name);
  if (operation.fault != NULL) return end(&operation, fail(&operation));
  if (sim->locked[directory->folder])
    return refuse(&operation, BITCASK_LOCKED, "the store is open for writing elsewhere");
  enum bitcask_status status = BITCASK_OK;
  if (sim_names_find(names_of(directory), name) == NULL)
    status = change_names(directory, SIM_CREATE, name, NULL);
  if (status == BITCASK_OK) sim->locked[directory->folder] = directory->has_lock = true;
  return end(&operation, status);
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
  struct operation operation = begin(sim, SIM_OP_OPEN_DIRECTORY, path);
  enum bitcask_status status = operation.fault != NULL
                                   ? fail(&operation)
                                   : find_folder(sim, path, create, directory);
  status = end(&operation, status);
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

static enum bitcask_status sim_random(struct disk *disk, void *into, size_t size) {
  struct sim *sim = (struct sim *)disk;
  struct operation operation = begin(sim, SIM_OP_RANDOM, "");
  if (operation.fault != NULL) return end(&operation, fail(&operation));
  for (size_t i = 0; i < size; i++) ((uint8_t *)into)[i] = (uint8_t)draw(sim);
  return end(&operation, BITCASK_OK);
}

const struct disk_ops sim_disk_ops = {
    .open_directory = sim_open_directory,
    .now_ms = sim_now_ms,
    .monotonic_us = sim_monotonic_us,
    .boot = sim_boot,
    .random = sim_random,
};
