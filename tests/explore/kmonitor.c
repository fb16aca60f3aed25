// SPDX-License-Identifier: MIT
/* The kernel as the monitor's thread uses it (watch/monitor.c, pause.c): one eventfd,
 * which it polls with a timeout; clocks; a timer; and an empty /proc. */
#define _GNU_SOURCE
#include "kernel.h"
#include "../../uring_rt/base/assist.h"
#include "../../uring_rt/base/sys.h"
#include "../../uring_rt/sched/sched.h"
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>

#define PC    __builtin_return_address(0)
#define BELL  90 /* the eventfd */
#define POLL  91 /* the epoll instance */
#define ALARM 92 /* the timer */

static uint64_t rung;
static int64_t alarm_ns = INT64_MAX;
static unsigned polls; /* that have ended */

int urt__assist_load(struct urt__assist *a, const struct urt__assisted *whom)
{
	(void)a, (void)whom;
	return -ENOSYS;
}

void urt__assist_unload(struct urt__assist *a)
{
	(void)a;
}

int urt__sys_eventfd(void)
{
	return BELL;
}

int urt__sys_timerfd(void)
{
	return ALARM;
}

void urt__sys_wake_first(void)
{
}

int k_timerfd_settime(int, int, const struct itimerspec *, struct itimerspec *);
int k_timerfd_settime(int fd, int flags, const struct itimerspec *to,
		      struct itimerspec *old)
{
	(void)fd, (void)flags, (void)old;
	alarm_ns = to->it_value.tv_sec * 1000000000 + to->it_value.tv_nsec;
	return 0;
}

ssize_t k_write(int, const void *, size_t);
ssize_t k_write(int fd, const void *buf, size_t n)
{
	(void)buf;
	if (fd != BELL || !x_self)
		return -1;
	x_point(X_CALL, PC, (uintptr_t)&rung)->note = "rings the bell";
	x_sync((uintptr_t)&rung, true);
	rung++;
	return n;
}

ssize_t k_read(int, void *, size_t);
ssize_t k_read(int fd, void *buf, size_t n)
{
	(void)buf;
	if (fd != BELL || !rung)
		return -1;
	rung = 0;
	return n;
}

static bool is_rung(void *arg)
{
	(void)arg;
	return rung;
}

bool k_none_looks(void)
{
	for (unsigned i = 0; urt__rt.monitor_asleep && i < urt__rt.nr_workers;
	     i++) {
		const struct urt__worker *w = urt__rt.worker[i];

		if (w->state == URT__W_SLEEPING &&
		    w->ring.sq_tail != *w->ring.sq_khead)
			return true;
	}
	return false;
}

int k_ppoll(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);
int k_ppoll(struct pollfd *p, nfds_t n, const struct timespec *ts,
	    const sigset_t *mask)
{
	int64_t until_ns = INT64_MAX;
	bool dozes = p[n - 1].fd == ALARM;

	(void)mask;
	if (ts)
		until_ns = k_after(ts->tv_sec, ts->tv_nsec);
	/* Again if the alarm was put off meanwhile. */
	while (!x_block(PC, (uintptr_t)&rung, is_rung, NULL,
			dozes && alarm_ns < until_ns ? alarm_ns : until_ns,
			"waits for the bell") &&
	       x_now_ns < until_ns && dozes && x_now_ns < alarm_ns)
		;
	x_sync((uintptr_t)&rung, true);
	polls++;
	p[0].revents = rung ? POLLIN : 0;
	for (nfds_t i = 1; i < n; i++)
		p[i].revents = 0;
	return rung != 0;
}

static bool has_polled(void *arg)
{
	return polls >= (uintptr_t)arg;
}

void k_await_polls(unsigned n)
{
	x_block(PC, (uintptr_t)&polls, has_polled, (void *)(uintptr_t)n,
		INT64_MAX, "until the monitor looks");
}

unsigned k_polls(void)
{
	return polls;
}

int k_epoll_create1(int);
int k_epoll_create1(int flags)
{
	(void)flags;
	return POLL;
}

int k_epoll_ctl(int, int, int, struct epoll_event *);
int k_epoll_ctl(int fd, int op, int of, struct epoll_event *e)
{
	(void)fd, (void)op, (void)of, (void)e;
	return 0;
}

int k_epoll_wait(int, struct epoll_event *, int, int);
int k_epoll_wait(int fd, struct epoll_event *e, int n, int ms)
{
	(void)fd, (void)e, (void)n, (void)ms;
	return 0;
}

/* Serves as a thread's CPU time, too: only the running thread asks for it. */
int k_clock_gettime(clockid_t, struct timespec *);
int k_clock_gettime(clockid_t clock, struct timespec *ts)
{
	(void)clock;
	ts->tv_sec = x_now_ns / 1000000000;
	ts->tv_nsec = x_now_ns % 1000000000;
	return 0;
}

int k_prctl(int, ...);
int k_prctl(int option, ...)
{
	(void)option;
	return 0;
}
