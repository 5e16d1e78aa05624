#include "disk/sim_node.h"

struct sim_node *sim_node_new(uint64_t id) {
  struct sim_node *node = memory_zeroed(1, sizeof *node);
  if (node == NULL) return NULL;
  node->id = id;
  node->references = 1;
  return node;
}

static void forget_pending(struct sim_node *node) {
  for (size_t i = 0; i < node->write_count; i++) memory_free(node->writes[i].data);
  node->write_count = node->length_count = 0;
}

static void node_free(struct sim_node *node) {
  forget_pending(node);
  for (size_t i = 0; i < node->outgrown_count; i++) memory_free(node->outgrown[i]);
  memory_free(node->outgrown);
  memory_free(node->writes);
  memory_free(node->lengths);
  memory_free(node->seen);
  memory_free(node->durable);
  memory_free(node);
}

struct sim_node *sim_node_ref(struct sim_node *node) {
  node->references++;
  return node;
}

void sim_node_unref(struct sim_node *node) {
  if (node != NULL && --node->references == 0) node_free(node);
}

/* NULL with an error, or a copy of `size` bytes; of nothing, it is one byte. */
static uint8_t *copy_bytes(const uint8_t *data, uint64_t size) {
  uint8_t *copy = memory_new((size_t)size);
  if (copy != NULL && size > 0) memcpy(copy, data, (size_t)size);
  return copy;
}

static enum bitcask_status copy_pending(const struct sim_node *from, struct sim_node *to) {
  to->writes = memory_zeroed(from->write_count, sizeof *to->writes);
  to->lengths = memory_zeroed(from->length_count, sizeof *to->lengths);
  if (to->writes == NULL || to->lengths == NULL) return BITCASK_NOMEMORY;
  for (size_t i = 0; i < from->write_count; i++) {
    struct sim_write write = from->writes[i];
    if (write.data != NULL && (write.data = copy_bytes(write.data, write.size)) == NULL)
      return BITCASK_NOMEMORY;
    to->writes[to->write_count++] = write;
  }
  if (from->length_count > 0)
    memcpy(to->lengths, from->lengths, from->length_count * sizeof *to->lengths);
  to->length_count = from->length_count;
  return BITCASK_OK;
}

struct sim_node *sim_node_copy(const struct sim_node *node) {
  struct sim_node *copy = sim_node_new(node->id);
  if (copy == NULL) return NULL;
  copy->seen = copy_bytes(node->seen, node->length);
  copy->durable = copy_bytes(node->durable, node->durable_length);
  copy->length = copy->capacity = node->length;
  copy->durable_length = node->durable_length;
  copy->held = node->held;
  if (copy->seen == NULL || copy->durable == NULL || copy_pending(node, copy) != BITCASK_OK) {
    sim_node_unref(copy);
    return NULL;
  }
  return copy;
}

enum bitcask_status sim_node_reserve(struct sim_node *node, uint64_t capacity) {
  if (capacity <= node->capacity) return BITCASK_OK;
  uint8_t *larger = memory_zeroed((size_t)capacity, 1);
  uint8_t **outgrown =
      memory_resize(node->outgrown, node->outgrown_count + 1, sizeof *node->outgrown);
  if (outgrown != NULL) node->outgrown = outgrown;
  if (larger == NULL || outgrown == NULL) {
    memory_free(larger);
    return BITCASK_NOMEMORY;
  }
  if (node->length > 0) memcpy(larger, node->seen, (size_t)node->length);
  if (node->seen != NULL) outgrown[node->outgrown_count++] = node->seen;
  node->seen = larger;
  node->capacity = capacity;
  return BITCASK_OK;
}

enum bitcask_status sim_node_write(struct sim_node *node, uint64_t offset, uint64_t size,
                                   const uint8_t *data, uint64_t when) {
  if (offset > node->length || size > node->length - offset)
    return status_fail(BITCASK_INVALID, "a write behind the end of a simulated file");
  struct sim_write *writes =
      memory_resize(node->writes, node->write_count + 1, sizeof *writes);
  if (writes == NULL) return BITCASK_NOMEMORY;
  node->writes = writes;
  uint8_t *copy = NULL;
  if (data != NULL && (copy = copy_bytes(data, size)) == NULL) return BITCASK_NOMEMORY;
  writes[node->write_count++] =
      (struct sim_write){.offset = offset, .size = size, .data = copy, .when = when};
  if (data != NULL)
    memcpy(node->seen + offset, data, (size_t)size);
  else
    memset(node->seen + offset, 0, (size_t)size);
  return BITCASK_OK;
}

static enum bitcask_status grow(struct sim_node *node, uint64_t length) {
  if (length <= node->capacity) return BITCASK_OK;
  uint64_t doubled = node->capacity * 2;
  return sim_node_reserve(node, doubled > length ? doubled : length);
}

enum bitcask_status sim_node_set_length(struct sim_node *node, uint64_t length, uint64_t when) {
  if (length == node->length) return BITCASK_OK;
  TRY(grow(node, length));
  /* What is cut off may come back, if the file grows again and the cut is lost. */
  if (length < node->length)
    TRY(sim_node_write(node, length, node->length - length, NULL, when));
  struct sim_length *lengths =
      memory_resize(node->lengths, node->length_count + 1, sizeof *lengths);
  if (lengths == NULL) return BITCASK_NOMEMORY;
  node->lengths = lengths;
  lengths[node->length_count++] = (struct sim_length){.length = length, .when = when};
  node->length = length;
  return BITCASK_OK;
}

/* ---- Syncing ---- */

static enum bitcask_status set_durable_length(struct sim_node *node, uint64_t length) {
  if (length > node->durable_length) {
    uint8_t *durable = memory_resize(node->durable, (size_t)length, 1);
    if (durable == NULL) return BITCASK_NOMEMORY;
    memset(durable + node->durable_length, 0, (size_t)(length - node->durable_length));
    node->durable = durable;
  }
  node->durable_length = length;
  return BITCASK_OK;
}

static void make_durable(struct sim_node *node, const struct sim_write *write) {
  uint64_t end = write->offset + write->size;
  if (end > node->durable_length) end = node->durable_length;
  if (write->offset >= end) return;
  size_t size = (size_t)(end - write->offset);
  if (write->data != NULL)
    memcpy(node->durable + write->offset, write->data, size);
  else
    memset(node->durable + write->offset, 0, size);
}

/* A newer length that is durable decides, so that stuck ones before it no longer do. */
static enum bitcask_status sync_lengths(struct sim_node *node) {
  uint64_t length = node->durable_length;
  size_t kept = 0;
  for (size_t i = 0; i < node->length_count; i++) {
    if (node->lengths[i].is_stuck) {
      node->lengths[kept++] = node->lengths[i];
      continue;
    }
    length = node->lengths[i].length;
    kept = 0;
  }
  node->length_count = kept;
  return set_durable_length(node, length);
}

static bool covers(const struct sim_write *newer, const struct sim_write *older) {
  return newer->offset <= older->offset &&
         newer->offset + newer->size >= older->offset + older->size;
}

/* Forget stuck writes among the first `count` that a durable one has covered; returns how
 * many are left. */
static size_t drop_covered(struct sim_node *node, size_t count, const struct sim_write *newer) {
  size_t kept = 0;
  for (size_t i = 0; i < count; i++) {
    if (covers(newer, &node->writes[i]))
      memory_free(node->writes[i].data);
    else
      node->writes[kept++] = node->writes[i];
  }
  return kept;
}

enum bitcask_status sim_node_sync(struct sim_node *node) {
  TRY(sync_lengths(node));
  size_t kept = 0;
  for (size_t i = 0; i < node->write_count; i++) {
    struct sim_write write = node->writes[i];
    if (write.is_stuck) {
      node->writes[kept++] = write;
      continue;
    }
    make_durable(node, &write);
    kept = drop_covered(node, kept, &write);
    memory_free(write.data);
  }
  node->write_count = kept;
  return BITCASK_OK;
}

void sim_node_fail_sync(struct sim_node *node) {
  for (size_t i = 0; i < node->write_count; i++) node->writes[i].is_stuck = true;
  for (size_t i = 0; i < node->length_count; i++) node->lengths[i].is_stuck = true;
}

enum bitcask_status sim_node_replace(struct sim_node *node, bitcask_bytes bytes) {
  uint8_t *durable = copy_bytes(bytes.data, bytes.size);
  if (durable == NULL) return BITCASK_NOMEMORY;
  enum bitcask_status status = grow(node, bytes.size);
  if (status != BITCASK_OK) {
    memory_free(durable);
    return status;
  }
  forget_pending(node);
  memory_free(node->durable);
  node->durable = durable;
  node->durable_length = node->length = bytes.size;
  if (node->capacity > 0) memset(node->seen, 0, (size_t)node->capacity);
  if (bytes.size > 0) memcpy(node->seen, bytes.data, bytes.size);
  return BITCASK_OK;
}
