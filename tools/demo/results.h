/* SPDX-License-Identifier: MIT */
/*
 * The experiment's settings, measurements and conclusions: plain
 * data. measure/ fills in the measurements and decides nothing; judge/ fills in
 * claims, table, advice and warnings; show/ prints all of it and changes
 * nothing. These three know each other only by this header.
 */
#ifndef URT_DEMO_RESULTS_H
#define URT_DEMO_RESULTS_H

#include "../measure/counter.h"
#include "../lib/histogram.h"
#include "../load/load.h"
#include "../load/messages.h"
#include "../service/model.h"
#include "../measure/user_stats.h"

#define DEMO_CLAIMS	 10
#define DEMO_COUNTS_MAX	 8
#define DEMO_ROUNDS_MAX	 31
#define DEMO_ASSERTS_MAX 16

enum demo_mode { DEMO_QUICK, DEMO_DEFAULT, DEMO_FULL, DEMO_BOUNDS, DEMO_MODES };

/* A list of numbers, as given on the command line. */
struct demo_counts {
	long n[DEMO_COUNTS_MAX];
	unsigned len;
};

struct demo_options {
	const struct model **model; /* to be measured */
	unsigned nr_models;
	struct model **server; /* --server: a user's, also among them */
	unsigned nr_servers;
	enum demo_mode mode;
	unsigned only;			/* bit n: claim n is asked for */
	struct demo_counts connections; /* at a time, under load */
	struct demo_counts waiting;	/* at a time, in claim 4 */
	long threads_end; /* the same, only for threads and coroutines; 0:
			     none */
	struct demo_counts come_and_go; /* requests on each connection */
	const struct demo_loads *loads; /* of claim 10 */
	double seconds;	     /* measured, per round, model and path */
	long rounds;	     /* of everything that is repeated */
	long bursts;	     /* per model in claim 6 */
	long sleepers;	     /* coroutines in claim 9 */
	long wait_ms;	     /* of /wait */
	int redis_port;	     /* Redis, which GET /wait asks; 0: none */
	bool json;	     /* one document instead of text */
	const char *out;     /* file of the result; NULL: stdout */
	const char *report;  /* directory of the report; NULL: none */
	const char *compare; /* an earlier result; NULL: none */
	const char *with;    /* a result to compare instead of a run; or NULL */
	const char *from;    /* a result to show instead of a run; or NULL */
	const char *resume;  /* file of a run that is resumed; NULL: none */
	const char *assert[DEMO_ASSERTS_MAX];
	unsigned nr_asserts;
};

/* The load on a server, as a share of its capacity (claim 10). */
#define DEMO_LOADS_MAX	 7
#define DEMO_LOADS_CONNS 64   /* connections */
#define DEMO_IDLE_RATE	 1000 /* requests per second of the share 0 */

struct demo_loads {
	double share[DEMO_LOADS_MAX]; /* ascending; 0: idle; 1: closed loop */
	unsigned len;
	long rounds;
};

enum demo_status { DEMO_OK, DEMO_SKIPPED, DEMO_FAILED, DEMO_NOT_RUN };

/* Whether something was measured, and if not, why. */
struct demo_outcome {
	enum demo_status status;
	char reason[200]; /* of a skip or a failure */
};

/* The result of one round of a row. */
struct demo_sample {
	double rps; /* requests per second */
	double p50_ns, p99_ns;
	double cpu_ns;	 /* of the server, per request */
	double load_cpu; /* share of a CPU that the load generator took */
	/* Per request; NaN: not available. */
	double switches, syscalls, uring_ops, user_switches;
};

/* One model under one kind of request and one number of connections. */
struct demo_row {
	const struct model *model;
	char path[32];
	long connections;
	long per_connection; /* requests on each, then a new one; 0: all */
	/* Claim 10: the share of the model's capacity that is due (see
	 * demo_loads), and requests per second; rate 0: closed loop. */
	double share, rate;
	struct demo_outcome outcome;
	struct demo_sample round[DEMO_ROUNDS_MAX];
	unsigned nr_rounds;
	/* Sums over the rounds: */
	uint64_t requests, errors;
	uint64_t unanswered; /* due but without an answer at the end */
	double seconds;
	struct histogram latency; /* ns */
	bool has_counts;	  /* by BPF */
	struct counts counts;
	bool has_user; /* it runs on uring_rt */
	struct user_stats user;
	/* The count that another language's runtime reports, and the requests
	 * meanwhile; 0: none. */
	double told, told_requests;
	/* Without BPF: the kernel's counters of the threads alive at the end. */
	uint64_t nvcsw, nivcsw;
	int64_t cpu_ns; /* of the server process */
	/* Of the last round: */
	long threads; /* while the requests were running */
	long rss;     /* bytes, then */
};

/* One load generator's measurements of a server, in each round. */
struct demo_generator {
	double rps[DEMO_ROUNDS_MAX];
	double server_cpu_ns[DEMO_ROUNDS_MAX]; /* per request */
	double cpu[DEMO_ROUNDS_MAX]; /* share of a CPU that the generator
					took */
};

/* The same requests by urt load and by wrk, in alternating rounds. */
struct demo_second {
	const struct model *model;
	struct demo_outcome outcome;
	long connections;
	struct demo_generator load, wrk;
	unsigned nr_rounds;
};

/* One model with a number of requests that wait at a time (claims 3, 4, 5). */
struct demo_hold {
	const struct model *model;
	long wanted; /* requests that should wait */
	struct demo_outcome outcome;
	unsigned processes; /* servers that share them */
	long waiting;	    /* that waited at the same time */
	long answered;	    /* of those, after the backend answered */
	int64_t connect_ns; /* until that many waited */
	int64_t answer_ns;  /* from the backend's answer to the last one */
	long threads;
	/* Bytes that came with them: of the server process, and in the whole
	 * kernel (slab, kernel stacks, page tables), which holds both ends of
	 * the sockets, the same for each model. NaN: the memory did not grow,
	 * and memory_reason says so. */
	double process_bytes, kernel_bytes;
	double heap_bytes, stack_bytes; /* reported by Node and Go; NaN */
	char memory_reason[160];
	char limit[200]; /* why it stopped short; "" if it did not */
};

/* Light requests during a burst of CPU each second (claim 6). */
struct demo_burst {
	const struct model *model;
	struct demo_outcome outcome;
	struct histogram latency; /* ns, of the light requests */
	struct histogram without; /* the same without bursts; or empty */
	struct load_phase phase[LOAD_PHASES];
	uint64_t errors, unanswered;
	uint64_t bursts;
	double burst_ns; /* mean time until a burst was answered */
	double load_cpu; /* as above */
};

/* Messages of which some carry a busy loop: one case of the stall matrix
 * (load/messages.h) for one model (claim 6). */
struct demo_stall {
	const struct model *model;
	unsigned nth; /* of stall_cases */
	struct demo_outcome outcome;
	double rate[DEMO_ROUNDS_MAX]; /* answers a second, of both kinds */
	unsigned nr_rounds;
	struct histogram plain, loop; /* ns: without a loop, with one */
};

/* One request that waits, recorded by `urt record`. */
#define TIMELINE_LANES	6
#define TIMELINE_SLICES 96

struct demo_slice {
	unsigned lane;
	bool runs;	  /* else it waits */
	double at_ns, ns; /* from the timeline's beginning */
	char what[32];
};

struct demo_timeline {
	const struct model *model;
	struct demo_outcome outcome;
	double ns; /* that it shows */
	struct {
		char name[48];
		bool coroutine; /* else a thread */
	} lane[TIMELINE_LANES];
	unsigned nr_lanes;
	struct demo_slice slice[TIMELINE_SLICES];
	unsigned nr_slices;
};

/* CPU-bound requests on one CPU and on all (claim 7). */
struct demo_scale {
	const struct model *model;
	struct demo_outcome outcome;
	double others; /* most CPUs that other programs used meanwhile */
	double one[DEMO_ROUNDS_MAX], all[DEMO_ROUNDS_MAX]; /* requests/s */
	unsigned nr_rounds;
};

/* Units of scheduling that are suspended, without a server (claims 5, 9). */
struct demo_unit {
	struct demo_outcome outcome;
	long wanted, count;   /* the number that existed at a time */
	double create_ns;     /* for all of them */
	double process_bytes; /* for all, resident */
	double kernel_bytes;  /* for all; NaN: they use none */
	double heap_bytes;    /* for all, reported by Node; NaN */
	double woken;	      /* number that continued afterwards; NaN: not
				 tested */
	long threads;
};

/* One kind of time, in each round. */
#define DEMO_TIMES 8

struct demo_times {
	char name[24];
	double ns[DEMO_ROUNDS_MAX];
	unsigned n;
};

/* The figures of claims 1 and 2, measured without a server. */
struct demo_costs {
	bool has_switch_counts;
	char why_not[256];
	uint64_t user_switches;
	uint64_t kernel_switches, syscalls; /* during them */
	double counted_s;		    /* that they took */
	/* ns, medians; 0: not measured */
	double call, handover, handover_across;
	double unit[UNIT_KINDS]; /* a switch of such units */
	struct demo_times time[DEMO_TIMES];
	unsigned nr_times;
};

enum demo_verdict { CLAIM_HOLDS, CLAIM_FAILS, CLAIM_NOT_MEASURED };

struct demo_figure {
	char name[48];
	double value; /* NaN: not available */
};

/* What a claim was judged by: a row for each model, columns by their heads. */
#define EVIDENCE_COLUMNS 9

struct demo_evidence_row {
	const struct model *model;
	char cell[EVIDENCE_COLUMNS][24]; /* "": no figure */
};

struct demo_evidence {
	char column[EVIDENCE_COLUMNS][16];
	unsigned nr_columns;
	struct demo_evidence_row *row;
	unsigned nr_rows;
};

struct demo_claim {
	int id; /* from 1 */
	const char *text;
	enum demo_verdict verdict;
	char headline[96]; /* the figure to remember; "": none */
	char *measured;	   /* for people */
	struct demo_evidence evidence;
	char reason[300]; /* why not measured */
	struct demo_figure *figure;
	unsigned nr_figures;
};

#define HOST_TEXT LANGUAGE_VERSION

/* The machine and its software. */
struct demo_host {
	char kernel[HOST_TEXT], machine[HOST_TEXT], cpu_model[HOST_TEXT];
	char hardware[HOST_TEXT], clocksource[HOST_TEXT], libc[HOST_TEXT];
	unsigned languages; /* in use: bit n stands for enum language n */
	char (*language)[HOST_TEXT]; /* their versions; "": not installed */
	char redis[HOST_TEXT];
	char compiler[HOST_TEXT], mitigations[1024];
	char cgroup_cpu[HOST_TEXT], cgroup_memory[HOST_TEXT],
		cgroup_pids[HOST_TEXT]; /* "max", or "none" */
	char time[HOST_TEXT];		/* when, UTC */
	long cpus;			/* that we may use */
	long memory;			/* bytes */
	long pid_max, threads_max, max_map_count, somaxconn, nofile;
};

/* The table of units of scheduling: one cell of text for each model. */
#define TABLE_ROWS 12

struct demo_table_row {
	const char *name;
	char (*cell)[64]; /* in the order of options.model */
};

/* "When to pick which": a paragraph from the figures. */
#define ADVICE_PARTS 3

struct demo_advice {
	const char *name;
	char text[1500];
};

/* "Node or Go?": some figures of some models side by side. */
#define CHOICE_ROWS   4
#define CHOICE_MODELS 4
#define CHOICE_CASES  3 /* the article's "when to pick which" */

struct demo_choice_row {
	const char *name;
	bool more_is_better;
	double value[CHOICE_MODELS]; /* NaN: not measured */
	double best;
};

struct demo_choice {
	bool measured; /* a figure of both Node and Go */
	const struct model *model[CHOICE_MODELS];
	struct demo_choice_row row[CHOICE_ROWS];
	char sentence[CHOICE_CASES][320];
};

/* A bound of the model coroutine (judge/bounds.c). */
#define BOUNDS 7

struct demo_bound {
	const char *name, *unit;
	double limit, value;
	double low, high; /* of the rounds or loads; NaN: one measurement */
	bool at_least;	  /* else at most */
	uint64_t samples; /* rounds, loads, connections or requests */
	enum demo_verdict verdict;
};

struct demo {
	struct demo_options options;
	struct demo_host host;
	char (*settings)[MODEL_SETTINGS]; /* in the order of options.model */
	bool counted;			  /* by BPF; if not, the reason */
	char why_no_bpf[256];
	int server_cpu, load_cpu; /* -1: only one CPU */
	struct demo_row *row;
	unsigned nr_rows;
	struct demo_row *load; /* claim 10 */
	unsigned nr_loads;
	struct demo_second *second;
	unsigned nr_seconds;
	struct demo_hold *hold;
	unsigned nr_holds;
	struct demo_burst *burst;
	unsigned nr_bursts;
	struct demo_stall *stall;
	unsigned nr_stalls;
	struct demo_scale *scale;
	unsigned nr_scales;
	struct demo_timeline *timeline;
	unsigned nr_timelines;
	struct demo_unit unit[UNIT_KINDS];
	struct demo_costs costs;
	struct demo_claim claim[DEMO_CLAIMS];
	struct demo_table_row table[TABLE_ROWS];
	struct demo_advice advice[ADVICE_PARTS];
	struct demo_choice choice;
	struct demo_bound bound[BOUNDS];
	char **warning; /* facts that a reader must know before using a
			   figure */
	unsigned nr_warnings;
	double others; /* CPUs that other programs used during the run; NaN */
	double most_load_cpu; /* share of its CPU that the generator took; NaN */
	int64_t begin_ns, end_ns;
	bool interrupted;
	bool redis_ours; /* Redis was started by us */
};

/* The parts of the text, in order: each can be printed when its measurements
 * are complete. */
enum demo_part {
	PART_HOST,
	PART_LOADS,
	PART_ROWS,
	PART_SECOND,
	PART_HOLDS,
	PART_BURSTS,
	PART_STALLS,
	PART_SCALES,
	PART_CONCLUSIONS,
	DEMO_PARTS
};

/* ---- looking at results ---- */

extern const char *const demo_status_names[], *const demo_verdict_names[];
extern const char *const demo_unit_names[], *const demo_mode_names[];

/* Whether claim n (from 1) has to be measured. */
bool demo_wants(const struct demo *, int claim);

static inline bool demo_ok(const struct demo_outcome *o)
{
	return o->status == DEMO_OK;
}

/* A model's result, if it was measured: the row of a path ("/" or "/wait") on
 * connections that stay open, with this number of connections, or 0: with the
 * most; the hold of this number, or 0: of the most, not counting threads_end,
 * nor one that stopped short if another did not: there, few requests share the
 * memory of the servers themselves. NULL: it was not measured. */
const struct demo_row *demo_row(const struct demo *, const struct model *,
				const char *path, long connections);
const struct demo_hold *demo_hold(const struct demo *, const struct model *,
				  long wanted);
const struct demo_burst *demo_burst(const struct demo *, const struct model *);
const struct demo_scale *demo_scale(const struct demo *, const struct model *);

/* The requests of a row, as text for people. Returns the buffer. Rows with the
 * same text are in one table. */
const char *demo_row_title(const struct demo_row *, char buf[96]);
bool demo_same_table(const struct demo_row *, const struct demo_row *);

/* A step of the ladder from threads to coroutines. */
struct demo_rung {
	const struct model *model;
	const struct demo_row *low, *full; /* at the least load, and at full */
};
#define RUNGS_MAX 16

/* The steps that were measured at both loads; their number. */
unsigned demo_ladder(const struct demo *, struct demo_rung[RUNGS_MAX]);
/* What the figures of its table are, and the heads of their columns (for
 * Markdown and the page), which end with NULL. */
const char *demo_ladder_text(const struct demo_rung *, char buf[160]);
extern const char *const demo_ladder_heads[];

/* The row of a model at the ith load of options.loads. NULL: not measured. */
const struct demo_row *demo_load(const struct demo *, const struct model *,
				 unsigned i);
/* Whether the load generator was the limit: the server can do more than rps. */
bool demo_load_was_limit(const struct demo_row *);
/* CPUs that the server used. */
double demo_server_cpu(const struct demo_row *);
/* Whether the run measures the bounds of the model coroutine. */
static inline bool demo_has_bounds(const struct demo *d)
{
	return d->options.mode == DEMO_BOUNDS;
}
/* Requests per second at full load; 0: not measured. */
double demo_capacity(const struct demo *, const struct model *);
/* "idle", "50 %", "full"; the buffer. */
const char *demo_load_name(double share, char buf[16]);
/* Above this number of CPUs used by others, the CPUs count as not free. */
#define DEMO_OTHERS 0.15

/* Median over the rounds of a field of their samples, and the largest distance
 * of a round from it, as a share of it; NaN with fewer than two. */
double demo_median(const struct demo_row *, size_t offset);
double demo_spread(const struct demo_row *, size_t offset);
#define ROW_MEDIAN(row, field) \
	demo_median(row, offsetof(struct demo_sample, field))
#define ROW_SPREAD(row, field) \
	demo_spread(row, offsetof(struct demo_sample, field))

/* Fills in the medians of costs from its times. */
void demo_costs_of_times(struct demo_costs *);

/* Bytes of one unit alone; NaN: not measured. */
double demo_unit_bytes(const struct demo *, enum unit_kind);

/* A percentile of latencies in ms; NaN: there are none. */
double demo_ms(const struct histogram *, double p);

/* Median of the rounds of demo_generator. */
double demo_median_of(const double *rounds, unsigned n);

/* Why the two generators differ, or a text that they do not; in buf, or
 * static. */
const char *demo_second_verdict(const struct demo_second *, char buf[80]);
/* Whether they differ without an explanation. */
bool demo_second_unexplained(const struct demo_second *);

/* Median of the requests per second on one CPU, or on all. */
double demo_scale_median(const struct demo_scale *, bool all);
/* Median of the latter divided by the former; NaN. */
double demo_speedup(const struct demo_scale *);

/* Per request; NaN if it was not available. */
struct demo_per_request {
	double switches, voluntary, involuntary, syscalls, uring_ops,
		user_switches, cpu_ns;
};
struct demo_per_request demo_per_request(const struct demo_row *);

/* The meaning of a row's user switches, or why there are none. */
const char *demo_user_switches(const struct demo_row *);
/* "glibc 2.36; Node v20.18; Go not installed". Returns the buffer. */
const char *demo_versions(const struct demo_host *, char *buf, size_t size);

/* The same for all models, printed below the tables; the caller frees it. */
char *demo_user_note(const struct demo *);

#endif
