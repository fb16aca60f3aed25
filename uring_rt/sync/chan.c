// SPDX-License-Identifier: MIT
/*
 * Channels, as Go's chan.go.
 *
 * A ring of elements, a list of waiting receivers and one of waiting senders,
 * under one lock. An element goes by the shortest way: from a sender straight
 * into the buffer of a receiver that waits (on its stack), else into the ring,
 * else the sender waits with it.
 *
 * Invariants, with the lock free:
 *   - receivers wait only while the ring is empty and no sender waits;
 *   - senders wait only while the ring is full (always, if capacity is 0);
 *   - both wait only while it is open.
 * So elements leave in the order in which they came, also those of waiting
 * senders: a receiver that takes the oldest from a full ring moves the oldest
 * waiting sender's element into the place that became free.
 */
#include "waiter.h"
#include <stdlib.h>
#include <string.h>
#undef errno

struct urt_chan {
	uint32_t lock; /* over all but elem_size and capacity */
	bool closed;
	size_t elem_size; /* bytes */
	size_t capacity;  /* elements */
	size_t len;	  /* in the ring */
	size_t head;	  /* the oldest: index */
	struct urt_waitq receivers, senders;
	char ring[];
};

struct urt_chan *urt_chan_new(size_t elem_size, size_t capacity)
{
	struct urt_chan *ch;
	size_t size;

	if (__builtin_mul_overflow(elem_size, capacity, &size) ||
	    __builtin_add_overflow(size, sizeof(*ch), &size))
		return NULL;
	ch = calloc(1, size);
	if (!ch)
		return NULL;
	ch->elem_size = elem_size;
	ch->capacity = capacity;
	return ch;
}

void urt_chan_free(struct urt_chan *ch)
{
	if (ch)
		URT_BUG_ON(ch->receivers.head || ch->senders.head);
	free(ch);
}

size_t urt_chan_len(const struct urt_chan *ch)
{
	return __atomic_load_n(&ch->len, __ATOMIC_RELAXED);
}

/* NULL: nowhere to copy to, or nothing to copy. */
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

static void set_len(struct urt_chan *ch, size_t len)
{
	__atomic_store_n(&ch->len, len, __ATOMIC_RELAXED);
}

static void ring_push(struct urt_chan *ch, const void *elem)
{
	copy(ch, slot(ch, ch->head + ch->len), elem);
	set_len(ch, ch->len + 1);
}

static void ring_pop(struct urt_chan *ch, void *elem)
{
	copy(ch, elem, slot(ch, ch->head));
	if (++ch->head == ch->capacity)
		ch->head = 0;
	set_len(ch, ch->len - 1);
}

int urt_chan_send(struct urt_chan *ch, const void *elem, int64_t deadline_ns)
{
	struct urt__waiter *receiver, self;

	if (urt__unlikely(!urt__current()))
		return -EPERM;
	urt__lock(&ch->lock);
	if (urt__unlikely(ch->closed)) {
		urt__unlock(&ch->lock);
		return -EPIPE;
	}
	receiver = urt__waitq_pop(&ch->receivers);
	if (receiver) {
		copy(ch, receiver->elem, elem);
		urt__unlock(&ch->lock);
		urt__ready(receiver->wait.coro);
		return 0;
	}
	if (ch->len < ch->capacity) {
		ring_push(ch, elem);
		urt__unlock(&ch->lock);
		return 0;
	}
	self.elem = (void *)elem;
	return urt__waiter_park(&self, &ch->senders, false, &ch->lock,
				URT__R_CHAN_SEND, deadline_ns);
}

int urt_chan_recv(struct urt_chan *ch, void *elem, int64_t deadline_ns)
{
	struct urt__waiter *sender, self;

	if (urt__unlikely(!urt__current()))
		return -EPERM;
	urt__lock(&ch->lock);
	if (ch->len) {
		ring_pop(ch, elem);
		sender = urt__waitq_pop(&ch->senders);
		if (sender)
			ring_push(ch, sender->elem);
	} else {
		sender = urt__waitq_pop(&ch->senders);
		if (!sender)
			goto empty;
		copy(ch, elem, sender->elem);
	}
	urt__unlock(&ch->lock);
	if (sender)
		urt__ready(sender->wait.coro);
	return 0;
empty:
	if (ch->closed) {
		urt__unlock(&ch->lock);
		return -EPIPE;
	}
	self.elem = elem;
	return urt__waiter_park(&self, &ch->receivers, false, &ch->lock,
				URT__R_CHAN_RECV, deadline_ns);
}

void urt_chan_close(struct urt_chan *ch)
{
	struct urt__waiter *receivers, *senders;

	urt__lock(&ch->lock);
	ch->closed = true;
	receivers = urt__waitq_take_all(&ch->receivers);
	senders = urt__waitq_take_all(&ch->senders);
	urt__unlock(&ch->lock);
	urt__waiters_wake(receivers, -EPIPE);
	urt__waiters_wake(senders, -EPIPE);
}
