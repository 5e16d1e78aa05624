/*
 * A segment, read from its beginning to its end. Input: marks (1), salt (8), the records.
 * Marks: 1 makes the checks of all that could be records good.
 *
 * What is found is whole, in order, without a gap, and the same whether the file is read where
 * it stands or piece by piece.
 */
#include "bytes_disk.h"
#include "format/filename.h"
#include "fuzz.h"
#include "reseal.h"
#include "store/segment.h"

enum { SEAL = 1 };

struct item {
  enum segment_scan_kind kind;
  uint64_t offset, size, version;
  size_t key_size, value_size;
};

static struct segment *open_segment(struct bytes_disk *disk) {
  struct segment_facts facts = segment_facts_empty(1, 0);
  store_identity store = {{0}};
  struct segment *segment = NULL;
  MUST(segment_open(&disk->directory, store, &facts, true, &segment) == BITCASK_OK);
  return segment;
}

static struct item next(struct segment_scan *scan) {
  enum segment_scan_kind kind;
  uint64_t due = scan->next;
  MUST(segment_scan_next(scan, &kind) == BITCASK_OK);
  MUST(scan->offset == due && scan->next == due + scan->size && scan->next <= scan->end);
  MUST((kind == SEGMENT_SCAN_END) == (scan->size == 0));
  struct item item = {.kind = kind, .offset = scan->offset, .size = scan->size};
  if (kind == SEGMENT_SCAN_RECORD || kind == SEGMENT_SCAN_DAMAGED_VALUE) {
    MUST(record_size_of(&scan->record) == scan->size && scan->record.version != 0);
    MUST(record_value_is_intact(&scan->record) == (kind == SEGMENT_SCAN_RECORD));
    item.version = scan->record.version;
    item.key_size = scan->record.key.size;
    item.value_size = scan->record.value.size;
  }
  return item;
}

static bool item_equal(struct item a, struct item b) {
  return a.kind == b.kind && a.offset == b.offset && a.size == b.size && a.version == b.version &&
         a.key_size == b.key_size && a.value_size == b.value_size;
}

static void scan_both(struct segment *mapped, struct segment *read) {
  struct segment_scan one, other;
  struct item item;
  uint64_t end = disk_file_size(mapped->file), steps = 0;
  segment_scan_init(&one, mapped, end, true);
  segment_scan_init(&other, read, end, true);
  do {
    item = next(&one);
    MUST(item_equal(item, next(&other)));
    MUST(++steps <= end / RECORD_UNIT + 1);
  } while (item.kind != SEGMENT_SCAN_END);
  segment_scan_release(&one);
  segment_scan_release(&other);
}

static void fill(struct bytes_disk *disk, bool is_mapped, bool seal, uint64_t salt,
                 bitcask_bytes body) {
  struct header header = {.kind = HEADER_SEGMENT, .number = 1, .salt = salt};
  struct bitcask_buffer file = {0};
  uint8_t head[HEADER_SIZE];
  header_encode(&header, head);
  MUST(buffer_append(&file, bytes_of(head, sizeof head)) == BITCASK_OK);
  MUST(buffer_append(&file, body) == BITCASK_OK);
  bytes_disk_init(disk, is_mapped, 1);
  uint8_t *copy =
      bytes_disk_add(disk, filename_of_segment(1).text, bytes_of(file.data, file.size));
  if (seal) reseal_segment(copy, file.size);
  bitcask_buffer_release(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct coding_reader input = coding_read(bytes_of(data, size));
  unsigned marks = (unsigned)fuzz_number(&input, 1);
  uint64_t salt = fuzz_number(&input, 8);
  bitcask_bytes body = fuzz_bytes(&input, input.left);
  struct bytes_disk mapped, read;
  fill(&mapped, true, marks & SEAL, salt, body);
  fill(&read, false, marks & SEAL, salt, body);
  fuzz_memory_begin();
  struct segment *one = open_segment(&mapped), *other = open_segment(&read);
  scan_both(one, other);
  fuzz_memory_end(size, 4096, 2);
  segment_unref(one);
  segment_unref(other);
  bytes_disk_release(&mapped);
  bytes_disk_release(&read);
  return 0;
}
