// SPDX-License-Identifier: MIT
/*
 * Coroutines that block delay no others. The time limits lie far above the
 * correct times, so that a busy machine keeps them, and far below the times of
 * a fault.
 */
#define _GNU_SOURCE
#include "../../uring_rt/base/sys.h"
#include "../lib/workers.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/eventfd.h>

/* ---- coroutines that block --------------------------------------------- */

enum { BLOCKERS = 50 };
static atomic_int begun;
static sem_t sem;

static void block_a_while(void *arg)
{
	begun++;
	usleep(200000);
}

static int64_t slept; /* the least of all tries: the others are the
			 machine's */

/* If each of them stopped all others for 10 ms, the sleep would take over half
 * a second. */
static void sleep_among_blocked(void *arg)
{
	struct urt_coro *c[BLOCKERS];
	int64_t begin = urt_now(), took;

	for (int i = 0; i < BLOCKERS; i++)
		c[i] = urt_spawn(block_a_while, NULL);
	urt_sleep(MS);
	took = urt_now() - begin;
	if (!slept || took < slept)
		slept = took;
	for (int i = 0; i < BLOCKERS; i++)
		urt_join(c[i]);
}

START_TEST(sleep_ends_in_time_among_coroutines_that_block)
{
	static const unsigned workers[] = { 1, 2, 8 };

	int tries = 0;

	do {
		run_on(workers[_i], sleep_among_blocked, NULL);
		ck_assert_int_eq(begun, BLOCKERS * ++tries);
	} while (slept >= 150 * MS * slower());
}
END_TEST

static void wait_for_sem(void *arg)
{
	while (sem_wait(&sem))
		;
}

/* More than there are threads at first. All block until this coroutine
 * continues. */
static void wake_all(void *arg)
{
	enum { N = 300 };
	static struct urt_coro *c[N];

	for (int i = 0; i < N; i++)
		c[i] = urt_spawn(wait_for_sem, NULL);
	urt_sleep(MS);
	for (int i = 0; i < N; i++)
		sem_post(&sem);
	for (int i = 0; i < N; i++)
		urt_join(c[i]);
}

START_TEST(hundreds_of_blocked_coroutines_do_not_stop_the_one_that_wakes_them)
{
	sem_init(&sem, 0, 0);
	run_on(1 + _i, wake_all, NULL);
}
END_TEST

static unsigned quiet_ones(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < atomic_load(&urt__rt.nr_workers); i++)
		n += atomic_load(&urt__rt.quiet[i]);
	return n;
}

/* Each look read the rings of all blocked threads, so thousands of them delayed the
 * hand-off of the next by many looks. Those that come back are looked at again. */
static void block_and_come_back(void *arg)
{
	enum { N = 100 };
	static struct urt_coro *c[N];

	for (int i = 0; i < N; i++)
		c[i] = urt_spawn(wait_for_sem, NULL);
	while (quiet_ones() < N)
		urt_sleep(MS);
	for (int i = 0; i < N; i++)
		sem_post(&sem);
	for (int i = 0; i < N; i++)
		urt_join(c[i]);
	ck_assert_uint_eq(quiet_ones(), 0);
}

START_TEST(blocked_threads_without_requests_are_passed_over)
{
	sem_init(&sem, 0, 0);
	run_on(1 + _i, block_and_come_back, NULL);
}
END_TEST

static _Atomic long short_blocks;
static atomic_bool enough;

static void block_for_less_than_a_look(void *arg)
{
	while (!enough) {
		usleep(500);
		short_blocks++;
		urt_sleep(MS / 2);
	}
}

static uint64_t handed;

static void block_in_turn(void *arg)
{
	struct urt_coro *c[20];

	enough = false;
	for (int i = 0; i < 20; i++)
		c[i] = urt_spawn(block_for_less_than_a_look, NULL);
	urt_sleep(10 * MS);
	handed = counter(URT__STAT_HANDOFFS);
	short_blocks = 0;
	while (short_blocks < 200)
		urt_sleep(MS);
	handed = counter(URT__STAT_HANDOFFS) - handed;
	enough = true;
	for (int i = 0; i < 20; i++)
		urt_join(c[i]);
}

/* At each look, the worker has got on since the last one. A fault shows if the
 * machine does nothing else: then not one of the processors is taken. */
START_TEST(coroutines_that_block_for_less_than_a_look_lose_the_processor)
{
	for (int i = 0; i < 3; i++) {
		run_on(1, block_in_turn, NULL);
		ck_assert_uint_gt(handed, 0);
	}
}
END_TEST

static _Thread_local volatile unsigned long sink;

static void compute_then_post(void *arg)
{
	int64_t until = urt_now() + 60 * MS;

	while (urt_now() < until)
		for (int i = 0; i < 10000; i++)
			sink += i;
	sem_post(&sem);
}

/* The newest runs first: it computes, is preempted, and the other one
 * blocks. */
static void post_to_a_blocked_one(void *arg)
{
	struct urt_coro *w = urt_spawn(wait_for_sem, NULL);
	struct urt_coro *c = urt_spawn(compute_then_post, NULL);

	urt_join(c);
	urt_join(w);
}

START_TEST(preempted_coroutine_goes_on_when_the_next_one_waits_for_it)
{
	sem_init(&sem, 0, 0);
	run_on(1 + _i, post_to_a_blocked_one, NULL);
}
END_TEST

static void only_block(void *arg)
{
	int64_t begin;

	do {
		struct timespec t = { 1, 500000000 };

		urt_sleep(100 * MS);
		begin = cpu_ns();
		while (nanosleep(&t, &t))
			;
	} while (cpu_ns() - begin >= 25 * MS * slower());
}

START_TEST(blocked_coroutine_costs_no_cpu)
{
	run_on(1 + _i, only_block, NULL);
}
END_TEST

/* Blocks until enough coroutines are blocked, however slowly threads take
 * over. */
static void block_together(void *arg)
{
	pthread_barrier_wait(arg);
}

static void threads_end(void *arg)
{
	struct urt_coro *c[20];
	pthread_barrier_t all;
	unsigned most;

	pthread_barrier_init(&all, NULL, 20);
	for (int i = 0; i < 20; i++)
		c[i] = urt_spawn(block_together, &all);
	for (int i = 0; i < 20; i++)
		urt_join(c[i]);
	most = urt__rt.nr_workers;
	ck_assert_uint_ge(most, 20);
	while (urt__rt.vacant.len + 4 < most)
		urt_sleep(50 * MS);
	/* And new threads take their places. */
	for (int i = 0; i < 20; i++)
		c[i] = urt_spawn(block_together, &all);
	for (int i = 0; i < 20; i++)
		urt_join(c[i]);
	pthread_barrier_destroy(&all);
	ck_assert_uint_lt(urt__rt.nr_workers, most + 10);
}

START_TEST(threads_that_are_not_needed_end)
{
	run_on(1 + _i, threads_end, NULL);
}
END_TEST

static void block_long(void *arg)
{
	begun = 1;
	usleep(60000000);
}

/* The other coroutine blocks just before this one returns, and still has its
 * processor: no thread can have taken that yet. */
static void return_at_once(void *arg)
{
	urt_go(block_long, NULL);
	while (!begun)
		;
}

START_TEST(run_ends_though_a_coroutine_has_just_blocked)
{
	int64_t begin = urt_now();

	for (int i = 0; i < 5; i++) {
		begun = 0;
		run_on(2, return_at_once, NULL);
	}
	ck_assert_int_lt(urt_now() - begin, 40000 * MS);
}
END_TEST

/* ---- a thread that takes long to make ---------------------------------- */

static sem_t born;
static atomic_bool bearing, answered;

static void bear_long(void)
{
	bearing = true;
	while (sem_wait(&born))
		;
}

static void read_an_event(void *arg)
{
	uint64_t n;

	ck_assert_int_eq(urt_read(*(int *)arg, &n, sizeof(n), URT_NEVER), 8);
	answered = true;
}

static void wait_until(atomic_bool *what)
{
	while (!*what)
		urt_sleep(MS);
}

/* The read is in flight in the ring of a thread that blocks. The only spare
 * takes over its processor, and another one takes long to make. */
static void read_beside_a_birth(void *arg)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct urt_coro *read = urt_spawn(read_an_event, &fd), *block;
	const uint64_t one = 1;

	until_parked(read, URT__R_IO);
	urt_sleep(MS); /* meanwhile the ring is entered */
	urt__sys_faults[URT__SYS_THREAD].meanwhile = bear_long;
	urt__sys_faults[URT__SYS_THREAD].countdown = 1;
	block = urt_spawn(wait_for_sem, NULL);
	wait_until(&bearing);
	ck_assert_int_eq(write(fd, &one, sizeof(one)), 8);
	wait_until(&answered);
	sem_post(&born);
	sem_post(&sem);
	urt_join(read);
	urt_join(block);
	close(fd);
}

START_TEST(ring_of_a_blocked_thread_is_served_while_another_thread_is_made)
{
	sem_init(&sem, 0, 0);
	sem_init(&born, 0, 0);
	run_on(1 + _i, read_beside_a_birth, NULL);
}
END_TEST

/* ---- calls that the kernel does not answer ----------------------------- */

/* The test ends it sooner, unless there is a fault. */
enum { LINGER_S = 30 };

/* A connection whose close takes LINGER_S: its peer does not receive what was
 * sent. */
static int lingering(int *peer)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct linger linger = { 1, LINGER_S };
	socklen_t len = sizeof(at);
	static char buf[1 << 16];
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd, high;

	ck_assert_int_eq(bind(l, (void *)&at, sizeof(at)), 0);
	listen(l, 1);
	getsockname(l, (void *)&at, &len);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(fd, (void *)&at, len), 0);
	*peer = accept(l, NULL, NULL);
	close(l);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	while (send(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	/* A number that no other descriptor gets. */
	high = fcntl(fd, F_DUPFD_CLOEXEC, 500);
	close(fd);
	return high;
}

static void close_it(void *arg)
{
	urt_close(*(int *)arg);
}

static void others_beside_a_slow_close(void *arg)
{
	int peer, fd = lingering(&peer), s[2];
	struct urt_coro *c = urt_spawn(close_it, &fd);
	int64_t begin = urt_now();
	char b;

	for (int i = 0; i < 20; i++)
		urt_sleep(MS);
	ck_assert_int_lt(urt_now() - begin, (LINGER_S - 1) * 1000 * MS);
	/* The number is free, and another descriptor gets it. */
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	ck_assert_int_eq(fcntl(s[0], F_DUPFD_CLOEXEC, fd), fd);
	ck_assert_int_eq(write(s[1], "x", 1), 1);
	ck_assert_int_eq(urt_recv(fd, &b, 1, 0, URT_NEVER), 1);
	ck_assert_int_lt(urt_now() - begin, (LINGER_S - 1) * 1000 * MS);
	close(peer); /* unread: it resets, and the close is over */
	urt_join(c);
	close(fd);
	close(s[0]);
	close(s[1]);
}

START_TEST(slow_close_keeps_nobody_else_waiting)
{
	run_on(1 + _i, others_beside_a_slow_close, NULL);
}
END_TEST

Suite *blocked_suite(void)
{
	Suite *s = suite_create("blocked");
	TCase *t = tcase_create("blocked");

	tcase_add_loop_test(t, sleep_ends_in_time_among_coroutines_that_block,
			    0, 3);
	tcase_add_loop_test(
		t,
		hundreds_of_blocked_coroutines_do_not_stop_the_one_that_wakes_them,
		0, 2);
	tcase_add_loop_test(t, blocked_threads_without_requests_are_passed_over,
			    0, 2);
	tcase_add_loop_test(
		t, preempted_coroutine_goes_on_when_the_next_one_waits_for_it,
		0, 2);
	tcase_add_test(
		t,
		coroutines_that_block_for_less_than_a_look_lose_the_processor);
	tcase_add_loop_test(t, blocked_coroutine_costs_no_cpu, 0, 2);
	tcase_add_loop_test(t, threads_that_are_not_needed_end, 0, 2);
	tcase_add_loop_test(
		t,
		ring_of_a_blocked_thread_is_served_while_another_thread_is_made,
		0, 2);
	tcase_add_test(t, run_ends_though_a_coroutine_has_just_blocked);
	tcase_add_loop_test(t, slow_close_keeps_nobody_else_waiting, 0, 2);
	suite_add_tcase(s, t);
	return s;
}
