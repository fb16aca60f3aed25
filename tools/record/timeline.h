/* SPDX-License-Identifier: MIT */
/*
 * A timeline in Perfetto's format: events go in, packets of track events come
 * out (timeline.c); and reading such a file back (report.c).
 */
#ifndef URT_TIMELINE_H
#define URT_TIMELINE_H

#include <linux/types.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "../../bpf/record.h"
#include "../measure/trace_pages.h"

struct timeline;

/* Events that a timeline lacks. */
struct timeline_lost {
	uint64_t events;	   /* the buffer was full */
	uint64_t coroutine_events; /* overwritten in their rings */
};

/* Writes to f from now on, with tracks for a number of coroutines at a time.
 * With `sample`, coroutines and io_uring requests are drawn only for one in
 * `sample` requests of the program. NULL: out of memory. */
struct timeline *timeline_new(FILE *f, unsigned coroutines, unsigned sample);

/* One event, in the order of the buffer. */
void timeline_event(struct timeline *, const struct urt_event *);

/* An event of a run's trace rings, at ns, in the order of time. */
void timeline_coroutine(struct timeline *, const struct trace_seen *,
			int64_t ns);

/*
 * Ends all open slices at the time of the last event, and writes the losses.
 * Frees it; bytes written so far, or -errno: writing failed.
 */
int64_t timeline_finish(struct timeline *, const struct timeline_lost *);

/* Bytes written so far, or -errno: writing failed. */
int64_t timeline_size(const struct timeline *);

/* The members of a slice or an instant, written and read back. */
#define TIMELINE_RUNNING     "running"
#define TIMELINE_LATENCY     "wake_latency_ns"
#define TIMELINE_WOKEN_BY    "woken_by"
#define TIMELINE_IN_FLIGHT   "in_flight"
#define TIMELINE_DROPPED     "dropped_events"
#define TIMELINE_OVERWRITTEN "overwritten_coroutine_events"
#define TIMELINE_UNTRACKED   "coroutine_events_without_a_track"

/* Category of a completion whose request continues. */
#define TIMELINE_MORE "io_uring-more"

/* Categories: a coroutine's life, and the slices within it. */
#define TIMELINE_LIFE	   "coroutine"
#define TIMELINE_CORO_RUN  "coroutine-run"
#define TIMELINE_CORO_WAIT "coroutine-wait"
#define TIMELINE_RUNNABLE  "coroutine-runnable"

/* ... and the points where it begins to work for a request, having set its
 * context or inherited it; and where that ends. */
#define TIMELINE_REQUEST	"request"
#define TIMELINE_REQUEST_PART	"request-part"
#define TIMELINE_REQUEST_END	"request-end"
#define TIMELINE_REQUEST_NUMBER "request"
#define TIMELINE_TRACE_ID	"trace_id"

#endif
