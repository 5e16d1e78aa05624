/*
 * Berkeley DB's hash, in a transactional environment: a transaction a put, its log written
 * but not synced at commit, so that the process may be killed; a checkpoint every 64 MiB of
 * log, after which the log is given back.
 */
#include "driver.h"

#include <db.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { CHECKPOINT_KIB = 64 << 10, PUTS_A_CHECK = 1024 };

struct store {
  DB_ENV *env;
  DB *db;
  size_t value_size;
  _Atomic uint32_t writes;
};

struct session {
  struct store *store;
  char *buffer;
};

static void check(int code, const char *what) {
  if (code != 0) driver_die("bdb: %s: %s", what, db_strerror(code));
}

static DB_ENV *env_open(const struct driver_config *config) {
  DB_ENV *env;
  uint64_t cache = driver_cache_bytes(config);
  check(db_env_create(&env, 0), "create");
  check(env->set_cachesize(env, (u_int32_t)(cache >> 30), (u_int32_t)(cache & ((1u << 30) - 1)),
                           1), "cache");
  check(env->set_lg_bsize(env, 4 << 20), "log buffer");
  check(env->set_lg_max(env, 32 << 20), "log size");
  check(env->set_lk_detect(env, DB_LOCK_DEFAULT), "deadlocks");
  check(env->log_set_config(env, DB_LOG_AUTO_REMOVE, 1), "log");
  if (!config->sync) check(env->set_flags(env, DB_TXN_WRITE_NOSYNC, 1), "flags");
  check(env->open(env, config->directory,
                  DB_CREATE | DB_RECOVER | DB_PRIVATE | DB_THREAD | DB_INIT_MPOOL | DB_INIT_TXN |
                      DB_INIT_LOG | DB_INIT_LOCK, 0644), "environment");
  return env;
}

static void *store_open(const struct driver_config *config) {
  struct store *store = driver_allocate(sizeof *store);
  store->env = env_open(config);
  store->value_size = config->value_size;
  atomic_init(&store->writes, 0);
  check(db_create(&store->db, store->env, 0), "create");
  check(store->db->set_h_nelem(store->db, (u_int32_t)config->key_count), "elements");
  check(store->db->open(store->db, NULL, "data.db", NULL, DB_HASH,
                        DB_CREATE | DB_AUTO_COMMIT | DB_THREAD, 0644), "open");
  return store;
}

static void store_close(void *context) {
  struct store *store = context;
  check(store->db->close(store->db, 0), "close");
  check(store->env->txn_checkpoint(store->env, 0, 0, DB_FORCE), "checkpoint");
  check(store->env->close(store->env, 0), "close");
  free(store);
}

static void *session_open(void *context) {
  struct session *session = driver_allocate(sizeof *session);
  struct store *store = context;
  *session = (struct session){store, driver_allocate(store->value_size)};
  return session;
}

static void session_close(void *context) {
  struct session *session = context;
  free(session->buffer);
  free(session);
}

static DBT dbt_of(driver_bytes bytes) {
  DBT dbt;
  memset(&dbt, 0, sizeof dbt);
  dbt.data = (void *)bytes.data;
  dbt.size = (u_int32_t)bytes.size;
  dbt.flags = DB_DBT_USERMEM;
  dbt.ulen = dbt.size;
  return dbt;
}

static void count_write(struct store *store) {
  if (atomic_fetch_add(&store->writes, 1) % PUTS_A_CHECK == PUTS_A_CHECK - 1)
    check(store->env->txn_checkpoint(store->env, CHECKPOINT_KIB, 0, 0), "checkpoint");
}

static void put(void *context, driver_bytes key, driver_bytes value) {
  struct store *store = ((struct session *)context)->store;
  DBT k = dbt_of(key), v = dbt_of(value);
  int code;
  do code = store->db->put(store->db, NULL, &k, &v, 0);
  while (code == DB_LOCK_DEADLOCK);
  check(code, "put");
  count_write(store);
}

static bool get(void *context, driver_bytes key, driver_bytes *value) {
  struct session *session = context;
  struct store *store = session->store;
  DBT k = dbt_of(key), v = dbt_of((driver_bytes){session->buffer, store->value_size});
  int code;
  do code = store->db->get(store->db, NULL, &k, &v, 0);
  while (code == DB_LOCK_DEADLOCK);
  if (code == DB_NOTFOUND) return false;
  check(code, "get");
  *value = (driver_bytes){session->buffer, v.size};
  return true;
}

static void remove_key(void *context, driver_bytes key) {
  struct store *store = ((struct session *)context)->store;
  DBT k = dbt_of(key);
  int code;
  do code = store->db->del(store->db, NULL, &k, 0);
  while (code == DB_LOCK_DEADLOCK);
  if (code != DB_NOTFOUND) check(code, "delete");
  count_write(store);
}

/* Many pairs at a time, as the library's manual advises for walks. */
static void scan(void *context, driver_visit visit, void *visit_context) {
  enum { BULK_SIZE = 1 << 20 };
  struct store *store = ((struct session *)context)->store;
  DBC *cursor;
  DBT k = dbt_of((driver_bytes){"", 0}), bulk;
  memset(&bulk, 0, sizeof bulk);
  bulk.ulen = BULK_SIZE;
  bulk.flags = DB_DBT_USERMEM;
  bulk.data = driver_allocate(BULK_SIZE);
  k.flags = DB_DBT_REALLOC;
  k.data = NULL;
  check(store->db->cursor(store->db, NULL, &cursor, 0), "cursor");
  int code;
  while ((code = cursor->get(cursor, &k, &bulk, DB_MULTIPLE_KEY | DB_NEXT)) == 0) {
    void *at, *key, *value;
    size_t key_size, value_size;
    DB_MULTIPLE_INIT(at, &bulk);
    for (;;) {
      DB_MULTIPLE_KEY_NEXT(at, &bulk, key, key_size, value, value_size);
      if (at == NULL) break;
      visit(visit_context, (driver_bytes){key, key_size}, (driver_bytes){value, value_size});
    }
  }
  if (code != DB_NOTFOUND) check(code, "scan");
  check(cursor->close(cursor), "cursor");
  free(bulk.data);
  free(k.data);
}

const struct driver driver_bdb = {
    .name = "bdb",
    .tuning = "Berkeley DB hash, transactions, log written and not synced, cache for everything",
    .can_sync = true,
    .open = store_open,
    .close = store_close,
    .session_open = session_open,
    .session_close = session_close,
    .put = put,
    .get = get,
    .remove = remove_key,
    .scan = scan};
