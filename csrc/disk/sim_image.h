/*
 * What a simulated disk holds: directories, names and files, and of each what programs see,
 * what is durable, and which changes a power cut may keep or lose. All of it changes through
 * sim_image_apply, so that a recorded history can be played again, change by change.
 *
 * A change of a directory's names is atomic and durable only after the directory's sync; of
 * several, a power cut may keep any. A file's sync does not make its name durable.
 */
#ifndef BITCASK_DISK_SIM_IMAGE_H
#define BITCASK_DISK_SIM_IMAGE_H

#include "disk/sim_node.h"

/* Names of files and of directories are no longer than this, with their final zeros. */
enum { SIM_NAME_SIZE = 64, SIM_PATH_SIZE = 256 };

struct sim_name {
  char text[SIM_NAME_SIZE];
  struct sim_node *node;
};

struct sim_names {
  struct sim_name *all;
  size_t count;
};

/* A change of names that is not durable. */
struct sim_name_change {
  char text[SIM_NAME_SIZE];    /* leads to `node` now, or is gone when that is NULL */
  char removed[SIM_NAME_SIZE]; /* is gone as well: what was renamed; "" for none */
  struct sim_node *node;
  uint64_t when;
  bool is_stuck;
};

struct sim_folder {
  char path[SIM_PATH_SIZE];
  bool is_durable; /* its own name */
  uint64_t when;   /* that name came */
  struct sim_names seen;
  struct sim_names durable;
  struct sim_name_change *changes;
  size_t change_count;
};

struct sim_image {
  struct sim_folder *folders;
  size_t folder_count;
  struct sim_node **nodes; /* by id, all that a name or a handle leads to */
  size_t node_count;
  uint64_t next_node; /* id of the next file to be made */
  uint64_t changes;   /* made so far */
  uint64_t now_ms;    /* since 1970, by the wall clock */
};

enum sim_change_kind {
  SIM_MAKE_FOLDER, /* path in `name` */
  SIM_SYNC_ROOT,   /* the names of all folders are durable */
  SIM_CREATE,      /* folder, name: a new empty file */
  SIM_REMOVE,      /* folder, name */
  SIM_RENAME,      /* folder, name, to */
  SIM_SYNC_NAMES,  /* folder */
  SIM_FAIL_NAMES,  /* folder: its sync failed */
  SIM_WRITE,       /* node, offset, size, data (NULL: zeros) */
  SIM_LENGTH,      /* node, size: its length from now on */
  SIM_HOLD,        /* node, size: space kept for it */
  SIM_SYNC,        /* node */
  SIM_FAIL_SYNC,   /* node: its sync failed */
  SIM_CLOCK        /* size: milliseconds since 1970 */
};

struct sim_change {
  enum sim_change_kind kind;
  size_t folder; /* index */
  const char *name;
  const char *to;
  uint64_t node; /* id */
  uint64_t offset;
  uint64_t size;
  const uint8_t *data;
};

/* {0} is an image without anything. */
void sim_image_release(struct sim_image *image);

/* An independent copy, what is pending included, into *to, which is {0}. */
enum bitcask_status sim_image_copy(const struct sim_image *from, struct sim_image *to);

/* Make one change. A file that nothing leads to any more may be named: nothing happens. */
enum bitcask_status sim_image_apply(struct sim_image *image, const struct sim_change *change);

/* The index of a folder, or folder_count. */
size_t sim_image_folder(const struct sim_image *image, const char *path);

/* NULL: there is none. */
struct sim_node *sim_image_node(const struct sim_image *image, uint64_t id);
struct sim_node *sim_names_find(const struct sim_names *names, const char *text);

/* What names[text] = node does; NULL takes it away. */
enum bitcask_status sim_names_set(struct sim_names *names, const char *text,
                                  struct sim_node *node);

/* What the change does to names. */
enum bitcask_status sim_names_change(struct sim_names *names,
                                     const struct sim_name_change *change);

/* Bytes that files take which have a name or are open: what was removed is free at once, as
 * file systems have it, though a power cut may bring it back. */
uint64_t sim_image_used(const struct sim_image *image);

/* Equal for images of which programs see the same: paths, names, contents. */
uint64_t sim_image_fingerprint(const struct sim_image *image);

#endif
