/* LevelDB through its C API. */
#include "driver.h"

#include <leveldb/c.h>
#include <stdlib.h>

struct store {
  leveldb_t *db;
  leveldb_options_t *options;
  leveldb_cache_t *cache;
  leveldb_filterpolicy_t *filter;
  leveldb_readoptions_t *reading;
  leveldb_writeoptions_t *writing;
};

struct session {
  struct store *store;
  char *value; /* what the last get returned */
};

static void check(char *error, const char *what) {
  if (error != NULL) driver_die("leveldb: %s: %s", what, error);
}

static void *store_open(const struct driver_config *config) {
  struct store *store = driver_allocate(sizeof *store);
  store->cache = leveldb_cache_create_lru(driver_cache_bytes(config));
  store->filter = leveldb_filterpolicy_create_bloom(10);
  store->options = leveldb_options_create();
  leveldb_options_set_create_if_missing(store->options, 1);
  leveldb_options_set_compression(store->options, leveldb_no_compression);
  leveldb_options_set_write_buffer_size(store->options, driver_write_buffer_bytes(config));
  leveldb_options_set_max_file_size(store->options, (size_t)16 << 20);
  leveldb_options_set_max_open_files(store->options, 4096);
  leveldb_options_set_cache(store->options, store->cache);
  leveldb_options_set_filter_policy(store->options, store->filter);
  store->reading = leveldb_readoptions_create();
  leveldb_readoptions_set_verify_checksums(store->reading, 1);
  store->writing = leveldb_writeoptions_create();
  leveldb_writeoptions_set_sync(store->writing, config->sync);
  char *error = NULL;
  store->db = leveldb_open(store->options, config->directory, &error);
  check(error, "open");
  return store;
}

static void store_close(void *context) {
  struct store *store = context;
  leveldb_close(store->db);
  leveldb_options_destroy(store->options);
  leveldb_cache_destroy(store->cache);
  leveldb_filterpolicy_destroy(store->filter);
  leveldb_readoptions_destroy(store->reading);
  leveldb_writeoptions_destroy(store->writing);
  free(store);
}

static void *session_open(void *store) {
  struct session *session = driver_allocate(sizeof *session);
  *session = (struct session){store, NULL};
  return session;
}

static void session_close(void *context) {
  struct session *session = context;
  leveldb_free(session->value);
  free(session);
}

static void put(void *context, driver_bytes key, driver_bytes value) {
  struct store *store = ((struct session *)context)->store;
  char *error = NULL;
  leveldb_put(store->db, store->writing, key.data, key.size, value.data, value.size, &error);
  check(error, "put");
}

static bool get(void *context, driver_bytes key, driver_bytes *value) {
  struct session *session = context;
  struct store *store = session->store;
  char *error = NULL;
  leveldb_free(session->value);
  session->value =
      leveldb_get(store->db, store->reading, key.data, key.size, &value->size, &error);
  check(error, "get");
  value->data = session->value;
  return session->value != NULL;
}

static void remove_key(void *context, driver_bytes key) {
  struct store *store = ((struct session *)context)->store;
  char *error = NULL;
  leveldb_delete(store->db, store->writing, key.data, key.size, &error);
  check(error, "delete");
}

static void scan(void *context, driver_visit visit, void *visit_context) {
  struct store *store = ((struct session *)context)->store;
  leveldb_iterator_t *walk = leveldb_create_iterator(store->db, store->reading);
  for (leveldb_iter_seek_to_first(walk); leveldb_iter_valid(walk); leveldb_iter_next(walk)) {
    driver_bytes key, value;
    key.data = leveldb_iter_key(walk, &key.size);
    value.data = leveldb_iter_value(walk, &value.size);
    visit(visit_context, key, value);
  }
  leveldb_iter_destroy(walk);
}

static void merge(void *store) {
  leveldb_compact_range(((struct store *)store)->db, NULL, 0, NULL, 0);
}

const struct driver driver_leveldb = {
    .name = "leveldb",
    .tuning = "write buffer 64 MiB, cache for everything, bloom 10 bits, no compression",
    .can_sync = true,
    .open = store_open,
    .close = store_close,
    .session_open = session_open,
    .session_close = session_close,
    .put = put,
    .get = get,
    .remove = remove_key,
    .scan = scan,
    .merge = merge};
