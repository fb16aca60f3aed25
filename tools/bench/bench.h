/* SPDX-License-Identifier: MIT */
/* The workloads of `urt bench`, in coroutines and in threads. */
#ifndef URT_BENCH_H
#define URT_BENCH_H

#include <stdbool.h>

/*
 * One benchmark. A workload does n operations, as near as it can, and returns
 * how many; or, if `figure`, it measures by itself and returns the figure.
 */
struct bench {
	const char *name;
	double (*coroutine)(long n);
	double (*thread)(long n); /* NULL: not feasible in threads */
	long n, thread_n;
	double figure_scale; /* 0: ns per operation are measured; else the
	                          workload's own figure, times this */
	const char *unit;    /* of what is printed */
	bool more_workers;   /* also on 4 */
};

extern const struct bench benches[];
extern const unsigned nr_benches;

#endif
