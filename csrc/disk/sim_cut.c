#include "disk/sim_cut.h"

#include "base/checksum.h"

/* Families of states, in the order in which they come where all states are too many. */
enum family {
  FAMILY_NOTHING, /* only what is durable */
  FAMILY_MOMENT,  /* all changes up to one, none after it */
  FAMILY_ALL_BUT, /* all but one choice */
  FAMILY_ONLY,    /* only one choice */
  FAMILY_NAMES,   /* names only, then lengths and data only, then all but the data */
  FAMILY_TORN,    /* the last write, torn at each byte */
  FAMILY_GARBAGE, /* all, and garbage in one sector */
  FAMILY_DRAWN,   /* drawn */
  FAMILY_END
};

/* The names of torn states begin so; no value is written so. */
#define TORN_MARK '~'
enum { TORN_MAX = 512 };

struct sim_cut {
  struct sim_choices choices;
  uint64_t limit;
  uint64_t seed;
  uint64_t total;
  uint64_t made;
  unsigned *values; /* of each choice, of the state being made */
  char *name;
  bool is_exhaustive;
  bool is_done;
  enum family family;
  uint64_t step;   /* within the family */
  uint64_t stride; /* from one step to the next */
};

static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";

static enum bitcask_status prepare(struct sim_cut *cut) {
  size_t count = cut->choices.count;
  cut->values = memory_zeroed(count, sizeof *cut->values);
  cut->name = memory_zeroed(count + 16, 1);
  if (cut->values == NULL || cut->name == NULL) return BITCASK_NOMEMORY;
  cut->total = sim_choices_total(&cut->choices);
  cut->is_exhaustive = cut->total <= cut->limit;
  return BITCASK_OK;
}

enum bitcask_status sim_cut_new(const struct sim_image *image, uint64_t sector, uint64_t limit,
                                uint64_t seed, struct sim_cut **out) {
  struct sim_cut *cut = memory_zeroed(1, sizeof *cut);
  if (cut == NULL) return BITCASK_NOMEMORY;
  cut->limit = limit;
  cut->stride = 1;
  cut->seed = seed;
  enum bitcask_status status = sim_choices_find(image, sector, seed, &cut->choices);
  if (status == BITCASK_OK) status = prepare(cut);
  if (status != BITCASK_OK) {
    sim_cut_free(cut);
    return status;
  }
  *out = cut;
  return BITCASK_OK;
}

void sim_cut_free(struct sim_cut *cut) {
  if (cut == NULL) return;
  sim_choices_release(&cut->choices);
  memory_free(cut->values);
  memory_free(cut->name);
  memory_free(cut);
}

uint64_t sim_cut_total(const struct sim_cut *cut) { return cut->total; }

/* ---- Which values ---- */

static void set_all(struct sim_cut *cut, bool kept) {
  for (size_t i = 0; i < cut->choices.count; i++) {
    const struct sim_choice *choice = &cut->choices.all[i];
    cut->values[i] = kept ? sim_choice_all(choice) : 0;
  }
}

static uint64_t drawn(uint64_t seed, uint64_t a, uint64_t b) {
  return checksum_mix(seed ^ checksum_mix(a ^ checksum_mix(b)));
}

/* The first moment of a pending change after `when`, or UINT64_MAX. */
static uint64_t moment_after(const struct sim_image *image, uint64_t when) {
  uint64_t next = UINT64_MAX;
#define CONSIDER(moment) \
  if ((moment) > when && (moment) < next) next = (moment)
  for (size_t i = 0; i < image->folder_count; i++) {
    const struct sim_folder *folder = &image->folders[i];
    if (!folder->is_durable) CONSIDER(folder->when);
    for (size_t j = 0; j < folder->change_count; j++) CONSIDER(folder->changes[j].when);
  }
  for (size_t i = 0; i < image->node_count; i++) {
    const struct sim_node *node = image->nodes[i];
    for (size_t j = 0; j < node->write_count; j++) CONSIDER(node->writes[j].when);
    for (size_t j = 0; j < node->length_count; j++) CONSIDER(node->lengths[j].when);
  }
#undef CONSIDER
  return next;
}

/* Each of these sets the values for the state `cut->step` of its family, or returns false
 * behind the last one. */

static bool step_moment(struct sim_cut *cut) {
  uint64_t when = cut->step;
  for (uint64_t i = 0; i < cut->stride && when != UINT64_MAX; i++)
    when = moment_after(cut->choices.image, when);
  if (when == UINT64_MAX) return false;
  for (size_t i = 0; i < cut->choices.count; i++)
    cut->values[i] = sim_choice_at(&cut->choices, &cut->choices.all[i], when);
  cut->step = when; /* steps are moments here */
  return true;
}

static bool step_one(struct sim_cut *cut, bool others) {
  if (cut->step >= cut->choices.count) return false;
  set_all(cut, others);
  unsigned *value = &cut->values[cut->step];
  const struct sim_choice *choice = &cut->choices.all[cut->step];
  cut->step += cut->stride;
  *value = others ? 0 : sim_choice_all(choice);
  return true;
}

static bool step_names(struct sim_cut *cut) {
  if (cut->step >= 3) return false;
  set_all(cut, true);
  for (size_t i = 0; i < cut->choices.count; i++) {
    enum sim_choice_kind kind = cut->choices.all[i].kind;
    bool is_name = kind == SIM_CHOICE_FOLDER || kind == SIM_CHOICE_NAME;
    bool is_lost = cut->step == 0 ? !is_name : cut->step == 1 ? is_name : kind == SIM_CHOICE_SECTOR;
    if (is_lost) cut->values[i] = 0;
  }
  cut->step++;
  return true;
}

static bool step_garbage(struct sim_cut *cut) {
  while (cut->step < cut->choices.count && !cut->choices.all[cut->step].has_garbage) cut->step++;
  if (cut->step >= cut->choices.count) return false;
  set_all(cut, true);
  cut->values[cut->step] = cut->choices.all[cut->step].values - 1;
  cut->step += cut->stride;
  return true;
}

/* Most sectors as one, some apart: a uniform draw would tear every write in every state. */
static bool step_drawn(struct sim_cut *cut) {
  uint64_t style = drawn(cut->seed, cut->step, 0) % 4;
  uint64_t latest = 0, before = 0;
  while ((latest = moment_after(cut->choices.image, before)) != UINT64_MAX) before = latest;
  uint64_t when = before > 0 ? drawn(cut->seed, cut->step, 1) % (before + 1) : 0;
  for (size_t i = 0; i < cut->choices.count; i++) {
    uint64_t random = drawn(cut->seed, cut->step, i + 2);
    bool apart = style == 0 || random % 8 < style;
    cut->values[i] = apart ? (unsigned)((random >> 8) % cut->choices.all[i].values)
                           : sim_choice_at(&cut->choices, &cut->choices.all[i], when);
  }
  cut->step++;
  return true;
}

/* ---- Torn writes ---- */

/* The newest pending write of the image, or NULL. */
static struct sim_write *newest_write(const struct sim_image *image) {
  struct sim_write *newest = NULL;
  for (size_t i = 0; i < image->node_count; i++) {
    struct sim_node *node = image->nodes[i];
    if (node->write_count == 0) continue;
    struct sim_write *write = &node->writes[node->write_count - 1];
    if (newest == NULL || write->when > newest->when) newest = write;
  }
  return newest;
}

/* All survives, but of the newest write only the first `size` bytes. */
static enum bitcask_status build_torn(struct sim_cut *cut, uint64_t size,
                                      struct sim_image *out) {
  struct sim_write *write = newest_write(cut->choices.image);
  if (write == NULL || size > write->size)
    return status_fail(BITCASK_INVALID, "no write is torn after %llu bytes",
                       (unsigned long long)size);
  uint64_t whole = write->size;
  write->size = size;
  set_all(cut, true);
  enum bitcask_status status = sim_choices_build(&cut->choices, cut->values, out);
  write->size = whole;
  return status;
}

/* ---- States one by one ---- */

static bool count_up(struct sim_cut *cut) {
  for (size_t i = 0; i < cut->choices.count; i++) {
    if (++cut->values[i] < cut->choices.all[i].values) return true;
    cut->values[i] = 0;
  }
  return false;
}

static bool step_family(struct sim_cut *cut) {
  switch (cut->family) {
    case FAMILY_NOTHING:
      set_all(cut, false);
      return cut->step++ == 0;
    case FAMILY_MOMENT:
      return step_moment(cut);
    case FAMILY_ALL_BUT:
      return step_one(cut, true);
    case FAMILY_ONLY:
      return step_one(cut, false);
    case FAMILY_NAMES:
      return step_names(cut);
    case FAMILY_GARBAGE:
      return step_garbage(cut);
    case FAMILY_DRAWN:
      return cut->made < cut->limit && step_drawn(cut);
    default:
      return false;
  }
}

static void name_by_values(struct sim_cut *cut) {
  for (size_t i = 0; i < cut->choices.count; i++) cut->name[i] = digits[cut->values[i]];
  cut->name[cut->choices.count] = '\0';
  if (cut->choices.count == 0) memcpy(cut->name, "-", 2);
}

static enum bitcask_status next_torn(struct sim_cut *cut, struct sim_image *out, bool *found) {
  const struct sim_write *write = newest_write(cut->choices.image);
  *found = write != NULL && cut->step < write->size && cut->step < TORN_MAX;
  if (!*found) return BITCASK_OK;
  char text[16];
  size_t length = 0;
  for (uint64_t rest = cut->step; rest > 0 || length == 0; rest /= 10)
    text[length++] = digits[rest % 10];
  cut->name[0] = TORN_MARK;
  for (size_t i = 0; i < length; i++) cut->name[1 + i] = text[length - 1 - i];
  cut->name[1 + length] = '\0';
  uint64_t size = cut->step;
  cut->step += cut->stride;
  return build_torn(cut, size, out);
}

/* How many states a family has. */
static uint64_t size_of_family(const struct sim_cut *cut) {
  const struct sim_write *newest = newest_write(cut->choices.image);
  uint64_t moments = 0, torn = newest != NULL ? newest->size : 0;
  switch (cut->family) {
    case FAMILY_MOMENT:
      for (uint64_t at = 0; (at = moment_after(cut->choices.image, at)) != UINT64_MAX;) moments++;
      return moments;
    case FAMILY_ALL_BUT:
    case FAMILY_ONLY:
    case FAMILY_GARBAGE:
      return cut->choices.count;
    case FAMILY_TORN:
      return torn < TORN_MAX ? torn : TORN_MAX;
    default:
      return 1;
  }
}

/* Each family gets its share of the limit: of a larger one every n-th state is made, a
 * different set for each seed. */
static void enter_family(struct sim_cut *cut, enum family family) {
  cut->family = family;
  uint64_t share = cut->limit / FAMILY_END + 1;
  uint64_t size = size_of_family(cut);
  cut->stride = size > share ? (size + share - 1) / share : 1;
  cut->step = 0;
  if (cut->stride == 1) return;
  uint64_t start = drawn(cut->seed, family, size) % cut->stride;
  if (family == FAMILY_MOMENT)
    while (start-- > 0) cut->step = moment_after(cut->choices.image, cut->step);
  else
    cut->step = start;
}

static enum bitcask_status next_of_families(struct sim_cut *cut, struct sim_image *out) {
  for (; cut->family < FAMILY_END; enter_family(cut, cut->family + 1)) {
    bool found = false;
    if (cut->family == FAMILY_TORN) {
      TRY(next_torn(cut, out, &found));
      if (found) return BITCASK_OK;
    } else if (step_family(cut)) {
      name_by_values(cut);
      return sim_choices_build(&cut->choices, cut->values, out);
    }
  }
  return BITCASK_ABSENT;
}

static enum bitcask_status next_of_all(struct sim_cut *cut, struct sim_image *out) {
  if (cut->is_done) {
    /* All of them were made; what is torn inside a sector is not among them. */
    if (cut->family != FAMILY_TORN) enter_family(cut, FAMILY_TORN);
    bool found = false;
    TRY(next_torn(cut, out, &found));
    return found ? BITCASK_OK : BITCASK_ABSENT;
  }
  name_by_values(cut);
  enum bitcask_status status = sim_choices_build(&cut->choices, cut->values, out);
  cut->is_done = !count_up(cut);
  return status;
}

enum bitcask_status sim_cut_next(struct sim_cut *cut, struct sim_image *out, const char **name) {
  enum bitcask_status status =
      cut->is_exhaustive ? next_of_all(cut, out) : next_of_families(cut, out);
  if (status != BITCASK_OK) {
    sim_image_release(out);
    return status;
  }
  cut->made++;
  *name = cut->name;
  return BITCASK_OK;
}

/* ---- States by name ---- */

static bool values_of(struct sim_cut *cut, const char *name) {
  if (cut->choices.count == 0) return strcmp(name, "-") == 0;
  if (strlen(name) != cut->choices.count) return false;
  for (size_t i = 0; i < cut->choices.count; i++) {
    const char *digit = strchr(digits, name[i]);
    if (digit == NULL || (size_t)(digit - digits) >= cut->choices.all[i].values) return false;
    cut->values[i] = (unsigned)(digit - digits);
  }
  return true;
}

static bool torn_of(const char *name, uint64_t *size) {
  if (name[0] != TORN_MARK || name[1] == '\0' || strlen(name) > 8) return false;
  *size = 0;
  for (const char *at = name + 1; *at != '\0'; at++) {
    if (*at < '0' || *at > '9') return false;
    *size = *size * 10 + (uint64_t)(*at - '0');
  }
  return true;
}

enum bitcask_status sim_cut_named(struct sim_cut *cut, const char *name,
                                  struct sim_image *out) {
  uint64_t size = 0;
  enum bitcask_status status;
  if (values_of(cut, name))
    status = sim_choices_build(&cut->choices, cut->values, out);
  else if (torn_of(name, &size))
    status = build_torn(cut, size, out);
  else
    status = status_fail(BITCASK_INVALID, "there is no surviving state '%s' here", name);
  if (status != BITCASK_OK) sim_image_release(out);
  return status;
}
