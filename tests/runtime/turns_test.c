// SPDX-License-Identifier: MIT
/*
 * No coroutine delays another: whatever some do, the others have their turns. The
 * waits are counted in what the some do meanwhile, not in time, so that a busy machine
 * changes little; a fault multiplies them, or makes them endless.
 */
#define _GNU_SOURCE
#include "../../uring_rt/urt.h"
#include "../lib/test.h"
#include "../lib/workers.h"
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

static const unsigned worker_counts[] = { 1, 2, 8 };

static atomic_bool over;
static _Atomic long turns; /* of those that could keep the others waiting */

static void compute(int64_t ns)
{
	int64_t until = urt_now() + ns;

	while (urt_now() < until)
		;
}

/* Ends the test when `others` have had their turns, or at a number of turns. */
static void until_over(urt_fn *others, void *arg, urt_fn *fn, int n)
{
	struct urt_coro *o = urt_spawn(others, arg);
	struct urt_coro *c[64];

	ck_assert_int_le(n, ARRAY_LEN(c));
	for (int i = 0; i < n; i++)
		c[i] = urt_spawn(fn, NULL);
	urt_join(o);
	over = true;
	for (int i = 0; i < n; i++)
		urt_join(c[i]);
}

/* ---- the others: one that sleeps, one that answers a thread ---- */

enum { TIMES = 20 };

static void sleep_often(void *arg)
{
	long begin, *meanwhile = arg;

	urt_sleep(10 * MS); /* until the monitor has seen what goes on */
	begin = turns;
	for (int i = 0; i < TIMES; i++)
		urt_sleep(MS);
	*meanwhile = turns - begin;
}

static int pair[2];

static void *ask(void *arg)
{
	long begin = 0, *meanwhile = arg;
	char byte = 0;

	for (int i = -2; i < TIMES; i++) {
		if (!i)
			begin = turns;
		ck_assert_int_eq(write(pair[1], &byte, 1), 1);
		ck_assert_int_eq(read(pair[1], &byte, 1), 1);
	}
	*meanwhile = turns - begin;
	shutdown(pair[1], SHUT_RDWR);
	return NULL;
}

static void answer(void *arg)
{
	pthread_t thread;
	char byte;

	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	pthread_create(&thread, NULL, ask, arg);
	while (urt_recv(pair[0], &byte, 1, 0, URT_NEVER) == 1)
		ck_assert_int_eq(urt_send(pair[0], &byte, 1, 0, URT_NEVER), 1);
	pthread_join(thread, NULL);
	close(pair[0]);
	close(pair[1]);
}

/* ---- coroutines that compute between two switches ---- */

static void compute_and_yield(void *arg)
{
	while (!over) {
		compute(MS);
		turns++;
		urt_yield();
	}
}

/* An answer took 126 turns where the ring was looked at every 64 switches; now 4. */
static void answer_among_turns(void *arg)
{
	long meanwhile;

	until_over(answer, &meanwhile, compute_and_yield, 3);
	ck_assert_int_lt(meanwhile, TIMES * 50);
}

START_TEST(answer_waits_for_a_turn_of_others_that_compute_not_for_64)
{
	run_on(worker_counts[_i], answer_among_turns, NULL);
}
END_TEST

/* More than one worker can do, by sleepers: their timers do not keep the socket, nor
 * each other, waiting. */
static void sleep_and_compute(void *arg)
{
	while (!over) {
		urt_sleep(MS);
		compute(MS);
		turns++;
	}
}

static void answer_among_sleepers(void *arg)
{
	long meanwhile;

	until_over(answer, &meanwhile, sleep_and_compute, 30);
	ck_assert_int_lt(meanwhile, TIMES * 100);
}

START_TEST(answer_waits_for_few_of_many_sleepers_that_compute)
{
	run_on(worker_counts[_i], answer_among_sleepers, NULL);
}
END_TEST

/* A look at each switch: it begins with the queue, but a new one has its turn, too. */
static _Atomic bool ran;

static void run_once(void *arg)
{
	ran = true;
}

static void yield_to_a_new_one(void *arg)
{
	urt_fn *fn[] = { run_once, compute_and_yield };
	struct urt_coro *c[2];

	for (int i = 0; i < 20; i++) { /* until the monitor has seen it */
		compute(MS + MS / 5);
		urt_yield();
	}
	for (int i = 0; i < 2; i++)
		c[i] = urt_spawn(fn[!i], NULL);
	for (int i = 0; i < 300 && !ran; i++) {
		compute(MS + MS / 5);
		urt_yield();
	}
	ck_assert(ran);
	over = true;
	for (int i = 0; i < 2; i++)
		urt_join(c[i]);
}

START_TEST(new_coroutine_runs_beside_one_that_computes_and_yields)
{
	run_on(1, yield_to_a_new_one, NULL);
}
END_TEST

static struct urt_sem baton[2] = { URT_SEM_INIT(1), URT_SEM_INIT(0) };
static _Atomic int passers;

static void compute_and_pass_on(void *arg)
{
	int self = passers++;

	while (!over) {
		urt_sem_wait(&baton[self], URT_NEVER);
		compute(MS);
		turns++;
		urt_sem_post(&baton[!self]);
	}
}

/* Each is readied by its peer, and such go first: 128 times before a sleeper. */
static void sleep_among_passers(void *arg)
{
	long meanwhile;

	until_over(sleep_often, &meanwhile, compute_and_pass_on, 2);
	ck_assert_int_lt(meanwhile, TIMES * 25);
}

START_TEST(sleeper_waits_for_few_turns_of_a_pair_that_hands_over)
{
	run_on(1, sleep_among_passers, NULL);
}
END_TEST

/* ---- coroutines that block ---- */

static struct urt_mutex mutex = URT_MUTEX_INIT;

static void block_and_lock(void *arg)
{
	while (!over) {
		usleep(100);
		urt_mutex_lock(&mutex, URT_NEVER);
		turns++;
		urt_mutex_unlock(&mutex);
	}
}

/* The processor went from one that came back to the next: answers took seconds. */
static void answer_among_blocked(void *arg)
{
	long meanwhile;

	until_over(answer, &meanwhile, block_and_lock, 20);
	ck_assert_int_lt(meanwhile, TIMES * 1000);
}

START_TEST(queue_has_its_turn_among_those_that_come_back_from_blocking)
{
	run_on(worker_counts[_i], answer_among_blocked, NULL);
}
END_TEST

/* ---- more coroutines than the local queue holds ---- */

enum { CROWD = 3000, ROUNDS = 10 };

static _Atomic int not_yet, ended;

static void yield_often(void *arg)
{
	not_yet--;
	while (!over) {
		if (++turns > (long)CROWD * 1000)
			return; /* those that have not run yet never will */
		urt_yield();
	}
}

static void run_a_crowd(void *arg)
{
	not_yet = CROWD;
	for (int i = 0; i < CROWD; i++)
		ck_assert_int_eq(urt_go(yield_often, NULL), 0);
	for (int i = 0; i < ROUNDS; i++)
		urt_sleep(MS);
	while (not_yet && turns < (long)CROWD * 500)
		urt_yield();
	ck_assert_int_eq(not_yet, 0);
	over = true;
}

START_TEST(all_of_a_crowd_that_yields_run)
{
	run_on(worker_counts[_i], run_a_crowd, NULL);
}
END_TEST

static void end_at_once(void *arg)
{
	ended++;
}

static void spawn_and_yield(void *arg)
{
	while (!over) {
		for (int i = 0; i < 5000; i++)
			ck_assert_int_eq(urt_go(end_at_once, NULL), 0);
		turns++;
		urt_yield();
	}
}

/* It came round before those that it had spawned: others never, and memory without
 * end. */
static void sleep_beside_a_spawner(void *arg)
{
	long meanwhile;

	until_over(sleep_often, &meanwhile, spawn_and_yield, 1);
	ck_assert_int_lt(meanwhile, TIMES * 20);
	ck_assert_int_gt(ended, (turns - 3) * 5000);
}

START_TEST(spawner_that_yields_goes_behind_those_that_it_spawned)
{
	run_on(1, sleep_beside_a_spawner, NULL);
}
END_TEST

Suite *turns_suite(void)
{
	Suite *s = suite_create("turns");
	TCase *t = tcase_create("turns");
	const int n = ARRAY_LEN(worker_counts);

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(
		t, answer_waits_for_a_turn_of_others_that_compute_not_for_64, 0,
		n);
	tcase_add_loop_test(
		t, answer_waits_for_few_of_many_sleepers_that_compute, 0, n);
	tcase_add_test(t,
		       new_coroutine_runs_beside_one_that_computes_and_yields);
	tcase_add_test(t,
		       sleeper_waits_for_few_turns_of_a_pair_that_hands_over);
	tcase_add_loop_test(
		t, queue_has_its_turn_among_those_that_come_back_from_blocking,
		0, n);
	tcase_add_loop_test(t, all_of_a_crowd_that_yields_run, 0, n);
	tcase_add_test(t,
		       spawner_that_yields_goes_behind_those_that_it_spawned);
	suite_add_tcase(s, t);
	return s;
}
