// SPDX-License-Identifier: MIT
/*
 * The workloads of `urt bench`: a few tasks of every runtime, in coroutines of
 * uring_rt, in POSIX threads where that is feasible (threads.c), and in Go
 * (bench.go). Each has one question; the loops are alike, so that only the
 * runtime differs.
 */
#define _GNU_SOURCE
#include "../../uring_rt/urt.h"
#include "bench.h"
#include "../lib/histogram.h"
#include "../lib/proc.h"
#include "../lib/tool.h"
#include <arpa/inet.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- coroutines ---- */

struct task {
	long n;
	struct urt_chan *in, *out;
	struct urt_mutex *mutex;
	struct urt_waitgroup *wg;
};

static void yielder(void *arg)
{
	for (long i = 0; i < *(long *)arg; i++)
		urt_yield();
}

static double bench_yield(long n)
{
	long each = n / 2;
	struct urt_coro *a = urt_spawn(yielder, &each);
	struct urt_coro *b = urt_spawn(yielder, &each);

	urt_join(a);
	urt_join(b);
	return 2 * each;
}

static void ponger(void *arg)
{
	struct task *t = arg;
	int64_t v;

	while (!urt_chan_recv(t->in, &v, URT_NEVER)) {
		v++;
		urt_chan_send(t->out, &v, URT_NEVER);
	}
}

static double bench_pingpong(long n)
{
	struct task t = { .in = urt_chan_new(8, 0), .out = urt_chan_new(8, 0) };
	struct urt_coro *c = urt_spawn(ponger, &t);

	for (int64_t i = 0, v; i < n; i++) {
		v = i;
		urt_chan_send(t.in, &v, URT_NEVER);
		urt_chan_recv(t.out, &v, URT_NEVER);
	}
	urt_chan_close(t.in);
	urt_join(c);
	urt_chan_free(t.in);
	urt_chan_free(t.out);
	return n;
}

static void nothing(void *arg)
{
}

static double bench_spawn_join(long n)
{
	for (long i = 0; i < n; i++)
		urt_join(urt_spawn(nothing, NULL));
	return n;
}

static void done(void *arg)
{
	urt_waitgroup_done(arg);
}

static double bench_spawn_batch(long n)
{
	struct urt_waitgroup wg = URT_WAITGROUP_INIT;

	for (long i = 0; i < n / 1000; i++) {
		urt_waitgroup_add(&wg, 1000);
		for (int j = 0; j < 1000; j++)
			urt_go(done, &wg);
		urt_waitgroup_wait(&wg, URT_NEVER);
	}
	return n / 1000 * 1000;
}

static void producer(void *arg)
{
	struct task *t = arg;

	for (int64_t i = 0; i < t->n; i++)
		urt_chan_send(t->out, &i, URT_NEVER);
	urt_chan_close(t->out);
}

static double bench_buffered(long n)
{
	struct task t = { .n = n, .out = urt_chan_new(8, 128) };
	struct urt_coro *c = urt_spawn(producer, &t);
	int64_t v;

	while (!urt_chan_recv(t.out, &v, URT_NEVER))
		;
	urt_join(c);
	urt_chan_free(t.out);
	return n;
}

static void locker(void *arg)
{
	struct task *t = arg;

	for (long i = 0; i < t->n; i++) {
		urt_mutex_lock(t->mutex, URT_NEVER);
		urt_mutex_unlock(t->mutex);
	}
	urt_waitgroup_done(t->wg);
}

static double bench_mutex(long n)
{
	struct urt_mutex mutex = URT_MUTEX_INIT;
	struct urt_waitgroup wg = URT_WAITGROUP_INIT;
	struct task t = { .n = n / 64, .mutex = &mutex, .wg = &wg };

	urt_waitgroup_add(&wg, 64);
	for (int i = 0; i < 64; i++)
		urt_go(locker, &t);
	urt_waitgroup_wait(&wg, URT_NEVER);
	return n / 64 * 64;
}

#define SLEEPERS 100000L

static void sleeper(void *arg)
{
	struct task *t = arg;

	for (long i = 0; i < t->n; i++)
		urt_sleep(NS_PER_MS);
	urt_waitgroup_done(t->wg);
}

static double bench_sleep(long n)
{
	struct urt_waitgroup wg = URT_WAITGROUP_INIT;
	struct task t = { .n = n / SLEEPERS, .wg = &wg };

	urt_waitgroup_add(&wg, SLEEPERS);
	for (long i = 0; i < SLEEPERS; i++)
		urt_go(sleeper, &t);
	urt_waitgroup_wait(&wg, URT_NEVER);
	return n / SLEEPERS * SLEEPERS;
}

/* ---- skynet: a tree of n leaves, ten children a node; ns for all ---- */

struct node {
	struct urt_chan *up;
	int64_t number, size;
};

static void skynet(void *arg)
{
	struct node *self = arg, child[10];
	struct urt_chan *ch;
	int64_t sum = 0, v;

	if (self->size == 1) {
		urt_chan_send(self->up, &self->number, URT_NEVER);
		return;
	}
	ch = urt_chan_new(8, 0);
	for (int i = 0; i < 10; i++) {
		child[i] =
			(struct node){ ch, self->number + i * (self->size / 10),
				       self->size / 10 };
		urt_go(skynet, &child[i]);
	}
	for (int i = 0; i < 10; i++) {
		urt_chan_recv(ch, &v, URT_NEVER);
		sum += v;
	}
	urt_chan_free(ch);
	urt_chan_send(self->up, &sum, URT_NEVER);
}

static void bench_skynet(long n, double *figures)
{
	struct node root = { urt_chan_new(8, 0), 0, n };
	int64_t sum = 0, begin = now_ns(), spent;

	urt_go(skynet, &root);
	urt_chan_recv(root.up, &sum, URT_NEVER);
	spent = now_ns() - begin;
	urt_chan_free(root.up);
	figures[0] = sum == (int64_t)n * (n - 1) / 2 ? (double)spent : NAN;
}

/* ---- many parked coroutines: memory, and time to start and stop ---- */

/* Resident memory and page tables, which belong to the cost. Bytes. */
static long memory_used(void)
{
	return (proc_status(getpid(), "VmRSS:") +
		proc_status(getpid(), "VmPTE:")) *
	       1024;
}

static void parked(void *arg)
{
	struct task *t = arg;
	int64_t v;

	urt_waitgroup_done(t->wg);
	urt_chan_recv(t->in, &v, URT_NEVER);
	urt_waitgroup_done(t->wg + 1);
}

/* Bytes, ns to start and ns to stop each of n parked coroutines. */
static void bench_parked(long n, double *figures)
{
	struct urt_waitgroup wg[2] = { URT_WAITGROUP_INIT, URT_WAITGROUP_INIT };
	struct task t = { .in = urt_chan_new(8, 0), .wg = wg };
	long before = memory_used();
	int64_t begin = now_ns(), stopping;

	urt_waitgroup_add(&wg[0], n);
	urt_waitgroup_add(&wg[1], n);
	for (long i = 0; i < n; i++)
		if (urt_go(parked, &t))
			return;
	urt_waitgroup_wait(&wg[0], URT_NEVER);
	figures[1] = (double)(now_ns() - begin) / n;
	urt_sleep(10 * NS_PER_MS); /* until the last ones have parked */
	figures[0] = (double)(memory_used() - before) / n;
	stopping = now_ns();
	urt_chan_close(t.in);
	urt_waitgroup_wait(&wg[1], URT_NEVER);
	figures[2] = (double)(now_ns() - stopping) / n;
}

/*
 * ---- echo-hog: n echo connections next to a loop that never calls ----
 *
 * Client and server are coroutines of one program; each client asks five times
 * a second. The figure is the 99th percentile of the answers' latency.
 */

#define ASK_EVERY_NS (200 * NS_PER_MS)
#define ASKS	     5

static volatile bool echo_over;
static struct histogram echo_latency;
static struct urt_mutex echo_lock = URT_MUTEX_INIT;

static void tight_loop(void *arg)
{
	while (!echo_over)
		;
}

static void echo_server(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[64];
	ssize_t n;

	while ((n = urt_recv(fd, buf, sizeof(buf), 0, URT_NEVER)) > 0)
		urt_send(fd, buf, n, MSG_NOSIGNAL, URT_NEVER);
	urt_close(fd);
}

static void echo_accept(void *arg)
{
	int fd;

	while ((fd = urt_accept((int)(intptr_t)arg, NULL, NULL, 0,
				URT_NEVER)) >= 0)
		urt_go(echo_server, (void *)(intptr_t)fd);
}

struct echo_client {
	struct sockaddr_in to;
	struct urt_waitgroup *wg;
	long index;
};

static void echo_client(void *arg)
{
	struct echo_client *c = arg;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	int64_t latency[ASKS];
	char buf[64] = { 0 };

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	urt_connect(fd, (struct sockaddr *)&c->to, sizeof(c->to), URT_NEVER);
	urt_sleep(c->index % 1000 * (ASK_EVERY_NS / 1000));
	for (int i = 0; i < ASKS; i++) {
		int64_t begin = now_ns();

		urt_send(fd, buf, sizeof(buf), MSG_NOSIGNAL, URT_NEVER);
		urt_recv(fd, buf, sizeof(buf), MSG_WAITALL, URT_NEVER);
		latency[i] = now_ns() - begin;
		urt_sleep(ASK_EVERY_NS);
	}
	urt_close(fd);
	urt_mutex_lock(&echo_lock, URT_NEVER);
	for (int i = 0; i < ASKS; i++)
		histogram_add(&echo_latency, latency[i]);
	urt_mutex_unlock(&echo_lock);
	urt_waitgroup_done(c->wg);
}

static void bench_echo_hog(long n, double *figures)
{
	struct urt_waitgroup wg = URT_WAITGROUP_INIT;
	struct echo_client *c = calloc(n, sizeof(*c));
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	struct rlimit files = { 0, 0 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (!c || bind(fd, (struct sockaddr *)&a, sizeof(a)) ||
	    listen(fd, 4096) || getsockname(fd, (struct sockaddr *)&a, &len))
		return;
	urt_go(echo_accept, (void *)(intptr_t)fd);
	urt_waitgroup_add(&wg, n);
	for (long i = 0; i < n; i++) {
		c[i] = (struct echo_client){ a, &wg, i };
		urt_go(echo_client, &c[i]);
	}
	urt_go(tight_loop, NULL);
	urt_waitgroup_wait(&wg, URT_NEVER);
	echo_over = true;
	figures[0] = histogram_percentile(&echo_latency, 0.99);
}

/* ---- all of them ---- */

#define ONE(u) .figures = { { "", u, 1, false, NULL } }

const struct bench bench_micro[] = {
	{ .name = "yield",
	  ONE("ns"),
	  .coroutine = bench_yield,
	  .thread = thread_yield,
	  .n = 10000 },
	{ .name = "chan-pingpong",
	  ONE("ns"),
	  .coroutine = bench_pingpong,
	  .thread = thread_pingpong,
	  .n = 1000 },
	{ .name = "spawn-join",
	  ONE("ns"),
	  .coroutine = bench_spawn_join,
	  .thread = thread_spawn_join,
	  .n = 1000 },
	{ .name = "spawn-batch",
	  ONE("ns"),
	  .coroutine = bench_spawn_batch,
	  .n = 10000 },
	{ .name = "chan-buffered",
	  ONE("ns"),
	  .coroutine = bench_buffered,
	  .n = 10000 },
	{ .name = "mutex-contended",
	  ONE("ns"),
	  .coroutine = bench_mutex,
	  .thread = thread_mutex,
	  .n = 100000 },
	{ .name = "sleep", ONE("ns"), .coroutine = bench_sleep, .n = SLEEPERS },
	{ .name = "skynet",
	  .figures = { { "", "ms", 1e-6, false, NULL } },
	  .measure = bench_skynet,
	  .n = 1000000 },
	{ .name = "parked",
	  .figures = { { "", "bytes", 1, false, "memory" },
		       { "", "ns", 1, false, "start" },
		       { "", "ns", 1, false, "stop" } },
	  .measure = bench_parked,
	  .n = 1000000,
	  .runs_max = 3 },
	{ .name = "echo-hog",
	  .figures = { { "p99", "us", 1e-3, false, NULL } },
	  .measure = bench_echo_hog,
	  .n = 1000,
	  .more_workers = true,
	  .runs_max = 3 },
	{ 0 },
};
