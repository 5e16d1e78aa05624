/* RocksDB through its C API. */
#include "driver.h"

#include <rocksdb/c.h>
#include <stdlib.h>
#include <string.h>

struct store {
  rocksdb_t *db;
  rocksdb_options_t *options;
  rocksdb_readoptions_t *reading;
  rocksdb_writeoptions_t *writing;
  size_t value_size;
};

struct session {
  struct store *store;
  char *buffer;
};

static void check(char *error, const char *what) {
  if (error != NULL) driver_die("rocksdb: %s: %s", what, error);
}

static rocksdb_block_based_table_options_t *table_options(const struct driver_config *config) {
  rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
  rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom_full(10));
  rocksdb_cache_t *cache = rocksdb_cache_create_lru(driver_cache_bytes(config));
  rocksdb_block_based_options_set_block_cache(table, cache);
  rocksdb_cache_destroy(cache);
  rocksdb_block_based_options_set_data_block_index_type(
      table, rocksdb_block_based_table_data_block_index_type_binary_search_and_hash);
  rocksdb_block_based_options_set_data_block_hash_ratio(table, 0.75);
  return table;
}

/* Values in files of their own, which are collected when a quarter of the oldest is dead. */
static void use_blobs(rocksdb_options_t *options) {
  rocksdb_options_set_enable_blob_files(options, 1);
  rocksdb_options_set_min_blob_size(options, 512);
  rocksdb_options_set_enable_blob_gc(options, 1);
  rocksdb_options_set_blob_compression_type(options, rocksdb_no_compression);
}

static void *store_open(const struct driver_config *config, bool blobs) {
  struct store *store = driver_allocate(sizeof *store);
  store->value_size = config->value_size;
  store->options = rocksdb_options_create();
  rocksdb_options_set_create_if_missing(store->options, 1);
  rocksdb_options_set_compression(store->options, rocksdb_no_compression);
  rocksdb_options_set_write_buffer_size(store->options, driver_write_buffer_bytes(config));
  rocksdb_options_increase_parallelism(store->options, 2);
  if (blobs) use_blobs(store->options);
  rocksdb_block_based_table_options_t *table = table_options(config);
  rocksdb_options_set_block_based_table_factory(store->options, table);
  rocksdb_block_based_options_destroy(table);
  store->reading = rocksdb_readoptions_create();
  store->writing = rocksdb_writeoptions_create();
  rocksdb_writeoptions_set_sync(store->writing, config->sync);
  char *error = NULL;
  store->db = rocksdb_open(store->options, config->directory, &error);
  check(error, "open");
  return store;
}

static void *open_plain(const struct driver_config *config) { return store_open(config, false); }
static void *open_blob(const struct driver_config *config) { return store_open(config, true); }

static void store_close(void *context) {
  struct store *store = context;
  rocksdb_close(store->db);
  rocksdb_options_destroy(store->options);
  rocksdb_readoptions_destroy(store->reading);
  rocksdb_writeoptions_destroy(store->writing);
  free(store);
}

static void *session_open(void *context) {
  struct store *store = context;
  struct session *session = driver_allocate(sizeof *session);
  *session = (struct session){store, driver_allocate(store->value_size)};
  return session;
}

static void session_close(void *context) {
  struct session *session = context;
  free(session->buffer);
  free(session);
}

static void put(void *context, driver_bytes key, driver_bytes value) {
  struct store *store = ((struct session *)context)->store;
  char *error = NULL;
  rocksdb_put(store->db, store->writing, key.data, key.size, value.data, value.size, &error);
  check(error, "put");
}

static bool get(void *context, driver_bytes key, driver_bytes *value) {
  struct session *session = context;
  struct store *store = session->store;
  char *error = NULL;
  rocksdb_pinnableslice_t *slice =
      rocksdb_get_pinned(store->db, store->reading, key.data, key.size, &error);
  check(error, "get");
  if (slice == NULL) return false;
  const char *found = rocksdb_pinnableslice_value(slice, &value->size);
  if (value->size > store->value_size) driver_die("rocksdb: a value of %zu bytes", value->size);
  memcpy(session->buffer, found, value->size);
  value->data = session->buffer;
  rocksdb_pinnableslice_destroy(slice);
  return true;
}

static void remove_key(void *context, driver_bytes key) {
  struct store *store = ((struct session *)context)->store;
  char *error = NULL;
  rocksdb_delete(store->db, store->writing, key.data, key.size, &error);
  check(error, "delete");
}

static void scan(void *context, driver_visit visit, void *visit_context) {
  struct store *store = ((struct session *)context)->store;
  rocksdb_iterator_t *walk = rocksdb_create_iterator(store->db, store->reading);
  for (rocksdb_iter_seek_to_first(walk); rocksdb_iter_valid(walk); rocksdb_iter_next(walk)) {
    driver_bytes key, value;
    key.data = rocksdb_iter_key(walk, &key.size);
    value.data = rocksdb_iter_value(walk, &value.size);
    visit(visit_context, key, value);
  }
  rocksdb_iter_destroy(walk);
}

static void merge(void *store) {
  rocksdb_compact_range(((struct store *)store)->db, NULL, 0, NULL, 0);
}

#define ROCKSDB_FUNCTIONS                                                                 \
  .can_sync = true, .close = store_close, .session_open = session_open,                   \
  .session_close = session_close, .put = put, .get = get, .remove = remove_key,           \
  .scan = scan, .merge = merge

const struct driver driver_rocksdb = {
    .name = "rocksdb",
    .tuning = "write buffer 64 MiB, cache for everything, bloom 10 bits, hashed blocks, "
              "no compression",
    .open = open_plain,
    ROCKSDB_FUNCTIONS};

const struct driver driver_rocksdb_blob = {
    .name = "rocksdb-blob",
    .tuning = "the same with values in blob files (BlobDB); from 1 KiB on",
    .value_size_least = 1024,
    .open = open_blob,
    ROCKSDB_FUNCTIONS};
