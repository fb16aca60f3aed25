// SPDX-License-Identifier: MIT
/*
 * Locks, condition variables, semaphores and barriers, in place of libc's.
 *
 * Locks remain libc's, and are tried until they are free, so owners and kinds of locks
 * keep their meaning. A condition variable is a list of sleepers, in order; a barrier
 * is a count, kept in libc's object.
 */
#define _GNU_SOURCE
#include "sim.h"
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

/* ---- locks ------------------------------------------------------------- */

/* X(function, its variants that do not wait, that have a deadline of CLOCK_REALTIME,
 * and that have a deadline of any clock, type) */
#define LOCKS(X)                                                              \
	X(pthread_mutex_lock, pthread_mutex_trylock, pthread_mutex_timedlock, \
	  pthread_mutex_clocklock, pthread_mutex_t)                           \
	X(pthread_rwlock_rdlock, pthread_rwlock_tryrdlock,                    \
	  pthread_rwlock_timedrdlock, pthread_rwlock_clockrdlock,             \
	  pthread_rwlock_t)                                                   \
	X(pthread_rwlock_wrlock, pthread_rwlock_trywrlock,                    \
	  pthread_rwlock_timedwrlock, pthread_rwlock_clockwrlock,             \
	  pthread_rwlock_t)

/* try also gives a recursive or error-checking mutex's answer to its owner. */
static int take_until(int (*try)(void *), void *lock, int64_t until_ns)
{
	int err = try(lock);

	while (err == EBUSY) {
		if (!sim_sleep_on(lock, until_ns, "a lock"))
			return try(lock) ? ETIMEDOUT : 0;
		err = try(lock);
	}
	return err;
}

/* The runtime's lock counters (watch/locks.c) are found before our definitions
 * and call libc by the name with underscores. */
#define BOTH_NAMES(name, type)         \
	SIM_API int name(type *l)      \
	{                              \
		return own_##name(l);  \
	}                              \
	SIM_API int __##name(type *l); \
	SIM_API int __##name(type *l)  \
	{                              \
		return own_##name(l);  \
	}

#define TRY(name)                                                     \
	static int own_##name(void *l)                                \
	{                                                             \
		static void *cache;                                   \
                                                                      \
		return ((int (*)(void *))sim_next(&cache, #name))(l); \
	}

#define X(lock, try, timed, clocked, type)                                     \
	TRY(try)                                                               \
	static int own_##lock(type *l)                                         \
	{                                                                      \
		NEXT(int, lock, (type *));                                     \
		return sim_on ? take_until(own_##try, l, SIM_NEVER) : real(l); \
	}                                                                      \
	BOTH_NAMES(lock, type)                                                 \
	SIM_API int timed(type *l, const struct timespec *ts)                  \
	{                                                                      \
		NEXT(int, timed, (type *, const struct timespec *));           \
		return sim_on ? take_until(                                    \
					own_##try, l,                          \
					sim_until_clock(CLOCK_REALTIME, ts))   \
			      : real(l, ts);                                   \
	}                                                                      \
	SIM_API int clocked(type *l, clockid_t clock,                          \
			    const struct timespec *ts)                         \
	{                                                                      \
		NEXT(int, clocked,                                             \
		     (type *, clockid_t, const struct timespec *));            \
		return sim_on ? take_until(own_##try, l,                       \
					   sim_until_clock(clock, ts))         \
			      : real(l, clock, ts);                            \
	}
LOCKS(X)
#undef X

#define X(unlock, type)                       \
	static int own_##unlock(type *l)      \
	{                                     \
		NEXT(int, unlock, (type *));  \
		int err = real(l);            \
                                              \
		if (sim_on)                   \
			sim_wake(l, SIM_ALL); \
		return err;                   \
	}                                     \
	BOTH_NAMES(unlock, type)
X(pthread_mutex_unlock, pthread_mutex_t)
X(pthread_rwlock_unlock, pthread_rwlock_t)
#undef X

/* The lock's owner may be a thread that waits, so other threads run meanwhile. */
SIM_API int pthread_spin_lock(pthread_spinlock_t *l)
{
	while (pthread_spin_trylock(l)) {
		sim_step(100);
		sim_yield();
	}
	return 0;
}

/* ---- semaphores -------------------------------------------------------- */

static bool is_posted(void *arg)
{
	int value = 0;

	sem_getvalue(arg, &value);
	return value > 0;
}

static int sem_until(sem_t *s, int64_t until_ns)
{
	sim_step(100);
	while (sem_trywait(s))
		if (!sim_wait(is_posted, s, until_ns, "a semaphore")) {
			errno = ETIMEDOUT;
			return -1;
		}
	return 0;
}

SIM_API int sem_wait(sem_t *s)
{
	NEXT(int, sem_wait, (sem_t *));
	return sim_on ? sem_until(s, SIM_NEVER) : real(s);
}

SIM_API int sem_timedwait(sem_t *s, const struct timespec *ts)
{
	NEXT(int, sem_timedwait, (sem_t *, const struct timespec *));
	return sim_on ? sem_until(s, sim_until_clock(CLOCK_REALTIME, ts))
		      : real(s, ts);
}

SIM_API int sem_clockwait(sem_t *s, clockid_t clock, const struct timespec *ts)
{
	NEXT(int, sem_clockwait, (sem_t *, clockid_t, const struct timespec *));
	return sim_on ? sem_until(s, sim_until_clock(clock, ts))
		      : real(s, clock, ts);
}

/* ---- condition variables ----------------------------------------------- */

static int cond_until(pthread_cond_t *c, pthread_mutex_t *m, int64_t until_ns)
{
	struct sim_sleeper s;
	bool woken;

	sim_sleeper_add(&s, c);
	pthread_mutex_unlock(m);
	woken = sim_wait(sim_is_awake, &s, until_ns, "a condition");
	sim_sleeper_forget(&s);
	pthread_mutex_lock(m);
	return woken ? 0 : ETIMEDOUT;
}

SIM_API int pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
	NEXT(int, pthread_cond_wait, (pthread_cond_t *, pthread_mutex_t *));
	return sim_on ? cond_until(c, m, SIM_NEVER) : real(c, m);
}

/* The attribute may choose CLOCK_MONOTONIC; its times are too small to be times of
 * CLOCK_REALTIME. */
SIM_API int pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m,
				   const struct timespec *ts)
{
	NEXT(int, pthread_cond_timedwait,
	     (pthread_cond_t *, pthread_mutex_t *, const struct timespec *));
	int64_t until_ns = sim_until_clock(CLOCK_REALTIME, ts);

	if (until_ns < 0)
		until_ns = sim_until_clock(CLOCK_MONOTONIC, ts);
	return sim_on ? cond_until(c, m, until_ns) : real(c, m, ts);
}

SIM_API int pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m,
				   clockid_t clock, const struct timespec *ts)
{
	NEXT(int, pthread_cond_clockwait,
	     (pthread_cond_t *, pthread_mutex_t *, clockid_t,
	      const struct timespec *));
	return sim_on ? cond_until(c, m, sim_until_clock(clock, ts))
		      : real(c, m, clock, ts);
}

SIM_API int pthread_cond_signal(pthread_cond_t *c)
{
	NEXT(int, pthread_cond_signal, (pthread_cond_t *));
	if (!sim_on)
		return real(c);
	sim_wake(c, 1);
	return 0;
}

SIM_API int pthread_cond_broadcast(pthread_cond_t *c)
{
	NEXT(int, pthread_cond_broadcast, (pthread_cond_t *));
	if (!sim_on)
		return real(c);
	sim_wake(c, SIM_ALL);
	return 0;
}

/* ---- barriers ---------------------------------------------------------- */

struct barrier {
	unsigned threads, here, round;
};
_Static_assert(sizeof(struct barrier) <= sizeof(pthread_barrier_t), "fits");

SIM_API int pthread_barrier_init(pthread_barrier_t *barrier,
				 const pthread_barrierattr_t *attr, unsigned n)
{
	NEXT(int, pthread_barrier_init,
	     (pthread_barrier_t *, const pthread_barrierattr_t *, unsigned));
	if (!sim_on)
		return real(barrier, attr, n);
	if (!n)
		return EINVAL;
	*(struct barrier *)barrier = (struct barrier){ .threads = n };
	return 0;
}

SIM_API int pthread_barrier_wait(pthread_barrier_t *barrier)
{
	NEXT(int, pthread_barrier_wait, (pthread_barrier_t *));
	struct barrier *b = (struct barrier *)barrier;
	unsigned round = b->round;

	if (!sim_on)
		return real(barrier);
	sim_step(100);
	if (++b->here == b->threads) {
		b->here = 0;
		b->round++;
		sim_wake(b, SIM_ALL);
		return PTHREAD_BARRIER_SERIAL_THREAD;
	}
	while (b->round == round)
		sim_sleep_on(b, SIM_NEVER, "a barrier");
	return 0;
}

SIM_API int pthread_barrier_destroy(pthread_barrier_t *barrier)
{
	NEXT(int, pthread_barrier_destroy, (pthread_barrier_t *));
	return sim_on ? 0 : real(barrier);
}
