/*
 * GDBM. Its handles are not made for threads: one lock around it. Nothing is promised of a
 * file that was open when the process was killed, and the report counts what is lost. With
 * its GDBM_SYNC a put takes less time than the device needs: it is not measured as durable.
 */
#include "driver.h"

#include <gdbm.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct store {
  GDBM_FILE file;
  pthread_mutex_t lock;
};

struct session {
  struct store *store;
  char *value; /* what the last get returned */
};

static void fail(struct store *store, const char *what) {
  driver_die("gdbm: %s: %s", what, gdbm_db_strerror(store->file));
}

static void *store_open(const struct driver_config *config) {
  struct store *store = driver_allocate(sizeof *store);
  char *path = driver_path(config->directory, "data.gdbm");
  store->file = gdbm_open(path, 0, GDBM_WRCREAT, 0644, NULL);
  if (store->file == NULL) driver_die("gdbm: open: %s", gdbm_strerror(gdbm_errno));
  pthread_mutex_init(&store->lock, NULL);
  free(path);
  return store;
}

static void store_close(void *context) {
  struct store *store = context;
  if (gdbm_close(store->file) != 0) driver_die("gdbm: close: %s", gdbm_strerror(gdbm_errno));
  free(store);
}

static void *session_open(void *store) {
  struct session *session = driver_allocate(sizeof *session);
  *session = (struct session){store, NULL};
  return session;
}

static void session_close(void *context) {
  struct session *session = context;
  free(session->value);
  free(session);
}

static datum datum_of(driver_bytes bytes) {
  return (datum){.dptr = (char *)bytes.data, .dsize = (int)bytes.size};
}

static void put(void *context, driver_bytes key, driver_bytes value) {
  struct store *store = ((struct session *)context)->store;
  pthread_mutex_lock(&store->lock);
  if (gdbm_store(store->file, datum_of(key), datum_of(value), GDBM_REPLACE) != 0)
    fail(store, "put");
  pthread_mutex_unlock(&store->lock);
}

static bool get(void *context, driver_bytes key, driver_bytes *value) {
  struct session *session = context;
  struct store *store = session->store;
  free(session->value);
  pthread_mutex_lock(&store->lock);
  datum found = gdbm_fetch(store->file, datum_of(key));
  if (found.dptr == NULL && gdbm_last_errno(store->file) != GDBM_ITEM_NOT_FOUND)
    fail(store, "get");
  pthread_mutex_unlock(&store->lock);
  session->value = found.dptr;
  *value = (driver_bytes){found.dptr, (size_t)found.dsize};
  return found.dptr != NULL;
}

static void remove_key(void *context, driver_bytes key) {
  struct store *store = ((struct session *)context)->store;
  pthread_mutex_lock(&store->lock);
  if (gdbm_delete(store->file, datum_of(key)) != 0 &&
      gdbm_last_errno(store->file) != GDBM_ITEM_NOT_FOUND)
    fail(store, "delete");
  pthread_mutex_unlock(&store->lock);
}

static void scan(void *context, driver_visit visit, void *visit_context) {
  struct store *store = ((struct session *)context)->store;
  datum key = gdbm_firstkey(store->file);
  while (key.dptr != NULL) {
    datum value = gdbm_fetch(store->file, key);
    if (value.dptr == NULL) fail(store, "scan");
    visit(visit_context, (driver_bytes){key.dptr, (size_t)key.dsize},
          (driver_bytes){value.dptr, (size_t)value.dsize});
    datum next = gdbm_nextkey(store->file, key);
    free(key.dptr);
    free(value.dptr);
    key = next;
  }
}

static void merge(void *context) {
  struct store *store = context;
  if (gdbm_reorganize(store->file) != 0) fail(store, "reorganize");
}

const struct driver driver_gdbm = {
    .name = "gdbm",
    .tuning = "defaults, one lock around it",
    .open = store_open,
    .close = store_close,
    .session_open = session_open,
    .session_close = session_close,
    .put = put,
    .get = get,
    .remove = remove_key,
    .scan = scan,
    .merge = merge};
