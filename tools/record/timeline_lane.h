/* SPDX-License-Identifier: MIT */
/*
 * Coroutines' tracks: one slice for a life, within it slices for what it does.
 * A track that became free is the next coroutine's.
 */
#ifndef URT_TIMELINE_LANE_H
#define URT_TIMELINE_LANE_H

#include "timeline_write.h"
#include <stdbool.h>
#include <sys/types.h>

#define LANE_NAME_LEN 48

struct lane {
	uint64_t coro; /* 0: free */
	unsigned run;  /* ... or whose it was */
	uint64_t uuid; /* 0: it was never anybody's */
	uint32_t next; /* free, or of the same hash */
	bool open;     /* a slice within its life is */
	uint64_t last_ns;
	uint64_t runnable_ns; /* since when; 0: it is not, or unknown */
	uint64_t flow;	      /* of its being made runnable; 0: none */
	uint64_t op_flow;     /* of the operation it waits for; 0: none */
	char name[LANE_NAME_LEN];

	uint64_t request; /* number of the one that it works for; 0: none */
	bool own;	  /* it began that one, and did not inherit it */
	char trace_id[33];
	bool hidden; /* nothing of it is drawn now */
};

struct lanes {
	struct timeline_file *out;
	struct lane *lane;
	uint32_t *bucket; /* lanes by coroutine */
	uint32_t n, buckets, free;
	uint64_t uuids;
	uint64_t missed; /* asked for when none was free */
	uint64_t requests;
	unsigned sample; /* one of this number of requests is drawn, and
	                    * nothing else; 0: all is */
};

/* False: out of memory. sample: see above. */
bool lanes_init(struct lanes *, struct timeline_file *, unsigned n,
		unsigned sample);
void lanes_destroy(struct lanes *);

/* The coroutine's track, or NULL; or one that is new for it, which begins its
 * life; NULL: none is free. */
struct lane *lane_find(const struct lanes *, unsigned run, uint64_t coro);
struct lane *lane_begin(struct lanes *, unsigned run, pid_t, uint64_t coro,
			const char *name, uint64_t ns);
void lane_end(struct lanes *, struct lane *, uint64_t ns);
/* Of all of a run. */
void lanes_end(struct lanes *, unsigned run, uint64_t ns);

/* Ends the slice within its life, and begins this one: all of it is set but the
 * type and the track. */
void lane_slice(struct lanes *, struct lane *, struct timeline_mark *);

/*
 * It works for a request from now on: that of the lane `from`, or, if NULL, a new
 * one. True: it is one that is drawn, and the lane was not drawn before: its next
 * slice can begin.
 */
bool lane_request_begin(struct lanes *, struct lane *, const struct lane *from,
			const uint8_t trace_id[16], uint64_t ns);
/* ... and this is its route. */
void lane_request_named(struct lanes *, struct lane *, const char *route,
			uint64_t ns);
void lane_request_end(struct lanes *, struct lane *, uint64_t ns);

#endif
