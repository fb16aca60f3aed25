// SPDX-License-Identifier: MIT
/*
 * libc's ways for threads to wait, and its clocks, in front of libc's own.
 *
 * Locks are libc's, tried until they are free: their owners and kinds stay what they
 * are. Condition variables and futexes are lists of those who sleep, in order.
 */
#define _GNU_SOURCE
#include "sim.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#define SLEEPERS 65536
#define EPOCH_NS INT64_C(1700000000000000000) /* CLOCK_REALTIME, some day */

/* The next definition of the function, libc's. */
#define NEXT(type, name, params) \
	static void *cache;      \
	type(*real) params = (type(*) params)sim_next(&cache, #name)

/* ---- sleeping and waking threads --------------------------------------- */

static struct sim_sleeper *sleeper[SLEEPERS];
static unsigned nr_sleepers;

void sim_sleeper_add(struct sim_sleeper *s, const void *on)
{
	unsigned n = 0;

	for (unsigned i = 0; i < nr_sleepers; i++)
		if (sleeper[i]->on) /* the others are awake */
			sleeper[n++] = sleeper[i];
	nr_sleepers = n;
	if (n == SLEEPERS)
		abort();
	s->on = on;
	sleeper[nr_sleepers++] = s;
}

static void forget(struct sim_sleeper *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < nr_sleepers; i++)
		if (sleeper[i] != s)
			sleeper[n++] = sleeper[i];
	nr_sleepers = n;
}

static long wake(const void *on, long n)
{
	long woken = 0;

	for (unsigned i = 0; i < nr_sleepers && woken < n; i++)
		if (sleeper[i]->on == on) {
			sleeper[i]->on = NULL;
			woken++;
		}
	if (woken)
		sim_changed();
	return woken;
}

static bool is_awake(void *arg)
{
	return !((struct sim_sleeper *)arg)->on;
}

static bool sleep_on(const void *on, int64_t until_ns, const char *what)
{
	struct sim_sleeper s;
	bool woken;

	sim_sleeper_add(&s, on);
	woken = sim_wait(is_awake, &s, until_ns, what);
	forget(&s);
	return woken;
}

long sim_futex(uint32_t *word, int op, uint32_t value,
	       const struct timespec *ts, uint32_t mask)
{
	int64_t until_ns = sim_until(ts);

	(void)mask;
	sim_step(200);
	switch (op & FUTEX_CMD_MASK) {
	case FUTEX_WAIT:
		if (*(volatile uint32_t *)word != value)
			return -EAGAIN;
		return sleep_on(word, until_ns, "futex") ? 0 : -ETIMEDOUT;
	case FUTEX_WAKE:
		return wake(word, value);
	}
	sim_not_simulated("this futex operation", "ENOSYS");
	return -ENOSYS;
}

/* ---- locks ------------------------------------------------------------- */

/* X(function, the one that does not wait, type) */
#define LOCKS(X)                                                             \
	X(pthread_mutex_lock, pthread_mutex_trylock, pthread_mutex_t)        \
	X(pthread_rwlock_rdlock, pthread_rwlock_tryrdlock, pthread_rwlock_t) \
	X(pthread_rwlock_wrlock, pthread_rwlock_trywrlock, pthread_rwlock_t)

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

/* A recursive or error-checking mutex answers for its owner, too. */
#define X(lock, try, type)                                                   \
	static int own_##lock(type *l)                                       \
	{                                                                    \
		NEXT(int, try, (type *));                                    \
		int err = real(l);                                           \
                                                                             \
		if (err == EBUSY && !sim_on) {                               \
			static void *wait;                                   \
                                                                             \
			return ((int (*)(type *))sim_next(&wait, #lock))(l); \
		}                                                            \
		while (err == EBUSY) {                                       \
			sleep_on(l, SIM_NEVER, "a lock");                    \
			err = real(l);                                       \
		}                                                            \
		return err;                                                  \
	}                                                                    \
	BOTH_NAMES(lock, type)
LOCKS(X)
#undef X

#define X(unlock, type)                      \
	static int own_##unlock(type *l)     \
	{                                    \
		NEXT(int, unlock, (type *)); \
		int err = real(l);           \
                                             \
		if (sim_on)                  \
			wake(l, SLEEPERS);   \
		return err;                  \
	}                                    \
	BOTH_NAMES(unlock, type)
X(pthread_mutex_unlock, pthread_mutex_t)
X(pthread_rwlock_unlock, pthread_rwlock_t)
#undef X

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

static int64_t real_until(const struct timespec *ts)
{
	return ts->tv_sec * INT64_C(1000000000) + ts->tv_nsec - EPOCH_NS;
}

SIM_API int sem_wait(sem_t *s)
{
	NEXT(int, sem_wait, (sem_t *));
	return sim_on ? sem_until(s, SIM_NEVER) : real(s);
}

SIM_API int sem_timedwait(sem_t *s, const struct timespec *ts)
{
	NEXT(int, sem_timedwait, (sem_t *, const struct timespec *));
	return sim_on ? sem_until(s, real_until(ts)) : real(s, ts);
}

/* ---- condition variables ----------------------------------------------- */

static int cond_until(pthread_cond_t *c, pthread_mutex_t *m, int64_t until_ns)
{
	struct sim_sleeper s;
	bool woken;

	sim_sleeper_add(&s, c);
	pthread_mutex_unlock(m);
	woken = sim_wait(is_awake, &s, until_ns, "a condition");
	forget(&s);
	pthread_mutex_lock(m);
	return woken ? 0 : ETIMEDOUT;
}

SIM_API int pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
	NEXT(int, pthread_cond_wait, (pthread_cond_t *, pthread_mutex_t *));
	return sim_on ? cond_until(c, m, SIM_NEVER) : real(c, m);
}

/* CLOCK_REALTIME, unless the attribute said another: the larger one tells. */
SIM_API int pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m,
				   const struct timespec *ts)
{
	NEXT(int, pthread_cond_timedwait,
	     (pthread_cond_t *, pthread_mutex_t *, const struct timespec *));
	int64_t until_ns = real_until(ts);

	if (until_ns < 0)
		until_ns += EPOCH_NS;
	return sim_on ? cond_until(c, m, until_ns) : real(c, m, ts);
}

SIM_API int pthread_cond_signal(pthread_cond_t *c)
{
	NEXT(int, pthread_cond_signal, (pthread_cond_t *));
	if (!sim_on)
		return real(c);
	wake(c, 1);
	return 0;
}

SIM_API int pthread_cond_broadcast(pthread_cond_t *c)
{
	NEXT(int, pthread_cond_broadcast, (pthread_cond_t *));
	if (!sim_on)
		return real(c);
	wake(c, SLEEPERS);
	return 0;
}

/* ---- threads ----------------------------------------------------------- */

SIM_API int pthread_create(pthread_t *t, const pthread_attr_t *attr,
			   void *(*fn)(void *), void *arg)
{
	NEXT(int, pthread_create,
	     (pthread_t *, const pthread_attr_t *, void *(*)(void *), void *));
	return sim_on ? sim_thread_new(t, attr, fn, arg)
		      : real(t, attr, fn, arg);
}

SIM_API int pthread_join(pthread_t t, void **ret)
{
	return sim_thread_join(t, ret);
}

SIM_API int sched_yield(void)
{
	if (!sim_on)
		return sim_call(SYS_sched_yield);
	sim_step(100);
	sim_yield();
	return 0;
}

SIM_API pid_t fork(void)
{
	NEXT(pid_t, fork, (void));
	pid_t pid;

	if (sim_on)
		sim_not_simulated("fork", "the child runs on the real kernel");
	pid = real();
	if (!pid)
		sim_on = false;
	return pid;
}

/* ---- clocks ------------------------------------------------------------ */

static int64_t clock_ns(clockid_t clock)
{
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_TAI:
		return EPOCH_NS + sim_now_ns;
	case CLOCK_PROCESS_CPUTIME_ID:
	case CLOCK_THREAD_CPUTIME_ID:
		return sim_thread_cpu_ns(0);
	}
	if (clock < 0) /* a thread's: clock_getcpuclockid(3) */
		return sim_thread_cpu_ns(~((int)clock >> 3));
	return sim_now_ns;
}

SIM_API int clock_gettime(clockid_t clock, struct timespec *ts)
{
	int64_t ns;

	if (!sim_on) {
		long err = sim_call(SYS_clock_gettime, clock, ts);

		errno = -err;
		return err ? -1 : 0;
	}
	sim_step(100);
	ns = clock_ns(clock);
	*ts = (struct timespec){ ns / 1000000000, ns % 1000000000 };
	return 0;
}

SIM_API int gettimeofday(struct timeval *tv, void *zone)
{
	struct timespec ts;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &ts);
	*tv = (struct timeval){ ts.tv_sec, ts.tv_nsec / 1000 };
	return 0;
}

SIM_API time_t time(time_t *t)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (t)
		*t = ts.tv_sec;
	return ts.tv_sec;
}

static bool never(void *arg)
{
	(void)arg;
	return false;
}

SIM_API int clock_nanosleep(clockid_t clock, int flags,
			    const struct timespec *ts, struct timespec *left)
{
	int64_t until_ns;

	if (!sim_on)
		return -sim_call(SYS_clock_nanosleep, clock, (long)flags, ts,
				 left);
	sim_step(200);
	until_ns = sim_until(ts);
	if (flags & TIMER_ABSTIME)
		until_ns = clock == CLOCK_REALTIME
				   ? real_until(ts)
				   : ts->tv_sec * INT64_C(1000000000) +
					     ts->tv_nsec;
	sim_wait(never, NULL, until_ns, "a sleep");
	return 0;
}

SIM_API int nanosleep(const struct timespec *ts, struct timespec *left)
{
	errno = clock_nanosleep(CLOCK_MONOTONIC, 0, ts, left);
	return errno ? -1 : 0;
}

SIM_API int usleep(useconds_t us)
{
	struct timespec ts = { us / 1000000, us % 1000000 * 1000 };

	return nanosleep(&ts, NULL);
}

SIM_API unsigned sleep(unsigned s)
{
	struct timespec ts = { s, 0 };

	return nanosleep(&ts, NULL) ? s : 0;
}

/* Timers of a thread's time in user space, by which loops are preempted: in a simulation, loops
 * take no time, so they never expire. */
#define OUR_TIMER ((timer_t)(intptr_t)0x73696d)

SIM_API int timer_create(clockid_t clock, struct sigevent *event, timer_t *t)
{
	NEXT(int, timer_create, (clockid_t, struct sigevent *, timer_t *));
	if (!sim_on)
		return real(clock, event, t);
	if (clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC)
		sim_not_simulated("timer_create", "the timer never expires");
	*t = OUR_TIMER;
	return 0;
}

SIM_API int timer_settime(timer_t t, int flags, const struct itimerspec *to,
			  struct itimerspec *old)
{
	NEXT(int, timer_settime,
	     (timer_t, int, const struct itimerspec *, struct itimerspec *));
	return t == OUR_TIMER ? 0 : real(t, flags, to, old);
}

SIM_API int timer_delete(timer_t t)
{
	NEXT(int, timer_delete, (timer_t));
	return t == OUR_TIMER ? 0 : real(t);
}

static void fill(void *buf, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((uint8_t *)buf)[i] = sim_random(SIM_BYTES, 256);
}

SIM_API ssize_t getrandom(void *buf, size_t n, unsigned flags)
{
	if (!sim_on)
		return sim_call(SYS_getrandom, buf, n, (long)flags);
	fill(buf, n);
	return n;
}

SIM_API int getentropy(void *buf, size_t n)
{
	return getrandom(buf, n, 0) == (ssize_t)n ? 0 : -1;
}
