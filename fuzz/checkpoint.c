/*
 * A keydir checkpoint. Input: the bytes of the file.
 *
 * Whatever it tells lies within the file: every table that is given can be read and written to
 * its end, and an index that is believed, written again, is the same bytes.
 */
#include "store/checkpoint.h"

#include <stdlib.h>

#include "base/checksum.h"
#include "bytes_disk.h"
#include "format/filename.h"
#include "fuzz.h"
#include "reseal.h"

static void check_index(const struct checkpoint_file *file, bitcask_bytes all) {
  struct bitcask_buffer again = {0};
  MUST(checkpoint_encode_index(&file->index, file->salt, &again) == BITCASK_OK);
  MUST(again.size <= all.size);
  MUST(memcmp((const uint8_t *)all.data + all.size - again.size, again.data, again.size) == 0);
  bitcask_buffer_release(&again);
}

/* Read and write all of it: the sanitizer sees what lies outside. */
static void touch(struct keydir_table *table) {
  size_t slots = (size_t)table->homes + table->tail;
  MUST(table->count <= slots && table->used_end <= slots);
  for (size_t i = 0; i < slots; i++) table->slots[i].at ^= 1;
  for (size_t i = 0; i < slots; i++) table->slots[i].at ^= 1;
}

static void use(struct checkpoint_file *file) {
  struct keydir_table table;
  bitcask_bytes items;
  for (unsigned shard = 0; shard < CHECKPOINT_SHARDS; shard++) {
    enum bitcask_status status = checkpoint_table(file, shard, &table);
    MUST(status == BITCASK_OK || status == BITCASK_CORRUPT);
    if (status == BITCASK_OK) touch(&table);
    checkpoint_forget(file, shard);
  }
  if (file->index.items != CHECKPOINT_NO_ITEMS && checkpoint_items(file, &items) == BITCASK_OK)
    checksum64(items.data, items.size, 0);
}

static void try(bitcask_bytes input, bool is_sealed, bool is_mapped) {
  struct bytes_disk disk;
  struct disk_directory *directory = NULL;
  struct checkpoint_file *file = NULL;
  store_identity store = {{0}};
  uint64_t salt = input.size >= HEADER_SIZE ? get_u64((const uint8_t *)input.data + 40) : 0;
  if (input.size >= HEADER_SIZE)
    memcpy(store.bytes, (const uint8_t *)input.data + 16, sizeof store.bytes);
  bytes_disk_init(&disk, is_mapped, 1);
  uint8_t *copy = bytes_disk_add(&disk, FILENAME_CHECKPOINT, input);
  MUST(copy != NULL);
  if (is_sealed) reseal_checkpoint(copy, input.size);
  MUST(disk.disk.ops->open_directory(&disk.disk, "store", false, &directory) == BITCASK_OK);
  fuzz_memory_begin();
  enum bitcask_status status = checkpoint_open(directory, store, salt, &file);
  fuzz_memory_end(input.size, 64 << 10, 2);
  MUST(status == BITCASK_OK || status == BITCASK_CORRUPT || status == BITCASK_INCOMPATIBLE);
  if (status == BITCASK_OK) {
    check_index(file, bytes_of(copy, input.size));
    use(file);
    checkpoint_close(file);
  }
  MUST(disk.open_files == 0);
  bytes_disk_release(&disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  bitcask_bytes input = bytes_of(data, size);
  try(input, false, true);
  try(input, true, true);
  try(input, true, false);
  return 0;
}
