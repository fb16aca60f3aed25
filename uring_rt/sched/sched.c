// SPDX-License-Identifier: MIT
/*
 * The scheduler: switch, park, ready and spawn.
 *
 * Words as in Go's proc.c: a coroutine (G) is the unit of scheduling, a worker
 * (M) is a thread with a ring, a processor (P) is the right to run coroutines
 * and holds the queue, the timers and the caches. A worker needs a processor to
 * run coroutines. queue.c has the order in which coroutines are chosen, and
 * loop.c the worker's loop; idle.c decides which workers run, sleep and are
 * woken; handoff.c takes a processor away from a thread that is stuck.
 *
 * A coroutine that parks or yields picks its successor itself and switches
 * straight to it: one switch, no scheduler in between. Only when there is
 * nothing to run, or every URT__TICKS switches, does it switch to the loop, on
 * the thread's own stack.
 *
 * The moment of parking. A coroutine may be readied, and run by another worker,
 * as soon as anyone can find it; but until its registers are saved it must not
 * be. So the step that makes the coroutine findable runs after the switch, on
 * the next context: the coroutine or loop that resumes from a switch first
 * commits for the one that left (after_switch): its park word is set to
 * WAITING, IO or JOB (coro.h), and the lock under which it was put on a list,
 * held across the switch, is released.
 *
 * Invariants:
 *   I1  a coroutine is in exactly one place: running, in one queue, or parked;
 *   I2  urt__ready is called once for each park, by the thread that won its
 *       claim or reaped its completion;
 *   I3  nothing reads or writes a coroutine's stack between its end and its
 *       reuse: the end is announced by a commit, off its own stack;
 *   I4  a processor's plain fields are touched only by the worker that holds
 *       it, inside the runtime.
 */
#define _GNU_SOURCE
#include "queue.h"
#include <stdlib.h>

struct urt__runtime urt__rt;
__thread struct urt__worker *urt__tls_worker;
__thread struct urt__worker *urt__serving;

URT__NOINLINE struct urt__worker *urt__worker_noinline(void)
{
	struct urt__worker *w = urt__tls_worker;

	__asm__ volatile("" : "+r"(w));
	return w;
}

/* ---- the switch -------------------------------------------------------- */

/* The registers of the coroutine that left are saved: now it can be woken. */
static inline void publish(struct urt__worker *w)
{
	struct urt_coro *c = w->parked;
	uint64_t park = atomic_load_explicit(&c->park, memory_order_relaxed) |
			w->park_state;
	bool firm = c->firm;

	w->park_word = park;
	atomic_store_explicit(&c->park, park, memory_order_release);
	/* Partner: urt__cancel_fence. */
	if (urt__likely(urt__rt.membarrier || !urt__shared))
		atomic_signal_fence(memory_order_seq_cst);
	else
		urt__fence();
	if (urt__unlikely(atomic_load_explicit(&c->cancelled,
					       memory_order_relaxed)) &&
	    !firm)
		urt__wait_end(c, park, urt__cancel_error(c));
}

static inline void run_commit(struct urt__worker *w)
{
	urt__commit_fn *commit = w->commit;

	if (commit == urt__commit_unlock)
		urt__obj_unlock(w->commit_arg);
	else
		commit(w, w->commit_arg);
	w->commit = NULL;
}

/* First thing on the side that was switched to. */
static inline void after_switch(struct urt__worker *w, struct urt__san *now)
{
	urt__san_enter(now, w->left);
	if (w->parked)
		publish(w);
	if (w->commit)
		run_commit(w);
	w->parked = NULL;
}

/* Returns the context that was left, when that continues. */
static inline struct urt__ctx *switch_to_coro(struct urt__worker *w,
					      struct urt__ctx *from,
					      struct urt__san *from_san,
					      bool dying, struct urt_coro *c)
{
	if (urt__unlikely(urt__telling(w)))
		urt__tell_switch(w, dying, c);
	__atomic_store_n(&w->current, c, __ATOMIC_RELAXED);
	w->left = from_san;
	urt__count(w->stats, URT__STAT_SWITCHES);
	urt__san_leave(from_san, &c->san, dying);
	return urt__ctx_swap(from, &c->ctx);
}

static inline struct urt__ctx *switch_to_loop(struct urt__worker *w,
					      struct urt_coro *from, bool dying)
{
	if (urt__unlikely(urt__telling(w)))
		urt__tell_switch(w, dying, NULL);
	__atomic_store_n(&w->current, NULL, __ATOMIC_RELAXED);
	w->left = &from->san;
	urt__san_leave(&from->san, &w->loop_san, dying);
	return urt__ctx_swap(&from->ctx, &w->loop);
}

void urt__proc_look_soon(struct urt__proc *p)
{
	p->tick |= URT__TICKS - 1;
}

static_assert(offsetof(struct urt_coro, ctx) == 0, "leave_for converts");

/* Leaves self for c, or the loop; returns self when it is switched to again,
 * perhaps on another worker. */
static inline __attribute__((always_inline)) struct urt_coro *
leave_for(struct urt__worker *w, struct urt_coro *self, struct urt_coro *c)
{
	struct urt__ctx *own =
		c ? switch_to_coro(w, &self->ctx, &self->san, false, c)
		  : switch_to_loop(w, self, false);

	self = (struct urt_coro *)own;
	after_switch(urt__worker(), &self->san);
	return self;
}

/* The next coroutine; NULL: none, or the loop is due to look round. */
static inline struct urt_coro *successor(struct urt__worker *w)
{
	if (urt__unlikely(!(++w->proc->tick % URT__TICKS)))
		return NULL;
	return urt__take_local(w->proc);
}

void urt__commit_unlock(struct urt__worker *w, void *arg)
{
	(void)w;
	urt__obj_unlock(arg);
}

static const uint8_t reason_counter[] = {
#define X(symbol, name, counter) URT__STAT_##counter,
	URT__REASONS(X)
#undef X
};

/* The last line of defence for a stack that could get no guard, and for a frame
 * that stepped over one. */
static URT__NOINLINE void stack_is_deep(struct urt_coro *self, const char *sp)
{
	self->deep = true;
	if (urt__unlikely(sp < (char *)self->stack_lowest))
		urt__rt.stack_left(self, sp);
}

int urt__park(struct urt__worker *w, enum urt__reason reason, uint64_t state,
	      urt__commit_fn *commit, void *arg)
{
	struct urt_coro *self = w->current;
	char *sp = __builtin_frame_address(0);

	if (urt__unlikely(sp < (char *)self->deep_below))
		stack_is_deep(self, sp);
	URT_BUG_ON(urt__park_state(atomic_load_explicit(
			   &self->park, memory_order_relaxed)) != URT__BUSY);
	urt__set_reason(self, reason);
	self->since_ns = w->now_ns;
	self->object = arg;
	urt__count(w->stats, URT__STAT_PARKS);
	urt__count(w->stats, reason_counter[reason]);
	w->parked = self;
	w->park_state = state;
	w->commit = commit;
	w->commit_arg = arg;
	return leave_for(w, self, successor(w))->result;
}

/* From a thread that is not a worker. */
static URT__COLD void ready_outside(struct urt_coro *c)
{
	if (urt__trace_wanted())
		urt__trace_ready_outside(c);
	urt__set_runnable(c);
	if (urt__serving && urt__serving->due) {
		urt__fresh_put_due(urt__serving->proc, c);
		return;
	}
	urt__ready_global(c);
}

/*
 * The traced variant of each of these is a function of its own, to which the
 * plain one jumps: a call in the middle would make the compiler save registers,
 * traced or not (12 ns of 108 in a round trip over channels).
 */
static inline void ready(struct urt__worker *w, struct urt_coro *c)
{
	struct urt__proc *p = w->proc;
	struct urt_coro *old;

	urt__set_runnable(c);
	if (urt__unlikely(!p)) {
		urt__ready_global(c);
		return;
	}
	old = p->next;
	p->next = c;
	if (old)
		urt__runq_put(p, old);
}

static URT__COLD void tell_ready(struct urt__worker *w, struct urt_coro *c)
{
	uint32_t bits = urt__telling(w);

	if (bits & URT__TELL_EVENTS)
		urt__trace_ready(w, c);
	if (bits & URT__TELL_ARMED)
		urt__probe_ready(w, c);
}

static URT__COLD void ready_told(struct urt__worker *w, struct urt_coro *c)
{
	tell_ready(w, c);
	ready(w, c);
}

void urt__ready(struct urt_coro *c)
{
	struct urt__worker *w = urt__worker();

	if (urt__unlikely(!w))
		ready_outside(c);
	else if (urt__unlikely(urt__telling(w) & URT__TELL_READY))
		ready_told(w, c);
	else
		ready(w, c);
}

static inline void ready_last(struct urt__worker *w, struct urt_coro *c)
{
	urt__set_runnable(c);
	if (urt__unlikely(!w->proc)) {
		urt__ready_global(c);
		return;
	}
	if (urt__unlikely(w->due)) {
		urt__fresh_put_due(w->proc, c);
		return;
	}
	urt__runq_put(w->proc, c);
}

static URT__COLD void ready_last_told(struct urt__worker *w, struct urt_coro *c)
{
	tell_ready(w, c);
	ready_last(w, c);
}

void urt__ready_last(struct urt_coro *c)
{
	struct urt__worker *w = urt__worker();

	if (urt__unlikely(!w))
		ready_outside(c);
	else if (urt__unlikely(urt__telling(w) & URT__TELL_READY))
		ready_last_told(w, c);
	else
		ready_last(w, c);
}

/* A commit, since another worker might take a queued coroutine before its
 * registers are saved. */
static void commit_requeue(struct urt__worker *w, void *arg)
{
	urt__runq_put(w->proc, arg);
}

/* Others wait in the global queue: a coroutine that yields, and perhaps spawns
 * more and more, goes behind them. */
static void commit_requeue_global(struct urt__worker *w, void *arg)
{
	(void)w;
	urt__global_append(arg, arg, 1);
	urt__wake_hint();
}

void urt__yield(struct urt__worker *w)
{
	struct urt_coro *self = w->current, *c;
	bool behind;

	urt__count(w->stats, URT__STAT_YIELDS);
	if (!urt__shared && !urt__global_waits()) {
		urt__runq_put(w->proc, self);
		c = successor(w);
		if (c != self)
			leave_for(w, self, c);
		return;
	}
	c = successor(w);
	behind = urt__global_waits();
	if (!c && w->proc->tick % URT__TICKS && !behind)
		return; /* no other coroutine wants to run here */
	w->commit = behind ? commit_requeue_global : commit_requeue;
	w->commit_arg = self;
	leave_for(w, self, c);
}

void urt__worker_run(struct urt__worker *w, struct urt_coro *c)
{
	switch_to_coro(w, &w->loop, &w->loop_san, false, c);
	after_switch(w, &w->loop_san);
}

void urt__abandon(struct urt__worker *w)
{
	switch_to_loop(w, w->current, false);
	URT_BUG_ON(true);
}

struct visit {
	struct urt_coro *c;
	void (*fn)(void *arg);
	void *arg;
};

/* Runs on the visited stack. When c is finally resumed, it continues from here,
 * and first commits for the context that switched to it. */
static void commit_visit(struct urt__worker *w, void *arg)
{
	struct visit *v = arg;
	struct urt_coro *c = v->c;

	v->fn(v->arg);
	switch_to_loop(w, c, false);
	after_switch(urt__worker(), &c->san);
}

void urt__visit(struct urt__worker *w, struct urt_coro *c, void (*fn)(void *),
		void *arg)
{
	struct visit v = { c, fn, arg };

	w->commit = commit_visit;
	w->commit_arg = &v;
	w->left = &w->loop_san;
	urt__san_leave(&w->loop_san, &c->san, false);
	urt__ctx_swap(&w->loop, &c->ctx);
	urt__san_enter(&w->loop_san, w->left);
}
/* ---- beginning and end ------------------------------------------------- */

/* Runs off the ended coroutine's stack, which may be freed from here on. */
static void commit_exit(struct urt__worker *w, void *arg)
{
	struct urt_coro *c = arg, *joiner;
	bool claimed = false;
	uint64_t seq;

	urt__count(w->stats, URT__STAT_EXITS);
	if (c->detached) {
		urt__coro_free(w, c);
		return;
	}
	urt__set_reason(c, URT__R_DEAD);
	joiner = atomic_exchange(&c->joiner, URT__ENDING);
	if (joiner) { /* the joiner wrote join_seq before */
		seq = atomic_load_explicit(&c->join_seq, memory_order_relaxed);
		claimed = urt__claim(joiner, seq);
	}
	/* From here on, c may be freed and used anew. */
	atomic_store_explicit(&c->joiner, URT__DONE, memory_order_release);
	if (claimed) {
		joiner->result = 0;
		urt__ready(joiner);
	}
}

/*
 * The last act of a coroutine. It switches at once to a joiner that is already
 * parked, which would run next in any case, and finds the result in the cache.
 */
static _Noreturn void coro_exit(struct urt__worker *w, struct urt_coro *self)
{
	struct urt_coro *c =
		atomic_load_explicit(&self->joiner, memory_order_acquire);
	bool look_round = !(++w->proc->tick % URT__TICKS);

	if (c && !look_round && ++w->proc->next_streak < URT__STREAK &&
	    urt__claim(c, atomic_load_explicit(&self->join_seq,
					       memory_order_relaxed))) {
		urt__count(w->stats, URT__STAT_EXITS);
		if (urt__unlikely(urt__telling(w) & URT__TELL_EVENTS))
			urt__trace_ready(w, c);
		urt__set_reason(self, URT__R_DEAD);
		urt__set_reason(c, URT__R_RUNNABLE);
		c->result = 0;
		atomic_store_explicit(&self->joiner, URT__DONE,
				      memory_order_release);
	} else {
		w->commit = commit_exit;
		w->commit_arg = self;
		c = look_round ? NULL : urt__take_local(w->proc);
	}
	if (c)
		switch_to_coro(w, &self->ctx, &self->san, true, c);
	else
		switch_to_loop(w, self, true);
	__builtin_unreachable();
}

static void coro_main(void *arg)
{
	struct urt_coro *self = arg;
	struct urt__worker *w;

	after_switch(urt__worker(), &self->san);
	urt__leave();
	self->fn(self->arg);
	w = urt__enter(false);
	if (urt__unlikely(!w))
		exit(0); /* in a forked child, whose only thread this is */
	if (urt__unlikely(self->at_end)) {
		urt__rt.coro_ended(self);
		w = urt__worker();
	}
	coro_exit(w, self);
}

struct urt_coro *urt__spawn(struct urt__worker *w, const struct urt__spawn *s)
{
	struct urt_coro *c = urt__coro_get(w->proc, s->stack_size);

	if (urt__unlikely(!c))
		return NULL;
	c->fn = s->fn;
	c->arg = s->arg;
	c->deadline_ns = s->deadline_ns;
	atomic_store_explicit(&c->joiner, NULL, memory_order_relaxed);
	atomic_store_explicit(&c->cancelled, false, memory_order_relaxed);
	c->id = ++w->proc->last_id;
	c->detached = s->detached;
	c->last_op = c->row_misses = c->row_skip = 0;
	c->no_preempt = 0;
	c->deep = false;
	c->at_end = 0;
	c->scope = c->inner = NULL;
	c->locals = NULL;
	urt__san_create(&c->san, c->stack_lowest,
			(char *)c - (char *)c->stack_lowest);
	urt__ctx_init(&c->ctx, c, coro_main, c);
	urt__count(w->stats, URT__STAT_SPAWNS);
	return c;
}
