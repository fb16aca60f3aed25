// SPDX-License-Identifier: MIT
/* Waiting on a list under a lock; see waiter.h. */
#include "waiter.h"

int urt__waiter_sleep(struct urt__worker *w, struct urt__waiter *self,
		      uint32_t *lock, enum urt__reason reason)
{
	int ret = urt__park(w, reason, URT__WAITING, urt__commit_unlock, lock);

	if (ret < 0) { /* no waker claimed it, or one with an error */
		urt__obj_lock(lock);
		if (self->queue)
			urt__waitq_remove(self);
		urt__obj_unlock(lock);
	}
	return ret;
}

int urt__waiter_park(struct urt__worker *w, struct urt__waiter *self,
		     struct urt_waitq *q, bool front, uint32_t *lock,
		     enum urt__reason reason, enum urt__wait_flags flags,
		     int64_t deadline_ns)
{
	int ret = urt__wait_begin(w, flags, deadline_ns, &self->seq);

	if (ret) {
		urt__obj_unlock(lock);
		return ret;
	}
	self->coro = w->current;
	if (front)
		urt__waitq_push_front(q, self);
	else
		urt__waitq_push(q, self);
	return urt__waiter_sleep(w, self, lock, reason);
}

struct urt__waiter *urt__waitq_claim_all(struct urt_waitq *q, int result,
					 unsigned *n)
{
	struct urt__waiter *first = NULL, **last = &first, *w;

	for (*n = 0; (w = urt__waitq_claim(q, result)); (*n)++) {
		*last = w;
		last = &w->next;
	}
	*last = NULL;
	return first;
}

void urt__waiters_ready(struct urt__waiter *w)
{
	while (w) {
		struct urt__waiter *next = w->next; /* w ends with its wait */

		urt__ready_last(w->coro);
		w = next;
	}
}
