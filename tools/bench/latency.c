// SPDX-License-Identifier: MIT
/*
 * `urt bench latency`: how long one coroutine waits because of others. The same
 * client asks a server of messages in each runtime (service/messages.c); load
 * comes from another CPU if there is one.
 */
#define _GNU_SOURCE
#include "../lib/launch.h"
#include "../load/messages.h"
#include "bench.h"
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define WARM_NS	  (200 * NS_PER_MS)
#define FOR_NS	  (800 * NS_PER_MS)
#define REST_NS	  (50 * NS_PER_MS) /* between rows of reads */
#define MORE_ROWS 5

static struct messages_plan plan(const struct target *t, long connections)
{
	return (struct messages_plan){
		.port = t->port,
		.connections = connections,
		.threads = connections > 64 ? t->workers : 1,
		.not_on_cpu = t->cpu,
		.warm_ns = WARM_NS,
		.ns = FOR_NS,
		.stop = t->stop,
	};
}

/* One question on a connection of its own. */
static int ask(const struct target *t, enum message_ask what, uint32_t n,
	       struct message *m)
{
	int fd = messages_connect(t->port), err;

	if (fd < 0)
		return fd;
	err = messages_ask(fd, what, n, m);
	close(fd);
	return err;
}

static int blocked(const struct target *t, const struct bench *b,
		   double *figures)
{
	struct message m;
	int err = ask(t, MESSAGE_BLOCKED, b->with, &m);

	figures[0] = m.value[0];
	figures[1] = m.value[1];
	return err;
}

static int fresh(const struct target *t, const struct bench *b, double *figures)
{
	struct message m;
	int err = ask(t, MESSAGE_NEW, b->with, &m);

	figures[0] = m.value[0];
	return err;
}

static int faults(const struct target *t, const struct bench *b,
		  double *figures)
{
	struct message m;
	int err = ask(t, MESSAGE_FAULTS, b->with, &m);

	for (int i = 0; i < 4; i++)
		figures[i] = m.value[i];
	return err ? err : m.value[3] ? 0 : -ENODATA;
}

/* ---- a row of calls next to echo connections ---- */

/* In a child, which keeps connections busy until it is killed. */
static pid_t load_beside(const struct target *t, long connections)
{
	struct messages_plan p = plan(t, connections);
	static struct messages_result unused;
	pid_t parent = getpid(), pid;

	if (!connections)
		return 0;
	fflush(stdout);
	pid = fork();
	if (pid)
		return pid;
	launch_die_with(parent);
	p.ns = 3600 * NS_PER_S;
	_exit(messages_load(&p, &unused) != 0);
}

static void end(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static int reads(const struct target *t, const struct bench *b, double *figures)
{
	pid_t load = load_beside(t, b->with);
	int fd = messages_connect(t->port), err = fd < 0 ? fd : 0;
	struct message m;

	sleep_ns(WARM_NS);
	for (int i = 0; i <= MORE_ROWS && !err && !*t->stop; i++) {
		err = messages_ask(fd, MESSAGE_READS, 0, &m);
		if (!i)
			figures[0] = m.value[0];
		else if (m.value[0] > figures[1] || i == 1)
			figures[1] = m.value[0];
		sleep_ns(REST_NS);
	}
	if (fd >= 0)
		close(fd);
	end(load);
	return err;
}

/* ---- connections ---- */

static int burst(const struct target *t, const struct bench *b, double *figures)
{
	struct messages_plan p = plan(t, b->with);

	return messages_burst(&p, &figures[0], &figures[1]);
}

static pid_t hog(void)
{
	pid_t parent = getpid(), pid;

	fflush(stdout);
	pid = fork();
	if (pid)
		return pid;
	launch_die_with(parent);
	for (;;)
		__asm__ volatile("");
}

/* with: a second program that keeps a CPU busy. */
static int in_turn(const struct target *t, const struct bench *b,
		   double *figures)
{
	struct messages_plan p = plan(t, 1);
	pid_t other = b->with ? hog() : 0;
	int err;

	/* Nothing is pinned, as the placement is measured. */
	p.not_on_cpu = other ? -1 : p.not_on_cpu;
	err = messages_in_turn(&p, figures);
	end(other);
	return err;
}

static int load(const struct messages_plan *p, double *figures)
{
	static struct messages_result r;
	int err = messages_load(p, &r);

	figures[0] = r.rate;
	figures[1] = histogram_percentile(&r.plain, 0.5);
	figures[2] = histogram_percentile(&r.plain, 0.99);
	figures[3] = r.plain.max;
	return err;
}

static int echo(const struct target *t, const struct bench *b, double *figures)
{
	struct messages_plan p = plan(t, b->with);

	return load(&p, figures);
}

#define BLOCKERS 50

static int echo_blocked(const struct target *t, const struct bench *b,
			double *figures)
{
	struct messages_plan p = plan(t, b->with);
	struct message m;
	int err = ask(t, MESSAGE_BLOCKERS, BLOCKERS, &m);

	if (!err)
		err = load(&p, figures);
	if (!err)
		err = ask(t, MESSAGE_BLOCKERS, 0, &m);
	figures[4] = m.value[0];
	figures[5] = m.value[1];
	return err;
}

/* The rest of a figure, after its name. */
#define IN_MS .unit = "ms", .scale = 1e-6
#define IN_US .unit = "us", .scale = 1e-3
#define PER_S .unit = "1/s", .scale = 1, .more = true

#define BLOCKED(n)                                                         \
	{                                                                  \
		.name = "blocked-" #n,                                     \
		.figures = { { .name = "sleep of 1 ms meanwhile", IN_MS }, \
			     { .name = "all done", IN_MS } },              \
		.client = blocked, .with = n                               \
	}
#define READS(n)                                                         \
	{                                                                \
		.name = "reads-" #n,                                     \
		.figures = { { .name = "first 1000", IN_MS },            \
			     { .name = "worst of the next 5", IN_MS } }, \
		.client = reads, .with = n                               \
	}
#define ECHO(n)                                            \
	{                                                  \
		.name = "echo-" #n,                        \
		.figures = { { .name = "answers", PER_S }, \
			     { .name = "p50", IN_US },     \
			     { .name = "p99", IN_US },     \
			     { .name = "max", IN_US } },   \
		.client = echo, .with = n, .epoll = true   \
	}

const struct bench bench_latency[] = {
	BLOCKED(1),
	BLOCKED(10),
	BLOCKED(50),
	BLOCKED(200),
	{ .name = "echo-64-blocked",
	  .figures = { { .name = "answers", PER_S },
		       { .name = "p50", IN_US },
		       { .name = "p99", IN_US },
		       { .name = "max", IN_US },
		       { .name = "calls that ended early",
			 .unit = "calls",
			 .scale = 1 },
		       { .name = "blocking calls",
			 .unit = "calls",
			 .scale = 1,
			 .more = true } },
	  .client = echo_blocked,
	  .with = 64 },
	READS(0),
	READS(64),
	READS(500),
	{ .name = "burst-1000",
	  .figures = { { .name = "median first answer", IN_MS },
		       { .name = "last first answer", IN_MS } },
	  .client = burst,
	  .with = 1000,
	  .epoll = true },
	{ .name = "in-turn",
	  .figures = { { .name = "connections", PER_S } },
	  .client = in_turn,
	  .epoll = true },
	{ .name = "in-turn-busy",
	  .figures = { { .name = "connections", PER_S } },
	  .client = in_turn,
	  .with = 1,
	  .epoll = true },
	ECHO(64),
	ECHO(512),
	{ .name = "faults-4",
	  .figures = { { .name = "sleep of 1 ms: p50", IN_MS },
		       { .name = "sleep of 1 ms: p99", IN_MS },
		       { .name = "sleep of 1 ms: max", IN_MS },
		       { .name = "pages", PER_S } },
	  .client = faults,
	  .with = 4,
	  .cold_file = true },
	{ .name = "new-20",
	  .figures = { { .name = "worst sleep of 1 ms", IN_MS } },
	  .client = fresh,
	  .with = 20 },
	{ 0 },
};
