// SPDX-License-Identifier: MIT
/*
 * Threads, futexes, signals, clocks and random numbers, in place of libc's. A futex is
 * a list of the threads that sleep on it, in order.
 */
#define _GNU_SOURCE
#include "sim.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#define SLEEPERS 65536
#define EPOCH_NS INT64_C(1700000000000000000) /* CLOCK_REALTIME: any day */

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

void sim_sleeper_forget(struct sim_sleeper *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < nr_sleepers; i++)
		if (sleeper[i] != s)
			sleeper[n++] = sleeper[i];
	nr_sleepers = n;
}

long sim_wake(const void *on, long n)
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

bool sim_is_awake(void *arg)
{
	return !((struct sim_sleeper *)arg)->on;
}

bool sim_sleep_on(const void *on, int64_t until_ns, const char *what)
{
	struct sim_sleeper s;
	bool woken;

	sim_sleeper_add(&s, on);
	woken = sim_wait(sim_is_awake, &s, until_ns, what);
	sim_sleeper_forget(&s);
	return woken;
}

/* FUTEX_WAIT takes a time from now on, FUTEX_WAIT_BITSET an absolute one. */
static int64_t futex_until(int op, const struct timespec *ts)
{
	if ((op & FUTEX_CMD_MASK) == FUTEX_WAIT || !ts)
		return sim_until(ts);
	return sim_until_clock(op & FUTEX_CLOCK_REALTIME ? CLOCK_REALTIME
							 : CLOCK_MONOTONIC,
			       ts);
}

long sim_futex(uint32_t *word, int op, uint32_t value,
	       const struct timespec *ts, uint32_t mask)
{
	bool all = mask == FUTEX_BITSET_MATCH_ANY;
	int command = op & FUTEX_CMD_MASK;

	sim_step(200);
	if (command == FUTEX_WAKE || (command == FUTEX_WAKE_BITSET && all))
		return sim_wake(word, value);
	if (command != FUTEX_WAIT && !(command == FUTEX_WAIT_BITSET && all)) {
		sim_not_simulated("this futex operation", "ENOSYS");
		return -ENOSYS;
	}
	if (*(volatile uint32_t *)word != value)
		return -EAGAIN;
	return sim_sleep_on(word, futex_until(op, ts), "futex") ? 0
								: -ETIMEDOUT;
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

enum { NEVER_RUN, RUNNING, DONE };

/* Runs also when the function throws. */
static void once_is_over(int **once)
{
	if (*(volatile int *)*once == RUNNING)
		*(volatile int *)*once = NEVER_RUN;
	sim_wake(*once, SIM_ALL);
}

SIM_API int pthread_once(pthread_once_t *once, void (*fn)(void))
{
	NEXT(int, pthread_once, (pthread_once_t *, void (*)(void)));
	volatile int *state = (volatile int *)once;

	if (!sim_on)
		return real(once, fn);
	while (*state == RUNNING)
		sim_sleep_on(once, SIM_NEVER, "pthread_once");
	if (*state == NEVER_RUN) {
		int *over __attribute__((cleanup(once_is_over), unused)) =
			(int *)once;

		*state = RUNNING;
		fn();
		*state = DONE;
	}
	return 0;
}

SIM_API int pthread_detach(pthread_t t)
{
	NEXT(int, pthread_detach, (pthread_t));
	sim_thread_detach(t);
	return real(t);
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

	if (sim_on) {
		sim_not_simulated("fork", "the child runs on the real kernel");
		sim_has_children();
	}
	pid = real();
	if (!pid)
		sim_on = false;
	return pid;
}

/* A real vfork's child would use this stack until its exec or _exit. */
SIM_API pid_t vfork(void)
{
	return fork();
}

/* ---- signals ----------------------------------------------------------- */

/* Sends the signal to the calling thread, so that it is taken at a known place. If that
 * thread blocks the signal, another one takes it. */
static int send_own(int sig, int code, union sigval value)
{
	siginfo_t info = { .si_signo = sig, .si_code = code };
	sigset_t blocked;

	info.si_pid = getpid();
	info.si_uid = getuid();
	info.si_value = value;
	pthread_sigmask(SIG_BLOCK, NULL, &blocked);
	sim_step(500);
	sim_trace("signal %d", sig);
	if (sigismember(&blocked, sig))
		return sim_call(SYS_rt_sigqueueinfo, getpid(), sig, &info);
	return sim_call(SYS_rt_tgsigqueueinfo, getpid(), gettid(), sig, &info);
}

SIM_API int kill(pid_t pid, int sig)
{
	union sigval none = { 0 };

	return sim_result(sim_on && sig && pid == getpid()
				  ? send_own(sig, SI_USER, none)
				  : sim_call(SYS_kill, pid, sig));
}

SIM_API int sigqueue(pid_t pid, int sig, union sigval value)
{
	NEXT(int, sigqueue, (pid_t, int, union sigval));

	return sim_on && sig && pid == getpid()
		       ? sim_result(send_own(sig, SI_QUEUE, value))
		       : real(pid, sig, value);
}

SIM_API int pthread_kill(pthread_t t, int sig)
{
	NEXT(int, pthread_kill, (pthread_t, int));
	int tid = sig ? sim_thread_tid(t) : 0;

	if (!tid)
		return real(t, sig);
	sim_step(500);
	sim_signal(tid, sig);
	return 0;
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

int64_t sim_until_clock(clockid_t clock, const struct timespec *ts)
{
	int64_t ns;

	if (ts->tv_sec > SIM_NEVER / 1000000000 - 1)
		return SIM_NEVER;
	ns = ts->tv_sec * INT64_C(1000000000) + ts->tv_nsec;
	return clock == CLOCK_REALTIME ? ns - EPOCH_NS : ns;
}

SIM_API int timespec_get(struct timespec *ts, int base)
{
	return base == TIME_UTC && !clock_gettime(CLOCK_REALTIME, ts) ? base
								      : 0;
}

SIM_API clock_t clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * CLOCKS_PER_SEC +
	       ts.tv_nsec / (1000000000 / CLOCKS_PER_SEC);
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
	until_ns = flags & TIMER_ABSTIME ? sim_until_clock(clock, ts)
					 : sim_until(ts);
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

/* Timers of a thread's time in user space, by which loops are preempted. In a
 * simulation loops take no time, so such timers never expire. */
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

/* ---- random numbers ---------------------------------------------------- */

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

/* In glibc since 2.36. */
#if !__GLIBC_PREREQ(2, 36)
void arc4random_buf(void *, size_t);
uint32_t arc4random(void), arc4random_uniform(uint32_t);
#endif

SIM_API void arc4random_buf(void *buf, size_t n)
{
	getrandom(buf, n, 0);
}

SIM_API uint32_t arc4random(void)
{
	uint32_t n = 0;

	getrandom(&n, sizeof(n), 0);
	return n;
}

SIM_API uint32_t arc4random_uniform(uint32_t below)
{
	return below ? arc4random() % below : 0;
}
