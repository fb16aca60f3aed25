/* SPDX-License-Identifier: MIT */
/* The counts of `urt top` (top.c) and their display (top_screen.c). */
#ifndef URT_TOP_H
#define URT_TOP_H

#include "../measure/cgroups.h"
#include "../measure/counter.h"
#include "../measure/user_stats.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define TOP_WIDTH 384
#define TOP_LINES 256

enum column { SWITCHES, SYSCALLS, URING, USER, CPU, HANDOFFS, COLUMNS };

/* The subject of a row. */
enum top_by { TOP_PROCESSES, TOP_THREADS, TOP_CGROUPS, TOP_UNITS };

extern const char *const top_column_names[]; /* ends with NULL */

struct row {
	uint32_t pid, tid; /* tid 0: a whole process */
	uint64_t born;	   /* the process was */
	uint64_t cgroup;   /* its id; 0: rows are not of cgroups */
	char name[17];
	unsigned users; /* its processes on uring_rt */
	double per_s
		[COLUMNS]; /* USER, HANDOFFS: < 0, n/a; CPU: percent of one */
	double wait_us;	   /* 99 % of coroutines waited less for their turn;
	                     < 0: none was measured */
};

/* The counts of a process on uring_rt at the last refresh. */
struct user_seen {
	uint32_t pid;
	ino_t page;
	struct user_stats stats;
};

struct top {
	struct counter *counter;
	struct urt_thread *slot;   /* shared with the kernel */
	struct urt_thread *before; /* as of the last refresh */
	struct row *row;
	struct user_seen seen[64];
	unsigned slots, rows, nr_seen, next_seen;
	uint64_t lost; /* events */
	int64_t last_ns;
	enum column sort;
	enum top_by by;
	struct cgroups *cgroups; /* NULL: rows are not of them */
	bool batch;
	int64_t delay_ns;
	long rounds; /* rounds 0: until it is quit */

	bool coroutines;
	long pid;		 /* whose; 0: not given */
	const char *key;	 /* of contexts; NULL: not by them */
	struct top_coros *coros; /* shown instead of all that; NULL: no */
	char (*line)[TOP_WIDTH]; /* the lines shown */
	unsigned lines;
};

/* coroutines.c: false: an error message was printed. _refresh: false: the program has ended. */
bool top_coros_open(struct top *, pid_t, const char *context_key);
bool top_coros_refresh(struct top *);
void top_coros_close(struct top *);

/* Counts since the last call, and sorts. */
void top_refresh(struct top *);
void top_sort(struct top *);
/* Sets the subject of rows from the next refresh on. */
void top_by(struct top *, enum top_by);

/* Runs until the user quits, and restores the terminal. */
void top_show(struct top *);

#endif
