// SPDX-License-Identifier: MIT
/*
 * Tracks of workers and coroutines, from the events of the trace rings.
 *
 * A worker's track has a slice for each stay of a coroutine on it. A coroutine
 * has a track while it lives (timeline_lane.c): it runs, waits for something,
 * or is runnable and waits for a worker. Coroutines beyond the number of tracks
 * are counted.
 *
 * Flows lead from a coroutine's waker to the place where it runs. If it waits
 * for an operation, they lead from the wait over the request's submission and
 * completion by the kernel (timeline.c, which asks by the request's user_data)
 * to the place where it runs.
 *
 * If events were overwritten, nothing is known of the run's coroutines after
 * the last event before the loss: their slices end there, and begin anew with
 * their first events after the next event of the same ring. Until then the run
 * is blind: events of other rings are drawn on their workers' tracks only. So
 * no slice spans a loss.
 *
 * A coroutine that has a context works for a request; the lane says which
 * (timeline_lane.c).
 */
#define _GNU_SOURCE
#include "timeline_coro.h"
#include "../measure/symbols.h"
#include "timeline.h"
#include "timeline_lane.h"
#include "../lib/text.h"
#include "../lib/tool.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FLOWS 65536 /* powers of two */
#define NAMES 256

struct function_name {
	uint64_t address; /* 0: a free place */
	char name[32];
};

struct worker {
	uint64_t current; /* coroutine; 0: none, or unknown */
	uint64_t fn;	  /* its entry */
	uint64_t last_ns;
	uint64_t lost; /* since its last event */
	uint32_t tid;
	bool named, open;
};

/* One that is going on. */
struct run {
	unsigned number; /* its own + 1; 0: a free place */
	unsigned blind;	 /* rings whose next event is awaited */
	pid_t pid;
	struct symbols *symbols;
	struct function_name name[NAMES];
	struct worker *worker; /* by ring */
	unsigned rings;
	const struct trace_head *head;
};

/* By a hash of pid and user_data; a later one replaces an earlier one. */
struct op_flow {
	uint64_t user_data, flow;
	uint32_t pid;
};

struct coro_timeline {
	struct timeline_file *out;
	struct lanes lanes;
	struct run run[TRACE_PAGES_MAX];
	struct op_flow op[FLOWS];
};

/* ---- runs ---- */

static const char *function(struct run *r, uint64_t address)
{
	struct function_name *n = NULL;

	for (unsigned i = 0; i < 8; i++) {
		n = &r->name[(address / 16 + i) % NAMES];
		if (n->address == address)
			return n->name;
		if (!n->address)
			break;
	}
	n->address = address;
	symbols_name(r->symbols, address, n->name, sizeof(n->name));
	return n->name;
}

static const char *coroutine(struct run *r, uint64_t coro, uint64_t fn,
			     char buf[LANE_NAME_LEN])
{
	snprintf(buf, LANE_NAME_LEN, "%.24s #%" PRIu64, function(r, fn), coro);
	return buf;
}

static struct run *run_begin(struct run *r, const struct trace_seen *s)
{
	memset(r, 0, sizeof(*r));
	r->worker = calloc(s->head->shape.rings, sizeof(*r->worker));
	if (!r->worker)
		return NULL;
	r->number = s->run + 1;
	r->pid = s->pid;
	r->head = s->head;
	r->rings = s->head->shape.rings;
	r->symbols =
		symbols_open(s->head->exe_fd, s->head->exe, s->head->entry);
	return r;
}

static struct run *run_of(struct coro_timeline *t, const struct trace_seen *s)
{
	struct run *free_place = NULL;

	for (unsigned i = 0; i < TRACE_PAGES_MAX; i++) {
		if (t->run[i].number == s->run + 1)
			return &t->run[i];
		if (!t->run[i].number)
			free_place = &t->run[i];
	}
	if (s->kind == TRACE_OVER || !free_place)
		return NULL;
	return run_begin(free_place, s);
}

/* ---- workers ---- */

static uint64_t worker_track(struct coro_timeline *t, struct run *r,
			     unsigned ring)
{
	Urt__TrackDescriptor d = URT__TRACK_DESCRIPTOR__INIT;
	char name[48] = "runtime: other threads";

	d.uuid = timeline_uuid(TIMELINE_WORKER,
			       (uint64_t)r->number << 12 | ring);
	if (r->worker[ring].named)
		return d.uuid;
	r->worker[ring].named = true;
	if (ring)
		snprintf(name, sizeof(name), "worker %u (thread %u)", ring - 1,
			 r->worker[ring].tid);
	d.name = name;
	d.has_parent_uuid = true;
	d.parent_uuid = timeline_process(r->pid);
	timeline_describe(t->out, &d);
	return d.uuid;
}

static void end_stay(struct coro_timeline *t, struct run *r, unsigned ring,
		     uint64_t ns)
{
	struct worker *w = &r->worker[ring];
	struct timeline_mark m = { .type = URT__TRACK_EVENT__TYPE__SLICE_END,
				   .ns = ns };

	if (w->open) {
		m.track = worker_track(t, r, ring);
		timeline_mark(t->out, &m);
	}
	w->open = false;
	w->current = 0;
}

static void instant(struct coro_timeline *t, struct run *r, unsigned ring,
		    uint64_t ns, const char *name, uint64_t flow)
{
	struct timeline_mark m = { .type = URT__TRACK_EVENT__TYPE__INSTANT,
				   .ns = ns,
				   .track = worker_track(t, r, ring),
				   .name = name,
				   .category = TIMELINE_RUNNABLE,
				   .flow = flow };

	timeline_mark(t->out, &m);
}

/* ---- operations ---- */

static struct op_flow *op_flow_of(const struct coro_timeline *t, uint32_t pid,
				  uint64_t user_data)
{
	uint64_t h = (user_data ^ pid) * UINT64_C(0x9e3779b97f4a7c15);

	return (struct op_flow *)&t->op[(h >> 40) % FLOWS];
}

uint64_t coro_timeline_flow(const struct coro_timeline *t, uint32_t pid,
			    uint64_t user_data)
{
	const struct op_flow *f = op_flow_of(t, pid, user_data);

	return user_data && f->user_data == user_data && f->pid == pid ? f->flow
								       : 0;
}

/* ---- events ---- */

/* NULL: it has no track. */
static struct lane *lane_of(struct coro_timeline *t, struct run *r,
			    uint64_t coro, uint64_t fn, uint64_t ns)
{
	struct lane *l;
	char name[LANE_NAME_LEN];

	if (r->blind)
		return NULL;
	l = lane_find(&t->lanes, r->number, coro);
	return l ? l
		 : lane_begin(&t->lanes, r->number, r->pid, coro,
			      coroutine(r, coro, fn, name), ns);
}

static void waits(struct coro_timeline *t, struct run *r, struct lane *l,
		  const struct urt__trace_event *e, uint64_t ns)
{
	char name[64], buf[32];
	struct timeline_mark m = { .ns = ns,
				   .name = name,
				   .category = TIMELINE_CORO_WAIT };

	snprintf(name, sizeof(name), "%.23s",
		 r->head->reason[e->reason % URT__TRACE_REASONS]);
	if (e->arg && e->opcode != URT__TRACE_NO_OPCODE)
		snprintf(name, sizeof(name), "io %s",
			 uring_op_name(e->opcode, buf));
	l->op_flow = 0;
	if (e->arg) { /* hidden: no flow, not even that of an earlier request at
			 this address */
		l->op_flow = m.flow = l->hidden ? 0 : ++t->out->flows;
		l->op = e->arg;
		*op_flow_of(t, r->pid, e->arg) = (struct op_flow){
			.user_data = e->arg, .flow = m.flow, .pid = r->pid
		};
	}
	lane_slice(&t->lanes, l, &m);
}

static void runnable(struct coro_timeline *t, struct lane *l, const char *name,
		     const char *by, uint64_t ns)
{
	struct timeline_mark m = { .ns = ns,
				   .name = name,
				   .category = TIMELINE_RUNNABLE };

	if (by)
		m.note[m.notes++] =
			(struct timeline_note){ TIMELINE_WOKEN_BY, 0, by };
	lane_slice(&t->lanes, l, &m);
}

static void leaves(struct coro_timeline *t, struct run *r, uint64_t coro,
		   uint64_t fn, const struct urt__trace_event *e, uint64_t ns)
{
	struct lane *l = lane_of(t, r, coro, fn, ns);

	if (!l)
		return;
	if (e->how == URT__TRACE_ENDED)
		lane_end(&t->lanes, l, ns);
	else if (e->how == URT__TRACE_PARKED)
		waits(t, r, l, e, ns);
	else if (e->how == URT__TRACE_PREEMPTED)
		runnable(t, l, "preempted", NULL, ns);
	else
		runnable(t, l, "runnable", NULL, ns);
}

static void runs(struct coro_timeline *t, struct run *r, struct lane *l,
		 unsigned worker, uint64_t ns)
{
	struct timeline_mark m = { .ns = ns,
				   .name = TIMELINE_RUNNING,
				   .category = TIMELINE_CORO_RUN };

	m.note[m.notes++] = (struct timeline_note){ "worker", worker, NULL };
	m.flow_end = l->op_flow ? l->op_flow : l->flow;
	/* The next wait at this address may have no event, if it is hidden. */
	if (l->op)
		*op_flow_of(t, r->pid, l->op) = (struct op_flow){ 0 };
	l->flow = l->op_flow = l->op = 0;
	lane_slice(&t->lanes, l, &m);
}

static void switches(struct coro_timeline *t, struct run *r,
		     const struct trace_seen *s, uint64_t ns)
{
	const struct urt__trace_event *e = &s->event;
	struct worker *w = &r->worker[s->ring];
	uint64_t left = w->current;
	char name[LANE_NAME_LEN];
	struct timeline_mark m = { .type = URT__TRACK_EVENT__TYPE__SLICE_BEGIN,
				   .ns = ns,
				   .track = worker_track(t, r, s->ring),
				   .category = TIMELINE_CORO_RUN };
	struct lane *l;

	end_stay(t, r, s->ring, ns);
	if (left && e->how != URT__TRACE_LOOP)
		leaves(t, r, left, w->fn, e, ns);
	if (!e->coro)
		return;
	m.name = coroutine(r, e->coro, e->fn, name);
	w->current = e->coro;
	w->fn = e->fn;
	l = lane_of(t, r, e->coro, e->fn, ns);
	w->open = !t->lanes.sample || (l && !l->hidden);
	if (w->open)
		timeline_mark(t->out, &m);
	if (l)
		runs(t, r, l, s->ring - 1, ns);
}

/* verb: the action of the worker's coroutine, or of another thread. */
static void readied(struct coro_timeline *t, struct run *r, const char *verb,
		    const struct trace_seen *s, uint64_t ns)
{
	const struct urt__trace_event *e = &s->event;
	struct lane *l = lane_of(t, r, e->coro, e->fn, ns);
	struct lane *doer = lane_find(&t->lanes, r->number, e->arg);
	char by[48] = "a completion or a timer", what[80];

	if (!l)
		return;
	if (!s->ring)
		snprintf(by, sizeof(by), "thread %" PRIu64, e->arg);
	else if (doer)
		snprintf(by, sizeof(by), "%s", doer->name);
	else if (e->arg)
		snprintf(by, sizeof(by), "coroutine #%" PRIu64, e->arg);
	if ((e->arg || !s->ring) && !l->op_flow && !l->hidden) {
		l->flow = ++t->out->flows;
		snprintf(what, sizeof(what), "%s %s", verb, l->name);
		instant(t, r, s->ring, ns, what, l->flow);
	}
	runnable(t, l, "runnable", by, ns);
}

static void moved(struct coro_timeline *t, struct run *r, const char *format,
		  const struct trace_seen *s, uint64_t ns)
{
	char what[80];

	snprintf(what, sizeof(what), format, s->event.coro, s->event.arg);
	if (!t->lanes.sample)
		instant(t, r, s->ring, ns, what, 0);
}

/* A coroutine works for another request, or for none. */
static void context(struct coro_timeline *t, struct run *r,
		    const struct trace_seen *s, uint64_t ns)
{
	const struct urt__trace_event *e = &s->event;
	struct lane *l = lane_find(&t->lanes, r->number, e->coro);
	uint64_t runs_here = r->worker[s->ring].current;
	struct lane *from = lane_find(&t->lanes, r->number, runs_here);
	uint8_t bytes[16];
	char route[17];

	memcpy(bytes, &e->fn, 8);
	memcpy(bytes + 8, &e->arg, 8);
	if (!l || !from)
		return;
	if (e->kind == URT__TRACE_NO_CONTEXT)
		lane_request_end(&t->lanes, l, ns);
	else if (e->kind == URT__TRACE_ROUTE)
		lane_request_named(&t->lanes, l,
				   text_copy(route, sizeof(route),
					     (char *)bytes, sizeof(bytes)),
				   ns);
	else if (!lane_request_begin(&t->lanes, l, l == from ? NULL : from,
				     e->how, bytes, ns))
		;
	else if (l == from)
		runs(t, r, l, s->ring - 1, ns);
	else
		runnable(t, l, "runnable", from->name, ns);
}

static void event(struct coro_timeline *t, struct run *r,
		  const struct trace_seen *s, uint64_t ns)
{
	switch (s->event.kind) {
	case URT__TRACE_SWITCH:
		switches(t, r, s, ns);
		break;
	case URT__TRACE_READY:
		readied(t, r, "readies", s, ns);
		break;
	case URT__TRACE_SPAWN:
		readied(t, r, "starts", s, ns);
		break;
	case URT__TRACE_STEAL:
		moved(t, r, "steals %" PRIu64 " from processor %" PRIu64, s,
		      ns);
		break;
	case URT__TRACE_HANDOFF:
		moved(t, r,
		      "processor of worker %" PRIu64 " to worker %" PRIu64, s,
		      ns);
		break;
	case URT__TRACE_CONTEXT:
	case URT__TRACE_ROUTE:
	case URT__TRACE_NO_CONTEXT:
		context(t, r, s, ns);
	}
}

/* Nothing is known of the run's coroutines after ns. */
static void lost(struct coro_timeline *t, struct run *r,
		 const struct trace_seen *s, uint64_t ns)
{
	struct worker *w = &r->worker[s->ring];

	end_stay(t, r, s->ring, w->last_ns);
	lanes_end(&t->lanes, r->number, ns);
	r->blind += !w->lost;
	w->lost += s->lost;
}

/* The first event after a loss. */
static void sees_again(struct coro_timeline *t, struct run *r, unsigned ring,
		       uint64_t ns)
{
	char what[80];

	snprintf(what, sizeof(what), "%" PRIu64 " events overwritten",
		 r->worker[ring].lost);
	instant(t, r, ring, ns, what, 0);
	r->worker[ring].lost = 0;
	r->blind--;
}

static void run_ends(struct coro_timeline *t, struct run *r, uint64_t ns)
{
	for (unsigned i = 0; i < r->rings; i++)
		end_stay(t, r, i, ns);
	lanes_end(&t->lanes, r->number, ns);
	symbols_close(r->symbols);
	free(r->worker);
	r->number = 0;
}

/* The run's last event; its end becomes known some time later. */
static uint64_t run_last(const struct run *r)
{
	uint64_t ns = 0;

	for (unsigned i = 0; i < r->rings; i++)
		if (r->worker[i].last_ns > ns)
			ns = r->worker[i].last_ns;
	return ns;
}

void coro_timeline_event(struct coro_timeline *t, const struct trace_seen *s,
			 int64_t ns)
{
	struct run *r = run_of(t, s);

	if (!r)
		return;
	if (s->kind == TRACE_OVER) {
		run_ends(t, r, run_last(r));
	} else if (s->kind == TRACE_LOST) {
		lost(t, r, s, s->ns ? ns : 0);
	} else {
		r->worker[s->ring].tid = s->tid;
		if (r->worker[s->ring].lost)
			sees_again(t, r, s->ring, ns);
		event(t, r, s, ns);
		r->worker[s->ring].last_ns = ns;
	}
}

uint64_t coro_timeline_untracked(const struct coro_timeline *t)
{
	return t->lanes.missed;
}

/* ---- the whole ---- */

struct coro_timeline *coro_timeline_new(struct timeline_file *out,
					unsigned tracks, unsigned sample)
{
	struct coro_timeline *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->out = out;
	if (lanes_init(&t->lanes, out, tracks, sample))
		return t;
	free(t);
	return NULL;
}

void coro_timeline_free(struct coro_timeline *t, uint64_t ns)
{
	for (unsigned i = 0; i < TRACE_PAGES_MAX; i++)
		if (t->run[i].number)
			run_ends(t, &t->run[i], ns);
	lanes_destroy(&t->lanes);
	free(t);
}
