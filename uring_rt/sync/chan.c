// SPDX-License-Identifier: MIT
/*
 * Channels, as Go's chan.go.
 *
 * A ring of elements, a list of waiting receivers and one of waiting senders,
 * under one lock. An element takes the shortest way: from a sender straight
 * into the buffer of a waiting receiver (on its stack), else into the ring,
 * else the sender waits with it.
 *
 * Invariants, with the lock free, for waiters that can still be claimed:
 *   - receivers wait only while the ring is empty and no sender waits;
 *   - senders wait only while the ring is full (always, if capacity is 0);
 *   - both wait only while it is open.
 * So elements leave in the order in which they came, also those of waiting
 * senders: a receiver that takes the oldest from a full ring moves the oldest
 * waiting sender's element into the place that became free. Waiters are served
 * in the order they came: no waiter starves.
 *
 * A waiter is claimed before its element is copied: an element given to a
 * receiver whose deadline passed would be lost.
 */
#include "../wait/thread.h"
#include "../base/sys.h"
#include "chan.h"
#include <stdlib.h>
#include <string.h>
#undef errno

struct urt_chan *urt_chan_new(size_t elem_size, size_t capacity)
{
	struct urt_chan *ch;
	size_t size;

	if (__builtin_mul_overflow(elem_size, capacity, &size) ||
	    __builtin_add_overflow(size, sizeof(*ch), &size))
		return NULL;
	ch = urt__sys_zalloc(size);
	if (!ch)
		return NULL;
	ch->elem_size = elem_size;
	ch->capacity = capacity;
	return ch;
}

void urt_chan_free(struct urt_chan *ch)
{
	if (ch)
		URT_MISTAKE_ON(
			ch->receivers.head || ch->senders.head,
			"urt_chan_free of a channel that coroutines are waiting on");
	free(ch);
}

size_t urt_chan_len(const struct urt_chan *ch)
{
	return __atomic_load_n(&ch->len, __ATOMIC_RELAXED);
}

/* Does nothing if `to` is NULL or there is nothing to copy. */
static inline void copy(const struct urt_chan *ch, void *to, const void *from)
{
	if (!to || !from)
		return;
	if (ch->elem_size == sizeof(uint64_t))
		memcpy(to, from, sizeof(uint64_t));
	else
		memcpy(to, from, ch->elem_size);
}

static inline void *slot(struct urt_chan *ch, size_t i)
{
	if (i >= ch->capacity)
		i -= ch->capacity;
	return ch->ring + i * ch->elem_size;
}

static inline void set_len(struct urt_chan *ch, size_t len)
{
	__atomic_store_n(&ch->len, len, __ATOMIC_RELAXED);
}

static inline void ring_push(struct urt_chan *ch, const void *elem)
{
	copy(ch, slot(ch, ch->head + ch->len), elem);
	set_len(ch, ch->len + 1);
}

static inline void ring_pop(struct urt_chan *ch, void *elem)
{
	copy(ch, elem, slot(ch, ch->head));
	if (++ch->head == ch->capacity)
		ch->head = 0;
	set_len(ch, ch->len - 1);
}

static inline int try_send(struct urt_chan *ch, const void *elem,
			   struct urt_coro **wake)
{
	struct urt__waiter *receiver;

	*wake = NULL;
	if (urt__unlikely(ch->closed))
		return -EPIPE;
	receiver = urt__waitq_claim(&ch->receivers, 0);
	if (receiver) {
		copy(ch, receiver->elem, elem);
		*wake = receiver->coro;
		return 0;
	}
	if (ch->len == ch->capacity)
		return URT__MUST_WAIT;
	ring_push(ch, elem);
	return 0;
}

static inline int try_recv(struct urt_chan *ch, void *elem,
			   struct urt_coro **wake)
{
	struct urt__waiter *sender;
	bool got = ch->len;

	*wake = NULL;
	if (got)
		ring_pop(ch, elem);
	sender = urt__waitq_claim(&ch->senders, 0);
	if (sender) {
		if (got)
			ring_push(ch, sender->elem);
		else
			copy(ch, elem, sender->elem);
		*wake = sender->coro;
		return 0;
	}
	if (got)
		return 0;
	return ch->closed ? -EPIPE : URT__MUST_WAIT;
}

int urt__chan_try_send(struct urt_chan *ch, const void *elem,
		       struct urt_coro **wake)
{
	return try_send(ch, elem, wake);
}

int urt__chan_try_recv(struct urt_chan *ch, void *elem, struct urt_coro **wake)
{
	return try_recv(ch, elem, wake);
}

/* ---- from plain threads ------------------------------------------------ */

struct call {
	struct urt_chan *ch;
	void *elem;
	int64_t deadline_ns;
};

static int64_t send_behalf(void *arg)
{
	struct call *c = arg;

	return urt_chan_send(c->ch, c->elem, c->deadline_ns);
}

static int64_t recv_behalf(void *arg)
{
	struct call *c = arg;

	return urt_chan_recv(c->ch, c->elem, c->deadline_ns);
}

static int64_t close_behalf(void *arg)
{
	urt_chan_close(arg);
	return 0;
}

/* ---- the calls --------------------------------------------------------- */

int urt_chan_send(struct urt_chan *ch, const void *elem, int64_t deadline_ns)
{
	struct urt__worker *w = urt__enter(true);
	struct urt__waiter self;
	struct urt_coro *wake;
	int ret;

	if (urt__unlikely(!w))
		return urt__behalf(
			send_behalf,
			&(struct call){ ch, (void *)elem, deadline_ns });
	urt__obj_lock(&ch->lock);
	ret = try_send(ch, elem, &wake);
	if (urt__likely(ret != URT__MUST_WAIT)) {
		urt__obj_unlock(&ch->lock);
		if (wake)
			urt__ready(wake);
	} else {
		self.elem = (void *)elem;
		ret = urt__waiter_park(w, &self, &ch->senders, false, &ch->lock,
				       URT__R_CHAN_SEND, 0, deadline_ns);
	}
	urt__leave();
	return ret;
}

int urt_chan_recv(struct urt_chan *ch, void *elem, int64_t deadline_ns)
{
	struct urt__worker *w = urt__enter(true);
	struct urt__waiter self;
	struct urt_coro *wake;
	int ret;

	if (urt__unlikely(!w))
		return urt__behalf(recv_behalf,
				   &(struct call){ ch, elem, deadline_ns });
	urt__obj_lock(&ch->lock);
	ret = try_recv(ch, elem, &wake);
	if (ret != URT__MUST_WAIT) {
		urt__obj_unlock(&ch->lock);
		if (wake)
			urt__ready(wake);
	} else {
		self.elem = elem;
		ret = urt__waiter_park(w, &self, &ch->receivers, false,
				       &ch->lock, URT__R_CHAN_RECV, 0,
				       deadline_ns);
	}
	urt__leave();
	return ret;
}

void urt_chan_close(struct urt_chan *ch)
{
	struct urt__waiter *receivers, *senders;
	unsigned n;

	if (urt__unlikely(!urt__enter_often())) {
		URT_MISTAKE_ON(
			urt__behalf(close_behalf, ch) == -EPERM,
			"urt_chan_close by a thread while no run is going on");
		return;
	}
	urt__obj_lock(&ch->lock);
	ch->closed = true;
	receivers = urt__waitq_claim_all(&ch->receivers, -EPIPE, &n);
	senders = urt__waitq_claim_all(&ch->senders, -EPIPE, &n);
	urt__obj_unlock(&ch->lock);
	urt__waiters_ready(receivers);
	urt__waiters_ready(senders);
	urt__leave();
}
