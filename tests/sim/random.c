// SPDX-License-Identifier: MIT
/*
 * The load of tests/runtime/stress_test.c as a program of its own, for the simulator:
 * the seed chooses the load (by getrandom), the number of workers and all else. With
 * an argument, the one of control blocks that are given back.
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

int main(int argc, char **argv)
{
	uint64_t r = seed();
	struct short_life s = { .seed = r };
	struct urt_options o = { .ring_entries = r & 16 ? 4 : 256 };
	int err;

	(void)argv;
	urt__pool_period_ns = MS;
	err = argc > 1 ? urt_run_with(come_and_go, &s, &o)
		       : urt_run_with(whole, &r, &o);
	if (err)
		fprintf(stderr, "%s\n", urt_why());
	return !!err;
}
