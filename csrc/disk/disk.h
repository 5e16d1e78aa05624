/*
 * The disk: everything the engine asks of the outside world, as tables of operations, so
 * that a simulated disk can stand in with the engine unchanged.
 *
 *   disk ── open_directory ──> directory ── create, open ──> file
 *
 * Promises that every implementation keeps:
 *   - append is all or nothing: after a failure the file reads as before, and the next
 *     append goes where this one would have gone. Appended bytes can be read at once,
 *     by this process even if it is killed and comes back, but are durable only after sync.
 *   - sync: on OK every earlier append to the file survives a power cut. After a failure
 *     nothing is known of what is durable, and syncing again proves nothing.
 *   - create, rename and remove are atomic each, and durable only after the directory's
 *     sync. A file's own sync does not make its name durable.
 *   - bytes [0, size) of a file whose `map` is not NULL can be read at that address until
 *     the file is closed, while appends go on, too. `map` never moves.
 *   - Names are plain names inside the directory, never paths.
 *
 * Threads: the operations of a disk and of a directory may be used by several threads;
 * appending to one file needs outside exclusion, finish and freeze included; reading what an
 * append has finished, make_ready and sync may go on beside appends.
 */
#ifndef BITCASK_DISK_DISK_H
#define BITCASK_DISK_DISK_H

#include <stdatomic.h>

#include "base/bytes.h"

struct disk_file {
  const struct disk_file_ops *ops;
  const uint8_t *map;       /* NULL: read with read_at */
  atomic_uint_least64_t size; /* bytes; grows with each append */
};

struct disk_file_ops {
  /* Append all parts as one. NOSPACE unless `headroom` bytes would be left for later
   * appends as well: that is how deletes still find room where puts no longer do. */
  enum bitcask_status (*append)(struct disk_file *file, const bitcask_bytes *parts,
                                size_t count, size_t headroom);
  /* Take ahead what appends up to `end` would wait for; on another thread than they, too. It only
   * saves time, and is for files that are flushed seldom. */
  void (*make_ready)(struct disk_file *file, uint64_t end);
  /* Have space for appends up to `end`, and nothing else, before the first of them. It only saves
   * time: what cannot be had is left to them. */
  void (*allocate)(struct disk_file *file, uint64_t end);
  /* *got < size means the end of the file, and is no error. */
  enum bitcask_status (*read_at)(struct disk_file *file, uint64_t offset, void *into,
                                 size_t size, size_t *got);
  enum bitcask_status (*sync)(struct disk_file *file);
  /* Begin to write down what was appended, without waiting; a sync that follows has less to
   * do. It proves nothing: what went wrong is the sync's to tell. */
  void (*start_sync)(struct disk_file *file);
  /* No more appends will come: give back what was allocated ahead. Not durable by itself. */
  enum bitcask_status (*finish)(struct disk_file *file);
  /* Neither an append nor a sync will come: let go of what only they need. */
  void (*freeze)(struct disk_file *file);
  /* Of a file opened by open_private: nobody will look at these bytes of its mapping again. */
  void (*forget)(struct disk_file *file, uint64_t offset, uint64_t size);
  /* These bytes will be read soon: begin to load them. What nobody announces is loaded from a
   * mapping where it is touched, and nothing beyond it. It only saves time. */
  void (*will_read)(struct disk_file *file, uint64_t offset, uint64_t size);
  /* These bytes are read next: where they are in no cache they are loaded together, and maybe
   * waited for. It only saves time, and takes next to none where it cannot save any. */
  void (*load)(struct disk_file *file, uint64_t offset, uint64_t size);
  /* These bytes were appended just now, and will be read here and there: take ahead what the
   * first who reads them from the mapping would wait for. It only saves time. */
  void (*have_at_hand)(struct disk_file *file, uint64_t offset, uint64_t size);
  /* Cannot fail: whatever must survive was synced before. */
  void (*close)(struct disk_file *file);
};

struct disk_directory {
  const struct disk_directory_ops *ops;
};

/* What identifies a directory in this process, whatever path leads to it. */
struct disk_identity {
  uint64_t device;
  uint64_t inode;
};

typedef void (*disk_name_function)(void *context, const char *name);

struct disk_directory_ops {
  /* A new empty file for appending; EXISTS where the name is taken. `capacity`: it will
   * not grow beyond this and shall be readable while it grows; 0: neither is needed. */
  enum bitcask_status (*create)(struct disk_directory *directory, const char *name,
                                uint64_t capacity, struct disk_file **out);
  /* An existing file, for reading; NOTFOUND where there is none. `growing`: another
   * process may append to it or cut what it allocated ahead. */
  enum bitcask_status (*open)(struct disk_directory *directory, const char *name, bool growing,
                              struct disk_file **out);
  /* An existing file that nobody changes any more, for reading; its mapping, where it has
   * one, may be written to, which changes the memory of this process and not the file. */
  enum bitcask_status (*open_private)(struct disk_directory *directory, const char *name,
                                      struct disk_file **out);
  /* An existing file of exactly `size` bytes, for appending as after create. */
  enum bitcask_status (*reopen)(struct disk_directory *directory, const char *name,
                                uint64_t size, uint64_t capacity, struct disk_file **out);
  /* A new file of length 0 that holds `size` bytes of space until it is removed; EXISTS,
   * NOSPACE, or IO where space cannot be held. */
  enum bitcask_status (*reserve)(struct disk_directory *directory, const char *name,
                                 uint64_t size);
  enum bitcask_status (*remove)(struct disk_directory *directory, const char *name);
  enum bitcask_status (*rename)(struct disk_directory *directory, const char *from,
                                const char *to);
  enum bitcask_status (*sync)(struct disk_directory *directory);
  /* Call `each` with every name but "." and "..". */
  enum bitcask_status (*list)(struct disk_directory *directory, disk_name_function each,
                              void *context);
  /* Take the exclusive lock that the named file stands for, making the file if need be.
   * LOCKED when another process holds it. It is the directory's until unlock or close, and
   * the system's to release when the process dies. */
  enum bitcask_status (*lock)(struct disk_directory *directory, const char *name);
  void (*unlock)(struct disk_directory *directory);
  void (*identify)(struct disk_directory *directory, struct disk_identity *out);
  unsigned (*open_files)(struct disk_directory *directory);
  /* How many bytes of space are left for files here, as far as can be told; UINT64_MAX: it
   * cannot. No promise: others may take it, and quotas may be narrower. */
  uint64_t (*free_space)(struct disk_directory *directory);
  void (*close)(struct disk_directory *directory);
};

struct disk {
  const struct disk_ops *ops;
};

struct disk_ops {
  /* NOTFOUND where there is none and `create` is not set. A directory that was made is
   * durable, name and all, on OK. */
  enum bitcask_status (*open_directory)(struct disk *disk, const char *path, bool create,
                                        struct disk_directory **out);
  uint64_t (*now_ms)(struct disk *disk);      /* since 1970, by the wall clock */
  uint64_t (*monotonic_us)(struct disk *disk); /* never steps back */
  /* The same number as long as the machine has not been started anew; 0: unknown. While it
   * is the same, no write can have been lost, whatever became of the process. */
  uint32_t (*boot)(struct disk *disk);
  /* Fill with bytes nobody can guess. */
  enum bitcask_status (*random)(struct disk *disk, void *into, size_t size);
};

/* The operating system's. */
struct disk *disk_posix(void);

/* Remove a name in clearing up: whatever comes of that, the error text stays. */
void disk_remove_quietly(struct disk_directory *directory, const char *name);

static inline uint64_t disk_file_size(const struct disk_file *file) {
  return atomic_load_explicit(&file->size, memory_order_acquire);
}

/* NULL is fine. */
void disk_file_close(struct disk_file *file);

/* What the mapping does not have; for the next function alone. */
enum bitcask_status disk_file_fetch(struct disk_file *file, uint64_t offset, size_t size,
                                    struct bitcask_buffer *scratch, const uint8_t **out);

/* The bytes [offset, offset + size) of a file: from its mapping where there is one, else
 * read into *scratch, whose contents they become. CORRUPT where the file is shorter. */
INLINE enum bitcask_status disk_file_view(struct disk_file *file, uint64_t offset, size_t size,
                                          struct bitcask_buffer *scratch, const uint8_t **out) {
  uint64_t end = disk_file_size(file);
  if (file->map == NULL || size > end || offset > end - size) {
    const uint8_t *fetched = NULL;
    enum bitcask_status status = disk_file_fetch(file, offset, size, scratch, &fetched);
    *out = fetched;
    return status;
  }
  *out = file->map + offset;
  return BITCASK_OK;
}

enum { DISK_AHEAD_SIZE = 8 << 20 };

/* Announce what is not announced yet of the bytes up to `end`, and of those behind them. */
void disk_file_announce(struct disk_file *file, uint64_t offset, uint64_t end,
                        uint64_t *announced);

/* For whoever reads a file on and on, at each step: the bytes [offset, end) are next.
 * *announced, 0 at first, is where the announced bytes end. */
static inline void disk_file_read_on(struct disk_file *file, uint64_t offset, uint64_t end,
                                     uint64_t *announced) {
  if (end + DISK_AHEAD_SIZE / 2 >= *announced) disk_file_announce(file, offset, end, announced);
}

/* The whole of a file, at most `limit` bytes (else CORRUPT), into *into. */
enum bitcask_status disk_read_whole(struct disk_directory *directory, const char *name,
                                    size_t limit, struct bitcask_buffer *into);

/* Make the file `name` hold `bytes`, durably: `temporary` is written and synced, then
 * renamed. The new name is durable only after the directory's sync. */
enum bitcask_status disk_replace(struct disk_directory *directory, const char *temporary,
                                 const char *name, bitcask_bytes bytes);

#endif
