/* SPDX-License-Identifier: MIT */
/*
 * Operations on the ring, between entering and leaving the runtime.
 */
#ifndef URT_WAIT_IO_H
#define URT_WAIT_IO_H

#include "wait.h"

/* An operation's offset: the current position, as read(2) uses it. */
#define URT__HERE UINT64_MAX

/* One operation on the ring, with all but user_data filled in. Returns its
 * result, or the error for which it was given up. Between enter and leave. _on:
 * with the caller's io, whose fd is set if closing the descriptor has to end
 * the operation. */
struct io_uring_sqe;
struct urt__io;
int urt__io(const struct io_uring_sqe *, enum urt__wait_flags,
	    int64_t deadline_ns);
int urt__io_on(struct urt__io *, const struct io_uring_sqe *,
	       enum urt__wait_flags, int64_t deadline_ns);

/* How an operation is made; may be combined. */
enum urt__io_how {
	URT__LISTED = 1,    /* closing its descriptor ends it */
	URT__AT_OFFSET = 2, /* it may go to a disk, past the cache */
	URT__OPENS = 4,	    /* its result is a new descriptor */
};

/* Whether the calling coroutine's last wait was ended by a close of its
 * descriptor, whose number may be another file's by now. */
static inline bool urt__was_closed(void)
{
	struct urt_coro *self = urt__current();

	return atomic_load_explicit(&self->closed, memory_order_relaxed) ==
	       urt__park_seq(
		       atomic_load_explicit(&self->park, memory_order_relaxed));
}

/* At the end of a run: closes what an operation with URT__OPENS opened. */
void urt__io_close_opened(struct urt_coro *);

/* The same as a whole public call, repeated if it was interrupted. how: the
 * above; events: to poll for if the descriptor is non-blocking; 0: the call
 * does not wait then. */
int urt__io_call(const struct io_uring_sqe *, enum urt__io_how, short events,
		 int64_t deadline_ns);

#endif
