// SPDX-License-Identifier: MIT
/*
 * Measurements without a server, each in a process of its own, so that it can
 * be counted like any program and a crash ends only that process:
 *
 *	urt demo part yield N       N switches between two coroutines
 *	urt demo part switch CPU    what a switch costs; CPU: another one, or -1
 *	urt demo part sleep N       N coroutines that sleep at a time
 *	urt demo part threads N     N threads that wait at a time
 *
 * Each prints numbers as "name=value ...", or as "name=value,value,..." for
 * several rounds. The programs for goroutines and promises print the same.
 */
#define _GNU_SOURCE
#include "../../../uring_rt/urt.h"
#include "stage.h"
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define ROUNDS	      5
#define CALLS	      10000000L
#define YIELDS	      2000000L
#define THREAD_YIELDS 50000L
#define HANDOVERS     4000L
#define LONGEST_NS    (300 * NS_PER_MS) /* for either kind */

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

/* On one worker, since on two, two coroutines that yield would not switch at
 * all. */
static double coroutine_ns(long n)
{
	struct urt_options one = { .workers = 1 };
	union {
		long n;
		double ns;
	} u = { .n = n };

	if (urt_run_with(yield_pair, &u, &one)) {
		fail("%s", urt_why());
		return 0;
	}
	return u.ns;
}

/* ---- a switch between threads ---- */

/* If another program computes on the same CPU, a yield lasts as long as that
 * program's time slice, and all yields take minutes. So the clock is read at
 * every 16th. */
static bool too_long(long i, int64_t begin)
{
	return !(i % 16) && now_ns() - begin > LONGEST_NS;
}

static void *yield_thread(void *arg)
{
	int64_t begin = now_ns();

	for (long i = 0; i < THREAD_YIELDS / 2 && !too_long(i, begin); i++)
		sched_yield();
	return NULL;
}

static long kernel_switches(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return ru.ru_nvcsw + ru.ru_nivcsw;
}

/* Two threads on one CPU yield to each other, as the coroutines do. The time is
 * divided by the kernel's switches, since a yield need not cause one. */
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

/* Two threads that wake each other in turn. */
struct handover {
	sem_t to, back;
	int cpu; /* of the second one; -1: the same */
	bool over;
};

static void *echo(void *arg)
{
	struct handover *h = arg;

	launch_pin(h->cpu);
	for (sem_wait(&h->to); !h->over; sem_wait(&h->to))
		sem_post(&h->back);
	return NULL;
}

static double handover_ns(int cpu)
{
	struct handover h = { .cpu = cpu };
	int64_t begin = now_ns();
	pthread_t t;
	long n;

	sem_init(&h.to, 0, 0);
	sem_init(&h.back, 0, 0);
	if (pthread_create(&t, NULL, echo, &h))
		return 0;
	for (n = 0; n < HANDOVERS && !too_long(n, begin); n += 2) {
		sem_post(&h.to);
		sem_wait(&h.back);
	}
	h.over = true;
	sem_post(&h.to);
	pthread_join(t, NULL);
	return (double)(now_ns() - begin) / (n + 1);
}

static void print_rounds(const char *name, const double v[ROUNDS])
{
	for (int i = 0; i < ROUNDS; i++)
		printf("%s%s%.3f", i ? "," : name, i ? "" : "=", v[i]);
}

/* In interleaved rounds. */
static int part_switch(long cpu)
{
	double call[ROUNDS], coroutine[ROUNDS], thread[ROUNDS];
	double same[ROUNDS], across[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		call[i] = call_ns();
		coroutine[i] = coroutine_ns(YIELDS);
		thread[i] = thread_ns();
		same[i] = handover_ns(-1);
		across[i] = cpu < 0 ? 0 : handover_ns(cpu);
	}
	print_rounds("call", call);
	print_rounds(" coroutine", coroutine);
	print_rounds(" thread", thread);
	print_rounds(" handover", same);
	if (cpu >= 0)
		print_rounds(" across", across);
	putchar('\n');
	return 0;
}

/* Makes this number of switches and nothing else. */
static int part_yield(long n)
{
	return coroutine_ns(n < 2 ? 2 : n) > 0 ? 0 : EXIT_BAD;
}

/* ---- coroutines that sleep ---- */

struct sleepers {
	long wanted;
	struct urt_coro **all;
	uint64_t asleep, woken; /* atomic */
};

static void sleeper(void *arg)
{
	struct sleepers *s = arg;

	__atomic_fetch_add(&s->asleep, 1, __ATOMIC_RELAXED);
	urt_sleep(3600 * NS_PER_S); /* longer than the measurement */
	__atomic_fetch_add(&s->woken, 1, __ATOMIC_RELAXED);
}

/* Starts them, and lets each go to sleep. Returns their number. */
static long start_sleepers(struct sleepers *s)
{
	long n;

	for (n = 0; n < s->wanted; n++) {
		s->all[n] = urt_spawn(sleeper, s);
		if (!s->all[n])
			break;
		if (n % 64 == 63)
			urt_yield();
	}
	while (__atomic_load_n(&s->asleep, __ATOMIC_RELAXED) < (uint64_t)n)
		urt_yield();
	return n;
}

/* Cancels each, which shows that all can continue. */
static void put_to_sleep(void *arg)
{
	struct sleepers *s = arg;
	long rss = proc_status(getpid(), "VmRSS:"), threads, count;
	int64_t begin = now_ns(), took;

	count = start_sleepers(s);
	took = now_ns() - begin;
	rss = proc_status(getpid(), "VmRSS:") - rss;
	threads = proc_status(getpid(), "Threads:");
	for (long i = 0; i < count; i++)
		urt_cancel(s->all[i]);
	for (long i = 0; i < count; i++)
		urt_join(s->all[i]);
	printf("count=%ld create_ns=%lld rss=%lld threads=%ld woken=%lld\n",
	       count, (long long)took, (long long)rss * 1024, threads,
	       (long long)s->woken);
}

static int part_sleep(long n)
{
	struct urt_options o = { .max_coroutines = n + 64,
				 .stack_size = 16384 };
	struct sleepers s = { .wanted = n };
	int ret = 0;

	s.all = calloc(n > 0 ? n : 1, sizeof(*s.all));
	if (!s.all)
		return fail("out of memory");
	if (urt_run_with(put_to_sleep, &s, &o))
		ret = fail("%s", urt_why());
	free(s.all);
	return ret;
}

/* ---- threads that wait ---- */

static void *wait_for_ever(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

static int part_threads(long n)
{
	long rss = proc_status(getpid(), "VmRSS:");
	long kernel = stage_kernel_bytes(), i;
	int64_t begin = now_ns();
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 * 1024);
	for (i = 0; i < n; i++)
		if (pthread_create(&t, &attr, wait_for_ever, NULL))
			break;
	sleep_ns(50 * NS_PER_MS); /* until all have touched their stacks */
	printf("count=%ld create_ns=%lld rss=%ld kernel=%ld threads=%ld\n", i,
	       (long long)(now_ns() - begin - 50 * NS_PER_MS),
	       (proc_status(getpid(), "VmRSS:") - rss) * 1024,
	       stage_kernel_bytes() - kernel,
	       proc_status(getpid(), "Threads:"));
	fflush(stdout);
	_exit(0);
}

int demo_part(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(long n);
	} parts[] = {
		{ "yield", part_yield },
		{ "switch", part_switch },
		{ "sleep", part_sleep },
		{ "threads", part_threads },
	};
	long n;

	if (argc != 4 || !parse_number("N", argv[3], -1, 1000000000, &n))
		return EXIT_BAD;
	for (unsigned i = 0; i < ARRAY_LEN(parts); i++)
		if (!strcmp(argv[2], parts[i].name))
			return parts[i].run(n);
	return fail("demo: no such part: \"%s\"", argv[2]);
}
