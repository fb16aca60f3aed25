// SPDX-License-Identifier: MIT
/*
 * Floors 3 and 7 with several threads: spreading, waking, preemption, workers
 * that get stuck, plain threads beside them, and the reports.
 */
#define _GNU_SOURCE
#include "../../uring_rt/base/stats.h"
#include "../../uring_rt/sched/sched.h"
#include "../../uring_rt/urt.h"
#include "../lib/child.h"
#include "../lib/test.h"
#include "../lib/workers.h"
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- spreading --------------------------------------------------------- */

static atomic_int arrived;

/* Comes to an end only if all of them run at the same time. */
static void meet(void *arg)
{
	arrived++;
	while (arrived < *(int *)arg)
		;
}

static void meet_all(void *arg)
{
	int n = *(int *)arg;
	struct urt_coro *c[8];

	for (int i = 0; i < n; i++)
		c[i] = urt_spawn(meet, arg);
	for (int i = 0; i < n; i++)
		urt_join(c[i]);
}

START_TEST(coroutines_run_on_all_workers_at_once)
{
	int n = _i;

	run_on(n, meet_all, &n);
	ck_assert_int_eq(arrived, n);
}
END_TEST

static void count_threads(void *arg)
{
	*(unsigned *)arg = urt__rt.nr_procs;
}

START_TEST(the_number_of_workers_comes_from_options_environment_or_cpus)
{
	unsigned n = 0;
	cpu_set_t set;

	run_on(3, count_threads, &n);
	ck_assert_uint_eq(n, 3);
	setenv("URT_WORKERS", "5", 1);
	ck_assert_int_eq(urt_run(count_threads, &n), 0);
	ck_assert_uint_eq(n, 5);
	setenv("URT_WORKERS", "none", 1);
	ck_assert_int_eq(urt_run(count_threads, &n), -EINVAL);
	ck_assert_ptr_nonnull(strstr(urt_why(), "URT_WORKERS"));
	unsetenv("URT_WORKERS");
	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	sched_setaffinity(0, sizeof(set), &set);
	ck_assert_int_eq(urt_run(count_threads, &n), 0);
	ck_assert_uint_eq(n, 1);
}
END_TEST

static void idle(void *arg)
{
	struct rusage before, after;
	int64_t cpu;
	uint64_t enters;

	urt_sleep(300 * MS); /* workers and monitor have gone to sleep */
	cpu = cpu_ns();
	enters = counter(URT__STAT_ENTERS);
	getrusage(RUSAGE_SELF, &before);
	urt_sleep(1000 * MS);
	getrusage(RUSAGE_SELF, &after);
	ck_assert_int_lt(cpu_ns() - cpu, 20 * MS * slower());
	ck_assert_uint_le(counter(URT__STAT_ENTERS) - enters, 3);
	/* 10 ticks of the monitor, until it sleeps, too, and ourselves. */
	ck_assert_int_lt(after.ru_nvcsw - before.ru_nvcsw, 40);
}

START_TEST(an_idle_program_makes_no_system_calls)
{
	run_on(4, idle, NULL);
}
END_TEST

/* ---- waking ------------------------------------------------------------ */

enum { ROUNDS = SANITIZED ? 2000 : 10000 };

static struct urt_chan *to, *from;

static void echo(void *arg)
{
	uint64_t v;

	while (!urt_chan_recv(to, &v, URT_NEVER))
		urt_chan_send(from, &v, URT_NEVER);
}

/* Each round sends everybody to sleep, so each wakes somebody from sleep. */
static void *asker(void *arg)
{
	uint64_t r = *(uint64_t *)arg, v;

	for (uint64_t i = 0; i < ROUNDS; i++) {
		int ret;

		urt_chan_send(to, &i, URT_NEVER);
		ret = urt_chan_recv(from, &v, urt_after(20000 * MS));
		ck_assert_msg(!ret, "round %d: a wake-up was lost: %d", (int)i,
			      ret);
		if (rnd(&r) % 64 == 0)
			usleep(rnd(&r) % 300);
	}
	return NULL;
}

static int64_t join_thread(void *arg)
{
	return pthread_join(*(pthread_t *)arg, NULL);
}

static void thread_and_coroutine(void *arg)
{
	pthread_t t;
	struct urt_coro *c;

	to = urt_chan_new(8, 0);
	from = urt_chan_new(8, 0);
	c = urt_spawn(echo, NULL);
	pthread_create(&t, NULL, asker, arg);
	ck_assert_int_eq(urt_blocking(join_thread, &t), 0);
	urt_chan_close(to);
	urt_join(c);
	urt_chan_free(to);
	urt_chan_free(from);
}

START_TEST(no_wake_up_from_outside_is_lost)
{
	static const char *const mask[] = { "", "-msg_ring" };
	static const unsigned workers[] = { 1, 2, 8 };
	uint64_t r = seed();

	setenv("URT_FEATURES", mask[_i % 2], 1);
	run_on(workers[_i / 2], thread_and_coroutine, &r);
}
END_TEST

static atomic_long tokens;

/* Passes a token around a circle, sometimes by sleeping on it: workers fall
 * asleep and are needed again all the time. */
static void link_main(void *arg)
{
	struct urt_chan **ch = arg;
	uint64_t r;

	while (!urt_chan_recv(ch[0], &r, URT_NEVER)) {
		tokens++;
		rnd(&r);
		if (r % 16 == 0)
			urt_sleep(r % 50000);
		if (urt_chan_send(ch[1], &r, URT_NEVER))
			return;
	}
}

static void circle(void *arg)
{
	enum { N = 32, TOKENS = 8 };
	static struct urt_chan *ch[N + 1]; /* used until the last moment */
	uint64_t r = *(uint64_t *)arg;
	long last = -1;

	for (int i = 0; i < N; i++)
		ch[i] = urt_chan_new(8, 1);
	ch[N] = ch[0];
	for (int i = 0; i < N; i++)
		urt_go(link_main, &ch[i]);
	for (int i = 0; i < TOKENS; i++) {
		rnd(&r);
		urt_chan_send(ch[i * 4], &r, URT_NEVER);
	}
	for (int i = 0; i < 20; i++) {
		int64_t until = urt_after(20000 * MS);

		while (tokens == last && urt_now() < until)
			urt_sleep(MS);
		ck_assert_msg(tokens > last, "the circle stands still at %ld",
			      last);
		last = tokens;
	}
}

START_TEST(work_that_comes_in_bursts_is_always_found)
{
	static const unsigned workers[] = { 2, 3, 8 };
	uint64_t r = seed();

	run_on(workers[_i], circle, &r);
}
END_TEST

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
	for (int i = 0; i < 20; i++) {
		urt_sleep(MS);
		turns++;
	}
	/* On a busy CPU, the hog's thread loses its processor before the signal
	 * comes, and goes on: it is asked again. */
	while (await_preemption && !counter(URT__STAT_PREEMPTIONS))
		urt_sleep(MS);
	stop_it = true;
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

START_TEST(a_tight_loop_does_not_keep_others_from_running)
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

START_TEST(without_preemption_another_thread_takes_over)
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

	start_two(c, busy, count_turns);
	urt_join(c[0]);
	urt_join(c[1]);
	ck_assert_int_eq(turns, 20);
	ck_assert_uint_eq(counter(URT__STAT_PREEMPTIONS), 0);
	ck_assert_uint_gt(counter(URT__STAT_HANDOFFS), 0);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void hog_with_mutex(void *arg)
{
	pthread_mutex_lock(&mutex);
	tight_loop();
	pthread_mutex_unlock(&mutex);
}

CORO_TEST(who_holds_a_pthread_mutex_is_not_preempted)
{
	busy_unpreempted(hog_with_mutex);
	/* What preempting it would have led to: this would never return. */
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

CORO_TEST(who_holds_a_stdio_stream_is_not_preempted)
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

CORO_TEST(a_callback_of_a_library_is_not_preempted)
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

/* Inside malloc more often than not. Were it switched away from there, the
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
	int rounds = 0;

	/* As many steps as take 50 to 100 ms of CPU time: several slices. */
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
	} while (can_preempt() && counter(URT__STAT_PREEMPTIONS) <= 4 &&
		 ++rounds < 20);
	if (can_preempt())
		ck_assert_uint_gt(counter(URT__STAT_PREEMPTIONS), 4);
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

CORO_TEST(the_time_slice_ends_at_a_call)
{
	struct urt_coro *c[2] = { urt_spawn(hog_with_calls, NULL),
				  urt_spawn(count_turns, NULL) };

	urt_join(c[0]);
	urt_join(c[1]);
	ck_assert_int_eq(turns, 20);
}

/* ---- workers that are stuck -------------------------------------------- */

static atomic_int slept = -1;

/* A slow machine may be late: then the signal meets it on its way there. */
static void block_the_thread(void *arg)
{
	slept = usleep(200000) ? usleep(200000) : 0;
}

CORO_TEST(a_blocking_call_gives_up_its_processor)
{
	struct urt_coro *c[2] = { urt_spawn(block_the_thread, NULL),
				  urt_spawn(count_turns, NULL) };

	urt_join(c[1]);
	ck_assert_int_eq(turns, 20);
	ck_assert_int_eq(slept, -1); /* the others were not kept by it */
	ck_assert_uint_gt(counter(URT__STAT_HANDOFFS), 0);
	urt_join(c[0]);
	ck_assert_int_eq(slept, 0); /* nor was it interrupted */
}

static int pipe_fds[2];
static atomic_bool got_it;

static void read_pipe(void *arg)
{
	char c;

	ck_assert_int_eq(urt_read(pipe_fds[0], &c, 1, URT_NEVER), 1);
	got_it = true;
}

/* Its operation is in the ring of the worker that is then stuck, which alone
 * can reap it. */
static void stick_then_write(void *arg)
{
	int64_t until = urt_now() + 10000 * MS;

	urt_preempt_disable();
	ck_assert_int_eq(write(pipe_fds[1], "x", 1), 1);
	while (!got_it && urt_now() < until)
		;
	urt_preempt_enable();
}

static void strand(void *arg)
{
	struct urt_coro *r, *s;

	ck_assert_int_eq(pipe(pipe_fds), 0);
	r = urt_spawn(read_pipe, NULL);
	urt_sleep(5 * MS); /* it is in flight */
	s = urt_spawn(stick_then_write, NULL);
	urt_join(s);
	ck_assert(got_it);
	urt_join(r);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

START_TEST(a_stuck_worker_strands_no_completion)
{
	run_on(_i, strand, NULL);
}
END_TEST

/* Threads that block, lose their processor and take another one, while others
 * wait for operations in the rings that they left. */
static atomic_long pumped;
static atomic_bool pumps_over;

static void block_often(void *arg)
{
	uint64_t r = *(uint64_t *)arg;

	while (!pumps_over) {
		usleep(15000 + rnd(&r) % 10000);
		urt_sleep(rnd(&r) % 3000000);
	}
}

static void pump(void *arg)
{
	int fds[2];
	char c = 0;

	ck_assert_int_eq(pipe(fds), 0);
	while (!pumps_over) {
		ck_assert_int_eq(urt_write(fds[1], "x", 1, URT_NEVER), 1);
		ck_assert_int_eq(urt_read(fds[0], &c, 1, URT_NEVER), 1);
		pumped++;
	}
	close(fds[0]);
	close(fds[1]);
}

static void block_and_pump(void *arg)
{
	uint64_t r = *(uint64_t *)arg, seeds[4];
	struct urt_coro *c[8];
	long before;

	for (int i = 0; i < 4; i++) {
		seeds[i] = rnd(&r) | 1;
		c[i] = urt_spawn(block_often, &seeds[i]);
		c[4 + i] = urt_spawn(pump, NULL);
	}
	for (int i = 0; i < 20; i++) {
		int64_t until = urt_after(10000 * MS);

		before = pumped;
		urt_sleep(50 * MS);
		while (pumped < before + 4 && urt_now() < until)
			urt_sleep(MS);
		ck_assert_msg(pumped >= before + 4, "stuck at %ld", pumped);
	}
	pumps_over = true;
	for (int i = 0; i < 8; i++)
		urt_join(c[i]);
}

START_TEST(workers_that_block_and_come_back_lose_nothing)
{
	uint64_t r = seed();

	run_on(_i, block_and_pump, &r);
}
END_TEST

/* ---- thread-locals and locals ------------------------------------------ */

static atomic_long moved;

static void errno_across_threads(void *arg)
{
	uint64_t r = *(uint64_t *)arg;

	for (int i = 0; i < 200; i++) {
		int mine = 1000 + rnd(&r) % 1000;
		pid_t before = gettid();

		errno = mine;
		urt_preempt_disable();
		errno = mine;
		ck_assert_int_eq(errno, mine);
		urt_preempt_enable();
		urt_sleep(rnd(&r) % 20000);
		moved += gettid() != before;
		/* Its address is that of this thread, wherever we are now. */
		ck_assert_ptr_eq(&errno, __errno_location());
		errno = mine;
		ck_assert_int_eq(*__errno_location(), mine);
	}
}

static void errno_many(void *arg)
{
	uint64_t r = *(uint64_t *)arg, seeds[16];
	struct urt_coro *c[16];

	for (int i = 0; i < 16; i++) {
		seeds[i] = rnd(&r) | 1;
		c[i] = urt_spawn(errno_across_threads, &seeds[i]);
	}
	for (int i = 0; i < 16; i++)
		urt_join(c[i]);
}

START_TEST(errno_is_that_of_the_thread_one_is_on)
{
	uint64_t r = seed();

	run_on(4, errno_many, &r);
	ck_assert_int_gt(moved, 0);
}
END_TEST

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

	for (int i = 0; i < 50; i++) {
		close(-1); /* sets it */
		spin_for(20000000);
		ck_assert_int_eq(errno, EBADF);
	}
	if (can_preempt())
		ck_assert_uint_gt(counter(URT__STAT_PREEMPTIONS), before);
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

START_TEST(a_preempted_loop_does_not_keep_the_run_from_ending)
{
	if (!can_preempt())
		SKIP("nothing is preempted by a signal in this build");
	run_on(2, leave_a_loop, NULL);
}
END_TEST

static int64_t receive_for_ever(void *arg)
{
	return urt_chan_recv(arg, NULL, URT_NEVER);
}

static void call_receive(void *arg)
{
	urt_blocking(receive_for_ever, arg);
}

static void leave_a_job(void *arg)
{
	urt_go(call_receive, arg);
	urt_sleep(20 * MS);
}

START_TEST(a_job_that_waits_does_not_keep_the_run_from_ending)
{
	to = urt_chan_new(4, 0); /* forever: somebody waits on it */
	run_on(2, leave_a_job, to);
}
END_TEST

/* ---- plain threads ----------------------------------------------------- */

static atomic_int started;

static void start_one(void *arg)
{
	started++;
}

static void *from_a_thread(void *arg)
{
	struct urt_waitgroup *wg = arg;
	struct urt_chan *ch = urt_chan_new(4, 1);
	struct urt_case c = { .chan = ch, .op = URT_RECV };
	int v = 7, w = 0;

	ck_assert_int_eq(urt_go(start_one, NULL), 0);
	ck_assert_int_eq(urt_join(urt_spawn(start_one, NULL)), 0);
	ck_assert_int_eq(urt_chan_send(ch, &v, URT_NEVER), 0);
	ck_assert_int_eq(urt_chan_send(ch, &v, urt_after(MS)), -ETIME);
	c.elem = &w;
	ck_assert_int_eq(urt_select(&c, 1, URT_NEVER), 0);
	ck_assert_int_eq(w, 7);
	urt_chan_close(ch);
	ck_assert_int_eq(urt_chan_recv(ch, &v, URT_NEVER), -EPIPE);
	urt_chan_free(ch);
	ck_assert_int_eq(urt_sleep(1), -EPERM);
	urt_waitgroup_done(wg);
	return NULL;
}

static void threads_beside(void *arg)
{
	struct urt_waitgroup wg = URT_WAITGROUP_INIT;
	pthread_t t[4];

	urt_waitgroup_add(&wg, 4);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, from_a_thread, &wg);
	ck_assert_int_eq(urt_waitgroup_wait(&wg, URT_NEVER), 0);
	for (int i = 0; i < 4; i++)
		urt_blocking(join_thread, &t[i]);
	while (started < 8)
		urt_sleep(MS);
}

START_TEST(plain_threads_may_use_channels_and_start_coroutines)
{
	run_on(_i, threads_beside, NULL);
	ck_assert_int_eq(started, 8);
}
END_TEST

static void *left_waiting(void *arg)
{
	int v;

	*(atomic_int *)arg = urt_chan_recv(to, &v, URT_NEVER);
	return NULL;
}

static void leave_a_thread(void *arg)
{
	pthread_create((pthread_t *)arg, NULL, left_waiting, &slept);
	urt_sleep(20 * MS);
}

START_TEST(a_plain_thread_is_released_when_the_run_ends)
{
	pthread_t t;

	to = urt_chan_new(4, 0);
	run_on(2, leave_a_thread, &t);
	ck_assert_int_eq(pthread_join(t, NULL), 0);
	ck_assert(slept == -ECANCELED || slept == -EPERM);
	ck_assert_int_eq(urt_chan_recv(to, NULL, 0), -EPERM);
}
END_TEST

/* ---- stacks ------------------------------------------------------------ */

static __attribute__((noinline)) size_t touch_stack(size_t size)
{
	volatile char a[size];

	for (size_t i = 0; i < size; i += 1024)
		a[i] = (char)i;
	return a[size - 1] + size;
}

static void touch_800k(void *arg)
{
	ck_assert_uint_gt(touch_stack(800 * 1024), 0);
}

CORO_TEST(a_coroutine_can_have_a_stack_of_its_own_size)
{
	struct urt_spawn_options o = { .stack_size = 1 << 20 };
	struct urt_spawn_options too_much = { .stack_size = 1 << 30 };

	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(urt_join(urt_spawn_with(touch_800k, NULL, &o)),
				 0);
	ck_assert_ptr_null(urt_spawn_with(touch_800k, NULL, &too_much));
	ck_assert_int_eq(urt_go_with(touch_800k, NULL, &too_much), -EAGAIN);
}

static long resident_kb(void)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f || fscanf(f, "%*d %ld", &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	return pages * 4;
}

static void touch_deep(void *arg)
{
	touch_stack(100 * 1024);
	urt_sleep(MS);
}

static void park_deep(void *arg)
{
	volatile char a[100 * 1024];

	for (size_t i = 0; i < sizeof(a); i += 1024)
		a[i] = (char)i;
	urt_sleep(MS);
	a[0] = 1; /* it is still there */
}

static void many(urt_fn *fn, int n)
{
	struct urt_coro *c[200];

	ck_assert_int_le(n, 200);
	for (int i = 0; i < n; i++)
		c[i] = urt_spawn(fn, NULL);
	for (int i = 0; i < n; i++)
		urt_join(c[i]);
}

CORO_TEST(deep_stacks_are_given_back)
{
	long before = resident_kb(), after;

	if (SANITIZED)
		return;
	/* Seen at the park: given back at once. */
	many(park_deep, 200);
	after = resident_kb();
	ck_assert_int_lt(after - before, 200 * 40);
	/* Never seen: by and by, as stacks are used again. */
	many(touch_deep, 200);
	for (int i = 0; i < 200; i++)
		many(start_one, 200);
	ck_assert_int_lt(resident_kb() - before, 200 * 40);
}

/* ---- reports ----------------------------------------------------------- */

static char said[65536];

URT_API void wait_for_ever(void *arg); /* for backtraces to know its name */
void wait_for_ever(void *arg)
{
	urt_chan_recv(to, NULL, URT_NEVER);
	stop_it = true; /* so that the call above is not its last act */
}

static void all_asleep(void *arg)
{
	to = urt_chan_new(4, 0);
	for (int i = 0; i < 3; i++)
		urt_go(wait_for_ever, NULL);
	wait_for_ever(NULL);
}

START_TEST(a_deadlock_is_reported_with_backtraces_on_any_number_of_workers)
{
	int status =
		child_says(all_asleep, &(struct urt_options){ .workers = _i },
			   said, sizeof(said));

	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 2, "%x: %s",
		      status, said);
	ck_assert_ptr_nonnull(strstr(said, "deadlock"));
	ck_assert_ptr_nonnull(strstr(said, "[chan receive]"));
	ck_assert_ptr_nonnull(strstr(said, "wait_for_ever+"));
}
END_TEST

static atomic_int thread_lives = 1;

static void *end_when_told(void *arg)
{
	while (atomic_load(&thread_lives))
		usleep(1000);
	return NULL;
}

/* The thread ends when no coroutine has run for a while; 20 looks at it. */
static void *tell_when_idle(void *arg)
{
	uint64_t before, now = 0;

	for (int idle = 0; idle < 20; idle++) {
		usleep(5000);
		before = now;
		now = counter(URT__STAT_SWITCHES);
		if (now != before)
			idle = 0;
	}
	atomic_store(&thread_lives, 0);
	return NULL;
}

static void asleep_beside_a_thread(void *arg)
{
	pthread_t t;

	pthread_create(&t, NULL, end_when_told, NULL);
	pthread_create(&t, NULL, tell_when_idle, NULL);
	all_asleep(NULL);
}

START_TEST(a_deadlock_is_reported_when_the_last_thread_that_could_end_it_ends)
{
	int status = child_says(asleep_beside_a_thread,
				&(struct urt_options){ .workers = _i }, said,
				sizeof(said));

	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 2, "%x: %s",
		      status, said);
	ck_assert_ptr_nonnull(strstr(said, "deadlock"));
}
END_TEST

URT_API void compute_for_ever(void *arg);
void compute_for_ever(void *arg)
{
	urt_preempt_disable();
	while (!stop_it)
		;
}

static void quit_myself(void *arg)
{
	to = urt_chan_new(4, 0);
	for (int i = 0; i < 3; i++)
		urt_go(wait_for_ever, NULL);
	urt_go(compute_for_ever, NULL);
	urt_sleep(20 * MS);
	kill(getpid(), SIGQUIT);
	wait_for_ever(NULL);
}

START_TEST(sigquit_lists_all_coroutines_and_kills)
{
	int status =
		child_says(quit_myself, &(struct urt_options){ .workers = 2 },
			   said, sizeof(said));
	const char *running;

	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGQUIT,
		      "%x: %s", status, said);
	ck_assert_ptr_nonnull(strstr(said, "[chan receive]"));
	ck_assert_ptr_nonnull(strstr(said, "wait_for_ever+"));
	running = strstr(said, "(compute_for_ever) [running on worker");
	ck_assert_msg(running, "%s", said);
	ck_assert_msg(strstr(running, "\t#0 compute_for_ever+") || TSANITIZED,
		      "%s", said);
}
END_TEST

static void leak_some(void *arg)
{
	to = urt_chan_new(4, 0);
	urt_go(wait_for_ever, NULL);
	urt_spawn(start_one, NULL);
	urt_sleep(5 * MS);
}

START_TEST(leaks_are_listed_on_request)
{
	setenv("URT_DEBUG", "leak", 1);
	child_says(leak_some, &(struct urt_options){ .workers = 1 }, said,
		   sizeof(said));
	ck_assert_ptr_nonnull(strstr(said, "left at the end"));
	ck_assert_ptr_nonnull(strstr(said, "(wait_for_ever) [chan receive]"));
	ck_assert_ptr_nonnull(strstr(said, "[ended, not joined]"));
}
END_TEST

URT_API void slow_one(void *arg);
void slow_one(void *arg)
{
	int64_t until = urt_now() + 400 * MS;

	urt_preempt_disable();
	while (urt_now() < until)
		;
	urt_preempt_enable();
}

START_TEST(stalls_and_the_scheduler_are_reported_on_request)
{
	setenv("URT_DEBUG", "stall=50,sched=20", 1);
	child_says(slow_one, &(struct urt_options){ .workers = 1 }, said,
		   sizeof(said));
	ck_assert_ptr_nonnull(strstr(said, "stall: coroutine"));
	if (!TSANITIZED) /* which delays signals */
		ck_assert_ptr_nonnull(strstr(said, "slow_one"));
	ck_assert_ptr_nonnull(strstr(said, "sched"));
	ck_assert_ptr_nonnull(strstr(said, "processors=1"));
	setenv("URT_DEBUG", "nonsense", 1);
	ck_assert_int_eq(urt_run(start_one, NULL), -EINVAL);
	ck_assert_ptr_nonnull(strstr(urt_why(), "URT_DEBUG"));
}
END_TEST

static void park_and_burn(void *arg)
{
	to = urt_chan_new(4, 0);
	urt_go(wait_for_ever, NULL);
	urt_go(hog, NULL);
	urt_sleep(50 * MS); /* the hog is preempted */
	ck_assert_int_eq(write(*(int *)arg, "x", 1), 1);
	wait_for_ever(NULL);
}

/* The sources are two directories above the build's. */
START_TEST(gdb_lists_coroutines_and_unwinds_them_to_their_first_frame)
{
	struct urt_options o = { .workers = 1 };
	char command[256], c;
	size_t len;
	FILE *f;
	pid_t pid;

	if (system("command -v gdb >/dev/null"))
		SKIP("gdb is not installed");
	if (SANITIZED)
		SKIP("a sanitizer's build is not one to debug");
	ck_assert_int_eq(pipe(pipe_fds), 0);
	pid = fork();
	if (!pid) {
		urt_run_with(park_and_burn, &pipe_fds[1], &o);
		_exit(0);
	}
	ck_assert_int_eq(read(pipe_fds[0], &c, 1), 1);
	snprintf(command, sizeof(command),
		 "gdb -batch -p %d -ex 'source ../../uring_rt/gdb.py' "
		 "-ex 'info urt' -ex 'urt bt 2' -ex 'urt bt 99' 2>&1",
		 pid);
	f = popen(command, "r");
	len = fread(said, 1, sizeof(said) - 1, f);
	said[len] = '\0';
	pclose(f);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ck_assert_msg(strstr(said, "chan recv"), "%s", said);
	ck_assert_msg(strstr(said, "wait_for_ever"), "%s", said);
	ck_assert_msg(strstr(said, "in urt__ctx_entry"), "%s", said);
	ck_assert_msg(strstr(said, "no such coroutine: 99"), "%s", said);
}
END_TEST

Suite *workers_suite(void)
{
	Suite *s = suite_create("workers");
	TCase *t = tcase_create("spreading and waking");

	tcase_add_loop_test(t, coroutines_run_on_all_workers_at_once, 2, 5);
	tcase_add_test(
		t,
		the_number_of_workers_comes_from_options_environment_or_cpus);
	tcase_add_test(t, an_idle_program_makes_no_system_calls);
	tcase_add_loop_test(t, no_wake_up_from_outside_is_lost, 0, 6);
	tcase_add_loop_test(t, work_that_comes_in_bursts_is_always_found, 0, 3);
	tcase_add_test(t, errno_is_that_of_the_thread_one_is_on);
	tcase_add_loop_test(
		t, plain_threads_may_use_channels_and_start_coroutines, 1, 4);
	tcase_add_test(t, a_plain_thread_is_released_when_the_run_ends);
	suite_add_tcase(s, t);
	t = tcase_create("preemption");
	tcase_add_loop_test(t, a_tight_loop_does_not_keep_others_from_running,
			    0, 3);
	tcase_add_test(t, without_preemption_another_thread_takes_over);
	tcase_add_test(t, who_holds_a_pthread_mutex_is_not_preempted);
	tcase_add_test(t, who_holds_a_stdio_stream_is_not_preempted);
	tcase_add_test(t, a_callback_of_a_library_is_not_preempted);
	tcase_add_test(t, preemption_can_be_disabled);
	tcase_add_test(t, malloc_is_safe_under_preemption);
	tcase_add_test(t, registers_survive_preemption);
	tcase_add_test(t, the_time_slice_ends_at_a_call);
	tcase_add_test(t, a_blocking_call_gives_up_its_processor);
	tcase_add_loop_test(t, a_stuck_worker_strands_no_completion, 1, 3);
	tcase_add_loop_test(t, workers_that_block_and_come_back_lose_nothing, 1,
			    4);
	tcase_add_test(t, errno_survives_preemption);
	tcase_add_test(t, a_preempted_loop_does_not_keep_the_run_from_ending);
	tcase_add_test(t, a_job_that_waits_does_not_keep_the_run_from_ending);
	suite_add_tcase(s, t);
	t = tcase_create("stacks and reports");
	tcase_add_test(t, a_coroutine_can_have_a_stack_of_its_own_size);
	tcase_add_test(t, deep_stacks_are_given_back);
	tcase_add_loop_test(
		t,
		a_deadlock_is_reported_with_backtraces_on_any_number_of_workers,
		1, 4);
	tcase_add_loop_test(
		t,
		a_deadlock_is_reported_when_the_last_thread_that_could_end_it_ends,
		1, 3);
	tcase_add_test(t, sigquit_lists_all_coroutines_and_kills);
	tcase_add_test(t, leaks_are_listed_on_request);
	tcase_add_test(
		t, gdb_lists_coroutines_and_unwinds_them_to_their_first_frame);
	tcase_add_test(t, stalls_and_the_scheduler_are_reported_on_request);
	suite_add_tcase(s, t);
	return s;
}
