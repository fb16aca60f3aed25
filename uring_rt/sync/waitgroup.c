// SPDX-License-Identifier: MIT
/*
 * Wait group: a count and those who wait for it to be zero, under one lock.
 * The count may be raised while somebody waits; who is woken at zero does not
 * look again, so a group that is reused wakes its old waiters, as Go's does.
 */
#include "waiter.h"
#undef errno

void urt_waitgroup_init(struct urt_waitgroup *wg)
{
	*wg = (struct urt_waitgroup)URT_WAITGROUP_INIT;
}

void urt_waitgroup_add(struct urt_waitgroup *wg, int64_t n)
{
	struct urt__waiter *waiters = NULL;

	urt__lock(&wg->lock);
	wg->count += n;
	URT_BUG_ON(wg->count < 0);
	if (!wg->count)
		waiters = urt__waitq_take_all(&wg->waiters);
	urt__unlock(&wg->lock);
	urt__waiters_wake(waiters, 0);
}

void urt_waitgroup_done(struct urt_waitgroup *wg)
{
	urt_waitgroup_add(wg, -1);
}

int urt_waitgroup_wait(struct urt_waitgroup *wg, int64_t deadline_ns)
{
	struct urt__waiter self;

	if (!urt__current())
		return -EPERM;
	urt__lock(&wg->lock);
	if (!wg->count) {
		urt__unlock(&wg->lock);
		return 0;
	}
	return urt__waiter_park(&self, &wg->waiters, false, &wg->lock,
				URT__R_WAITGROUP, deadline_ns);
}
