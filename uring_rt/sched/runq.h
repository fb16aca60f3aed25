/* SPDX-License-Identifier: MIT */
/*
 * The run queue of a processor: a bounded FIFO ring with one producer, its
 * owner, and any number of consumers (Go's runq, proc.go). Pure: no threads,
 * no kernel.
 *
 *	head                tail
 *	 | taken by CAS      | written by the owner only
 *	 v                   v
 *	[c][c][c][c][c][c][c][ ][ ]   slot[i % SIZE]
 *
 * push: the slot is written, then tail is published (release). Consumers load
 * tail (acquire) and so see the slot. A consumer copies slots first and then
 * claims them by moving head with a CAS (release): if another moved it first,
 * the copies are discarded. So it is harmless that head and tail are read one
 * after the other, and that their difference may exceed any real length. The
 * owner loads head (acquire) before it reuses a slot, so a claimed slot has
 * been read.
 *
 * Linearisation points: push at the store of tail; take at the CAS of head.
 */
#ifndef URT_SCHED_RUNQ_H
#define URT_SCHED_RUNQ_H

#include "../base/base.h"

#ifndef URT__RUNQ_SIZE
#define URT__RUNQ_SIZE 1024u /* power of two */
#endif

struct urt_coro;

struct urt__runq {
	URT__ALIGNED _Atomic uint32_t head;
	URT__ALIGNED _Atomic uint32_t tail;
	struct urt_coro *_Atomic slot[URT__RUNQ_SIZE];
};

static inline uint32_t urt__runq_len(const struct urt__runq *q)
{
	return atomic_load_explicit(&q->tail, memory_order_acquire) -
	       atomic_load_explicit(&q->head, memory_order_acquire);
}

/* Owner. False: there are `max` already, at most URT__RUNQ_SIZE. */
static inline bool urt__runq_push(struct urt__runq *q, struct urt_coro *c,
				  uint32_t max)
{
	uint32_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
	uint32_t head = atomic_load_explicit(&q->head, memory_order_acquire);

	if (urt__unlikely(tail - head >= max))
		return false;
	atomic_store_explicit(&q->slot[tail % URT__RUNQ_SIZE], c,
			      memory_order_relaxed);
	atomic_store_explicit(&q->tail, tail + 1, memory_order_release);
	return true;
}

/*
 * Any thread. Takes up to max of the oldest, but no more than half (rounded up)
 * of all, into out; returns how many.
 */
static inline uint32_t urt__runq_take(struct urt__runq *q,
				      struct urt_coro **out, uint32_t max)
{
	uint32_t head = atomic_load_explicit(&q->head, memory_order_acquire);

	for (;;) {
		uint32_t n =
			atomic_load_explicit(&q->tail, memory_order_acquire) -
			head;

		n -= n / 2;
		if (n > max)
			n = max;
		if (!n)
			return 0;
		for (uint32_t i = 0; i < n; i++)
			out[i] = atomic_load_explicit(
				&q->slot[(head + i) % URT__RUNQ_SIZE],
				memory_order_relaxed);
		if (atomic_compare_exchange_weak_explicit(
			    &q->head, &head, head + n, memory_order_acq_rel,
			    memory_order_acquire))
			return n;
	}
}

/* For the owner: the one that is `ahead` places behind the oldest, or NULL.
 * Only a hint: another thread may take it. */
static inline struct urt_coro *urt__runq_peek(struct urt__runq *q,
					      uint32_t ahead)
{
	uint32_t head = atomic_load_explicit(&q->head, memory_order_relaxed);
	uint32_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);

	if (tail - head <= ahead)
		return NULL;
	return atomic_load_explicit(&q->slot[(head + ahead) % URT__RUNQ_SIZE],
				    memory_order_relaxed);
}

/* For the owner, if no other thread takes: the oldest, or NULL. No CAS. */
static inline struct urt_coro *urt__runq_pop_alone(struct urt__runq *q)
{
	uint32_t head = atomic_load_explicit(&q->head, memory_order_relaxed);

	if (head == atomic_load_explicit(&q->tail, memory_order_relaxed))
		return NULL;
	atomic_store_explicit(&q->head, head + 1, memory_order_relaxed);
	return atomic_load_explicit(&q->slot[head % URT__RUNQ_SIZE],
				    memory_order_relaxed);
}

#endif
