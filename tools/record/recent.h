/* SPDX-License-Identifier: MIT */
/* The events of a recording that are held in memory, in one order, for a
 * timeline. */
#ifndef URT_RECENT_H
#define URT_RECENT_H

#include "../measure/held.h"
#include "../measure/trace_pages.h"
#include "kernel_events.h"
#include "timeline.h"

struct recent;

/* pages: NULL: none are recorded; ahead_ns: the timeline's clock is ahead of
 * theirs. NULL: out of memory. */
struct recent *recent_new(struct held *, struct kernel_events *,
			  struct trace_pages *, int64_t ahead_ns);
void recent_free(struct recent *);

/* Writes all events that are kept; they stay in memory. */
void recent_write(struct recent *, struct timeline *);
/* Writes the oldest ones for at most that time, or until the file has so many
 * bytes; they are gone then. Whether it wrote all. */
bool recent_spend(struct recent *, struct timeline *, int64_t ns, int64_t max);

/* Of the next look at the events, ms from now: the last one was ms after the one
 * before it, or as late as passed_ms; and found that share of a ring new. */
#define RECENT_LOOK_MS 20 /* at most */
double recent_next_look(double ms, double passed_ms, double share);

/* The time spanned by the events written, ns. */
int64_t recent_span_ns(const struct recent *);

#endif
