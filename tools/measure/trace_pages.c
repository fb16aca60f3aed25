// SPDX-License-Identifier: MIT
/*
 * Reading trace rings; see trace_pages.h, and base/trace.h for the protocol.
 *
 * A round takes the time, then copies all events in the rings to memory
 * (held.h). Only those from before that time are given out, then or later. Events
 * are merged by time from the copies, each of which is already in order. So if a
 * coroutine parked on one worker and runs on another, its parking comes first: it
 * was written before the coroutine could be readied, so it is in the copies if the
 * other event is; or the other event is later than the time taken, and waits for
 * the next round.
 *
 * Pages belong to other programs (pages.h): times are clamped to the possible
 * range; a ring with impossible numbers ends its page. If the memory is full, the
 * rest stays in the rings, where it may be overwritten, and nothing later is given
 * out. Lost events have a mark at their place in the copies.
 */
#define _GNU_SOURCE
#include "../lib/tool.h"
#include "trace_parts.h"
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define RATE_MAX 2000 /* more events than can be written to a ring in a us */

/* Marks an event of our own: so many were lost (coro) after an event, or from the
 * ring's beginning on (fn 0). In others, that word is the worker's TID. */
#define LOST UINT32_MAX

static_assert(sizeof(struct urt__trace_event) == HELD_EVENT, "held");

/* n: the sample that we want. */
static void renew(struct run *r, unsigned n, int64_t now_ns_)
{
	int64_t seen = r->until_ns;
	uint32_t *sample = &r->page->sample;
	bool alone = !seen && (r->launched ||
			       __atomic_load_n(&r->page->until_ns,
					       __ATOMIC_RELAXED) < now_ns_);

	if (alone)
		__atomic_store_n(sample, n, __ATOMIC_RELAXED);
	else if (__atomic_load_n(sample, __ATOMIC_RELAXED) != n)
		__atomic_store_n(sample, 0, __ATOMIC_RELAXED);

	/* A time further ahead than ours: another reader's, or set at the
	 * start. */
	r->until_ns = now_ns_ + URT__TRACE_LEASE;
	while (seen < r->until_ns &&
	       !__atomic_compare_exchange_n(&r->page->until_ns, &seen,
					    r->until_ns, false,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

/* Impossible times are clamped: a timeline must not reach back to the boot, and
 * events must not wait for a time that never comes. */
static void fit(const struct run *r, const struct reading *g,
		struct urt__trace_event *e, unsigned n, int64_t now)
{
	int64_t least = g->copied_ns > r->from_ns ? g->copied_ns : r->from_ns;
	uint32_t tid = __atomic_load_n(&r->page->ring[g - r->ring].tid,
				       __ATOMIC_RELAXED);

	if (tid == LOST)
		tid = 0;
	for (unsigned i = 0; i < n; i++) {
		if (e[i].ns > now)
			e[i].ns = now;
		if (e[i].ns < least)
			e[i].ns = least;
		least = e[i].ns;
		e[i].unused = tid;
	}
}

/* At the place of the lost events. False: no room. */
static bool put_lost(struct trace_pages *t, struct reading *g, uint64_t lost)
{
	struct urt__trace_event mark = { .ns = g->copied_ns ? g->copied_ns
							    : g->run->from_ns,
					 .unused = LOST,
					 .coro = lost,
					 .fn = g->copied_ns != 0 };

	if (!held_put(&g->queue, &mark))
		return false;
	t->lost += lost;
	return true;
}

static bool is_possible(const struct run *r, uint64_t events)
{
	return !r->ours ||
	       events / RATE_MAX <=
		       (uint64_t)(now_ns() - r->read_ns + NS_PER_S) / 1000;
}

/* Copies some of the ring's next events; false: no room for all of them. */
static bool copy(struct trace_pages *t, struct reading *g)
{
	struct run *r = g->run;
	struct urt__trace_event *e = t->some;
	uint64_t before = g->tail, lost = 0;
	unsigned done = 0;
	unsigned n = urt__trace_read(r->page, &r->head->shape, g - r->ring,
				     &g->tail, e, ARRAY_LEN(t->some), &lost);

	if (!is_possible(r, g->tail - before)) {
		t->why = "more events than a thread can write: not believed";
		r->ended = true;
		return true;
	}
	if (lost && !put_lost(t, g, lost)) {
		g->tail = before;
		return false;
	}
	fit(r, g, e, n, now_ns());
	while (done < n && held_put(&g->queue, &e[done]))
		done++;
	if (done)
		g->copied_ns = e[done - 1].ns;
	g->tail -= n - done;
	return done == n;
}

/* The share of the ring that was new; 1, too, if there was no room. */
static double read_ring(struct trace_pages *t, struct reading *g)
{
	const struct run *r = g->run;
	uint64_t before = g->tail;
	uint64_t head = __atomic_load_n(&r->page->ring[g - r->ring].head,
					__ATOMIC_RELAXED);

	if (head == before)
		return 0;
	if (!g->queue.held)
		held_begin(t->held, &g->queue, t->ahead_ns);
	do { /* up to that head, as the writer may be as fast as we */
		if (copy(t, g))
			continue;
		/* Of no ring an event from after this one is given yet. */
		if (g->copied_ns < t->moment_ns)
			t->moment_ns = g->copied_ns + 1;
		return 1;
	} while (!r->ended && (int64_t)(head - g->tail) > 0);
	return (double)(g->tail - before) / r->head->shape.events;
}

/* ---- the heap ---- */

static const struct urt__trace_event *first_of(struct reading *g)
{
	return held_next(&g->queue);
}

static bool comes_first(struct reading *a, struct reading *b)
{
	int64_t ns = first_of(a)->ns, than = first_of(b)->ns;

	if (ns != than)
		return ns < than;
	return a->run != b->run ? a->run < b->run : a < b;
}

/* The entry at i may be too late for its place. */
static void sift_down(struct trace_pages *t, unsigned i)
{
	struct reading *g = t->heap[i];

	for (unsigned k; (k = 2 * i + 1) < t->waiting; i = k) {
		if (k + 1 < t->waiting &&
		    comes_first(t->heap[k + 1], t->heap[k]))
			k++;
		if (comes_first(g, t->heap[k]))
			break;
		t->heap[i] = t->heap[k];
	}
	t->heap[i] = g;
}

static void make_heap(struct trace_pages *t)
{
	t->waiting = 0;
	for (unsigned i = 0; i < t->top; i++)
		for (unsigned k = 0; t->run[i].head && k < t->run[i].used; k++)
			if (first_of(&t->run[i].ring[k]))
				t->heap[t->waiting++] = &t->run[i].ring[k];
	for (unsigned i = t->waiting / 2; i-- > 0;)
		sift_down(t, i);
	t->heap_made = true;
	t->first_ns = 0;
}

/* The earliest event was given out. */
static void heap_next(struct trace_pages *t)
{
	struct reading *g = t->heap[0];

	held_given(&g->queue);
	if (!first_of(g)) {
		t->heap[0] = t->heap[--t->waiting];
		t->any_ended |= g->run->ended;
	}
	if (t->waiting)
		sift_down(t, 0);
}

/* ---- a round ---- */

static bool is_over(const struct run *r)
{
	return r->ours && r->pid && kill(r->pid, 0) && errno == ESRCH;
}

static void unmap(struct run *r)
{
	if (!r->page)
		return;
	if (r->until_ns)
		__atomic_compare_exchange_n(&r->page->until_ns, &r->until_ns, 0,
					    false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
	page_unmap(&r->map);
	r->page = NULL;
}

static void give_up(struct trace_pages *t, struct run *r)
{
	unmap(r);
	for (unsigned i = 0; i < r->used; i++)
		held_end(&r->ring[i].queue);
	t->heap_places -= r->head->shape.rings;
	t->heap_made = false;
	free(r->ring);
	if (r->head->exe_fd >= 0)
		close(r->head->exe_fd);
	free(r->head);
	r->head = NULL;
}

/* Whether all its events were given out. */
static bool is_given(const struct run *r)
{
	for (unsigned i = 0; i < r->used; i++)
		if (first_of(&r->ring[i]))
			return false;
	return true;
}

/* Whether none is held any more, to be given out again. */
static bool is_forgotten(const struct run *r)
{
	for (unsigned i = 0; i < r->used; i++)
		if (r->ring[i].queue.first)
			return false;
	return true;
}

static double read_run(struct trace_pages *t, struct run *r)
{
	bool ended = is_over(r); /* before its last events are read */
	double most = 0;

	renew(r, t->sample, t->moment_ns);
	for (unsigned k = 0; k < r->head->shape.rings && !r->ended; k++) {
		most = fmax(most, read_ring(t, &r->ring[k]));
		if (r->ring[k].queue.held && k >= r->used)
			r->used = k + 1;
	}
	r->read_ns = now_ns();
	if (!ended && !r->ended)
		return most;
	r->ended = t->any_ended = true;
	unmap(r);
	return most;
}

double trace_pages_read(struct trace_pages *t)
{
	double most = 0;

	t->moment_ns = now_ns();
	for (unsigned i = 0; i < t->top; i++) {
		struct run *r = &t->run[i];

		if (r->page)
			most = fmax(most, read_run(t, r));
		else if (r->head && held_keeps(t->held) && is_forgotten(r))
			give_up(t, r);
	}
	t->heap_made = false;
	return most;
}

int64_t trace_pages_moment(const struct trace_pages *t)
{
	return t->moment_ns;
}

void trace_pages_again(struct trace_pages *t)
{
	for (unsigned i = 0; i < t->top; i++)
		t->run[i].over = false;
	t->any_ended = true;
	t->heap_made = false;
}

/* A run that has ended, and of which all events were given out. */
static bool next_over(struct trace_pages *t, struct trace_seen *s)
{
	for (unsigned i = 0; t->any_ended && i < t->top; i++) {
		struct run *r = &t->run[i];

		if (!r->head || !r->ended || r->over || !is_given(r))
			continue;
		*s = (struct trace_seen){ .kind = TRACE_OVER,
					  .run = r->number,
					  .ns = t->first_ns };
		r->over = true;
		if (!held_keeps(t->held))
			give_up(t, r);
		return true;
	}
	t->any_ended = false;
	return false;
}

static struct trace_seen seen(struct reading *g)
{
	const struct urt__trace_event *e = first_of(g);
	const struct run *r = g->run;
	struct trace_seen s = { .run = r->number,
				.ring = g - r->ring,
				.pid = r->pid,
				.head = r->head,
				.tid = e->unused,
				.ns = e->ns,
				.event = *e };

	if (e->unused == LOST) {
		s.kind = TRACE_LOST;
		s.lost = e->coro;
		s.ns = e->fn ? e->ns : 0;
	}
	return s;
}

bool trace_pages_next(struct trace_pages *t, int64_t before_ns,
		      struct trace_seen *s)
{
	if (before_ns > t->moment_ns)
		before_ns = t->moment_ns;
	if (!t->heap_made)
		make_heap(t);
	else if (before_ns <= t->first_ns && !t->any_ended)
		return false;
	t->first_ns = t->waiting ? first_of(t->heap[0])->ns : t->moment_ns;
	if (t->first_ns >= before_ns)
		return next_over(t, s);
	*s = seen(t->heap[0]);
	heap_next(t);
	return true;
}

/* ---- the whole ---- */

struct trace_pages *trace_pages_new(struct held *h, int64_t ahead_ns)
{
	struct trace_pages *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->begun_ns = now_ns();
	t->held = h;
	t->ahead_ns = ahead_ns;
	return t;
}

void trace_pages_sample(struct trace_pages *t, unsigned n)
{
	t->sample = n;
}

uint64_t trace_pages_lost(const struct trace_pages *t)
{
	return t->lost;
}

unsigned trace_pages_runs(const struct trace_pages *t)
{
	return t->runs;
}

unsigned trace_pages_missed(const struct trace_pages *t)
{
	return t->missed;
}

const char *trace_pages_why(const struct trace_pages *t)
{
	return t->why;
}

void trace_pages_free(struct trace_pages *t)
{
	if (!t)
		return;
	for (unsigned i = 0; i < TRACE_RUNS_MAX; i++)
		if (t->run[i].head)
			give_up(t, &t->run[i]);
	page_inbox_close(t->inbox);
	free(t->heap);
	free(t->looked_at);
	free(t);
}
