// SPDX-License-Identifier: MIT
/*
 * Mutex: Go's policy (sync/mutex.go).
 *
 * Handing a busy lock to the coroutine that has waited longest makes every
 * hand-over a switch, and the lock is then held by someone who is not running:
 * rivals that are fair in this way are 7 to 12 times slower. So unlock just
 * frees it and wakes the first waiter, who competes with whoever runs. A
 * waiter that has lost for STARVING_NS is handed the lock, so none starves.
 *
 *	state: LOCKED | WAITERS
 *
 * WAITERS changes only under the lock of the list; it is set as long as the
 * list is not empty. LOCKED is taken by CAS and freed by CAS (no waiters) or
 * under the list's lock (waiters). A waiter that was woken in vain goes back
 * to the front of the list and keeps its time.
 */
#include "waiter.h"
#undef errno

#define LOCKED	    1u
#define WAITERS	    2u
#define STARVING_NS 1000000

void urt_mutex_init(struct urt_mutex *m)
{
	*m = (struct urt_mutex)URT_MUTEX_INIT;
}

static bool cas(struct urt_mutex *m, uint32_t old, uint32_t new)
{
	return __atomic_compare_exchange_n(&m->state, &old, new, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

bool urt_mutex_trylock(struct urt_mutex *m)
{
	uint32_t state = __atomic_load_n(&m->state, __ATOMIC_RELAXED);

	return !(state & LOCKED) && cas(m, state, state | LOCKED);
}

/* With the list's lock held. True: taken; else WAITERS is set. */
static bool take_or_mark(struct urt_mutex *m)
{
	for (;;) {
		uint32_t state = __atomic_load_n(&m->state, __ATOMIC_RELAXED);

		if (!(state & LOCKED)) {
			if (cas(m, state, state | LOCKED))
				return true;
		} else if (state & WAITERS || cas(m, state, state | WAITERS)) {
			return false;
		}
	}
}

/* With the list's lock held, after a waiter left it. */
static void unmark_if_empty(struct urt_mutex *m)
{
	if (!m->waiters.head)
		__atomic_fetch_and(&m->state, ~WAITERS, __ATOMIC_RELAXED);
}

/* A waiter's result when the lock was handed over to it. */
#define HANDED_OVER 1

static int lock_slow(struct urt_mutex *m, int64_t deadline_ns)
{
	struct urt__waiter self = { .since_ns = 0 };
	int ret;

	for (bool again = false;; again = true) {
		urt__lock(&m->lock);
		if (take_or_mark(m)) {
			urt__unlock(&m->lock);
			return 0;
		}
		if (!again)
			self.since_ns = urt__clock_ns();
		ret = urt__waiter_park(&self, &m->waiters, again, &m->lock,
				       URT__R_MUTEX, deadline_ns);
		if (ret == HANDED_OVER)
			return 0;
		if (ret < 0) {
			urt__lock(&m->lock);
			unmark_if_empty(m);
			urt__unlock(&m->lock);
			return ret;
		}
	}
}

int urt_mutex_lock(struct urt_mutex *m, int64_t deadline_ns)
{
	if (urt__likely(cas(m, 0, LOCKED)))
		return 0;
	return lock_slow(m, deadline_ns);
}

static URT__NOINLINE void unlock_slow(struct urt_mutex *m)
{
	struct urt__waiter *w;

	urt__lock(&m->lock);
	w = urt__waitq_pop(&m->waiters);
	if (w && urt__clock_ns() - w->since_ns > STARVING_NS)
		w->wait.result = HANDED_OVER;
	else
		__atomic_fetch_and(&m->state, ~LOCKED, __ATOMIC_RELEASE);
	unmark_if_empty(m);
	urt__unlock(&m->lock);
	if (w)
		urt__ready_last(w->wait.coro);
}

void urt_mutex_unlock(struct urt_mutex *m)
{
	URT_BUG_ON(!(__atomic_load_n(&m->state, __ATOMIC_RELAXED) & LOCKED));
	if (urt__unlikely(!cas(m, LOCKED, 0)))
		unlock_slow(m);
}
