/*
 * CURRENT and the manifest that it leads to. Input: marks (1), size of CURRENT (1), CURRENT,
 * then the manifest. Marks: 1 makes the checks of CURRENT good, 2 those of the manifest, 4 puts
 * the right CURRENT in place of the one that was given, 8 reads files where they stand.
 *
 * What is loaded makes sense: every segment once, none without an id or a header.
 */
#include "store/manifest.h"

#include <stdio.h>

#include "base/checksum.h"
#include "bytes_disk.h"
#include "format/filename.h"
#include "fuzz.h"
#include "reseal.h"

enum { SEAL_CURRENT = 1, SEAL_MANIFEST = 2, RIGHT_CURRENT = 4, MAPPED = 8 };

/* What CURRENT has to say for the store to find this manifest. */
static size_t right_current(bitcask_bytes manifest, char out[128]) {
  const uint8_t *bytes = manifest.data;
  uint64_t number = manifest.size >= HEADER_SIZE ? get_u64(bytes + 32) : 1;
  int size = snprintf(out, 128, "%s ", filename_of_manifest(number).text);
  for (int i = 0; i < 16; i++)
    size += snprintf(out + size, (size_t)(128 - size), "%02x",
                     manifest.size >= HEADER_SIZE ? bytes[16 + i] : 0);
  size += snprintf(out + size, (size_t)(128 - size), "%18s", "");
  reseal_current((uint8_t *)out, (size_t)size);
  return (size_t)size;
}

static void check_state(const struct manifest_state *state) {
  for (size_t i = 0; i < state->sealed_count; i++) {
    const struct segment_facts *facts = &state->sealed[i];
    MUST(facts->id != 0 && facts->length >= HEADER_SIZE);
    MUST(manifest_sealed(state, facts->id) == facts);
    MUST(!manifest_is_open(state, facts->id));
  }
  MUST(state->sealed_count <= state->sealed_capacity);
  MUST(state->open_count <= MANIFEST_OPEN_MAX);
  if (state->is_closed)
    MUST(state->open_count == 1 && state->open[0] == state->closed.id &&
         state->closed.length >= HEADER_SIZE);
}

static void load(struct bytes_disk *disk) {
  struct manifest manifest;
  enum bitcask_status status = manifest_load(&manifest, &disk->disk, &disk->directory);
  MUST(status == BITCASK_OK || status == BITCASK_CORRUPT || status == BITCASK_INCOMPATIBLE);
  if (status == BITCASK_OK) {
    MUST(manifest.edit_number > 0);
    check_state(&manifest.state);
    manifest_release(&manifest);
  }
  MUST(disk->open_files == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct coding_reader input = coding_read(bytes_of(data, size));
  unsigned marks = (unsigned)fuzz_number(&input, 1);
  bitcask_bytes current = fuzz_bytes(&input, (size_t)fuzz_number(&input, 1));
  bitcask_bytes bytes = fuzz_bytes(&input, input.left);
  struct bytes_disk disk;
  char right[128];
  bytes_disk_init(&disk, marks & MAPPED, 1);
  if (marks & RIGHT_CURRENT) current = bytes_of(right, right_current(bytes, right));
  uint8_t *copy = bytes_disk_add(&disk, FILENAME_CURRENT, current);
  if (marks & SEAL_CURRENT) reseal_current(copy, current.size);
  uint64_t number = bytes.size >= HEADER_SIZE ? get_u64((const uint8_t *)bytes.data + 32) : 1;
  copy = bytes_disk_add(&disk, filename_of_manifest(number).text, bytes);
  if (marks & SEAL_MANIFEST) reseal_manifest(copy, bytes.size);
  fuzz_memory_begin();
  load(&disk);
  fuzz_memory_end(size, 4096, 4);
  bytes_disk_release(&disk);
  return 0;
}
