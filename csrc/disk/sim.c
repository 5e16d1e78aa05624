#include "disk/sim.h"

/* ---- Life ---- */

void sim_options_default(struct sim_options *out) {
  *out = (struct sim_options){.seed = 1, .sector_size = 512, .allocation = 1024};
}

/* 2020-01-01: any moment does, if it is the same each time. */
#define CLOCK_START_MS UINT64_C(1577836800000)

enum bitcask_status sim_new(const struct sim_options *options, struct sim **out) {
  static atomic_uint_least64_t serials;
  struct sim *sim = memory_zeroed(1, sizeof *sim);
  if (sim == NULL) return BITCASK_NOMEMORY;
  sim->base.ops = &sim_disk_ops;
  sim->options = *options;
  sim->random = options->seed;
  sim->boot = 1;
  sim->image.now_ms = CLOCK_START_MS;
  sim->serial = atomic_fetch_add(&serials, 1) + 1;
  atomic_init(&sim->references, 1);
  mutex_init(&sim->lock);
  *out = sim;
  return BITCASK_OK;
}

struct disk *sim_disk(struct sim *sim) { return &sim->base; }

/* ---- While it is in use ---- */

uint64_t sim_ops(struct sim *sim) {
  sim_lock(sim);
  uint64_t ops = sim->ops;
  sim_unlock(sim);
  return ops;
}

enum bitcask_status sim_fail(struct sim *sim, const struct sim_fault *fault) {
  sim_lock(sim);
  enum bitcask_status status = sim_faults_add(&sim->faults, fault);
  sim_unlock(sim);
  return status;
}

void sim_heal(struct sim *sim) {
  sim_lock(sim);
  sim_faults_release(&sim->faults);
  sim_unlock(sim);
}

enum bitcask_status sim_advance(struct sim *sim, int64_t milliseconds) {
  sim_lock(sim);
  struct sim_change change = {.kind = SIM_CLOCK,
                              .size = sim->image.now_ms + (uint64_t)milliseconds};
  enum bitcask_status status = sim_change(sim, &change);
  sim_unlock(sim);
  return status;
}

enum bitcask_status sim_write_trace(struct sim *sim, struct bitcask_buffer *out) {
  sim_lock(sim);
  enum bitcask_status status = sim_trace_write(&sim->trace, out);
  sim_unlock(sim);
  return status;
}

uint64_t sim_fingerprint(struct sim *sim) {
  sim_lock(sim);
  uint64_t fingerprint = sim_image_fingerprint(&sim->image);
  sim_unlock(sim);
  return fingerprint;
}

/* ---- Other disks that follow from it ---- */

/* A disk of the same kind that holds the image, whose contents it takes over. Its random
 * bytes follow from this one's. */
static enum bitcask_status derive(const struct sim *sim, struct sim_image *image, uint32_t boot,
                                  struct sim **out) {
  struct sim *new = NULL;
  enum bitcask_status status = sim_new(&sim->options, &new);
  if (status != BITCASK_OK) {
    sim_image_release(image);
    return status;
  }
  new->image = *image;
  *image = (struct sim_image){0};
  new->random = sim->random ^ (uint64_t)boot;
  new->boot = boot;
  *out = new;
  return BITCASK_OK;
}

static enum bitcask_status derive_copy(struct sim *sim, const struct sim_image *from,
                                       struct sim **out) {
  struct sim_image image = {0};
  sim_lock(sim);
  enum bitcask_status status = sim_image_copy(from, &image);
  if (status == BITCASK_OK) status = derive(sim, &image, sim->boot, out);
  sim_unlock(sim);
  return status;
}

enum bitcask_status sim_copy(struct sim *sim, struct sim **out) {
  return derive_copy(sim, &sim->image, out);
}

enum bitcask_status sim_survivor(struct sim *sim, struct sim_image *image, struct sim **out) {
  sim_lock(sim);
  enum bitcask_status status = derive(sim, image, sim->boot + 1, out);
  sim_unlock(sim);
  return status;
}

enum bitcask_status sim_cut(struct sim *sim, uint64_t limit, uint64_t seed,
                            struct sim_cut **out) {
  sim_lock(sim);
  enum bitcask_status status =
      sim_cut_new(&sim->image, sim->options.sector_size, limit, seed, out);
  sim_unlock(sim);
  return status;
}

/* ---- Recording and playing ---- */

enum bitcask_status sim_record(struct sim *sim) {
  sim_lock(sim);
  struct sim_history *history = sim_history_new(&sim->image, sim->ops);
  if (history != NULL) {
    sim_history_unref(sim->recorded);
    sim->recorded = history;
  }
  sim_unlock(sim);
  return history != NULL ? BITCASK_OK : BITCASK_NOMEMORY;
}

uint64_t sim_recorded(struct sim *sim) {
  sim_lock(sim);
  uint64_t count = sim->recorded != NULL ? sim->recorded->count : 0;
  sim_unlock(sim);
  return count;
}

enum bitcask_status sim_replay(struct sim *sim, struct sim **out) {
  if (sim->recorded == NULL)
    return status_fail(BITCASK_INVALID, "nothing was recorded on this simulated disk");
  TRY(derive_copy(sim, &sim->recorded->start, out));
  (*out)->played = sim_history_ref(sim->recorded);
  (*out)->ops = sim->recorded->ops;
  return BITCASK_OK;
}

static const struct sim_step *next_step(const struct sim *sim) {
  const struct sim_history *played = sim->played;
  return played != NULL && sim->position < played->count ? &played->steps[sim->position] : NULL;
}

enum bitcask_status sim_step(struct sim *sim, uint64_t *op) {
  sim_lock(sim);
  const struct sim_step *step = next_step(sim);
  enum bitcask_status status = BITCASK_ABSENT;
  if (step != NULL) {
    status = sim_image_apply(&sim->image, &step->change);
    sim->ops = *op = step->op;
    sim->position++;
  }
  sim_unlock(sim);
  return status;
}

enum bitcask_status sim_kill(struct sim *sim, uint64_t torn, struct sim **out) {
  const struct sim_step *step = next_step(sim);
  bool has_torn = step != NULL && step->change.kind == SIM_WRITE && step->change.data != NULL &&
                  torn < step->change.size;
  if (torn > 0 && !has_torn) return BITCASK_ABSENT;
  TRY(sim_copy(sim, out));
  if (torn == 0) return BITCASK_OK;
  struct sim_change part = step->change;
  part.size = torn;
  return sim_image_apply(&(*out)->image, &part);
}

/* ---- For looking at it, and for damage ---- */

static struct sim_folder *find(struct sim *sim, const char *path) {
  size_t index = sim_image_folder(&sim->image, path);
  if (index < sim->image.folder_count) return &sim->image.folders[index];
  status_fail(BITCASK_NOTFOUND, "%s: no such directory on the simulated disk", path);
  return NULL;
}

enum bitcask_status sim_list(struct sim *sim, const char *path, disk_name_function each,
                             void *context) {
  const struct sim_folder *folder = find(sim, path);
  if (folder == NULL) return BITCASK_NOTFOUND;
  for (size_t i = 0; i < folder->seen.count; i++) each(context, folder->seen.all[i].text);
  return BITCASK_OK;
}

enum bitcask_status sim_read(struct sim *sim, const char *path, const char *name,
                             struct bitcask_buffer *into) {
  const struct sim_folder *folder = find(sim, path);
  if (folder == NULL) return BITCASK_NOTFOUND;
  const struct sim_node *node = sim_names_find(&folder->seen, name);
  if (node == NULL)
    return status_fail(BITCASK_NOTFOUND, "%s/%s: no such file on the simulated disk", path, name);
  return buffer_assign(into, bytes_of(node->seen, (size_t)node->length));
}

static enum bitcask_status change_durably(struct sim *sim, const char *path,
                                          enum sim_change_kind kind, const char *name) {
  size_t folder = sim_image_folder(&sim->image, path);
  struct sim_change change = {.kind = kind, .folder = folder, .name = name};
  struct sim_change sync = {.kind = SIM_SYNC_NAMES, .folder = folder};
  TRY(sim_change(sim, &change));
  return sim_change(sim, &sync);
}

static enum bitcask_status make_folder(struct sim *sim, const char *path) {
  struct sim_change make = {.kind = SIM_MAKE_FOLDER, .name = path};
  struct sim_change sync = {.kind = SIM_SYNC_ROOT};
  if (sim_image_folder(&sim->image, path) < sim->image.folder_count) return BITCASK_OK;
  TRY(sim_change(sim, &make));
  return sim_change(sim, &sync);
}

static enum bitcask_status put(struct sim *sim, const char *path, const char *name,
                               bitcask_bytes bytes) {
  TRY(make_folder(sim, path));
  struct sim_folder *folder = find(sim, path);
  if (sim_names_find(&folder->seen, name) == NULL)
    TRY(change_durably(sim, path, SIM_CREATE, name));
  folder = find(sim, path);
  return sim_node_replace(sim_names_find(&folder->seen, name), bytes);
}

enum bitcask_status sim_put(struct sim *sim, const char *path, const char *name,
                            bitcask_bytes bytes) {
  if (strlen(path) >= SIM_PATH_SIZE || strlen(name) >= SIM_NAME_SIZE)
    return status_fail(BITCASK_INVALID, "%.40s/%.40s: too long a name for a simulated disk", path,
                       name);
  sim_lock(sim);
  enum bitcask_status status = put(sim, path, name, bytes);
  sim_unlock(sim);
  return status;
}

enum bitcask_status sim_take(struct sim *sim, const char *path, const char *name) {
  sim_lock(sim);
  const struct sim_folder *folder = find(sim, path);
  enum bitcask_status status = BITCASK_NOTFOUND;
  if (folder != NULL && sim_names_find(&folder->seen, name) != NULL)
    status = change_durably(sim, path, SIM_REMOVE, name);
  else if (folder != NULL)
    status_fail(status, "%s/%s: no such file on the simulated disk", path, name);
  sim_unlock(sim);
  return status;
}
