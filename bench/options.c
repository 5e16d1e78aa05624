#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "workload.h"

static void print_usage(FILE *out) {
  fprintf(out,
          "usage: bench [--keys N] [--key-size BYTES] [--value-size BYTES] [--rounds N]\n"
          "             [--seconds N] [--rest SECONDS] [--hold BYTES] [--stolen PERCENT]\n"
          "             [--memory BYTES] [--own-time] [--engines A,B,...] [--workloads A,B,...]\n"
          "             [--part NAME] [--json FILE] [--dir DIR]\n"
          "\n"
          "  --seconds  a workload other than fill stops then, if there is more to do\n"
          "  --rest     the device is left alone so long where a store was removed\n"
          "  --hold     memory that is held while it rests, and free when an engine begins: a\n"
          "             hypervisor that takes back what is free cannot take that\n"
          "  --stolen   an engine during which a hypervisor takes more of the processors is\n"
          "             measured again, up to three times, and the quietest attempt counts\n"
          "  --memory   what each engine may use, the page cache of its files included\n"
          "  --own-time without the time in which a thread waits for a processor\n"
          "  --json     results are added to this file, a line each, named --part\n"
          "\nengines:\n");
  for (size_t i = 0; i < driver_count; i++)
    fprintf(out, "  %-18s %s\n", drivers[i]->name, drivers[i]->tuning);
  fprintf(out, "\nworkloads:\n");
  for (size_t i = 0; i < WORKLOAD_COUNT; i++)
    fprintf(out, "  %-18s %s\n", workload_infos[i].name, workload_infos[i].text);
}

static const char *engine_name(size_t i) { return i < driver_count ? drivers[i]->name : NULL; }
static const char *workload_name(size_t i) {
  return i < WORKLOAD_COUNT ? workload_infos[i].name : NULL;
}

/* The set of names in a list with commas. What is not there is an error, or left out with a
 * word where `optional`: an engine whose library was not there. */
static unsigned parse_set(char *list, const char *(*name_at)(size_t), bool optional) {
  unsigned set = 0;
  for (char *word = strtok(list, ","); word != NULL; word = strtok(NULL, ",")) {
    size_t i = 0;
    while (name_at(i) != NULL && strcmp(name_at(i), word) != 0) i++;
    if (name_at(i) != NULL)
      set |= 1u << i;
    else if (optional)
      fprintf(stderr, "left out: no engine %s was built\n", word);
    else
      driver_die("no such workload: %s", word);
  }
  return set;
}

static double parse_number(const char *text, double least, double most) {
  char *end;
  double number = strtod(text, &end); /* so that 1e6 is one */
  if (end == text || *end != '\0' || !(number >= least && number <= most))
    driver_die("%s: not a number from %.0f to %.0f", text, least, most);
  return number;
}

struct options options_parse(int argc, char **argv) {
  enum { KEYS, KEY_SIZE, VALUE_SIZE, ROUNDS, SECONDS, REST, HOLD, STOLEN, MEMORY, OWN_TIME,
         ENGINES, WORKLOADS, PART, JSON, DIRECTORY, HELP };
  static const struct option names[] = {
      {"keys", required_argument, NULL, KEYS},
      {"key-size", required_argument, NULL, KEY_SIZE},
      {"value-size", required_argument, NULL, VALUE_SIZE},
      {"rounds", required_argument, NULL, ROUNDS},
      {"seconds", required_argument, NULL, SECONDS},
      {"rest", required_argument, NULL, REST},
      {"hold", required_argument, NULL, HOLD},
      {"stolen", required_argument, NULL, STOLEN},
      {"memory", required_argument, NULL, MEMORY},
      {"own-time", no_argument, NULL, OWN_TIME},
      {"engines", required_argument, NULL, ENGINES},
      {"workloads", required_argument, NULL, WORKLOADS},
      {"part", required_argument, NULL, PART},
      {"json", required_argument, NULL, JSON},
      {"dir", required_argument, NULL, DIRECTORY},
      {"help", no_argument, NULL, HELP},
      {NULL, 0, NULL, 0}};
  struct options options = {.keys = 1000000, .key_size = 16, .value_size = 100, .rounds = 3,
                            .seconds = 30, .stolen_most = 100, .engines = ~0u, .workloads = ~0u,
                            .part = "main", .directory = "/var/tmp"};
  int option;
  while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
    switch (option) {
      case KEYS: options.keys = (uint64_t)parse_number(optarg, 100, UINT32_MAX / 4); break;
      case KEY_SIZE:
        options.key_size = (size_t)parse_number(optarg, KEY_SIZE_MIN, KEY_SIZE_MAX);
        break;
      case VALUE_SIZE:
        options.value_size = (size_t)parse_number(optarg, VALUE_SIZE_MIN, 1 << 23);
        break;
      case ROUNDS: options.rounds = (size_t)parse_number(optarg, 1, ROUNDS_MAX); break;
      case SECONDS: options.seconds = parse_number(optarg, 0, 3600); break;
      case REST: options.rest = parse_number(optarg, 0, 60); break;
      case HOLD: options.hold = (uint64_t)parse_number(optarg, 0, 0x1p50); break;
      case STOLEN: options.stolen_most = parse_number(optarg, 0, 100); break;
      case MEMORY: options.memory = (uint64_t)parse_number(optarg, 1 << 20, 0x1p50); break;
      case OWN_TIME: options.own_time = true; break;
      case ENGINES: options.engines = parse_set(optarg, engine_name, true); break;
      case WORKLOADS: options.workloads = parse_set(optarg, workload_name, false); break;
      case PART: options.part = optarg; break;
      case JSON: options.json = optarg; break;
      case DIRECTORY: options.directory = optarg; break;
      case HELP: print_usage(stdout); exit(0);
      default: print_usage(stderr); exit(2);
    }
  }
  return options;
}
