/* SPDX-License-Identifier: MIT */
/* The latest events of a recording, held in memory until they are wanted or
 * until there is time to write them; how: recent.c. */
#ifndef URT_RECENT_H
#define URT_RECENT_H

#include "timeline.h"

struct recent;

/*
 * Events that are older than last_ns leave it, and the oldest if there is no
 * room. They go to that timeline; with NULL, they are forgotten. NULL: out of
 * memory.
 */
struct recent *recent_new(size_t bytes, int64_t last_ns, struct timeline *);
void recent_free(struct recent *);

/* As timeline_event and timeline_coroutine. */
void recent_event(struct recent *, const struct urt_event *);
void recent_coroutine(struct recent *, const struct trace_seen *, int64_t ns);

/* Writes the events held into a timeline; they stay in memory. */
void recent_write(struct recent *, struct timeline *);
/* Writes the oldest ones into its own timeline, for at most that time, or until
 * it has max bytes. They leave the memory. True: none is left. */
bool recent_spend(struct recent *, int64_t ns, int64_t max);
/* The share of its memory that holds events. */
double recent_used(const struct recent *);

/* The time spanned by the events held, ns. */
int64_t recent_span_ns(const struct recent *);
/* Whether the memory was too small for the time wanted. */
bool recent_is_short(const struct recent *);

#endif
