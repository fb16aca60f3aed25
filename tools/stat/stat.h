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

#define STAT_PIDS_MAX	  64
#define STAT_ASSERTS_MAX  32
#define STAT_EVENTS_MAX	  64
#define STAT_BASELINE_MAX (16 << 20) /* bytes */
#define STAT_NAMES_MAX	  1200	     /* figures */
#define STAT_RUNS_MAX	  1000
#define STAT_THREADS_MAX  32768

/* The rungs, the lowest one first. */
enum stat_source { STAT_PROC, STAT_PERF, STAT_BPF };
extern const char *const stat_source_names[];

enum stat_format { STAT_TEXT, STAT_CSV, STAT_JSON };
enum stat_cost { STAT_COST_SAMPLED, STAT_COST_ALWAYS, STAT_COST_OFF };

struct stat_assert {
	const char *text;
	const char *file; /* the budget with it; NULL: the command line */
	unsigned line;	  /* of file */
	bool relative;	  /* to the baseline */
};

struct stat_options {
	char **command; /* NULL: none */
	pid_t pid[STAT_PIDS_MAX];
	unsigned pids;
	bool by_tid;	 /* pid[] are threads */
	bool children;	 /* also count existing children of pid[] */
	bool no_inherit; /* do not count later children */
	bool all;	 /* every process */
	bool some_cpus;	 /* count only on these: */
	cpu_set_t cpus;
	const char *cgroup;		/* its directory; NULL: none */
	const struct launch_user *user; /* of the command; NULL: us */
	bool wait_all; /* wait for all descendants of the command */
	bool last;     /* nothing is measured after it: privileges can be
			  dropped */

	int64_t interval_ns; /* print that often; 0: only at the end */
	int64_t timeout_ns;  /* stop after; 0: never */
	int64_t delay_ns;    /* begin after; < 0: when told to */
	int control_fd;	     /* commands come here; or -1 */
	int ack_fd;	     /* answers go there; or -1 */
	long repeat;
	long warmup;		/* uncounted runs before them */
	long interval_count;	/* intervals until it stops; 0: any number */
	const char *pre, *post; /* shell commands around each run; or NULL */
	const int *output; /* stdout and stderr of all of them; NULL: ours */

	long ops;	      /* to divide by; 0: not given */
	const char *ops_from; /* a figure to divide by; NULL: none */
	int ops_fd;	      /* where `urt load` counts (load/ops.h), if > 0 */
	struct stat_assert asserts[STAT_ASSERTS_MAX];
	unsigned nr_asserts;
	const char *budget;	     /* file with some of them; NULL: none */
	const char *budget_when;     /* the first word of the lines to use; "":
				      all */
	const char *baseline_path;   /* an earlier run's document, or NULL */
	struct json_value *baseline; /* its tree; NULL: not read yet */
	bool github; /* annotations, and a table for the step's summary */

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

/* The measured cost of counting. */
struct stat_costs {
	uint64_t runs, ns;  /* of BPF programs, by all on all CPUs */
	int64_t sampled_ns; /* duration of that measurement */
};

struct stat_result {
	const struct stat_options *options;
	int exit_code;	  /* of the command, as a shell gives it */
	bool ended_by_us; /* by --timeout, or by a request to stop */
	bool post_failed; /* --post did */
	int64_t start_ns; /* since the beginning, for an interval */
	int64_t wall_ns;
	int64_t user_ns, system_ns; /* CPU time; < 0: not known */
	const char *why_no_cpu;
	unsigned left_out; /* children that pid[] had, which do not count */

	enum stat_source source;
	char why_no_bpf[256], why_no_perf[256];
	struct counts counts;	 /* with STAT_BPF */
	struct perf_totals perf; /* if has_perf */
	bool has_perf;		 /* with STAT_PERF, or if one is wanted */
	uint64_t nvcsw, nivcsw;	 /* the kernel's own counters */
	int64_t reads, writes;	 /* likewise, of the processes given; < 0:
				    n/a */
	bool has_uring;		 /* io_uring was counted */
	bool live;		 /* read while it ran: two counts may differ */
	struct stat_costs cost;

	bool has_user; /* it runs on uring_rt; see stat_why_no_user */
	struct user_stats user;
	double ops;	   /* to divide by; 0: none */
	uint64_t ops_told; /* by `urt load` */

	struct stat_latency *latency; /* NULL: not wanted */
	struct stat_by *by;	      /* by rows; NULL: not wanted */
	struct urt_thread *thread;    /* by thread; NULL: not wanted */
	unsigned threads;
};

/* Reads the options (options.c). False: an error message was printed. */
bool stat_parse(int argc, char **argv, struct stat_options *);

/* ---- measuring (run.c) ---- */

/* Called for an interval that has ended, with that interval's result. */
typedef void stat_tell(const struct stat_result *, void *arg);

/*
 * Measures once. 0: the result is filled in, and the caller frees it; else the
 * exit code, after an error message. *stopped: by a signal to us.
 */
int stat_measure(const struct stat_options *, struct stat_result *,
		 stat_tell *tell, void *arg, bool *stopped);
void stat_result_free(struct stat_result *);

/* ---- figures: everything that has a name and a number (figures.c) ---- */

/*
 * The figure of that name ("switches", "syscalls:read", "off-cpu.p99", ...).
 * False: it is unknown, and why says so.
 */
bool stat_figure(const struct stat_result *, const char *name, double *value,
		 char why[256]);

/* Why the counters of its runtime are not available; NULL: they are. */
const char *stat_why_no_user(const struct stat_result *);

/* Whether a figure has that name. */
bool stat_figure_exists(const char *name);

/* The unit of the figure: "" for a number of events, "ns" for times. */
const char *stat_figure_unit(const char *name);

/* The rung of the figure: "bpf", "perf", "proc", "rusage", "page", "clock". */
const char *stat_figure_rung(const struct stat_result *, const char *name);

/*
 * Calls f for the name of each figure of the table, and of each system call and
 * operation that occurred; with -e, for the names given.
 */
void stat_each_figure(const struct stat_result *,
		      void (*f)(const char *name, void *arg), void *arg);

/* The number of times missing in the histograms, whose beginning was not
 * seen. */
uint64_t stat_times_missing(const struct stat_result *);

/* ---- asserting (assert.c, baseline.c, verdicts.c) ---- */

enum stat_verdict_kind { VERDICT_HOLDS, VERDICT_FAILED, VERDICT_SKIPPED };

struct stat_verdict {
	const struct stat_assert *of;
	enum stat_verdict_kind verdict;
	double value, limit,
		was;   /* measured, allowed, of the baseline; or NAN */
	char why[256]; /* it was not measured or compared; or "" */
	long run;      /* the first that failed, or the last */
};

/* Each assertion in one run. */
void stat_assert_check(const struct stat_result *, const struct stat_assert *,
		       struct stat_verdict *);
/* Calls f for each figure in an assertion. */
void stat_assert_figures(const struct stat_options *,
			 void (*f)(const char *name, void *arg), void *arg);

/* A figure of the baseline; false: it has none. */
bool stat_baseline_figure(const struct stat_options *, const char *name,
			  double *);
bool stat_baseline_ops(const struct stat_options *, double *);

/* All assertions in all runs; they stay valid until the next call. */
struct stat_verdicts {
	struct stat_verdict v[STAT_ASSERTS_MAX];
	unsigned n;
	long runs;
	bool failed;
};
struct stat_verdicts *stat_verdicts(struct stat_result *const *, long runs);
/* One line for each; only_failed: of those. */
void stat_print_verdicts(FILE *, const struct stat_verdicts *,
			 bool only_failed);
void stat_json_verdicts(struct json *, const struct stat_verdicts *);
/* Annotations to stderr, and the table, in Markdown. */
void stat_print_github(FILE *summary, const struct stat_result *,
		       const struct stat_verdicts *);

/* ---- -e (events.c) ---- */

/* Adds FIGURE[,FIGURE], by our names or perf's; false: an error message was
 * printed. */
bool stat_events_parse(struct stat_options *, const char *text);
void stat_print_events(FILE *, const struct stat_result *);
void stat_print_events_interval(FILE *, const struct stat_result *,
				bool heading);
/* Prints all figures by name, for an interval only those of -e. */
void stat_json_events(struct json *, const struct stat_result *, bool interval);

/* ---- printing ---- */

void stat_print_text(FILE *, const struct stat_result *);
void stat_print_interval(FILE *, const struct stat_result *, bool heading);
void stat_print_csv(FILE *, const struct stat_result *, bool interval);
/* verdicts: NULL for an interval, which has none. */
void stat_print_json(FILE *, const struct stat_result *,
		     const struct stat_verdicts *);
/* Mean and spread of several. */
void stat_print_repeated(FILE *, struct stat_result *const *, long n);
void stat_print_repeated_json(FILE *, struct stat_result *const *, long n,
			      const struct stat_verdicts *);

extern const char *const stat_class_names[URT_CLASSES];

#endif
