/*
 * The operations of a simulated disk and of its directories.
 *
 * Threads: each operation takes the lock.
 */
#ifndef BITCASK_DISK_SIM_DISK_H
#define BITCASK_DISK_SIM_DISK_H

#include "disk/sim_machine.h"

extern const struct disk_ops sim_disk_ops;

#endif
