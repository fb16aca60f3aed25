// SPDX-License-Identifier: MIT
/*
 * The events that the scheduler writes into the trace rings (base/trace.h)
 * while a tool reads them. One event names the coroutine that runs next, since
 * a coroutine switches straight to the next; the event before it names the one
 * that left.
 *
 * The opcode of the operation that a coroutine parks for is read back from the
 * submission queue's last entry: so untraced programs do not pay for keeping
 * it.
 */
#define _GNU_SOURCE
#include "context.h"
#include "sched.h"
#include <string.h>
#include <unistd.h>

const char *const urt__reason_names[] = {
#define X(symbol, name, counter) name,
	URT__REASONS(X)
#undef X
};

/* False: no tool reads any more. */
static bool is_read(int64_t now_ns)
{
	struct urt__trace_page *p = urt__rt.trace;
	int64_t until_ns = __atomic_load_n(&p->until_ns, __ATOMIC_RELAXED);

	if (now_ns < until_ns)
		return true;
	/* No effect if a reader has just come back. */
	__atomic_compare_exchange_n(&p->until_ns, &until_ns, 0, false,
				    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	return false;
}

/* Writes an event, and adds the time if it has none. False: no tool reads any
 * more. */
static bool write_event(unsigned ring, struct urt__trace_event *e)
{
	if (!e->ns) {
		e->ns = urt__clock_ns();
		if (!is_read(e->ns))
			return false;
	}
	urt__trace_write(urt__rt.trace, ring, e);
	return true;
}

static void stop(struct urt__worker *w)
{
	__atomic_fetch_and(&w->tracing, ~URT__TELL_EVENTS, __ATOMIC_RELAXED);
}

static bool write_own(struct urt__worker *w, struct urt__trace_event *e)
{
	unsigned ring = 1 + w->index;

	__atomic_store_n(&urt__rt.trace->ring[ring].tid, w->tid,
			 __ATOMIC_RELAXED);
	w->trace_reap = 0; /* a ring's times never go back */
	if (write_event(ring, e))
		return true;
	stop(w);
	return false;
}

/* ---- one request of many ---- */

#define LOOK_EVERY 1024 /* events that are not written */

static _Atomic uint64_t requests; /* since the first sample */

static uint32_t sample(void)
{
	return __atomic_load_n(&urt__rt.trace->sample, __ATOMIC_RELAXED);
}

static bool is_wanted(const struct urt_coro *c)
{
	return c && (!sample() || c->sampled);
}

/* Instead of an event that is not wanted: it would have seen the reader's end. */
static void skip(struct urt__worker *w)
{
	if (!(++w->trace_skipped % LOOK_EVERY) && !is_read(urt__clock_ns()))
		stop(w);
}

static void write_turn(struct urt__worker *w, uint8_t how,
		       const struct urt_coro *next);

/* c's context is new. Whether an event of that is to be written. */
static bool choose(struct urt__worker *w, struct urt_coro *c, uint32_t n)
{
	bool was = c->sampled;
	uint64_t id[2] = { 0 };

	if (c != w->current) /* it began in that request */
		return was;
	if (c->context)
		memcpy(id, c->context->trace_id, sizeof(id));
	id[0] ^= id[1];
	/* The same request again keeps its choice. */
	if (!id[0] || id[0] != c->request_id)
		c->sampled = c->context &&
			     !((atomic_fetch_add(&requests, 1) + 1) % n);
	c->request_id = id[0];
	if (was && !c->sampled)
		write_turn(w, URT__TRACE_ENDED, NULL);
	if (!was && c->sampled)
		write_turn(w, URT__TRACE_LOOP, c);
	return c->sampled;
}

/* On ring 0, whose writers take turns. */
static uint32_t outside_lock;

static void write_outside(struct urt__trace_event *e)
{
	urt__lock(&outside_lock);
	write_event(0, e);
	urt__unlock(&outside_lock);
}

static uint64_t entry_of(const struct urt_coro *c)
{
	return c->scope ? (uintptr_t)c->scope_fn : (uintptr_t)c->fn;
}

static uint64_t id_of(const struct urt_coro *c)
{
	return c ? c->id : 0;
}

/* The coroutine on whose behalf the worker's thread acts now: in a commit, the
 * one that left. */
static uint64_t doer(const struct urt__worker *w)
{
	return w->parked || w->commit ? w->trace_left : id_of(w->current);
}

static void describe_operation(const struct urt__worker *w,
			       const struct urt_coro *c,
			       struct urt__trace_event *e)
{
	const struct urt__ring *r = &w->ring;
	const struct io_uring_sqe *last =
		&r->sqes[(r->sq_tail - 1) & r->sq_mask];

	e->arg = (uintptr_t)c->op;
	e->opcode =
		last->user_data == e->arg ? last->opcode : URT__TRACE_NO_OPCODE;
}

static void describe_leaving(const struct urt__worker *w,
			     const struct urt_coro *c, bool dying,
			     struct urt__trace_event *e)
{
	e->reason = atomic_load_explicit(&c->reason, memory_order_relaxed);
	if (dying)
		e->how = URT__TRACE_ENDED;
	else if (w->parked == c)
		e->how = URT__TRACE_PARKED;
	else if (e->reason == URT__R_PREEMPTED)
		e->how = URT__TRACE_PREEMPTED;
	else
		e->how = URT__TRACE_YIELDED;
	if (e->how == URT__TRACE_PARKED && w->park_state == URT__IO)
		describe_operation(w, c, e);
}

static struct urt__trace_event turn(uint8_t how, const struct urt_coro *next)
{
	return (struct urt__trace_event){ .kind = URT__TRACE_SWITCH,
					  .how = how,
					  .opcode = URT__TRACE_NO_OPCODE,
					  .coro = id_of(next),
					  .fn = next ? entry_of(next) : 0 };
}

static void write_turn(struct urt__worker *w, uint8_t how,
		       const struct urt_coro *next)
{
	struct urt__trace_event e = turn(how, next);

	write_own(w, &e);
}

static void trace_switch(struct urt__worker *w, bool dying,
			 const struct urt_coro *next)
{
	bool left = is_wanted(w->current), to = is_wanted(next);
	struct urt__trace_event e;

	w->trace_left = id_of(w->current);
	if (!left && !to) {
		skip(w);
		return;
	}
	e = turn(URT__TRACE_LOOP, to ? next : NULL);
	if (left) {
		describe_leaving(w, w->current, dying, &e);
		w->current->sampled &= !dying;
	}
	write_own(w, &e);
}

/* Volatile, as the reader of a context interrupts this thread. */
void urt__tell_switch(struct urt__worker *w, bool dying, struct urt_coro *next)
{
	uint32_t bits = urt__telling(w);

	if (bits & URT__TELL_CHECK && w->current)
		urt__rt.check_switch(w, dying);
	if (bits & URT__TELL_FOLLOW && next)
		urt__probe_run(w, next);
	if (bits & URT__TELL_ARMED && w->current && !w->parked && !dying)
		urt__probe_ready(w, w->current); /* it yields */
	if (bits & URT__TELL_CONTEXT)
		*(struct urt_context *volatile *)w->context =
			next ? next->context : NULL;
	if (bits & URT__TELL_CXX)
		urt__exceptions_switch(w, dying, next);
	if (bits & URT__TELL_EVENTS)
		trace_switch(w, dying, next);
}

/*
 * The coroutines whose operations one reap completes have one time, that of the
 * first: to read the clock is most of the cost of an event. They parked on this
 * worker, so before the reap began; and each runs after its event was written, so
 * at a later time.
 */
static uint32_t reap_of(const struct urt__worker *w, const struct urt_coro *c)
{
	/* One that closes a file waits for others' operations. */
	bool own = atomic_load_explicit(&c->reason, memory_order_relaxed) ==
			   URT__R_IO &&
		   !c->object;

	return own ? w->ring.reaping : 0;
}

void urt__trace_ready(struct urt__worker *w, const struct urt_coro *c)
{
	struct urt__trace_event e = { .kind = URT__TRACE_READY,
				      .coro = c->id,
				      .fn = entry_of(c),
				      .arg = doer(w) };
	uint32_t reap = reap_of(w, c);

	if (!is_wanted(c)) {
		skip(w);
		return;
	}
	if (reap && reap == w->trace_reap)
		e.ns = w->trace_reap_ns;
	if (write_own(w, &e) && reap) {
		w->trace_reap = reap;
		w->trace_reap_ns = e.ns;
	}
}

static inline void put_text(struct urt__trace_event *e, const uint8_t *from,
			    size_t n)
{
	uint8_t text[16] = { 0 };

	memcpy(text, from, n < sizeof(text) ? n : sizeof(text));
	memcpy(&e->fn, text, 8);
	memcpy(&e->arg, text + 8, 8);
}

void urt__trace_context(struct urt__worker *w, struct urt_coro *c)
{
	uint32_t n = sample();
	const struct urt_context *ctx = c->context;
	struct urt__trace_event id = { .kind = ctx ? URT__TRACE_CONTEXT
						   : URT__TRACE_NO_CONTEXT,
				       .how = n != 0,
				       .coro = c->id };
	struct urt__trace_event route = { .kind = URT__TRACE_ROUTE,
					  .coro = c->id };

	if (n && !choose(w, c, n)) {
		skip(w);
		return;
	}
	if (ctx)
		put_text(&id, ctx->trace_id, sizeof(ctx->trace_id));
	if (!write_own(w, &id) || !ctx)
		return;
	if (ctx->attrs_size > 2)
		put_text(&route, ctx->attrs + 2, ctx->attrs[1]);
	route.ns = id.ns; /* the clock is most of the cost of an event */
	urt__trace_write(urt__rt.trace, 1 + w->index, &route);
}

void urt__tell_spawn(struct urt__worker *w, struct urt_coro *c)
{
	struct urt__trace_event e = { .kind = URT__TRACE_SPAWN,
				      .coro = c->id,
				      .fn = entry_of(c),
				      .arg = doer(w) };
	uint32_t bits = urt__telling(w);

	if (bits & URT__TELL_CONTEXT)
		urt__context_inherit(c, w->current);
	c->request_id = 0;
	c->sampled = c->context && w->current && w->current->sampled;
	if (bits & URT__TELL_EVENTS && is_wanted(c)) {
		write_own(w, &e);
		if (c->context)
			urt__trace_context(w, c);
	}
	if (bits & URT__TELL_ARMED)
		urt__probe_ready(w, c);
}

void urt__trace_steal(struct urt__worker *w, unsigned n, unsigned from)
{
	struct urt__trace_event e = { .kind = URT__TRACE_STEAL,
				      .coro = n,
				      .arg = from };

	if (!sample())
		write_own(w, &e);
}

void urt__trace_ready_outside(const struct urt_coro *c)
{
	struct urt__trace_event e = { .kind = URT__TRACE_READY,
				      .coro = c->id,
				      .fn = entry_of(c),
				      .arg = gettid() };

	if (is_wanted(c))
		write_outside(&e);
}

void urt__trace_handoff(const struct urt__worker *from,
			const struct urt__worker *to)
{
	struct urt__trace_event e = { .kind = URT__TRACE_HANDOFF,
				      .coro = from->index,
				      .arg = to->index };

	if (!sample())
		write_outside(&e);
}

/* The thread that held the lock does not exist in the child. */
void urt__trace_forget(void)
{
	outside_lock = 0;
}
