// SPDX-License-Identifier: MIT
/*
 * CPU time is burnt as a number of rounds of this loop (xorshift, Marsaglia
 * 2003), calibrated once at the start. So the work is the same for every model
 * and language, however often it is preempted, and needs no look at a clock,
 * which would be a system call in some of them.
 */
#include "burn.h"
#include <time.h>

#define CALIBRATE_ROUNDS 500000
#define CALIBRATE_TIMES	 9

static uint64_t rounds_per_ms;
static volatile uint32_t sink; /* so that the work is not optimised away */

static uint32_t spin(uint32_t x, uint64_t rounds)
{
	while (rounds--) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
	}
	return x;
}

static int64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

void burn_calibrate(void)
{
	int64_t best = INT64_MAX;

	for (int i = 0; i < CALIBRATE_TIMES; i++) {
		int64_t begin = cpu_ns(), took;

		sink = spin(sink | 1, CALIBRATE_ROUNDS);
		took = cpu_ns() - begin;
		if (took > 0 && took < best)
			best = took;
	}
	rounds_per_ms = CALIBRATE_ROUNDS * INT64_C(1000000) / best;
}

void burn(int64_t ns)
{
	uint32_t from = __atomic_load_n(&sink, __ATOMIC_RELAXED);

	/* Threads and workers burn at the same time; any value is good. */
	__atomic_store_n(&sink, spin(from | 1, rounds_per_ms * ns / 1000000),
			 __ATOMIC_RELAXED);
}
