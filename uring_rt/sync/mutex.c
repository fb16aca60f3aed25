// SPDX-License-Identifier: MIT
/*
 * Mutex: Go's policy (sync/mutex.go).
 *
 * Handing a busy lock to the coroutine that has waited longest makes every
 * hand-over a switch, and the lock is then held by a coroutine that is not
 * running: libraries that are fair in this way are 7 to 12 times slower. So
 * unlock just frees it and wakes the first waiter, which competes with the
 * running coroutines. A waiter that has lost for STARVING_NS is handed the
 * lock, so none starves.
 *
 *	state: LOCKED | WAITERS | WOKEN
 *
 * WAITERS changes only under the lock of the list; it is set as long as the
 * list is not empty. WOKEN: a waiter was woken and has not tried yet, so
 * unlocks need not wake another. LOCKED is taken by CAS and freed by CAS (no
 * waiters, or one is awake) or under the list's lock. A waiter that finds the
 * lock taken after a wake-up goes back to the front of the list and keeps its
 * time.
 *
 * With several processors, the holder is probably running: before a coroutine
 * parks, it looks at the taken lock for a moment.
 */
#include "waiter.h"
#undef errno

#define LOCKED	    1u
#define WAITERS	    2u
#define WOKEN	    4u
#define STARVING_NS 1000000
#define SPINS	    16
#define SPIN_PAUSES 4

void urt_mutex_init(struct urt_mutex *m)
{
	*m = (struct urt_mutex)URT_MUTEX_INIT;
}

/* Acquire for locking, release for unlocking: partners of each other. */
static inline bool cas(struct urt_mutex *m, uint32_t old, uint32_t new)
{
	if (urt__shared)
		return __atomic_compare_exchange_n(&m->state, &old, new, false,
						   __ATOMIC_ACQ_REL,
						   __ATOMIC_RELAXED);
	if (m->state != old)
		return false;
	m->state = new;
	return true;
}

static inline uint32_t load(const struct urt_mutex *m)
{
	return __atomic_load_n(&m->state, __ATOMIC_RELAXED);
}

static bool try(struct urt_mutex *m)
{
	uint32_t state = load(m);

	return !(state & LOCKED) && cas(m, state, state | LOCKED);
}

bool urt_mutex_trylock(struct urt_mutex *m)
{
	bool taken;

	if (!urt__enter_often())
		return false;
	taken = try(m);
	urt__leave();
	return taken;
}

static bool spin(struct urt__worker *w, struct urt_mutex *m)
{
	for (unsigned i = 0; urt__shared && i < SPINS; i++) {
		for (unsigned j = urt__random(w) % SPIN_PAUSES + 1; j; j--)
			urt__cpu_relax();
		if (try(m))
			return true;
	}
	return false;
}

/* With the list's lock held. True: the mutex is taken; else WAITERS is set.
 * awake: this is the waiter for which WOKEN is set. */
static bool take_or_mark(struct urt_mutex *m, bool awake)
{
	uint32_t clear = awake ? WOKEN : 0;

	for (;;) {
		uint32_t state = load(m);
		uint32_t new =
			(state & ~clear) | (state & LOCKED ? WAITERS : LOCKED);

		if (cas(m, state, new))
			return !(state & LOCKED);
	}
}

static void clear_bits(struct urt_mutex *m, uint32_t bits)
{
	__atomic_fetch_and(&m->state, ~bits, __ATOMIC_RELEASE);
}

/* A waiter's result when the lock was handed over to it, or when it may try. */
#define HANDED_OVER 1
#define TRY_AGAIN   0

/* For calls that pass the mutex on, with the list's lock held. Returns the
 * coroutine to ready. */
static struct urt_coro *wake_first(struct urt_mutex *m)
{
	struct urt__waiter *w = urt__waitq_claim(&m->waiters, TRY_AGAIN);
	uint32_t clear = m->waiters.head ? 0 : WAITERS;

	if (w && urt__clock_ns() - w->since_ns > STARVING_NS) {
		w->coro->result = HANDED_OVER; /* LOCKED stays */
	} else {
		if (w)
			__atomic_fetch_or(&m->state, WOKEN, __ATOMIC_RELAXED);
		clear |= LOCKED;
	}
	clear_bits(m, clear);
	return w ? w->coro : NULL;
}

static void wake_slow(struct urt_mutex *m)
{
	struct urt_coro *c = NULL;

	urt__obj_lock(&m->lock);
	c = wake_first(m);
	urt__obj_unlock(&m->lock);
	if (c)
		urt__ready_last(c);
}

/* The waiter gave up; it was the last on the list, or an unlock had woken
 * it. */
static void give_up(struct urt_mutex *m)
{
	urt__obj_lock(&m->lock);
	if (!m->waiters.head)
		clear_bits(m, WAITERS);
	urt__obj_unlock(&m->lock);
}

static URT__NOINLINE int lock_slow(struct urt__worker *w, struct urt_mutex *m,
				   enum urt__wait_flags flags,
				   int64_t deadline_ns)
{
	struct urt__waiter self = { .since_ns = 0 };
	int ret;

	if (spin(w, m))
		return 0;
	for (bool again = false;; again = true) {
		urt__obj_lock(&m->lock);
		if (take_or_mark(m, again)) {
			urt__obj_unlock(&m->lock);
			return 0;
		}
		if (!again)
			self.since_ns = urt__clock_ns();
		ret = urt__waiter_park(w, &self, &m->waiters, again, &m->lock,
				       URT__R_MUTEX, flags, deadline_ns);
		w = urt__worker();
		if (ret == HANDED_OVER)
			return 0;
		if (ret < 0) {
			give_up(m);
			return ret;
		}
	}
}

int urt__mutex_lock(struct urt__worker *w, struct urt_mutex *m,
		    enum urt__wait_flags flags, int64_t deadline_ns)
{
	if (urt__likely(cas(m, 0, LOCKED)))
		return 0;
	return lock_slow(w, m, flags, deadline_ns);
}

void urt__mutex_unlock(struct urt_mutex *m)
{
	uint32_t state = load(m);

	URT_MISTAKE_ON(!(state & LOCKED),
		       "urt_mutex_unlock of a mutex that is not locked");
	while (state == LOCKED || state & WOKEN) {
		if (urt__likely(cas(m, state, state & ~LOCKED)))
			return;
		state = load(m);
	}
	wake_slow(m);
}

int urt_mutex_lock(struct urt_mutex *m, int64_t deadline_ns)
{
	struct urt__worker *w = urt__enter(true);
	int ret;

	if (urt__unlikely(!w))
		return -EPERM;
	ret = urt__mutex_lock(w, m, 0, deadline_ns);
	urt__leave();
	return ret;
}

void urt_mutex_unlock(struct urt_mutex *m)
{
	URT_MISTAKE_ON(
		!urt__enter(false),
		"urt_mutex_unlock on a plain thread: call it in a coroutine");
	urt__mutex_unlock(m);
	urt__leave();
}
