#include "measure.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "driver.h"

const struct metric_info metric_infos[METRIC_COUNT] = {
#define METRIC_INFO(name, heading, unit, more) {#name, heading, unit, more},
    METRIC_LIST(METRIC_INFO)
#undef METRIC_INFO
};

const struct curve_info curve_infos[CURVE_COUNT] = {
#define CURVE_INFO(name, x, y) {#name, x, y},
    CURVE_LIST(CURVE_INFO)
#undef CURVE_INFO
};

void results_clear(struct results *results) {
  for (size_t i = 0; i < METRIC_COUNT; i++) results->value[i] = NAN;
  for (size_t i = 0; i < CURVE_COUNT; i++) results->curves[i].count = 0;
}

/* ---- Time ------------------------------------------------------------------------ */

double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static bool own_time;

void own_time_use(void) { own_time = true; }
bool own_time_is_used(void) { return own_time; }

/* The second number in schedstat, nanoseconds. The file stays open: it is read often. */
double seconds_waited(void) {
  static _Thread_local int file = -1;
  unsigned long long running, waiting;
  char text[96];
  if (!own_time) return 0;
  if (file < 0) file = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
  ssize_t size = pread(file, text, sizeof text - 1, 0);
  if (size <= 0) driver_die("no /proc/thread-self/schedstat here: --own-time is not possible");
  text[size] = '\0';
  if (sscanf(text, "%llu %llu", &running, &waiting) != 2)
    driver_die("/proc/thread-self/schedstat is not understood");
  return (double)waiting * 1e-9;
}

double seconds_own(void) { return seconds_now() - seconds_waited(); }

/* The eighth number of the first line. */
double seconds_stolen(void) {
  unsigned long long stolen = 0;
  FILE *file = fopen("/proc/stat", "r");
  if (file == NULL) return 0;
  if (fscanf(file, "cpu %*u %*u %*u %*u %*u %*u %*u %llu", &stolen) != 1) stolen = 0;
  fclose(file);
  return (double)stolen / (double)sysconf(_SC_CLK_TCK);
}

double ticks_a_second(void) {
  static double rate;
  if (rate > 0) return rate;
  double begin = seconds_now();
  uint64_t ticks = ticks_now();
  while (seconds_now() - begin < 0.05) continue;
  rate = (double)(ticks_now() - ticks) / (seconds_now() - begin);
  return rate;
}

static double bucket_ticks(size_t bucket) {
  if (bucket < LATENCY_STEPS) return (double)bucket;
  size_t octave = bucket / LATENCY_STEPS - 1;
  return ldexp((double)(bucket - octave * LATENCY_STEPS) + 0.5, (int)octave);
}

double latency_quantile(const struct latency *latency, double quantile) {
  double microsecond = ticks_a_second() / 1e6;
  double wanted = quantile * (double)latency->count, seen = 0;
  for (size_t i = 0; i < LATENCY_BUCKETS && quantile < 1; i++) {
    seen += latency->buckets[i];
    if (seen >= wanted) return bucket_ticks(i) / microsecond;
  }
  return (double)latency->max / microsecond;
}

static void curve_add(struct curve *curve, double x, double y) {
  if (curve->count == CURVE_POINTS) return;
  curve->points[curve->count].x = (float)x;
  curve->points[curve->count++].y = (float)y;
}

void latency_curve(const struct latency *latency, struct curve *curve) {
  static const double quantiles[] = {0.5,  0.75,  0.9,    0.95,   0.99,    0.995, 0.999,
                                     0.9995, 0.9999, 0.99995, 0.99999, 0.999999, 1};
  curve->count = 0;
  for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++)
    curve_add(curve, quantiles[i], latency_quantile(latency, quantiles[i]));
}

void timeline_start(struct timeline *timeline, uint64_t ticks) {
  timeline->now = 0;
  timeline->stretch = (uint64_t)(ticks_a_second() * TIMELINE_SECONDS);
  timeline->next = ticks + timeline->stretch;
}

void timeline_curve(const struct timeline *timeline, struct curve *curve) {
  curve->count = 0;
  for (size_t i = 0; i < timeline->now; i++)
    curve_add(curve, (double)(i + 1) * TIMELINE_SECONDS,
              timeline->counts[i] / TIMELINE_SECONDS / 1000);
}

/* ---- Memory ---------------------------------------------------------------------- */

double anonymous_bytes(void) {
  FILE *file = fopen("/proc/self/status", "r");
  if (file == NULL) return NAN;
  char line[256];
  double kibibytes = NAN;
  while (fgets(line, sizeof line, file) != NULL)
    if (sscanf(line, "RssAnon: %lf kB", &kibibytes) == 1) break;
  fclose(file);
  return kibibytes * 1024;
}

/* ---- Files ----------------------------------------------------------------------- */

typedef double (*file_visit)(int directory, const char *name, const struct stat *info);

/* The sum of `visit` over the files of a directory tree. Files may vanish meanwhile. */
static double sum_over_files(const char *path, file_visit visit) {
  DIR *directory = opendir(path);
  if (directory == NULL) return 0;
  double sum = 0;
  struct dirent *entry;
  while ((entry = readdir(directory)) != NULL) {
    struct stat info;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
        fstatat(dirfd(directory), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0)
      continue;
    if (S_ISDIR(info.st_mode)) {
      char *inner = driver_path(path, entry->d_name);
      sum += sum_over_files(inner, visit);
      free(inner);
    } else {
      sum += visit(dirfd(directory), entry->d_name, &info);
    }
  }
  closedir(directory);
  return sum;
}

static double file_bytes(int directory, const char *name, const struct stat *info) {
  (void)directory;
  (void)name;
  return (double)info->st_blocks * 512;
}

double disk_bytes(const char *directory) { return sum_over_files(directory, file_bytes); }

static double cool_file(int directory, const char *name, const struct stat *info) {
  (void)info;
  int file = openat(directory, name, O_RDONLY);
  if (file < 0) return 0;
  fsync(file);
  posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  close(file);
  return 0;
}

void make_cold(const char *directory) { sum_over_files(directory, cool_file); }

/* ---- Watching -------------------------------------------------------------------- */

struct watch {
  watch_sample sample;
  const char *directory;
  pthread_t thread;
  atomic_bool stopping;
  double most;
};

static void *run_watch(void *context) {
  struct watch *watch = context;
  while (!atomic_load(&watch->stopping)) {
    watch->most = fmax(watch->most, watch->sample(watch->directory));
    usleep(20000);
  }
  watch->most = fmax(watch->most, watch->sample(watch->directory));
  return NULL;
}

struct watch *watch_start(watch_sample sample, const char *directory) {
  struct watch *watch = driver_allocate(sizeof *watch);
  watch->sample = sample;
  watch->directory = directory;
  watch->most = 0;
  atomic_init(&watch->stopping, false);
  if (pthread_create(&watch->thread, NULL, run_watch, watch) != 0)
    driver_die("cannot start a thread");
  return watch;
}

double watch_stop(struct watch *watch) {
  atomic_store(&watch->stopping, true);
  pthread_join(watch->thread, NULL);
  double most = watch->most;
  free(watch);
  return most;
}

double sample_memory(const char *directory) {
  (void)directory;
  return anonymous_bytes();
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *walk) {
  (void)info;
  (void)type;
  (void)walk;
  return remove(path);
}

void remove_tree(const char *directory) { nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS); }
