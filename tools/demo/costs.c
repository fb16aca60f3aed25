// SPDX-License-Identifier: MIT
/*
 * What a switch costs: the experiments behind claims 1 and 2. They run in
 * processes of their own (`urt cost-yield`, `urt cost-switch`, not listed by
 * help), so that they can be counted like any program.
 */
#define _GNU_SOURCE
#include "../../uring_rt/urt.h"
#include "../launch.h"
#include "demo.h"
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define ROUNDS	       7
#define CALLS	       20000000L
#define YIELDS	       5000000L
#define THREAD_YIELDS  100000L
#define COUNTED_YIELDS "20000000"

/* ---- a function call ---- */

static __attribute__((noinline)) void empty_function(void)
{
	__asm__ volatile("");
}

static double call_ns(void)
{
	int64_t begin = now_ns();

	for (long i = 0; i < CALLS; i++)
		empty_function();
	return (double)(now_ns() - begin) / CALLS;
}

/* ---- a switch between coroutines ---- */

static void yield_n(void *arg)
{
	for (long n = (long)(intptr_t)arg; n; n--)
		urt_yield();
}

static void yield_pair(void *arg)
{
	long each = *(long *)arg / 2;
	struct urt_coro *c = urt_spawn(yield_n, (void *)(intptr_t)each);
	int64_t begin = now_ns();

	yield_n((void *)(intptr_t)each);
	if (c)
		urt_join(c);
	*(double *)arg = (double)(now_ns() - begin) / (2 * each);
}

static double coroutine_ns(long n)
{
	union {
		long n;
		double ns;
	} u = { .n = n };

	if (urt_run(yield_pair, &u)) {
		fail("%s", urt_why());
		return 0;
	}
	return u.ns;
}

/* ---- a switch between threads on one CPU ---- */

static void *yield_thread(void *arg)
{
	for (long i = 0; i < THREAD_YIELDS / 2; i++)
		sched_yield();
	return NULL;
}

static long kernel_switches(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return ru.ru_nvcsw + ru.ru_nivcsw;
}

/* Two threads yield to each other, as the coroutines do. Divided by the
 * switches that the kernel made, since it need not make one at each yield. */
static double thread_ns(void)
{
	long before = kernel_switches();
	int64_t begin = now_ns();
	pthread_t t;

	if (pthread_create(&t, NULL, yield_thread, NULL))
		return 0;
	yield_thread(NULL);
	pthread_join(t, NULL);
	return (double)(now_ns() - begin) / (kernel_switches() - before + 1);
}

static double median(double v[ROUNDS])
{
	sort_doubles(v, ROUNDS);
	return v[ROUNDS / 2];
}

/* Prints the three, medians of interleaved rounds. */
int cmd_cost_switch(int argc, char **argv)
{
	double call[ROUNDS], coroutine[ROUNDS], thread[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		call[i] = call_ns();
		coroutine[i] = coroutine_ns(YIELDS);
		thread[i] = thread_ns();
	}
	printf("%.3f %.3f %.3f\n", median(call), median(coroutine),
	       median(thread));
	return 0;
}

/* Does so many switches and nothing else. */
int cmd_cost_yield(int argc, char **argv)
{
	long n;

	if (argc != 2 || !parse_number("N", argv[1], 2, 1000000000, &n))
		return EXIT_BAD;
	return coroutine_ns(n) > 0 ? 0 : EXIT_BAD;
}

/* ---- running them ---- */

static bool run(struct demo *d, char *const argv[], char *text, size_t size,
		bool counted)
{
	struct launch l;
	int out;

	if (launch_piped(&l, argv, d->server_cpu, &out))
		return false;
	if (counted)
		counter_start_at_exec(d->counter, l.pid);
	return !launch_read(&l, out, text, size);
}

static void count_yields(struct demo *d)
{
	struct demo_costs *costs = &d->costs;
	char *argv[] = { "/proc/self/exe", "cost-yield", COUNTED_YIELDS, NULL };
	char out[64];
	static struct counts a, b;
	struct user_stats user = { 0 };
	char *dir;

	if (!d->counter) {
		snprintf(costs->why_not, sizeof(costs->why_not), "%s",
			 d->why_no_bpf);
		return;
	}
	dir = user_stats_dir_new();
	counter_read(d->counter, &a);
	if (run(d, argv, out, sizeof(out), true) && dir &&
	    user_stats_dir_read(dir, &user)) {
		counter_read(d->counter, &b);
		counts_subtract(&b, &a);
		costs->has_switch_counts = true;
		costs->user_switches = user_stats_get(&user, "switches");
		for (int i = 0; i < URT_CLASSES; i++)
			costs->kernel_switches += counts_switches(&b, i);
		costs->syscalls = counts_syscalls(&b);
	} else {
		snprintf(costs->why_not, sizeof(costs->why_not),
			 "the run of uring_rt failed (see above)");
	}
	unsetenv(URT__STATS_DIR_ENV);
	user_stats_dir_free(dir);
}

void demo_count_switches(struct demo *d)
{
	if (demo_stop)
		strcpy(d->costs.why_not, "interrupted before it was measured");
	else
		count_yields(d);
}

void demo_time_switches(struct demo *d)
{
	struct demo_costs *c = &d->costs;
	char *argv[] = { "/proc/self/exe", "cost-switch", NULL };
	char out[128];

	if (demo_stop || !run(d, argv, out, sizeof(out), false) ||
	    sscanf(out, "%lf %lf %lf", &c->call_ns, &c->coroutine_ns,
		   &c->thread_ns) != 3)
		c->call_ns = c->coroutine_ns = c->thread_ns = 0;
}
