// SPDX-License-Identifier: MIT
/* Floor 4: calls on the thread pool. The suite blocking has the pool when it is full. */
#define _GNU_SOURCE
#include "../../uring_rt/urt.h"
#include "../lib/test.h"
#include <stdatomic.h>

/* ---- scopes ------------------------------------------------------------ */

static int ended;

/* ---- blocking calls ---------------------------------------------------- */

static atomic_int inside, most, wanted; /* at a time */

/* Waits until the wanted number runs at a time. */
static int64_t block(void *arg)
{
	int now = atomic_fetch_add(&inside, 1) + 1, seen = most;

	while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now))
		;
	do {
		usleep(20000);
	} while (most < wanted);
	inside--;
	return (intptr_t)arg * 2;
}

static void call_blocking(void *arg)
{
	ck_assert_int_eq(urt_blocking(block, arg), (intptr_t)arg * 2);
	ended++;
}

static void block_many(void *arg)
{
	struct urt_coro *c[20];

	wanted = 4; /* run one by one, the first would not end */
	for (intptr_t i = 0; i < 20; i++)
		c[i] = urt_spawn(call_blocking, (void *)i);
	for (int i = 0; i < 20; i++)
		urt_join(c[i]);
	ck_assert_int_eq(ended, 20);
}

START_TEST(blocking_calls_run_on_a_bounded_pool)
{
	struct urt_options o = { .workers = 1, .max_blocking = 4 };

	ck_assert_int_eq(urt_run_with(block_many, NULL, &o), 0);
	ck_assert_int_eq(most, 4);
}
END_TEST

CORO_TEST(cancelled_coroutine_still_gets_its_blocking_calls_result)
{
	struct urt_coro *c = urt_spawn(call_blocking, (void *)5);

	while (!inside) /* once begun */
		urt_sleep(MS / 10);
	urt_cancel(c);
	urt_join(c);
	ck_assert_int_eq(ended, 1);
}

START_TEST(blocking_call_on_a_plain_thread_is_just_made)
{
	ck_assert_int_eq(urt_blocking(block, (void *)4), 8);
}
END_TEST

Suite *pool_suite(void)
{
	Suite *s = suite_create("pool");
	TCase *t = tcase_create("pool");

	tcase_add_test(t, blocking_calls_run_on_a_bounded_pool);
	tcase_add_test(
		t, cancelled_coroutine_still_gets_its_blocking_calls_result);
	tcase_add_test(t, blocking_call_on_a_plain_thread_is_just_made);
	suite_add_tcase(s, t);
	return s;
}
