/* SPDX-License-Identifier: MIT */
/*
 * A coroutine on the list of what it waits for. The list and everything in a
 * queued waiter belong to the object's lock; the lock is held across the
 * switch that parks (urt__park with urt__commit_unlock), so nobody finds a
 * waiter whose registers are not saved. Who takes a waiter off the list, under
 * the lock, is its one waker: it sets wait.result and readies it.
 */
#ifndef URT_SYNC_WAITER_H
#define URT_SYNC_WAITER_H

#include "../wait/wait.h"

struct urt__waiter {
	struct urt__waiter *next, *prev;
	struct urt_waitq *queue; /* it is on; NULL: on none */
	uint32_t *lock;
	struct urt__wait wait;
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

static inline struct urt__waiter *urt__waitq_pop(struct urt_waitq *q)
{
	struct urt__waiter *w = q->head;

	if (w)
		urt__waitq_remove(w);
	return w;
}

/*
 * All of the list, now on none: the first of them, chained by next. With the
 * lock held; to be woken with urt__waiters_wake after it is released.
 */
struct urt__waiter *urt__waitq_take_all(struct urt_waitq *);
void urt__waiters_wake(struct urt__waiter *first, int result);

/* The abort of all of them. */
void urt__waiter_abort(struct urt__wait *, int err);

/*
 * With the lock held, which it releases: puts w at the end of q (or the front)
 * and parks. The waker's result, -ETIME, -ECANCELED, or why it could not
 * begin to wait (then the lock is released, too).
 */
int urt__waiter_park(struct urt__waiter *w, struct urt_waitq *q, bool front,
		     uint32_t *lock, enum urt__reason, int64_t deadline_ns);

#endif
