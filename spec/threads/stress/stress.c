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
#include "stress.h"

#include <dirent.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

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
  /* Large ones are made ahead, and settled in the background. */
  run.options.segment_size =
      one_in(chance, 5) ? UINT64_C(4) << 20 : UINT64_C(4096) << below(chance, 8);
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
