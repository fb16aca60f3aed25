// SPDX-License-Identifier: MIT
/*
 * A process's signals, timers, backtraces and death. A thread takes signals before any
 * of its steps, even when it is blocked; timers never expire; a backtrace is one
 * address; death ends the execution. The tid of a worker is the number of its thread in
 * the scenario.
 */
#define _GNU_SOURCE
#include "kernel.h"
#include <execinfo.h>
#include <dlfcn.h>
#include <signal.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define PC __builtin_return_address(0)

static void (*handler)(int, siginfo_t *, void *); /* SIGURG's */
static struct {
	bool came, taken; /* taken: it is not masked */
} signals[EXPLORE_THREADS];

int k_sigaction(int, const struct sigaction *, struct sigaction *);
int k_sigaction(int sig, const struct sigaction *new, struct sigaction *old)
{
	if (sig == SIGURG && new)
		handler = new->sa_sigaction;
	if (old)
		*old = (struct sigaction){ 0 };
	return 0;
}

bool x_may_signal(void)
{
	return handler;
}

bool x_has_signal(unsigned thread)
{
	return signals[thread].came && signals[thread].taken;
}

void k_take_signals(void)
{
	signals[x_index(x_self)].taken = true;
}

long k_signal(long tid, const void *pc)
{
	if (!x_self || !handler)
		return 0;
	x_point(X_CALL, pc, 0)->note = "sends a signal";
	x_touch_signal(tid);
	x_sync((uintptr_t)&signals[tid], true);
	signals[tid].came = true;
	return 0;
}

void x_take_signal(void)
{
	siginfo_t info = { .si_signo = SIGURG, .si_code = SI_TKILL };
	static ucontext_t context;
	unsigned me = x_index(x_self);

	info.si_pid = getpid();
	signals[me].came = false;
	signals[me].taken = false;
	x_point(X_CALL, handler, 0)->note = "takes a signal";
	x_sync((uintptr_t)&signals[me], true);
	handler(SIGURG, &info, &context);
	signals[me].taken = true;
}

void (*k_set_signal(int, void (*)(int)))(int);
void (*k_set_signal(int sig, void (*to)(int)))(int)
{
	(void)sig, (void)to;
	return SIG_DFL;
}

int k_kill(pid_t, int);
int k_kill(pid_t pid, int sig)
{
	(void)pid, (void)sig;
	explore_end();
}

/* ---- timers ------------------------------------------------------------ */

int k_timer_create(clockid_t, struct sigevent *, timer_t *);
int k_timer_create(clockid_t clock, struct sigevent *e, timer_t *t)
{
	(void)clock, (void)e;
	*t = NULL;
	return 0;
}

int k_timer_settime(timer_t, int, const struct itimerspec *,
		    struct itimerspec *);
int k_timer_settime(timer_t t, int flags, const struct itimerspec *to,
		    struct itimerspec *old)
{
	(void)t, (void)flags, (void)to, (void)old;
	return 0;
}

int k_nanosleep(const struct timespec *, struct timespec *);
int k_nanosleep(const struct timespec *ts, struct timespec *left)
{
	(void)left;
	if (x_self)
		k_sleep(ts->tv_sec * 1000000000 + ts->tv_nsec);
	return 0;
}

/* ---- backtraces -------------------------------------------------------- */

unsigned k_backtraces;

int k_backtrace(void **, int);
int k_backtrace(void **pc, int n)
{
	x_plain((uintptr_t)pc, sizeof(*pc), true, PC);
	pc[0] = PC;
	k_backtraces++;
	return n > 0;
}

int k_dladdr(const void *, Dl_info *);
int k_dladdr(const void *at, Dl_info *info)
{
	(void)at, (void)info;
	return 0;
}

bool urt__symbol(const void *, char *, size_t, uintptr_t *);
bool urt__symbol(const void *at, char *buf, size_t size, uintptr_t *offset)
{
	(void)at, (void)buf, (void)size, (void)offset;
	return false;
}
