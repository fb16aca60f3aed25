/* SPDX-License-Identifier: MIT */
/*
 * A processor's queues, and the global one. For a worker inside the runtime,
 * with its own processor, unless the comment says otherwise.
 */
#ifndef URT_SCHED_QUEUE_H
#define URT_SCHED_QUEUE_H

#include "sched.h"

#define URT__TICKS  64u	 /* switches between two looks round; power of two */
#define URT__STREAK 128u /* runs of `next` in a row */

/* ---- the global queue: from any thread ---- */

/* Adds n coroutines, linked by link. No worker is woken. */
void urt__global_append(struct urt_coro *first, struct urt_coro *last,
			size_t n);
/* Adds a coroutine, and wakes a worker for it. */
void urt__ready_global(struct urt_coro *);

static inline bool urt__global_waits(void)
{
	return urt__unlikely(atomic_load_explicit(&urt__rt.global_len,
						  memory_order_relaxed));
}

/*
 * At every look round, moves this processor's share of the global queue into
 * the local one; if the local queue is long, no more coroutines than can have
 * run locally since the last look round. The first becomes `next`, unless there
 * is one: it may be a sleeper that was exposed, and those in the local queue may
 * block. Starts posted coroutines.
 */
void urt__global_take(struct urt__worker *);

/* ---- the local queue ---- */

#define URT__RUNQ_LONG (URT__RUNQ_SIZE / 2)

/* For a long local queue: adds c to the global one if others wait there, or if
 * the local one is full. */
URT__NOINLINE void urt__runq_put_long(struct urt__proc *, struct urt_coro *c);

static inline void urt__runq_put(struct urt__proc *p, struct urt_coro *c)
{
	if (urt__unlikely(!urt__runq_push(&p->runq, c, URT__RUNQ_LONG)))
		urt__runq_put_long(p, c);
}

/* The oldest in the batch or the local queue; NULL: both are empty. */
struct urt_coro *urt__take_queued(struct urt__proc *);

/* The next one to run here, without looking beyond the local queue. */
struct urt_coro *urt__take_local(struct urt__proc *);

/* ---- coroutines that have never run ---- */

/* Moves the n oldest to the local queue. */
void urt__fresh_to_runq(struct urt__proc *, unsigned n);
/* Moves half of them there if a sleeping worker could take them: the oldest,
 * which in a tree have the most below them. */
void urt__fresh_share(struct urt__proc *);

static inline void urt__fresh_put(struct urt__proc *p, struct urt_coro *c)
{
	if (urt__unlikely(p->fresh_len == URT__FRESH))
		urt__fresh_to_runq(p, URT__FRESH / 2);
	p->fresh[(p->fresh_oldest + p->fresh_len++) % URT__FRESH] = c;
}

/* There are some: moves the oldest that no timer readied to the local queue, if
 * it is the turn of the oldest. If this look round begins with a sleeper, the
 * oldest of these goes on top and runs next: otherwise those whose timers fire
 * again and again would always go before it. */
void urt__fresh_age(struct urt__proc *, bool oldest);

/* For one whose timer fires. */
static inline void urt__fresh_put_due(struct urt__proc *p, struct urt_coro *c)
{
	urt__fresh_put(p, c);
	p->due_left++;
}

/* Takes the newest; if timers readied some, the one whose timer fired last. */
static inline struct urt_coro *urt__fresh_take(struct urt__proc *p)
{
	if (urt__unlikely(p->due_left))
		p->due_left--;
	p->fresh_len--;
	return p->fresh[(p->fresh_oldest + p->fresh_len) % URT__FRESH];
}

#endif
