#include "engine/batch.h"

#include "engine/write.h"

/* Keys and values stand one behind the other in `bytes`, which moves as it grows; so a write
 * knows its offsets, and becomes a request when the batch is committed. */
struct batched {
  struct write_request request; /* key and value empty until then */
  size_t key_offset, key_size;
  size_t value_offset, value_size;
};

struct expected {
  size_t key_offset, key_size;
  uint64_t version;
};

struct bitcask_batch {
  struct bitcask_buffer bytes;
  struct bitcask_buffer writes;   /* struct batched */
  struct bitcask_buffer expected; /* struct expected */
};

enum bitcask_status bitcask_batch_new(struct bitcask_batch **out) {
  struct bitcask_batch *batch = memory_zeroed(1, sizeof *batch);
  if (batch == NULL) return BITCASK_NOMEMORY;
  *out = batch;
  return BITCASK_OK;
}

void bitcask_batch_free(struct bitcask_batch *batch) {
  if (batch == NULL) return;
  bitcask_buffer_release(&batch->bytes);
  bitcask_buffer_release(&batch->writes);
  bitcask_buffer_release(&batch->expected);
  memory_free(batch);
}

enum bitcask_status batch_check_sizes(bitcask_bytes key, bitcask_bytes value) {
  if (key.size > BITCASK_KEY_SIZE_MAX)
    return status_fail(BITCASK_TOOLARGE, "the key is %zu bytes; at most %u can be stored",
                       key.size, BITCASK_KEY_SIZE_MAX);
  if (value.size > BITCASK_VALUE_SIZE_MAX)
    return status_fail(BITCASK_TOOLARGE, "the value is %zu bytes; at most %u can be stored",
                       value.size, BITCASK_VALUE_SIZE_MAX);
  return BITCASK_OK;
}

struct write_request batch_request(bitcask_bytes key, bitcask_bytes value, bool is_delete,
                                   const struct bitcask_write_options *options) {
  struct write_request request = {.key = key, .value = value, .is_delete = is_delete};
  if (options == NULL) return request;
  request.ttl_ms = options->ttl_ms;
  request.condition.is_set = options->if_absent || options->if_version != 0;
  request.condition.version = options->if_version;
  return request;
}

/* Copy bytes behind the others. On failure nothing was added that counts. */
static enum bitcask_status keep(struct bitcask_batch *batch, bitcask_bytes bytes,
                                size_t *offset) {
  *offset = batch->bytes.size;
  return buffer_append(&batch->bytes, bytes);
}

static enum bitcask_status add(struct bitcask_batch *batch, bitcask_bytes key,
                               bitcask_bytes value, bool is_delete,
                               const struct bitcask_write_options *options) {
  TRY(batch_check_sizes(key, value));
  struct bitcask_bytes none = bytes_of(NULL, 0);
  struct batched write = {.request = batch_request(none, none, is_delete, options),
                          .key_size = key.size,
                          .value_size = value.size};
  size_t before = batch->bytes.size;
  enum bitcask_status status = keep(batch, key, &write.key_offset);
  if (status == BITCASK_OK) status = keep(batch, value, &write.value_offset);
  if (status == BITCASK_OK)
    status = buffer_append(&batch->writes, bytes_of(&write, sizeof write));
  if (status != BITCASK_OK) batch->bytes.size = before;
  return status;
}

enum bitcask_status bitcask_batch_put(struct bitcask_batch *batch, bitcask_bytes key,
                                      bitcask_bytes value,
                                      const struct bitcask_write_options *options) {
  return add(batch, key, value, false, options);
}

enum bitcask_status bitcask_batch_delete(struct bitcask_batch *batch, bitcask_bytes key,
                                         const struct bitcask_write_options *options) {
  return add(batch, key, bytes_of(NULL, 0), true, options);
}

enum bitcask_status bitcask_batch_expect(struct bitcask_batch *batch, bitcask_bytes key,
                                         uint64_t version) {
  struct expected expected = {.key_size = key.size, .version = version};
  size_t before = batch->bytes.size;
  enum bitcask_status status = keep(batch, key, &expected.key_offset);
  if (status == BITCASK_OK)
    status = buffer_append(&batch->expected, bytes_of(&expected, sizeof expected));
  if (status != BITCASK_OK) batch->bytes.size = before;
  return status;
}

static size_t write_count(const struct bitcask_batch *batch) {
  return batch->writes.size / sizeof(struct batched);
}

size_t bitcask_batch_count(const struct bitcask_batch *batch) { return write_count(batch); }

void bitcask_batch_clear(struct bitcask_batch *batch) {
  batch->bytes.size = batch->writes.size = batch->expected.size = 0;
}

static bitcask_bytes bytes_at(const struct bitcask_batch *batch, size_t offset, size_t size) {
  if (size == 0) return bytes_of(NULL, 0); /* where all are empty there is no memory either */
  return bytes_of((const uint8_t *)batch->bytes.data + offset, size);
}

static void resolve(const struct bitcask_batch *batch, struct write_request *requests,
                    struct write_expectation *expectations) {
  const struct batched *writes = batch->writes.data;
  for (size_t i = 0; i < write_count(batch); i++) {
    requests[i] = writes[i].request;
    requests[i].key = bytes_at(batch, writes[i].key_offset, writes[i].key_size);
    requests[i].value = bytes_at(batch, writes[i].value_offset, writes[i].value_size);
  }
  const struct expected *expected = batch->expected.data;
  for (size_t i = 0; i < batch->expected.size / sizeof *expected; i++)
    expectations[i] = (struct write_expectation){
        bytes_at(batch, expected[i].key_offset, expected[i].key_size), expected[i].version};
}

enum bitcask_status batch_commit(struct engine *engine, const struct bitcask_batch *batch,
                                 uint64_t *version) {
  size_t count = write_count(batch);
  size_t expected_count = batch->expected.size / sizeof(struct expected);
  struct write_request *requests = memory_zeroed(count, sizeof *requests);
  struct write_expectation *expectations = memory_zeroed(expected_count, sizeof *expectations);
  enum bitcask_status status = BITCASK_NOMEMORY;
  if (requests != NULL && expectations != NULL) {
    resolve(batch, requests, expectations);
    /* A batch of one costs no more than a put. */
    bool is_single = count == 1 && expected_count == 0 && !requests[0].is_delete;
    struct write_outcome outcome = {0};
    status = is_single ? engine_write(engine, requests, &outcome.version)
                       : engine_write_group(engine, requests, count, expectations,
                                            expected_count, &outcome);
    if (status == BITCASK_OK && version != NULL) *version = outcome.version;
  }
  memory_free(requests);
  memory_free(expectations);
  return status;
}
