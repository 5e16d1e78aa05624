/* What the command line asks for. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct options {
  uint64_t keys;
  size_t key_size;
  size_t value_size;
  size_t rounds;
  double seconds;     /* after which a workload other than fill stops */
  double rest;        /* seconds that the device is left alone for where a store was removed */
  uint64_t hold;      /* bytes that are held meanwhile; see memory_hold */
  double stolen_most; /* percent of the processors' time that others may take meanwhile */
  uint64_t memory;    /* bytes that a stage may use; 0: any */
  bool own_time;      /* see own_time_use */
  unsigned engines;   /* 1 << index in drivers */
  unsigned workloads; /* 1 << enum workload */
  const char *part;   /* name of this run in the JSON lines */
  const char *json;   /* path, or NULL */
  const char *directory;
};

/* Ends the process where it asks for help, or for what there is not. */
struct options options_parse(int argc, char **argv);

#endif
