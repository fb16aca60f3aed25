// SPDX-License-Identifier: MIT
/*
 * A program whose demands on the kernel are known, to be counted by the tool:
 *
 *	probe exit N         ends with status N
 *	probe signal         kills itself by SIGTERM
 *	probe sleeps N       N times nanosleep; prints the kernel's own counts of
 *	                     its switches, before and after, as "nvcsw nivcsw"
 *	probe calls N        N times sched_get_priority_max, which nobody else calls
 *	probe nops N         N io_uring NOPs, in batches of 8
 *	probe children N     N children, each 10 times sched_get_priority_max
 *	probe threads N      N threads, each 10 times sched_get_priority_max
 *	probe yields N       N yields of two coroutines on uring_rt
 *	probe hang           sleeps until it is signalled; SIGUSR1 ends it with 7
 */
#define _GNU_SOURCE
#include "../uring_rt/urt.h"
#include <liburing.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long n;

static void print_own_switches(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	printf("%ld %ld\n", ru.ru_nvcsw, ru.ru_nivcsw);
}

static int sleeps(void)
{
	struct timespec ts = { 0, 100000 };

	print_own_switches();
	for (long i = 0; i < n; i++)
		nanosleep(&ts, NULL);
	print_own_switches();
	return 0;
}

static void *calls(void *arg)
{
	for (long i = 0; i < (arg ? 10 : n); i++)
		syscall(SYS_sched_get_priority_max, 0);
	return NULL;
}

static int nops(void)
{
	struct io_uring ring;
	struct io_uring_cqe *cqe;

	if (io_uring_queue_init(8, &ring, 0))
		return 77;
	for (long done = 0; done < n;) {
		long batch = n - done < 8 ? n - done : 8;

		for (long i = 0; i < batch; i++)
			io_uring_prep_nop(io_uring_get_sqe(&ring));
		io_uring_submit(&ring);
		for (long i = 0; i < batch; i++) {
			io_uring_wait_cqe(&ring, &cqe);
			io_uring_cqe_seen(&ring, cqe);
		}
		done += batch;
	}
	return 0;
}

static int children(void)
{
	sigset_t chld;

	/* Else a fork may be interrupted by the end of an earlier child, and
	 * be made twice: how often depends on the day. */
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	for (long i = 0; i < n; i++) {
		if (!fork()) {
			calls("ten");
			_exit(0);
		}
	}
	while (wait(NULL) > 0)
		;
	return 0;
}

static int threads(void)
{
	pthread_t t;

	for (long i = 0; i < n; i++) {
		if (pthread_create(&t, NULL, calls, "ten"))
			return 1;
		pthread_join(t, NULL);
	}
	return 0;
}

static void yield_half(void *arg)
{
	for (long i = 0; i < n / 2; i++)
		urt_yield();
}

static void yields(void *arg)
{
	struct urt_coro *a = urt_spawn(yield_half, NULL);
	struct urt_coro *b = urt_spawn(yield_half, NULL);

	urt_join(a);
	urt_join(b);
}

static void on_usr1(int sig)
{
	_exit(7);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	n = argc > 2 ? atol(argv[2]) : 0;
	if (!strcmp(what, "exit"))
		return n;
	if (!strcmp(what, "signal"))
		return kill(getpid(), SIGTERM);
	if (!strcmp(what, "sleeps"))
		return sleeps();
	if (!strcmp(what, "calls"))
		return calls(NULL) != NULL;
	if (!strcmp(what, "nops"))
		return nops();
	if (!strcmp(what, "children"))
		return children();
	if (!strcmp(what, "threads"))
		return threads();
	if (!strcmp(what, "yields"))
		return urt_run(yields, NULL) ? 1 : 0;
	signal(SIGUSR1, on_usr1);
	puts("hanging");
	fflush(stdout);
	for (;;)
		pause();
}
