/* SPDX-License-Identifier: MIT */
/*
 * Beginning a wait: its deadline, its cancellation, and the seq by which wakers
 * claim it (sched/coro.h). The pattern of every call that may suspend:
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

/* May be combined. */
enum urt__wait_flags {
	URT__FIRM = 1, /* no cancellation, and no deadline of the scope's */
	URT__TRY_IO =
		2, /* an operation: tried even if the deadline has passed */
};

/* The part of urt__wait_begin for a wait with a deadline. */
int urt__wait_timed(struct urt__worker *, enum urt__wait_flags,
		    int64_t deadline_ns, uint64_t seq);

/*
 * 0: the wait has begun. -ECANCELED: the coroutine was already cancelled;
 * -ETIME: the deadline has already passed; -ENOMEM: no room for the timer.
 */
static inline int urt__wait_begin(struct urt__worker *w,
				  enum urt__wait_flags flags,
				  int64_t deadline_ns, uint64_t *seq)
{
	struct urt_coro *self = w->current;

	if (!(flags & URT__FIRM)) {
		if (urt__unlikely(atomic_load_explicit(&self->cancelled,
						       memory_order_relaxed)))
			return urt__cancel_error(self);
		if (urt__unlikely(self->deadline_ns < deadline_ns))
			deadline_ns = self->deadline_ns;
	}
	*seq = urt__park_prepare(self, flags & URT__FIRM);
	if (deadline_ns == URT_NEVER)
		return 0;
	return urt__wait_timed(w, flags, deadline_ns, *seq);
}

/* Called when a coroutine has returned: destroys its local values and leaves
 * its scope. */
void urt__coro_ended(struct urt_coro *);
void urt__scope_ended(struct urt_coro *);
void urt__locals_destroy(struct urt_coro *);

#endif
