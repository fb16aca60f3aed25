// SPDX-License-Identifier: MIT
/*
 * The scheduler: switch, park, ready, spawn, and the worker's loop.
 *
 * Words as in Go's proc.c: a coroutine (G) is the unit of scheduling, a worker
 * (M) is a thread with a ring, a processor (P) is the right to run coroutines
 * and holds the queue, the timers and the caches. A worker needs a processor to
 * run coroutines. idle.c decides which workers run, sleep and are woken;
 * handoff.c takes a processor away from a thread that is stuck.
 *
 * A coroutine that parks or yields picks its successor itself and switches
 * straight to it: one switch, no scheduler in between. Only when there is
 * nothing to run, or every TICKS switches, it switches to the worker's loop on
 * the thread's own stack, which looks at the ring, the timers and the global
 * queue, steals, and sleeps in the ring.
 *
 * The moment of parking. A coroutine may be readied, and run by another worker,
 * as soon as anyone can find it; but until its registers are saved it must not
 * be. So the step that makes it findable runs after the switch, on the next
 * context: the coroutine or loop that resumes from a switch first commits for
 * the one that left (after_switch): its park word is set to WAITING or IO
 * (coro.h), and the lock under which it was put on a list, held across the
 * switch, is released.
 *
 * Invariants:
 *   I1  a coroutine is in exactly one place: running, in one queue, or parked;
 *   I2  urt__ready is called once for each park, by the thread that won its
 *       claim or reaped its completion;
 *   I3  nothing reads or writes a coroutine's stack between its end and its
 *       reuse: the end is announced by a commit, off its own stack;
 *   I4  a processor's plain fields are touched only by the worker that holds
 *       it, inside the runtime.
 *
 * Fairness. `next` lets a pair that hands data to and fro stay in cache, but
 * at most STREAK times in a row while others wait. The ring is entered at
 * least every ENTER_NS while coroutines run, so that a busy worker does not
 * starve its own waits. The clock is read in the loop only; where coroutines
 * compute between two switches, TICKS of these take long, and the monitor asks
 * for a look round at each of its own (URT__ATT_LOOK).
 *
 * Order of choice: next, the newest that has never run, the batch, the local
 * queue, the global queue; others' queues when all of these are empty. The
 * loop, at every second look round, begins with the batch and the queue, so
 * that neither the new coroutines nor the older ones wait for all slices of the
 * other group, nor for all that block. A preempted coroutine has its turn when
 * the others have run for URT__HOG_TURN_NS, or when there are no others.
 */
#define _GNU_SOURCE
#include "../base/sys.h"
#include "context.h"
#include "sched.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TICKS	    64u	   /* power of two */
#define CLOCK_TICKS 1024u  /* the clock is read at least so often */
#define AHEAD	    8u	   /* coroutines between the prefetch and the run */
#define FRAME_LINES 7	   /* cache lines of frames fetched below the block */
#define STREAK	    128u   /* runs of `next` in a row */
#define ENTER_NS    100000 /* at least so often while there is work */
#define WAIT_NS	    200000 /* a queue has waited: others may take of it */

struct urt__runtime urt__rt;
__thread struct urt__worker *urt__tls_worker;
__thread struct urt__worker *urt__serving;

URT__NOINLINE struct urt__worker *urt__worker_noinline(void)
{
	struct urt__worker *w = urt__tls_worker;

	__asm__ volatile("" : "+r"(w));
	return w;
}

/* ---- queues ------------------------------------------------------------ */

static void global_append(struct urt_coro *first, struct urt_coro *last,
			  size_t n)
{
	last->link = NULL;
	urt__lock(&urt__rt.global_lock);
	if (urt__rt.global_tail)
		urt__rt.global_tail->link = first;
	else
		urt__rt.global_head = first;
	urt__rt.global_tail = last;
	atomic_fetch_add(&urt__rt.global_len, n);
	urt__unlock(&urt__rt.global_lock);
}

static inline bool global_waits(void)
{
	return urt__unlikely(atomic_load_explicit(&urt__rt.global_len,
						  memory_order_relaxed));
}

/*
 * No worker is bound to look at the global queue soon, so a wake-up must not be
 * lost here: the addition to global_len, sequentially consistent, comes before
 * the look at the sleepers; a worker that goes to sleep is listed first and
 * looks at global_len then (idle.c).
 */
static void ready_global(struct urt_coro *c)
{
	global_append(c, c, 1);
	urt__wake_one();
}

void urt__post(struct urt__post *p)
{
	p->next = NULL;
	urt__lock(&urt__rt.global_lock);
	if (urt__rt.post_tail)
		urt__rt.post_tail->next = p;
	else
		urt__rt.post_head = p;
	urt__rt.post_tail = p;
	atomic_fetch_add(&urt__rt.global_len, 1);
	urt__unlock(&urt__rt.global_lock);
	urt__wake_one();
}

/* Half of the local queue and c, if any, go to the global one. */
static URT__NOINLINE void runq_spill(struct urt__proc *p, struct urt_coro *c)
{
	struct urt_coro *half[URT__RUNQ_SIZE / 2 + 1];
	uint32_t n = urt__runq_take(&p->runq, half, URT__RUNQ_SIZE / 2);

	if (c)
		half[n++] = c;
	for (uint32_t i = 0; i + 1 < n; i++)
		half[i]->link = half[i + 1];
	if (n)
		global_append(half[0], half[n - 1], n);
}

static inline void runq_put(struct urt__proc *p, struct urt_coro *c)
{
	if (urt__unlikely(!urt__runq_push(&p->runq, c)))
		runq_spill(p, c);
}

/* All posts, with global_lock held. */
static struct urt__post *posts_take(void)
{
	struct urt__post *first = urt__rt.post_head;

	urt__rt.post_head = urt__rt.post_tail = NULL;
	for (struct urt__post *p = first; p; p = p->next)
		atomic_fetch_sub(&urt__rt.global_len, 1);
	return first;
}

static void posts_start(struct urt__worker *w, struct urt__post *p)
{
	while (p) {
		struct urt__post *next = p->next; /* it may end with its run */
		struct urt__spawn s = { .fn = p->fn,
					.arg = p->arg,
					.deadline_ns = URT_NEVER,
					.detached = true };
		struct urt_coro *c = urt__spawn(w, &s);

		if (c) {
			c->parent = 0;
			urt__ready_new(w, c);
		} else {
			p->failed(p);
		}
		p = next;
	}
}

/*
 * Moves some of the global queue into the local one, at every look round: as
 * many as can have run locally since the last one, so that neither starves the
 * other; this processor's share if the local one is short. Where the local one is
 * as good as full, and yielding keeps it so, its older half goes to the end here.
 */
static void global_take(struct urt__worker *w)
{
	struct urt__proc *p = w->proc;
	struct urt_coro *c, *head;
	struct urt__post *posts;
	uint32_t len = urt__runq_len(&p->runq);
	size_t n = URT__RUNQ_SIZE / 2, taken = 0;

	if (len > URT__RUNQ_SIZE - TICKS)
		runq_spill(p, NULL);
	if (len > URT__RUNQ_SIZE / 2)
		n = TICKS;
	urt__lock(&urt__rt.global_lock);
	posts = posts_take();
	if (n > urt__rt.global_len / urt__rt.nr_procs + 1)
		n = urt__rt.global_len / urt__rt.nr_procs + 1;
	head = urt__rt.global_head;
	for (; taken < n && urt__rt.global_head; taken++)
		urt__rt.global_head = urt__rt.global_head->link;
	if (!urt__rt.global_head)
		urt__rt.global_tail = NULL;
	atomic_fetch_sub(&urt__rt.global_len, taken);
	urt__unlock(&urt__rt.global_lock);
	while (taken--) {
		c = head;
		head = c->link;
		if (urt__unlikely(atomic_load_explicit(&c->ready_ns,
						       memory_order_relaxed)))
			urt__probe_moved(w, c);
		runq_put(p, c);
	}
	posts_start(w, posts);
}

/*
 * With many coroutines each that runs has long left the cache: its control
 * block and the frames below it are fetched while others run. (A switch is 10
 * ns, a miss 100.)
 */
static inline void prefetch(const struct urt_coro *c)
{
	const char *p = (const char *)c;

	for (int line = -FRAME_LINES; line < 2; line++)
		__builtin_prefetch(p + line * URT__CACHELINE, 1);
}

static struct urt_coro *batch_refill(struct urt__proc *p)
{
	p->batch_len = urt__runq_take(&p->runq, p->batch, URT__BATCH);
	p->batch_pos = 0;
	for (unsigned i = 1; p->batch_len == URT__BATCH && i < URT__BATCH; i++)
		prefetch(p->batch[i]);
	if (!p->batch_len)
		return NULL;
	return p->batch[p->batch_pos++];
}

/* The n oldest of those that have never run go to the queue. */
static void fresh_to_runq(struct urt__proc *p, unsigned n)
{
	for (; n; n--, p->fresh_len--) {
		runq_put(p, p->fresh[p->fresh_oldest]);
		p->fresh_oldest = (p->fresh_oldest + 1) % URT__FRESH;
	}
	if (urt__unlikely(p->due_left > p->fresh_len))
		p->due_left = p->fresh_len;
}

/* Half of them where a sleeping worker could take them: the oldest, which in a
 * tree have the most below them. */
static void fresh_share(struct urt__proc *p)
{
	if (p->fresh_len > 1 && urt__shared &&
	    atomic_load_explicit(&urt__rt.idle.len, memory_order_relaxed))
		fresh_to_runq(p, p->fresh_len / 2);
}

static inline void fresh_put(struct urt__proc *p, struct urt_coro *c)
{
	if (urt__unlikely(p->fresh_len == URT__FRESH))
		fresh_to_runq(p, URT__FRESH / 2);
	p->fresh[(p->fresh_oldest + p->fresh_len++) % URT__FRESH] = c;
}

/* The newest: if any are due, the one that was due last. */
static inline struct urt_coro *fresh_take(struct urt__proc *p)
{
	if (urt__unlikely(p->due_left))
		p->due_left--;
	p->fresh_len--;
	return p->fresh[(p->fresh_oldest + p->fresh_len) % URT__FRESH];
}

/* Apart, so that the rest saves no registers. */
static URT__NOINLINE void ready_new_full(struct urt__proc *p,
					 struct urt_coro *c)
{
	fresh_put(p, c);
	fresh_share(p);
}

static inline void ready_new(struct urt__worker *w, struct urt_coro *c)
{
	struct urt__proc *p = w->proc;

	urt__set_reason(c, URT__R_RUNNABLE);
	if (urt__unlikely(p->fresh_len == URT__FRESH)) {
		ready_new_full(p, c);
		return;
	}
	fresh_put(p, c);
	if (urt__shared)
		fresh_share(p);
}

static URT__COLD void ready_new_told(struct urt__worker *w, struct urt_coro *c)
{
	urt__tell_spawn(w, c);
	ready_new(w, c);
}

void urt__ready_new(struct urt__worker *w, struct urt_coro *c)
{
	if (urt__unlikely(urt__telling(w)))
		ready_new_told(w, c);
	else
		ready_new(w, c);
}

/* The oldest in the batch or the local queue. */
static inline struct urt_coro *take_queued(struct urt__proc *p)
{
	if (!urt__shared) {
		struct urt_coro *later = urt__runq_peek(&p->runq, AHEAD);

		if (later)
			prefetch(later);
		return urt__runq_pop_alone(&p->runq);
	}
	if (p->batch_pos < p->batch_len)
		return p->batch[p->batch_pos++];
	return batch_refill(p);
}

/* The next one to run here, without looking beyond the local queue. */
static struct urt_coro *take_local(struct urt__proc *p)
{
	struct urt_coro *c = p->next;

	if (c) {
		p->next = NULL;
		if (urt__likely(++p->next_streak < STREAK))
			return c;
		runq_put(p, c);
	} else if (p->fresh_len && ++p->next_streak < STREAK) {
		return fresh_take(p);
	}
	p->next_streak = 0;
	c = take_queued(p);
	if (urt__unlikely(!c && p->fresh_len))
		return take_local(p);
	return c;
}

bool urt__proc_has_queue(const struct urt__proc *p)
{
	return p->next || p->batch_pos < p->batch_len || p->fresh_len ||
	       urt__runq_len(&p->runq);
}

void urt__proc_expose(struct urt__worker *from)
{
	struct urt__proc *p = from->proc;
	unsigned n = 0, batch = p->batch_len - p->batch_pos;
	struct urt_coro *c[URT__FRESH + URT__BATCH + 1];

	/* Sleepers whose time has come, the newest, stay before all others. */
	while (p->due_left)
		c[n++] = fresh_take(p);
	fresh_to_runq(p, p->fresh_len);
	memcpy(c + n, p->batch + p->batch_pos, batch * sizeof(*c));
	n += batch;
	p->batch_pos = p->batch_len = 0;
	if (p->next)
		c[n++] = p->next;
	p->next = NULL;
	for (unsigned i = 0; i + 1 < n; i++)
		c[i]->link = c[i + 1];
	if (n)
		global_append(c[0], c[n - 1], n);
}

/* ---- the switch -------------------------------------------------------- */

/* The registers of the one that left are saved: now it can be woken. */
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
	p->tick |= TICKS - 1;
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

/* The next one; NULL: none, or the loop is due to look round. */
static inline struct urt_coro *successor(struct urt__worker *w)
{
	if (urt__unlikely(!(++w->proc->tick % TICKS)))
		return NULL;
	return take_local(w->proc);
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
 * that stepped over it. */
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
		fresh_put(urt__serving->proc, c);
		return;
	}
	ready_global(c);
}

/*
 * Traced, each of these is a function of its own that is jumped to: a call in
 * the middle would have the compiler save registers, traced or not (12 ns of
 * 108 in a round trip over channels).
 */
static inline void ready(struct urt__worker *w, struct urt_coro *c)
{
	struct urt__proc *p = w->proc;
	struct urt_coro *old;

	urt__set_runnable(c);
	if (urt__unlikely(!p)) {
		ready_global(c);
		return;
	}
	old = p->next;
	p->next = c;
	if (old)
		runq_put(p, old);
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
		ready_global(c);
		return;
	}
	if (urt__unlikely(w->due)) {
		fresh_put(w->proc, c);
		return;
	}
	runq_put(w->proc, c);
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

/* Where another worker might take it before its registers are saved. */
static void commit_requeue(struct urt__worker *w, void *arg)
{
	runq_put(w->proc, arg);
}

/* Others wait in the global queue: one that yields, and perhaps spawns more and more
 * of them, goes behind those. */
static void commit_requeue_global(struct urt__worker *w, void *arg)
{
	(void)w;
	global_append(arg, arg, 1);
	urt__wake_hint();
}

void urt__yield(struct urt__worker *w)
{
	struct urt_coro *self = w->current, *c;
	bool behind;

	urt__count(w->stats, URT__STAT_YIELDS);
	if (!urt__shared && !global_waits()) {
		runq_put(w->proc, self);
		c = successor(w);
		if (c != self)
			leave_for(w, self, c);
		return;
	}
	c = successor(w);
	behind = global_waits();
	if (!c && w->proc->tick % TICKS && !behind)
		return; /* no other wants to run here */
	w->commit = behind ? commit_requeue_global : commit_requeue;
	w->commit_arg = self;
	leave_for(w, self, c);
}

struct visit {
	struct urt_coro *c;
	void (*fn)(void *arg);
	void *arg;
};

/* On the visited stack. c is finally resumed from here, and the commit for the
 * context that switched to it is still to be done. */
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

/* Runs off the ended coroutine's stack: from here on it may be freed. */
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
	if (joiner) { /* which wrote join_seq before */
		seq = atomic_load_explicit(&c->join_seq, memory_order_relaxed);
		claimed = urt__claim(joiner, seq);
	}
	/* From here on it may be freed and used anew. */
	atomic_store_explicit(&c->joiner, URT__DONE, memory_order_release);
	if (claimed) {
		joiner->result = 0;
		urt__ready(joiner);
	}
}

/*
 * The last act of a coroutine. A joiner that is parked already is switched to
 * at once: it is what runs next in any case, and finds the result in cache.
 */
static _Noreturn void coro_exit(struct urt__worker *w, struct urt_coro *self)
{
	struct urt_coro *c =
		atomic_load_explicit(&self->joiner, memory_order_acquire);
	bool look_round = !(++w->proc->tick % TICKS);

	if (c && !look_round && ++w->proc->next_streak < STREAK &&
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
		c = look_round ? NULL : take_local(w->proc);
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

/* ---- the worker's loop ------------------------------------------------- */

void urt__worker_drain(struct urt__worker *w)
{
	if (atomic_load_explicit(&w->inbox, memory_order_relaxed))
		urt__inbox_run(w);
	if (urt__ring_queued(&w->ring) || urt__ring_has_work(&w->ring))
		urt__ring_enter(&w->ring, 0);
}

/* Enters the ring without waiting, and reaps; false: the processor was lost. */
static bool enter_ring(struct urt__worker *w)
{
	bool lost = urt__worker_submit(w);

	urt__ring_reap(&w->ring);
	return !lost;
}

/*
 * Whether a worker that waits for a processor is to have this one. Those whose
 * coroutine was preempted, when the others have run for URT__HOG_TURN_NS: they had
 * used up a time slice; that they now wait for as long is fair, and keeps light work
 * beside heavy work quick. Those that come back from a blocking call, in turn with the
 * queue, as they may block again and again.
 */
static void give_turns(struct urt__worker *w)
{
	struct urt__proc *p = w->proc;

	if (urt__unlikely(
		    atomic_load_explicit(&w->hogging, memory_order_relaxed))) {
		atomic_store_explicit(&w->hogging, false, memory_order_relaxed);
		p->hogged_ns = urt__clock_ns();
	}
	if (urt__unlikely(atomic_load_explicit(&urt__rt.preempted.len,
					       memory_order_relaxed)) &&
	    urt__clock_ns() - p->hogged_ns > URT__HOG_TURN_NS &&
	    urt__proc_give_turn(w))
		return;
	if (urt__likely(!atomic_load_explicit(&urt__rt.waiting.len,
					      memory_order_relaxed)))
		return;
	p->passed = !p->passed || !urt__proc_has_queue(p);
	if (p->passed && !urt__proc_give(w))
		p->passed = false; /* it is still ours */
}

unsigned urt__worker_fire(struct urt__worker *w, int64_t now_ns, bool first)
{
	struct urt__proc *p = w->proc;
	unsigned fresh = p->fresh_len, n;
	int64_t late_ns = -1;

	w->due = first;
	n = urt__timers_run(&p->timers, now_ns, &late_ns);
	w->due = false;
	if (p->fresh_len > fresh)
		p->due_left += p->fresh_len - fresh;
	if (late_ns >= 0)
		urt__count_time(w->stats, URT__TIME_TIMER, late_ns);
	return n;
}

/*
 * Sleepers whose time has come run before all that is queued, the last of them
 * first: what is queued may block, or compute, each for its slice.
 */
static void run_timers(struct urt__worker *w)
{
	bool first = urt__proc_has_queue(w->proc);

	urt__count_add(w->stats, URT__STAT_TIMERS,
		       urt__worker_fire(w, w->now_ns, first));
}

/*
 * Work that one worker can do alone in time stays on that worker: a woken one
 * comes late, the more so where other programs have the CPUs, and finds a cold
 * cache. So others may take what is queued here, and one is woken for it, when
 * the queue has not been empty for WAIT_NS; or when the monitor sees it waiting
 * at two looks, or behind one coroutine.
 */
static void note_waiting(struct urt__worker *w)
{
	struct urt__proc *p = w->proc;
	int64_t now_ns;

	if (!urt__proc_has_queue(p)) {
		p->waited_ns = 0;
		if (urt__unlikely(atomic_load_explicit(&p->overdue,
						       memory_order_relaxed)))
			atomic_store_explicit(&p->overdue, false,
					      memory_order_relaxed);
		return;
	}
	if (!atomic_load_explicit(&urt__rt.idle.len, memory_order_relaxed))
		return;
	now_ns = urt__clock_ns();
	if (!p->waited_ns)
		p->waited_ns = now_ns;
	if (now_ns - p->waited_ns < WAIT_NS)
		return;
	fresh_share(p);
	atomic_store_explicit(&p->overdue, true, memory_order_relaxed);
	urt__wake_hint();
}

/* Timers, ring, inbox and global queue, while there may be coroutines to run. The
 * processor may be gone after it. */
static void look_round(struct urt__worker *w)
{
	struct urt__proc *p = w->proc;
	bool ring = urt__ring_queued(&w->ring) || urt__ring_has_work(&w->ring);

	urt__trace_look(w);
	if (urt__unlikely(!p->probe_in--))
		urt__probe_look(w);
	if (urt__shared)
		note_waiting(w);
	if (urt__unlikely(atomic_load_explicit(&w->word.attention,
					       memory_order_relaxed)))
		atomic_fetch_and(&w->word.attention,
				 ~(URT__ATT_YIELD | URT__ATT_LOOK));
	if (urt__unlikely(
		    atomic_load_explicit(&w->inbox, memory_order_relaxed)))
		urt__inbox_run(w);
	if (p->timers.len || ring || !w->next_enter_ns ||
	    !(p->tick % CLOCK_TICKS)) {
		w->now_ns = urt__clock_ns();
		run_timers(w);
		if (w->next_enter_ns == 0)
			w->next_enter_ns = w->now_ns + ENTER_NS;
		if (ring && w->now_ns >= w->next_enter_ns) {
			w->next_enter_ns = w->now_ns + ENTER_NS;
			if (!enter_ring(w))
				return;
		}
	}
	if (global_waits())
		global_take(w);
	/* The oldest must not wait forever. A single one goes first, but not
	 * before `next`, nor where each look begins with the queue. */
	if (p->fresh_len > 1 || (p->fresh_len && !p->due_left &&
				 (p->next || urt__pace(w) != URT__QUICK))) {
		fresh_to_runq(p, 1);
		fresh_share(p);
	}
	give_turns(w);
}

/* Half of another's queue, from a random one on; one of them to run now. */
static struct urt_coro *steal(struct urt__worker *w)
{
	struct urt_coro *got[URT__RUNQ_SIZE / 2];
	unsigned n = urt__rt.nr_procs, first = urt__random(w) % n;

	for (unsigned i = 0; i < n; i++) {
		struct urt__proc *p = urt__rt.proc[(first + i) % n];
		struct urt_coro *probe;
		uint32_t k;

		if (p == w->proc ||
		    !atomic_load_explicit(&p->overdue, memory_order_relaxed))
			continue;
		k = urt__runq_take(&p->runq, got, URT__ARRAY_LEN(got));
		if (!k)
			continue;
		urt__count_add(w->stats, URT__STAT_STEALS, k);
		probe = atomic_load_explicit(&p->probe, memory_order_relaxed);
		for (uint32_t j = 0; probe && j < k; j++)
			if (got[j] == probe)
				urt__probe_moved(w, probe);
		if (urt__unlikely(urt__telling(w) & URT__TELL_EVENTS))
			urt__trace_steal(w, k, (first + i) % n);
		for (uint32_t j = 1; j < k; j++)
			runq_put(w->proc, got[j]);
		return got[0];
	}
	return NULL;
}

/*
 * Where coroutines run for long, what is counted in switches elsewhere (STREAK, each
 * second look) would take long: so at each look, which the monitor asks for in time,
 * in turn those whose timers have fired and the oldest in the queue.
 */
static struct urt_coro *choose_slow(struct urt__worker *w)
{
	struct urt__proc *p = w->proc;
	struct urt_coro *c;

	if (p->due_left)
		urt__proc_look_soon(p);
	if (p->due_left && p->looks++ % 2 == 0)
		return fresh_take(p);
	c = take_queued(p);
	if (c && p->next) {
		runq_put(p, p->next);
		p->next = NULL;
	}
	return c;
}

/* Something to run, in the order of choice. */
static struct urt_coro *choose(struct urt__worker *w)
{
	struct urt_coro *c = NULL;

	if (urt__unlikely(urt__pace(w) != URT__QUICK))
		c = choose_slow(w);
	else if (!w->proc->next && w->proc->looks++ % 2)
		c = take_queued(w->proc);
	if (!c)
		c = take_local(w->proc);
	if (!c && urt__shared)
		c = steal(w);
	return c;
}

/* There is nothing but preempted coroutines. They will run for long: all else
 * first. NULL, without a processor: one of these has it. */
static struct urt_coro *choose_preempted(struct urt__worker *w)
{
	struct urt_coro *c = NULL;

	if (!atomic_load_explicit(&urt__rt.preempted.len, memory_order_relaxed))
		return NULL;
	if (enter_ring(w))
		c = take_local(w->proc);
	if (!c && w->proc)
		urt__proc_give_turn(w);
	return c;
}

#define SPINS 20

/*
 * Before it sleeps a worker looks for a while for work to steal, for the work
 * of a busy program comes in bursts and waking a thread is dear. One spins for
 * all; others go to sleep, and no sleeper is woken while one worker looks.
 */
static struct urt_coro *spin(struct urt__worker *w)
{
	struct urt_coro *c = NULL;

	if (!urt__shared || urt__ring_queued(&w->ring) ||
	    atomic_load(&urt__rt.idle.len) + 1 >= urt__rt.nr_procs ||
	    atomic_exchange(&urt__rt.spinning, 1))
		return NULL;
	for (unsigned i = 0; i < SPINS && !c; i++) {
		for (unsigned j = 0; j < 32; j++)
			urt__cpu_relax();
		if (urt__ring_has_work(&w->ring) || global_waits())
			break;
		c = steal(w);
	}
	atomic_store(&urt__rt.spinning, 0);
	return c;
}

/* NULL: the run ends, or the processor is gone. */
static struct urt_coro *find_work(struct urt__worker *w)
{
	struct urt_coro *c;

	while (!atomic_load_explicit(&urt__rt.stop, memory_order_relaxed)) {
		look_round(w);
		if (!w->proc)
			return NULL;
		c = choose(w);
		if (!c)
			c = choose_preempted(w);
		if (!w->proc)
			return NULL;
		if (!c)
			c = spin(w);
		if (c && atomic_load(&urt__rt.global_len))
			urt__wake_hint();
		if (c)
			return c;
		w->next_enter_ns = 0;
		urt__idle_sleep(w);
		if (!w->proc)
			return NULL;
	}
	return NULL;
}

void urt__worker_loop(struct urt__worker *w)
{
	atomic_store(&w->word.where, URT__IN);
	while (!atomic_load_explicit(&urt__rt.stop, memory_order_relaxed)) {
		struct urt_coro *c;

		/* It may have been told to while it was about to sleep: then it
		 * must not be listed, or it is given a processor and leaves
		 * with it. */
		if (!w->proc && !atomic_load(&w->retire))
			urt__spare_sleep(w);
		if (atomic_load(&w->retire))
			return;
		if (!w->proc)
			continue;
		c = find_work(w);
		if (!c)
			continue;
		switch_to_coro(w, &w->loop, &w->loop_san, false, c);
		after_switch(w, &w->loop_san);
	}
}

struct urt__proc *urt__proc_new(unsigned index)
{
	struct urt__proc *p = urt__sys_alloc_lines(sizeof(*p));

	if (!p)
		return NULL;
	memset(p, 0, sizeof(*p));
	urt__timers_init(&p->timers, urt__timer_live, urt__timer_fire,
			 urt__timer_soon);
	p->last_id = (uint64_t)index << 48;
	return p;
}

void urt__proc_free(struct urt__proc *p)
{
	if (p)
		urt__timers_destroy(&p->timers);
	free(p);
}

/* Its counters; -ENOMEM. See tell_counts in idle.c. */
static int slot_init(struct urt__worker *w)
{
	if (w->index + 1 < urt__rt.stats_page->slots) {
		w->stats = urt__stats_slot(urt__rt.stats_page, w->index);
		return 0;
	}
	w->own_stats = urt__sys_alloc_lines(2 * sizeof(*w->own_stats));
	if (!w->own_stats)
		return -ENOMEM;
	memset(w->own_stats, 0, 2 * sizeof(*w->own_stats));
	w->stats = w->own_stats;
	return 0;
}

static void thread_is(struct urt__worker *w, int tid)
{
	atomic_store_explicit(&w->tid, tid, memory_order_relaxed);
	__atomic_store_n(&w->stats->tid, tid, __ATOMIC_RELAXED);
}

static_assert(offsetof(struct urt__ring, sq_khead) == 0 &&
		      offsetof(struct urt__ring, sq_ktail) == sizeof(void *),
	      "where struct urt__word says");

/* For a BPF program; see struct urt__word. */
static void tell_word(struct urt__worker *w)
{
	w->stats->word = (uintptr_t)&w->word;
	w->stats->word_tls =
		(char *)&urt__tls_worker - (char *)__builtin_thread_pointer();
}

void urt__worker_settle(struct urt__worker *w)
{
	w->context = urt__context_slot();
	urt__exceptions_enter(w);
	thread_is(w, gettid());
	tell_word(w);
	urt__san_thread(&w->loop_san);
	urt__ring_settle(&w->ring);
}

void urt__worker_leave(struct urt__worker *w)
{
	thread_is(w, 0);
	urt__ring_leave(&w->ring);
}

#define RING_TRIES   40 /* in all a second, with the pauses below */
#define RING_MIN     32 /* entries */
#define PATIENT_WITH 4	/* tries with as many entries as were wished for */

/*
 * A ring counts as locked memory of the user's, and the kernel takes it off that
 * account some time after the ring was closed: so runs one after another fail
 * for a moment. They ask again for a while, and make do with a smaller ring.
 */
static int ring_open(struct urt__worker *w, unsigned entries, bool patient)
{
	for (unsigned i = 0;; i++) {
		struct timespec pause = { 0, 1000000 << (i < 5 ? i : 5) };
		int err = urt__ring_init(&w->ring, entries, urt__rt.features,
					 w->stats);

		if (err != -ENOMEM || !patient || i == RING_TRIES)
			return err;
		nanosleep(&pause, NULL);
		if (i >= PATIENT_WITH && entries > RING_MIN)
			entries /= 2;
	}
}

int urt__worker_init(struct urt__worker *w, unsigned index, struct urt__proc *p)
{
	unsigned entries = urt__rt.ring_entries;
	int err;

	memset(w, 0, sizeof(*w));
	w->index = w->word.index = index;
	w->word.ring = offsetof(struct urt__worker, ring);
	w->proc = p;
	w->state = p ? URT__W_RUNNING : URT__W_DETACHED;
	w->word.where = URT__IN;
	w->random = 2463534242u + index * 668265263u;
	err = slot_init(w);
	if (err)
		return err;
	urt__trace_look(w);
	w->context = urt__context_slot();
	urt__exceptions_enter(w);
	thread_is(w, gettid());
	tell_word(w);
	urt__san_thread(&w->loop_san);
	if (!p && entries > URT__SPARE_RING)
		entries = URT__SPARE_RING;
	err = ring_open(w, entries, p);
	if (err) {
		free(w->own_stats);
		return err;
	}
	err = urt__ring_register(&w->ring, urt__rt.files, urt__rt.nr_files,
				 urt__rt.buffers, urt__rt.nr_buffers);
	w->registered = !err;
	if (!err || !p)
		return 0; /* a spare can do without */
	urt__worker_destroy(w);
	return err;
}

void urt__worker_destroy(struct urt__worker *w)
{
	urt__ring_destroy(&w->ring);
	free(w->own_stats);
}

void urt__stop(void)
{
	unsigned n;

	atomic_store(&urt__rt.stop, true);
	n = atomic_load(&urt__rt.nr_workers);
	for (unsigned i = 0; i < n; i++) {
		struct urt__worker *w = atomic_load(&urt__rt.worker[i]);

		atomic_fetch_or(&w->word.attention, URT__ATT_YIELD);
		urt__ring_kick(&w->ring);
	}
	if (atomic_load(&urt__rt.monitor_asleep))
		urt__rt.monitor_wake();
}

void urt__abandon(struct urt__worker *w)
{
	switch_to_loop(w, w->current, false);
	URT_BUG_ON(true);
}
