// SPDX-License-Identifier: MIT
/*
 * Wait group: a count, and the waiters until it is zero.
 *
 * The count may be raised while coroutines wait. A waiter that is woken at zero
 * does not check the count again, so a group that is reused wakes its old
 * waiters, as Go's does.
 *
 *	state: count << 1 | WAITERS
 *
 * The count is changed by one atomic addition (a plain one with one processor).
 * WAITERS is a bit of the same word, which a waiter sets under the lock, so the
 * coroutine that brings the count to zero knows from its addition whether it
 * must wake waiters. If not, that coroutine no longer touches the group, and a
 * waiter that finds zero may free it. If so, that coroutine takes the lock
 * next, and waiters that find zero and WAITERS wait for that, too.
 */
#include "../wait/thread.h"
#include "waiter.h"
#undef errno

void urt_waitgroup_init(struct urt_waitgroup *wg)
{
	*wg = (struct urt_waitgroup)URT_WAITGROUP_INIT;
}

struct call {
	struct urt_waitgroup *wg;
	int64_t n; /* or deadline */
};

static int64_t add_behalf(void *arg)
{
	struct call *c = arg;

	urt_waitgroup_add(c->wg, c->n);
	return 0;
}

static int64_t wait_behalf(void *arg)
{
	struct call *c = arg;

	return urt_waitgroup_wait(c->wg, c->n);
}

#define WAITERS INT64_C(1)
#define ONE	INT64_C(2)

static inline int64_t add(struct urt_waitgroup *wg, int64_t n)
{
	if (urt__shared)
		return __atomic_add_fetch(&wg->state, n * ONE,
					  __ATOMIC_ACQ_REL);
	return wg->state += n * ONE;
}

/* The group may be gone as soon as the lock is free. */
static URT__NOINLINE void wake(struct urt_waitgroup *wg)
{
	struct urt__waiter *w;
	unsigned n;

	urt__obj_lock(&wg->lock);
	__atomic_fetch_and(&wg->state, ~WAITERS, __ATOMIC_RELAXED);
	w = urt__waitq_claim_all(&wg->waiters, 0, &n);
	urt__obj_unlock(&wg->lock);
	urt__waiters_ready(w);
}

void urt_waitgroup_add(struct urt_waitgroup *wg, int64_t n)
{
	int64_t state;

	if (urt__unlikely(!urt__enter_often())) {
		URT_MISTAKE_ON(
			urt__behalf(add_behalf, &(struct call){ wg, n }) ==
				-EPERM,
			"urt_waitgroup_add by a thread while no run is going on");
		return;
	}
	state = add(wg, n);
	URT_MISTAKE_ON(state < 0,
		       "urt_waitgroup_add or _done: the count became negative");
	if (state == WAITERS)
		wake(wg);
	urt__leave();
}

void urt_waitgroup_done(struct urt_waitgroup *wg)
{
	urt_waitgroup_add(wg, -1);
}

int urt_waitgroup_wait(struct urt_waitgroup *wg, int64_t deadline_ns)
{
	struct urt__worker *w = urt__enter(true);
	struct urt__waiter self;
	int ret = 0;

	if (!w)
		return urt__behalf(wait_behalf,
				   &(struct call){ wg, deadline_ns });
	urt__obj_lock(&wg->lock);
	/* Acquire; partner: the addition that made it zero. */
	if (!__atomic_load_n(&wg->state, __ATOMIC_ACQUIRE) ||
	    !__atomic_fetch_or(&wg->state, WAITERS, __ATOMIC_ACQUIRE)) {
		__atomic_fetch_and(&wg->state, ~WAITERS, __ATOMIC_RELAXED);
		urt__obj_unlock(&wg->lock);
	} else {
		ret = urt__waiter_park(w, &self, &wg->waiters, false, &wg->lock,
				       URT__R_WAITGROUP, 0, deadline_ns);
	}
	urt__leave();
	return ret;
}
