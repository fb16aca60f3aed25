/* SPDX-License-Identifier: MIT */
/* Counts that the kernel has of a process without BPF: perf events. */
#ifndef URT_PERF_H
#define URT_PERF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Counts of perf events, used without BPF. Instead of a count that is not available,
 * its reason: */
#define PERF_NO_EVENT (-1) /* the kernel, or tracefs, does not have it */
#define PERF_NO_FILES (-2) /* not each thread could have its own */
#define PERF_CUT      (-3) /* the kernel ended it before the program */
#define PERF_NO_EXITS (-4) /* ... ends it before a thread's last switch */
struct perf_totals {
	int64_t switches, migrations, faults, syscalls;
	int64_t submitted, refused, completed; /* io_uring requests */
	int64_t exits;			       /* of threads */
};

struct perf_counts;

/*
 * Adds counters of a process's threads and their children to *p, which begins
 * as NULL; pid 0: of all CPUs. at_exec: from its next exec on. False: not
 * possible, and why says so.
 */
bool perf_open(struct perf_counts **p, pid_t pid, bool at_exec, char *why,
	       size_t why_size);

void perf_read(const struct perf_counts *, struct perf_totals *);
/* All figures become PERF_CUT. */
void perf_cut(struct perf_totals *);
void perf_close(struct perf_counts *);

#endif
