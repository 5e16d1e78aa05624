#include "disk/sim_choice.h"

#include "base/checksum.h"

/* ---- The choices ---- */

static enum bitcask_status add_choice(struct sim_choices *choices, struct sim_choice choice) {
  struct sim_choice *all = memory_resize(choices->all, choices->count + 1, sizeof *all);
  if (all == NULL) return BITCASK_NOMEMORY;
  choices->all = all;
  if (choice.values > SIM_VALUES_MAX) choice.values = SIM_VALUES_MAX;
  all[choices->count++] = choice;
  return BITCASK_OK;
}

static enum bitcask_status add_folder_choices(struct sim_choices *choices) {
  for (size_t i = 0; i < choices->image->folder_count; i++) {
    const struct sim_folder *folder = &choices->image->folders[i];
    if (!folder->is_durable)
      TRY(add_choice(choices, (struct sim_choice){
                                  .kind = SIM_CHOICE_FOLDER, .folder = i, .values = 2}));
    for (size_t j = 0; j < folder->change_count; j++)
      TRY(add_choice(choices, (struct sim_choice){
                              .kind = SIM_CHOICE_NAME, .folder = i, .change = j, .values = 2}));
  }
  return BITCASK_OK;
}

static bool touches(const struct sim_write *write, uint64_t from, uint64_t to) {
  return write->offset < to && write->offset + write->size > from;
}

static enum bitcask_status add_sector_choice(struct sim_choices *choices, size_t index,
                                             uint64_t sector) {
  const struct sim_node *node = choices->image->nodes[index];
  uint64_t from = sector * choices->sector_size, to = from + choices->sector_size;
  struct sim_choice choice = {
      .kind = SIM_CHOICE_SECTOR, .node = index, .sector = sector, .values = 1};
  for (size_t i = 0; i < node->write_count; i++)
    if (touches(&node->writes[i], from, to)) choice.values++;
  if (choice.values == 1) return BITCASK_OK;
  if (choice.values >= SIM_VALUES_MAX) choice.values = SIM_VALUES_MAX - 1;
  choice.has_garbage = true;
  choice.values++;
  return add_choice(choices, choice);
}

/* The bytes that pending writes and lengths reach to. */
static uint64_t reach_of(const struct sim_node *node) {
  uint64_t reach = 0;
  for (size_t i = 0; i < node->write_count; i++) {
    uint64_t end = node->writes[i].offset + node->writes[i].size;
    if (end > reach) reach = end;
  }
  return reach;
}

static enum bitcask_status add_node_choices(struct sim_choices *choices, size_t index) {
  const struct sim_node *node = choices->image->nodes[index];
  if (node->length_count > 0)
    TRY(add_choice(choices, (struct sim_choice){.kind = SIM_CHOICE_LENGTH,
                                        .node = index,
                                        .values = (unsigned)node->length_count + 1}));
  uint64_t sectors = (reach_of(node) + choices->sector_size - 1) / choices->sector_size;
  for (uint64_t sector = 0; sector < sectors; sector++)
    TRY(add_sector_choice(choices, index, sector));
  return BITCASK_OK;
}

uint64_t sim_choices_total(const struct sim_choices *choices) {
  uint64_t total = 1;
  for (size_t i = 0; i < choices->count; i++)
    if (__builtin_mul_overflow(total, choices->all[i].values, &total)) return UINT64_MAX;
  return total;
}

enum bitcask_status sim_choices_find(const struct sim_image *image, uint64_t sector_size,
                                     uint64_t seed, struct sim_choices *choices) {
  choices->image = image;
  choices->sector_size = sector_size;
  choices->seed = seed;
  TRY(add_folder_choices(choices));
  for (size_t i = 0; i < image->node_count; i++) TRY(add_node_choices(choices, i));
  return BITCASK_OK;
}

void sim_choices_release(struct sim_choices *choices) { memory_free(choices->all); }

/* ---- From choices to an image ---- */

static uint64_t drawn(const struct sim_choices *choices, uint64_t a, uint64_t b) {
  return checksum_mix(choices->seed ^ checksum_mix(a ^ checksum_mix(b)));
}

static void overlay(const struct sim_write *write, uint64_t from, uint64_t to, uint8_t *bytes) {
  uint64_t begin = write->offset > from ? write->offset : from;
  uint64_t end = write->offset + write->size < to ? write->offset + write->size : to;
  if (begin >= end) return;
  if (write->data != NULL)
    memcpy(bytes + begin, write->data + (begin - write->offset), (size_t)(end - begin));
  else
    memset(bytes + begin, 0, (size_t)(end - begin));
}

/* The bytes of a sector that are not durable may come back as anything. */
static void spoil(const struct sim_choices *choices, const struct sim_node *node, uint64_t from,
                  uint64_t to, uint8_t *bytes) {
  for (size_t i = 0; i < node->write_count; i++) {
    const struct sim_write *write = &node->writes[i];
    uint64_t end = write->offset + write->size < to ? write->offset + write->size : to;
    for (uint64_t at = write->offset > from ? write->offset : from; at < end; at++)
      bytes[at] = (uint8_t)drawn(choices, node->id, at);
  }
}

static void lay_sector(const struct sim_choices *choices, const struct sim_choice *choice,
                       unsigned value, uint8_t *bytes, uint64_t length) {
  const struct sim_node *node = choices->image->nodes[choice->node];
  uint64_t from = choice->sector * choices->sector_size, to = from + choices->sector_size;
  if (to > length) to = length;
  if (choice->has_garbage && value == choice->values - 1) {
    spoil(choices, node, from, to, bytes);
    return;
  }
  bool all = value == sim_choice_all(choice);
  for (size_t i = 0; i < node->write_count && (value > 0 || all); i++) {
    if (!touches(&node->writes[i], from, from + choices->sector_size)) continue;
    if (!all && value-- == 0) break;
    overlay(&node->writes[i], from, to, bytes);
  }
}

/* The choices, and what became of each. */
struct survival {
  const struct sim_choices *choices;
  const unsigned *values;
};

static uint64_t surviving_length(const struct survival *survival, size_t node) {
  const struct sim_node *from = survival->choices->image->nodes[node];
  for (size_t i = 0; i < survival->choices->count; i++) {
    const struct sim_choice *choice = &survival->choices->all[i];
    if (choice->kind != SIM_CHOICE_LENGTH || choice->node != node) continue;
    unsigned value = survival->values[i];
    if (value == choice->values - 1) value = (unsigned)from->length_count;
    return value == 0 ? from->durable_length : from->lengths[value - 1].length;
  }
  return from->durable_length;
}

/* A file as it survives; NULL: no memory. */
static struct sim_node *survivor(const struct survival *survival, size_t index) {
  const struct sim_node *from = survival->choices->image->nodes[index];
  uint64_t length = surviving_length(survival, index);
  uint8_t *bytes = memory_zeroed((size_t)length, 1);
  struct sim_node *node = sim_node_new(from->id);
  if (bytes == NULL || node == NULL) {
    memory_free(bytes);
    sim_node_unref(node);
    return NULL;
  }
  uint64_t old = from->durable_length < length ? from->durable_length : length;
  if (old > 0) memcpy(bytes, from->durable, (size_t)old);
  for (size_t i = 0; i < survival->choices->count; i++) {
    const struct sim_choice *choice = &survival->choices->all[i];
    if (choice->kind == SIM_CHOICE_SECTOR && choice->node == index)
      lay_sector(survival->choices, choice, survival->values[i], bytes, length);
  }
  node->held = from->held;
  enum bitcask_status status = sim_node_replace(node, bytes_of(bytes, (size_t)length));
  memory_free(bytes);
  if (status == BITCASK_OK) return node;
  sim_node_unref(node);
  return NULL;
}

static unsigned chosen(const struct survival *survival, enum sim_choice_kind kind,
                       size_t folder, size_t change) {
  for (size_t i = 0; i < survival->choices->count; i++) {
    const struct sim_choice *choice = &survival->choices->all[i];
    if (choice->kind == kind && choice->folder == folder && choice->change == change)
      return survival->values[i];
  }
  return 0;
}

static enum bitcask_status copy_name(const struct sim_image *image, const char *text,
                                     const struct sim_node *node, struct sim_names *to) {
  return sim_names_set(to, text, node != NULL ? sim_image_node(image, node->id) : NULL);
}

static enum bitcask_status build_names(const struct survival *survival, size_t index,
                                       struct sim_image *out) {
  const struct sim_folder *from = &survival->choices->image->folders[index];
  struct sim_names *names = &out->folders[out->folder_count - 1].durable;
  for (size_t i = 0; i < from->durable.count; i++)
    TRY(copy_name(out, from->durable.all[i].text, from->durable.all[i].node, names));
  for (size_t i = 0; i < from->change_count; i++) {
    const struct sim_name_change *change = &from->changes[i];
    if (!chosen(survival, SIM_CHOICE_NAME, index, i)) continue;
    if (change->removed[0] != '\0') TRY(sim_names_set(names, change->removed, NULL));
    TRY(copy_name(out, change->text, change->node, names));
  }
  struct sim_folder *folder = &out->folders[out->folder_count - 1];
  for (size_t i = 0; i < names->count; i++)
    TRY(sim_names_set(&folder->seen, names->all[i].text, names->all[i].node));
  return BITCASK_OK;
}

static enum bitcask_status build_folder(const struct survival *survival, size_t index,
                                        struct sim_image *out) {
  const struct sim_folder *from = &survival->choices->image->folders[index];
  if (!from->is_durable && !chosen(survival, SIM_CHOICE_FOLDER, index, 0)) return BITCASK_OK;
  struct sim_change make = {.kind = SIM_MAKE_FOLDER, .name = from->path};
  TRY(sim_image_apply(out, &make));
  out->folders[out->folder_count - 1].is_durable = true;
  return build_names(survival, index, out);
}

enum bitcask_status sim_choices_build(const struct sim_choices *choices, const unsigned *values,
                                      struct sim_image *out) {
  const struct survival chosen_values = {choices, values}, *survival = &chosen_values;
  const struct sim_image *image = choices->image;
  out->next_node = image->next_node;
  out->now_ms = image->now_ms;
  out->nodes = memory_zeroed(image->node_count, sizeof *out->nodes);
  if (out->nodes == NULL) return BITCASK_NOMEMORY;
  for (size_t i = 0; i < image->node_count; i++) {
    struct sim_node *node = survivor(survival, i);
    if (node == NULL) return BITCASK_NOMEMORY;
    out->nodes[out->node_count++] = node;
  }
  for (size_t i = 0; i < image->folder_count; i++) TRY(build_folder(survival, i, out));
  /* Names decide which files there are. */
  struct sim_change nothing = {.kind = SIM_SYNC_NAMES, .folder = 0};
  return out->folder_count > 0 ? sim_image_apply(out, &nothing) : BITCASK_OK;
}

unsigned sim_choice_at(const struct sim_choices *choices, const struct sim_choice *choice,
                       uint64_t when) {
  const struct sim_folder *folder = &choices->image->folders[choice->folder];
  unsigned value = 0;
  if (choice->kind == SIM_CHOICE_FOLDER) return folder->when <= when;
  if (choice->kind == SIM_CHOICE_NAME) return folder->changes[choice->change].when <= when;
  const struct sim_node *node = choices->image->nodes[choice->node];
  if (choice->kind == SIM_CHOICE_LENGTH) {
    for (size_t i = 0; i < node->length_count; i++) value += node->lengths[i].when <= when;
  } else {
    uint64_t from = choice->sector * choices->sector_size, to = from + choices->sector_size;
    for (size_t i = 0; i < node->write_count; i++)
      value += touches(&node->writes[i], from, to) && node->writes[i].when <= when;
  }
  unsigned most = sim_choice_all(choice);
  return value < most ? value : most;
}

