// SPDX-License-Identifier: MIT
/*
 * The critical path of a request: the steps of its coroutine from the request's
 * beginning to its end, without a gap, and below each step its cause:
 *
 *	running		the thread of its worker had no CPU meanwhile: preempted, or
 *			in a call that blocked
 *	waiting for an	when the request was submitted, how long the kernel had it,
 *	operation	how long the completion lay there
 *	waiting for a	what the coroutine that ended the wait did meanwhile, with
 *	coroutine	the causes of that in turn
 *	ready		(no worker was free, or none knew yet)
 *
 * The file is read a second time, once it is known which requests are the slowest:
 * slices that overlap one of them are kept, sorted by their owner. A file may say
 * anything, so slices, steps and depth are bounded.
 */
#define _GNU_SOURCE
#include "report.h"
#include "timeline.h"
#include "timeline_write.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SLICES_MAX  (1u << 18)
#define WORKERS_MAX 4096
#define DEPTH_MAX   6

struct slice {
	enum report_kind kind;
	enum report_state state;
	uint64_t key; /* a hash of the coroutine's name; a thread; a flow */
	uint64_t from, to, flow, process;
	unsigned worker;
	char what[32], by[REPORT_NAME];
};

struct worker {
	uint64_t process, thread; /* tracks */
	unsigned index;
};

struct paths {
	struct report *of;
	struct slice *slice;
	size_t n;
	struct worker *worker;
	size_t workers;
};

/* ---- reading ---- */

/* Names are unique in a process. */
static uint64_t hash_of(const char *name, uint64_t process)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ process; /* FNV-1a */

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
	return h;
}

static bool is_wanted(const struct report *r, uint64_t from, uint64_t to)
{
	for (int i = 0; i < REPORT_SLOW && r->slow[i].ns; i++)
		if (from < r->slow[i].at_ns + r->slow[i].ns &&
		    to > r->slow[i].at_ns)
			return true;
	return false;
}

static void keep(void *arg, const struct report_track *t, uint64_t to,
		 const char *by)
{
	struct paths *p = arg;
	struct slice *s;

	if ((t->kind == REPORT_OTHER && t->state == REPORT_STATES) ||
	    !is_wanted(p->of, t->since_ns, to))
		return;
	if (p->n == SLICES_MAX) {
		p->of->left_out++;
		return;
	}
	s = &p->slice[p->n++];
	*s = (struct slice){ .kind = t->kind,
			     .state = t->state,
			     .from = t->since_ns,
			     .to = to,
			     .flow = t->flow,
			     .process = t->parent,
			     .worker = t->worker };
	if (t->kind == REPORT_OTHER)
		s->kind = REPORT_CORO;
	s->key = s->kind == REPORT_CORO	     ? hash_of(t->name, t->parent)
		 : s->kind == REPORT_REQUEST ? t->flow
					     : t->uuid;
	snprintf(s->what, sizeof(s->what), "%.31s", t->open);
	snprintf(s->by, sizeof(s->by), "%s", by ? by : "");
}

static int by_key(const void *a, const void *b)
{
	const struct slice *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return (x->from > y->from) - (x->from < y->from);
}

static void find_workers(struct paths *p, const struct report *r)
{
	for (unsigned i = 0; i < REPORT_TRACKS; i++) {
		const struct report_track *t = &r->track[i];
		unsigned index;
		uint32_t tid;

		if (p->workers < WORKERS_MAX &&
		    sscanf(t->name, "worker %u (thread %" SCNu32 ")", &index,
			   &tid) == 2)
			p->worker[p->workers++] =
				(struct worker){ t->parent,
						 timeline_thread(tid), index };
	}
}

/* ---- steps ---- */

static void step(struct report_request *q, int depth, uint64_t from,
		 uint64_t to, const char *who, const char *what, const char *by)
{
	struct report_step *s;

	if (to <= from)
		return;
	if (q->steps == REPORT_STEPS) {
		q->steps_left_out++;
		return;
	}
	if (!q->step)
		q->step = calloc(REPORT_STEPS, sizeof(*q->step));
	if (!q->step)
		return;
	s = &q->step[q->steps++];
	s->depth = depth;
	s->at_ns = from - q->at_ns;
	s->ns = to - from;
	snprintf(s->who, sizeof(s->who), "%s", who);
	snprintf(s->what, sizeof(s->what), "%s", what);
	snprintf(s->by, sizeof(s->by), "%s", by);
}

static const struct slice *first_of(const struct paths *p,
				    enum report_kind kind, uint64_t key)
{
	const struct slice wanted = { .kind = kind, .key = key };
	size_t low = 0, high = p->n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (by_key(&p->slice[mid], &wanted) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return &p->slice[low];
}

/* The next slice of this key that overlaps [from, to); NULL: none. */
static const struct slice *next_of(const struct paths *p, const struct slice *s,
				   enum report_kind kind, uint64_t key,
				   uint64_t from, uint64_t to)
{
	for (; s < p->slice + p->n && s->kind == kind && s->key == key; s++)
		if (s->to > from && s->from < to)
			return s;
	return NULL;
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The steps of its worker's thread between two times, except running. */
static void off_cpu(const struct paths *p, struct report_request *q,
		    const struct slice *run, int depth, uint64_t from,
		    uint64_t to)
{
	uint64_t thread = 0;
	const struct slice *s;
	char who[48];

	for (size_t i = 0; i < p->workers && !thread; i++)
		if (p->worker[i].process == run->process &&
		    p->worker[i].index == run->worker)
			thread = p->worker[i].thread;
	snprintf(who, sizeof(who), "thread of worker %u", run->worker);
	s = first_of(p, REPORT_THREAD, thread);
	for (; thread && (s = next_of(p, s, REPORT_THREAD, thread, from, to));
	     s++)
		if (strcmp(s->what, TIMELINE_RUNNING))
			step(q, depth, later(s->from, from), earlier(s->to, to),
			     who, s->what, s->by);
}

static void in_kernel(const struct paths *p, struct report_request *q,
		      const struct slice *wait, int depth, uint64_t from,
		      uint64_t to)
{
	const struct slice *s =
		next_of(p, first_of(p, REPORT_REQUEST, wait->flow),
			REPORT_REQUEST, wait->flow, from, to);

	if (!wait->flow || !s)
		return;
	step(q, depth, from, earlier(s->from, to), s->what, "not submitted yet",
	     "");
	step(q, depth, later(s->from, from), earlier(s->to, to), s->what,
	     "in the kernel", "");
	step(q, depth, later(s->to, from), to, s->what,
	     "completed, and not taken yet", "");
}

/* The steps of a coroutine between two times. */
static void walk(const struct paths *p, struct report_request *q,
		 const char *who, int depth, uint64_t from, uint64_t to)
{
	uint64_t key = hash_of(who, q->process);
	const struct slice *s = first_of(p, REPORT_CORO, key);

	if (depth > DEPTH_MAX || q->steps == REPORT_STEPS)
		return;
	for (; (s = next_of(p, s, REPORT_CORO, key, from, to)); s++) {
		uint64_t a = later(s->from, from), b = earlier(s->to, to);

		step(q, depth, a, b, who, s->what, s->by);
		if (s->state == REPORT_RUNS)
			off_cpu(p, q, s, depth + 1, a, b);
		else if (s->state == REPORT_WAITS && s->flow)
			in_kernel(p, q, s, depth + 1, a, b);
		else if (s->state == REPORT_WAITS && strcmp(s->by, who))
			walk(p, q, s->by, depth + 1, a, b);
	}
}

void report_paths(struct report *r, FILE *f)
{
	struct report *again = calloc(1, sizeof(*again));
	struct paths p = { .of = r,
			   .slice = malloc(SLICES_MAX * sizeof(*p.slice)),
			   .worker = malloc(WORKERS_MAX * sizeof(*p.worker)) };

	if (again && p.slice && p.worker && r->slow[0].ns &&
	    !fseek(f, 0, SEEK_SET)) {
		again->on_slice = keep;
		again->on_slice_arg = &p;
		report_read(again, f);
		find_workers(&p, again);
		qsort(p.slice, p.n, sizeof(*p.slice), by_key);
		for (int i = 0; i < REPORT_SLOW && r->slow[i].ns; i++)
			walk(&p, &r->slow[i], r->slow[i].coro, 0,
			     r->slow[i].at_ns,
			     r->slow[i].at_ns + r->slow[i].ns);
	}
	free(again);
	free(p.slice);
	free(p.worker);
}
