// SPDX-License-Identifier: MIT
/*
 * Floors 3 and 7 with several threads: spreading, waking, workers that get stuck,
 * errno, plain threads next to them.
 */
#define _GNU_SOURCE
#include "../lib/workers.h"
#include <pthread.h>
#include <sys/resource.h>

/* ---- spreading --------------------------------------------------------- */

static atomic_int arrived;

/* Ends only if all of them run at the same time. */
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

static bool is_idle(void)
{
	struct rusage before, after;
	int64_t cpu = cpu_ns();
	uint64_t enters;

	enters = counter(URT__STAT_ENTERS);
	getrusage(RUSAGE_SELF, &before);
	urt_sleep(1000 * MS);
	getrusage(RUSAGE_SELF, &after);
	/* 10 ticks of the monitor, until it sleeps, too, and ourselves. */
	return cpu_ns() - cpu < 20 * MS * slower() &&
	       counter(URT__STAT_ENTERS) - enters <= 3 &&
	       after.ru_nvcsw - before.ru_nvcsw < 40;
}

/* On a busy machine, workers and monitor go to sleep later. */
static void idle(void *arg)
{
	int tries = 0;

	(void)arg;
	urt_sleep(300 * MS);
	while (!is_idle())
		ck_assert_int_lt(++tries, 20);
}

START_TEST(idle_program_makes_no_system_calls)
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

/* In each round, all workers go to sleep, so each round wakes one from
 * sleep. */
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

START_TEST(wake_up_from_outside_is_not_lost)
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

/* ---- workers that are stuck -------------------------------------------- */

static atomic_int slept = -1;
static int pipe_fds[2];
static atomic_bool got_it;

static void read_pipe(void *arg)
{
	char c;

	ck_assert_int_eq(urt_read(pipe_fds[0], &c, 1, URT_NEVER), 1);
	got_it = true;
}

/* Its operation is in the ring of the worker that is then stuck and that alone
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

START_TEST(stuck_worker_strands_no_completion)
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

	for (int i = 0; i < 200 || !moved; i++) {
		int mine = 1000 + rnd(&r) % 1000;
		pid_t before = gettid();

		errno = mine;
		urt_preempt_disable();
		errno = mine;
		ck_assert_int_eq(errno, mine);
		urt_preempt_enable();
		if (i >= 200) /* the others wake on another thread */
			usleep(20000);
		urt_sleep(rnd(&r) % 20000);
		moved += gettid() != before;
		/* The address is this thread's, whichever thread that is
		 * now. */
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

START_TEST(job_that_waits_does_not_keep_the_run_from_ending)
{
	to = urt_chan_new(4, 0); /* never freed: a coroutine waits on it */
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

START_TEST(plain_thread_is_released_when_the_run_ends)
{
	pthread_t t;

	to = urt_chan_new(4, 0);
	run_on(2, leave_a_thread, &t);
	ck_assert_int_eq(pthread_join(t, NULL), 0);
	ck_assert(slept == -ECANCELED || slept == -EPERM);
	ck_assert_int_eq(urt_chan_recv(to, NULL, 0), -EPERM);
}
END_TEST

Suite *workers_suite(void)
{
	Suite *s = suite_create("workers");
	TCase *t = tcase_create("workers");

	tcase_add_loop_test(t, coroutines_run_on_all_workers_at_once, 2, 5);
	tcase_add_test(t, idle_program_makes_no_system_calls);
	tcase_add_loop_test(t, wake_up_from_outside_is_not_lost, 0, 6);
	tcase_add_loop_test(t, work_that_comes_in_bursts_is_always_found, 0, 3);
	tcase_add_test(t, errno_is_that_of_the_thread_one_is_on);
	tcase_add_loop_test(
		t, plain_threads_may_use_channels_and_start_coroutines, 1, 4);
	tcase_add_test(t, plain_thread_is_released_when_the_run_ends);
	tcase_add_loop_test(t, stuck_worker_strands_no_completion, 1, 3);
	tcase_add_loop_test(t, workers_that_block_and_come_back_lose_nothing, 1,
			    4);
	tcase_add_test(t, job_that_waits_does_not_keep_the_run_from_ending);
	suite_add_tcase(s, t);
	return s;
}
