// SPDX-License-Identifier: MIT
/*
 * Where runnable coroutines wait. A processor has `next`, the newest that have
 * never run (fresh), a batch taken from the local queue, and the local queue
 * (runq.h), from which other workers steal. All share one global queue.
 *
 * Order of choice: next, the newest that has never run, the batch, the local
 * queue, the global queue; others' queues when all of these are empty. The
 * loop, at every second look round, begins with the batch and the queue, so
 * that neither the new coroutines nor the older ones wait until all of the
 * other group have used their slices or have blocked (loop.c).
 *
 * Coroutines whose timers have fired are put among those that have never run,
 * as the newest; those that start later go below them. The loop begins with one
 * of them at each other look round.
 *
 * Overload. What leaves the global queue enters the local one and runs from
 * there, in order; nothing goes back. So if the local queue is long and others
 * wait in the global one, those that come go to its end, and a look round takes
 * no more than there is room for. Both queues together are first in, first out.
 *
 * `next` lets a pair that hands data back and forth stay in the cache, but at
 * most URT__STREAK times in a row while others wait.
 */
#define _GNU_SOURCE
#include "queue.h"
#include <string.h>

#define AHEAD	    8u /* coroutines between the prefetch and the run */
#define FRAME_LINES 8  /* cache lines of frames that are fetched */

void urt__global_append(struct urt_coro *first, struct urt_coro *last, size_t n)
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

/*
 * No worker is bound to look at the global queue soon, so a wake-up must not be
 * lost here: the addition to global_len, sequentially consistent, comes before
 * the look at the sleepers; a worker that goes to sleep is listed first, and
 * then reads global_len (idle.c).
 */
void urt__ready_global(struct urt_coro *c)
{
	urt__global_append(c, c, 1);
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

void urt__runq_put_long(struct urt__proc *p, struct urt_coro *c)
{
	if (urt__global_waits() || !urt__runq_push(&p->runq, c, URT__RUNQ_SIZE))
		urt__global_append(c, c, 1);
}

/* Takes all posts; with global_lock held. */
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
		struct urt__post *next = p->next; /* p may be gone once fn
						     runs */
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

void urt__global_take(struct urt__worker *w)
{
	struct urt__proc *p = w->proc;
	struct urt_coro *c, *head;
	struct urt__post *posts;
	uint32_t len = urt__runq_len(&p->runq);
	size_t n = URT__RUNQ_LONG, taken = 0;

	if (len > URT__RUNQ_LONG)
		n = URT__TICKS;
	if (n > URT__RUNQ_SIZE - len)
		n = URT__RUNQ_SIZE - len;
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
		if (p->next)
			URT_BUG_ON(
				!urt__runq_push(&p->runq, c, URT__RUNQ_SIZE));
		else
			p->next = c;
	}
	posts_start(w, posts);
}

/*
 * With many coroutines, the next one to run has long left the cache: so the
 * frames in which it continues are fetched while others run, and the second
 * line of its block. (A switch is 10 ns, a miss 100.) The first line, which
 * says where the frames are, is fetched AHEAD coroutines earlier: if many are
 * queued, and the kernel has worked since, it is no longer in the cache. In a
 * program that never had many, all of this would cost a tenth of a switch and
 * save nothing. Always inlined: gcc 12 drops calls of a function that only prefetches.
 */
static inline __attribute__((always_inline)) void
prefetch(const struct urt_coro *c)
{
	const char *sp = c->ctx.sp;

	for (int line = 0; line < FRAME_LINES; line++)
		__builtin_prefetch(sp + line * URT__CACHELINE, 1);
	__builtin_prefetch((const char *)c + URT__CACHELINE, 1);
}

static inline __attribute__((always_inline)) void
prefetch_ahead(struct urt__proc *p)
{
	struct urt_coro *later = urt__runq_peek(&p->runq, AHEAD);

	if (!later)
		return;
	prefetch(later);
	later = urt__runq_peek(&p->runq, 2 * AHEAD);
	if (later)
		__builtin_prefetch(later, 1);
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

static inline struct urt_coro *fresh_drop_oldest(struct urt__proc *p)
{
	struct urt_coro *c = p->fresh[p->fresh_oldest];

	p->fresh_oldest = (p->fresh_oldest + 1) % URT__FRESH;
	p->fresh_len--;
	return c;
}

static URT__NOINLINE void fresh_to_global(struct urt__proc *p, unsigned n)
{
	struct urt_coro *first = fresh_drop_oldest(p), *last = first;

	for (unsigned i = 1; i < n; i++)
		last = last->link = fresh_drop_oldest(p);
	urt__global_append(first, last, n);
}

void urt__fresh_to_runq(struct urt__proc *p, unsigned n)
{
	uint32_t max = urt__global_waits() ? URT__RUNQ_LONG : URT__RUNQ_SIZE;

	for (; n && urt__runq_push(&p->runq, p->fresh[p->fresh_oldest], max);
	     n--)
		fresh_drop_oldest(p);
	if (urt__unlikely(n))
		fresh_to_global(p, n);
	if (urt__unlikely(p->due_left > p->fresh_len))
		p->due_left = p->fresh_len;
}

void urt__fresh_share(struct urt__proc *p)
{
	if (p->fresh_len > 1 && urt__shared &&
	    atomic_load_explicit(&urt__rt.idle.len, memory_order_relaxed))
		urt__fresh_to_runq(p, p->fresh_len / 2);
}

/* The newest goes below those that timers readied, which keep their turn. It
 * changes places with the lowest of them. */
static void fresh_below_due(struct urt__proc *p)
{
	unsigned newest = p->fresh_oldest + p->fresh_len - 1;
	struct urt_coro **a = &p->fresh[newest % URT__FRESH];
	struct urt_coro **b = &p->fresh[(newest - p->due_left) % URT__FRESH];
	struct urt_coro *c = *a;

	*a = *b;
	*b = c;
}

/* A function of its own, so that its caller saves no registers. */
static URT__NOINLINE void ready_new_rare(struct urt__proc *p,
					 struct urt_coro *c)
{
	urt__fresh_put(p, c);
	fresh_below_due(p);
	urt__fresh_share(p);
}

static inline void ready_new(struct urt__worker *w, struct urt_coro *c)
{
	struct urt__proc *p = w->proc;

	urt__set_reason(c, URT__R_RUNNABLE);
	if (urt__unlikely(p->fresh_len == URT__FRESH || p->due_left)) {
		ready_new_rare(p, c);
		return;
	}
	urt__fresh_put(p, c);
	if (urt__shared)
		urt__fresh_share(p);
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

/* All but `fresh`. */
static bool has_older(const struct urt__proc *p)
{
	return p->next || p->batch_pos < p->batch_len ||
	       urt__runq_len(&p->runq);
}

/* Of those that timers readied, the oldest goes on top. */
static void oldest_due_first(struct urt__proc *p)
{
	unsigned i = p->fresh_oldest + p->fresh_len - p->due_left;
	struct urt_coro *oldest = p->fresh[i % URT__FRESH];

	for (unsigned n = p->due_left - 1; n; n--, i++)
		p->fresh[i % URT__FRESH] = p->fresh[(i + 1) % URT__FRESH];
	p->fresh[i % URT__FRESH] = oldest;
}

void urt__fresh_age(struct urt__proc *p, bool oldest)
{
	if (oldest && p->fresh_len > p->due_left)
		urt__fresh_to_runq(p, 1);
	if (p->due_left > 1 && (p->looks % 2 == 0 || !has_older(p)))
		oldest_due_first(p);
	urt__fresh_share(p);
}

static inline struct urt_coro *take_queued(struct urt__proc *p)
{
	if (!urt__shared) {
		if (urt__unlikely(p->crowd))
			prefetch_ahead(p);
		return urt__runq_pop_alone(&p->runq);
	}
	if (p->batch_pos < p->batch_len)
		return p->batch[p->batch_pos++];
	return batch_refill(p);
}

struct urt_coro *urt__take_queued(struct urt__proc *p)
{
	return take_queued(p);
}

/* If more coroutines wait than the local queue holds, those whose timers fire
 * take turns with it: they would go first for as long as timers fire faster than
 * coroutines run. A function of its own: see ready_new_rare(). */
static URT__NOINLINE struct urt_coro *queue_turn(struct urt__proc *p)
{
	return p->next_streak % 2 && urt__global_waits() ? take_queued(p)
							 : NULL;
}

struct urt_coro *urt__take_local(struct urt__proc *p)
{
	struct urt_coro *c = p->next;

	if (c) {
		p->next = NULL;
		if (urt__likely(++p->next_streak < URT__STREAK))
			return c;
		urt__runq_put(p, c);
	} else if (p->fresh_len && ++p->next_streak < URT__STREAK) {
		c = urt__unlikely(p->due_left) ? queue_turn(p) : NULL;
		return c ? c : urt__fresh_take(p);
	}
	p->next_streak = 0;
	c = take_queued(p);
	if (urt__unlikely(!c && p->fresh_len))
		return urt__take_local(p);
	return c;
}

bool urt__proc_has_queue(const struct urt__proc *p)
{
	return p->fresh_len || has_older(p);
}

void urt__proc_expose(struct urt__worker *from)
{
	struct urt__proc *p = from->proc;
	unsigned n = 0, batch = p->batch_len - p->batch_pos;
	struct urt_coro *c[URT__FRESH + URT__BATCH + 1];

	/* The newest, whose timers have fired, stay before all others. */
	while (p->due_left)
		c[n++] = urt__fresh_take(p);
	urt__fresh_to_runq(p, p->fresh_len);
	memcpy(c + n, p->batch + p->batch_pos, batch * sizeof(*c));
	n += batch;
	p->batch_pos = p->batch_len = 0;
	if (p->next)
		c[n++] = p->next;
	p->next = NULL;
	for (unsigned i = 0; i + 1 < n; i++)
		c[i]->link = c[i + 1];
	if (n)
		urt__global_append(c[0], c[n - 1], n);
}
