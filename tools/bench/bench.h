/* SPDX-License-Identifier: MIT */
/*
 * The benchmarks of `urt bench`: rows of three tables (micro.c, latency.c,
 * stall.c). A benchmark measures one or more figures in each runtime that can
 * run it, in a process of its own.
 */
#ifndef URT_BENCH_H
#define URT_BENCH_H

#include "../lib/tool.h"
#include <signal.h>

#define RUNS_MAX    51
#define FIGURES_MAX 10 /* and the end */

enum runtime { URING_RT, GO, THREAD, EPOLL, RUNTIMES };
extern const char *const runtime_names[];

struct figure {
	const char *name; /* "": the benchmark's only one */
	const char *unit;
	double scale;	 /* factor from the measured value to the unit */
	bool more;	 /* more is better */
	const char *row; /* its own name; NULL: the benchmark's */
};

/* A server of messages, for a client. */
struct target {
	int port;
	int workers;
	int cpu; /* to which it is pinned, or -1 */
	const volatile sig_atomic_t *stop;
};

struct bench {
	const char *name;
	struct figure figures[FIGURES_MAX]; /* ends with one without a unit */
	/*
	 * Either a workload, run in the runtime: it makes about n operations
	 * and returns their number; the figure is the ns of one. `measure` has
	 * figures of its own. Go has the same workloads under the same names.
	 */
	double (*coroutine)(long n);
	double (*thread)(long n); /* NULL: not feasible in threads */
	void (*measure)(long n, double *figures);
	long n; /* of `measure`; for the others, the first try */
	/*
	 * Or a client of a server: 0 or -errno. `with` is its own argument.
	 */
	int (*client)(const struct target *, const struct bench *,
		      double *figures);
	long with;
	bool epoll;	   /* also run with event loops */
	bool cold_file;	   /* needs a cold file: $URT_BENCH_FILE */
	bool more_workers; /* also on 4 */
	int runs_max;	   /* most runs, as it takes long; 0: any number */
};

/* Ends with one without a name. */
extern const struct bench bench_micro[], bench_latency[], bench_stall[];

/*
 * Makes a file of which nothing is in memory; processes started from now on
 * find its name in $URT_BENCH_FILE. NULL, or why there is none.
 */
const char *cold_file(void);

/* The micro-benchmarks that are feasible in threads: about n operations. */
double thread_yield(long n);
double thread_spawn_join(long n);
double thread_pingpong(long n);
double thread_mutex(long n);

/* ---- ending by a signal ---- */

#define BENCH_INTERRUPTED "ended by a signal"

/* A signal that ends the benchmarks has come. */
bool bench_stopped(void);

/* Sets the process (negative: the process group) that such a signal ends; 0:
 * none. */
void bench_child_began(pid_t);

/* On a terminal: shows the running benchmark and its complete runs. NULL: none
 * runs. */
void bench_progress(const char *name, long done);

/* ---- results ---- */

struct runs {
	unsigned n;
	double run[RUNS_MAX]; /* sorted before they are printed */
};

/* Of one benchmark on a number of workers. */
struct row {
	const struct bench *bench;
	int workers;
	struct runs runs[RUNTIMES][FIGURES_MAX];
	const char *why[RUNTIMES]; /* it was not available, or NULL */
};

/* The output: each row is written as soon as it is complete. */
struct sheet {
	bool as_json;
	int headed; /* text: 1 + the third runtime of the columns' names */
	struct json json;
};

void sheet_begin(struct sheet *);
void sheet_row(struct sheet *, struct row *);
void sheet_end(struct sheet *, bool interrupted);

#endif
