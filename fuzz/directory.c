/*
 * A whole directory, made of the files of real stores: damaged, mixed up, missing. Input: marks
 * (1), then files: kind (1), number (1), size (3), content. Marks: 1 salvages; 2 reads files
 * where they stand; 4 makes every check good, after which anything may be answered, but
 * calmly; 8 is a machine started anew; 16 opens for writing, on a simulated disk.
 *
 * Values that were written tell the key that they were written for (fuzz/values.h). So no key
 * may answer with a value that was not, and what iterations and look-ups say agrees. A store
 * that opens for writing takes writes, merges, and has them all after it was opened again.
 */
#include "bitcask.h"

#include <stdio.h>
#include <stdlib.h>

#include "bytes_disk.h"
#include "disk/sim.h"
#include "format/filename.h"
#include "format/header.h"
#include "fuzz.h"
#include "reseal.h"
#include "values.h"

enum { SALVAGE = 1, MAPPED = 2, SEAL = 4, STARTED_ANEW = 8, WRITE = 16, BOOT = 0x0B007 };
enum { FILE_HEAD_SIZE = 5, KINDS = 9, KEYS_MAX = 64 };

/* ---- The little file system ---- */

struct entry {
  uint8_t kind, number;
  bitcask_bytes content;
};

static bool next_entry(struct coding_reader *input, struct entry *out) {
  if (input->left < FILE_HEAD_SIZE) return false;
  out->kind = (uint8_t)fuzz_number(input, 1) % KINDS;
  out->number = (uint8_t)fuzz_number(input, 1);
  out->content = fuzz_bytes(input, (size_t)fuzz_number(input, 3));
  return true;
}

static filename name_of(const struct entry *entry) {
  filename name = {FILENAME_CURRENT};
  switch (entry->kind) {
    case 1:
      return filename_of_manifest(entry->number);
    case 2:
      return filename_of_segment(entry->number);
    case 3:
      return filename_of_hint(entry->number);
    case 4:
      return filename_of_hint_temporary(entry->number);
    case 5:
      return (filename){FILENAME_CURRENT_TEMPORARY};
    case 6:
      return (filename){FILENAME_STOPPED};
    case 7:
      return (filename){"a stranger's"};
    case 8:
      return (filename){FILENAME_CHECKPOINT};
  }
  return name;
}

static void seal(uint8_t kind, uint8_t *bytes, size_t size) {
  if (kind == 0) reseal_current(bytes, size);
  if (kind == 1) reseal_manifest(bytes, size);
  if (kind == 2) reseal_segment(bytes, size);
  if (kind == 3) reseal_hint(bytes, size);
  if (kind == 8) reseal_checkpoint(bytes, size);
}

static void fill(struct bytes_disk *disk, struct coding_reader *input, unsigned marks) {
  struct entry entry;
  while (next_entry(input, &entry)) {
    uint8_t *copy = bytes_disk_add(disk, name_of(&entry).text, entry.content);
    if (copy != NULL && (marks & SEAL)) seal(entry.kind, copy, entry.content.size);
  }
}

/* ---- What it answers ---- */

/* Keys that iterations give: remembered, so that none comes twice. */
struct seen {
  struct bitcask_buffer keys[KEYS_MAX];
  size_t count;
};

static void check_value(bitcask_bytes key, bitcask_bytes value, unsigned marks) {
  if (!(marks & SEAL)) MUST(value_is_of(key, value));
}

static void note_key(struct seen *seen, bitcask_bytes key) {
  for (size_t i = 0; i < seen->count; i++)
    MUST(!bytes_equal(bytes_of(seen->keys[i].data, seen->keys[i].size), key));
  if (seen->count < KEYS_MAX) MUST(buffer_append(&seen->keys[seen->count++], key) == BITCASK_OK);
}

static void walk(struct bitcask *db, struct seen *seen, unsigned marks) {
  struct bitcask_iterator_options options = {.skip_damaged = true};
  struct bitcask_iterator *iterator = NULL;
  bitcask_bytes key, value;
  uint64_t version;
  MUST(bitcask_iterator_open(db, &options, &iterator) == BITCASK_OK);
  while (bitcask_iterator_next(iterator, &key, &value, &version) == BITCASK_OK) {
    check_value(key, value, marks);
    if (!(marks & SEAL)) note_key(seen, key);
  }
  bitcask_iterator_close(iterator);
}

static void look_up(struct bitcask *db, bitcask_bytes key, bool is_sure, unsigned marks) {
  struct bitcask_buffer value = {0};
  uint64_t version = 0;
  enum bitcask_status status = bitcask_get(db, key, &value, &version);
  MUST(status == BITCASK_OK || status == BITCASK_ABSENT || status == BITCASK_CORRUPT);
  MUST(!is_sure || status == BITCASK_OK);
  if (status == BITCASK_OK) check_value(key, bytes_of(value.data, value.size), marks);
  bitcask_buffer_release(&value);
}

static void use(struct bitcask *db, unsigned marks) {
  struct seen seen = {.count = 0};
  walk(db, &seen, marks);
  for (size_t i = 0; i < seen.count; i++) {
    look_up(db, bytes_of(seen.keys[i].data, seen.keys[i].size), true, marks);
    bitcask_buffer_release(&seen.keys[i]);
  }
  for (int i = 0; i < 20; i++) {
    char key[8];
    look_up(db, bytes_of(key, (size_t)snprintf(key, sizeof key, "k%d", i)), false, marks);
  }
}

/* ---- Opened for reading ---- */

static bool is_expected(enum bitcask_status status) {
  return status == BITCASK_OK || status == BITCASK_CORRUPT || status == BITCASK_NOTFOUND ||
         status == BITCASK_INCOMPATIBLE;
}

static void read_it(struct coding_reader *input, size_t size, unsigned marks) {
  struct bytes_disk disk;
  struct bitcask_options options;
  struct bitcask *db = NULL;
  bytes_disk_init(&disk, marks & MAPPED, marks & STARTED_ANEW ? BOOT + 1 : BOOT);
  fill(&disk, input, marks);
  bitcask_options_default(&options);
  options.disk = &disk.disk;
  options.readonly = true;
  options.salvage = marks & SALVAGE;
  options.no_threads = true;
  fuzz_memory_begin();
  enum bitcask_status status = bitcask_open("store", &options, &db);
  fuzz_memory_end(size, 256 << 10, 4);
  MUST(is_expected(status));
  if (status == BITCASK_OK) {
    use(db, marks);
    bitcask_close(db);
  }
  MUST(disk.open_files == 0);
  bytes_disk_release(&disk);
}

/* ---- Opened for writing ---- */

static void merge(struct bitcask *db) {
  struct bitcask_merge_options options = {.rate = 0};
  struct bitcask_merge *all = NULL;
  bool finished = false;
  if (bitcask_merge_open(db, &options, &all) != BITCASK_OK) return;
  while (!finished && bitcask_merge_step(all, 300, &finished) == BITCASK_OK) {
  }
  bitcask_merge_close(all);
}

enum { WRITTEN = 6 };

static void write_keys(struct bitcask *db) {
  for (unsigned i = 0; i < WRITTEN; i++) {
    char key[8], value[VALUE_SIZE_MAX];
    bitcask_bytes name = bytes_of(key, (size_t)snprintf(key, sizeof key, "k%u", i * 3));
    bitcask_bytes content = bytes_of(value, value_make(name, 60 + i, value));
    MUST(bitcask_put(db, name, content, NULL) == BITCASK_OK);
  }
}

static void check_keys(struct bitcask *db) {
  for (unsigned i = 0; i < WRITTEN; i++) {
    char key[8], value[VALUE_SIZE_MAX];
    bitcask_bytes name = bytes_of(key, (size_t)snprintf(key, sizeof key, "k%u", i * 3));
    size_t size = value_make(name, 60 + i, value);
    struct bitcask_buffer found = {0};
    MUST(bitcask_get(db, name, &found, NULL) == BITCASK_OK);
    MUST(found.size == size && memcmp(found.data, value, size) == 0);
    bitcask_buffer_release(&found);
  }
}

static void put_files(struct sim *sim, struct coding_reader *input, unsigned marks) {
  struct bytes_disk files; /* for its names: the first of a name counts */
  bytes_disk_init(&files, false, 0);
  fill(&files, input, marks);
  for (size_t i = 0; i < files.count; i++)
    MUST(sim_put(sim, "store", files.files[i].name,
                 bytes_of(files.files[i].content, files.files[i].size)) == BITCASK_OK);
  bytes_disk_release(&files);
}

/* Forged numbers may leave no room for new ones; what is whole takes writes. */
static void write_it(struct coding_reader *input, unsigned marks) {
  struct sim_options sim_options;
  struct bitcask_options options;
  struct sim *sim = NULL;
  sim_options_default(&sim_options);
  sim_options.is_unmapped = !(marks & MAPPED);
  MUST(sim_new(&sim_options, &sim) == BITCASK_OK);
  put_files(sim, input, marks);
  bitcask_options_default(&options);
  options.disk = sim_disk(sim);
  options.no_threads = true;
  options.segment_size = 512;
  for (int round = 0; round < 2; round++) {
    struct bitcask *db = NULL;
    uint64_t segment = 0;
    enum bitcask_status status = bitcask_open("store", &options, &db);
    MUST(is_expected(status) || (marks & SEAL));
    MUST(round == 0 || status == BITCASK_OK || (marks & SEAL));
    if (status != BITCASK_OK) break;
    if (round == 1 && !(marks & SEAL)) check_keys(db);
    use(db, marks);
    if (!(marks & SEAL)) write_keys(db);
    bitcask_seal(db, &segment);
    merge(db);
    if (!(marks & SEAL)) check_keys(db);
    MUST(bitcask_close(db) == BITCASK_OK || (marks & SEAL));
  }
  sim_unref(sim);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct coding_reader input = coding_read(bytes_of(data, size));
  unsigned marks = (unsigned)fuzz_number(&input, 1);
  if (marks & WRITE)
    write_it(&input, marks);
  else
    read_it(&input, size, marks);
  return 0;
}

/* ---- Changing inputs so that they stay directories ---- */

enum { FILES_MAX = 24 };

struct tree {
  uint8_t marks;
  struct entry files[FILES_MAX];
  size_t count;
};

static void read_tree(const uint8_t *data, size_t size, struct tree *out) {
  struct coding_reader input = coding_read(bytes_of(data, size));
  out->marks = (uint8_t)fuzz_number(&input, 1);
  out->count = 0;
  while (out->count < FILES_MAX && next_entry(&input, &out->files[out->count])) out->count++;
}

static size_t write_tree(const struct tree *tree, uint8_t *data, size_t limit) {
  size_t at = 0;
  if (limit == 0) return 0;
  data[at++] = tree->marks;
  for (size_t i = 0; i < tree->count; i++) {
    size_t size = tree->files[i].content.size;
    if (limit - at < FILE_HEAD_SIZE + size) break;
    data[at] = tree->files[i].kind;
    data[at + 1] = tree->files[i].number;
    data[at + 2] = (uint8_t)size;
    data[at + 3] = (uint8_t)(size >> 8);
    data[at + 4] = (uint8_t)(size >> 16);
    if (size > 0) memcpy(data + at + FILE_HEAD_SIZE, tree->files[i].content.data, size);
    at += FILE_HEAD_SIZE + size;
  }
  return at;
}

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *one, size_t one_size, const uint8_t *other,
                                 size_t other_size, uint8_t *out, size_t max_size,
                                 unsigned int seed);

static unsigned take(unsigned *seed, unsigned below) {
  *seed = *seed * 1664525 + 1013904223;
  return below > 0 ? (*seed >> 8) % below : 0;
}

/* Damage as disks do it: a byte, a row of bytes, the end. */
static size_t damage(uint8_t *bytes, size_t size, unsigned *seed) {
  if (size == 0) return 0;
  size_t at = take(seed, (unsigned)size), count = 1 + take(seed, 64);
  switch (take(seed, 4)) {
    case 0:
      bytes[at] ^= (uint8_t)(1u << take(seed, 8));
      return size;
    case 1:
      for (size_t i = at; i < size && i < at + count; i++) bytes[i] = 0;
      return size;
    case 2:
      for (size_t i = at; i < size && i < at + count; i++) bytes[i] = (uint8_t)take(seed, 256);
      return size;
  }
  return at;
}

static void change_content(struct tree *tree, uint8_t *scratch, size_t limit, unsigned *seed) {
  struct entry *file = &tree->files[take(seed, (unsigned)tree->count)];
  size_t size = file->content.size < limit ? file->content.size : limit;
  if (size > 0) memcpy(scratch, file->content.data, size);
  bool as_disks_do = take(seed, 2) == 0;
  size = as_disks_do ? damage(scratch, size, seed) : LLVMFuzzerMutate(scratch, size, limit);
  file->content = bytes_of(scratch, size);
}

static void change_tree(struct tree *tree, unsigned *seed) {
  struct entry *file = &tree->files[take(seed, (unsigned)tree->count)];
  struct entry *other = &tree->files[take(seed, (unsigned)tree->count)];
  bitcask_bytes content = file->content;
  switch (take(seed, 6)) {
    case 0: /* missing */
      *file = tree->files[--tree->count];
      return;
    case 1: /* in each other's place */
      file->content = other->content;
      other->content = content;
      return;
    case 2: /* there twice */
      if (tree->count == FILES_MAX) return;
      tree->files[tree->count] = *file;
      tree->files[tree->count++].number = (uint8_t)take(seed, 16);
      return;
    case 3:
      file->number = (uint8_t)take(seed, 16);
      return;
    case 4:
      file->kind = (uint8_t)take(seed, KINDS);
      return;
    case 5:
      tree->marks ^= (uint8_t)(1u << take(seed, 5));
  }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed) {
  struct tree tree;
  read_tree(data, size, &tree);
  if (tree.count == 0) return LLVMFuzzerMutate(data, size, max_size);
  uint8_t *scratch = malloc(max_size + 1), *out = malloc(max_size + 1);
  MUST(scratch != NULL && out != NULL);
  if (take(&seed, 3) == 0)
    change_tree(&tree, &seed);
  else
    change_content(&tree, scratch, max_size, &seed);
  size_t written = write_tree(&tree, out, max_size);
  memcpy(data, out, written);
  free(scratch);
  free(out);
  return written;
}

/* A file of another directory in the place of one of this. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *one, size_t one_size, const uint8_t *other,
                                 size_t other_size, uint8_t *out, size_t max_size,
                                 unsigned int seed) {
  struct tree tree, donor;
  read_tree(one, one_size, &tree);
  read_tree(other, other_size, &donor);
  if (tree.count > 0 && donor.count > 0)
    tree.files[take(&seed, (unsigned)tree.count)] =
        donor.files[take(&seed, (unsigned)donor.count)];
  return write_tree(&tree, out, max_size);
}
