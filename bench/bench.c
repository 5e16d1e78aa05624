/*
 * bench: the same keys, values and work for several engines in one run.
 *
 * This process opens no store. It goes round the engines, round after round, beginning
 * each round with the next one, and gives every stage of every engine a process; the
 * results come back through shared memory. See bench/README.md.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memory_hold.h"
#include "memory_limit.h"
#include "options.h"
#include "report.h"
#include "workload.h"

static char work_directory[4096];     /* of this run; removed at its end */
static volatile pid_t stage_process; /* 0: none */

static void clean_up(void) {
  remove_tree(work_directory);
  memory_limit_remove();
}

static void die_of_signal(int number) {
  if (stage_process > 0) {
    kill(stage_process, SIGKILL);
    waitpid(stage_process, NULL, 0);
  }
  clean_up();
  signal(number, SIG_DFL);
  raise(number);
}

static void make_work_directory(const char *parent) {
  snprintf(work_directory, sizeof work_directory, "%s/bench-XXXXXX", parent);
  if (mkdtemp(work_directory) == NULL)
    driver_die("cannot make a directory in %s: %s", parent, strerror(errno));
  atexit(clean_up);
  signal(SIGINT, die_of_signal);
  signal(SIGTERM, die_of_signal);
}

/* Of all stages of an engine: how long they took, and what a hypervisor took away meanwhile. */
struct disturbance {
  double seconds, stolen;
};

/* Returns whether the stage ended as it should. */
static bool run_stage(const struct run *run, enum stage stage) {
  fflush(NULL);
  pid_t child = fork();
  if (child < 0) driver_die("cannot fork: %s", strerror(errno));
  if (child == 0) {
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    stage_run(run, stage);
    _exit(0);
  }
  int how;
  stage_process = child;
  waitpid(child, &how, 0);
  stage_process = 0;
  if (stage_is_crash(stage)) return WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL;
  if (WIFSIGNALED(how)) fprintf(stderr, "%s: %s\n", run->driver->name, strsignal(WTERMSIG(how)));
  return WIFEXITED(how) && WEXITSTATUS(how) == 0;
}

static bool run_stage_watched(const struct run *run, enum stage stage,
                              struct disturbance *disturbance) {
  double begin = seconds_now(), stolen = seconds_stolen();
  bool is_complete = run_stage(run, stage);
  disturbance->seconds += seconds_now() - begin;
  disturbance->stolen += seconds_stolen() - stolen;
  return is_complete;
}

/* Where a store was, what was removed keeps the device busy for a while (it discards the blocks):
 * whoever comes next is not to be measured together with that, nor with fetching the memory that he
 * needs from a hypervisor. */
static void make_empty(const struct run *run) {
  remove_tree(run->directory);
  if (run->rest > 0) sync();
  memory_hold(run->hold);
  usleep((useconds_t)(run->rest * 1e6));
  memory_hold_end();
  if (mkdir(run->directory, 0755) != 0) driver_die("cannot make %s", run->directory);
}

/* One engine, all stages; what is measured before a failure counts. The durable puts come first:
 * they wait for the device alone, which is not to be busy with what another stage has left. */
static bool run_engine(struct run *run, struct disturbance *disturbance) {
  bool is_complete = true;
  results_clear(run->results);
  make_empty(run);
  for (enum stage stage = 0; stage < STAGE_COUNT; stage++) {
    if (!stage_is_wanted(run, stage)) continue;
    if (stage == STAGE_MAIN && stage_is_wanted(run, STAGE_DURABLE)) make_empty(run);
    if (!run_stage_watched(run, stage, disturbance)) {
      fprintf(stderr, "%s: failed in stage \"%s\"\n", run->driver->name, stage_names[stage]);
      is_complete = false;
      break;
    }
  }
  remove_tree(run->directory);
  return is_complete;
}

/* What the hypervisor takes makes any engine stall for tens of milliseconds: who was disturbed by
 * it is measured again, and the least disturbed attempt counts. */
static struct results run_until_quiet(struct run *run) {
  enum { ATTEMPTS_MAX = 4 };
  static struct results best;
  for (int attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    struct disturbance disturbance = {0};
    bool is_complete = run_engine(run, &disturbance);
    double processors = (double)sysconf(_SC_NPROCESSORS_ONLN) * disturbance.seconds;
    double percent = 100 * disturbance.stolen / processors;
    run->results->value[METRIC_stolen] = percent;
    bool is_better = is_complete && percent < best.value[METRIC_stolen];
    if (attempt == 0 || is_better) best = *run->results;
    if (percent <= run->stolen_most || !is_complete) break;
    fprintf(stderr, "  %.1f %% of the processors were taken away meanwhile\n", percent);
  }
  return best;
}

static void run_round(struct report *report, const struct driver *const *engines, struct run *run,
                      size_t round) {
  for (size_t i = 0; i < report->engine_count; i++) {
    size_t engine = (round + i) % report->engine_count;
    fprintf(stderr, "round %zu: %s\n", round + 1, engines[engine]->name);
    run->driver = engines[engine];
    report->results[round][engine] = run_until_quiet(run);
  }
  report->round_count = round + 1;
}

static void choose_engines(struct report *report, const struct driver **engines,
                           const struct options *options) {
  report->ours = ENGINES_MAX;
  for (size_t i = 0; i < driver_count; i++) {
    if ((options->engines & 1u << i) == 0 || options->value_size < drivers[i]->value_size_least)
      continue;
    if (strcmp(drivers[i]->name, "bitcask") == 0) report->ours = report->engine_count;
    report->names[report->engine_count] = drivers[i]->name;
    engines[report->engine_count++] = drivers[i];
  }
}

static struct results *shared_results(void) {
  struct results *results = mmap(NULL, sizeof *results, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (results == MAP_FAILED) driver_die("out of memory");
  return results;
}

static void print_title(const struct options *options) {
  printf("%s: %llu keys of %zu bytes, values of %zu bytes: %.1f MB live", options->part,
         (unsigned long long)options->keys, options->key_size, options->value_size,
         (double)(options->keys * (options->key_size + options->value_size)) / 1e6);
  if (options->memory > 0) printf(", %.1f MB of memory", (double)options->memory / 1e6);
  printf(", in %s%s\n", options->directory,
         options->own_time ? ", without waiting for a processor" : "");
}

static void write_json(const struct report *report, const struct options *options) {
  FILE *file = fopen(options->json, "a");
  if (file == NULL) driver_die("cannot write %s: %s", options->json, strerror(errno));
  report_json(report, options, file);
  if (fclose(file) != 0) driver_die("cannot write %s: %s", options->json, strerror(errno));
}

int main(int argc, char **argv) {
  static struct report report;
  const struct driver *engines[ENGINES_MAX];
  struct options options = options_parse(argc, argv);
  choose_engines(&report, engines, &options);
  if (options.memory > 0 && !memory_limit_make(options.memory)) {
    fprintf(stderr, "%s: skipped, limiting memory by a control group is not permitted here\n",
            options.part);
    return 0;
  }
  make_work_directory(options.directory);

  struct run run = {.selected = options.workloads,
                    .seconds = options.seconds,
                    .rest = options.rest,
                    .hold = options.hold,
                    .stolen_most = options.stolen_most,
                    .memory = options.memory,
                    .directory = driver_path(work_directory, "store"),
                    .results = shared_results()};
  data_init(&run.data, options.keys, options.key_size, options.value_size);
  if (options.own_time) own_time_use();
  ticks_a_second();
  print_title(&options);
  for (size_t round = 0; round < options.rounds; round++)
    run_round(&report, engines, &run, round);
  report_print(&report, stdout);
  if (options.json != NULL) write_json(&report, &options);
  return 0;
}
