/*
 * SQLite as a key/value store: a table without row ids, a write-ahead log, a connection and
 * prepared statements a session, a transaction a put.
 */
#include "driver.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct store {
  const struct driver_config *config;
  sqlite3 *db; /* keeps the log alive between sessions */
};

struct session {
  sqlite3 *db;
  sqlite3_stmt *put, *get, *remove, *scan;
  size_t value_size;
  char *buffer;
};

static void check(sqlite3 *db, int code, const char *what) {
  if (code != SQLITE_OK && code != SQLITE_DONE && code != SQLITE_ROW)
    driver_die("sqlite: %s: %s", what, sqlite3_errmsg(db));
}

static void run(sqlite3 *db, const char *text) {
  check(db, sqlite3_exec(db, text, NULL, NULL, NULL), text);
}

static sqlite3 *connect_to(const struct driver_config *config) {
  sqlite3 *db = NULL;
  char text[160];
  char *path = driver_path(config->directory, "data.sqlite");
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  int code = sqlite3_open_v2(path, &db, flags, NULL);
  check(db, code, "open");
  free(path);
  sqlite3_busy_timeout(db, 60000);
  run(db, "PRAGMA journal_mode = WAL");
  run(db, config->sync ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = OFF");
  snprintf(text, sizeof text, "PRAGMA cache_size = -%zu", driver_cache_bytes(config) >> 10);
  run(db, text);
  return db;
}

static void *store_open(const struct driver_config *config) {
  struct store *store = driver_allocate(sizeof *store);
  store->config = config;
  store->db = connect_to(config);
  run(store->db,
      "CREATE TABLE IF NOT EXISTS pairs (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID");
  return store;
}

static void store_close(void *context) {
  struct store *store = context;
  check(store->db, sqlite3_close(store->db), "close");
  free(store);
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *text) {
  sqlite3_stmt *statement;
  check(db, sqlite3_prepare_v3(db, text, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL), text);
  return statement;
}

static void *session_open(void *context) {
  const struct driver_config *config = ((struct store *)context)->config;
  struct session *session = driver_allocate(sizeof *session);
  sqlite3 *db = connect_to(config);
  *session = (struct session){
      .db = db,
      .put = prepare(db, "INSERT OR REPLACE INTO pairs VALUES (?, ?)"),
      .get = prepare(db, "SELECT value FROM pairs WHERE key = ?"),
      .remove = prepare(db, "DELETE FROM pairs WHERE key = ?"),
      .scan = prepare(db, "SELECT key, value FROM pairs"),
      .value_size = config->value_size,
      .buffer = driver_allocate(config->value_size)};
  return session;
}

static void session_close(void *context) {
  struct session *session = context;
  sqlite3_finalize(session->put);
  sqlite3_finalize(session->get);
  sqlite3_finalize(session->remove);
  sqlite3_finalize(session->scan);
  check(session->db, sqlite3_close(session->db), "close");
  free(session->buffer);
  free(session);
}

static void bind(sqlite3_stmt *statement, int position, driver_bytes bytes) {
  sqlite3_bind_blob(statement, position, bytes.data, (int)bytes.size, SQLITE_STATIC);
}

static driver_bytes column(sqlite3_stmt *statement, int position) {
  const char *data = sqlite3_column_blob(statement, position);
  return (driver_bytes){data, (size_t)sqlite3_column_bytes(statement, position)};
}

static void put(void *context, driver_bytes key, driver_bytes value) {
  struct session *session = context;
  bind(session->put, 1, key);
  bind(session->put, 2, value);
  check(session->db, sqlite3_step(session->put), "put");
  check(session->db, sqlite3_reset(session->put), "put");
}

static bool get(void *context, driver_bytes key, driver_bytes *value) {
  struct session *session = context;
  bind(session->get, 1, key);
  int code = sqlite3_step(session->get);
  check(session->db, code, "get");
  if (code == SQLITE_ROW) {
    *value = column(session->get, 0);
    if (value->size > session->value_size) driver_die("sqlite: a value of %zu bytes", value->size);
    memcpy(session->buffer, value->data, value->size);
    value->data = session->buffer;
  }
  check(session->db, sqlite3_reset(session->get), "get");
  return code == SQLITE_ROW;
}

static void remove_key(void *context, driver_bytes key) {
  struct session *session = context;
  bind(session->remove, 1, key);
  check(session->db, sqlite3_step(session->remove), "delete");
  check(session->db, sqlite3_reset(session->remove), "delete");
}

static void scan(void *context, driver_visit visit, void *visit_context) {
  struct session *session = context;
  int code;
  while ((code = sqlite3_step(session->scan)) == SQLITE_ROW)
    visit(visit_context, column(session->scan, 0), column(session->scan, 1));
  check(session->db, code, "scan");
  check(session->db, sqlite3_reset(session->scan), "scan");
}

static void merge(void *context) { run(((struct store *)context)->db, "VACUUM"); }

const struct driver driver_sqlite = {
    .name = "sqlite",
    .tuning = "WAL, synchronous OFF, a transaction a put, prepared statements, cache for everything",
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
