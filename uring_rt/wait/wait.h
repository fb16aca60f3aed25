/* SPDX-License-Identifier: MIT */
/*
 * Beginning a wait: deadlines, cancellation, and the seq by which wakers claim
 * it (sched/coro.h). The pattern of every call that may suspend:
 *
 *	w = urt__enter(true);
 *	err = urt__wait_begin(w, 0, deadline_ns, &seq);
 *	if (!err) {
 *		... give (w->current, seq) to a waker ...
 *		err = urt__park(w, reason, URT__WAITING, commit, arg);
 *		... take it back from the waker if err ...
 *	}
 *	urt__leave();
 *
 * The result is the waker's, -ETIME or -ECANCELED.
 */
#ifndef URT_WAIT_WAIT_H
#define URT_WAIT_WAIT_H

#include "../sched/sched.h"

#define URT__FIRM   1u /* no cancellation, and no deadline of the scope's */
#define URT__TRY_IO 2u /* an operation: tried even if the deadline has passed */

/*
 * 0: the wait is on. -ECANCELED: the coroutine was cancelled before, -ETIME:
 * the deadline passed before, -ENOMEM: no room for the timer.
 */
int urt__wait_begin(struct urt__worker *, unsigned flags, int64_t deadline_ns,
		    uint64_t *seq);

/*
 * Carries out fn(arg) in a coroutine for a calling plain thread, which blocks
 * until it has returned, and returns its result. -EPERM: no run is going on;
 * -ECANCELED: the run ended before. This is how plain threads may use what
 * only coroutines can: there is one kind of waiter, and with one processor
 * objects need no locks.
 */
int64_t urt__behalf(int64_t (*fn)(void *), void *arg);

/* Start and end of a run: from when and until when that works. */
void urt__behalf_open(void);
void urt__behalf_close(void);
/* In a forked child: there is no run. */
void urt__behalf_forget(void);

/* The thread pool of urt_blocking, of at most max threads: likewise. */
void urt__blocking_open(unsigned max);
void urt__blocking_close(void);
void urt__blocking_forget(void);
unsigned urt__blocking_threads(void);

/*
 * Calls fn(arg) on that pool, and nobody waits for it but the end of the run,
 * which instead calls dropped(arg) if fn has not begun. 0; -EAGAIN: not even
 * one thread; -ENOMEM; -EPERM: no coroutine. Does not suspend.
 */
int urt__blocking_start(int64_t (*fn)(void *), void *arg,
			void (*dropped)(void *arg));
/* Takes that job back if no thread has begun it: dropped(arg) is called. */
void urt__blocking_stop(void *arg);

/* A coroutine has returned: its local values and its scope see to it. */
void urt__coro_ended(struct urt_coro *);
void urt__scope_ended(struct urt_coro *);
void urt__locals_destroy(struct urt_coro *);

/* An operation's offset: the current position, as read(2) uses it. */
#define URT__HERE UINT64_MAX

/* One operation on the ring, filled in but for user_data; its result, or why
 * it was given up. Between enter and leave. _on: with an io of the caller's,
 * whose fd is set if closing that is to end it. */
struct io_uring_sqe;
struct urt__io;
int urt__io(const struct io_uring_sqe *, unsigned flags, int64_t deadline_ns);
int urt__io_on(struct urt__io *, const struct io_uring_sqe *, unsigned flags,
	       int64_t deadline_ns);
#define URT__LISTED    1u /* closing its descriptor ends it */
#define URT__AT_OFFSET 2u /* it may go to a disk, past the cache */
#define URT__OPENS     4u /* its result is a new descriptor */

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

/* The same as a whole public call, again if it was interrupted. how: the above;
 * events: what to poll for where the descriptor is non-blocking, 0: it does not
 * wait then. */
int urt__io_call(const struct io_uring_sqe *, unsigned how, short events,
		 int64_t deadline_ns);

/* A run's table of descriptors, with those that it registers with all rings.
 * -ENOMEM. */
int urt__fds_open(const int *fixed, unsigned nr_fixed);
void urt__fds_close(void);

/* The end of a run: all that is lent is gone. In a forked child: likewise. */
void urt__lend_close(void);
void urt__lend_forget(void);

#endif
