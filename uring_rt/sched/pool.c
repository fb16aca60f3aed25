// SPDX-License-Identifier: MIT
/*
 * Coroutines that have ended, and the memory of their stacks.
 *
 * Each processor keeps up to two magazines of ended coroutines for those that
 * it starts next: their stacks are warm, and only the owner touches them.
 * Further stacks are here: those of the run's own size in whole magazines,
 * those of other sizes one by one.
 *
 * A burst leaves as many stacks as were in use at its height, and each keeps
 * the pages that it touched. So in each period the monitor's helper finds out
 * how many were not needed in all of the last one: the smallest number that
 * were here at any time. So many go back to the system during the next period,
 * a part at each call. Stacks that are freed and reused within a period stay
 * warm.
 *
 * The control block goes with its stack, although timers, wakers and
 * cancellations of its last life may still hold it, with the number of a wait.
 * The block then reads as zero: a coroutine that is not parked, so they change
 * nothing. They must change nothing when the block is used again, either; so
 * new blocks number their waits from seq_floor, which is above all numbers of
 * blocks that were given back. And a block does not go while a request to
 * cancel is under way or while it is linked in an inbox. Claiming its place in
 * an inbox keeps later claimers out until the block is zero (cancel.c:
 * inbox_claim).
 */
#include "sched.h"

#define STEP_NS INT64_C(10000000)
#define STEP	512 /* stacks that go in one call: about 1 ms */

int64_t urt__pool_period_ns = INT64_C(1000000000);

/* Relaxed; partner: urt__pool_is_empty, which does not take the lock. */
static void set_n(struct urt__pool *p, size_t n)
{
	__atomic_store_n(&p->n, n, __ATOMIC_RELAXED);
}

struct urt_coro *urt__pool_take(unsigned class)
{
	struct urt__pool *p = &urt__rt.pool[class];
	struct urt_coro *c = p->first;

	if (!c)
		return NULL;
	p->first = c->scope_next;
	set_n(p, p->n - 1);
	if (p->n < p->least)
		p->least = p->n;
	if (!class)
		return c;
	c->link = NULL;
	return c;
}

void urt__pool_put(unsigned class, struct urt_coro *c)
{
	struct urt__pool *p = &urt__rt.pool[class];

	if (class)
		c->link = NULL;
	urt__lock(&urt__rt.pool_lock);
	c->scope_next = p->first;
	p->first = c;
	set_n(p, p->n + 1);
	urt__unlock(&urt__rt.pool_lock);
}

/* Keeps a coroutine that could not go; those of class 0 until they are a
 * magazine again. */
static void keep(unsigned class, struct urt_coro *c)
{
	if (class) {
		urt__pool_put(class, c);
		return;
	}
	c->link = urt__rt.kept;
	urt__rt.kept = c;
	if (++urt__rt.nr_kept < URT__MAGAZINE)
		return;
	urt__pool_put(0, c);
	urt__rt.kept = NULL;
	urt__rt.nr_kept = 0;
}

static bool give_back(unsigned class, struct urt_coro *c)
{
	uint64_t seq = urt__park_seq(atomic_load(&c->park)) + 1;

	/* Acquire; partner: cancel_answered. */
	if (atomic_load_explicit(&c->cancels, memory_order_acquire) ||
	    atomic_exchange(&c->in_inbox, true))
		return false;
	/* Release; partner: coro_new. Only this thread raises it. */
	if (seq >
	    atomic_load_explicit(&urt__rt.seq_floor, memory_order_relaxed))
		atomic_store_explicit(&urt__rt.seq_floor, seq,
				      memory_order_release);
	if (urt__stack_put(&urt__rt.stacks[class], c + 1))
		return true;
	atomic_store(&c->in_inbox, false);
	return false;
}

/* Takes one of the entries that are to go. */
static struct urt_coro *take_spare(unsigned class)
{
	struct urt__pool *p = &urt__rt.pool[class];
	struct urt_coro *c = NULL;

	urt__lock(&urt__rt.pool_lock);
	if (p->spare) {
		p->spare--;
		c = urt__pool_take(class);
	}
	urt__unlock(&urt__rt.pool_lock);
	return c;
}

static void new_period(void)
{
	urt__lock(&urt__rt.pool_lock);
	for (unsigned i = 0; i < URT__CLASSES; i++) {
		struct urt__pool *p = &urt__rt.pool[i];

		p->spare = p->least;
		p->least = p->n;
	}
	urt__unlock(&urt__rt.pool_lock);
}

/* Gives back up to *left stacks. True: there may be more that are to go. */
static bool step(unsigned *left)
{
	for (unsigned class = 0; class < URT__CLASSES; class ++) {
		struct urt_coro *c, *next;

		while (*left && (c = take_spare(class))) {
			for (; c; c = next) {
				next = c->link;
				if (!give_back(class, c))
					keep(class, c);
				*left -= *left > 0;
			}
		}
	}
	return !*left;
}

bool urt__pool_is_empty(void)
{
	for (unsigned i = 0; i < URT__CLASSES; i++)
		if (__atomic_load_n(&urt__rt.pool[i].n, __ATOMIC_RELAXED))
			return false;
	return true;
}

int64_t urt__pool_tidy(int64_t now_ns)
{
	static int64_t period_ns, step_ns; /* when the next period and step
					      begin */
	unsigned left = STEP;

	if (now_ns < step_ns)
		return step_ns;
	if (now_ns >= period_ns) {
		new_period();
		period_ns = now_ns + urt__pool_period_ns;
	}
	step_ns = period_ns;
	if (step(&left) && now_ns + STEP_NS < period_ns)
		step_ns = now_ns + STEP_NS;
	return step_ns;
}
