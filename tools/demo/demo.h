/* SPDX-License-Identifier: MIT */
/*
 * The experiment: what it is told to do, what is measured, what is concluded.
 *
 * One file for each kind of measurement (rows, hold, burst, scale, units), which
 * fills in its results below and decides nothing; claims.c judges by them;
 * print.c, json.c, markdown.c and report.c show them. plan.c says what is run,
 * in which order, and how long it will take.
 */
#ifndef URT_DEMO_H
#define URT_DEMO_H

#include "../measure/counter.h"
#include "../lib/histogram.h"
#include "../load/load.h"
#include "../lib/tool.h"
#include "../service/model.h"
#include "../measure/user_stats.h"

#define DEMO_CLAIMS	 9
#define DEMO_COUNTS_MAX	 8
#define DEMO_ROUNDS_MAX	 9
#define DEMO_ASSERTS_MAX 16
#define DEMO_FLEET_MAX	 16 /* servers at a time, see hold.c */

enum demo_mode { DEMO_QUICK, DEMO_DEFAULT, DEMO_FULL };

/* A list of numbers, as given on the command line. */
struct demo_counts {
	long n[DEMO_COUNTS_MAX];
	unsigned len;
};

struct demo_options {
	const struct model **model; /* to be measured */
	unsigned nr_models;
	enum demo_mode mode;
	unsigned only;			/* bit n: claim n is asked for */
	struct demo_counts connections; /* at a time, under load */
	struct demo_counts waiting;	/* at a time, in claim 4 */
	double seconds;	    /* measured, per round, model and path */
	long rounds;	    /* of everything that is repeated */
	long bursts;	    /* per model in claim 6 */
	long sleepers;	    /* coroutines in claim 9 */
	long wait_ms;	    /* of /wait */
	int redis_port;	    /* GET /wait asks it; 0: no Redis */
	bool json;	    /* one document instead of text */
	const char *out;    /* file of the result; NULL: stdout */
	const char *report; /* directory of the report; NULL: none */
	const char *assert[DEMO_ASSERTS_MAX];
	unsigned nr_asserts;
};

enum demo_status { DEMO_OK, DEMO_SKIPPED, DEMO_FAILED, DEMO_NOT_RUN };

/* Whether something was measured, and if not, why. */
struct demo_outcome {
	enum demo_status status;
	char reason[200]; /* of a skip or a failure */
};

/* What one round of a row gave. */
struct demo_sample {
	double rps; /* requests per second */
	double p50_ns, p99_ns;
	double cpu_ns;	 /* of the server, per request */
	double load_cpu; /* share of a CPU that the load generator took */
};

/* One model under one kind of request and number of connections. */
struct demo_row {
	const struct model *model;
	char path[32];
	long connections;
	struct demo_outcome outcome;
	struct demo_sample round[DEMO_ROUNDS_MAX];
	unsigned nr_rounds;
	/* Sums over the rounds: */
	uint64_t requests, errors;
	double seconds;
	struct histogram latency; /* ns */
	bool has_counts;	  /* by BPF */
	struct counts counts;
	bool has_user; /* it is a program on uring_rt */
	struct user_stats user;
	/* What a runtime of another language told, and the requests meanwhile;
	 * 0: nothing. */
	double told, told_requests;
	/* Without BPF: the kernel's counters of the threads alive at the end. */
	uint64_t nvcsw, nivcsw;
	int64_t cpu_ns; /* of the server process */
	/* Of the last round: */
	long threads; /* while the requests were running */
	long rss;     /* bytes, then */
};

/* One model with so many requests waiting at a time (claims 3, 4, 5). */
struct demo_hold {
	const struct model *model;
	long wanted; /* requests that were to wait */
	struct demo_outcome outcome;
	unsigned processes; /* servers that they were dealt to */
	long waiting;	    /* that waited at the same time */
	long answered;	    /* of those, when the backend let go */
	int64_t connect_ns; /* until that many waited */
	int64_t answer_ns;  /* from letting go to the last answer */
	long threads;
	/* Bytes that came with them: of the server process, and in the whole
	 * kernel (slab, kernel stacks, page tables), which holds both ends of
	 * the sockets, the same for each model. */
	double process_bytes, kernel_bytes;
	double heap_bytes, stack_bytes; /* told by Node and Go; NaN */
	char limit[200]; /* why it stopped short; "" if it did not */
};

/* Light requests beside a burst of CPU each second (claim 6). */
struct demo_burst {
	const struct model *model;
	struct demo_outcome outcome;
	struct histogram latency; /* ns, of the light requests */
	struct load_phase phase[LOAD_PHASES];
	uint64_t errors, unanswered;
	uint64_t bursts;
	double burst_ns; /* mean time until a burst was answered */
	double load_cpu; /* as above */
};

/* CPU-bound requests on one CPU and on all (claim 7). */
struct demo_scale {
	const struct model *model;
	struct demo_outcome outcome;
	double one[DEMO_ROUNDS_MAX], all[DEMO_ROUNDS_MAX]; /* requests/s */
	unsigned nr_rounds;
};

/* Units of scheduling that are suspended, without a server (claims 5, 9). */
struct demo_unit {
	struct demo_outcome outcome;
	long wanted, count;   /* how many there were at a time */
	double create_ns;     /* for all of them */
	double process_bytes; /* for all, resident */
	double kernel_bytes;  /* for all; NaN: they have nothing there */
	double heap_bytes;    /* for all, told by Node; NaN */
	double woken;	      /* that went on afterwards; NaN: not asked */
	long threads;
};

/* What claims 1 and 2 are about, measured without a server. */
struct demo_costs {
	bool has_switch_counts;
	char why_not[256];
	uint64_t user_switches;
	uint64_t kernel_switches, syscalls; /* during them */
	double counted_s;		    /* that they took */
	/* ns, medians; 0: not measured */
	double call, handover, handover_across;
	double unit[UNIT_KINDS]; /* a switch of such units */
};

enum demo_verdict { CLAIM_HOLDS, CLAIM_FAILS, CLAIM_NOT_MEASURED };

struct demo_figure {
	char name[48];
	double value; /* NaN: could not be had */
};

struct demo_claim {
	int id; /* from 1 */
	const char *text;
	enum demo_verdict verdict;
	char *measured;	  /* for people */
	char reason[300]; /* why not measured */
	struct demo_figure *figure;
	unsigned nr_figures;
};

/* A process that all waits go to, of one server at a time. */
struct demo_backend {
	pid_t pid; /* 0: not running */
	int port;
	uint64_t *waiting; /* requests that wait in it; shared with it */
};

#define HOST_TEXT 160

/* The machine, and what is installed on it. */
struct demo_host {
	char kernel[HOST_TEXT], machine[HOST_TEXT], cpu_model[HOST_TEXT];
	char hardware[HOST_TEXT], clocksource[HOST_TEXT], libc[HOST_TEXT];
	char (*language)[HOST_TEXT]; /* versions, by enum language; "": none */
	char redis[HOST_TEXT];
	char compiler[HOST_TEXT], mitigations[1024];
	char cgroup_cpu[HOST_TEXT], cgroup_memory[HOST_TEXT],
		cgroup_pids[HOST_TEXT]; /* "max", or "none" */
	char time[HOST_TEXT];		/* when, UTC */
	long cpus;			/* that we may use */
	long memory;			/* bytes */
	long pid_max, threads_max, max_map_count, somaxconn, nofile;
};

struct demo {
	struct demo_options options;
	struct demo_host host;
	bool counted;		 /* by BPF; if not, why */
	struct counter *counter; /* while counting; or NULL */
	char why_no_bpf[256];
	int server_cpu, load_cpu;		     /* -1: only one CPU */
	struct demo_backend backend[DEMO_FLEET_MAX]; /* the first always runs */
	struct demo_row *row;
	unsigned nr_rows;
	struct demo_hold *hold;
	unsigned nr_holds;
	struct demo_burst *burst;
	unsigned nr_bursts;
	struct demo_scale *scale;
	unsigned nr_scales;
	struct demo_unit unit[UNIT_KINDS];
	struct demo_costs costs;
	struct demo_claim claim[DEMO_CLAIMS];
	int64_t begin_ns, end_ns;
	bool interrupted;
	pid_t redis;	 /* started by us; 0: none */
	bool redis_ours; /* it was, also when it has ended */
	bool use_redis;	 /* by the server that is started next */
};

extern volatile int demo_stop; /* set by SIGINT */

/* ---- the parts ---- */

bool demo_parse(int argc, char **argv, struct demo_options *);
void demo_look_at_host(struct demo_host *);

/* Whether claim n (from 1) is to be measured. */
bool demo_wants(const struct demo *, int claim);

/* Runs all that is wanted, with progress on a terminal. */
void demo_run_plan(struct demo *);

/* Redis, if one was asked for: one that runs, or a new one. False: there is
 * none; it was said. demo_redis_stop: it, if it is ours. */
bool demo_redis(struct demo *);
void demo_redis_stop(struct demo *);

/* The nth backend, started if it does not run yet. NULL: it cannot; said. */
const struct demo_backend *demo_backend(struct demo *, unsigned nth);

/* One measurement each; the results are appended to or filled in. */
void demo_measure_row(struct demo *, struct demo_row *);
void demo_measure_hold(struct demo *, struct demo_hold *);
void demo_measure_burst(struct demo *, struct demo_burst *);
void demo_measure_scale(struct demo *, struct demo_scale *);
void demo_measure_unit(struct demo *, enum unit_kind, long n);

/*
 * Fill in costs: the counts of claim 1; and the times of claim 2, to be called
 * when no BPF program is attached, which only the kernel's switches would pay.
 */
void demo_count_switches(struct demo *);
void demo_time_switches(struct demo *);

/* What is measured in a process of its own: `urt demo part NAME N`. */
int demo_part(int argc, char **argv);
/* Older names of two of them, not listed by help. */
int cmd_cost_yield(int argc, char **argv);
int cmd_cost_switch(int argc, char **argv);

void demo_judge(struct demo *);
/* 0, 1 (nonsense, said) or 3: one does not hold, said. */
int demo_assert(const struct demo *);

void demo_print_text(FILE *, const struct demo *);
void demo_print_json(FILE *, const struct demo *);
void demo_print_markdown(FILE *, const struct demo *);
void demo_print_html(FILE *, const struct demo *);
/* All three in a directory. 0, or EXIT_BAD; it was said. */
int demo_write_report(const struct demo *, const char *dir);

/* ---- looking at results ---- */

extern const char *const demo_status_names[], *const demo_verdict_names[];
const char *demo_unit_name(enum unit_kind);

static inline bool demo_ok(const struct demo_outcome *o)
{
	return o->status == DEMO_OK;
}

/* The one of a model, if it was measured: the row of a kind of path ("/" or
 * "/wait") with so many connections, or 0: with the most; the hold of so many,
 * or 0: of the most. NULL: there is none. */
const struct demo_row *demo_row(const struct demo *, const struct model *,
				const char *path, long connections);
const struct demo_hold *demo_hold(const struct demo *, const struct model *,
				  long wanted);
const struct demo_burst *demo_burst(const struct demo *, const struct model *);
const struct demo_scale *demo_scale(const struct demo *, const struct model *);

/* Median over the rounds of a field of their samples, and how far the rounds
 * lie from it at most, as a share of it; NaN with less than two. */
double demo_median(const struct demo_row *, size_t offset);
double demo_spread(const struct demo_row *, size_t offset);
#define ROW_MEDIAN(row, field) \
	demo_median(row, offsetof(struct demo_sample, field))
#define ROW_SPREAD(row, field) \
	demo_spread(row, offsetof(struct demo_sample, field))

/* Median of the requests per second on one CPU, or on all. */
double demo_scale_median(const struct demo_scale *, bool all);
/* Median of the latter by the former; NaN. */
double demo_speedup(const struct demo_scale *);

/* Per request; NaN if it could not be had. */
struct demo_per_request {
	double switches, voluntary, involuntary, syscalls, uring_ops,
		user_switches, cpu_ns;
};
struct demo_per_request demo_per_request(const struct demo_row *);

/* What the user switches of a row are, or why there are none. */
const char *demo_user_switches(const struct demo_row *);
/* "Node v20.18; Go not installed"; the buffer. */
const char *demo_versions(const struct demo_host *, char *buf, size_t size);

/* The same of all models, for below the tables; to be freed. */
char *demo_user_note(const struct demo *);

/* ---- the unit of scheduling: one table for all outputs ---- */

#define TABLE_ROWS 12

/* A cell as text, "n/a" where nothing was measured. */
void demo_table_cell(const struct demo *, unsigned row, const struct model *,
		     char *buf, size_t size);
extern const char *const demo_table_names[TABLE_ROWS];

/* "When to pick which": three paragraphs from the figures. */
#define ADVICE_PARTS 3
extern const char *const demo_advice_names[ADVICE_PARTS];
void demo_advice(const struct demo *, unsigned part, char *buf, size_t size);

#endif
