/* SPDX-License-Identifier: MIT */
/*
 * Coroutines' tracks: one slice for a life, and slices within it for what the
 * coroutine does. The next coroutine takes a free track.
 */
#ifndef URT_TIMELINE_LANE_H
#define URT_TIMELINE_LANE_H

#include "timeline_write.h"
#include <stdbool.h>
#include <sys/types.h>

#define LANE_NAME_LEN 48

struct lane {
	uint64_t coro; /* 0: free */
	unsigned run;  /* ... or the last one */
	uint64_t uuid; /* 0: it was never used */
	uint32_t next; /* free, or of the same hash */
	bool open;     /* a slice within its life is */
	uint64_t last_ns;
	uint64_t flow;	  /* from the waker that made it runnable; 0: none */
	uint64_t op_flow; /* of the operation it waits for; 0: none */
	uint64_t op;	  /* that operation's user_data; 0: none */
	char name[LANE_NAME_LEN];

	uint64_t request; /* number of the request for which it works; 0:
			     none */
	bool own;	  /* it began that request, and did not inherit it */
	char trace_id[33];
	bool hidden; /* nothing of it is drawn now */
};

struct lanes {
	struct timeline_file *out;
	struct lane *lane;
	uint32_t *bucket; /* lanes by coroutine */
	uint32_t n, buckets, free;
	uint64_t uuids;
	uint64_t missed; /* requested when none was free */
	uint64_t requests;
	unsigned sample; /* only one of this number of requests is drawn; 0: all
			    are */
};

/* False: out of memory. sample: see above. */
bool lanes_init(struct lanes *, struct timeline_file *, unsigned n,
		unsigned sample);
void lanes_destroy(struct lanes *);

/* The coroutine's track, or NULL; the second makes a track and begins the
 * coroutine's life; NULL: none is free. */
struct lane *lane_find(const struct lanes *, unsigned run, uint64_t coro);
struct lane *lane_begin(struct lanes *, unsigned run, pid_t, uint64_t coro,
			const char *name, uint64_t ns);
void lane_end(struct lanes *, struct lane *, uint64_t ns);
/* ... of all coroutines of a run. */
void lanes_end(struct lanes *, unsigned run, uint64_t ns);

/* Ends the slice within its life, and begins this one, in which all but the
 * type and the track are set. */
void lane_slice(struct lanes *, struct lane *, struct timeline_mark *);

/*
 * The coroutine works for a request from now on: that of the lane `from`, or,
 * if NULL, a new one. True: the request is drawn, and the lane was not drawn
 * before, so its next slice can begin. chosen: the program chose it as one of the
 * sample.
 */
bool lane_request_begin(struct lanes *, struct lane *, const struct lane *from,
			bool chosen, const uint8_t trace_id[16], uint64_t ns);
/* ... and this is its route. */
void lane_request_named(struct lanes *, struct lane *, const char *route,
			uint64_t ns);
void lane_request_end(struct lanes *, struct lane *, uint64_t ns);

#endif
