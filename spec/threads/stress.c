/*
 * A store under many threads, checked against what must be true whatever they do.
 *
 *   stress SECONDS SEED DIRECTORY
 *
 * Rounds of about two seconds, each with a store, settings and a seed of its own, until the
 * time is up. In a round writers of single keys and of batches, deleters, readers, iterators,
 * holders of snapshots, a follower of changes, a sealer and two mergers (one in the other's
 * way) work on the same few keys; others write keys of their own that expire. What is checked:
 *
 *   versions    rise: a write's is above that of every write that returned before it began
 *   values      are whole, and of the version that their put returned
 *   reads       never show a state of a key older than one that a call which returned before
 *               had shown or made; "not there" needs a time within the call when it was not
 *   iterations  show one moment: there is a version at which the store held just that, and
 *               it is not in the middle of a batch
 *   snapshots   hold what the store held at their version
 *   conditions  that were said to hold did
 *   changes     leave nothing out: one for each version, or word that some are gone
 *   expiring    keys are there before their time, and not there after it
 *   the end     the store holds, by every way of reading, the newest write of each key; then
 *               again after it was opened anew, merged, and opened anew once more
 *
 * What needs the whole history is written down in the round and checked at its end. The
 * program links bitcask.h alone. Exit status 0: all held; 1, with the reason and the seed of
 * the round on standard error, which repeats its settings: something did not.
 */
#include <bitcask.h>

#include <dirent.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
  KEYS_MAX = 512,
  KEY_SIZE_MAX = 300,
  VALUE_SIZE_MAX = 6000,
  THREADS_MAX = 16,
  WRITES_MAX = 200000,   /* of one thread in one round */
  SIGHTS_MAX = 200000,   /* answers without a version, written down, of one thread */
  WALKS_MAX = 400,       /* iterations written down, of one thread */
  MANY_MAX = 24,
  BATCH_MAX = 8,
  EXPIRING_MAX = 12, /* keys of one thread */
  SEGMENTS_MAX = 4096
};

/* A write that had no condition, and one that asked for a key that is not there. */
#define ANY_VERSION UINT64_MAX
#define NO_VERSION 0

/* ---- Failing --------------------------------------------------------------------- */

static uint64_t round_seed;

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "stress: ");
  vfprintf(stderr, format, arguments);
  fprintf(stderr, "\nstress: SEED=%" PRIu64 "\n", round_seed);
  va_end(arguments);
  exit(1);
}

static void check(enum bitcask_status status, const char *what) {
  if (status != BITCASK_OK)
    die("%s: %s: %s", what, bitcask_status_name(status), bitcask_error_text());
}

static void *allocate(size_t count, size_t size) {
  void *memory = calloc(count, size);
  if (memory == NULL) die("out of memory");
  return memory;
}

/* ---- Chance ---------------------------------------------------------------------- */

struct chance {
  uint64_t state;
};

static uint64_t draw(struct chance *chance) { /* splitmix64 */
  uint64_t z = (chance->state += UINT64_C(0x9E3779B97F4A7C15));
  z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
  return z ^ (z >> 31);
}

static unsigned below(struct chance *chance, unsigned limit) {
  return (unsigned)(draw(chance) % limit);
}

static bool one_in(struct chance *chance, unsigned n) { return below(chance, n) == 0; }

/* ---- The round ------------------------------------------------------------------- */

struct write {
  unsigned key;
  bool is_delete;
  uint64_t version;
  uint64_t first, last; /* versions of its batch; both its own where it stood alone */
  uint64_t expected;    /* version that the key was to have; or one of those above */
};

/* An answer without a version: at some moment of the call the key was, or was not, there. */
struct sight {
  unsigned key;
  bool is_there;
  uint64_t floor;   /* the newest version of the key known before the call began */
  uint64_t ceiling; /* no version above it had been given out when the call returned */
};

/* What a snapshot showed of a key: 0 where it was not there. */
struct glimpse {
  unsigned key;
  uint64_t snapshot;
  uint64_t version;
};

struct walk {
  uint64_t floor, ceiling;
  bool has_prefix; /* only keys with an even number were asked for */
  uint64_t *versions; /* by key; 0: not there */
};

struct worker {
  unsigned number;
  void (*work)(struct worker *);
  pthread_t thread;
  struct chance chance;
  struct bitcask *db;
  struct bitcask_buffer into;
  uint64_t last_version;

  struct write *writes;
  size_t write_count;
  atomic_uint_least64_t *put_versions; /* by number of the write; 0: has not returned */
  struct sight *sights;
  size_t sight_count;
  struct glimpse *glimpses;
  size_t glimpse_count;
  struct walk *walks;
  size_t walk_count;
  uint64_t operations;
};

static struct {
  char directory[512];
  struct bitcask_options options;
  bool is_held; /* a handle stays open, so that the engine is never closed meanwhile */
  bool has_expiring;
  unsigned keys;
  struct worker workers[THREADS_MAX];
  unsigned worker_count;
  atomic_bool is_over;
  /* The newest version of each key that a call which has returned made or showed. */
  atomic_uint_least64_t known[KEYS_MAX];
  atomic_uint_least64_t newest; /* over all keys: the newest that a write returned */
  atomic_uint_least64_t begun;  /* writes begun; each is given one version, so no version
                                 * that was given out is above it */
} run;

static void raise_to(atomic_uint_least64_t *to, uint64_t value) {
  uint64_t before = atomic_load(to);
  while (before < value && !atomic_compare_exchange_weak(to, &before, value)) {
  }
}

/* ---- Keys and values ------------------------------------------------------------- */

/* Keys of even number begin with "even", the others with "odd"; some are long. */
static bitcask_bytes key_of(unsigned number, char into[KEY_SIZE_MAX]) {
  int size = snprintf(into, KEY_SIZE_MAX, "%s-%u-", number % 2 == 0 ? "even" : "odd", number);
  int padding = number % 7 == 0 ? 200 : (int)(number % 5);
  memset(into + size, 'x', (size_t)padding);
  return (bitcask_bytes){into, (size_t)(size + padding)};
}

/* The keys that expire are not in the history. */
static bool is_expiring(bitcask_bytes key) {
  return key.size >= 3 && memcmp(key.data, "ttl", 3) == 0;
}

static unsigned number_of(bitcask_bytes key) {
  char again[KEY_SIZE_MAX];
  const char *dash = memchr(key.data, '-', key.size);
  if (dash == NULL) die("a key that nobody wrote");
  unsigned number = 0;
  const char *end = (const char *)key.data + key.size;
  for (const char *at = dash + 1; at < end && *at >= '0' && *at <= '9'; at++)
    number = number * 10 + (unsigned)(*at - '0');
  if (number >= run.keys) die("a key that nobody wrote");
  bitcask_bytes expected = key_of(number, again);
  if (expected.size != key.size || memcmp(expected.data, key.data, key.size) != 0)
    die("key %u is not as it was written", number);
  return number;
}

struct value_head {
  uint32_t key;
  uint32_t worker;
  uint64_t write; /* its number among the worker's */
};

static uint8_t filler(const struct value_head *head, size_t i) {
  return (uint8_t)(head->write * 31 + head->worker * 7 + head->key + i);
}

/* The value of the worker's write number `write`. */
static bitcask_bytes make_value(struct worker *worker, unsigned key, uint64_t write,
                                uint8_t into[VALUE_SIZE_MAX]) {
  struct value_head head = {key, worker->number, write};
  unsigned most = one_in(&worker->chance, 50) ? VALUE_SIZE_MAX - (unsigned)sizeof head : 120;
  size_t size = sizeof head + below(&worker->chance, most);
  memcpy(into, &head, sizeof head);
  for (size_t i = sizeof head; i < size; i++) into[i] = filler(&head, i);
  return (bitcask_bytes){into, size};
}

/* Is it what was put as `version` of the key? */
static void check_value(const char *by, unsigned key, bitcask_bytes value, uint64_t version) {
  struct value_head head;
  if (value.size < sizeof head) die("%s: key %u: a value of %zu bytes", by, key, value.size);
  memcpy(&head, value.data, sizeof head);
  if (head.key != key || head.worker >= run.worker_count || head.write >= WRITES_MAX)
    die("%s: key %u: the value of key %u, worker %u, write %" PRIu64, by, key, head.key,
        head.worker, head.write);
  for (size_t i = sizeof head; i < value.size; i++)
    if (((const uint8_t *)value.data)[i] != filler(&head, i))
      die("%s: key %u: byte %zu of the value differs", by, key, i);
  uint64_t put = atomic_load(&run.workers[head.worker].put_versions[head.write]);
  if (put != 0 && put != version)
    die("%s: key %u: version %" PRIu64 " with the value put as %" PRIu64, by, key, version, put);
}

/* ---- What was seen --------------------------------------------------------------- */

static void saw_version(const char *by, unsigned key, uint64_t floor, uint64_t version) {
  if (version < floor)
    die("%s: key %u: version %" PRIu64 ", but %" PRIu64 " was known before", by, key, version,
        floor);
  if (version > atomic_load(&run.begun))
    die("%s: key %u: version %" PRIu64 " was not given out yet", by, key, version);
  raise_to(&run.known[key], version);
}

static void saw_sight(struct worker *worker, unsigned key, uint64_t floor, bool is_there) {
  if (worker->sight_count == SIGHTS_MAX) return;
  worker->sights[worker->sight_count++] =
      (struct sight){key, is_there, floor, atomic_load(&run.begun)};
}

static void saw_value(struct worker *worker, const char *by, unsigned key, uint64_t floor,
                      enum bitcask_status status, bitcask_bytes value, uint64_t version) {
  if (status == BITCASK_ABSENT) {
    saw_sight(worker, key, floor, false);
    return;
  }
  check(status, by);
  check_value(by, key, value, version);
  saw_version(by, key, floor, version);
}

/* ---- Work ------------------------------------------------------------------------ */

/* Half of the work is on a few keys. */
static unsigned choose_key(struct worker *worker) {
  return below(&worker->chance, one_in(&worker->chance, 2) ? 8 : run.keys);
}

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

static uint64_t version_now(struct worker *worker, unsigned key) {
  char key_bytes[KEY_SIZE_MAX];
  struct bitcask_stat stat;
  enum bitcask_status status = bitcask_stat_key(worker->db, key_of(key, key_bytes), &stat);
  if (status == BITCASK_ABSENT) return NO_VERSION;
  check(status, "stat");
  return stat.version;
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

static void get_once(struct worker *worker) {
  char key_bytes[KEY_SIZE_MAX];
  unsigned key = choose_key(worker);
  uint64_t floor = atomic_load(&run.known[key]), version = 0;
  enum bitcask_status status =
      bitcask_get(worker->db, key_of(key, key_bytes), &worker->into, &version);
  bitcask_bytes value = {worker->into.data, worker->into.size};
  saw_value(worker, "get", key, floor, status, value, version);
}

static void has_once(struct worker *worker) {
  char key_bytes[KEY_SIZE_MAX];
  unsigned key = choose_key(worker);
  uint64_t floor = atomic_load(&run.known[key]);
  enum bitcask_status status = bitcask_has(worker->db, key_of(key, key_bytes));
  if (status != BITCASK_ABSENT) check(status, "has");
  saw_sight(worker, key, floor, status == BITCASK_OK);
}

static void stat_once(struct worker *worker) {
  char key_bytes[KEY_SIZE_MAX];
  struct bitcask_stat stat;
  unsigned key = choose_key(worker);
  uint64_t floor = atomic_load(&run.known[key]);
  enum bitcask_status status = bitcask_stat_key(worker->db, key_of(key, key_bytes), &stat);
  if (status == BITCASK_ABSENT) {
    saw_sight(worker, key, floor, false);
    return;
  }
  check(status, "stat");
  saw_version("stat", key, floor, stat.version);
}

static void get_many_once(struct worker *worker) {
  char key_bytes[MANY_MAX][KEY_SIZE_MAX];
  unsigned numbers[MANY_MAX];
  uint64_t floors[MANY_MAX];
  bitcask_bytes keys[MANY_MAX];
  struct bitcask_found found[MANY_MAX];
  unsigned count = 1 + below(&worker->chance, MANY_MAX);
  for (unsigned i = 0; i < count; i++) {
    numbers[i] = choose_key(worker);
    keys[i] = key_of(numbers[i], key_bytes[i]);
    floors[i] = atomic_load(&run.known[numbers[i]]);
  }
  check(bitcask_get_many(worker->db, keys, count, &worker->into, found), "get_many");
  for (unsigned i = 0; i < count; i++) {
    bitcask_bytes value = {NULL, found[i].size};
    if (found[i].size > 0) value.data = (const uint8_t *)worker->into.data + found[i].offset;
    saw_value(worker, "get_many", numbers[i], floors[i], found[i].status, value, found[i].version);
  }
}

/* Like the others, each turn may begin with a handle of its own, opened anew. */
static void perhaps_reopen(struct worker *worker) {
  if (run.options.hash_function != NULL || !one_in(&worker->chance, 400)) return;
  check(bitcask_close(worker->db), "close");
  worker->db = NULL;
  check(bitcask_open(run.directory, &run.options, &worker->db), "open");
}

static bool goes_on(struct worker *worker) {
  worker->operations++;
  if (atomic_load(&run.is_over) || worker->write_count + BATCH_MAX > WRITES_MAX) return false;
  perhaps_reopen(worker);
  return true;
}

static void work_as_writer(struct worker *worker) {
  while (goes_on(worker)) {
    put_once(worker);
    if (one_in(&worker->chance, 20)) get_once(worker);
  }
}

static void work_as_deleter(struct worker *worker) {
  while (goes_on(worker)) {
    delete_once(worker);
    if (one_in(&worker->chance, 3)) has_once(worker);
    if (one_in(&worker->chance, 3)) put_once(worker);
  }
}

static void work_as_batcher(struct worker *worker) {
  struct bitcask_batch *batch = NULL;
  check(bitcask_batch_new(&batch), "batch_new");
  while (goes_on(worker)) batch_once(worker, batch);
  bitcask_batch_free(batch);
}

static void work_as_reader(struct worker *worker) {
  while (goes_on(worker)) {
    unsigned which = below(&worker->chance, 16);
    if (which == 0)
      get_many_once(worker);
    else if (which == 1)
      has_once(worker);
    else if (which == 2)
      stat_once(worker);
    else
      get_once(worker);
  }
}

/* ---- Iterating ------------------------------------------------------------------- */

static void iterate_over(struct worker *worker, struct bitcask_iterator *iterator, bool keys_only,
                         struct walk *walk) {
  for (;;) {
    bitcask_bytes key, value;
    uint64_t version = 0;
    enum bitcask_status status = bitcask_iterator_next(iterator, &key, &value, &version);
    if (status == BITCASK_ABSENT) return;
    check(status, "iterator");
    if (is_expiring(key) && !walk->has_prefix) continue;
    unsigned number = number_of(key);
    if (walk->versions[number] != 0) die("iterator: key %u came twice", number);
    if (walk->has_prefix && number % 2 != 0) die("iterator: key %u has another prefix", number);
    if (!keys_only) check_value("iterator", number, value, version);
    walk->versions[number] = version;
    if (one_in(&worker->chance, 40)) get_once(worker);
  }
}

static void iterate_once(struct worker *worker) {
  struct bitcask_iterator *iterator = NULL;
  struct bitcask_iterator_options options = {0};
  struct walk *walk = &worker->walks[worker->walk_count];
  walk->has_prefix = one_in(&worker->chance, 4);
  options.keys_only = one_in(&worker->chance, 3);
  if (walk->has_prefix) options.prefix = (bitcask_bytes){"even", 4};
  memset(walk->versions, 0, run.keys * sizeof walk->versions[0]);
  walk->floor = atomic_load(&run.newest);
  check(bitcask_iterator_open(worker->db, &options, &iterator), "iterator_open");
  walk->ceiling = atomic_load(&run.begun);
  if (one_in(&worker->chance, 3)) { /* let much happen before it is looked at */
    struct timespec nap = {0, (long)below(&worker->chance, 30) * 1000000L};
    nanosleep(&nap, NULL);
  }
  if (!one_in(&worker->chance, 20)) { /* else it is closed unread */
    iterate_over(worker, iterator, options.keys_only, walk);
    if (worker->walk_count + 1 < WALKS_MAX) worker->walk_count++;
  }
  bitcask_iterator_close(iterator);
}

static void work_as_iterator(struct worker *worker) {
  while (goes_on(worker)) iterate_once(worker);
}

/* ---- Snapshots ------------------------------------------------------------------- */

static void saw_glimpse(struct worker *worker, unsigned key, uint64_t snapshot, uint64_t version) {
  if (version > snapshot)
    die("snapshot %" PRIu64 ": key %u has version %" PRIu64, snapshot, key, version);
  if (worker->glimpse_count == SIGHTS_MAX) return;
  worker->glimpses[worker->glimpse_count++] = (struct glimpse){key, snapshot, version};
}

static void look_into(struct worker *worker, struct bitcask_snapshot *snapshot, uint64_t at) {
  char key_bytes[KEY_SIZE_MAX];
  struct bitcask_stat stat = {0};
  unsigned key = choose_key(worker);
  bitcask_bytes bytes = key_of(key, key_bytes);
  uint64_t version = 0;
  enum bitcask_status status;
  if (one_in(&worker->chance, 3)) {
    status = bitcask_snapshot_stat_key(snapshot, bytes, &stat);
    version = stat.version;
  } else {
    status = bitcask_snapshot_get(snapshot, bytes, &worker->into, &version);
    bitcask_bytes value = {worker->into.data, worker->into.size};
    if (status == BITCASK_OK) check_value("snapshot_get", key, value, version);
  }
  if (status != BITCASK_ABSENT) check(status, "snapshot");
  saw_glimpse(worker, key, at, status == BITCASK_ABSENT ? 0 : version);
}

static void walk_over_snapshot(struct worker *worker, struct bitcask_snapshot *snapshot,
                               uint64_t at) {
  struct bitcask_iterator *iterator = NULL;
  struct bitcask_iterator_options options = {0};
  struct walk *walk = &worker->walks[worker->walk_count];
  walk->has_prefix = false;
  walk->floor = walk->ceiling = at;
  memset(walk->versions, 0, run.keys * sizeof walk->versions[0]);
  check(bitcask_snapshot_iterator_open(snapshot, &options, &iterator), "snapshot_iterator_open");
  iterate_over(worker, iterator, false, walk);
  bitcask_iterator_close(iterator);
  if (worker->walk_count + 1 < WALKS_MAX) worker->walk_count++;
}

static void work_as_holder(struct worker *worker) {
  while (goes_on(worker)) {
    struct bitcask_snapshot *snapshot = NULL;
    uint64_t newest = atomic_load(&run.newest), count = 0;
    check(bitcask_snapshot_open(worker->db, &snapshot), "snapshot_open");
    uint64_t at = bitcask_snapshot_version(snapshot);
    if (at < newest || at > atomic_load(&run.begun))
      die("a snapshot at version %" PRIu64 ", where %" PRIu64 " was known", at, newest);
    for (unsigned i = below(&worker->chance, 200); i > 0; i--) look_into(worker, snapshot, at);
    if (one_in(&worker->chance, 4)) walk_over_snapshot(worker, snapshot, at);
    check(bitcask_snapshot_count(snapshot, &count), "snapshot_count");
    if (!run.has_expiring) saw_glimpse(worker, KEYS_MAX + (unsigned)count, at, 0);
    bitcask_snapshot_close(snapshot);
  }
}

/* ---- Changes --------------------------------------------------------------------- */

/* Follow from `since` as far as it goes; where it went to. */
static uint64_t follow_changes(struct bitcask_changes *changes, uint64_t since) {
  struct bitcask_change change;
  for (;;) {
    enum bitcask_status status = bitcask_changes_next(changes, &change);
    if (status == BITCASK_ABSENT || status == BITCASK_NOTFOUND) return since;
    check(status, "changes_next");
    if (change.version != since + 1)
      die("changes: version %" PRIu64 " follows %" PRIu64, change.version, since);
    if (!is_expiring(change.key)) {
      unsigned key = number_of(change.key);
      if (!change.deleted) check_value("changes", key, change.value, change.version);
    }
    since = change.version;
  }
}

static void work_as_follower(struct worker *worker) {
  uint64_t since = 0;
  while (goes_on(worker)) {
    struct bitcask_changes *changes = NULL;
    enum bitcask_status status = bitcask_changes_open(worker->db, since, &changes);
    if (status == BITCASK_NOTFOUND) {
      since = atomic_load(&run.newest);
      continue;
    }
    check(status, "changes_open");
    since = follow_changes(changes, since);
    bitcask_changes_close(changes);
  }
}

/* ---- Expiring -------------------------------------------------------------------- */

static uint64_t now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

struct expiring {
  uint64_t version;
  uint64_t from, to; /* it expires at some moment between these */
};

static bitcask_bytes expiring_key(const struct worker *worker, unsigned i,
                                  char into[KEY_SIZE_MAX]) {
  int size = snprintf(into, KEY_SIZE_MAX, "ttl-%u-%u", worker->number, i);
  return (bitcask_bytes){into, (size_t)size};
}

static void put_expiring(struct worker *worker, unsigned i, struct expiring *state) {
  char key_bytes[KEY_SIZE_MAX];
  struct bitcask_write_options options = {0};
  options.ttl_ms = one_in(&worker->chance, 4) ? BITCASK_TTL_NEVER : 1 + below(&worker->chance, 40);
  bool is_for_ever = options.ttl_ms == BITCASK_TTL_NEVER;
  uint64_t before = now_ms();
  atomic_fetch_add(&run.begun, 1);
  check(bitcask_put_with(worker->db, expiring_key(worker, i, key_bytes),
                         (bitcask_bytes){key_bytes, 4}, &options, &state->version),
        "put with a time to live");
  state->from = is_for_ever ? UINT64_MAX : before + options.ttl_ms;
  state->to = is_for_ever ? UINT64_MAX : now_ms() + options.ttl_ms;
  raise_to(&run.newest, state->version);
}

static void get_expiring(struct worker *worker, unsigned i, const struct expiring *state) {
  char key_bytes[KEY_SIZE_MAX];
  uint64_t version = 0, before = now_ms();
  enum bitcask_status status =
      bitcask_get(worker->db, expiring_key(worker, i, key_bytes), &worker->into, &version);
  uint64_t after = now_ms();
  if (status == BITCASK_ABSENT && state->version != 0 && after < state->from)
    die("a key is gone %" PRIu64 " ms before its time", state->from - after);
  if (status == BITCASK_ABSENT) return;
  check(status, "get of a key that expires");
  if (before >= state->to) die("a key is there %" PRIu64 " ms after its time", before - state->to);
  if (version != state->version) die("a key that expires has another version");
}

static void work_as_expirer(struct worker *worker) {
  char key_bytes[KEY_SIZE_MAX];
  struct expiring states[EXPIRING_MAX] = {{0}};
  while (goes_on(worker)) {
    unsigned i = below(&worker->chance, EXPIRING_MAX);
    if (one_in(&worker->chance, 4))
      put_expiring(worker, i, &states[i]);
    else
      get_expiring(worker, i, &states[i]);
    struct timespec nap = {0, 200000L};
    if (one_in(&worker->chance, 4)) nanosleep(&nap, NULL);
  }
  for (unsigned i = 0; i < EXPIRING_MAX; i++) {
    atomic_fetch_add(&run.begun, 1);
    enum bitcask_status status =
        bitcask_delete(worker->db, expiring_key(worker, i, key_bytes), NULL);
    if (status != BITCASK_ABSENT) check(status, "delete");
  }
}

/* ---- Sealing and merging --------------------------------------------------------- */

static void look_at_everything(struct worker *worker) {
  struct bitcask_stats stats;
  struct bitcask_event event;
  check(bitcask_stats(worker->db, &stats), "stats");
  if (stats.corruptions != 0) die("the store reports damage");
  if (stats.stopped != 0) die("the store has stopped");
  uint64_t most = run.keys + (uint64_t)EXPIRING_MAX * run.worker_count;
  if (stats.keys > most || bitcask_count(worker->db) > most) die("there are too many keys");
  while (bitcask_next_event(worker->db, &event))
    if (event.kind == BITCASK_EVENT_CORRUPTION || event.kind == BITCASK_EVENT_ERROR)
      die("an event: %s: %s", bitcask_status_name(event.status), event.message);
}

static void work_as_sealer(struct worker *worker) {
  while (goes_on(worker)) {
    uint64_t segment = 0;
    unsigned which = below(&worker->chance, 8);
    if (which == 0)
      check(bitcask_seal(worker->db, &segment), "seal");
    else if (which <= 3)
      check(bitcask_sync_now(worker->db), "sync");
    else
      look_at_everything(worker);
    struct timespec nap = {0, (long)below(&worker->chance, 8) * 1000000L};
    nanosleep(&nap, NULL);
  }
}

static size_t choose_segments(struct worker *worker, uint64_t ids[SEGMENTS_MAX]) {
  struct bitcask_segment *segments = NULL;
  size_t count = 0, chosen = 0;
  unsigned share = 1 + below(&worker->chance, 3);
  check(bitcask_segments(worker->db, &segments, &count), "segments");
  for (size_t i = 0; i < count && chosen < SEGMENTS_MAX; i++) {
    if (segments[i].live_bytes > segments[i].bytes ||
        segments[i].live_records > segments[i].records)
      die("segment %" PRIu64 ": more is alive than there is", segments[i].id);
    if (segments[i].damaged) die("segment %" PRIu64 " is damaged", segments[i].id);
    if (!segments[i].active && one_in(&worker->chance, share)) ids[chosen++] = segments[i].id;
  }
  bitcask_segments_free(segments);
  return chosen;
}

/* A step, or the whole, may meet what the other merger did, or its own cancelling. */
static void drive_merge(struct worker *worker, struct bitcask_merge *merge) {
  struct bitcask_merge_progress progress;
  enum bitcask_status status = BITCASK_OK;
  bool is_cancelled = one_in(&worker->chance, 5);
  bool is_finished = false;
  if (one_in(&worker->chance, 2)) {
    check(bitcask_merge_start(merge), "merge_start");
    bitcask_merge_progress(merge, &progress);
    if (is_cancelled) bitcask_merge_cancel(merge);
    status = bitcask_merge_wait(merge);
  } else {
    uint64_t budget = UINT64_C(1) << below(&worker->chance, 20);
    for (unsigned steps = 0; status == BITCASK_OK && !is_finished; steps++) {
      if (is_cancelled && steps == 3) break; /* closed midway */
      status = bitcask_merge_step(merge, budget, &is_finished);
    }
  }
  if (status != BITCASK_CANCELLED) check(status, "merge");
}

static void merge_once(struct worker *worker) {
  uint64_t ids[SEGMENTS_MAX];
  struct bitcask_merge *merge = NULL;
  struct bitcask_merge_options options = {0};
  if (!one_in(&worker->chance, 4)) {
    options.segments = ids;
    options.segment_count = choose_segments(worker, ids);
  }
  enum bitcask_status status = bitcask_merge_open(worker->db, &options, &merge);
  /* The other merger is at it, or has taken a chosen segment away since. */
  if (status == BITCASK_BUSY || status == BITCASK_INVALID) return;
  check(status, "merge_open");
  drive_merge(worker, merge);
  bitcask_merge_close(merge);
}

static void work_as_merger(struct worker *worker) {
  while (goes_on(worker)) {
    merge_once(worker);
    struct timespec nap = {0, (long)below(&worker->chance, 3) * 1000000L};
    nanosleep(&nap, NULL);
  }
}

/* ---- The history, once it is over ------------------------------------------------ */

struct history {
  struct write *writes; /* of one key, by version */
  size_t count;
};

static struct history histories[KEYS_MAX];

static int compare_writes(const void *left, const void *right) {
  const struct write *a = left, *b = right;
  if (a->key != b->key) return a->key < b->key ? -1 : 1;
  return (a->version > b->version) - (a->version < b->version);
}

static struct write *gather_histories(void) {
  size_t count = 0;
  for (unsigned i = 0; i < run.worker_count; i++) count += run.workers[i].write_count;
  struct write *all = allocate(count + 1, sizeof *all);
  size_t next = 0;
  for (unsigned i = 0; i < run.worker_count; i++) {
    struct worker *worker = &run.workers[i];
    memcpy(all + next, worker->writes, worker->write_count * sizeof *all);
    next += worker->write_count;
  }
  qsort(all, count, sizeof *all, compare_writes);
  memset(histories, 0, sizeof histories);
  for (size_t i = 0; i < count; i++) {
    struct history *history = &histories[all[i].key];
    if (history->count == 0) history->writes = &all[i];
    if (i > 0 && all[i].key == all[i - 1].key && all[i].version == all[i - 1].version)
      die("version %" PRIu64 " was given out twice", all[i].version);
    history->count++;
  }
  return all;
}

/* How many writes of the key have a version up to `version`. */
static size_t writes_up_to(const struct history *history, uint64_t version) {
  size_t low = 0, high = history->count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (history->writes[middle].version <= version)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static bool is_there_after(const struct history *history, size_t writes) {
  return writes > 0 && !history->writes[writes - 1].is_delete;
}

/* Was the key, between the floor and the ceiling, ever as it was seen? */
static void check_sight(const struct sight *sight) {
  const struct history *history = &histories[sight->key];
  size_t first = writes_up_to(history, sight->floor);
  size_t last = writes_up_to(history, sight->ceiling);
  for (size_t writes = first; writes <= last; writes++)
    if (is_there_after(history, writes) == sight->is_there) return;
  die("key %u was seen %s, which it never was from version %" PRIu64 " to %" PRIu64, sight->key,
      sight->is_there ? "there" : "absent", sight->floor, sight->ceiling);
}

/* The version of the key that was current at `moment`; 0: it was not there. */
static uint64_t version_at(unsigned key, uint64_t moment) {
  const struct history *history = &histories[key];
  size_t writes = writes_up_to(history, moment);
  return is_there_after(history, writes) ? history->writes[writes - 1].version : 0;
}

/* Versions in the middle of a batch: nobody may see the store as it would be then. */
static uint8_t *is_amid_batch;

static void mark_batches(void) {
  is_amid_batch = allocate(atomic_load(&run.begun) + 2, 1);
  for (unsigned i = 0; i < run.worker_count; i++)
    for (size_t k = 0; k < run.workers[i].write_count; k++) {
      const struct write *write = &run.workers[i].writes[k];
      if (write->version != write->last) is_amid_batch[write->version] = 1;
    }
}

static bool is_as_at(const struct walk *walk, uint64_t moment) {
  if (is_amid_batch[moment]) return false;
  for (unsigned key = 0; key < run.keys; key += walk->has_prefix ? 2 : 1)
    if (walk->versions[key] != version_at(key, moment)) return false;
  return true;
}

/* A moment at which the store held what the walk showed is the version of a write; it is at
 * least that of every write shown, and below the next write of each of these keys. */
static void check_walk(const struct walk *walk) {
  uint64_t low = walk->floor, high = walk->ceiling;
  for (unsigned key = 0; key < run.keys; key++) {
    uint64_t version = walk->versions[key];
    if (version == 0) continue;
    const struct history *history = &histories[key];
    size_t writes = writes_up_to(history, version);
    if (writes == 0 || history->writes[writes - 1].version != version)
      die("iterator: key %u has a version that no write returned", key);
    if (version > low) low = version;
    if (writes < history->count && history->writes[writes].version - 1 < high)
      high = history->writes[writes].version - 1;
  }
  for (uint64_t moment = low; moment <= high; moment++)
    if (is_as_at(walk, moment)) return;
  die("an iteration shows no moment from version %" PRIu64 " to %" PRIu64, low, high);
}

static uint64_t count_at(uint64_t moment) {
  uint64_t count = 0;
  for (unsigned key = 0; key < run.keys; key++)
    if (version_at(key, moment) != 0) count++;
  return count;
}

static void check_glimpse(const struct glimpse *glimpse) {
  if (is_amid_batch[glimpse->snapshot])
    die("snapshot %" PRIu64 " is in the middle of a batch", glimpse->snapshot);
  if (glimpse->key >= KEYS_MAX) {
    if (glimpse->key - KEYS_MAX != count_at(glimpse->snapshot))
      die("snapshot %" PRIu64 " counts %u keys", glimpse->snapshot, glimpse->key - KEYS_MAX);
    return;
  }
  uint64_t expected = version_at(glimpse->key, glimpse->snapshot);
  if (glimpse->version != expected)
    die("snapshot %" PRIu64 ": key %u has version %" PRIu64 ", not %" PRIu64, glimpse->snapshot,
        glimpse->key, glimpse->version, expected);
}

static void check_condition(const struct write *write) {
  if (write->expected == ANY_VERSION) return;
  uint64_t before = version_at(write->key, write->first - 1);
  if (before != write->expected)
    die("version %" PRIu64 " of key %u was to follow %" PRIu64 ", and follows %" PRIu64,
        write->version, write->key, write->expected, before);
}

static void check_history(void) {
  mark_batches();
  for (unsigned i = 0; i < run.worker_count; i++) {
    struct worker *worker = &run.workers[i];
    for (size_t k = 0; k < worker->write_count; k++) check_condition(&worker->writes[k]);
    for (size_t k = 0; k < worker->glimpse_count; k++) check_glimpse(&worker->glimpses[k]);
    for (size_t k = 0; k < worker->sight_count; k++) check_sight(&worker->sights[k]);
    for (size_t k = 0; k < worker->walk_count; k++) check_walk(&worker->walks[k]);
  }
  free(is_amid_batch);
}

/* ---- The end --------------------------------------------------------------------- */

static void check_one_key(struct bitcask *db, struct bitcask_buffer *into, unsigned key) {
  char key_bytes[KEY_SIZE_MAX];
  uint64_t version = 0, expected = version_at(key, UINT64_MAX);
  bitcask_bytes bytes = key_of(key, key_bytes);
  enum bitcask_status status = bitcask_get(db, bytes, into, &version);
  if (status == BITCASK_ABSENT && expected != 0)
    die("at the end key %u is gone; it was put as %" PRIu64, key, expected);
  if (status == BITCASK_ABSENT) return;
  check(status, "get at the end");
  if (version != expected)
    die("at the end key %u has version %" PRIu64 ", not %" PRIu64, key, version, expected);
  check_value("get at the end", key, (bitcask_bytes){into->data, into->size}, version);
}

static void check_end(struct bitcask *db) {
  struct bitcask_buffer into = {0};
  struct bitcask_iterator *iterator = NULL;
  struct bitcask_iterator_options options = {0};
  struct bitcask_stats stats;
  uint64_t live = 0, seen = 0;
  for (unsigned key = 0; key < run.keys; key++) {
    check_one_key(db, &into, key);
    if (version_at(key, UINT64_MAX) != 0) live++;
  }
  check(bitcask_iterator_open(db, &options, &iterator), "iterator_open");
  for (;;) {
    bitcask_bytes key, value;
    uint64_t version = 0;
    enum bitcask_status status = bitcask_iterator_next(iterator, &key, &value, &version);
    if (status == BITCASK_ABSENT) break;
    check(status, "iterator at the end");
    if (version != version_at(number_of(key), UINT64_MAX)) die("iterator at the end differs");
    seen++;
  }
  bitcask_iterator_close(iterator);
  bitcask_buffer_release(&into);
  if (seen != live || bitcask_count(db) != live)
    die("at the end there are %" PRIu64 " keys, not %" PRIu64, bitcask_count(db), live);
  check(bitcask_stats(db, &stats), "stats");
  if (stats.corruptions != 0) die("at the end damage was met");
  if (stats.old_versions != 0 || stats.pinned_segments != 0 || stats.snapshots != 0)
    die("at the end: %" PRIu64 " old versions, %" PRIu64 " pinned segments, %" PRIu64 " snapshots",
        stats.old_versions, stats.pinned_segments, stats.snapshots);
  if (stats.version < atomic_load(&run.newest)) die("the version went back");
}

static void check_live_bytes(struct bitcask *db) {
  struct bitcask_segment *segments = NULL;
  size_t count = 0;
  uint64_t records = 0;
  check(bitcask_segments(db, &segments, &count), "segments");
  for (size_t i = 0; i < count; i++) records += segments[i].live_records;
  bitcask_segments_free(segments);
  uint64_t keys = bitcask_count(db);
  if (records != keys)
    die("%" PRIu64 " records are counted as alive, of %" PRIu64 " keys", records, keys);
}

static void merge_all(struct bitcask *db) {
  struct bitcask_merge *merge = NULL;
  struct bitcask_merge_options options = {0};
  bool is_finished = false;
  check(bitcask_merge_open(db, &options, &merge), "merge_open");
  check(bitcask_merge_step(merge, 0, &is_finished), "merge");
  if (!is_finished) die("a merge without a budget is not finished");
  bitcask_merge_close(merge);
}

static void check_again_and_again(struct bitcask *db) {
  check_end(db);
  check_live_bytes(db);
  check(bitcask_close(db), "close");
  check(bitcask_open(run.directory, &run.options, &db), "open again");
  check_end(db);
  check_live_bytes(db);
  merge_all(db);
  check_end(db);
  check(bitcask_close(db), "close");
  check(bitcask_open(run.directory, &run.options, &db), "open after the merge");
  check_end(db);
  check_live_bytes(db);
  check(bitcask_close(db), "close");
}

/* ---- Rounds ---------------------------------------------------------------------- */

static enum bitcask_status poor_hash(void *context, bitcask_bytes key, uint64_t *out) {
  (void)context;
  *out = key.size % 3 * UINT64_C(0x1234567890ABCDEF);
  return BITCASK_OK;
}

static void choose_settings(struct chance *chance) {
  static const enum bitcask_sync syncs[] = {BITCASK_SYNC_NONE, BITCASK_SYNC_NONE,
                                            BITCASK_SYNC_INTERVAL, BITCASK_SYNC_ALWAYS};
  static const char *const hashes[] = {"xxh3", "xxh64", "xxh32"};
  bitcask_options_default(&run.options);
  run.options.sync = syncs[below(chance, 4)];
  run.options.sync_seconds = 0.003;
  run.options.segment_size = UINT64_C(4096) << below(chance, 8);
  run.options.hash = hashes[below(chance, 3)];
  run.options.verify = !one_in(chance, 3);
  run.options.no_threads = one_in(chance, 4);
  run.options.events = true;
  bool is_poor = one_in(chance, 5);
  if (is_poor) run.options.hash_function = poor_hash;
  run.keys = is_poor ? 40 : 16u << below(chance, 6);
  run.has_expiring = one_in(chance, 2);
  run.is_held = is_poor || !one_in(chance, 3);
}

static void *begin_work(void *context) {
  struct worker *worker = context;
  worker->work(worker);
  return NULL;
}

static void add_workers(unsigned count, void (*work)(struct worker *), struct chance *chance) {
  for (unsigned i = 0; i < count; i++) {
    struct worker *worker = &run.workers[run.worker_count];
    *worker = (struct worker){.number = run.worker_count, .work = work, .chance = {draw(chance)}};
    worker->writes = allocate(WRITES_MAX, sizeof *worker->writes);
    worker->put_versions = allocate(WRITES_MAX, sizeof *worker->put_versions);
    worker->sights = allocate(SIGHTS_MAX, sizeof *worker->sights);
    worker->glimpses = allocate(SIGHTS_MAX, sizeof *worker->glimpses);
    worker->walks = allocate(WALKS_MAX, sizeof *worker->walks);
    bool does_walk = work == work_as_iterator || work == work_as_holder;
    for (unsigned k = 0; does_walk && k < WALKS_MAX; k++)
      worker->walks[k].versions = allocate(run.keys, sizeof(uint64_t));
    run.worker_count++;
  }
}

static void free_workers(void) {
  for (unsigned i = 0; i < run.worker_count; i++) {
    struct worker *worker = &run.workers[i];
    for (unsigned k = 0; k < WALKS_MAX; k++) free(worker->walks[k].versions);
    free(worker->walks);
    free(worker->glimpses);
    free(worker->sights);
    free((void *)worker->put_versions);
    free(worker->writes);
    bitcask_buffer_release(&worker->into);
  }
  run.worker_count = 0;
}

static void open_handles(struct bitcask *held) {
  for (unsigned i = 0; i < run.worker_count; i++) {
    if (run.options.hash_function != NULL)
      run.workers[i].db = held; /* such a store has one handle only */
    else
      check(bitcask_open(run.directory, &run.options, &run.workers[i].db), "open");
  }
}

static void close_handles(const struct bitcask *held) {
  for (unsigned i = 0; i < run.worker_count; i++)
    if (run.workers[i].db != held) check(bitcask_close(run.workers[i].db), "close");
}

static void let_them_work(double seconds) {
  struct timespec nap = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
  atomic_store(&run.is_over, false);
  for (unsigned i = 0; i < run.worker_count; i++)
    if (pthread_create(&run.workers[i].thread, NULL, begin_work, &run.workers[i]) != 0)
      die("no thread");
  nanosleep(&nap, NULL);
  atomic_store(&run.is_over, true);
  for (unsigned i = 0; i < run.worker_count; i++) pthread_join(run.workers[i].thread, NULL);
}

static void remove_directory(const char *path) {
  char name[1024];
  DIR *directory = opendir(path);
  if (directory == NULL) return;
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
    unlink(name);
  }
  closedir(directory);
  rmdir(path);
}

static void tell_round(const struct bitcask_stats *stats) {
  static const char *const syncs[] = {"none", "interval", "always"};
  uint64_t walks = 0, sights = 0;
  for (unsigned i = 0; i < run.worker_count; i++) {
    walks += run.workers[i].walk_count;
    sights += run.workers[i].sight_count + run.workers[i].glimpse_count;
  }
  printf("SEED=%" PRIu64 ": sync %s, segments of %" PRIu64 ", %u keys, hash %s%s%s%s%s: %" PRIu64
         " writes, %" PRIu64 " iterations, %" PRIu64 " sights, %" PRIu64 " merges\n",
         round_seed, syncs[run.options.sync], run.options.segment_size, run.keys,
         run.options.hash_function != NULL ? "poor" : run.options.hash,
         run.options.no_threads ? ", no threads" : "", run.options.verify ? "" : ", no verify",
         run.has_expiring ? ", expiring" : "",
         run.is_held ? "" : ", reopened", atomic_load(&run.newest), walks, sights, stats->merges);
  fflush(stdout);
}

static void do_round(uint64_t seed, double seconds) {
  struct chance chance = {seed};
  struct bitcask *held = NULL, *last = NULL;
  struct bitcask_stats stats;
  round_seed = seed;
  remove_directory(run.directory);
  choose_settings(&chance);
  for (unsigned i = 0; i < KEYS_MAX; i++) atomic_store(&run.known[i], 0);
  atomic_store(&run.newest, 0);
  atomic_store(&run.begun, 0);
  add_workers(2, work_as_writer, &chance);
  add_workers(2, work_as_batcher, &chance);
  add_workers(2, work_as_deleter, &chance);
  add_workers(2, work_as_reader, &chance);
  add_workers(1, work_as_iterator, &chance);
  add_workers(2, work_as_holder, &chance);
  add_workers(1, work_as_follower, &chance);
  add_workers(run.has_expiring ? 1 : 0, work_as_expirer, &chance);
  add_workers(1, work_as_sealer, &chance);
  add_workers(2, work_as_merger, &chance);

  if (run.is_held) check(bitcask_open(run.directory, &run.options, &held), "open");
  open_handles(held);
  let_them_work(seconds);
  close_handles(held);
  struct timespec nap = {0, 50000000L}; /* until everything has expired that will */
  if (run.has_expiring) nanosleep(&nap, NULL);
  last = held;
  if (last == NULL) check(bitcask_open(run.directory, &run.options, &last), "open");
  struct write *all = gather_histories();
  check(bitcask_stats(last, &stats), "stats");
  check_history();
  check_again_and_again(last);
  tell_round(&stats);
  free(all);
  free_workers();
  remove_directory(run.directory);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int count, char **arguments) {
  if (count != 4) {
    fprintf(stderr, "usage: stress SECONDS SEED DIRECTORY\n");
    return 2;
  }
  double seconds = atof(arguments[1]);
  uint64_t seed = strtoull(arguments[2], NULL, 10);
  snprintf(run.directory, sizeof run.directory, "%s", arguments[3]);
  double begun = now();
  do {
    do_round(seed++, seconds < 2 ? seconds : 2);
  } while (now() - begun < seconds);
  return 0;
}
