// SPDX-License-Identifier: MIT
/*
 * From events to a timeline. A thread's track is a row of slices: running, or
 * waiting in what it waits in; when it runs again, the slice tells who woke it
 * and how long it then had to wait for a CPU. A request of io_uring is a slice
 * in a lane of its process (as many lanes as there are requests at a time),
 * tied by a flow to where it was submitted and to who completed it.
 *
 * Memory is bounded: tables of fixed size, open addressing; what finds no
 * place is counted with the dropped events. The messages are encoded by
 * protobuf-c from perfetto.proto; a file of them is only a sequence of packets,
 * each with its length before it, so one that ends early can be read to there.
 */
#define _GNU_SOURCE
#include "timeline.h"
#include "perfetto.pb-c.h"
#include "tool.h"
#include <stdlib.h>
#include <string.h>

#define THREADS	 32768 /* powers of two */
#define REQUESTS 131072
#define LANES	 4096
#define SEQUENCE 1

struct thread {
	uint32_t tid, pid; /* tid 0: a free place */
	char comm[16];	   /* the name that was written */
	bool open;	   /* a slice is */
	uint64_t woken_ns; /* since when it waits for a CPU; 0: it does not */
	uint32_t woken_by;
	char waker[17];
	uint64_t flow; /* of the waking; 0: its waker is not traced */
};

struct request {
	uint64_t key; /* its address; 0: a free place, 1: a used one */
	uint64_t flow;
	uint64_t track;
	uint32_t lane;
	uint8_t op;
};

struct timeline {
	FILE *f;
	int64_t size; /* bytes; -1: writing failed */
	uint64_t last_ns, next_flow, no_place;
	struct thread thread[THREADS];
	struct request request[REQUESTS];
	uint32_t lane_pid[LANES]; /* whose request is in it; 0: nobody's */
	bool lane_named[LANES];
	uint32_t lane_owner[LANES]; /* whose it is, once named */
};

/* ---- packets ---- */

static void write_packet(struct timeline *t, Urt__TracePacket *p)
{
	static uint8_t buf[4096];
	size_t n = urt__trace_packet__get_packed_size(p), head = 0;
	uint8_t prefix[8];

	if (n > sizeof(buf) || t->size < 0)
		return;
	urt__trace_packet__pack(p, buf);
	prefix[head++] = 0x0a; /* field 1 of the trace: a packet */
	for (size_t left = n; head < 7; left >>= 7) {
		prefix[head++] = (left & 0x7f) | (left > 0x7f ? 0x80 : 0);
		if (left <= 0x7f)
			break;
	}
	if (fwrite(prefix, 1, head, t->f) != head ||
	    fwrite(buf, 1, n, t->f) != n)
		t->size = -1;
	else
		t->size += head + n;
}

struct note {
	const char *name;
	uint64_t value;
	const char *text; /* NULL: the value */
};

struct mark {
	Urt__TrackEvent__Type type;
	uint64_t ns, track;
	const char *name, *category;
	uint64_t flow, flow_end; /* 0: none */
	struct note note[3];
	unsigned notes;
};

static void write_mark(struct timeline *t, const struct mark *m)
{
	Urt__TracePacket p = URT__TRACE_PACKET__INIT;
	Urt__TrackEvent e = URT__TRACK_EVENT__INIT;
	Urt__DebugAnnotation note[3], *notes[3];
	uint64_t flow = m->flow, flow_end = m->flow_end;
	char *category = (char *)m->category;

	for (unsigned i = 0; i < m->notes; i++) {
		urt__debug_annotation__init(&note[i]);
		note[i].name = (char *)m->note[i].name;
		note[i].string_value = (char *)m->note[i].text;
		note[i].has_uint_value = !m->note[i].text;
		note[i].uint_value = m->note[i].value;
		notes[i] = &note[i];
	}
	e.debug_annotations = notes;
	e.n_debug_annotations = m->notes;
	e.has_type = e.has_track_uuid = true;
	e.type = m->type;
	e.track_uuid = m->track;
	e.name = (char *)m->name;
	e.categories = &category;
	e.n_categories = category != NULL;
	e.flow_ids = &flow;
	e.n_flow_ids = flow != 0;
	e.terminating_flow_ids = &flow_end;
	e.n_terminating_flow_ids = flow_end != 0;
	p.has_timestamp = p.has_trusted_packet_sequence_id = true;
	p.timestamp = m->ns;
	p.trusted_packet_sequence_id = SEQUENCE;
	p.track_event = &e;
	write_packet(t, &p);
}

static uint64_t thread_track(uint32_t tid)
{
	return UINT64_C(1) << 40 | tid;
}

static uint64_t process_track(uint32_t pid)
{
	return UINT64_C(2) << 40 | pid;
}

static void write_descriptor(struct timeline *t, Urt__TrackDescriptor *d)
{
	Urt__TracePacket p = URT__TRACE_PACKET__INIT;

	d->has_uuid = true;
	p.has_trusted_packet_sequence_id = true;
	p.trusted_packet_sequence_id = SEQUENCE;
	p.track_descriptor = d;
	write_packet(t, &p);
}

static void name_thread(struct timeline *t, const struct urt_event *e)
{
	Urt__TrackDescriptor d = URT__TRACK_DESCRIPTOR__INIT;
	Urt__ThreadDescriptor thread = URT__THREAD_DESCRIPTOR__INIT;
	Urt__ProcessDescriptor process = URT__PROCESS_DESCRIPTOR__INIT;
	char name[17] = "";

	memcpy(name, e->comm, sizeof(e->comm));
	if (e->pid == e->tid) {
		d.uuid = process_track(e->pid);
		d.process = &process;
		process.has_pid = true;
		process.pid = e->pid;
		process.process_name = name;
		write_descriptor(t, &d);
		d.process = NULL;
	}
	d.uuid = thread_track(e->tid);
	d.has_parent_uuid = true;
	d.parent_uuid = process_track(e->pid);
	d.thread = &thread;
	thread.has_pid = thread.has_tid = true;
	thread.pid = e->pid;
	thread.tid = e->tid;
	thread.thread_name = name;
	write_descriptor(t, &d);
}

/* ---- threads ---- */

/* Its place, which is its own from then on; NULL: the table is full. */
static struct thread *thread_of(struct timeline *t, const struct urt_event *e)
{
	for (uint32_t i = 0; i < 64; i++) {
		struct thread *th = &t->thread[(e->tid + i) % THREADS];

		if (th->tid && th->tid != e->tid)
			continue;
		/* The name in a waking is not its own. */
		if (e->type == URT_EV_WAKE)
			return th->tid ? th : NULL;
		if (!th->tid)
			*th = (struct thread){ .tid = e->tid, .pid = e->pid };
		if (memcmp(th->comm, e->comm, sizeof(th->comm))) {
			memcpy(th->comm, e->comm, sizeof(th->comm));
			name_thread(t, e);
		}
		return th;
	}
	t->no_place++;
	return NULL;
}

static void end_slice(struct timeline *t, struct thread *th, uint64_t ns)
{
	struct mark m = { .type = URT__TRACK_EVENT__TYPE__SLICE_END,
			  .ns = ns,
			  .track = thread_track(th->tid) };

	if (th->open)
		write_mark(t, &m);
	th->open = false;
}

static void leaves(struct timeline *t, struct thread *th,
		   const struct urt_event *e)
{
	char name[64], buf[32];
	struct mark m = { .type = URT__TRACK_EVENT__TYPE__SLICE_BEGIN,
			  .ns = e->ns,
			  .track = thread_track(e->tid),
			  .name = name,
			  .category = "wait" };

	end_slice(t, th, e->ns);
	if (e->b & URT_EV_DEAD)
		return;
	th->woken_ns = 0;
	if (!(e->b & URT_EV_VOLUNTARY)) {
		snprintf(name, sizeof(name), "preempted");
		th->woken_ns = e->ns; /* it could have gone on */
		th->woken_by = 0;
	} else if (e->a == URT_EV_NO_SYSCALL) {
		snprintf(name, sizeof(name), "wait: page or stop");
	} else {
		snprintf(name, sizeof(name), "wait: %s",
			 syscall_name(e->a, buf));
	}
	write_mark(t, &m);
	th->open = true;
}

static void woken(struct timeline *t, struct thread *th,
		  const struct urt_event *e)
{
	struct thread *by = NULL;
	struct mark m = { .type = URT__TRACK_EVENT__TYPE__INSTANT,
			  .ns = e->ns,
			  .name = "wakes",
			  .category = "wake" };

	th->woken_ns = e->ns;
	th->woken_by = e->a;
	th->flow = 0;
	memcpy(th->waker, e->comm, sizeof(e->comm));
	for (uint32_t i = 0; i < 64 && !by; i++) {
		struct thread *x = &t->thread[((uint32_t)e->a + i) % THREADS];

		if (!x->tid)
			break;
		if (x->tid == e->a)
			by = x;
	}
	if (!by)
		return;
	th->flow = m.flow = ++t->next_flow;
	m.track = thread_track(by->tid);
	write_mark(t, &m);
}

static void runs(struct timeline *t, struct thread *th,
		 const struct urt_event *e)
{
	struct mark m = { .type = URT__TRACK_EVENT__TYPE__SLICE_BEGIN,
			  .ns = e->ns,
			  .track = thread_track(e->tid),
			  .name = TIMELINE_RUNNING,
			  .category = "run",
			  .flow_end = th->flow };
	char by[48];

	end_slice(t, th, e->ns);
	m.note[m.notes++] = (struct note){ "cpu", e->cpu, NULL };
	if (th->woken_ns)
		m.note[m.notes++] = (struct note){ TIMELINE_LATENCY,
						   e->ns - th->woken_ns, NULL };
	if (th->woken_ns && th->woken_by) {
		snprintf(by, sizeof(by), "%s (%u)", th->waker, th->woken_by);
		m.note[m.notes++] = (struct note){ TIMELINE_WOKEN_BY, 0, by };
	}
	write_mark(t, &m);
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
	return UINT64_C(3) << 40 | lane;
}

/* A lane of that process which nobody is in; LANES: none. */
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
		d.parent_uuid = process_track(pid);
		write_descriptor(t, &d);
		return i;
	}
	return LANES;
}

static void complete(struct timeline *t, const struct urt_event *e, bool known)
{
	struct request *r = request_of(t, e->a, false);
	char name[64], buf[32];
	struct mark m = { .type = URT__TRACK_EVENT__TYPE__SLICE_END,
			  .ns = e->ns };

	if (!r)
		return;
	m.track = lane_track(r->lane);
	write_mark(t, &m);
	t->lane_pid[r->lane] = 0;
	if (known) {
		m.type = URT__TRACK_EVENT__TYPE__INSTANT;
		m.track = thread_track(e->tid);
		m.category = "io_uring";
		m.name = name;
		m.flow_end = r->flow;
		snprintf(name, sizeof(name), "complete %s",
			 uring_op_name(r->op, buf));
		write_mark(t, &m);
	}
	r->key = 1;
}

static void submit(struct timeline *t, const struct urt_event *e)
{
	struct request *r;
	char name[64], buf[32];
	struct mark m = { .type = URT__TRACK_EVENT__TYPE__INSTANT,
			  .ns = e->ns,
			  .track = thread_track(e->tid),
			  .name = name,
			  .category = "io_uring" };
	uint32_t lane;

	complete(t, e, false); /* its end was dropped: the memory is new */
	lane = lane_take(t, e->pid);
	r = lane < LANES ? request_of(t, e->a, true) : NULL;
	if (!r) {
		t->no_place++;
		if (lane < LANES)
			t->lane_pid[lane] = 0;
		return;
	}
	r->lane = lane;
	r->op = e->b;
	r->flow = m.flow = ++t->next_flow;
	snprintf(name, sizeof(name), "submit %s", uring_op_name(e->b, buf));
	write_mark(t, &m);
	m.type = URT__TRACK_EVENT__TYPE__SLICE_BEGIN;
	m.track = lane_track(lane);
	m.name = uring_op_name(e->b, buf);
	write_mark(t, &m);
}

static void punted(struct timeline *t, const struct urt_event *e)
{
	struct request *r = request_of(t, e->a, false);
	struct mark m = { .type = URT__TRACK_EVENT__TYPE__INSTANT,
			  .ns = e->ns,
			  .name = "to a worker thread",
			  .category = "io_uring" };

	if (!r)
		return;
	m.track = lane_track(r->lane);
	write_mark(t, &m);
}

/* ---- the whole ---- */

struct timeline *timeline_new(FILE *f)
{
	struct timeline *t = calloc(1, sizeof(*t));

	if (t)
		t->f = f;
	return t;
}

void timeline_event(struct timeline *t, const struct urt_event *e)
{
	struct thread *th = thread_of(t, e);

	if (e->ns > t->last_ns)
		t->last_ns = e->ns;
	if (!th)
		return;
	switch (e->type) {
	case URT_EV_THREAD: /* its name is all it tells */
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
		submit(t, e);
		break;
	case URT_EV_PUNT:
		punted(t, e);
		break;
	case URT_EV_COMPLETE:
		complete(t, e, true);
		break;
	}
}

int64_t timeline_size(const struct timeline *t)
{
	return t->size;
}

int64_t timeline_finish(struct timeline *t, uint64_t dropped)
{
	struct mark m = { .type = URT__TRACK_EVENT__TYPE__INSTANT,
			  .ns = t->last_ns,
			  .track = process_track(0),
			  .name = "urt record",
			  .notes = 1 };
	int64_t size;

	m.note[0] =
		(struct note){ TIMELINE_DROPPED, dropped + t->no_place, NULL };
	for (unsigned i = 0; i < THREADS; i++)
		if (t->thread[i].open)
			end_slice(t, &t->thread[i], t->last_ns);
	write_mark(t, &m);
	if (fflush(t->f))
		t->size = -1;
	size = t->size;
	free(t);
	return size;
}
