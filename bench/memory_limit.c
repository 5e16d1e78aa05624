#include "memory_limit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver.h"

enum { PATH_SIZE = 4096 };

static char group[PATH_SIZE];

static bool write_text(const char *directory, const char *name, const char *text) {
  char path[PATH_SIZE + 64];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return false;
  bool written = write(file, text, strlen(text)) == (ssize_t)strlen(text);
  close(file);
  return written;
}

/* The group that this process is in, of the hierarchy whose line in /proc/self/cgroup has
 * `controller` in its middle: "4:memory:/a/b", "0::/a/b". */
static bool own_group(const char *controller, const char *root, char *into) {
  FILE *file = fopen("/proc/self/cgroup", "r");
  if (file == NULL) return false;
  char line[PATH_SIZE];
  bool found = false;
  while (!found && fgets(line, sizeof line, file) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    char *middle = strchr(line, ':');
    char *path = middle == NULL ? NULL : strchr(middle + 1, ':');
    if (path == NULL) continue;
    *path = '\0';
    found = strcmp(middle + 1, controller) == 0;
    if (found) snprintf(into, PATH_SIZE, "%s%.2000s", root, path + 1);
  }
  fclose(file);
  return found && access(into, W_OK) == 0;
}

/* A group inside `parent`, where `limit_file` takes the limit. */
static bool make_in(const char *parent, const char *limit_file, const char *swap_file,
                    uint64_t bytes) {
  char text[32];
  snprintf(text, sizeof text, "%llu", (unsigned long long)bytes);
  snprintf(group, sizeof group, "%.3000s/bench-%d", parent, (int)getpid());
  if (mkdir(group, 0755) != 0 && errno != EEXIST) return false;
  if (write_text(group, limit_file, text)) {
    write_text(group, swap_file, strcmp(swap_file, "memory.swap.max") == 0 ? "0" : text);
    return true;
  }
  rmdir(group);
  return false;
}

bool memory_limit_make(uint64_t bytes) {
  char parent[PATH_SIZE];
  if (own_group("memory", "/sys/fs/cgroup/memory", parent) &&
      make_in(parent, "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", bytes))
    return true;
  if (!own_group("", "/sys/fs/cgroup", parent)) return false;
  write_text(parent, "cgroup.subtree_control", "+memory");
  return make_in(parent, "memory.max", "memory.swap.max", bytes);
}

void memory_limit_enter(void) {
  char text[32];
  snprintf(text, sizeof text, "%d", (int)getpid());
  if (!write_text(group, "cgroup.procs", text))
    driver_die("cannot enter %s: %s", group, strerror(errno));
}

void memory_limit_remove(void) { rmdir(group); }
