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

enum report_kind {
	REPORT_REQUEST, /* of io_uring, from submission to completion */
	REPORT_THREAD,
	REPORT_CORO, /* a coroutine waits */
	REPORT_OTHER,
};

struct report_track {
	uint64_t uuid;		/* 0: a free place */
	bool thread;		/* else a lane of requests, or of coroutines */
	char name[REPORT_NAME]; /* of a coroutine while it lives */
	char open[REPORT_NAME]; /* the slice it is in; "": none */
	enum report_kind kind;	/* of that slice */
	uint64_t since_ns;
};

/* All slices of one name: of a thread each its own, else on all tracks. */
struct report_sum {
	enum report_kind kind;
	const struct report_track *track; /* of threads */
	char what[REPORT_NAME];		  /* "": a free place */
	bool in_flight; /* requests that had not ended with the recording */
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
	bool cut;		 /* the file ends within a packet */
};

/* Adds up all packets of a file. */
void report_read(struct report *, FILE *);

/* The sums: most first. */
void report_print(const struct report *, const char *path, long lines);
void report_print_json(const struct report *);

#endif
