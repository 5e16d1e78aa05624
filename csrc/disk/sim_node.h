/*
 * A file of a simulated disk, whatever names lead to it: what programs see of it, what is
 * on the platter for certain, and the changes in between, of which a power cut may keep any.
 *
 *   what programs see  =  what is durable  +  all pending changes, in order
 *
 * A sync makes the pending changes durable. After one that failed they are stuck: no later
 * sync makes them durable, as the system takes its pages for clean then (Rebello et al.,
 * "Can applications recover from fsync failures?", USENIX ATC 2020).
 */
#ifndef BITCASK_DISK_SIM_NODE_H
#define BITCASK_DISK_SIM_NODE_H

#include "base/bytes.h"

/* A write that is not durable. */
struct sim_write {
  uint64_t offset;
  uint64_t size;
  uint8_t *data; /* NULL: zeros */
  uint64_t when; /* number of the change, over the whole disk */
  bool is_stuck;
};

/* A length that is not durable. */
struct sim_length {
  uint64_t length;
  uint64_t when;
  bool is_stuck;
};

struct sim_node {
  uint64_t id;
  unsigned references; /* names, seen, durable and pending; handles; the image */
  unsigned handles;    /* programs that have it open */
  uint8_t *seen;
  uint64_t length;   /* of what programs see */
  uint64_t capacity; /* bytes at `seen`, zeros behind the length */
  uint64_t held;     /* space that is kept for it, beyond its length */
  uint8_t *durable;
  uint64_t durable_length;
  struct sim_write *writes;
  size_t write_count;
  struct sim_length *lengths;
  size_t length_count;
  uint8_t **outgrown; /* where `seen` was before it had to move: somebody may be reading */
  size_t outgrown_count;
};

/* A new empty file with one reference; NULL: no memory. */
struct sim_node *sim_node_new(uint64_t id);

/* A copy with nothing pending but what is pending in `node`; NULL: no memory. */
struct sim_node *sim_node_copy(const struct sim_node *node);

struct sim_node *sim_node_ref(struct sim_node *node);
void sim_node_unref(struct sim_node *node); /* NULL is fine */

/* Let `seen` stay where it is until the length exceeds `capacity`. */
enum bitcask_status sim_node_reserve(struct sim_node *node, uint64_t capacity);

/* Write inside the length; `data` NULL: zeros. */
enum bitcask_status sim_node_write(struct sim_node *node, uint64_t offset, uint64_t size,
                                   const uint8_t *data, uint64_t when);

/* Extend with zeros, or cut. */
enum bitcask_status sim_node_set_length(struct sim_node *node, uint64_t length, uint64_t when);

/* All that is pending and not stuck becomes durable. */
enum bitcask_status sim_node_sync(struct sim_node *node);

/* All that is pending is stuck from now on. */
void sim_node_fail_sync(struct sim_node *node);

/* Let programs see `bytes`, durable at once: damage, or what a power cut left. */
enum bitcask_status sim_node_replace(struct sim_node *node, bitcask_bytes bytes);

#endif
