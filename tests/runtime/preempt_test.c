// SPDX-License-Identifier: MIT
/*
 * Preemption: a coroutine that computes or blocks stops no other, and loses
 * neither registers, errno nor locks.
 */
#define _GNU_SOURCE
#include "../../uring_rt/base/sys.h"
#include "../../uring_rt/watch/watch.h"
#include "../lib/workers.h"
#include <pthread.h>
#include <sys/syscall.h>

/* ---- preemption -------------------------------------------------------- */

static atomic_bool stop_it;
static _Atomic long turns;
static bool await_preemption;

/* In the program's own text, with no call at all. */
static __attribute__((noinline)) void tight_loop(void)
{
	while (!stop_it)
		;
}

static void hog(void *arg)
{
	tight_loop();
}

static void count_turns(void *arg)
{
	urt_preempt_disable(); /* it is never the one that is preempted */
	for (int i = 0; i < 20; i++) {
		urt_sleep(MS);
		turns++;
	}
	/* On a busy CPU, the hog's thread loses its processor before the signal
	 * comes, and continues; so it is asked again. */
	while (await_preemption && !counter(URT__STAT_PREEMPTIONS))
		urt_sleep(MS);
	stop_it = true;
	urt_preempt_enable();
}

/* The calling coroutine is not preempted meanwhile. */
static void start_two(struct urt_coro *c[2], urt_fn *first, urt_fn *second)
{
	urt_preempt_disable();
	c[0] = urt_spawn(first, NULL);
	c[1] = urt_spawn(second, NULL);
	urt_preempt_enable();
}

static void hog_and_others(void *arg)
{
	struct urt_coro *c[2];

	start_two(c, hog, count_turns);
	urt_join(c[0]);
	urt_join(c[1]);
	*(uint64_t *)arg = counter(URT__STAT_PREEMPTIONS);
}

START_TEST(tight_loop_does_not_keep_others_from_running)
{
	static const unsigned workers[] = { 1, 2, 4 };
	uint64_t preemptions;

	await_preemption = workers[_i] == 1 && can_preempt();
	run_on(workers[_i], hog_and_others, &preemptions);
	ck_assert_int_eq(turns, 20);
	if (await_preemption)
		ck_assert_uint_gt(preemptions, 0);
}
END_TEST

START_TEST(hog_without_preemption_loses_its_processor)
{
	uint64_t preemptions;

	setenv("URT_PREEMPT", "off", 1);
	run_on(1, hog_and_others, &preemptions);
	ck_assert_int_eq(turns, 20);
	ck_assert_uint_eq(preemptions, 0);
}
END_TEST

/*
 * A coroutine that is busy in the given way until told to stop, on one worker;
 * others must run meanwhile, and it must not be preempted by a switch.
 */
static void busy_unpreempted(urt_fn *busy)
{
	struct urt_coro *c[2];

	urt_preempt_disable();
	start_two(c, busy, count_turns);
	urt_join(c[0]);
	urt_join(c[1]);
	ck_assert_int_eq(turns, 20);
	ck_assert_uint_eq(counter(URT__STAT_PREEMPTIONS), 0);
	urt_preempt_enable();
	ck_assert_uint_gt(counter(URT__STAT_HANDOFFS), 0);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void hog_with_mutex(void *arg)
{
	pthread_mutex_lock(&mutex);
	tight_loop();
	pthread_mutex_unlock(&mutex);
}

CORO_TEST(holder_of_a_pthread_mutex_is_not_preempted)
{
	busy_unpreempted(hog_with_mutex);
	/* The consequence of preempting it: this would never return. */
	pthread_mutex_lock(&mutex);
	pthread_mutex_unlock(&mutex);
}

static void hog_with_rwlock(void *arg)
{
	static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;

	pthread_rwlock_rdlock(&lock);
	flockfile(stdout);
	pthread_rwlock_unlock(&lock);
	tight_loop();
	funlockfile(stdout);
}

CORO_TEST(holder_of_a_stdio_stream_is_not_preempted)
{
	busy_unpreempted(hog_with_rwlock);
}

static int compare_slowly(const void *a, const void *b)
{
	tight_loop();
	return *(const int *)a - *(const int *)b;
}

static void hog_in_callback(void *arg)
{
	int v[2] = { 2, 1 };

	qsort(v, 2, sizeof(v[0]), compare_slowly);
	ck_assert_int_eq(v[0], 1);
}

CORO_TEST(callback_of_a_library_is_not_preempted)
{
	busy_unpreempted(hog_in_callback);
}

static void hog_disabled(void *arg)
{
	urt_preempt_disable();
	urt_preempt_disable();
	urt_preempt_enable();
	tight_loop();
	urt_preempt_enable();
}

CORO_TEST(preemption_can_be_disabled)
{
	busy_unpreempted(hog_disabled);
}

/* Inside malloc most of the time. If it were switched away from there, the
 * others' malloc on the same thread would block on its lock forever. */
static void hog_in_malloc(void *arg)
{
	void *p[64] = { NULL };
	uint64_t r = 1;

	while (!stop_it) {
		int i = rnd(&r) % 64;

		free(p[i]);
		p[i] = malloc(rnd(&r) % 5000);
	}
	for (int i = 0; i < 64; i++)
		free(p[i]);
}

static void count_turns_with_malloc(void *arg)
{
	for (int i = 0; i < 100; i++) {
		void *p = malloc(2000 + i);

		urt_sleep(MS);
		free(p);
	}
	stop_it = true;
}

CORO_TEST(malloc_is_safe_under_preemption)
{
	struct urt_coro *c[3] = { urt_spawn(hog_in_malloc, NULL),
				  urt_spawn(hog_in_malloc, NULL),
				  urt_spawn(count_turns_with_malloc, NULL) };

	for (int i = 0; i < 3; i++)
		urt_join(c[i]);
}

/* Floating point, vectors and integers in registers all the time. */
static __attribute__((noinline)) double compute(uint64_t n)
{
	double x = 1, y = 0.5;
	float v[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	uint64_t h = 14695981039346656037u;

	for (uint64_t i = 0; i < n; i++) {
		x = x * 1.0000001 + y;
		y = y * 0.9999999 + 1e-9;
		for (int k = 0; k < 8; k++)
			v[k] = v[k] * 0.999f + 0.5f;
		h = (h ^ i) * 1099511628211u;
	}
	return x + y + v[0] + v[7] + (double)(h >> 40);
}

static double expected;
static uint64_t steps_of_compute;
static atomic_int computing;

static void compute_and_check(void *arg)
{
	ck_assert(compute(steps_of_compute) == expected);
	computing--;
}

/* How often a coroutine is preempted depends on when the monitor has a CPU, so they
 * compute again until there were some preemptions. */
CORO_TEST(registers_survive_preemption)
{
	int64_t begin, spent;

	/* The number of steps that take 50 to 100 ms of CPU time: several
	 * slices. */
	for (steps_of_compute = 1000;; steps_of_compute *= 2) {
		begin = cpu_ns();
		expected = compute(steps_of_compute);
		spent = cpu_ns() - begin;
		if (spent > 50 * MS)
			break;
	}
	do {
		computing = 4;
		for (int i = 0; i < 4; i++)
			urt_go(compute_and_check, NULL);
		while (computing)
			urt_sleep(MS);
	} while (can_preempt() && counter(URT__STAT_PREEMPTIONS) <= 4);
}

/* A runtime call in a loop, that never has to wait. */
static void hog_with_calls(void *arg)
{
	struct urt_mutex m = URT_MUTEX_INIT;

	while (!stop_it) {
		urt_mutex_lock(&m, URT_NEVER);
		urt_mutex_unlock(&m);
	}
}

CORO_TEST(time_slice_ends_at_a_call)
{
	struct urt_coro *c[2] = { urt_spawn(hog_with_calls, NULL),
				  urt_spawn(count_turns, NULL) };

	urt_join(c[0]);
	urt_join(c[1]);
	ck_assert_int_eq(turns, 20);
}

/* ---- workers that are stuck -------------------------------------------- */

static int until_told[2];
static atomic_int told = -1;

/* A slow machine may be late: then the signal meets it on its way there. */
static void block_the_thread(void *arg)
{
	struct pollfd p = { until_told[0], POLLIN, 0 };
	int n = poll(&p, 1, -1);

	told = n < 0 ? poll(&p, 1, -1) : n;
}

CORO_TEST(blocking_call_gives_up_its_processor)
{
	struct urt_coro *c[2];

	ck_assert_int_eq(pipe(until_told), 0);
	c[0] = urt_spawn(block_the_thread, NULL);
	c[1] = urt_spawn(count_turns, NULL);
	urt_join(c[1]);
	ck_assert_int_eq(turns, 20);
	ck_assert_int_eq(told, -1);
	ck_assert_uint_gt(counter(URT__STAT_HANDOFFS), 0);
	ck_assert_int_eq(write(until_told[1], "", 1), 1);
	urt_join(c[0]);
	ck_assert_int_eq(told, 1); /* it was not interrupted */
}

/* ---- thread-locals and locals ------------------------------------------ */

static __attribute__((noinline)) void spin_for(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		__asm__ volatile("");
}

static void disturb_errno(void *arg)
{
	while (!stop_it) {
		errno = 4711;
		urt_sleep(100000);
	}
}

CORO_TEST(errno_survives_preemption)
{
	struct urt_coro *c = urt_spawn(disturb_errno, NULL);
	uint64_t before = counter(URT__STAT_PREEMPTIONS);

	for (int i = 0; i < 50 || (can_preempt() &&
				   counter(URT__STAT_PREEMPTIONS) == before);
	     i++) {
		close(-1); /* sets it */
		spin_for(20000000);
		ck_assert_int_eq(errno, EBADF);
	}
	stop_it = true;
	urt_join(c);
}

static void block_then_loop(void *arg)
{
	usleep(60000); /* loses its processor */
	tight_loop();
}

static void leave_a_loop(void *arg)
{
	urt_go(hog, NULL);
	urt_go(block_then_loop, NULL);
	urt_sleep(100 * MS);
}

START_TEST(preempted_loop_does_not_keep_the_run_from_ending)
{
	if (!can_preempt())
		SKIP("nothing is preempted by a signal in this build");
	run_on(2, leave_a_loop, NULL);
}
END_TEST

/* ---- the signal -------------------------------------------------------- */

static volatile sig_atomic_t reached;

static void callers_handler(int sig)
{
	reached++;
}

static void *signals_itself(void *arg)
{
	siginfo_t late = { .si_signo = SIGURG, .si_code = SI_TIMER };
	int *seen = arg;

	late.si_value.sival_ptr = &urt__rt;
	if (syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGURG, &late))
		return "rt_tgsigqueueinfo";
	seen[0] = reached;
	pthread_kill(pthread_self(), SIGURG);
	seen[1] = reached;
	return NULL;
}

static void signal_a_thread(void *arg)
{
	pthread_t t;
	void *failed;

	ck_assert_int_eq(pthread_create(&t, NULL, signals_itself, arg), 0);
	ck_assert_int_eq(pthread_join(t, &failed), 0);
	ck_assert_ptr_null(failed);
}

/* A timer's signal comes late if its thread has just ceased to be a worker's. */
START_TEST(programs_handler_has_its_own_signals_but_no_late_one)
{
	int seen[2];

	signal(SIGURG, callers_handler);
	run_on(1, signal_a_thread, seen);
	ck_assert_int_eq(seen[0], 0);
	ck_assert_int_eq(seen[1], 1);
	raise(SIGURG);
	ck_assert_int_eq(reached, 2);
}
END_TEST

static struct urt__worker asked; /* its thread is not a worker's */

/* The timer that the worker has is of a thread that has ended. */
START_TEST(thread_with_the_tid_of_one_that_ended_is_signalled)
{
	struct urt__sys_fault *f = &urt__sys_faults[URT__SYS_TIMER];
	sigset_t urg, pending;

	if (!can_preempt())
		SKIP("nothing is preempted by a signal in this build");
	sigemptyset(&urg);
	sigaddset(&urg, SIGURG);
	pthread_sigmask(SIG_BLOCK, &urg, NULL);
	asked.stats = urt__sys_alloc_lines(sizeof(*asked.stats));
	memset(asked.stats, 0, sizeof(*asked.stats));
	atomic_store(&asked.tid, gettid());
	f->err = ESRCH;
	f->countdown = 1;
	urt__preempt_open();
	urt__preempt_soon(&asked);
	ck_assert_int_eq(f->hits, 1);
	do {
		spin_for(100000);
		sigpending(&pending);
	} while (!sigismember(&pending, SIGURG));
	urt__preempt_close();
	free(asked.stats);
}
END_TEST

/* ---- libraries ---------------------------------------------------------- */

#define LIBRARIES 16 /* at most, as urt.h says */

static atomic_uint calls;

/* Half of them, each at the same time as the other thread. */
static void *registers(void *failed)
{
	for (unsigned i = 0; i < LIBRARIES / 2; i++) {
		calls++;
		while (calls < 2 * (i + 1))
			;
		if (urt_preempt_register((const void *)printf))
			*(bool *)failed = true;
	}
	return NULL;
}

START_TEST(library_is_registered_by_two_threads_at_once)
{
	bool failed[2] = { false };
	pthread_t t;

	if (!can_preempt())
		SKIP("nothing is preempted by a signal in this build");
	pthread_create(&t, NULL, registers, &failed[0]);
	registers(&failed[1]);
	pthread_join(t, NULL);
	ck_assert(!failed[0] && !failed[1]);
	ck_assert_int_eq(urt_preempt_register((const void *)printf), -ENOSPC);
}
END_TEST

Suite *preempt_suite(void)
{
	Suite *s = suite_create("preempt");
	TCase *t = tcase_create("preempt");

	tcase_add_test(t, blocking_call_gives_up_its_processor);
	tcase_add_loop_test(t, tight_loop_does_not_keep_others_from_running, 0,
			    3);
	tcase_add_test(t, hog_without_preemption_loses_its_processor);
	tcase_add_test(t, holder_of_a_pthread_mutex_is_not_preempted);
	tcase_add_test(t, holder_of_a_stdio_stream_is_not_preempted);
	tcase_add_test(t, callback_of_a_library_is_not_preempted);
	tcase_add_test(t, preemption_can_be_disabled);
	tcase_add_test(t, malloc_is_safe_under_preemption);
	tcase_add_test(t, registers_survive_preemption);
	tcase_add_test(t, time_slice_ends_at_a_call);
	tcase_add_test(t, errno_survives_preemption);
	tcase_add_test(t, preempted_loop_does_not_keep_the_run_from_ending);
	tcase_add_test(t, programs_handler_has_its_own_signals_but_no_late_one);
	tcase_add_test(t, thread_with_the_tid_of_one_that_ended_is_signalled);
	tcase_add_loop_test(t, library_is_registered_by_two_threads_at_once, 0,
			    20);
	suite_add_tcase(s, t);
	return s;
}
