// SPDX-License-Identifier: MIT
/*
 * Events go into a queue of fixed size, for a copy of 48 bytes each. To encode
 * an event takes thirty times as long, which a busy program would lack, so that
 * is done later: at the end; before it, in a small share of the time; and when
 * the queue is full.
 *
 * A flight recorder (--last) encodes nothing before it is asked to. Its queue
 * forgets the oldest event when that is older than the time wanted, or when
 * there is no room. A timeline of the rest begins with the first event of
 * each thread and of each coroutine, as when a running process is recorded. The
 * names of threads are kept, as not all events have them.
 *
 * Events of coroutines name their run by a number; the description of a run
 * (its program's file, the names of the reasons) is held once, until the event
 * of its end leaves the queue. Runs for which there is no room are left out, as
 * in a timeline.
 */
#define _GNU_SOURCE
#include "recent.h"
#include "../lib/tool.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define RUNS	(4 * TRACE_PAGES_MAX)
#define AT_ONCE 64   /* events to write between two looks at the clock */
#define NAMES	4096 /* of threads */

enum source { KERNEL, RING };

struct held {
	uint8_t source; /* enum source */
	uint8_t kind;	/* enum trace_seen_kind */
	uint16_t ring;
	uint32_t run; /* index in recent.run */
	union {
		struct urt_event event;
		/* ns is the timeline's, `unused` the worker's TID. Of TRACE_LOST:
		 * coro is the number lost; fn, whether there was an event
		 * before. */
		struct urt__trace_event coro;
	};
};
static_assert(sizeof(struct held) == 48, "six words");

struct run {
	bool held;
	unsigned number;
	pid_t pid;
	struct trace_head head;
};

struct recent {
	struct held *event;	/* a queue */
	size_t places, from, n; /* the oldest one's place; the number of
				   events */
	int64_t last_ns, newest_ns, lost_ns; /* lost: for lack of room */
	struct timeline *timeline;	     /* of events that leave; or NULL */
	struct run *last_run;		     /* of the last event; or NULL */
	struct run run[RUNS];
	/* Without a timeline: by TID, the last events that left the queue and
	 * have a thread's name. */
	struct urt_event name[NAMES];
};

struct recent *recent_new(size_t bytes, int64_t last_ns,
			  struct timeline *timeline)
{
	struct recent *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->last_ns = last_ns;
	r->timeline = timeline;
	r->places = bytes / sizeof(*r->event);
	/* Pages that are never used take no memory. */
	r->event = mmap(NULL, r->places * sizeof(*r->event),
			PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (r->event != MAP_FAILED)
		return r;
	free(r);
	return NULL;
}

static void forget_run(struct run *run)
{
	if (run->held && run->head.exe_fd >= 0)
		close(run->head.exe_fd);
	run->held = false;
}

void recent_free(struct recent *r)
{
	if (!r)
		return;
	for (unsigned i = 0; i < RUNS; i++)
		forget_run(&r->run[i]);
	munmap(r->event, r->places * sizeof(*r->event));
	free(r);
}

/* Of event number i from the oldest on. */
static size_t place(const struct recent *r, size_t i)
{
	i += r->from;
	return i < r->places ? i : i - r->places;
}

static int64_t time_of(const struct held *h)
{
	return h->source == KERNEL ? (int64_t)h->event.ns : h->coro.ns;
}

static struct held *oldest(const struct recent *r)
{
	return &r->event[r->from];
}

static void write_coroutine(const struct recent *r, struct timeline *t,
			    const struct held *h)
{
	const struct run *run = &r->run[h->run];
	struct trace_seen s = { .kind = h->kind,
				.ns = h->coro.ns,
				.run = run->number,
				.ring = h->ring,
				.pid = run->pid,
				.event = h->coro,
				.head = &run->head,
				.tid = h->coro.unused };

	if (h->kind == TRACE_LOST) {
		s.lost = h->coro.coro;
		s.ns = h->coro.fn ? s.ns : 0;
	}
	timeline_coroutine(t, &s, h->coro.ns);
}

static void write_event(const struct recent *r, struct timeline *t,
			const struct held *h)
{
	if (h->source == KERNEL)
		timeline_event(t, &h->event);
	else
		write_coroutine(r, t, h);
}

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

static void drop_oldest(struct recent *r)
{
	struct held *h = oldest(r);

	if (r->timeline)
		write_event(r, r->timeline, h);
	else if (h->source == KERNEL)
		keep_name(r, &h->event);
	if (h->source == RING && h->kind == TRACE_OVER)
		forget_run(&r->run[h->run]);
	if (++r->from == r->places)
		r->from = 0;
	r->n--;
	if (!r->n)
		r->from = 0; /* reuse the pages that have memory */
}

/* A place for an event of this time. */
static struct held *add(struct recent *r, int64_t ns)
{
	if (ns > r->newest_ns)
		r->newest_ns = ns;
	while (r->n && time_of(oldest(r)) < r->newest_ns - r->last_ns)
		drop_oldest(r);
	if (r->n == r->places) {
		r->lost_ns = time_of(oldest(r));
		drop_oldest(r);
	}
	return &r->event[place(r, r->n++)];
}

void recent_event(struct recent *r, const struct urt_event *e)
{
	struct held *h = add(r, e->ns);

	h->source = KERNEL;
	h->event = *e;
}

static struct run *run_of(struct recent *r, const struct trace_seen *s)
{
	struct run *free_place = NULL;

	if (r->last_run && r->last_run->held && r->last_run->number == s->run)
		return r->last_run;
	for (unsigned i = 0; i < RUNS; i++) {
		if (r->run[i].held && r->run[i].number == s->run)
			return r->last_run = &r->run[i];
		if (!r->run[i].held && !free_place)
			free_place = &r->run[i];
	}
	if (!s->head || !free_place)
		return NULL;
	*free_place = (struct run){ .held = true,
				    .number = s->run,
				    .head = *s->head };
	if (s->head->exe_fd >= 0)
		free_place->head.exe_fd =
			fcntl(s->head->exe_fd, F_DUPFD_CLOEXEC, 0);
	return r->last_run = free_place;
}

void recent_coroutine(struct recent *r, const struct trace_seen *s, int64_t ns)
{
	struct run *run = run_of(r, s);
	struct held *h;

	if (!run)
		return;
	/* Without a time of its own: it comes after all others of its ring. */
	if (!s->ns)
		ns = r->newest_ns;
	h = add(r, ns);
	*h = (struct held){ .source = RING,
			    .kind = s->kind,
			    .ring = s->ring,
			    .run = run - r->run };
	if (s->pid)
		run->pid = s->pid;
	h->coro = s->event;
	h->coro.ns = ns;
	h->coro.unused = s->tid;
	if (s->kind == TRACE_LOST) {
		h->coro.coro = s->lost;
		h->coro.fn = s->ns != 0;
	}
}

void recent_write(struct recent *r, struct timeline *t)
{
	for (unsigned i = 0; i < NAMES && r->n; i++) {
		r->name[i].ns = time_of(oldest(r));
		if (r->name[i].tid)
			timeline_event(t, &r->name[i]);
	}
	for (size_t i = 0; i < r->n; i++)
		write_event(r, t, &r->event[place(r, i)]);
}

double recent_used(const struct recent *r)
{
	return (double)r->n / r->places;
}

bool recent_spend(struct recent *r, int64_t ns, int64_t max)
{
	int64_t end = now_ns() + ns;

	while (r->n && now_ns() < end && timeline_size(r->timeline) < max)
		for (unsigned i = 0; i < AT_ONCE && r->n; i++)
			drop_oldest(r);
	return !r->n;
}

int64_t recent_span_ns(const struct recent *r)
{
	return r->n ? r->newest_ns - time_of(oldest(r)) : 0;
}

bool recent_is_short(const struct recent *r)
{
	return r->lost_ns && r->lost_ns >= r->newest_ns - r->last_ns;
}
