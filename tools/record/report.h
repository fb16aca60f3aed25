/* SPDX-License-Identifier: MIT */
/* The sums that `urt report` computes from a timeline, and their printing. */
#ifndef URT_REPORT_H
#define URT_REPORT_H

#include "../lib/histogram.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define REPORT_SUMS   65536 /* powers of two */
#define REPORT_TRACKS 65536
#define REPORT_STALLS 10
#define REPORT_NAME   64
#define REPORT_ROUTES 128
#define REPORT_SLOW   10
#define REPORT_STEPS  1024

enum report_kind {
	REPORT_REQUEST, /* of io_uring, from submission to completion */
	REPORT_THREAD,
	REPORT_CORO, /* a coroutine waits */
	REPORT_OTHER,
};

/* Of a coroutine. */
enum report_state { REPORT_RUNS, REPORT_READY, REPORT_WAITS, REPORT_STATES };

/* A step of a path: at_ns from the beginning of its request. */
struct report_step {
	unsigned
		depth; /* 0: of the request itself; else a cause of one above */
	uint64_t at_ns, ns;
	char who[48], what[48], by[48]; /* by: what ended it; or "" */
};

/* A request of a program's. */
struct report_request {
	uint64_t number, at_ns, ns, process;
	uint64_t state_ns[REPORT_STATES];
	char route[REPORT_NAME], coro[REPORT_NAME], trace_id[33];
	struct report_step *step; /* its path, once it is known; or NULL */
	unsigned steps, steps_left_out;
};

struct report_route {
	char name[REPORT_NAME]; /* "": a free place */
	struct histogram ns;
	uint64_t state_ns[REPORT_STATES];
};

struct report_track {
	uint64_t uuid;		 /* 0: a free place */
	uint64_t parent;	 /* its process's */
	bool thread;		 /* else a lane of requests, or of coroutines */
	char name[REPORT_NAME];	 /* of a coroutine while it lives */
	char open[REPORT_NAME];	 /* the slice it is in; "": none */
	enum report_kind kind;	 /* of that slice */
	enum report_state state; /* ... REPORT_STATES: not a coroutine's */
	uint64_t since_ns, flow;
	unsigned worker;
	struct report_request *request; /* for which it works; or NULL */
	bool waited; /* a thread, whose last slice was a wait */
};

/* All slices of one name: separately for each thread, else on all tracks. */
struct report_sum {
	enum report_kind kind;
	const struct report_track *track; /* of threads */
	char what[REPORT_NAME];		  /* "": a free place */
	bool in_flight;			  /* requests whose end was not seen */
	uint64_t n, ns, most_ns;
	char most_of[REPORT_NAME]; /* the coroutine that waited longest */
};

struct report_stall {
	char who[REPORT_NAME], what[REPORT_NAME], by[REPORT_NAME];
	uint64_t at_ns, ns;
};

struct report {
	struct report_track track[REPORT_TRACKS];
	struct report_sum sum[REPORT_SUMS];
	/* Of threads and of coroutines; longest first. */
	struct report_stall stall[REPORT_STALLS], coro_stall[REPORT_STALLS];
	struct histogram latency; /* woken until it runs, ns */
	struct histogram coro_latency;
	uint64_t first_ns, last_ns, packets, left_out;
	uint64_t dropped, overwritten, untracked;
	uint64_t completed_more; /* completions of requests that continued */
	/* Waits of threads whose wake-up, or whose end, is not in the file. */
	uint64_t wakings_missing, runs_missing;
	bool cut; /* the file ends within a packet */

	struct report_route route[REPORT_ROUTES];
	struct report_request slow[REPORT_SLOW]; /* the slowest first */
	uint64_t requests_cut; /* that began or ended outside the file */

	/* Called for each slice when it has ended; by: the thread or coroutine
	 * that ended it, or NULL. */
	void (*on_slice)(void *arg, const struct report_track *, uint64_t to,
			 const char *by);
	void *on_slice_arg;
};

/* Adds up all packets of a file. */
void report_read(struct report *, FILE *);

/* ---- report_request.c ---- */

void report_request_begins(struct report *, struct report_track *, uint64_t ns,
			   uint64_t number, const char *route,
			   const char *trace_id);
/* The slice that the track is in, up to a time. */
void report_request_slice(struct report_track *, uint64_t to);
void report_request_ends(struct report *, struct report_track *, uint64_t ns,
			 uint64_t number);
/* Those that did not end. */
void report_requests_free(struct report *);

/* ---- report_path.c: paths of the slowest; reads the file once more ---- */

void report_paths(struct report *, FILE *);

/* The sums: most first. */
void report_print(const struct report *, const char *path, long lines);
/* slices: the timeline's file if slices are wanted, or NULL. */
void report_print_json(const struct report *, const char *path, FILE *slices,
		       FILE *);
/* ---- report_slow.c: the same for requests by route, and for the slowest
 * ---- */

struct json;
void report_print_slow(const struct report *, long lines);
void report_json_slow(struct json *, const struct report *);
/* ---- report_slices.c ---- */
void report_json_slices(struct json *, const struct report *, FILE *);
/* Writes all as a page. False: a message was printed. */
bool report_print_page(const struct report *, const char *path,
		       const char *page);

#endif
