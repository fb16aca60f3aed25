/* SPDX-License-Identifier: MIT */
/*
 * The laboratory: the resources of a running experiment, apart from its
 * results. The measurements, one file each, fill in their results and decide
 * nothing.
 */
#ifndef URT_DEMO_LAB_H
#define URT_DEMO_LAB_H

#include "../results.h"
#include "../../service/backend.h"
#include "../../lib/tool.h"
#include <sys/types.h>

#define DEMO_FLEET_MAX 16 /* servers at a time (hold.c) */

/* A process that receives all waits of one server at a time. */
struct demo_backend {
	pid_t pid; /* 0: not running */
	int port;
	struct backend_counts *counts; /* shared with it */
};

struct lab {
	struct demo *demo; /* the results */
	/* Called when a part of the results is complete. */
	void (*finished)(struct demo *, enum demo_part);
	void (*planned)(struct demo *);	 /* when the experiments are known */
	void (*measured)(struct demo *); /* after each of them */
	struct counter *counter;	 /* while counting; or NULL */
	struct demo_backend backend[DEMO_FLEET_MAX]; /* the first always runs */
	pid_t redis;	/* started by us; 0: none */
	double busy_s;	/* CPU seconds of the whole machine without ours, at the
			  beginning */
	bool use_redis; /* by the server that is started next */
};

extern volatile int demo_stop; /* set by SIGINT and SIGTERM */

/* Examines the machine, starts the counter, a backend and Redis, according to
 * the options. False: an error message was printed. */
bool lab_open(struct lab *, struct demo *);
void lab_close(struct lab *);

/* Unloads the BPF programs, for measurements that they would slow down. */
void lab_stop_counting(struct lab *);

/* The nth backend, started if it does not run yet. NULL: an error message was
 * printed. */
const struct demo_backend *lab_backend(struct lab *, unsigned nth);

/* Redis, if the options ask for it: a running one, or a new one. False: there
 * is none; an error message was printed. lab_redis_stop ends it if we started
 * it. */
bool lab_redis(struct lab *);
void lab_redis_stop(struct lab *);

/* Fills in demo.host, according to the options. */
void demo_look_at_host(struct demo *);

/* Whether a user's server takes part; fills in model.answers. False: an error
 * message was printed. */
bool demo_check_server(struct lab *, struct model *);

/* One measurement each; the results are appended to or filled in. */
void demo_measure_row(struct lab *, struct demo_row *);
void demo_measure_second(struct lab *, struct demo_second *);
void demo_measure_hold(struct lab *, struct demo_hold *);
void demo_measure_burst(struct lab *, struct demo_burst *);
void demo_measure_stall(struct lab *, struct demo_stall *);
void demo_measure_scale(struct lab *, struct demo_scale *);
void demo_measure_timeline(struct lab *, struct demo_timeline *);
void demo_measure_unit(struct lab *, enum unit_kind, long n);

/*
 * Fill in costs: the counts of claim 1; and the times of claim 2, to be called
 * when no BPF program is attached, since that would slow only the kernel's
 * switches.
 */
void demo_count_switches(struct lab *);
void demo_time_switches(struct lab *);

/* Measurements in a process of their own: `urt demo part NAME N`. */
int demo_part(int argc, char **argv);

#endif
