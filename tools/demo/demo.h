/* SPDX-License-Identifier: MIT */
/* The experiment: what is measured of one model, and of the claims. */
#ifndef URT_DEMO_H
#define URT_DEMO_H

#include "../counter.h"
#include "../histogram.h"
#include "../models/model.h"
#include "../user_stats.h"

#define DEMO_MODELS_MAX 8
#define DEMO_CLAIMS	9

struct demo_options {
	const struct model *model[DEMO_MODELS_MAX];
	unsigned nr_models;
	long connections;
	long seconds; /* measured, per model and path */
	long wait_ms; /* of /wait */
	bool json;
	const char *out;
};

enum demo_status { DEMO_OK, DEMO_SKIPPED, DEMO_FAILED, DEMO_NOT_RUN };

/* One model under one kind of request. */
struct demo_row {
	const struct model *model;
	char path[32];
	enum demo_status status;
	char reason[160]; /* of a skip or a failure */

	uint64_t requests, errors;
	double seconds;
	struct histogram latency; /* ns */
	bool has_counts;	  /* by BPF */
	struct counts counts;
	bool has_user;
	struct user_stats user;
	/* Without BPF: the kernel's counters of the threads alive at the end. */
	uint64_t nvcsw, nivcsw;
	int64_t cpu_ns;	 /* of the server process */
	double load_cpu; /* share of a CPU that the load generator took */
	long threads;	 /* while the requests were running */
	long rss;	 /* bytes, then */
};

enum demo_verdict { CLAIM_HOLDS, CLAIM_FAILS, CLAIM_NOT_MEASURED };

struct demo_figure {
	const char *name;
	double value;
};

struct demo_claim {
	int id;
	const char *text;
	enum demo_verdict verdict;
	char measured[320]; /* for people */
	char reason[256];   /* why not measured */
	struct demo_figure figure[12];
	unsigned nr_figures;
};

/* What claims 1 and 2 are about, measured without a server. */
struct demo_costs {
	bool has_switch_counts;
	char why_not[256];
	uint64_t user_switches;
	uint64_t kernel_switches, syscalls;	 /* during them */
	double call_ns, coroutine_ns, thread_ns; /* medians; 0: not measured */
};

struct demo {
	struct demo_options options;
	bool counted;		 /* by BPF; if not, why */
	struct counter *counter; /* while counting; or NULL */
	char why_no_bpf[256];
	int server_cpu, load_cpu;
	int backend_port;
	pid_t backend;
	struct demo_row row[2 * DEMO_MODELS_MAX];
	unsigned nr_rows;
	struct demo_costs costs;
	struct demo_claim claim[DEMO_CLAIMS];
	int64_t begin_ns;
	bool interrupted;
};

extern volatile int demo_stop; /* set by SIGINT */

/* Measures one row; fills in all but model and path. */
void demo_measure(struct demo *, struct demo_row *);

/*
 * Fill in costs: the counts of claim 1; and the times of claim 2, to be called
 * when no BPF program is attached, which only the kernel's switches would pay.
 */
void demo_count_switches(struct demo *);
void demo_time_switches(struct demo *);
/* The hidden subcommands that are measured: see costs.c. */
int cmd_cost_yield(int argc, char **argv);
int cmd_cost_switch(int argc, char **argv);

void demo_judge(struct demo *);
void demo_print_text(FILE *, const struct demo *);
void demo_print_json(FILE *, const struct demo *);

/* The row of a model and kind of path ("/" or "/wait"), if it was measured. */
const struct demo_row *demo_row(const struct demo *, const char *model,
				const char *path);
/* Per request; NaN if it could not be had. */
struct demo_per_request {
	double switches, voluntary, involuntary, syscalls, uring_ops,
		user_switches, cpu_ns;
};
struct demo_per_request demo_per_request(const struct demo_row *);

#endif
