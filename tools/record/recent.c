// SPDX-License-Identifier: MIT
/*
 * While it records, urt only copies events to memory (held.h). Here they are put in
 * one order, and given to a timeline: at the end; before it, in a small share of
 * the time; and when the memory is full.
 *
 * A flight recorder (--last) writes nothing before it is asked to. The memory
 * forgets events that are older than the time wanted, or for which there is no
 * room. A timeline of the rest begins with the first event of each thread and of
 * each coroutine, as when a running process is recorded. The names of threads are
 * kept, as not all events have them.
 */
#define _GNU_SOURCE
#include "recent.h"
#include "../lib/tool.h"
#include <math.h>
#include <stdlib.h>

#define AT_ONCE 32   /* events to write between two looks at the clock */
#define NAMES	4096 /* of threads */

struct recent {
	struct held *held;
	struct kernel_events *kernel;
	struct trace_pages *pages; /* NULL: none */
	int64_t ahead_ns;
	int64_t from_ns;	   /* older events are not written */
	int64_t first_ns, last_ns; /* of the events written; 0: none */
	/* By TID, the last events that were not written and have a thread's
	 * name. */
	struct urt_event name[NAMES];
};

static void keep_name(struct recent *r, const struct urt_event *e)
{
	struct urt_event *to = &r->name[e->tid % NAMES];

	if (e->type >= URT_EV_WAKE)
		return;
	*to = *e;
	if (e->type == URT_EV_OUT && e->op & URT_EV_DEAD)
		to->tid = 0;
	to->type = URT_EV_THREAD;
	to->arg = 0;
}

static void forgotten(void *arg, const void *event)
{
	keep_name(arg, event);
}

struct recent *recent_new(struct held *h, struct kernel_events *k,
			  struct trace_pages *pages, int64_t ahead_ns)
{
	struct recent *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->held = h;
	r->kernel = k;
	r->pages = pages;
	r->ahead_ns = ahead_ns;
	for (unsigned i = 0; i < k->rings; i++) {
		k->ring[i].queue.forgotten = forgotten;
		k->ring[i].queue.arg = r;
	}
	return r;
}

void recent_free(struct recent *r)
{
	free(r);
}

/* ---- one order ---- */

/* From this time on, one of the sources has not been read. */
static uint64_t known_until(const struct recent *r)
{
	uint64_t until = kernel_events_moment(r->kernel), pages;

	if (!r->pages)
		return until;
	pages = trace_pages_moment(r->pages) + r->ahead_ns;
	return pages < until ? pages : until;
}

static void write_names(struct recent *r, struct timeline *t, int64_t ns)
{
	for (unsigned i = 0; i < NAMES; i++) {
		r->name[i].ns = ns;
		if (r->name[i].tid)
			timeline_event(t, &r->name[i]);
	}
}

/* Whether an event of that time is to be written. */
static bool is_wanted(struct recent *r, struct timeline *t, int64_t ns)
{
	if (ns < r->from_ns)
		return false;
	if (!r->first_ns) {
		r->first_ns = ns;
		write_names(r, t, ns);
	}
	r->last_ns = ns;
	return true;
}

/* Gives the next event from before that time to the timeline; false: there is
 * none. */
static bool write_next(struct recent *r, struct timeline *t, uint64_t until)
{
	uint64_t ns = kernel_events_next_ns(r->kernel, until);
	const struct urt_event *e;
	struct trace_seen s;

	if (r->pages && trace_pages_next(r->pages, ns - r->ahead_ns, &s)) {
		/* A loss at the begin of its ring has no time of its own. */
		ns = (s.kind == TRACE_LOST ? s.event.ns : s.ns) + r->ahead_ns;
		if (s.kind == TRACE_OVER || is_wanted(r, t, ns))
			timeline_coroutine(t, &s, ns);
		return true;
	}
	e = kernel_events_next(r->kernel, until);
	if (!e)
		return false;
	if (is_wanted(r, t, e->ns))
		timeline_event(t, e);
	else
		keep_name(r, e);
	return true;
}

void recent_write(struct recent *r, struct timeline *t)
{
	uint64_t until = known_until(r);

	held_again(r->held);
	kernel_events_again(r->kernel);
	if (r->pages)
		trace_pages_again(r->pages);
	r->from_ns = held_from(r->held);
	r->first_ns = r->last_ns = 0;
	while (write_next(r, t, until))
		;
}

bool recent_spend(struct recent *r, struct timeline *t, int64_t ns, int64_t max)
{
	uint64_t until = known_until(r);
	int64_t end = now_ns() + ns;

	while (now_ns() < end && timeline_size(t) < max)
		for (unsigned i = 0; i < AT_ONCE; i++)
			if (!write_next(r, t, until))
				return true;
	return false;
}

/*
 * So soon that rings that fill on as fast are a quarter full then: they may fill
 * faster, and we may wake up late. As a program may only pause, the time grows by
 * steps.
 */
double recent_next_look(double ms, double passed_ms, double share)
{
	double next = fmin(2 * ms, RECENT_LOOK_MS);

	if (share > 0)
		next = fmin(next, passed_ms * 0.25 / share);
	return fmax(next, 1);
}

int64_t recent_span_ns(const struct recent *r)
{
	return r->last_ns - r->first_ns;
}
