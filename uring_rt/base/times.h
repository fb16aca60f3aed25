/* SPDX-License-Identifier: MIT */
/*
 * Histograms of times in the counters page: how long coroutines that could run
 * waited for their turn, and how late timers were.
 *
 * A row for each power of two from 256 ns on, cut into 4 equal parts, so a time is
 * known to within a quarter. Written as counters are: by one thread, with plain
 * stores. Programs of other versions read them, so their number, order and size
 * never change.
 */
#ifndef URT_BASE_TIMES_H
#define URT_BASE_TIMES_H

#include "base.h"
#include <stdint.h>

/* X(symbol, name) */
#define URT__TIMES(X)                                             \
	X(READY, "ready") /* from runnable to running, sampled */ \
	X(TIMER, "timer") /* by how much the latest of those that \
	                         fired together was late */

enum urt__time {
#define X(symbol, name) URT__TIME_##symbol,
	URT__TIMES(X)
#undef X
		URT__TIME_COUNT,
};

#define URT__TIME_FIRST_LOG 8
#define URT__TIME_PARTS	    4
#define URT__TIME_CELLS	    108 /* the last one: 17 s and more */

static inline unsigned urt__time_cell(uint64_t ns)
{
	unsigned log, cell;

	if (ns < 1u << URT__TIME_FIRST_LOG)
		return 0;
	log = 63 - __builtin_clzll(ns);
	cell = 1 + (log - URT__TIME_FIRST_LOG) * URT__TIME_PARTS +
	       (ns >> (log - 2)) % URT__TIME_PARTS;
	return cell < URT__TIME_CELLS ? cell : URT__TIME_CELLS - 1;
}

/* The shortest time, in ns, that is too long for the cell. */
static inline uint64_t urt__time_end(unsigned cell)
{
	unsigned row = cell / URT__TIME_PARTS, part = cell % URT__TIME_PARTS;

	return (UINT64_C(1) << (URT__TIME_FIRST_LOG - 2 + row)) * (4 + part);
}

#endif
