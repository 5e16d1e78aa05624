/*
 * Make the checks in a file good again, whatever else is in it: what a fuzzer has changed then
 * gets past them, to the code that has to make sense of it.
 */
#ifndef BITCASK_FUZZ_RESEAL_H
#define BITCASK_FUZZ_RESEAL_H

#include "base/bytes.h"

/* The check at the end of a header, at least 64 bytes. */
void reseal_header(uint8_t *bytes);

/* Records, one behind the other, that stand at `offset` of a segment with `salt`: each that
 * has a mark and fits gets its checks. What is none is passed over, eight bytes at a time. */
void reseal_records(uint8_t *bytes, size_t size, uint64_t salt, uint64_t offset);

/* Whole files. */
void reseal_segment(uint8_t *bytes, size_t size);
void reseal_hint(uint8_t *bytes, size_t size);
void reseal_checkpoint(uint8_t *bytes, size_t size);
void reseal_manifest(uint8_t *bytes, size_t size);
void reseal_current(uint8_t *bytes, size_t size);

#endif
