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

/* ---- Writing in place: what the disk's table does not have, for programs that do it ---- */

/* Its length as programs see it, whoever wrote it. */
uint64_t sim_file_length(struct disk_file *file);

/* Write at `offset`, with zeros before it where the file ends earlier. Of a write that fails,
 * as much as the fault says stays written. */
enum bitcask_status sim_file_write_at(struct disk_file *file, uint64_t offset,
                                      bitcask_bytes bytes);

/* Cut the file to `length`; INVALID where it is shorter. */
enum bitcask_status sim_file_cut(struct disk_file *file, uint64_t length);

#endif
