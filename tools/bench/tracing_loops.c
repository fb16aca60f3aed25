// SPDX-License-Identifier: MIT
/*
 * The process that `urt bench --tracing` counts: a loop for each kind of event.
 * It announces a context, as a program on uring_rt does, for --by context.
 *
 * A switch of threads is measured by a pipe: two processes on one CPU, each
 * switch with two system calls. Alone and under `urt stat
 * --no-syscalls`, nothing traces the system calls, so that row is the cost of a
 * switch by itself.
 */
#define _GNU_SOURCE
#include "../../uring_rt/base/announce.h"
#include "../../uring_rt/urt.h"
#include "tracing.h"
#include "../lib/tool.h"
#include <math.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNKS 7

static const long counts[] = { 500000, 50000, 10000000 };

extern __thread struct urt_context *otel_thread_ctx_v1;

/* What `urt stat --by context` reads (OTEP 4719, 4947). */
static void show_context(void)
{
	static const char key[1][URT__CONTEXT_KEY_MAX + 1] = { "http.route" };
	static struct urt_context ctx = { .trace_id = { 1 },
					  .span_id = { 1 },
					  .valid = 1 };

	urt_context_add(&ctx, 0, "/");
	if (!urt__announce(key, 1))
		otel_thread_ctx_v1 = &ctx;
}

static double syscall_loop(long n)
{
	int64_t begin = now_ns();

	for (long i = 0; i < n; i++)
		syscall(SYS_getppid);
	return (double)(now_ns() - begin) / n;
}

static void partner(int in, int out)
{
	char c;

	while (read(in, &c, 1) == 1)
		if (write(out, &c, 1) != 1)
			break;
	_exit(0);
}

static double switch_loop(long n)
{
	int there[2], back[2];
	int64_t begin;
	pid_t pid;
	char c = 0;

	if (pipe(there) || pipe(back))
		return NAN;
	pid = fork();
	if (!pid) {
		close(there[1]);
		close(back[0]);
		partner(there[0], back[1]);
	}
	begin = now_ns();
	for (long i = 0; i < n / 2; i++)
		if (write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1)
			break;
	begin = now_ns() - begin;
	close(there[0]);
	close(there[1]);
	close(back[0]);
	close(back[1]);
	waitpid(pid, NULL, 0);
	return (double)begin / n;
}

static void yield_half(void *arg)
{
	for (long n = *(long *)arg / 2; n; n--)
		urt_yield();
}

static void yield_pair(void *arg)
{
	struct urt_coro *other = urt_spawn(yield_half, arg);

	yield_half(arg);
	urt_join(other);
}

static double yield_loop(long n)
{
	int64_t begin = now_ns();

	if (urt_run(yield_pair, &n))
		return NAN;
	return (double)(now_ns() - begin) / n;
}

/* ns for one event, the median of chunks. */
static double loop(enum event e, long n)
{
	static double (*const loops[])(long) = { syscall_loop, switch_loop,
						 yield_loop };
	double ns[CHUNKS];

	for (int i = 0; i < CHUNKS; i++)
		ns[i] = loops[e](n / CHUNKS + 2);
	sort_doubles(ns, CHUNKS);
	return ns[CHUNKS / 2];
}

int bench_tracing_loops(long fewer, int fd)
{
	double ns[EVENTS];

	show_context();
	for (int e = 0; e < EVENTS; e++)
		ns[e] = loop(e, counts[e] / fewer);
	return dprintf(fd, "%.3f %.3f %.3f\n", ns[SYSCALL], ns[SWITCH],
		       ns[YIELD]) < 0;
}
