/* SPDX-License-Identifier: MIT */
/*
 * The settings of `urt stat`, its results, and their printing. Also used
 * by `urt compare`, which measures several commands the same way.
 */
#ifndef URT_STAT_H
#define URT_STAT_H

#include "../measure/counter.h"
#include "../lib/launch.h"
#include "../lib/tool.h"
#include "../measure/perf.h"
#include "../measure/user_stats.h"
#include "by.h"
#include "latency.h"
#include <sched.h>

#define STAT_PIDS_MAX	 64
#define STAT_ASSERTS_MAX 32
#define STAT_EVENTS_MAX	 64
#define STAT_RUNS_MAX	 1000
#define STAT_THREADS_MAX 32768

/* The rungs, the lowest one first. */
enum stat_source { STAT_PROC, STAT_PERF, STAT_BPF };
extern const char *const stat_source_names[];

enum stat_format { STAT_TEXT, STAT_CSV, STAT_JSON };
enum stat_cost { STAT_COST_SAMPLED, STAT_COST_ALWAYS, STAT_COST_OFF };

struct stat_options {
	char **command; /* NULL: none */
	pid_t pid[STAT_PIDS_MAX];
	unsigned pids;
	bool by_tid;	 /* pid[] are threads */
	bool children;	 /* those that pid[] have already, too */
	bool no_inherit; /* not what they start */
	bool all;	 /* every process */
	bool some_cpus;	 /* only what happens on these: */
	cpu_set_t cpus;
	const char *cgroup;		/* its directory; NULL: none */
	const struct launch_user *user; /* of the command; NULL: us */
	bool wait_all; /* until all that the command started has ended */
	bool last;     /* nothing is measured after it: privileges can go */

	int64_t interval_ns; /* print that often; 0: only at the end */
	int64_t timeout_ns;  /* stop after; 0: never */
	int64_t delay_ns;    /* begin after; < 0: when told to */
	int control_fd;	     /* commands come here; or -1 */
	int ack_fd;	     /* answers go there; or -1 */
	long repeat;
	long interval_count;	/* intervals until it stops; 0: any number */
	const char *pre, *post; /* shell commands around each run; or NULL */

	long ops;	      /* to divide by; 0: not given */
	const char *ops_from; /* a figure to divide by; NULL: none */
	const char *asserts[STAT_ASSERTS_MAX];
	unsigned nr_asserts;

	/* Only these figures are printed; 0: all. They point into events. */
	const char *event[STAT_EVENTS_MAX];
	unsigned nr_events;
	char events[STAT_EVENTS_MAX][64];
	bool null; /* only times */

	bool no_bpf, no_perf;
	bool perf_too; /* some event is counted by perf events only */
	bool no_syscalls;
	bool per_thread;
	bool times;	      /* histograms */
	enum urt_by by;	      /* also by rows of this */
	bool latency, errors; /* of system calls */
	const char *by_key;   /* of contexts; NULL: http.route, or the first */
	bool by_unit;	      /* rows of cgroups are systemd's units */
	const char *by_names; /* rows of cgroups are these, or below; or NULL */
	enum stat_cost cost;

	enum stat_format format;
	const char *separator; /* with STAT_CSV */
	const char *out;       /* file; NULL: stderr */
	bool append;	       /* to that file */
	bool summary;	       /* of all intervals, at the end */
	bool table;	       /* of the times of all runs */
};

/* The cost of counting, as far as it was measured. */
struct stat_costs {
	uint64_t runs, ns;  /* of BPF programs, by all on all CPUs */
	int64_t sampled_ns; /* for how long it was measured */
};

struct stat_result {
	const struct stat_options *options;
	int exit_code;	  /* of the command, as a shell gives it */
	bool ended_by_us; /* --timeout, or told to stop it */
	bool post_failed; /* --post did */
	int64_t start_ns; /* since the beginning, for an interval */
	int64_t wall_ns;
	int64_t user_ns, system_ns; /* CPU time; < 0: not known */
	const char *why_no_cpu;

	enum stat_source source;
	char why_no_bpf[256], why_no_perf[256];
	struct counts counts;	 /* with STAT_BPF */
	struct perf_totals perf; /* if has_perf */
	bool has_perf;		 /* with STAT_PERF, or where some is wanted */
	uint64_t nvcsw, nivcsw;	 /* the kernel's own counters */
	bool has_uring;		 /* io_uring was counted */
	bool live;		 /* read while it ran: two counts may differ */
	struct stat_costs cost;

	bool has_user; /* it runs on uring_rt; see stat_why_no_user */
	struct user_stats user;
	double ops; /* to divide by; 0: none */

	struct stat_latency *latency; /* NULL: not wanted */
	struct stat_by *by;	      /* by rows; NULL: not wanted */
	struct urt_thread *thread;    /* by thread; NULL: not wanted */
	unsigned threads;
};

/* Reads the options (options.c). 0, or the exit code + 1: it was said. */
int stat_parse(int argc, char **argv, struct stat_options *);

/* ---- measuring (stat_run.c) ---- */

/* Tells of an interval that has ended; the result is that interval's. */
typedef void stat_tell(const struct stat_result *, void *arg);

/*
 * Measures once. 0: the result is filled in, to be freed; else the exit code,
 * and an error message was printed. *stopped: by a signal to us.
 */
int stat_measure(const struct stat_options *, struct stat_result *,
		 stat_tell *tell, void *arg, bool *stopped);
void stat_result_free(struct stat_result *);

/* ---- figures: everything that has a name and a number (stat_figures.c) ---- */

/*
 * The figure of that name ("switches", "syscalls:read", "off-cpu.p99", ...).
 * False: it is not known, and why says so.
 */
bool stat_figure(const struct stat_result *, const char *name, double *value,
		 char why[256]);

/* Why the counters of its runtime are not available; NULL: they are. */
const char *stat_why_no_user(const struct stat_result *);

/* Whether there is a figure of that name at all. */
bool stat_figure_exists(const char *name);

/* The unit of it: "" for a number of events, "ns" for times. */
const char *stat_figure_unit(const char *name);

/* On which rung it stands: "bpf", "perf", "proc", "rusage", "page", "clock". */
const char *stat_figure_rung(const struct stat_result *, const char *name);

/*
 * Calls f for the name of each figure that always is, and of each system call
 * and operation that occurred; with -e, for the names given.
 */
void stat_each_figure(const struct stat_result *,
		      void (*f)(const char *name, void *arg), void *arg);

/* Times that the histograms lack: of which the beginning was not seen. */
uint64_t stat_times_missing(const struct stat_result *);

/* ---- asserting (stat_assert.c) ---- */

/* False: it is none; an error message was printed. */
bool stat_assert_valid(const char *text);

/* Whether it holds; if not, says so to out, with what was measured. */
bool stat_assert_holds(const struct stat_result *, const char *text, FILE *out);

/* ---- -e (events.c) ---- */

/* Adds FIGURE[,FIGURE], by our names or perf's; false: it was said. */
bool stat_events_parse(struct stat_options *, const char *text);
void stat_print_events(FILE *, const struct stat_result *);
void stat_print_events_interval(FILE *, const struct stat_result *,
				bool heading);
void stat_json_events(struct json *, const struct stat_result *);

/* ---- printing ---- */

void stat_print_text(FILE *, const struct stat_result *);
void stat_print_interval(FILE *, const struct stat_result *, bool heading);
void stat_print_csv(FILE *, const struct stat_result *, bool interval);
void stat_print_json(FILE *, const struct stat_result *, bool interval);
/* Mean and spread of several. */
void stat_print_repeated(FILE *, struct stat_result *const *, long n);
void stat_print_repeated_json(FILE *, struct stat_result *const *, long n);

extern const char *const stat_class_names[URT_CLASSES];

#endif
