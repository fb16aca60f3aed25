// SPDX-License-Identifier: MIT
/* Floors 3 and 7: coroutines, and the beginning and end of a run. */
#define _GNU_SOURCE
#include "../lib/workers.h"

/* On a slow machine, the thread's processor is handed off, and two coroutines
 * run at a time; so each takes a place of its own. */
static char order[64];

static unsigned places;

static void append(void *arg)
{
	order[__atomic_fetch_add(&places, 1, __ATOMIC_RELAXED)] =
		*(const char *)arg;
}

static void spawn_and_join_one(void *arg)
{
	struct urt_coro *c = urt_spawn(append, "b");

	append("a");
	ck_assert_int_eq(urt_join(c), 0);
	append("c");
}

START_TEST(join_waits_for_the_end)
{
	run_on(1, spawn_and_join_one, NULL);
	ck_assert_uint_eq(strlen(order), 3);
	ck_assert_ptr_nonnull(strchr(order, 'b'));
	ck_assert_int_eq(order[2], 'c');
}
END_TEST

static void join_ended(void *arg)
{
	struct urt_coro *c = urt_spawn(append, "x");

	do
		urt_yield();
	while (!*(volatile char *)order);
	ck_assert_str_eq(order, "x");
	ck_assert_int_eq(urt_join(c), 0);
}

START_TEST(join_of_an_ended_coroutine_returns_at_once)
{
	run_on(1, join_ended, NULL);
}
END_TEST

static struct urt_sem gate = URT_SEM_INIT(0);

static void append_thrice(void *arg)
{
	urt_sem_wait(&gate, URT_NEVER);
	for (int i = 0; i < 3; i++) {
		append(arg);
		urt_yield();
	}
}

/* Both have run before: on a slow machine, the queue may go before a new one. */
static void take_turns(void *arg)
{
	struct urt_coro *a = urt_spawn(append_thrice, "a");
	struct urt_coro *b = urt_spawn(append_thrice, "b");

	until_parked(a, URT__R_SEM);
	until_parked(b, URT__R_SEM);
	urt_sem_post(&gate);
	urt_sem_post(&gate);
	urt_join(a);
	urt_join(b);
	*(bool *)arg = was_handed_off();
}

START_TEST(yield_lets_the_others_go_first)
{
	bool apart;

	run_on(1, take_turns, &apart);
	ck_assert_uint_eq(strlen(order), 6);
	if (apart)
		SKIP("the thread was handed off, so two ran: %s", order);
	for (int i = 0; i + 2 < 6; i++)
		ck_assert_msg(order[i] != order[i + 1], "%s", order);
}
END_TEST

static void yield_alone(void *arg)
{
	for (int i = 0; i < 1000; i++)
		urt_yield();
}

START_TEST(yield_of_the_only_coroutine_returns)
{
	run_on(1, yield_alone, NULL);
}
END_TEST

/* A tree of coroutines: each spawns ten, down to depth; counts the leaves. */
struct tree {
	int depth;
	long leaves;
};

static void grow(void *arg)
{
	struct tree *t = arg;
	struct tree child[10];
	struct urt_coro *c[10];

	if (!t->depth) {
		t->leaves = 1;
		return;
	}
	for (int i = 0; i < 10; i++) {
		child[i] = (struct tree){ t->depth - 1, 0 };
		c[i] = urt_spawn(grow, &child[i]);
		ck_assert_ptr_nonnull(c[i]);
	}
	for (int i = 0; i < 10; i++) {
		urt_join(c[i]);
		t->leaves += child[i].leaves;
	}
}

START_TEST(tree_of_ten_thousand_coroutines_comes_back_whole)
{
	struct tree t = { 4, 0 };

	run_on(1, grow, &t);
	ck_assert_int_eq(t.leaves, 10000);
}
END_TEST

static _Atomic long count;

static void bump(void *arg)
{
	count++;
}

/* Far more than the local queue holds (TSan knows 8000 at most). */
enum { MANY = TSANITIZED ? 5000 : 20000 };

static void start_many(void *arg)
{
	for (int i = 0; i < MANY; i++)
		ck_assert_int_eq(urt_go(bump, NULL), 0);
	while (count < MANY)
		urt_yield();
}

START_TEST(more_runnable_coroutines_than_a_queue_holds_all_run)
{
	run_on(1, start_many, NULL);
	ck_assert_int_eq(count, MANY);
}
END_TEST

static _Atomic bool hog_stop;

static void hog(void *arg)
{
	while (!hog_stop)
		urt_yield();
}

static void sleep_beside_hogs(void *arg)
{
	int64_t begin = urt_now();

	for (int i = 0; i < 10; i++)
		urt_go(hog, NULL);
	ck_assert_int_eq(urt_sleep(5 * MS), 0);
	ck_assert_int_ge(urt_now() - begin, 5 * MS);
	hog_stop = true;
}

START_TEST(yielding_coroutines_do_not_starve_timers)
{
	run_on(1, sleep_beside_hogs, NULL);
}
END_TEST

static void pipe_hogs(void *arg)
{
	int fds[2];
	char c = 0;

	ck_assert_int_eq(pipe(fds), 0);
	for (int i = 0; i < 10; i++)
		urt_go(hog, NULL);
	ck_assert_int_eq(urt_write(fds[1], "x", 1, URT_NEVER), 1);
	ck_assert_int_eq(urt_read(fds[0], &c, 1, URT_NEVER), 1);
	hog_stop = true;
	close(fds[0]);
	close(fds[1]);
}

START_TEST(yielding_coroutines_do_not_starve_the_ring)
{
	run_on(1, pipe_hogs, NULL);
}
END_TEST

/* A pair that passes data back and forth must not keep others from running. The
 * other one may have begun on a thread that then lost its processor. */
static void echo_for_ever(void *arg)
{
	struct urt_chan **ch = arg;
	int v;

	while (!urt_chan_recv(ch[0], &v, URT_NEVER) &&
	       !urt_chan_send(ch[1], &v, URT_NEVER))
		;
}

static void pair_beside_one(void *arg)
{
	struct urt_chan *ch[2] = { urt_chan_new(4, 0), urt_chan_new(4, 0) };
	struct urt_coro *c = urt_spawn(echo_for_ever, ch);
	int v = 0, turns = 0;

	urt_go(bump, NULL);
	for (; !count; turns++) {
		urt_chan_send(ch[0], &v, URT_NEVER);
		urt_chan_recv(ch[1], &v, URT_NEVER);
		ck_assert(turns < 10000 || was_handed_off());
	}
	urt_chan_close(ch[0]);
	urt_join(c);
	urt_chan_free(ch[0]);
	urt_chan_free(ch[1]);
}

START_TEST(busy_pair_does_not_starve_others)
{
	run_on(1, pair_beside_one, NULL);
}
END_TEST

START_TEST(runs_can_follow_each_other)
{
	for (int i = 0; i < 20; i++) {
		order[0] = '\0';
		run_on(1, spawn_and_join_one, NULL);
	}
}
END_TEST

static void spawn_too_many(void *arg)
{
	struct urt_coro *c[3];

	for (int i = 0; i < 3; i++)
		c[i] = urt_spawn(bump, NULL);
	ck_assert_ptr_nonnull(c[2]);
	ck_assert_ptr_null(urt_spawn(bump, NULL));
	ck_assert_int_eq(urt_go(bump, NULL), -EAGAIN);
	for (int i = 0; i < 3; i++)
		urt_join(c[i]);
	ck_assert_int_eq(urt_go(bump, NULL), 0);
}

START_TEST(more_than_max_coroutines_are_refused)
{
	struct urt_options o = { .max_coroutines = 4 };

	ck_assert_int_eq(urt_run_with(spawn_too_many, NULL, &o), 0);
}
END_TEST

START_TEST(calls_outside_a_coroutine_say_so)
{
	char c;

	ck_assert_int_eq(urt_go(bump, NULL), -EPERM);
	ck_assert_ptr_null(urt_spawn(bump, NULL));
	struct urt_chan *ch = urt_chan_new(1, 1);

	ck_assert_int_eq(urt_sleep(1), -EPERM);
	ck_assert_int_eq(urt_chan_send(ch, &c, 0), -EPERM);
	ck_assert_int_eq(urt_chan_recv(ch, &c, 0), -EPERM);
	urt_chan_free(ch);
	ck_assert_int_eq(urt_read(0, &c, 1, URT_NEVER), -EPERM);
	ck_assert_ptr_null(urt_self());
	urt_yield();
}
END_TEST

static void ids(void *arg)
{
	uint64_t me = urt_id(urt_self());
	struct urt_coro *a = urt_spawn(bump, NULL);
	struct urt_coro *b = urt_spawn(bump, NULL);

	ck_assert_uint_ne(me, urt_id(a));
	ck_assert_uint_ne(urt_id(a), urt_id(b));
	urt_join(a);
	urt_join(b);
}

START_TEST(ids_differ)
{
	run_on(1, ids, NULL);
}
END_TEST

static void sleep_long(void *arg)
{
	*(int *)arg = urt_sleep(100000 * MS);
}

CORO_TEST(join_has_a_deadline)
{
	int slept = 0;
	struct urt_coro *c = urt_spawn(sleep_long, &slept);

	ck_assert_int_eq(urt_join_until(c, urt_after(MS)), -ETIME);
	ck_assert_int_eq(urt_join_until(c, 0), -ETIME);
	ck_assert_int_eq(urt_end(c), 0);
	ck_assert_int_eq(slept, -ECANCELED);
}

static void end_child(void *arg)
{
	int *ret = arg, slept = 0;
	struct urt_coro *c = urt_spawn(sleep_long, &slept);

	ret[0] = urt_join(c);
	ret[1] = urt_end(c);
	ret[2] = slept;
}

CORO_TEST(cancelled_coroutine_ends_its_child)
{
	int ret[3] = { 0 };
	struct urt_coro *c = urt_spawn(end_child, ret);

	until_parked(c, URT__R_JOIN);
	ck_assert_int_eq(urt_end(c), 0);
	ck_assert_int_eq(ret[0], -ECANCELED);
	ck_assert_int_eq(ret[1], 0);
	ck_assert_int_eq(ret[2], -ECANCELED);
}

Suite *sched_suite(void)
{
	Suite *s = suite_create("sched");
	TCase *t = tcase_create("coroutines");

	tcase_add_test(t, join_waits_for_the_end);
	tcase_add_test(t, join_of_an_ended_coroutine_returns_at_once);
	tcase_add_test(t, yield_lets_the_others_go_first);
	tcase_add_test(t, yield_of_the_only_coroutine_returns);
	tcase_add_test(t, tree_of_ten_thousand_coroutines_comes_back_whole);
	tcase_add_test(t, more_runnable_coroutines_than_a_queue_holds_all_run);
	tcase_add_test(t, yielding_coroutines_do_not_starve_timers);
	tcase_add_test(t, yielding_coroutines_do_not_starve_the_ring);
	tcase_add_test(t, busy_pair_does_not_starve_others);
	tcase_add_test(t, ids_differ);
	tcase_add_test(t, join_has_a_deadline);
	tcase_add_test(t, cancelled_coroutine_ends_its_child);
	suite_add_tcase(s, t);
	t = tcase_create("runs");
	tcase_add_test(t, runs_can_follow_each_other);
	tcase_add_test(t, more_than_max_coroutines_are_refused);
	tcase_add_test(t, calls_outside_a_coroutine_say_so);
	suite_add_tcase(s, t);
	return s;
}
