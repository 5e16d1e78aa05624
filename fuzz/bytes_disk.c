#include "bytes_disk.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

struct bytes_file {
  struct disk_file file;
  struct bytes_disk *disk;
  bitcask_bytes content; /* the disk's */
};

static struct bytes_disk *of_directory(struct disk_directory *directory) {
  return (struct bytes_disk *)((char *)directory - offsetof(struct bytes_disk, directory));
}

static enum bitcask_status refused(void) {
  return status_fail(BITCASK_IO, "nothing can be written here");
}

/* ---- Files ---- */

static enum bitcask_status file_append(struct disk_file *file, const bitcask_bytes *parts,
                                       size_t count, size_t headroom) {
  (void)file, (void)parts, (void)count, (void)headroom;
  return refused();
}

static void file_make_ready(struct disk_file *file, uint64_t end) { (void)file, (void)end; }

static enum bitcask_status file_read_at(struct disk_file *file, uint64_t offset, void *into,
                                        size_t size, size_t *got) {
  bitcask_bytes content = ((struct bytes_file *)file)->content;
  uint64_t left = offset < content.size ? content.size - offset : 0;
  *got = size < left ? size : (size_t)left;
  if (*got > 0) memcpy(into, (const uint8_t *)content.data + offset, *got);
  return BITCASK_OK;
}

static enum bitcask_status file_refuse(struct disk_file *file) {
  (void)file;
  return refused();
}

static void file_freeze(struct disk_file *file) { (void)file; }

static void file_forget(struct disk_file *file, uint64_t offset, uint64_t size) {
  (void)file, (void)offset, (void)size;
}

static void file_will_read(struct disk_file *file, uint64_t offset, uint64_t size) {
  (void)file, (void)offset, (void)size;
}

static void file_have_at_hand(struct disk_file *file, uint64_t offset, uint64_t size) {
  (void)file, (void)offset, (void)size;
}

static void file_close(struct disk_file *file) {
  ((struct bytes_file *)file)->disk->open_files--;
  memory_free(file);
}

static const struct disk_file_ops file_ops = {
    .append = file_append,
    .make_ready = file_make_ready,
    .read_at = file_read_at,
    .sync = file_refuse,
    .finish = file_refuse,
    .freeze = file_freeze,
    .forget = file_forget,
    .will_read = file_will_read,
    .have_at_hand = file_have_at_hand,
    .close = file_close,
};

/* ---- The directory ---- */

static enum bitcask_status directory_create(struct disk_directory *directory, const char *name,
                                            uint64_t capacity, struct disk_file **out) {
  (void)directory, (void)name, (void)capacity, (void)out;
  return refused();
}

static enum bitcask_status directory_open(struct disk_directory *directory, const char *name,
                                          bool growing, struct disk_file **out) {
  struct bytes_disk *disk = of_directory(directory);
  size_t i = 0;
  (void)growing;
  while (i < disk->count && strcmp(disk->files[i].name, name) != 0) i++;
  if (i == disk->count) return status_fail(BITCASK_NOTFOUND, "%s: is not there", name);
  struct bytes_file *file = memory_zeroed(1, sizeof *file);
  if (file == NULL) return BITCASK_NOMEMORY;
  file->file.ops = &file_ops;
  file->file.map = disk->is_mapped ? disk->files[i].content : NULL;
  atomic_init(&file->file.size, disk->files[i].size);
  file->disk = disk;
  file->content = bytes_of(disk->files[i].content, disk->files[i].size);
  disk->open_files++;
  *out = &file->file;
  return BITCASK_OK;
}

/* Its bytes are this disk's own: they may be written to. */
static enum bitcask_status directory_open_private(struct disk_directory *directory,
                                                  const char *name, struct disk_file **out) {
  return directory_open(directory, name, false, out);
}

static enum bitcask_status directory_reopen(struct disk_directory *directory, const char *name,
                                            uint64_t size, uint64_t capacity,
                                            struct disk_file **out) {
  (void)directory, (void)name, (void)size, (void)capacity, (void)out;
  return refused();
}

static enum bitcask_status directory_reserve(struct disk_directory *directory, const char *name,
                                             uint64_t size) {
  (void)directory, (void)name, (void)size;
  return refused();
}

static enum bitcask_status directory_remove(struct disk_directory *directory, const char *name) {
  (void)directory, (void)name;
  return refused();
}

static enum bitcask_status directory_rename(struct disk_directory *directory, const char *from,
                                            const char *to) {
  (void)directory, (void)from, (void)to;
  return refused();
}

static enum bitcask_status directory_sync(struct disk_directory *directory) {
  (void)directory;
  return refused();
}

static enum bitcask_status directory_list(struct disk_directory *directory,
                                          disk_name_function each, void *context) {
  struct bytes_disk *disk = of_directory(directory);
  for (size_t i = 0; i < disk->count; i++) each(context, disk->files[i].name);
  return BITCASK_OK;
}

static enum bitcask_status directory_lock(struct disk_directory *directory, const char *name) {
  (void)directory, (void)name;
  return refused();
}

static void directory_unlock(struct disk_directory *directory) { (void)directory; }

static void directory_identify(struct disk_directory *directory, struct disk_identity *out) {
  *out = (struct disk_identity){.device = 1, .inode = (uintptr_t)directory};
}

static unsigned directory_open_files(struct disk_directory *directory) {
  return of_directory(directory)->open_files;
}

static uint64_t directory_free_space(struct disk_directory *directory) {
  (void)directory;
  return 0;
}

static void directory_close(struct disk_directory *directory) { (void)directory; }

static const struct disk_directory_ops directory_ops = {
    .create = directory_create,
    .open = directory_open,
    .open_private = directory_open_private,
    .reopen = directory_reopen,
    .reserve = directory_reserve,
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

static enum bitcask_status disk_open_directory(struct disk *disk, const char *path, bool create,
                                               struct disk_directory **out) {
  (void)path, (void)create;
  *out = &((struct bytes_disk *)disk)->directory;
  return BITCASK_OK;
}

static uint64_t disk_now_ms(struct disk *disk) {
  (void)disk;
  return BYTES_DISK_NOW_MS;
}

static uint64_t disk_monotonic_us(struct disk *disk) {
  (void)disk;
  return 0;
}

static uint32_t disk_boot(struct disk *disk) { return ((struct bytes_disk *)disk)->boot; }

static enum bitcask_status disk_random(struct disk *disk, void *into, size_t size) {
  (void)disk;
  memset(into, 0x5A, size);
  return BITCASK_OK;
}

static const struct disk_ops disk_ops = {
    .open_directory = disk_open_directory,
    .now_ms = disk_now_ms,
    .monotonic_us = disk_monotonic_us,
    .boot = disk_boot,
    .random = disk_random,
};

void bytes_disk_init(struct bytes_disk *disk, bool is_mapped, uint32_t boot) {
  *disk = (struct bytes_disk){.is_mapped = is_mapped, .boot = boot};
  disk->disk.ops = &disk_ops;
  disk->directory.ops = &directory_ops;
}

void bytes_disk_release(struct bytes_disk *disk) {
  for (size_t i = 0; i < disk->count; i++) free(disk->files[i].content);
  disk->count = 0;
}

uint8_t *bytes_disk_add(struct bytes_disk *disk, const char *name, bitcask_bytes content) {
  for (size_t i = 0; i < disk->count; i++)
    if (strcmp(disk->files[i].name, name) == 0) return NULL;
  if (disk->count == BYTES_DISK_FILES_MAX) return NULL;
  uint8_t *copy = malloc(content.size);
  if (copy == NULL) return NULL;
  if (content.size > 0) memcpy(copy, content.data, content.size);
  snprintf(disk->files[disk->count].name, sizeof disk->files[0].name, "%s", name);
  disk->files[disk->count].content = copy;
  disk->files[disk->count++].size = content.size;
  return copy;
}
