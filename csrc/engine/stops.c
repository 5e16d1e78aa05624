#include "engine/stops.h"

#include "base/radix.h"

enum {
  GROUP_GROWTH = 32,
  GROUP_STOPS_MAX = 1 << 20,
};

/* No record is shorter than 32 bytes, or 4 units of a place: its lowest bits tell nothing new. */
#define STOP_BITS (~UINT64_C(3))

static void drop_pins(struct stops *stops) {
  struct segment **pins = stops->pins.data;
  uint32_t *numbers = stops->numbers.data;
  for (size_t i = 0; i < stops->pins.size / sizeof *pins; i++) {
    if (pins[i]->slot < stops->numbers.size / sizeof *numbers) numbers[pins[i]->slot] = 0;
    segment_unref(pins[i]);
  }
  stops->pins.size = 0;
}

void stops_release(struct stops *stops, bool unpin) {
  if (unpin) drop_pins(stops);
  bitcask_buffer_release(&stops->places);
  bitcask_buffer_release(&stops->spare);
  bitcask_buffer_release(&stops->olds);
  bitcask_buffer_release(&stops->pins);
  bitcask_buffer_release(&stops->numbers);
}

/* ---- Gathering ---- */

/* The number of the segment among the pins, where it is put if it is not there. */
static enum bitcask_status pin(struct stops *stops, struct segment *segment, uint32_t *out) {
  size_t known = stops->numbers.size / sizeof(uint32_t);
  if (segment->slot >= known) {
    size_t more = (segment->slot + 1 - known) * sizeof(uint32_t);
    TRY(buffer_reserve(&stops->numbers, more));
    memset((char *)stops->numbers.data + stops->numbers.size, 0, more);
    stops->numbers.size += more;
  }
  uint32_t *number = (uint32_t *)stops->numbers.data + segment->slot;
  struct segment **pins = stops->pins.data;
  /* A slot may have gone to another segment since. */
  if (*number == 0 || pins[*number - 1] != segment) {
    TRY(buffer_append(&stops->pins, bytes_of(&segment, sizeof segment)));
    segment_ref(segment);
    *number = (uint32_t)(stops->pins.size / sizeof *pins);
  }
  *out = *number - 1;
  return BITCASK_OK;
}

/* From slots, which may be given to others, to the pins that hold their segments. */
static enum bitcask_status pin_current(struct stops *stops, struct engine *engine, size_t first) {
  place *places = stops->places.data;
  for (size_t i = first; i < stops->places.size / sizeof *places; i++) {
    uint32_t number = 0;
    TRY(pin(stops, engine_segment(engine, places[i]), &number));
    places[i] = place_make(number, place_offset(places[i]), 0);
  }
  return BITCASK_OK;
}

static enum bitcask_status add_old(struct stops *stops, const struct keydir_old *old) {
  uint32_t number = 0;
  TRY(pin(stops, old->segment, &number));
  place at = place_make(number, place_offset(old->entry.at), 0);
  return buffer_append(&stops->places, bytes_of(&at, sizeof at));
}

/* The references that the copy holds are given back: the pins have their own. */
static enum bitcask_status add_olds(struct stops *stops) {
  const struct keydir_old *olds = stops->olds.data;
  enum bitcask_status status = BITCASK_OK;
  for (size_t i = 0; i < stops->olds.size / sizeof *olds; i++) {
    if (status == BITCASK_OK) status = add_old(stops, &olds[i]);
    segment_unref(olds[i].segment);
  }
  stops->olds.size = 0;
  return status;
}

static enum bitcask_status gather_shard(struct stops *stops, struct engine *engine,
                                        unsigned shard, uint64_t version) {
  size_t before = stops->places.size / sizeof(place);
  /* Under the guard a merge cannot take away a segment between the copy and its pin. */
  guard_token token = guard_enter(&engine->guard);
  enum bitcask_status status =
      keydir_copy_shard(engine->keydir, shard, version, &stops->places, &stops->olds);
  if (status == BITCASK_OK) status = pin_current(stops, engine, before);
  guard_leave(token);
  enum bitcask_status old_status = add_olds(stops);
  return status == BITCASK_OK ? old_status : status;
}

static enum bitcask_status sort_group(struct stops *stops) {
  stops->spare.size = 0;
  TRY(buffer_reserve(&stops->spare, stops->places.size));
  radix_sort(stops->places.data, stops->spare.data, stops->places.size / sizeof(place),
             sizeof(place), STOP_BITS);
  return BITCASK_OK;
}

/* About as much as they will take at once: growing step by step is copying. */
static enum bitcask_status reserve_places(struct stops *stops, const struct engine *engine,
                                          unsigned shards) {
  uint64_t expected = keydir_count(engine->keydir) / KEYDIR_SHARDS * (shards + 1);
  if (expected > GROUP_STOPS_MAX) expected = GROUP_STOPS_MAX;
  return buffer_reserve(&stops->places, (size_t)expected * sizeof(place));
}

/* After a failure the group can be gathered anew. */
static enum bitcask_status gather_group(struct stops *stops, struct engine *engine,
                                        uint64_t version) {
  unsigned shards = stops->group_shards == 0 ? 1 : stops->group_shards * GROUP_GROWTH;
  unsigned shard = stops->next_shard;
  drop_pins(stops);
  stops->places.size = 0;
  stops->next = 0;
  stops->ahead = (struct read_ahead){0};
  if (shards > KEYDIR_SHARDS - shard) shards = KEYDIR_SHARDS - shard;
  enum bitcask_status status = reserve_places(stops, engine, shards);
  for (unsigned done = 0; status == BITCASK_OK && done < shards; done++) {
    if (stops->places.size >= GROUP_STOPS_MAX * sizeof(place)) break;
    status = gather_shard(stops, engine, shard++, version);
  }
  if (status == BITCASK_OK) status = sort_group(stops);
  if (status != BITCASK_OK) {
    drop_pins(stops);
    stops->places.size = 0;
    return status;
  }
  stops->next_shard = shard;
  stops->group_shards = shards;
  return BITCASK_OK;
}

/* ---- Walking ---- */

static struct stop stop_of(const void *context, size_t index) {
  const struct stops *stops = context;
  place at = ((const place *)stops->places.data)[index];
  struct segment *const *pins = stops->pins.data;
  return (struct stop){pins[place_slot(at)], place_offset(at)};
}

enum bitcask_status stops_next(struct stops *stops, struct engine *engine, uint64_t version,
                               struct stop *out) {
  size_t count = stops->places.size / sizeof(place);
  while (stops->next == count) {
    if (stops->next_shard == KEYDIR_SHARDS) return BITCASK_ABSENT;
    TRY(gather_group(stops, engine, version));
    count = stops->places.size / sizeof(place);
  }
  const struct read_ahead_walk walk = {stop_of, stops, stops->next, count};
  read_ahead_step(&stops->ahead, &walk);
  *out = stop_of(stops, stops->next++);
  return BITCASK_OK;
}
