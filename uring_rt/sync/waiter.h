/* SPDX-License-Identifier: MIT */
/*
 * A coroutine on the list of the object that it waits for.
 *
 * The list and the links belong to the object's lock. The lock is held across
 * the switch that parks, so no waker finds a waiter whose registers are not
 * saved. A waker takes waiters off the list under the lock and must claim each
 * (sched/coro.h), since a deadline or a cancellation may have been first; such
 * a coroutine takes itself off, if it is still on the list, under the lock. So
 * a waiter on the list, which lies on its coroutine's stack, exists.
 *
 * In these files "lock" is urt__obj_lock, which does nothing with one
 * processor.
 */
#ifndef URT_SYNC_WAITER_H
#define URT_SYNC_WAITER_H

#include "../wait/wait.h"

struct urt__waiter {
	struct urt__waiter *next, *prev;
	struct urt_waitq *queue; /* the list it is on; NULL: none */
	struct urt_coro *coro;
	uint64_t seq;	  /* of the wait */
	void *elem;	  /* channels: where to copy from or to */
	int64_t since_ns; /* mutex: since when it has been waiting */
};

static inline void urt__waitq_push(struct urt_waitq *q, struct urt__waiter *w)
{
	w->queue = q;
	w->next = NULL;
	w->prev = q->tail;
	if (q->tail)
		q->tail->next = w;
	else
		q->head = w;
	q->tail = w;
}

static inline void urt__waitq_push_front(struct urt_waitq *q,
					 struct urt__waiter *w)
{
	w->queue = q;
	w->prev = NULL;
	w->next = q->head;
	if (q->head)
		q->head->prev = w;
	else
		q->tail = w;
	q->head = w;
}

static inline void urt__waitq_remove(struct urt__waiter *w)
{
	struct urt_waitq *q = w->queue;

	if (w->prev)
		w->prev->next = w->next;
	else
		q->head = w->next;
	if (w->next)
		w->next->prev = w->prev;
	else
		q->tail = w->prev;
	w->queue = NULL;
}

/*
 * With the lock held: the first waiter that can still be woken, off the list
 * and claimed, with this result; NULL: none. The caller readies it.
 */
static inline struct urt__waiter *urt__waitq_claim(struct urt_waitq *q,
						   int result)
{
	struct urt__waiter *w;

	while ((w = q->head)) {
		urt__waitq_remove(w);
		if (urt__likely(urt__claim(w->coro, w->seq))) {
			w->coro->result = result;
			w->coro->woken_by = w;
			return w;
		}
	}
	return NULL;
}

/*
 * The same for the whole list: returns the first, chained by next, and their
 * number in *n. The caller readies them by urt__waiters_ready after it has
 * released the lock.
 */
struct urt__waiter *urt__waitq_claim_all(struct urt_waitq *, int result,
					 unsigned *n);
void urt__waiters_ready(struct urt__waiter *first);

/*
 * With the lock held, which the call releases: puts self at the end of q (or
 * the front) and parks. Returns the waker's result, -ETIME, -ECANCELED, or the
 * error that prevented the wait. On return, self is on no list.
 */
int urt__waiter_park(struct urt__worker *, struct urt__waiter *self,
		     struct urt_waitq *q, bool front, uint32_t *lock,
		     enum urt__reason, enum urt__wait_flags flags,
		     int64_t deadline_ns);

/* The last part of that, for a caller that has begun the wait and put self on
 * its list. */
int urt__waiter_sleep(struct urt__worker *, struct urt__waiter *self,
		      uint32_t *lock, enum urt__reason);

/* For cond: the mutex without enter and leave. */
int urt__mutex_lock(struct urt__worker *, struct urt_mutex *,
		    enum urt__wait_flags flags, int64_t deadline_ns);
void urt__mutex_unlock(struct urt_mutex *);

#endif
