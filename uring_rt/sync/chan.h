/* SPDX-License-Identifier: MIT */
/* The inside of a channel, for chan.c and select.c; explained in chan.c. */
#ifndef URT_SYNC_CHAN_H
#define URT_SYNC_CHAN_H

#include "waiter.h"

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

/* The call would have to wait; not an error of a channel. */
#define URT__MUST_WAIT 1

/*
 * With the lock held: sends or receives, if that needs no waiting. 0, -EPIPE,
 * or URT__MUST_WAIT. *wake: the coroutine to ready when the lock is released,
 * or NULL.
 */
int urt__chan_try_send(struct urt_chan *, const void *elem,
		       struct urt_coro **wake);
int urt__chan_try_recv(struct urt_chan *, void *elem, struct urt_coro **wake);

#endif
