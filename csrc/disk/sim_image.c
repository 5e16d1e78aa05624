#include "disk/sim_image.h"

#include <stdio.h>

#include "base/checksum.h"

static void set_text(char *text, size_t size, const char *value) {
  snprintf(text, size, "%s", value != NULL ? value : "");
}

/* ---- Names ---- */

static size_t index_of(const struct sim_names *names, const char *text) {
  size_t i = 0;
  while (i < names->count && strcmp(names->all[i].text, text) != 0) i++;
  return i;
}

struct sim_node *sim_names_find(const struct sim_names *names, const char *text) {
  size_t i = index_of(names, text);
  return i < names->count ? names->all[i].node : NULL;
}

enum bitcask_status sim_names_set(struct sim_names *names, const char *text,
                                  struct sim_node *node) {
  size_t i = index_of(names, text);
  if (i == names->count) {
    if (node == NULL) return BITCASK_OK;
    struct sim_name *all = memory_resize(names->all, names->count + 1, sizeof *all);
    if (all == NULL) return BITCASK_NOMEMORY;
    names->all = all;
    set_text(all[i].text, sizeof all[i].text, text);
    all[names->count++].node = sim_node_ref(node);
    return BITCASK_OK;
  }
  struct sim_node *before = names->all[i].node;
  if (node != NULL)
    names->all[i].node = sim_node_ref(node);
  else
    names->all[i] = names->all[--names->count];
  sim_node_unref(before);
  return BITCASK_OK;
}

enum bitcask_status sim_names_change(struct sim_names *names,
                                     const struct sim_name_change *change) {
  if (change->removed[0] != '\0') TRY(sim_names_set(names, change->removed, NULL));
  return sim_names_set(names, change->text, change->node);
}

static void names_release(struct sim_names *names) {
  for (size_t i = 0; i < names->count; i++) sim_node_unref(names->all[i].node);
  memory_free(names->all);
}

/* ---- Folders ---- */

size_t sim_image_folder(const struct sim_image *image, const char *path) {
  size_t i = 0;
  while (i < image->folder_count && strcmp(image->folders[i].path, path) != 0) i++;
  return i;
}

static enum bitcask_status make_folder(struct sim_image *image, const char *path) {
  struct sim_folder *folders =
      memory_resize(image->folders, image->folder_count + 1, sizeof *folders);
  if (folders == NULL) return BITCASK_NOMEMORY;
  image->folders = folders;
  struct sim_folder *folder = &folders[image->folder_count++];
  *folder = (struct sim_folder){.when = image->changes};
  set_text(folder->path, sizeof folder->path, path);
  return BITCASK_OK;
}

static enum bitcask_status change_names(struct sim_image *image, struct sim_folder *folder,
                                        const char *text, const char *removed,
                                        struct sim_node *node) {
  struct sim_name_change *changes =
      memory_resize(folder->changes, folder->change_count + 1, sizeof *changes);
  if (changes == NULL) return BITCASK_NOMEMORY;
  folder->changes = changes;
  struct sim_name_change change = {.node = node, .when = image->changes};
  set_text(change.text, sizeof change.text, text);
  set_text(change.removed, sizeof change.removed, removed);
  TRY(sim_names_change(&folder->seen, &change));
  if (node != NULL) sim_node_ref(node);
  changes[folder->change_count++] = change;
  return BITCASK_OK;
}

static bool same_name(const char *a, const char *b) { return a[0] != '\0' && strcmp(a, b) == 0; }

/* The newer change decides what becomes of the name, so that the older one no longer does. */
static bool is_overtaken(const struct sim_name_change *older,
                         const struct sim_name_change *newer) {
  return same_name(older->text, newer->text) || same_name(older->text, newer->removed);
}

/* Forget stuck changes among the first `count` that what was made durable has overtaken;
 * returns how many are left. */
static size_t drop_overtaken(struct sim_folder *folder, size_t count,
                             const struct sim_name_change *newer) {
  size_t kept = 0;
  for (size_t i = 0; i < count; i++) {
    if (is_overtaken(&folder->changes[i], newer))
      sim_node_unref(folder->changes[i].node);
    else
      folder->changes[kept++] = folder->changes[i];
  }
  return kept;
}

static enum bitcask_status sync_names(struct sim_folder *folder) {
  size_t kept = 0;
  for (size_t i = 0; i < folder->change_count; i++) {
    struct sim_name_change change = folder->changes[i];
    if (change.is_stuck) {
      folder->changes[kept++] = change;
      continue;
    }
    TRY(sim_names_change(&folder->durable, &change));
    kept = drop_overtaken(folder, kept, &change);
    sim_node_unref(change.node);
  }
  folder->change_count = kept;
  return BITCASK_OK;
}

static void fail_names(struct sim_folder *folder) {
  for (size_t i = 0; i < folder->change_count; i++) folder->changes[i].is_stuck = true;
}

static void folder_release(struct sim_folder *folder) {
  for (size_t i = 0; i < folder->change_count; i++) sim_node_unref(folder->changes[i].node);
  memory_free(folder->changes);
  names_release(&folder->seen);
  names_release(&folder->durable);
}

/* ---- Files ---- */

struct sim_node *sim_image_node(const struct sim_image *image, uint64_t id) {
  size_t low = 0, high = image->node_count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (image->nodes[middle]->id < id)
      low = middle + 1;
    else
      high = middle;
  }
  return low < image->node_count && image->nodes[low]->id == id ? image->nodes[low] : NULL;
}

/* The image takes over a reference. Ids only ever rise, so the list stays sorted. */
static enum bitcask_status add_node(struct sim_image *image, struct sim_node *node) {
  struct sim_node **nodes = memory_resize(image->nodes, image->node_count + 1, sizeof *nodes);
  if (nodes == NULL) return BITCASK_NOMEMORY;
  image->nodes = nodes;
  nodes[image->node_count++] = node;
  return BITCASK_OK;
}

/* Forget the files that neither a name nor a handle leads to. */
static void collect(struct sim_image *image) {
  size_t kept = 0;
  for (size_t i = 0; i < image->node_count; i++) {
    if (image->nodes[i]->references > 1)
      image->nodes[kept++] = image->nodes[i];
    else
      sim_node_unref(image->nodes[i]);
  }
  image->node_count = kept;
}

static enum bitcask_status create(struct sim_image *image, struct sim_folder *folder,
                                  const char *name) {
  struct sim_node *node = sim_node_new(image->next_node + 1);
  if (node == NULL) return BITCASK_NOMEMORY;
  enum bitcask_status status = add_node(image, node);
  if (status != BITCASK_OK) {
    sim_node_unref(node);
    return status;
  }
  image->next_node++;
  return change_names(image, folder, name, NULL, node);
}

/* ---- Changes ---- */

static enum bitcask_status apply_to_names(struct sim_image *image,
                                          const struct sim_change *change) {
  if (change->folder >= image->folder_count)
    return status_fail(BITCASK_INVALID, "no such directory on the simulated disk");
  struct sim_folder *folder = &image->folders[change->folder];
  switch (change->kind) {
    case SIM_CREATE:
      return create(image, folder, change->name);
    case SIM_REMOVE:
      return change_names(image, folder, change->name, NULL, NULL);
    case SIM_RENAME:
      return change_names(image, folder, change->to, change->name,
                          sim_names_find(&folder->seen, change->name));
    case SIM_SYNC_NAMES:
      return sync_names(folder);
    default:
      fail_names(folder);
      return BITCASK_OK;
  }
}

static enum bitcask_status apply_to_node(struct sim_image *image,
                                         const struct sim_change *change) {
  struct sim_node *node = sim_image_node(image, change->node);
  if (node == NULL) return BITCASK_OK;
  switch (change->kind) {
    case SIM_WRITE:
      return sim_node_write(node, change->offset, change->size, change->data, image->changes);
    case SIM_LENGTH:
      return sim_node_set_length(node, change->size, image->changes);
    case SIM_SYNC:
      return sim_node_sync(node);
    case SIM_HOLD:
      node->held = change->size;
      return BITCASK_OK;
    default:
      sim_node_fail_sync(node);
      return BITCASK_OK;
  }
}

static void sync_root(struct sim_image *image) {
  for (size_t i = 0; i < image->folder_count; i++) image->folders[i].is_durable = true;
}

enum bitcask_status sim_image_apply(struct sim_image *image, const struct sim_change *change) {
  enum bitcask_status status = BITCASK_OK;
  image->changes++;
  switch (change->kind) {
    case SIM_MAKE_FOLDER:
      return make_folder(image, change->name);
    case SIM_SYNC_ROOT:
      sync_root(image);
      return BITCASK_OK;
    case SIM_CLOCK:
      image->now_ms = change->size;
      return BITCASK_OK;
    case SIM_WRITE:
    case SIM_LENGTH:
    case SIM_HOLD:
    case SIM_SYNC:
    case SIM_FAIL_SYNC:
      return apply_to_node(image, change);
    default:
      status = apply_to_names(image, change);
      collect(image);
      return status;
  }
}

/* ---- Whole images ---- */

void sim_image_release(struct sim_image *image) {
  for (size_t i = 0; i < image->folder_count; i++) folder_release(&image->folders[i]);
  for (size_t i = 0; i < image->node_count; i++) sim_node_unref(image->nodes[i]);
  memory_free(image->folders);
  memory_free(image->nodes);
  *image = (struct sim_image){0};
}

static enum bitcask_status copy_names(const struct sim_image *image,
                                      const struct sim_names *from, struct sim_names *to) {
  for (size_t i = 0; i < from->count; i++)
    TRY(sim_names_set(to, from->all[i].text, sim_image_node(image, from->all[i].node->id)));
  return BITCASK_OK;
}

static enum bitcask_status copy_changes(const struct sim_image *image,
                                        const struct sim_folder *from, struct sim_folder *to) {
  to->changes = memory_zeroed(from->change_count, sizeof *to->changes);
  if (to->changes == NULL) return BITCASK_NOMEMORY;
  for (size_t i = 0; i < from->change_count; i++) {
    struct sim_name_change change = from->changes[i];
    if (change.node != NULL)
      change.node = sim_node_ref(sim_image_node(image, change.node->id));
    to->changes[to->change_count++] = change;
  }
  return BITCASK_OK;
}

static enum bitcask_status copy_folder(const struct sim_folder *from, struct sim_image *to) {
  TRY(make_folder(to, from->path));
  struct sim_folder *folder = &to->folders[to->folder_count - 1];
  folder->is_durable = from->is_durable;
  folder->when = from->when;
  TRY(copy_names(to, &from->seen, &folder->seen));
  TRY(copy_names(to, &from->durable, &folder->durable));
  return copy_changes(to, from, folder);
}

enum bitcask_status sim_image_copy(const struct sim_image *from, struct sim_image *to) {
  enum bitcask_status status = BITCASK_OK;
  to->next_node = from->next_node;
  to->changes = from->changes;
  to->now_ms = from->now_ms;
  for (size_t i = 0; status == BITCASK_OK && i < from->node_count; i++) {
    struct sim_node *node = sim_node_copy(from->nodes[i]);
    status = node == NULL ? BITCASK_NOMEMORY : add_node(to, node);
    if (status != BITCASK_OK) sim_node_unref(node);
  }
  for (size_t i = 0; status == BITCASK_OK && i < from->folder_count; i++)
    status = copy_folder(&from->folders[i], to);
  if (status != BITCASK_OK) sim_image_release(to);
  return status;
}

static bool is_named(const struct sim_image *image, const struct sim_node *node) {
  for (size_t i = 0; i < image->folder_count; i++) {
    const struct sim_names *names = &image->folders[i].seen;
    for (size_t j = 0; j < names->count; j++)
      if (names->all[j].node == node) return true;
  }
  return false;
}

uint64_t sim_image_used(const struct sim_image *image) {
  uint64_t used = 0;
  for (size_t i = 0; i < image->node_count; i++) {
    const struct sim_node *node = image->nodes[i];
    if (node->handles == 0 && !is_named(image, node)) continue;
    used += node->length > node->held ? node->length : node->held;
  }
  return used;
}

/* In no order: a sum does not care for it. */
uint64_t sim_image_fingerprint(const struct sim_image *image) {
  uint64_t sum = 0;
  for (size_t i = 0; i < image->folder_count; i++) {
    const struct sim_folder *folder = &image->folders[i];
    uint64_t path = checksum64(folder->path, strlen(folder->path), 0);
    sum += checksum_mix(path);
    for (size_t j = 0; j < folder->seen.count; j++) {
      const struct sim_name *name = &folder->seen.all[j];
      uint64_t bytes = checksum64(name->node->seen, (size_t)name->node->length, path);
      sum += checksum_mix(checksum64(name->text, strlen(name->text), bytes) ^ name->node->length);
    }
  }
  return sum;
}
