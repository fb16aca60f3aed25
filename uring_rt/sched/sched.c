// SPDX-License-Identifier: MIT
/*
 * The scheduler.
 *
 * Words as in Go's proc.c: a coroutine (G) is what is scheduled, a worker (M)
 * is a thread with a ring, a processor (P) is the right to run coroutines and
 * holds the queue, the timers and the caches. A worker needs a processor to
 * run coroutines.
 *
 * A coroutine that parks or yields picks its successor itself and switches
 * straight to it: one switch, no scheduler in between. Only when there is
 * nothing to run, or every TICKS switches, it switches to the worker's loop on
 * the thread's own stack, which looks at the ring, the timers and the global
 * queue, and sleeps in the ring.
 *
 * The moment of parking. A coroutine may be readied, and run by another
 * worker, as soon as anyone can find it; but until its registers are saved it
 * must not be. So what makes it findable runs after the switch, on the next
 * context: the commit of urt__park. Whoever resumes from a switch first
 * commits for the one that left (after_switch). Three kinds:
 *
 *   list under a lock    the lock that protects the list is held across the
 *                        switch; the commit releases it
 *   a word               the commit publishes the coroutine by CAS (join)
 *   own ring or timers   no commit: only this worker's loop readies it, and
 *                        the loop runs after the switch by construction
 *
 * Invariants:
 *   I1  a coroutine is in exactly one place: running, in one queue, or parked
 *       and known to exactly one waker;
 *   I2  urt__ready is called once for each park;
 *   I3  nothing reads or writes a coroutine's stack between its end and its
 *       reuse: the end is announced by a commit, off its own stack.
 *
 * Fairness. `next` lets a pair that hands data to and fro stay in cache, but
 * at most STREAK times in a row while others wait. The ring is entered at
 * least every ENTER_NS while coroutines run, so that a busy worker does not
 * starve its own waits. The clock is read in the loop only.
 *
 * Order of choice: next, the batch, the local queue, the global queue.
 */
#include "sched.h"
#include <errno.h>
#include <string.h>

#define TICKS	 64u	/* power of two */
#define STREAK	 128u	/* runs of `next` in a row */
#define ENTER_NS 100000 /* at least so often while there is work */
#define WARM	 1024u	/* ended coroutines a processor keeps */

struct urt__runtime urt__rt;
__thread struct urt__worker *urt__tls_worker;

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
	__atomic_store_n(&urt__rt.global_len, urt__rt.global_len + n,
			 __ATOMIC_RELAXED);
	urt__unlock(&urt__rt.global_lock);
}

/* The local queue is full: half of it and c go to the global one. */
static URT__NOINLINE void runq_overflow(struct urt__proc *p, struct urt_coro *c)
{
	struct urt_coro *half[URT__RUNQ_SIZE / 2];
	uint32_t n = urt__runq_take(&p->runq, half, URT__ARRAY_LEN(half));

	for (uint32_t i = 0; i + 1 < n; i++)
		half[i]->link = half[i + 1];
	if (n) {
		half[n - 1]->link = c;
		global_append(half[0], c, n + 1);
	} else {
		global_append(c, c, 1);
	}
}

static inline void runq_put(struct urt__proc *p, struct urt_coro *c)
{
	if (urt__unlikely(!urt__runq_push(&p->runq, c)))
		runq_overflow(p, c);
}

/*
 * Moves some of the global queue into the local one, at every look round: as
 * many as can have run locally since the last one, so that neither starves the
 * other; half a queue's worth if the local one is short.
 */
static void global_take(struct urt__proc *p)
{
	struct urt_coro *c, *head;
	uint32_t len = urt__runq_len(&p->runq);
	size_t n = len > URT__RUNQ_SIZE / 2 ? TICKS : URT__RUNQ_SIZE / 2;

	if (!__atomic_load_n(&urt__rt.global_len, __ATOMIC_RELAXED) ||
	    len > URT__RUNQ_SIZE - TICKS)
		return;
	urt__lock(&urt__rt.global_lock);
	if (n > urt__rt.global_len)
		n = urt__rt.global_len;
	head = urt__rt.global_head;
	for (size_t i = 0; i < n; i++)
		urt__rt.global_head = urt__rt.global_head->link;
	if (!urt__rt.global_head)
		urt__rt.global_tail = NULL;
	__atomic_store_n(&urt__rt.global_len, urt__rt.global_len - n,
			 __ATOMIC_RELAXED);
	urt__unlock(&urt__rt.global_lock);
	while (n--) {
		c = head;
		head = c->link;
		runq_put(p, c);
	}
}

static struct urt_coro *batch_refill(struct urt__proc *p)
{
	p->batch_len = urt__runq_take(&p->runq, p->batch, URT__BATCH);
	p->batch_pos = 0;
	if (!p->batch_len)
		return NULL;
	return p->batch[p->batch_pos++];
}

/* The next one to run here, without looking beyond the local queue. */
static inline struct urt_coro *take_local(struct urt__proc *p)
{
	struct urt_coro *c = p->next;

	if (c) {
		p->next = NULL;
		if (urt__likely(++p->next_streak < STREAK))
			return c;
		runq_put(p, c);
	}
	p->next_streak = 0;
	if (!p->shared)
		return urt__runq_pop_alone(&p->runq);
	if (p->batch_pos < p->batch_len)
		return p->batch[p->batch_pos++];
	return batch_refill(p);
}

/* ---- the switch -------------------------------------------------------- */

/* First thing on the side that was switched to. */
static inline void after_switch(struct urt__worker *w, struct urt__san *now)
{
	urt__commit_fn *commit = w->commit;

	urt__san_enter(now, w->left);
	if (commit) {
		w->commit = NULL;
		commit(w, w->commit_arg);
	}
}

static inline void switch_to_coro(struct urt__worker *w, struct urt__ctx *from,
				  struct urt__san *from_san, bool dying,
				  struct urt_coro *c)
{
	w->current = c;
	w->left = from_san;
	urt__count(w->stats, URT__STAT_SWITCHES);
	urt__san_leave(from_san, &c->san, dying);
	urt__ctx_swap(from, &c->ctx);
}

static inline void switch_to_loop(struct urt__worker *w, struct urt_coro *from,
				  bool dying)
{
	w->current = NULL;
	w->left = &from->san;
	urt__san_leave(&from->san, &w->loop_san, dying);
	urt__ctx_swap(&from->ctx, &w->loop);
}

/*
 * Leaves self for the next coroutine, or the loop; returns when self is
 * switched to again, perhaps on another worker.
 */
static inline void leave(struct urt__worker *w, struct urt_coro *self)
{
	struct urt_coro *c = NULL;

	if (urt__likely(++w->proc->tick % TICKS))
		c = take_local(w->proc);
	if (c == self) /* it yielded, and nobody else wants to run */
		return;
	if (c)
		switch_to_coro(w, &self->ctx, &self->san, false, c);
	else
		switch_to_loop(w, self, false);
	after_switch(urt__worker(), &self->san);
}

void urt__commit_unlock(struct urt__worker *w, void *arg)
{
	(void)w;
	urt__unlock(arg);
}

static const uint8_t reason_counter[] = {
#define X(symbol, name, counter) URT__STAT_##counter,
	URT__REASONS(X)
#undef X
};

void urt__park(enum urt__reason reason, urt__commit_fn *commit, void *arg)
{
	struct urt__worker *w = urt__worker();
	struct urt_coro *self = w->current;

	/* The last line of defence for a stack that could get no guard. */
	URT_BUG_ON((char *)__builtin_frame_address(0) <
		   (char *)self->stack_lowest);
	self->reason = reason;
	urt__count(w->stats, URT__STAT_PARKS);
	urt__count(w->stats, reason_counter[reason]);
	w->commit = commit;
	w->commit_arg = arg;
	leave(w, self);
}

void urt__ready(struct urt_coro *c)
{
	struct urt__worker *w = urt__worker();
	struct urt__proc *p;
	struct urt_coro *old;

	URT_BUG_ON(!w); /* on a plain thread: see urt.h */
	p = w->proc;
	old = p->next;

	c->reason = URT__R_RUNNABLE;
	p->next = c;
	if (old)
		runq_put(p, old);
}

void urt__ready_last(struct urt_coro *c)
{
	struct urt__worker *w = urt__worker();

	URT_BUG_ON(!w); /* on a plain thread: see urt.h */
	c->reason = URT__R_RUNNABLE;
	runq_put(w->proc, c);
}

/* Where another worker might take it before its registers are saved. */
static void commit_requeue(struct urt__worker *w, void *arg)
{
	runq_put(w->proc, arg);
}

void urt_yield(void)
{
	struct urt__worker *w = urt__worker();

	if (!w || !w->current)
		return;
	urt__count(w->stats, URT__STAT_YIELDS);
	if (w->proc->shared) {
		w->commit = commit_requeue;
		w->commit_arg = w->current;
	} else {
		runq_put(w->proc, w->current);
	}
	leave(w, w->current);
}

/* ---- beginning and end ------------------------------------------------- */

struct urt_coro *urt__coro_at(size_t i)
{
	return (struct urt_coro *)urt__stack_top(&urt__rt.stacks, i) - 1;
}

/* Runs off the ended coroutine's stack: from here on it may be freed. */
static void commit_exit(struct urt__worker *w, void *arg)
{
	struct urt_coro *c = arg, *joiner;

	urt__count(w->stats, URT__STAT_EXITS);
	if (c->detached) {
		urt__coro_free(w, c);
		return;
	}
	c->reason = URT__R_DEAD;
	joiner = atomic_exchange_explicit(&c->joiner, URT__DONE,
					  memory_order_acq_rel);
	if (joiner)
		urt__ready(joiner);
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

	w->commit = commit_exit;
	w->commit_arg = self;
	if (c && !look_round && ++w->proc->next_streak < STREAK &&
	    atomic_compare_exchange_strong_explicit(
		    &self->joiner, &c, URT__DONE, memory_order_acq_rel,
		    memory_order_relaxed)) {
		urt__count(w->stats, URT__STAT_EXITS);
		w->commit = NULL;
		self->reason = URT__R_DEAD;
		c->reason = URT__R_RUNNABLE;
	} else {
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

	after_switch(urt__worker(), &self->san);
	self->fn(self->arg);
	coro_exit(urt__worker(), self);
}

static struct urt_coro *coro_get(struct urt__worker *w)
{
	struct urt__proc *p = w->proc;
	struct urt_coro *c = p->free;
	void *top, *lowest;

	if (urt__likely(c)) {
		p->free = c->link;
		p->nr_free--;
		return c;
	}
	top = urt__stack_get(&urt__rt.stacks, &lowest);
	if (!top)
		return NULL;
	c = (struct urt_coro *)top - 1;
	c->stack_lowest = lowest;
	return c;
}

void urt__coro_free(struct urt__worker *w, struct urt_coro *c)
{
	struct urt__proc *p = w->proc;

	c->reason = URT__R_FREE;
	urt__san_destroy(&c->san);
	if (urt__unlikely(p->nr_free >= WARM)) {
		urt__stack_put(&urt__rt.stacks, c + 1);
		return;
	}
	c->link = p->free;
	p->free = c;
	p->nr_free++;
}

struct urt_coro *urt__spawn(struct urt__worker *w, urt_fn *fn, void *arg,
			    bool detached)
{
	struct urt_coro *c = coro_get(w);

	if (urt__unlikely(!c))
		return NULL;
	c->fn = fn;
	c->arg = arg;
	atomic_store_explicit(&c->joiner, NULL, memory_order_relaxed);
	c->wait = NULL;
	c->id = ++w->proc->last_id;
	c->detached = detached;
	c->cancelled = false;
	urt__san_create(&c->san, c->stack_lowest,
			(char *)c - (char *)c->stack_lowest);
	urt__ctx_init(&c->ctx, c, coro_main, c);
	urt__count(w->stats, URT__STAT_SPAWNS);
	urt__ready(c);
	return c;
}

/* ---- the worker's loop ------------------------------------------------- */

/* Nothing to run now, nothing in flight, no timer: nothing will ever come. */
static bool nothing_to_come(const struct urt__worker *w)
{
	return !w->ring.inflight && !urt__ring_queued(&w->ring);
}

/* Timers, ring and global queue, while there may be coroutines to run. */
static void look_round(struct urt__worker *w)
{
	struct urt__proc *p = w->proc;
	bool ring = urt__ring_queued(&w->ring) || urt__ring_has_work(&w->ring);

	if (p->timers.len || ring) {
		w->now_ns = urt__clock_ns();
		urt__count_add(w->stats, URT__STAT_TIMERS,
			       urt__timers_run(&p->timers, w->now_ns));
		if (w->next_enter_ns == 0)
			w->next_enter_ns = w->now_ns + ENTER_NS;
		if (ring && w->now_ns >= w->next_enter_ns) {
			w->next_enter_ns = w->now_ns + ENTER_NS;
			urt__ring_enter(&w->ring, 0);
		}
	}
	global_take(p);
}

/* Nothing to run: hands over what is queued and sleeps until something is. */
static void sleep_in_ring(struct urt__worker *w)
{
	int64_t when_ns = urt__timers_next(&w->proc->timers);

	w->next_enter_ns = 0;
	if (when_ns != INT64_MAX) {
		when_ns -= w->now_ns;
		urt__ring_enter(&w->ring, when_ns > 0 ? when_ns : 0);
		return;
	}
	if (nothing_to_come(w))
		urt__rt.deadlock();
	urt__ring_enter(&w->ring, INT64_MAX);
}

static struct urt_coro *find_work(struct urt__worker *w)
{
	struct urt_coro *c;

	for (;;) {
		look_round(w);
		c = take_local(w->proc);
		if (c)
			return c;
		sleep_in_ring(w);
	}
}

void urt__worker_loop(struct urt__worker *w)
{
	while (!*w->stop) {
		struct urt_coro *c = find_work(w);

		switch_to_coro(w, &w->loop, &w->loop_san, false, c);
		after_switch(w, &w->loop_san);
	}
}

int urt__worker_init(struct urt__worker *w, struct urt__proc *p,
		     struct urt__stats_slot *stats, unsigned ring_entries,
		     unsigned features)
{
	memset(w, 0, sizeof(*w));
	memset(p, 0, sizeof(*p));
	w->proc = p;
	w->stats = p->stats = stats;
	urt__timers_init(&p->timers);
	urt__san_thread(&w->loop_san);
	return urt__ring_init(&w->ring, ring_entries, features, stats);
}

void urt__worker_destroy(struct urt__worker *w)
{
	urt__ring_destroy(&w->ring);
	urt__timers_destroy(&w->proc->timers);
}

void urt__stop(struct urt__worker *w)
{
	*w->stop = true;
	w->proc->tick = TICKS - 1; /* the next to leave goes to the loop */
}
