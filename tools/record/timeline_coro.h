/* SPDX-License-Identifier: MIT */
/* The activity of workers and coroutines, as tracks of a timeline. */
#ifndef URT_TIMELINE_CORO_H
#define URT_TIMELINE_CORO_H

#include "timeline_write.h"
#include "../measure/trace_pages.h"

struct coro_timeline;

/* tracks: for this number of coroutines at a time; 0: workers only. sample:
 * see timeline_lane.h. NULL: no memory. */
struct coro_timeline *coro_timeline_new(struct timeline_file *, unsigned tracks,
					unsigned sample);
/* Ends all slices at ns. */
void coro_timeline_free(struct coro_timeline *, uint64_t ns);

/* Events come in the order of time; ns: the time by the timeline's clock. */
void coro_timeline_event(struct coro_timeline *, const struct trace_seen *,
			 int64_t ns);

/* The flow that ends at the coroutine which waits for that request of io_uring;
 * 0: none does. */
uint64_t coro_timeline_flow(const struct coro_timeline *, uint32_t pid,
			    uint64_t user_data);

/* Events of coroutines for which there was no track. */
uint64_t coro_timeline_untracked(const struct coro_timeline *);

#endif
