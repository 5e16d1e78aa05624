/*
 * Memory that is fetched from a hypervisor before an engine begins.
 *
 * One that takes back what its guests leave free for a second makes the next one who touches it
 * wait ten times as long (a quarter of a millisecond for 64 KiB, where that was measured): then a
 * benchmark tells of its hypervisor, and most of the engine that takes the most new memory. What
 * is held meanwhile is not free. What an engine does not take within its first second or two may
 * be gone again: it helps, and is no remedy.
 */
#ifndef BENCH_MEMORY_HOLD_H
#define BENCH_MEMORY_HOLD_H

#include <stdint.h>

/* Take so many bytes, but no more than half of what is available, and touch them all. */
void memory_hold(uint64_t bytes);

/* Give them back, for whoever needs memory next. */
void memory_hold_end(void);

#endif
