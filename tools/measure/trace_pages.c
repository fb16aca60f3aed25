// SPDX-License-Identifier: MIT
/*
 * Reading trace rings; see trace_pages.h, and base/trace.h for the protocol.
 *
 * A round takes the time, then copies all events in the rings, then gives out
 * only those from before that time. Events are merged by time from the copies,
 * each of which is already in order. So if a coroutine parked on one worker and
 * runs on another, its parking comes first: it was written before the coroutine
 * could be readied, so it is in the copies if the other event is; or the other
 * event is later than the time taken, and waits for the next round.
 *
 * Pages belong to other programs (pages.h): times are clamped to the possible
 * range; a ring with impossible numbers ends its page. Memory: a buffer of two
 * rings' size for each worker that has written, within bounds for each process
 * and for all.
 */
#define _GNU_SOURCE
#include "../lib/tool.h"
#include "trace_parts.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_MAX (256u << 20) /* of buffers, for one process */
#define BYTES_ALL (768u << 20)
#define RATE_MAX  2000 /* more events than can be written to a ring in a us */

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

static bool make_buffer(struct trace_pages *t, struct run *r, unsigned i)
{
	struct reading *g = &r->ring[i];
	uint64_t bytes;

	if (g->buf)
		return true;
	g->cap = 2 * r->head->shape.events;
	bytes = g->cap * sizeof(*g->buf);
	if (r->bytes + bytes > BYTES_MAX || t->bytes + bytes > BYTES_ALL) {
		t->why = "its rings need too much memory";
		return false;
	}
	g->buf = malloc(bytes);
	if (!g->buf)
		return false; /* overwritten, and counted then */
	r->bytes += bytes;
	t->bytes += bytes;
	if (i >= r->used)
		r->used = i + 1;
	return true;
}

/* Impossible times are clamped: a timeline must not reach back to the boot, and
 * events must not wait for a time that never comes. */
static void fit_times(struct run *r, struct reading *g,
		      struct urt__trace_event *e, unsigned n, int64_t now)
{
	int64_t least = g->copied_ns > r->from_ns ? g->copied_ns : r->from_ns;

	for (unsigned i = 0; i < n; i++) {
		if (e[i].ns > now)
			e[i].ns = now;
		if (e[i].ns < least)
			e[i].ns = least;
		least = e[i].ns;
	}
	g->copied_ns = least;
}

/* False: more than half of the ring was new. */
static bool read_ring(struct trace_pages *t, struct run *r, unsigned i)
{
	struct urt__trace_page *p = r->page;
	const struct urt__trace_shape *shape = &r->head->shape;
	struct reading *g = &r->ring[i];
	uint64_t lost = 0, before = g->tail;
	int64_t now;
	unsigned n;

	if (__atomic_load_n(&p->ring[i].head, __ATOMIC_RELAXED) == g->tail ||
	    !make_buffer(t, r, i))
		return true;
	memmove(g->buf, g->buf + g->pos, (g->n - g->pos) * sizeof(*g->buf));
	g->n -= g->pos;
	g->pos = 0;
	n = urt__trace_read(p, shape, i, &g->tail, g->buf + g->n, g->cap - g->n,
			    &lost);
	now = now_ns();
	if (r->ours && (g->tail - before) / RATE_MAX >
			       (uint64_t)(now - r->read_ns + NS_PER_S) / 1000) {
		t->why = "more events than a thread can write: not believed";
		r->ended = true;
		return true;
	}
	fit_times(r, g, g->buf + g->n, n, now);
	if (lost && g->n) { /* in the middle: the events before it are given
			       up */
		g->lost += g->n;
		memmove(g->buf, g->buf + g->n, n * sizeof(*g->buf));
		g->n = 0;
	}
	g->lost += lost;
	t->any_lost |= lost;
	g->n += n;
	return n < shape->events / 2;
}

/* ---- the heap ---- */

static bool comes_first(const struct reading *a, const struct reading *b)
{
	int64_t ns = a->buf[a->pos].ns, than = b->buf[b->pos].ns;

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
		for (unsigned k = 0; t->run[i].page && k < t->run[i].used; k++)
			if (t->run[i].ring[k].pos < t->run[i].ring[k].n)
				t->heap[t->waiting++] = &t->run[i].ring[k];
	for (unsigned i = t->waiting / 2; i-- > 0;)
		sift_down(t, i);
}

/* The earliest event was given out. */
static void heap_next(struct trace_pages *t)
{
	struct reading *g = t->heap[0];

	if (++g->pos == g->n)
		t->heap[0] = t->heap[--t->waiting];
	if (t->waiting)
		sift_down(t, 0);
}

/* ---- a round ---- */

static bool is_over(const struct run *r)
{
	return r->ours && r->pid && kill(r->pid, 0) && errno == ESRCH;
}

bool trace_pages_read(struct trace_pages *t)
{
	bool calm = true, ended;

	t->moment_ns = now_ns();
	t->first_ns = 0;
	for (unsigned i = 0; i < t->top; i++) {
		struct run *r = &t->run[i];

		if (!r->page || r->ended)
			continue;
		ended = is_over(r); /* before its last events are read */
		renew(r, t->sample, t->moment_ns);
		for (unsigned k = 0; k < r->head->shape.rings && !r->ended; k++)
			calm &= read_ring(t, r, k);
		r->ended |= ended;
		t->any_ended |= r->ended;
		r->read_ns = now_ns();
	}
	make_heap(t);
	return calm;
}

int64_t trace_pages_moment(const struct trace_pages *t)
{
	return t->moment_ns;
}

static void give_up(struct trace_pages *t, struct run *r)
{
	if (r->until_ns)
		__atomic_compare_exchange_n(&r->page->until_ns, &r->until_ns, 0,
					    false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
	for (unsigned i = 0; i < r->head->shape.rings; i++)
		free(r->ring[i].buf);
	t->heap_places -= r->head->shape.rings;
	t->bytes -= r->bytes;
	free(r->ring);
	if (r->head->exe_fd >= 0)
		close(r->head->exe_fd);
	free(r->head);
	page_unmap(&r->map);
	r->page = NULL;
}

static bool is_empty(const struct run *r)
{
	for (unsigned i = 0; i < r->used; i++)
		if (r->ring[i].n != r->ring[i].pos)
			return false;
	return true;
}

/* A run that has ended, and of which all events were given out. */
static bool next_over(struct trace_pages *t, struct trace_seen *s)
{
	bool more = false;

	for (unsigned i = 0; t->any_ended && i < t->top; i++) {
		struct run *r = &t->run[i];

		if (!r->page || !r->ended)
			continue;
		more = true;
		if (!is_empty(r))
			continue;
		*s = (struct trace_seen){ .kind = TRACE_OVER,
					  .run = r->number,
					  .ns = t->moment_ns };
		give_up(t, r);
		return true;
	}
	t->any_ended = more;
	return false;
}

/* A ring that lost events since its last one comes before all others, as no
 * event that is still to be given out is older. */
static bool next_lost(struct trace_pages *t, struct trace_seen *s)
{
	for (unsigned i = 0; i < t->top; i++) {
		struct run *r = &t->run[i];

		for (unsigned k = 0; r->page && k < r->used; k++) {
			struct reading *g = &r->ring[k];

			if (!g->lost)
				continue;
			*s = (struct trace_seen){ .kind = TRACE_LOST,
						  .run = r->number,
						  .ring = k,
						  .pid = r->pid,
						  .head = r->head,
						  .ns = g->last_ns,
						  .lost = g->lost };
			t->lost += g->lost;
			g->lost = 0;
			return true;
		}
	}
	t->any_lost = false;
	return false;
}

bool trace_pages_next(struct trace_pages *t, int64_t before_ns,
		      struct trace_seen *s)
{
	struct reading *g;
	struct run *r;

	if (before_ns > t->moment_ns)
		before_ns = t->moment_ns;
	if (before_ns <= t->first_ns && !t->any_lost && !t->any_ended)
		return false;
	if (t->any_lost && next_lost(t, s))
		return true;
	g = t->waiting ? t->heap[0] : NULL;
	t->first_ns = g ? g->buf[g->pos].ns : t->moment_ns;
	if (t->first_ns >= before_ns)
		return next_over(t, s);
	r = g->run;
	*s = (struct trace_seen){ .run = r->number,
				  .ring = g - r->ring,
				  .pid = r->pid,
				  .head = r->head,
				  .tid = __atomic_load_n(
					  &r->page->ring[g - r->ring].tid,
					  __ATOMIC_RELAXED),
				  .ns = g->buf[g->pos].ns,
				  .event = g->buf[g->pos] };
	g->last_ns = s->ns;
	heap_next(t);
	return true;
}

/* ---- the whole ---- */

struct trace_pages *trace_pages_new(void)
{
	struct trace_pages *t = calloc(1, sizeof(*t));

	if (t)
		t->begun_ns = now_ns();
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
	for (unsigned i = 0; i < TRACE_PAGES_MAX; i++)
		if (t->run[i].page)
			give_up(t, &t->run[i]);
	page_inbox_close(t->inbox);
	free(t->heap);
	free(t->looked_at);
	free(t);
}
