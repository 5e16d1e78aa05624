/*
 * What the parts of the stress program share: the round that is played, its workers, and what
 * they write down. Each part is a file; its functions stand here under its name.
 */
#ifndef STRESS_H
#define STRESS_H

#include <bitcask.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

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

/* ---- What is written down -------------------------------------------------------------- */

struct chance {
  uint64_t state;
};

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
  bool has_prefix;    /* only keys with an even number were asked for */
  uint64_t *versions; /* by key; 0: not there */
};

struct worker {
  unsigned number;
  void (*work)(struct worker *);
  pthread_t thread;
  struct chance chance;
  struct bitcask *db;
  struct bitcask_buffer into;

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

struct round {
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
};

extern struct round run;
extern uint64_t round_seed;

/* ---- round.c --------------------------------------------------------------------------- */

/* Write the reason and the seed to standard error, and end the program. */
__attribute__((format(printf, 1, 2), noreturn)) void die(const char *format, ...);

/* Die unless the status is OK. */
void check(enum bitcask_status status, const char *what);

/* Zeroed; dies where there is no memory. */
void *allocate(size_t count, size_t size);

uint64_t draw(struct chance *chance);
unsigned below(struct chance *chance, unsigned limit);
bool one_in(struct chance *chance, unsigned n);

void raise_to(atomic_uint_least64_t *to, uint64_t value);

/* Half of the work is on a few keys. */
unsigned choose_key(struct worker *worker);

/* Is there more to do? Asked before each turn, which may begin with a handle opened anew. */
bool goes_on(struct worker *worker);

/* ---- values.c -------------------------------------------------------------------------- */

/* Keys of even number begin with "even", the others with "odd"; some are long. */
bitcask_bytes key_of(unsigned number, char into[KEY_SIZE_MAX]);

/* The keys that expire are not in the history. */
bool is_expiring(bitcask_bytes key);

/* The number of a key, which has to be as it was written. */
unsigned number_of(bitcask_bytes key);

/* The value of the worker's write number `write`. */
bitcask_bytes make_value(struct worker *worker, unsigned key, uint64_t write,
                         uint8_t into[VALUE_SIZE_MAX]);

/* Is it what was put as `version` of the key? */
void check_value(const char *by, unsigned key, bitcask_bytes value, uint64_t version);

/* ---- writing.c ------------------------------------------------------------------------- */

void work_as_writer(struct worker *worker);
void work_as_deleter(struct worker *worker);
void work_as_batcher(struct worker *worker);

/* ---- reading.c ------------------------------------------------------------------------- */

/* Write down what was seen of the key, to be checked when the history is known. */
void saw_sight(struct worker *worker, unsigned key, uint64_t floor, bool is_there);

uint64_t version_now(struct worker *worker, unsigned key);
void get_once(struct worker *worker);
void has_once(struct worker *worker);
void work_as_reader(struct worker *worker);

/* ---- walking.c ------------------------------------------------------------------------- */

void work_as_iterator(struct worker *worker);
void work_as_holder(struct worker *worker);
void work_as_follower(struct worker *worker);

/* ---- expiring.c ------------------------------------------------------------------------ */

void work_as_expirer(struct worker *worker);

/* ---- upkeep.c -------------------------------------------------------------------------- */

void work_as_sealer(struct worker *worker);
void work_as_merger(struct worker *worker);

/* ---- history.c ------------------------------------------------------------------------- */

/* All writes of the round, by key and version, to be freed by whoever asked. The functions
 * below need them. */
struct write *gather_histories(void);

/* The version of the key that was current at `moment`; 0: it was not there. */
uint64_t version_at(unsigned key, uint64_t moment);

/* Hold what the workers wrote down against the writes. */
void check_history(void);

/* ---- ending.c -------------------------------------------------------------------------- */

/* Check the end; then again after opening, merging, and opening once more. Closes `db`. */
void check_again_and_again(struct bitcask *db);

#endif
