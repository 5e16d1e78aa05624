/* Writers, deleters, and writers of batches. */
#include "stress.h"

#include <inttypes.h>

/* The writes of one call, which got the versions up to `last`. */
static void note_writes(struct worker *worker, const struct write *writes, unsigned count,
                        uint64_t last, uint64_t newest_before) {
  uint64_t first = last - count + 1;
  if (first <= newest_before)
    die("a write got version %" PRIu64 ", but %" PRIu64 " had been returned before it began",
        first, newest_before);
  if (last > atomic_load(&run.begun))
    die("version %" PRIu64 " is above the number of writes", last);
  for (unsigned i = 0; i < count; i++) {
    struct write write = writes[i];
    write.version = first + i;
    write.first = first;
    write.last = last;
    if (!write.is_delete)
      atomic_store(&worker->put_versions[worker->write_count], write.version);
    worker->writes[worker->write_count++] = write;
    raise_to(&run.known[write.key], write.version);
  }
  raise_to(&run.newest, last);
}

/* Sometimes a condition: most hold, since little happens between the look and the write. */
static uint64_t choose_condition(struct worker *worker, unsigned key,
                                 struct bitcask_write_options *options) {
  *options = (struct bitcask_write_options){0};
  if (!one_in(&worker->chance, 6)) return ANY_VERSION;
  uint64_t version = version_now(worker, key);
  options->if_absent = version == NO_VERSION;
  options->if_version = version;
  return version;
}

static void put_once(struct worker *worker) {
  char key_bytes[KEY_SIZE_MAX];
  uint8_t value_bytes[VALUE_SIZE_MAX];
  struct bitcask_write_options options;
  struct write write = {.key = choose_key(worker)};
  write.expected = choose_condition(worker, write.key, &options);
  uint64_t newest = atomic_load(&run.newest), version = 0;
  bitcask_bytes value = make_value(worker, write.key, worker->write_count, value_bytes);
  atomic_fetch_add(&run.begun, 1);
  enum bitcask_status status = bitcask_put_with(worker->db, key_of(write.key, key_bytes), value,
                                                &options, &version);
  if (status == BITCASK_CONFLICT && write.expected != ANY_VERSION) return;
  check(status, "put");
  note_writes(worker, &write, 1, version, newest);
}

static void delete_once(struct worker *worker) {
  char key_bytes[KEY_SIZE_MAX];
  struct bitcask_write_options options;
  struct write write = {.key = choose_key(worker), .is_delete = true};
  write.expected = choose_condition(worker, write.key, &options);
  uint64_t floor = atomic_load(&run.known[write.key]);
  uint64_t newest = atomic_load(&run.newest), version = 0;
  atomic_fetch_add(&run.begun, 1);
  enum bitcask_status status =
      bitcask_delete_with(worker->db, key_of(write.key, key_bytes), &options, &version);
  if (status == BITCASK_CONFLICT && write.expected != ANY_VERSION) return;
  if (status == BITCASK_ABSENT) {
    saw_sight(worker, write.key, floor, false);
    return;
  }
  check(status, "delete");
  note_writes(worker, &write, 1, version, newest);
}

/* Add a write of the key to the batch. A delete is expected to find the key: else it would
 * write nothing, and nobody could tell which versions the others got. */
static struct write add_to_batch(struct worker *worker, struct bitcask_batch *batch, unsigned key,
                                 uint64_t number) {
  char key_bytes[KEY_SIZE_MAX];
  uint8_t value_bytes[VALUE_SIZE_MAX];
  struct write write = {.key = key, .expected = ANY_VERSION};
  bitcask_bytes bytes = key_of(key, key_bytes);
  if (one_in(&worker->chance, 3)) {
    write.expected = version_now(worker, key);
    write.is_delete = write.expected != NO_VERSION;
    check(bitcask_batch_expect(batch, bytes, write.expected), "batch_expect");
  }
  if (write.is_delete)
    check(bitcask_batch_delete(batch, bytes, NULL), "batch_delete");
  else
    check(bitcask_batch_put(batch, bytes, make_value(worker, key, number, value_bytes), NULL),
          "batch_put");
  return write;
}

static void batch_once(struct worker *worker, struct bitcask_batch *batch) {
  struct write writes[BATCH_MAX];
  unsigned count = 1 + below(&worker->chance, BATCH_MAX);
  unsigned key = choose_key(worker);
  bitcask_batch_clear(batch);
  for (unsigned i = 0; i < count; i++, key = (key + 1) % run.keys)
    writes[i] = add_to_batch(worker, batch, key, worker->write_count + i);
  uint64_t newest = atomic_load(&run.newest), version = 0;
  atomic_fetch_add(&run.begun, count);
  enum bitcask_status status = bitcask_batch_commit(worker->db, batch, &version);
  if (status == BITCASK_CONFLICT) return;
  check(status, "batch_commit");
  note_writes(worker, writes, count, version, newest);
}

void work_as_writer(struct worker *worker) {
  while (goes_on(worker)) {
    put_once(worker);
    if (one_in(&worker->chance, 20)) get_once(worker);
  }
}

void work_as_deleter(struct worker *worker) {
  while (goes_on(worker)) {
    delete_once(worker);
    if (one_in(&worker->chance, 3)) has_once(worker);
    if (one_in(&worker->chance, 3)) put_once(worker);
  }
}

void work_as_batcher(struct worker *worker) {
  struct bitcask_batch *batch = NULL;
  check(bitcask_batch_new(&batch), "batch_new");
  while (goes_on(worker)) batch_once(worker, batch);
  bitcask_batch_free(batch);
}
