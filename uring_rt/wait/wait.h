/* SPDX-License-Identifier: MIT */
/*
 * A wait that a deadline or a cancellation can end: the one mechanism under
 * every call that may suspend.
 *
 * A struct urt__wait lies on the waiting coroutine's stack. While it is begun,
 * its timer and urt_cancel can find it, and may call abort, which gives up the
 * wait if it is still on: takes the coroutine off the list it is on and
 * readies it with the error as result (lists), or asks the kernel to cancel
 * (operations, which are readied by their completion as always). If what was
 * waited for has come first, abort does nothing: what happened counts.
 *
 *	int err = urt__wait_begin(&w, abort, deadline_ns);
 *	if (!err) {
 *		... make it findable, urt__park(...) ...
 *		result = urt__wait_end(&w);
 *	}
 *
 * Who runs abort: this worker's loop (timer) or a coroutine (cancel), hence
 * never between begin and park of the same coroutine.
 */
#ifndef URT_WAIT_WAIT_H
#define URT_WAIT_WAIT_H

#include "../sched/sched.h"

struct urt__wait {
	struct urt_coro *coro;
	void (*abort)(struct urt__wait *, int err);
	struct urt__timer timer;
	int result; /* 0 until a waker or abort says otherwise */
};

/*
 * 0: the wait is on; it must be ended. -EPERM: not in a coroutine,
 * -ECANCELED: the coroutine was cancelled before, -ENOMEM: no timer.
 */
int urt__wait_begin(struct urt__wait *, void (*abort)(struct urt__wait *, int),
		    int64_t deadline_ns);

/* After the park: nobody finds the wait any more. Its result. */
int urt__wait_end(struct urt__wait *);

#endif
