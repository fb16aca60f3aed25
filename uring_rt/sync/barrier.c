// SPDX-License-Identifier: MIT
/*
 * Barrier: the last of `count` coroutines to arrive wakes the others, and the
 * barrier is ready for the next round at once. A coroutine that gives up its
 * wait no longer counts, unless its round is over by the time that it has the
 * lock: then it was counted, and its wait has succeeded.
 */
#include "waiter.h"
#undef errno

void urt_barrier_init(struct urt_barrier *b, uint32_t count)
{
	*b = (struct urt_barrier)URT_BARRIER_INIT(count);
}

int urt_barrier_wait(struct urt_barrier *b, int64_t deadline_ns)
{
	struct urt__worker *w = urt__enter(true);
	struct urt__waiter self, *others;
	uint32_t round;
	unsigned n;
	int ret;

	if (!w)
		return -EPERM;
	urt__obj_lock(&b->lock);
	round = b->round;
	if (++b->arrived < b->count) {
		ret = urt__waiter_park(w, &self, &b->waiters, false, &b->lock,
				       URT__R_BARRIER, 0, deadline_ns);
		if (ret < 0) {
			urt__obj_lock(&b->lock);
			if (b->round == round)
				b->arrived--;
			else
				ret = 0;
			urt__obj_unlock(&b->lock);
		}
	} else {
		others = urt__waitq_claim_all(&b->waiters, 0, &n);
		b->arrived = 0;
		b->round++;
		urt__obj_unlock(&b->lock);
		urt__waiters_ready(others);
		ret = 1;
	}
	urt__leave();
	return ret;
}
