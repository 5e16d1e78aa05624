/*
 * bench: the same keys, values and work for several engines in one run.
 *
 * This process opens no store. It goes round the engines, round after round, beginning
 * each round with the next one, and gives every stage of every engine a process; the
 * results come back through shared memory. See bench/README.md.
 */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report.h"
#include "workload.h"

/* In the order of the report. */
static const struct driver *const drivers[] = {
#ifdef BENCH_bitcask
    &driver_bitcask,
#endif
#ifdef BENCH_tkrzw
    &driver_tkrzw,
#endif
#ifdef BENCH_lmdb
    &driver_lmdb,
    &driver_lmdb_writemap,
#endif
#ifdef BENCH_leveldb
    &driver_leveldb,
#endif
#ifdef BENCH_rocksdb
    &driver_rocksdb,
#endif
    &driver_limit_map,
    &driver_limit_clean,
    &driver_limit_write,
};

enum { DRIVER_COUNT = sizeof drivers / sizeof drivers[0] };

/* ---- For drivers ----------------------------------------------------------------- */

void driver_die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  _exit(1);
}

void *driver_allocate(size_t size) {
  void *memory = malloc(size > 0 ? size : 1);
  if (memory == NULL) driver_die("out of memory");
  return memory;
}

char *driver_path(const char *directory, const char *name) {
  size_t size = strlen(directory) + strlen(name) + 2;
  char *path = driver_allocate(size);
  snprintf(path, size, "%s/%s", directory, name);
  return path;
}

/* ---- Options --------------------------------------------------------------------- */

struct options {
  uint64_t keys;
  size_t key_size;
  size_t value_size;
  size_t rounds;
  unsigned engines;   /* 1 << index in drivers */
  unsigned workloads; /* 1 << enum workload */
  const char *json;
  const char *directory;
};

static void print_usage(FILE *out) {
  fprintf(out,
          "usage: bench [--keys N] [--key-size BYTES] [--value-size BYTES] [--rounds N]\n"
          "             [--engines A,B,...] [--workloads A,B,...] [--json FILE] [--dir DIR]\n"
          "\nengines:\n");
  for (size_t i = 0; i < DRIVER_COUNT; i++)
    fprintf(out, "  %-14s %s\n", drivers[i]->name, drivers[i]->tuning);
  fprintf(out, "\nworkloads:\n");
  for (size_t i = 0; i < WORKLOAD_COUNT; i++)
    fprintf(out, "  %-14s %s\n", workload_infos[i].name, workload_infos[i].text);
}

static const char *engine_name(size_t i) { return i < DRIVER_COUNT ? drivers[i]->name : NULL; }
static const char *workload_name(size_t i) {
  return i < WORKLOAD_COUNT ? workload_infos[i].name : NULL;
}

/* The set of names in a list with commas. */
static unsigned parse_set(char *list, const char *(*name_at)(size_t)) {
  unsigned set = 0;
  for (char *word = strtok(list, ","); word != NULL; word = strtok(NULL, ",")) {
    size_t i = 0;
    while (name_at(i) != NULL && strcmp(name_at(i), word) != 0) i++;
    if (name_at(i) == NULL) driver_die("no such engine or workload here: %s", word);
    set |= 1u << i;
  }
  return set;
}

static uint64_t parse_number(const char *text, uint64_t least, uint64_t most) {
  char *end;
  double number = strtod(text, &end); /* so that 1e6 is one */
  if (*end != '\0' || !(number >= (double)least && number <= (double)most))
    driver_die("%s: not a number from %llu to %llu", text, (unsigned long long)least,
               (unsigned long long)most);
  return (uint64_t)number;
}

static struct options parse_options(int argc, char **argv) {
  enum { KEYS, KEY_SIZE, VALUE_SIZE, ROUNDS, ENGINES, WORKLOADS, JSON, DIR_, HELP };
  static const struct option names[] = {
      {"keys", required_argument, NULL, KEYS},
      {"key-size", required_argument, NULL, KEY_SIZE},
      {"value-size", required_argument, NULL, VALUE_SIZE},
      {"rounds", required_argument, NULL, ROUNDS},
      {"engines", required_argument, NULL, ENGINES},
      {"workloads", required_argument, NULL, WORKLOADS},
      {"json", required_argument, NULL, JSON},
      {"dir", required_argument, NULL, DIR_},
      {"help", no_argument, NULL, HELP},
      {NULL, 0, NULL, 0}};
  struct options options = {.keys = 1000000, .key_size = 16, .value_size = 100, .rounds = 3,
                            .engines = ~0u, .workloads = ~0u, .directory = "/var/tmp"};
  int option;
  while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
    switch (option) {
      case KEYS: options.keys = parse_number(optarg, 100, UINT32_MAX); break;
      case KEY_SIZE: options.key_size = parse_number(optarg, KEY_SIZE_MIN, KEY_SIZE_MAX); break;
      case VALUE_SIZE:
        options.value_size = parse_number(optarg, VALUE_SIZE_MIN, 1 << 24);
        break;
      case ROUNDS: options.rounds = parse_number(optarg, 1, ROUNDS_MAX); break;
      case ENGINES: options.engines = parse_set(optarg, engine_name); break;
      case WORKLOADS: options.workloads = parse_set(optarg, workload_name); break;
      case JSON: options.json = optarg; break;
      case DIR_: options.directory = optarg; break;
      case HELP: print_usage(stdout); exit(0);
      default: print_usage(stderr); exit(2);
    }
  }
  return options;
}

/* ---- Running --------------------------------------------------------------------- */

static char work_directory[4096]; /* of this run; removed at its end */

static void remove_work_directory(void) { remove_tree(work_directory); }

static void die_of_signal(int number) {
  remove_work_directory();
  signal(number, SIG_DFL);
  raise(number);
}

static void make_work_directory(const char *parent) {
  snprintf(work_directory, sizeof work_directory, "%s/bench-XXXXXX", parent);
  if (mkdtemp(work_directory) == NULL)
    driver_die("cannot make a directory in %s: %s", parent, strerror(errno));
  atexit(remove_work_directory);
  signal(SIGINT, die_of_signal);
  signal(SIGTERM, die_of_signal);
}

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
  waitpid(child, &how, 0);
  if (stage == STAGE_CRASH) return WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL;
  if (WIFSIGNALED(how)) fprintf(stderr, "%s: %s\n", run->driver->name, strsignal(WTERMSIG(how)));
  return WIFEXITED(how) && WEXITSTATUS(how) == 0;
}

static void make_empty(const char *directory) {
  remove_tree(directory);
  if (mkdir(directory, 0755) != 0) driver_die("cannot make %s", directory);
}

/* One engine, all stages; what is measured before a failure counts. */
static void run_engine(struct run *run) {
  for (size_t i = 0; i < METRIC_COUNT; i++) run->results->value[i] = NAN;
  make_empty(run->directory);
  for (enum stage stage = 0; stage < STAGE_COUNT; stage++) {
    if (!stage_is_wanted(run, stage)) continue;
    if (stage == STAGE_DURABLE) make_empty(run->directory);
    if (!run_stage(run, stage)) {
      fprintf(stderr, "%s: failed in stage %d\n", run->driver->name, (int)stage);
      break;
    }
  }
  remove_tree(run->directory);
}

static void run_round(struct report *report, const struct driver *const *engines, struct run *run,
                      size_t round) {
  for (size_t i = 0; i < report->engine_count; i++) {
    size_t engine = (round + i) % report->engine_count;
    fprintf(stderr, "round %zu: %s\n", round + 1, engines[engine]->name);
    run->driver = engines[engine];
    run_engine(run);
    report->results[round][engine] = *run->results;
  }
  report->round_count = round + 1;
}

static size_t choose_engines(struct report *report, const struct driver **engines, unsigned set) {
  report->ours = ENGINES_MAX;
  for (size_t i = 0; i < DRIVER_COUNT; i++) {
    if ((set & 1u << i) == 0) continue;
    if (strcmp(drivers[i]->name, "bitcask") == 0) report->ours = report->engine_count;
    report->names[report->engine_count] = drivers[i]->name;
    engines[report->engine_count++] = drivers[i];
  }
  return report->engine_count;
}

static struct results *shared_results(void) {
  struct results *results = mmap(NULL, sizeof *results, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (results == MAP_FAILED) driver_die("out of memory");
  return results;
}

static void write_json(const struct report *report, const char *path) {
  FILE *file = fopen(path, "w");
  if (file == NULL) driver_die("cannot write %s: %s", path, strerror(errno));
  report_json(report, file);
  fclose(file);
}

int main(int argc, char **argv) {
  static struct report report;
  const struct driver *engines[DRIVER_COUNT];
  struct options options = parse_options(argc, argv);
  choose_engines(&report, engines, options.engines);
  make_work_directory(options.directory);

  struct run run = {.selected = options.workloads,
                    .directory = driver_path(work_directory, "store"),
                    .results = shared_results()};
  data_init(&run.data, options.keys, options.key_size, options.value_size);
  ticks_a_second();
  printf("%llu keys of %zu bytes, values of %zu bytes: %.1f MB live, in %s\n",
         (unsigned long long)options.keys, options.key_size, options.value_size,
         (double)(options.keys * (options.key_size + options.value_size)) / 1e6,
         options.directory);
  for (size_t round = 0; round < options.rounds; round++)
    run_round(&report, engines, &run, round);
  report_print(&report, stdout);
  if (options.json != NULL) write_json(&report, options.json);
  return 0;
}
