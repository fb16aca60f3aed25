// SPDX-License-Identifier: MIT
/*
 * Condition: waiters in order of arrival; signal wakes the first.
 *
 * The waiter takes the condition's lock before it gives up the mutex, and holds
 * it until it is on the list and has parked, so a signal made with the mutex
 * held cannot come between; the order of the two under that lock makes no
 * difference. The mutex is taken again after every wait. There are no wake-ups
 * without a signal, but others may have taken the mutex first, so callers check
 * their condition again, as always.
 *
 * Lock order: the condition's, then the mutex's.
 */
#include "waiter.h"
#undef errno

void urt_cond_init(struct urt_cond *c)
{
	*c = (struct urt_cond)URT_COND_INIT;
}

int urt_cond_wait(struct urt_cond *c, struct urt_mutex *m, int64_t deadline_ns)
{
	struct urt__worker *w = urt__enter(true);
	struct urt__waiter self = { .coro = NULL };
	int ret;

	if (urt__unlikely(!w))
		return -EPERM;
	urt__obj_lock(&c->lock);
	ret = urt__wait_begin(w, 0, deadline_ns, &self.seq);
	if (ret) {
		urt__obj_unlock(&c->lock);
		urt__leave();
		return ret;
	}
	self.coro = w->current;
	urt__waitq_push(&c->waiters, &self);
	urt__mutex_unlock(m);
	ret = urt__waiter_sleep(w, &self, &c->lock, URT__R_COND);
	urt__mutex_lock(urt__worker(), m, URT__FIRM, URT_NEVER);
	urt__leave();
	return ret;
}

static void wake(struct urt_cond *c, bool all)
{
	struct urt__waiter *w;
	unsigned n;

	URT_MISTAKE_ON(
		!urt__enter_often(),
		"urt_cond_signal or urt_cond_broadcast on a plain thread: call it in a coroutine");
	urt__obj_lock(&c->lock);
	w = all ? urt__waitq_claim_all(&c->waiters, 0, &n)
		: urt__waitq_claim(&c->waiters, 0);
	urt__obj_unlock(&c->lock);
	if (w && !all)
		w->next = NULL;
	urt__waiters_ready(w);
	urt__leave();
}

void urt_cond_signal(struct urt_cond *c)
{
	wake(c, false);
}

void urt_cond_broadcast(struct urt_cond *c)
{
	wake(c, true);
}
