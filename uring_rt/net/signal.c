// SPDX-License-Identifier: MIT
/*
 * Waiting for signals: a handler writes each to a pipe, whose other end is read
 * through the ring (D. J. Bernstein's self-pipe; Go does the same).
 *
 * Rejected: signalfd. It reports blocked signals, so the signal would have to
 * be blocked in every thread of the process: workers, spares, the pool, and
 * those of the program and its libraries, before any of them was started; one
 * thread that does not block it, and SIGTERM kills. And a blocked signal stays
 * blocked in every program that any thread executes. A handler needs nothing
 * from other threads, can be installed at any time, and is removed by exec. Its
 * cost is an EINTR now and then, which SA_RESTART makes rare.
 *
 * The handler may run on any thread at any moment, also while a collector is
 * being closed, and must not write to a descriptor that another file has
 * reused. So it counts itself in before it reads the table, and close, having
 * cleared its entry, waits until no handler is counted: both sides store first
 * and then look (sequentially consistent), so one sees the other.
 */
#define _GNU_SOURCE
#include "signal.h"
#include "../base/sys.h"
#include "../wait/wait.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>
#undef errno

#define COLLECTORS_MAX 16

/* One urt_signal_open. The handler reads `set` and then `write_fd`. */
static struct collector {
	_Atomic uint64_t set; /* bit n - 1: signal n; 0: unused */
	_Atomic int write_fd;
	int read_fd; /* lock */
} collectors[COLLECTORS_MAX];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic unsigned in_handler;
static uint64_t installed;	   /* signals that are ours; lock */
static struct sigaction old[NSIG]; /* what they did before; lock */
static_assert(sizeof(siginfo_t) <= PIPE_BUF, "written in one piece or not");

static uint64_t bit_of(int signal)
{
	return UINT64_C(1) << (signal - 1);
}

/* Signals that do not fit into the pipe are lost. errno belongs to the
 * interrupted code. */
static void on_signal(int signal, siginfo_t *info, void *context)
{
	int saved = *__errno_location();

	(void)context;
	atomic_fetch_add(&in_handler, 1);
	for (int i = 0; i < COLLECTORS_MAX; i++)
		if (atomic_load(&collectors[i].set) & bit_of(signal) &&
		    write(atomic_load(&collectors[i].write_fd), info,
			  sizeof(*info)) < 0)
			continue;
	atomic_fetch_sub(&in_handler, 1);
	*__errno_location() = saved;
}

static bool can_be_collected(int signal)
{
	switch (signal) {
	case SIGKILL:
	case SIGSTOP: /* the kernel's */
	case SIGSEGV:
	case SIGBUS:
	case SIGFPE:
	case SIGILL: /* caused by the current instruction: it cannot continue */
	case SIGURG: /* the runtime's */
		return false;
	default:
		return signal > 0 && signal < NSIG;
	}
}

/* ---- the handlers: with the lock held ---------------------------------- */

static int install(uint64_t set)
{
	struct sigaction sa = { .sa_sigaction = on_signal,
				.sa_flags =
					SA_SIGINFO | SA_ONSTACK | SA_RESTART };

	sigfillset(&sa.sa_mask);
	for (int n = 1; n < NSIG; n++) {
		if (!(set & ~installed & bit_of(n)))
			continue;
		if (sigaction(n, &sa, &old[n]))
			return -*urt_errno_location();
		installed |= bit_of(n);
	}
	return 0;
}

/* Signals that are no longer collected. */
static void uninstall(void)
{
	uint64_t used = 0;

	for (int i = 0; i < COLLECTORS_MAX; i++)
		used |= atomic_load(&collectors[i].set);
	for (int n = 1; n < NSIG; n++)
		if (installed & ~used & bit_of(n))
			sigaction(n, &old[n], NULL);
	installed &= used;
}

static int close_collector(struct collector *c)
{
	int read_fd = c->read_fd;

	atomic_store(&c->set, 0);
	uninstall();
	while (atomic_load(&in_handler))
		sched_yield();
	close(c->write_fd);
	return read_fd;
}

/* Its index in the table, or -errno. */
static int open_collector(uint64_t set)
{
	int ends[2], i = 0, err;

	while (i < COLLECTORS_MAX && atomic_load(&collectors[i].set))
		i++;
	if (i == COLLECTORS_MAX)
		return -EMFILE;
	err = urt__sys_own_pipe(ends, O_NONBLOCK | O_CLOEXEC);
	if (err)
		return err;
	collectors[i].read_fd = ends[0];
	atomic_store(&collectors[i].write_fd, ends[1]);
	atomic_store(&collectors[i].set, set);
	err = install(set);
	if (err) {
		close_collector(&collectors[i]);
		close(ends[0]);
	}
	return err ? err : i;
}

/* ---- the calls --------------------------------------------------------- */

int urt_signal_open(int signal, ...)
{
	uint64_t set = 0;
	va_list ap;
	int i;

	if (!urt__current())
		return -EPERM;
	va_start(ap, signal);
	for (; signal; signal = va_arg(ap, int)) {
		if (!can_be_collected(signal)) {
			va_end(ap);
			return -EINVAL;
		}
		set |= bit_of(signal);
	}
	va_end(ap);
	if (!set)
		return -EINVAL;
	pthread_mutex_lock(&lock);
	i = open_collector(set);
	if (i >= 0)
		i = collectors[i].read_fd;
	pthread_mutex_unlock(&lock);
	return i;
}

int urt_signal_wait(int fd, siginfo_t *info, int64_t deadline_ns)
{
	siginfo_t mine;
	ssize_t n =
		urt_read(fd, info ? info : &mine, sizeof(mine), deadline_ns);

	if (n < 0)
		return n;
	return n == sizeof(mine) ? (info ? info : &mine)->si_signo : -EBADF;
}

int urt_signal_close(int fd)
{
	int err = -EBADF;

	pthread_mutex_lock(&lock);
	for (int i = 0; i < COLLECTORS_MAX; i++)
		if (atomic_load(&collectors[i].set) &&
		    collectors[i].read_fd == fd) {
			close_collector(&collectors[i]);
			err = 0;
		}
	pthread_mutex_unlock(&lock);
	if (!err)
		urt_close(fd);
	return err;
}

void urt__signals_close(void)
{
	for (int i = 0; i < COLLECTORS_MAX; i++)
		if (atomic_load(&collectors[i].set))
			close(close_collector(&collectors[i]));
}

/* Other threads may have been in the handler, but do not exist in the child. */
void urt__signals_forget(void)
{
	pthread_mutex_init(&lock, NULL);
	atomic_store(&in_handler, 0);
	urt__signals_close();
}
