/*
 * System calls of the real disk that several of its modules make, and what they say when one
 * fails.
 */
#ifndef BITCASK_DISK_POSIX_CALL_H
#define BITCASK_DISK_POSIX_CALL_H

#include <stdint.h>

#include "base/status.h"

/* The status that errno stands for; the text names the file (or the directory itself, where
 * `name` is empty), what could not be done, and why. */
enum bitcask_status posix_fail(const char *path, const char *name, const char *what);

/* Whatever a flush fails with, want of room included: what is durable is unknown then. */
enum bitcask_status posix_fail_flush(const char *path, const char *name);

/* Open a name in a directory, and never what a symbolic link leads to; -1, and errno. */
int posix_open_at(int directory, const char *name, int flags);

/* The same descriptor, or another in its place: a host that closed its standard streams must
 * not print into a segment. -1, and errno. */
int posix_above_standard_streams(int fd);

#endif
