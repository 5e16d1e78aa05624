#include "engine/registry.h"

struct shared {
  unsigned process; /* an engine of the parent's is none of a forked child's */
  struct disk *disk;
  struct disk_identity identity;
  struct engine *engine; /* NULL while it is being opened or closed */
  unsigned handles;
  bool is_exclusive; /* it has a hash function of its handle's own */
  bool is_opening;
  struct shared *next;
};

static struct {
  struct mutex lock;
  struct condition changed;
  struct shared *first GUARDED_BY(lock);
} registry = {{PTHREAD_MUTEX_INITIALIZER}, {PTHREAD_COND_INITIALIZER}, NULL};

static struct shared *find_shared(const struct disk *disk, const struct disk_identity *identity)
    REQUIRES(registry.lock) {
  struct shared *shared = registry.first;
  unsigned process = thread_process_generation();
  while (shared != NULL && !(shared->process == process && shared->disk == disk &&
                             shared->identity.device == identity->device &&
                             shared->identity.inode == identity->inode))
    shared = shared->next;
  return shared;
}

static void forget_shared(struct shared *shared) REQUIRES(registry.lock) {
  struct shared **at = &registry.first;
  while (*at != shared) at = &(*at)->next;
  *at = shared->next;
  memory_free(shared);
  condition_wake_all(&registry.changed);
}

/* ---- Sharing ---- */

static bool have_same_hash(const struct bitcask_options *a, const struct bitcask_options *b) {
  const char *left = a->hash != NULL ? a->hash : "xxh3";
  const char *right = b->hash != NULL ? b->hash : "xxh3";
  return strcmp(left, right) == 0;
}

/* May a handle with `wanted` share an engine that was opened with `running`? */
static enum bitcask_status check_shared(const struct bitcask_options *running,
                                        const struct bitcask_options *wanted) {
  const char *what = NULL;
  if (running->hash_function != NULL || wanted->hash_function != NULL)
    return status_fail(BITCASK_BUSY,
                       "the store is open in this process, and one with a hash function of the "
                       "caller's own is not shared");
  if ((wanted->named & BITCASK_NAMED_SEGMENT_SIZE) && wanted->segment_size != running->segment_size)
    what = "segment_size";
  if ((wanted->named & BITCASK_NAMED_SYNC) &&
      (wanted->sync != running->sync ||
       (wanted->sync == BITCASK_SYNC_INTERVAL && wanted->sync_seconds != running->sync_seconds)))
    what = "sync";
  if ((wanted->named & BITCASK_NAMED_HASH) && !have_same_hash(running, wanted)) what = "hash";
  if ((wanted->named & BITCASK_NAMED_TTL) && wanted->ttl_ms != running->ttl_ms) what = "ttl";
  if ((wanted->named & BITCASK_NAMED_VERIFY) && wanted->verify != running->verify) what = "verify";
  if (what == NULL) return BITCASK_OK;
  return status_fail(BITCASK_BUSY, "the store is open in this process with another %s", what);
}

static enum bitcask_status join(struct bitcask *handle, struct shared *shared)
    REQUIRES(registry.lock) {
  TRY(check_shared(&shared->engine->options, &handle->options));
  if (!event_subscribe(&shared->engine->events, &handle->events))
    return status_fail(BITCASK_BUSY, "the store is open in this process, with a policy already");
  shared->handles++;
  handle->shared = shared;
  handle->engine = engine_ref(shared->engine);
  return BITCASK_OK;
}

/* Wait for an engine that is being opened or closed; NULL: there is none (any more). */
static struct shared *wait_for_shared(struct disk *disk, const struct disk_identity *identity)
    REQUIRES(registry.lock) {
  struct shared *shared = find_shared(disk, identity);
  while (shared != NULL && shared->engine == NULL) {
    condition_wait(&registry.changed, &registry.lock);
    shared = find_shared(disk, identity);
  }
  return shared;
}

static enum bitcask_status begin_shared(struct bitcask *handle, struct disk *disk,
                                        struct disk_directory *directory,
                                        const struct disk_identity *identity)
    REQUIRES(registry.lock) {
  struct shared *shared = memory_zeroed(1, sizeof *shared);
  if (shared == NULL) {
    directory->ops->close(directory);
    return BITCASK_NOMEMORY;
  }
  *shared = (struct shared){.process = thread_process_generation(),
                            .disk = disk,
                            .identity = *identity,
                            .handles = 1,
                            .is_exclusive = handle->options.hash_function != NULL,
                            .is_opening = true,
                            .next = registry.first};
  registry.first = shared;
  mutex_unlock(&registry.lock);
  struct engine *engine = NULL;
  enum bitcask_status status = opening_engine(handle, disk, directory, &engine);
  mutex_lock(&registry.lock);
  if (status != BITCASK_OK) {
    forget_shared(shared);
    return status;
  }
  shared->engine = engine;
  shared->is_opening = false;
  handle->shared = shared;
  handle->engine = engine_ref(engine);
  condition_wake_all(&registry.changed);
  return BITCASK_OK;
}

enum bitcask_status registry_attach(struct bitcask *handle, struct disk *disk) {
  struct disk_directory *directory = NULL;
  struct disk_identity identity;
  TRY(opening_directory(handle, disk, &directory));
  directory->ops->identify(directory, &identity);
  mutex_lock(&registry.lock);
  /* An engine that is not shared may be opening on this very thread, and this be a call from
   * inside the hash function: waiting for it would be waiting for ever. */
  struct shared *shared = find_shared(disk, &identity);
  enum bitcask_status status = BITCASK_OK;
  if (shared != NULL && shared->is_exclusive && shared->is_opening)
    status = status_fail(BITCASK_BUSY, "%s: is being opened, and not to be shared",
                         handle->directory);
  if (status == BITCASK_OK) shared = wait_for_shared(disk, &identity);
  bool is_own = shared == NULL && handle->is_readonly;
  if (status == BITCASK_OK && shared != NULL) status = join(handle, shared);
  if (status != BITCASK_OK || shared != NULL || is_own) {
    mutex_unlock(&registry.lock);
    directory->ops->close(directory);
    return is_own && status == BITCASK_OK ? opening_own_engine(handle, disk, &handle->engine)
                                          : status;
  }
  status = begin_shared(handle, disk, directory, &identity);
  mutex_unlock(&registry.lock);
  return status;
}

enum bitcask_status registry_leave(struct shared *shared) {
  enum bitcask_status status = BITCASK_OK;
  mutex_lock(&registry.lock);
  if (--shared->handles == 0) {
    struct engine *engine = shared->engine;
    shared->engine = NULL; /* those who open it now wait until it is closed */
    mutex_unlock(&registry.lock);
    status = opening_close(engine);
    engine_unref(engine);
    mutex_lock(&registry.lock);
    forget_shared(shared);
  }
  mutex_unlock(&registry.lock);
  return status;
}
