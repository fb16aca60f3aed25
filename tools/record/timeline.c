// SPDX-License-Identifier: MIT
/*
 * From events to a timeline. A thread's track is a row of slices: running, or
 * waiting, with the cause; when the thread runs again, the slice names its
 * waker and the time for which it then waited for a CPU. A request of io_uring
 * is a slice in a lane of its process (as many lanes as there are requests at a
 * time), tied by flows to its submission and to the thread that completed it.
 *
 * Memory is bounded: tables of fixed size, open addressing; an event that finds
 * no place is counted with the dropped ones. Encoding: timeline_write.c; what
 * coroutines do: timeline_coro.c.
 */
#define _GNU_SOURCE
#include "timeline.h"
#include "timeline_coro.h"
#include "timeline_write.h"
#include "../lib/text.h"
#include "../lib/tool.h"
#include <stdlib.h>
#include <string.h>

#define THREADS	 32768 /* powers of two */
#define REQUESTS 131072
#define LANES	 4096

struct thread {
	uint32_t tid, pid; /* tid 0: a free place */
	uint16_t earlier;  /* threads that had its number */
	char comm[16];	   /* the name written last */
	bool named;	   /* its track is described */
	bool open;	   /* a slice is */
	uint64_t woken_ns; /* since when it has waited for a CPU; 0: it does not
			      wait. While it runs: it was woken then, on its way
			      to leave the CPU or to find that it need not */
	uint32_t woken_by; /* 0: no thread */
	char waker[17];
	uint64_t flow; /* from its waker; 0: its waker is not traced */
};

struct request {
	uint64_t key; /* its address; 0: a free place, 1: a used one */
	uint64_t flow;
	uint64_t data; /* its user_data */
	uint32_t lane;
	uint8_t op;
	bool awaited; /* by a coroutine, where its flow ends */
};

struct timeline {
	struct timeline_file out;
	struct coro_timeline *coro;
	uint64_t last_ns, no_place;
	unsigned sample;
	struct thread thread[THREADS];
	struct request request[REQUESTS];
	uint32_t lane_pid[LANES]; /* the process of its request; 0: the lane is
				     free */
	bool lane_named[LANES];
	uint32_t lane_owner[LANES]; /* the process for which it was named */
	struct request *lane_request[LANES];
};

static uint64_t track_of(const struct thread *th)
{
	return timeline_uuid(TIMELINE_THREAD,
			     (uint64_t)th->earlier << 32 | th->tid);
}

static void name_thread(struct timeline *t, const struct thread *th)
{
	Urt__TrackDescriptor d = URT__TRACK_DESCRIPTOR__INIT;
	Urt__ThreadDescriptor thread = URT__THREAD_DESCRIPTOR__INIT;
	Urt__ProcessDescriptor process = URT__PROCESS_DESCRIPTOR__INIT;
	char name[17];

	text_copy(name, sizeof(name), th->comm, sizeof(th->comm));
	if (th->pid == th->tid) {
		d.uuid = timeline_process(th->pid);
		d.process = &process;
		process.has_pid = true;
		process.pid = th->pid;
		process.process_name = name;
		timeline_describe(&t->out, &d);
		d.process = NULL;
	}
	d.uuid = track_of(th);
	d.has_parent_uuid = true;
	d.parent_uuid = timeline_process(th->pid);
	d.thread = &thread;
	thread.has_pid = thread.has_tid = true;
	thread.pid = th->pid;
	thread.tid = th->tid;
	thread.thread_name = name;
	timeline_describe(&t->out, &d);
}

/* ---- threads ---- */

static void end_slice(struct timeline *t, struct thread *th, uint64_t ns)
{
	struct timeline_mark m = { .type = URT__TRACK_EVENT__TYPE__SLICE_END,
				   .ns = ns,
				   .track = track_of(th) };

	if (th->open)
		timeline_mark(&t->out, &m);
	th->open = false;
}

/* If another thread had its number, it gets a track of its own. */
static void begins(struct timeline *t, struct thread *th,
		   const struct urt_event *e)
{
	if (!th->named)
		return;
	end_slice(t, th, e->ns);
	*th = (struct thread){ .tid = e->tid,
			       .pid = e->pid,
			       .earlier = th->earlier + 1 };
}

/* The place of the thread's number; NULL: the table is full. */
static struct thread *thread_of(struct timeline *t, const struct urt_event *e)
{
	for (uint32_t i = 0; i < 64; i++) {
		struct thread *th = &t->thread[(e->tid + i) % THREADS];

		if (th->tid && th->tid != e->tid)
			continue;
		/* The name in a wake-up event is not the thread's own. */
		if (e->type == URT_EV_WAKE)
			return th->tid ? th : NULL;
		if (th->tid && e->type > URT_EV_WAKE)
			return th;
		if (!th->tid)
			*th = (struct thread){ .tid = e->tid, .pid = e->pid };
		else if (e->type == URT_EV_THREAD && e->arg)
			begins(t, th, e);
		if (th->named && !memcmp(th->comm, e->comm, sizeof(th->comm)))
			return th;
		/* An event of a request has no name. */
		if (e->type < URT_EV_WAKE)
			memcpy(th->comm, e->comm, sizeof(th->comm));
		th->named = true;
		name_thread(t, th);
		return th;
	}
	t->no_place++;
	return NULL;
}

static void leaves(struct timeline *t, struct thread *th,
		   const struct urt_event *e)
{
	char name[64], buf[32];
	struct timeline_mark m = { .type = URT__TRACK_EVENT__TYPE__SLICE_BEGIN,
				   .ns = e->ns,
				   .track = track_of(th),
				   .name = name,
				   .category = "wait" };

	end_slice(t, th, e->ns);
	if (e->op & URT_EV_DEAD)
		return;
	if (th->woken_ns)
		th->woken_ns = e->ns;
	if (!(e->op & URT_EV_VOLUNTARY)) {
		snprintf(name, sizeof(name), "preempted");
		th->woken_ns = e->ns; /* it could run from then on */
		th->flow = 0;
		th->waker[0] = '\0';
	} else if (e->op & URT_EV_KERNEL) {
		snprintf(name, sizeof(name), "wait: in the kernel");
	} else if (e->arg == URT_EV_NO_SYSCALL) {
		snprintf(name, sizeof(name), "wait: page or stop");
	} else {
		snprintf(name, sizeof(name), "wait: %s",
			 e->op & URT_EV_32_BIT ? syscall_name_32(e->arg, buf)
					       : syscall_name(e->arg, buf));
	}
	timeline_mark(&t->out, &m);
	th->open = true;
}

static void woken(struct timeline *t, struct thread *th,
		  const struct urt_event *e)
{
	struct thread *by = NULL;
	struct timeline_mark m = { .type = URT__TRACK_EVENT__TYPE__INSTANT,
				   .ns = e->ns,
				   .name = "wakes",
				   .category = "wake" };

	th->woken_ns = e->ns;
	th->woken_by = e->arg;
	th->flow = 0;
	if (e->arg)
		text_copy(th->waker, sizeof(th->waker), e->comm,
			  sizeof(e->comm));
	else
		strcpy(th->waker, e->op ? "a timer" : "an interrupt");
	for (uint32_t i = 0; i < 64 && e->arg && !by; i++) {
		struct thread *x = &t->thread[(e->arg + i) % THREADS];

		if (!x->tid)
			break;
		if (x->tid == e->arg)
			by = x;
	}
	if (!by)
		return;
	th->flow = m.flow = ++t->out.flows;
	m.track = track_of(by);
	timeline_mark(&t->out, &m);
}

static void runs(struct timeline *t, struct thread *th,
		 const struct urt_event *e)
{
	struct timeline_mark m = { .type = URT__TRACK_EVENT__TYPE__SLICE_BEGIN,
				   .ns = e->ns,
				   .track = track_of(th),
				   .name = TIMELINE_RUNNING,
				   .category = "run",
				   .flow_end = th->flow };
	char by[48];

	end_slice(t, th, e->ns);
	m.note[m.notes++] = (struct timeline_note){ "cpu", e->arg, NULL };
	if (th->woken_ns)
		m.note[m.notes++] =
			(struct timeline_note){ TIMELINE_LATENCY,
						e->ns - th->woken_ns, NULL };
	if (th->woken_ns && th->waker[0]) {
		snprintf(by, sizeof(by), th->woken_by ? "%s (%u)" : "%s",
			 th->waker, th->woken_by);
		m.note[m.notes++] =
			(struct timeline_note){ TIMELINE_WOKEN_BY, 0, by };
	}
	timeline_mark(&t->out, &m);
	th->open = true;
	th->woken_ns = th->flow = 0;
}

/* ---- requests ---- */

static struct request *request_of(struct timeline *t, uint64_t key, bool make)
{
	uint64_t at = (key >> 6) * UINT64_C(0x9e3779b97f4a7c15) >> 40;
	struct request *free_place = NULL;

	for (unsigned i = 0; i < 64; i++) {
		struct request *r = &t->request[(at + i) % REQUESTS];

		if (r->key == key)
			return r;
		if (r->key <= 1 && !free_place)
			free_place = r;
		if (!r->key)
			break;
	}
	if (make && free_place)
		free_place->key = key;
	return make ? free_place : NULL;
}

static uint64_t lane_track(uint32_t lane)
{
	return timeline_uuid(TIMELINE_REQUESTS, lane);
}

/* A free lane of that process; LANES: none. */
static uint32_t lane_take(struct timeline *t, uint32_t pid)
{
	for (uint32_t i = 0; i < LANES; i++) {
		Urt__TrackDescriptor d = URT__TRACK_DESCRIPTOR__INIT;

		if (t->lane_pid[i] ||
		    (t->lane_named[i] && t->lane_owner[i] != pid))
			continue;
		t->lane_pid[i] = t->lane_owner[i] = pid;
		if (t->lane_named[i])
			return i;
		t->lane_named[i] = true;
		d.uuid = lane_track(i);
		d.name = "io_uring";
		d.has_parent_uuid = true;
		d.parent_uuid = timeline_process(pid);
		timeline_describe(&t->out, &d);
		return i;
	}
	return LANES;
}

/*
 * r: NULL: not known. With `known` false, only that it has ended: the event of its
 * end was dropped, or it had asked for none; so its length means nothing.
 */
static void complete(struct timeline *t, const struct thread *th,
		     const struct urt_event *e, struct request *r, bool known)
{
	char name[64], buf[32];
	struct timeline_mark m = { .type = URT__TRACK_EVENT__TYPE__SLICE_END,
				   .ns = e->ns };

	if (!r)
		return;
	m.track = lane_track(r->lane);
	if (!known)
		m.note[m.notes++] =
			(struct timeline_note){ TIMELINE_IN_FLIGHT, 1, NULL };
	timeline_mark(&t->out, &m);
	t->lane_pid[r->lane] = 0;
	if (known) {
		m.type = URT__TRACK_EVENT__TYPE__INSTANT;
		m.track = track_of(th);
		m.category = "io_uring";
		m.name = name;
		*(r->awaited ? &m.flow : &m.flow_end) = r->flow;
		snprintf(name, sizeof(name), "complete %s",
			 uring_op_name(r->op, buf));
		timeline_mark(&t->out, &m);
	}
	r->key = 1;
}

/* Such an event names no request: it is taken for the first one in flight of the
 * process that has the user_data. NULL: none; it is a message of another ring. */
static struct request *overflowed(struct timeline *t, const struct urt_event *e)
{
	for (uint32_t i = 0; i < LANES; i++)
		if (t->lane_pid[i] == e->pid &&
		    t->lane_request[i]->data == e->b)
			return t->lane_request[i];
	return NULL;
}

/* One completion of many: the request's own slice continues. */
static void complete_in_between(struct timeline *t, const struct thread *th,
				const struct urt_event *e)
{
	struct timeline_mark m = { .type = URT__TRACK_EVENT__TYPE__INSTANT,
				   .ns = e->ns,
				   .track = track_of(th),
				   .name = "complete, and go on",
				   .category = TIMELINE_MORE };

	timeline_mark(&t->out, &m);
}

static void submit(struct timeline *t, const struct thread *th,
		   const struct urt_event *e)
{
	struct request *r;
	char name[64], buf[32];
	struct timeline_mark m = { .type = URT__TRACK_EVENT__TYPE__INSTANT,
				   .ns = e->ns,
				   .track = track_of(th),
				   .name = name,
				   .category = "io_uring" };
	uint32_t lane;

	/* The memory of one that has ended is used again. */
	complete(t, th, e, request_of(t, e->a, false), false);
	if (t->sample && !coro_timeline_flow(t->coro, e->pid, e->b))
		return;
	lane = lane_take(t, e->pid);
	r = lane < LANES ? request_of(t, e->a, true) : NULL;
	if (!r) {
		t->no_place++;
		if (lane < LANES)
			t->lane_pid[lane] = 0;
		return;
	}
	t->lane_request[lane] = r;
	r->lane = lane;
	r->op = e->op;
	r->data = e->b;
	r->flow = coro_timeline_flow(t->coro, e->pid, e->b);
	r->awaited = r->flow;
	if (!r->flow)
		r->flow = ++t->out.flows;
	m.flow = r->flow;
	snprintf(name, sizeof(name), "submit %s", uring_op_name(e->op, buf));
	timeline_mark(&t->out, &m);
	m.type = URT__TRACK_EVENT__TYPE__SLICE_BEGIN;
	m.track = lane_track(lane);
	m.name = uring_op_name(e->op, buf);
	timeline_mark(&t->out, &m);
}

static void punted(struct timeline *t, const struct urt_event *e)
{
	struct request *r = request_of(t, e->a, false);
	struct timeline_mark m = { .type = URT__TRACK_EVENT__TYPE__INSTANT,
				   .ns = e->ns,
				   .name = "to a worker thread",
				   .category = "io_uring" };

	if (!r)
		return;
	m.track = lane_track(r->lane);
	timeline_mark(&t->out, &m);
}

/* ---- the whole ---- */

struct timeline *timeline_new(FILE *f, unsigned coroutines, unsigned sample)
{
	struct timeline *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	if (timeline_file_begin(&t->out, f)) {
		t->sample = sample;
		t->coro = coro_timeline_new(&t->out, coroutines, sample);
		if (t->coro)
			return t;
		timeline_file_end(&t->out);
	}
	free(t);
	return NULL;
}

void timeline_coroutine(struct timeline *t, const struct trace_seen *s,
			int64_t ns)
{
	/* An event without a time (a run's end) does not change the last
	 * time. */
	if (s->ns && (uint64_t)ns > t->last_ns)
		t->last_ns = ns;
	coro_timeline_event(t->coro, s, ns);
}

void timeline_event(struct timeline *t, const struct urt_event *e)
{
	struct thread *th = thread_of(t, e);
	struct request *r;

	if (e->ns > t->last_ns)
		t->last_ns = e->ns;
	if (!th)
		return;
	switch (e->type) {
	case URT_EV_THREAD: /* it has only the name */
		break;
	case URT_EV_OUT:
		leaves(t, th, e);
		break;
	case URT_EV_IN:
		runs(t, th, e);
		break;
	case URT_EV_WAKE:
		woken(t, th, e);
		break;
	case URT_EV_SUBMIT:
		submit(t, th, e);
		break;
	case URT_EV_PUNT:
		punted(t, e);
		break;
	case URT_EV_COMPLETE:
	case URT_EV_OVERFLOW:
		r = e->type == URT_EV_OVERFLOW ? overflowed(t, e)
		    : e->a		       ? request_of(t, e->a, false)
					       : NULL;
		if (e->a || r)
			complete(t, th, e, r, true);
		else if (!t->sample)
			complete_in_between(t, th, e);
		break;
	}
}

int64_t timeline_size(const struct timeline *t)
{
	return t->out.size;
}

/* Requests in flight, and multishot ones, which continue until they are
 * cancelled. Their slices end with the recording, so their length means
 * nothing. */
static void end_requests(struct timeline *t)
{
	struct timeline_mark m = { .type = URT__TRACK_EVENT__TYPE__SLICE_END,
				   .ns = t->last_ns,
				   .notes = 1 };

	m.note[0] = (struct timeline_note){ TIMELINE_IN_FLIGHT, 1, NULL };
	for (unsigned i = 0; i < REQUESTS; i++) {
		if (t->request[i].key <= 1)
			continue;
		m.track = lane_track(t->request[i].lane);
		timeline_mark(&t->out, &m);
	}
}

int64_t timeline_finish(struct timeline *t, const struct timeline_lost *lost)
{
	struct timeline_mark m = { .type = URT__TRACK_EVENT__TYPE__INSTANT,
				   .ns = t->last_ns,
				   .track = timeline_process(0),
				   .name = "urt record",
				   .notes = 3 };
	int64_t size;

	m.note[0] = (struct timeline_note){ TIMELINE_DROPPED,
					    lost->events + t->no_place, NULL };
	m.note[1] = (struct timeline_note){ TIMELINE_OVERWRITTEN,
					    lost->coroutine_events, NULL };
	m.note[2] = (struct timeline_note){ TIMELINE_UNTRACKED,
					    coro_timeline_untracked(t->coro),
					    NULL };
	for (unsigned i = 0; i < THREADS; i++)
		if (t->thread[i].open)
			end_slice(t, &t->thread[i], t->last_ns);
	end_requests(t);
	coro_timeline_free(t->coro, t->last_ns);
	timeline_mark(&t->out, &m);
	timeline_file_end(&t->out);
	size = t->out.size;
	free(t);
	return size;
}
