// SPDX-License-Identifier: MIT
/*
 * Read-write lock: readers and writers take turns (Go's sync.RWMutex; known as
 * phase-fair, Brandenburg and Anderson 2010).
 *
 * A writer that waits keeps new readers out; the last reader of the phase hands
 * the lock to the first writer. A writer that unlocks hands it to all readers
 * that wait by then, else to the next writer. So a writer waits for one phase
 * of readers and the writers before it, a reader for one writer: none starves.
 *
 * Invariant, with the lock free: writers wait only while it is held; readers
 * wait only while a writer holds it or waits.
 */
#include "waiter.h"
#undef errno

void urt_rwlock_init(struct urt_rwlock *l)
{
	*l = (struct urt_rwlock)URT_RWLOCK_INIT;
}

/* With the lock held and no writer: lets the waiters in that can enter now.
 * Returns the coroutines to ready. */
static struct urt__waiter *admit(struct urt_rwlock *l, bool readers_first)
{
	struct urt__waiter *w;
	unsigned n;

	if (readers_first || !l->writers.head) {
		w = urt__waitq_claim_all(&l->waiting_readers, 0, &n);
		l->readers += n;
		if (w)
			return w;
	}
	if (l->readers)
		return NULL;
	w = urt__waitq_claim(&l->writers, 0);
	if (w) {
		w->next = NULL;
		l->writing = true;
	}
	return w;
}

int urt_rwlock_rdlock(struct urt_rwlock *l, int64_t deadline_ns)
{
	struct urt__worker *w = urt__enter(true);
	struct urt__waiter self;
	int ret = 0;

	if (urt__unlikely(!w))
		return -EPERM;
	urt__obj_lock(&l->lock);
	if (!l->writing && !l->writers.head) {
		l->readers++;
		urt__obj_unlock(&l->lock);
	} else {
		ret = urt__waiter_park(w, &self, &l->waiting_readers, false,
				       &l->lock, URT__R_RWLOCK, 0, deadline_ns);
	}
	urt__leave();
	return ret;
}

int urt_rwlock_wrlock(struct urt_rwlock *l, int64_t deadline_ns)
{
	struct urt__worker *w = urt__enter(true);
	struct urt__waiter self, *wake = NULL;
	int ret = 0;

	if (urt__unlikely(!w))
		return -EPERM;
	urt__obj_lock(&l->lock);
	if (!l->writing && !l->readers) {
		l->writing = true;
		urt__obj_unlock(&l->lock);
	} else {
		ret = urt__waiter_park(w, &self, &l->writers, false, &l->lock,
				       URT__R_RWLOCK, 0, deadline_ns);
	}
	if (ret < 0) { /* perhaps this writer kept readers out */
		urt__obj_lock(&l->lock);
		if (!l->writing)
			wake = admit(l, false);
		urt__obj_unlock(&l->lock);
		urt__waiters_ready(wake);
	}
	urt__leave();
	return ret;
}

bool urt_rwlock_tryrdlock(struct urt_rwlock *l)
{
	bool taken;

	if (!urt__enter_often())
		return false;
	urt__obj_lock(&l->lock);
	taken = !l->writing && !l->writers.head;
	l->readers += taken;
	urt__obj_unlock(&l->lock);
	urt__leave();
	return taken;
}

bool urt_rwlock_trywrlock(struct urt_rwlock *l)
{
	bool taken;

	if (!urt__enter_often())
		return false;
	urt__obj_lock(&l->lock);
	taken = !l->writing && !l->readers;
	l->writing |= taken;
	urt__obj_unlock(&l->lock);
	urt__leave();
	return taken;
}

void urt_rwlock_unlock(struct urt_rwlock *l)
{
	struct urt__waiter *wake;

	URT_MISTAKE_ON(
		!urt__enter(false),
		"urt_rwlock_unlock on a plain thread: call it in a coroutine");
	urt__obj_lock(&l->lock);
	URT_MISTAKE_ON(!l->writing && !l->readers,
		       "urt_rwlock_unlock of a lock that is not locked");
	if (l->writing) {
		l->writing = false;
		wake = admit(l, true);
	} else {
		wake = --l->readers ? NULL : admit(l, false);
	}
	urt__obj_unlock(&l->lock);
	urt__waiters_ready(wake);
	urt__leave();
}
