/*
 * Values that tell the key that they were written for: "<key>|<number>|", then as many letters
 * as the last two digits of the number say, each the letter of that number.
 */
#ifndef BITCASK_FUZZ_VALUES_H
#define BITCASK_FUZZ_VALUES_H

#include "base/bytes.h"

enum { VALUE_SIZE_MAX = 256 }; /* for keys of up to 100 bytes */

/* The value of that number: its size. */
size_t value_make(bitcask_bytes key, unsigned number, char out[VALUE_SIZE_MAX]);

/* Is it a value of this key? */
bool value_is_of(bitcask_bytes key, bitcask_bytes value);

#endif
