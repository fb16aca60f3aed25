// SPDX-License-Identifier: MIT
/* Waiting on a list under a lock; see waiter.h. */
#include "waiter.h"

void urt__waiter_abort(struct urt__wait *wait, int err)
{
	struct urt__waiter *w =
		urt__container_of(wait, struct urt__waiter, wait);
	bool waiting;

	urt__lock(w->lock);
	waiting = w->queue;
	if (waiting) {
		urt__waitq_remove(w);
		wait->result = err;
	}
	urt__unlock(w->lock);
	if (waiting)
		urt__ready_last(wait->coro);
}

int urt__waiter_park(struct urt__waiter *w, struct urt_waitq *q, bool front,
		     uint32_t *lock, enum urt__reason reason,
		     int64_t deadline_ns)
{
	int err = urt__wait_begin(&w->wait, urt__waiter_abort, deadline_ns);

	if (err) {
		urt__unlock(lock);
		return err;
	}
	w->lock = lock;
	if (front)
		urt__waitq_push_front(q, w);
	else
		urt__waitq_push(q, w);
	urt__park(reason, urt__commit_unlock, lock);
	return urt__wait_end(&w->wait);
}

struct urt__waiter *urt__waitq_take_all(struct urt_waitq *q)
{
	struct urt__waiter *first = q->head;

	for (struct urt__waiter *w = first; w; w = w->next)
		w->queue = NULL;
	q->head = q->tail = NULL;
	return first;
}

void urt__waiters_wake(struct urt__waiter *w, int result)
{
	while (w) {
		struct urt__waiter *next = w->next; /* w ends with its wait */

		w->wait.result = result;
		urt__ready_last(w->wait.coro);
		w = next;
	}
}
