#include "disk/sim_file.h"

#include <inttypes.h>
#include <stdio.h>

struct sim_file {
  struct disk_file base;
  struct sim *sim;
  atomic_uint *open_files; /* of the directory */
  struct sim_node *node;
  uint64_t capacity; /* 0: space is not allocated ahead */
  char name[SIM_NAME_SIZE];
};

static enum bitcask_status change_file(struct sim_file *file, enum sim_change_kind kind,
                                       uint64_t offset, uint64_t size, const uint8_t *data) {
  struct sim_change change = {
      .kind = kind, .node = file->node->id, .offset = offset, .size = size, .data = data};
  return sim_change(file->sim, &change);
}

/* Have space for `needed` bytes, and some ahead if that can be had. */
static enum bitcask_status allocate(struct sim_file *file, uint64_t needed) {
  struct sim *sim = file->sim;
  uint64_t length = file->node->length;
  if (needed <= length) return BITCASK_OK;
  uint64_t ahead = length > sim->options.allocation ? length * 2 : sim->options.allocation;
  if (ahead < needed) ahead = needed;
  if (ahead > file->capacity) ahead = file->capacity;
  if (!sim_has_space(sim, ahead - length)) ahead = needed;
  if (!sim_has_space(sim, ahead - length))
    return status_fail(BITCASK_NOSPACE, "%s: cannot allocate space: the simulated disk is full",
                       file->name);
  return change_file(file, SIM_LENGTH, 0, ahead, NULL);
}

static enum bitcask_status prepare(struct sim_file *file, uint64_t end_of_write,
                                   size_t headroom) {
  if (file->capacity == 0) {
    uint64_t length = file->node->length;
    if (end_of_write <= length) return BITCASK_OK;
    if (!sim_has_space(file->sim, end_of_write - length))
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
static enum bitcask_status append_in_part(struct sim_file *file,
                                          const struct sim_operation *operation, uint64_t start,
                                          bitcask_bytes bytes) {
  uint64_t written = operation->fault->written;
  if (written > bytes.size) written = bytes.size;
  if (written > 0) {
    TRY(prepare(file, start + written, 0));
    TRY(change_file(file, SIM_WRITE, start, written, bytes.data));
    TRY(change_file(file, SIM_WRITE, start, written, NULL));
    if (file->capacity == 0) TRY(change_file(file, SIM_LENGTH, 0, start, NULL));
  }
  return sim_failure(operation);
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
  struct sim_operation operation = sim_begin(file->sim, SIM_OP_APPEND, file->name);
  enum bitcask_status status = join(parts, count, &buffer);
  bitcask_bytes bytes = bytes_of(buffer.data, buffer.size);
  operation.entry.offset = start;
  operation.entry.size = bytes.size;
  if (status == BITCASK_OK)
    status = operation.fault != NULL ? append_in_part(file, &operation, start, bytes)
                                     : append_whole(file, start, bytes, headroom);
  bitcask_buffer_release(&buffer);
  return sim_end(&operation, status);
}

/* Nothing that only saves time is done here. */
static void take_nothing_ahead(struct disk_file *base, uint64_t end) {
  (void)base;
  (void)end;
}

static enum bitcask_status file_read_at(struct disk_file *base, uint64_t offset, void *into,
                                        size_t size, size_t *got) {
  struct sim_file *file = (struct sim_file *)base;
  struct sim_operation operation = sim_begin(file->sim, SIM_OP_READ, file->name);
  operation.entry.offset = offset;
  operation.entry.size = size;
  const struct sim_fault *fault = operation.fault;
  if (fault != NULL && fault->got == UINT64_MAX)
    return sim_end(&operation, sim_failure(&operation));
  uint64_t length = file->node->length;
  uint64_t there = offset >= length ? 0 : length - offset;
  if (there > size) there = size;
  if (fault != NULL && there > fault->got) there = fault->got;
  if (there > 0) memcpy(into, file->node->seen + offset, (size_t)there);
  *got = (size_t)there;
  return sim_end(&operation, BITCASK_OK);
}

/* After a failed flush nothing is known of what is durable, and what is not never will be;
 * unless the fault says that only the answer was lost. */
static enum bitcask_status file_sync(struct disk_file *base) {
  struct sim_file *file = (struct sim_file *)base;
  struct sim_operation operation = sim_begin(file->sim, SIM_OP_SYNC, file->name);
  enum sim_change_kind kind = sim_prevents(&operation) ? SIM_FAIL_SYNC : SIM_SYNC;
  return sim_finish(&operation, change_file(file, kind, 0, 0, NULL));
}

static void file_start_sync(struct disk_file *base) { (void)base; }

static enum bitcask_status file_finish(struct disk_file *base) {
  struct sim_file *file = (struct sim_file *)base;
  struct sim_operation operation = sim_begin(file->sim, SIM_OP_FINISH, file->name);
  enum bitcask_status status = BITCASK_OK;
  if (!sim_prevents(&operation) && file->node->length > disk_file_size(base))
    status = change_file(file, SIM_LENGTH, 0, disk_file_size(base), NULL);
  return sim_finish(&operation, status);
}

static void file_freeze(struct disk_file *base) { (void)base; }

static void file_forget(struct disk_file *base, uint64_t offset, uint64_t size) {
  (void)base;
  (void)offset;
  (void)size;
}

static void file_will_read(struct disk_file *base, uint64_t offset, uint64_t size) {
  (void)base;
  (void)offset;
  (void)size;
}

static void file_have_at_hand(struct disk_file *base, uint64_t offset, uint64_t size) {
  (void)base;
  (void)offset;
  (void)size;
}

static void file_close(struct disk_file *base) {
  struct sim_file *file = (struct sim_file *)base;
  struct sim *sim = file->sim;
  sim_lock(sim);
  file->node->handles--;
  sim_node_unref(file->node);
  sim_unlock(sim);
  atomic_fetch_sub(file->open_files, 1);
  memory_free(file);
}

static const struct disk_file_ops file_ops = {
    .append = file_append,
    .make_ready = take_nothing_ahead,
    .allocate = take_nothing_ahead,
    .read_at = file_read_at,
    .sync = file_sync,
    .start_sync = file_start_sync,
    .finish = file_finish,
    .freeze = file_freeze,
    .forget = file_forget,
    .will_read = file_will_read,
    .load = file_will_read,
    .have_at_hand = file_have_at_hand,
    .close = file_close,
};

enum bitcask_status sim_file_open(struct sim *sim, const char *name, struct sim_node *node,
                                  uint64_t capacity, atomic_uint *open_files,
                                  struct disk_file **out) {
  struct sim_file *file = memory_zeroed(1, sizeof *file);
  if (file == NULL) return BITCASK_NOMEMORY;
  file->base.ops = &file_ops;
  file->sim = sim;
  file->open_files = open_files;
  file->node = sim_node_ref(node);
  file->capacity = capacity;
  snprintf(file->name, sizeof file->name, "%s", name);
  atomic_store(&file->base.size, file->node->length);
  enum bitcask_status status = sim_node_reserve(file->node, capacity);
  if (status != BITCASK_OK) {
    sim_node_unref(file->node);
    memory_free(file);
    return status;
  }
  node->handles++;
  atomic_fetch_add(open_files, 1);
  *out = &file->base;
  return BITCASK_OK;
}

void sim_file_map(struct disk_file *base) {
  const struct sim_file *file = (const struct sim_file *)base;
  if (!file->sim->options.is_unmapped) base->map = file->node->seen;
}

/* ---- Writing in place ---- */

uint64_t sim_file_length(struct disk_file *base) {
  struct sim_file *file = (struct sim_file *)base;
  sim_lock(file->sim);
  uint64_t length = file->node->length;
  sim_unlock(file->sim);
  return length;
}

static void know_length(struct sim_file *file) {
  atomic_store_explicit(&file->base.size, file->node->length, memory_order_release);
}

static enum bitcask_status write_in_place(struct sim_file *file, uint64_t offset,
                                          bitcask_bytes bytes) {
  if (bytes.size == 0) return BITCASK_OK;
  TRY(prepare(file, offset + bytes.size, 0));
  TRY(change_file(file, SIM_WRITE, offset, bytes.size, bytes.data));
  know_length(file);
  return BITCASK_OK;
}

enum bitcask_status sim_file_write_at(struct disk_file *base, uint64_t offset,
                                      bitcask_bytes bytes) {
  struct sim_file *file = (struct sim_file *)base;
  struct sim_operation operation = sim_begin(file->sim, SIM_OP_WRITE_AT, file->name);
  operation.entry.offset = offset;
  operation.entry.size = bytes.size;
  if (sim_prevents(&operation) && bytes.size > operation.fault->written)
    bytes.size = (size_t)operation.fault->written;
  return sim_finish(&operation, write_in_place(file, offset, bytes));
}

enum bitcask_status sim_file_cut(struct disk_file *base, uint64_t length) {
  struct sim_file *file = (struct sim_file *)base;
  struct sim_operation operation = sim_begin(file->sim, SIM_OP_CUT, file->name);
  operation.entry.offset = length;
  if (length > file->node->length)
    return sim_refuse(&operation, BITCASK_INVALID, "the file is shorter than that");
  if (sim_prevents(&operation)) return sim_end(&operation, sim_failure(&operation));
  enum bitcask_status status = change_file(file, SIM_LENGTH, 0, length, NULL);
  if (status == BITCASK_OK) know_length(file);
  return sim_finish(&operation, status);
}
