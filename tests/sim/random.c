// SPDX-License-Identifier: MIT
/*
 * The load of tests/runtime/stress_test.c as a program of its own, for the simulator:
 * the seed chooses, by getrandom, the load, the number of workers and all else. Most
 * loads are small and lack some kinds of steps, because some faults appear only if one
 * kind is frequent, or another absent (swarm testing, Groce and others 2012). With an
 * argument, runs the load of control blocks that are given back.
 */
#define _GNU_SOURCE
#include "../lib/test.h"
#include <sys/random.h>

/* Check is not running: a claim that fails ends the program. */
#define _mark_point(file, line)			 ((void)0)
#define _ck_assert_failed(file, line, what, ...) claim_failed(file, line, what)

static void claim_failed(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	abort();
}

#include "../runtime/stress_test.c"

uint64_t seed(void)
{
	uint64_t n = 0;

	return getrandom(&n, sizeof(n), 0) == sizeof(n) ? n | 1 : 1;
}

/* A number from 2^lo to 2^hi, evenly distributed by its logarithm. */
static unsigned about(uint64_t *r, unsigned lo, unsigned hi)
{
	unsigned bit = 1u << (lo + rnd(r) % (hi - lo));

	return bit + rnd(r) % bit;
}

static void draw_load(uint64_t r)
{
	unsigned sum = 0;

	if (rnd(&r) % 64 == 0)
		return; /* the full load */
	load.coros = 1 + rnd(&r) % (rnd(&r) % CORO + 1);
	load.threads = rnd(&r) % (THREADS + 1);
	load.steps = about(&r, 2, 8);
	for (unsigned i = 0; i < KINDS; i++) {
		load.weight[i] = rnd(&r) % 2 ? about(&r, 0, 5) : 0;
		sum += load.weight[i];
	}
	if (!sum)
		load.weight[rnd(&r) % KINDS] = 1;
	load.sleeps = rnd(&r) % 4;
	load.yields = rnd(&r) % 4;
	load.deadline_ns = (int64_t)about(&r, 10, 26);
}

int main(int argc, char **argv)
{
	uint64_t r = seed();
	struct short_life s = { .seed = r };
	struct urt_options o = { .ring_entries = r & 16 ? 4 : 256 };
	const char *sim = getenv("URT_SIM");
	int err;

	(void)argv;
	draw_load(r);
	load.no_threads = sim && strstr(sim, "thread=");
	urt__pool_period_ns = MS;
	err = argc > 1 ? urt_run_with(come_and_go, &s, &o)
		       : urt_run_with(whole, &r, &o);
	if (err)
		fprintf(stderr, "%s\n", urt_why());
	return err && !(err == -EAGAIN && load.no_threads);
}
