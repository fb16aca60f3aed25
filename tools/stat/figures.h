/* SPDX-License-Identifier: MIT */
/* The table of figures; for reading a figure by its name, see stat.h. */
#ifndef URT_FIGURES_H
#define URT_FIGURES_H

#include "stat.h"
#include <stddef.h>

/* Where `urt stat` prints a figure, in the order of the printed result. */
enum figure_place {
	NOWHERE,
	IN_SWITCHES,
	IN_KERNEL, /* if BPF does not count the switches */
	IN_CAUSES, /* only if not 0 */
	IN_SYSCALLS,
	IN_URING,
	IN_WAYS, /* below the operations by name */
	IN_PERF,
};

/* The rung of a figure. */
enum figure_rung {
	RUNG_SOURCE, /* the measurement's */
	RUNG_KERNEL, /* the kernel's own counters */
	RUNG_PROC,   /* counters of /proc, with any source */
	RUNG_CPU,    /* the kernel's CPU times */
	RUNG_PAGE,   /* the program's page of counters */
	RUNG_CLOCK,
	RUNG_PERF,
};

struct figure {
	const char *name; /* as --list prints it; NULL ends the table */
	double (*get)(const struct stat_result *); /* NULL: see sum */
	/* Why it is not available; NULL: it is. */
	const char *(*lacks)(const struct stat_result *);
	size_t sum; /* of this counter of struct urt_counts, over all classes */
	const char *unit; /* NULL: events */
	enum figure_rung rung;
	enum figure_place place;
	int indent;
	const char *label;  /* printed there */
	const char *json;   /* member of urt.stat.v1, by its path; NULL: none */
	const char *column; /* heading with -I; NULL: no column */
};

extern const struct figure figures[];

/* Why a counter of the pages is not available. */
const char *figure_needs_counter(const struct stat_result *, const char *name);
/* Why a system call or an operation, by its name, is not available. */
const char *figure_needs_bpf(const struct stat_result *);
const char *figure_needs_each_syscall(const struct stat_result *);
const char *figure_needs_each_op(const struct stat_result *);

/* A counter of struct urt_counts, of all classes of threads. */
uint64_t figure_over_classes(const struct stat_result *, size_t offset);

/* The times on or off the CPU by the logarithm of ns; returns their number. */
uint64_t figure_times(const struct stat_result *, bool on,
		      __u64 slot[URT_TIME_LOGS]);

/* Of a row. */
double figure_get(const struct stat_result *, const struct figure *);
const char *figure_rung(const struct stat_result *, const struct figure *);

#endif
