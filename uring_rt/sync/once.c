// SPDX-License-Identifier: MIT
/*
 * Once: the first coroutine to arrive runs the function, the others wait until
 * the function has returned. `done` is read without the lock: acquire, partner
 * of the release after the function.
 */
#include "waiter.h"
#undef errno

enum { NOT_YET, RUNNING, DONE };

int urt_once_do(struct urt_once *o, urt_fn *fn, void *arg, int64_t deadline_ns)
{
	struct urt__worker *w;
	struct urt__waiter self, *first;
	unsigned n;
	int ret;

	if (urt__likely(__atomic_load_n(&o->state, __ATOMIC_ACQUIRE) == DONE))
		return 0;
	w = urt__enter(true);
	if (!w)
		return -EPERM;
	urt__obj_lock(&o->lock);
	if (o->state == RUNNING) {
		ret = urt__waiter_park(w, &self, &o->waiters, false, &o->lock,
				       URT__R_ONCE, 0, deadline_ns);
		urt__leave();
		return ret;
	}
	if (o->state == DONE) {
		urt__obj_unlock(&o->lock);
		urt__leave();
		return 0;
	}
	__atomic_store_n(&o->state, RUNNING, __ATOMIC_RELAXED);
	urt__obj_unlock(&o->lock);
	urt__leave();
	fn(arg);
	urt__enter(false);
	urt__obj_lock(&o->lock);
	__atomic_store_n(&o->state, DONE, __ATOMIC_RELEASE);
	first = urt__waitq_claim_all(&o->waiters, 0, &n);
	urt__obj_unlock(&o->lock);
	urt__waiters_ready(first);
	urt__leave();
	return 0;
}
