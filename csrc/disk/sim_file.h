/*
 * An open file of a simulated disk.
 *
 * Threads: each operation takes the lock; what is read through a mapping was written before
 * the length that covers it, as on any disk.
 */
#ifndef BITCASK_DISK_SIM_FILE_H
#define BITCASK_DISK_SIM_FILE_H

#include "disk/sim_machine.h"

/* A handle on `node`, under the lock. `capacity` as in disk_directory_ops.create;
 * *open_files, which has to outlive the handle, is raised until it is closed. */
enum bitcask_status sim_file_open(struct sim *sim, const char *name, struct sim_node *node,
                                  uint64_t capacity, atomic_uint *open_files,
                                  struct disk_file **out);

/* Let it be read where it stands; its bytes do not move while the handle is open. */
void sim_file_map(struct disk_file *file);

#endif
