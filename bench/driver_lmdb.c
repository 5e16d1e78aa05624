/*
 * LMDB: a transaction a put; gets in a read transaction that is held for as long as no
 * put has returned since, and renewed then. It is reset before a put, since a held reader
 * would keep every old page from being used again.
 */
#include "driver.h"

#include <lmdb.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct store {
  MDB_env *env;
  MDB_dbi dbi;
  const struct driver_config *config;
  _Atomic uint64_t writes;
};

struct session {
  struct store *store;
  MDB_txn *reading;
  bool is_held;
  uint64_t writes_seen;
  char *buffer;
};

static void check(int code, const char *what) {
  if (code != MDB_SUCCESS) driver_die("lmdb: %s: %s", what, mdb_strerror(code));
}

static void *store_open(const struct driver_config *config, unsigned flags) {
  struct store *store = driver_allocate(sizeof *store);
  store->config = config;
  atomic_init(&store->writes, 0);
  size_t pair = config->key_size + config->value_size + 64;
  if (config->value_size > 1000) pair += 8192;
  check(mdb_env_create(&store->env), "create");
  check(mdb_env_set_mapsize(store->env, ((size_t)4 << 30) + config->key_count * pair * 8),
        "mapsize");
  if (!config->sync) flags |= MDB_NOSYNC;
  check(mdb_env_open(store->env, config->directory, flags | MDB_NOTLS | MDB_NORDAHEAD, 0644),
        "open");
  MDB_txn *txn;
  check(mdb_txn_begin(store->env, NULL, 0, &txn), "begin");
  check(mdb_dbi_open(txn, NULL, MDB_CREATE, &store->dbi), "dbi");
  check(mdb_txn_commit(txn), "commit");
  return store;
}

static void *open_plain(const struct driver_config *config) { return store_open(config, 0); }
static void *open_writemap(const struct driver_config *config) {
  return store_open(config, MDB_WRITEMAP);
}

static void store_close(void *context) {
  struct store *store = context;
  mdb_env_close(store->env);
  free(store);
}

static void *session_open(void *context) {
  struct store *store = context;
  struct session *session = driver_allocate(sizeof *session);
  *session = (struct session){.store = store, .buffer = driver_allocate(store->config->value_size)};
  check(mdb_txn_begin(store->env, NULL, MDB_RDONLY, &session->reading), "begin");
  mdb_txn_reset(session->reading);
  return session;
}

static void session_close(void *context) {
  struct session *session = context;
  mdb_txn_abort(session->reading);
  free(session->buffer);
  free(session);
}

static void let_go(struct session *session) {
  if (session->is_held) mdb_txn_reset(session->reading);
  session->is_held = false;
}

static void hold(struct session *session) {
  uint64_t writes = atomic_load_explicit(&session->store->writes, memory_order_acquire);
  if (session->is_held && session->writes_seen == writes) return;
  let_go(session);
  check(mdb_txn_renew(session->reading), "renew");
  session->is_held = true;
  session->writes_seen = writes;
}

static MDB_val to_val(driver_bytes bytes) { return (MDB_val){bytes.size, (void *)bytes.data}; }

static MDB_txn *begin_write(struct session *session) {
  MDB_txn *txn;
  let_go(session);
  check(mdb_txn_begin(session->store->env, NULL, 0, &txn), "begin");
  return txn;
}

static void commit_write(struct session *session, MDB_txn *txn) {
  check(mdb_txn_commit(txn), "commit");
  atomic_fetch_add_explicit(&session->store->writes, 1, memory_order_release);
}

static void put(void *context, driver_bytes key, driver_bytes value) {
  struct session *session = context;
  MDB_txn *txn = begin_write(session);
  MDB_val k = to_val(key), v = to_val(value);
  check(mdb_put(txn, session->store->dbi, &k, &v, 0), "put");
  commit_write(session, txn);
}

static bool get(void *context, driver_bytes key, driver_bytes *value) {
  struct session *session = context;
  hold(session);
  MDB_val k = to_val(key), v;
  int code = mdb_get(session->reading, session->store->dbi, &k, &v);
  if (code == MDB_NOTFOUND) return false;
  check(code, "get");
  memcpy(session->buffer, v.mv_data, v.mv_size);
  *value = (driver_bytes){session->buffer, v.mv_size};
  return true;
}

static void remove_key(void *context, driver_bytes key) {
  struct session *session = context;
  MDB_txn *txn = begin_write(session);
  MDB_val k = to_val(key);
  int code = mdb_del(txn, session->store->dbi, &k, NULL);
  if (code != MDB_NOTFOUND) check(code, "delete");
  commit_write(session, txn);
}

static void scan(void *context, driver_visit visit, void *visit_context) {
  struct session *session = context;
  MDB_cursor *cursor;
  MDB_val k, v;
  hold(session);
  check(mdb_cursor_open(session->reading, session->store->dbi, &cursor), "cursor");
  while (mdb_cursor_get(cursor, &k, &v, MDB_NEXT) == MDB_SUCCESS)
    visit(visit_context, (driver_bytes){k.mv_data, k.mv_size},
          (driver_bytes){v.mv_data, v.mv_size});
  mdb_cursor_close(cursor);
}

#define LMDB_FUNCTIONS                                                                  \
  .can_sync = true, .close = store_close, .session_open = session_open,                 \
  .session_close = session_close, .put = put, .get = get, .remove = remove_key, .scan = scan

const struct driver driver_lmdb = {.name = "lmdb",
                                   .tuning = "NOSYNC, a transaction a put, a held read transaction",
                                   .open = open_plain,
                                   LMDB_FUNCTIONS};

const struct driver driver_lmdb_writemap = {.name = "lmdb-writemap",
                                            .tuning = "the same with WRITEMAP",
                                            .open = open_writemap,
                                            LMDB_FUNCTIONS};
