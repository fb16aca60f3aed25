// SPDX-License-Identifier: MIT
/* Floor 4: scopes, which end with a group of coroutines, and local values,
 * which end with one. */
#define _GNU_SOURCE
#include "../lib/workers.h"

static int result;

/* ---- scopes ------------------------------------------------------------ */

static atomic_int ended, reading;

static int sleep_long(void *arg)
{
	int ret = urt_sleep(3600000 * MS);

	ended++;
	return ret;
}

static int fail_soon(void *arg)
{
	urt_sleep(MS);
	ended++;
	return -EIO;
}

static int succeed(void *arg)
{
	urt_sleep(MS);
	ended++;
	return 7;
}

CORO_TEST(close_waits_for_all)
{
	struct urt_scope s;

	ck_assert_int_eq(urt_scope_open(&s, URT_NEVER), 0);
	ck_assert_int_eq(urt_scope_close(&s), 0);
	urt_scope_open(&s, URT_NEVER);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(urt_scope_go(&s, succeed, NULL), 0);
	ck_assert_int_eq(urt_scope_close(&s), 0);
	ck_assert_int_eq(ended, 10);
}

CORO_TEST(first_error_cancels_the_others_and_is_kept)
{
	struct urt_scope s;

	urt_scope_open(&s, URT_NEVER);
	urt_scope_go(&s, sleep_long, NULL);
	urt_scope_go(&s, fail_soon, NULL);
	urt_scope_go(&s, sleep_long, NULL);
	ck_assert_int_eq(urt_scope_close(&s), -EIO);
	ck_assert_int_eq(ended, 3);
}

CORO_TEST(cancelled_scope_starts_nothing)
{
	struct urt_scope s;

	urt_scope_open(&s, URT_NEVER);
	urt_scope_cancel(&s);
	ck_assert_int_eq(urt_scope_go(&s, succeed, NULL), -ECANCELED);
	ck_assert_int_eq(urt_scope_close(&s), 0);
}

CORO_TEST(deadline_of_a_scope_ends_all_its_waits)
{
	struct urt_scope s;
	int64_t begin = urt_now();

	urt_scope_open(&s, urt_after(5 * MS));
	for (int i = 0; i < 5; i++)
		urt_scope_go(&s, sleep_long, NULL);
	ck_assert_int_eq(urt_scope_close(&s), -ETIME);
	ck_assert_int_eq(ended, 5);
	ck_assert_int_lt(urt_now() - begin, 3600000 * MS);
}

static int waits[4];

static int wait_in_sleep(void *arg)
{
	waits[0] = urt_sleep(3600000 * MS);
	return 0;
}

static int wait_in_chan(void *arg)
{
	waits[1] = urt_chan_recv(arg, NULL, URT_NEVER);
	return 0;
}

static int wait_in_poll(void *arg)
{
	waits[2] = urt_poll(*(int *)arg, POLLIN, URT_NEVER);
	return 0;
}

static int wait_after_deadline(void *arg)
{
	int64_t deadline_ns = *(int64_t *)arg;

	while (urt_now() < deadline_ns + MS)
		; /* computes: the scope cancels it before it waits */
	waits[3] = urt_sleep(3600000 * MS);
	return 0;
}

/* The scope cancels its members at that moment, but their calls return
 * -ETIME. */
CORO_TEST(scope_deadline_is_etime_in_every_wait)
{
	struct urt_chan *empty = urt_chan_new(0, 0);
	int64_t deadline_ns = urt_after(5 * MS);
	struct urt_scope s;
	int p[2];

	ck_assert_int_eq(urt_pipe(p, 0), 0);
	urt_scope_open(&s, deadline_ns);
	urt_scope_go(&s, wait_in_sleep, NULL);
	urt_scope_go(&s, wait_in_chan, empty);
	urt_scope_go(&s, wait_in_poll, p);
	urt_scope_go(&s, wait_after_deadline, &deadline_ns);
	ck_assert_int_eq(urt_scope_close(&s), -ETIME);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(waits[i], -ETIME);
	urt_chan_free(empty);
	urt_close(p[0]);
	urt_close(p[1]);
}

static int fds[2];
static char dead[64];

static int read_something(void *arg)
{
	char buf[64] = { 0 };
	int ret;

	reading++;
	ret = urt_read(fds[0], buf, sizeof(buf), URT_NEVER);
	ended++;
	memcpy(dead, buf, sizeof(dead));
	return ret;
}

static int nested(void *arg)
{
	struct urt_scope inner;

	urt_scope_open(&inner, URT_NEVER);
	for (int i = 0; i < 5; i++)
		urt_scope_go(&inner, read_something, NULL);
	return urt_scope_close(&inner);
}

CORO_TEST(cancellation_reaches_every_operation_in_nested_scopes)
{
	struct urt_scope s;

	ck_assert_int_eq(pipe(fds), 0);
	urt_scope_open(&s, URT_NEVER);
	for (int i = 0; i < 5; i++)
		urt_scope_go(&s, nested, NULL);
	while (reading < 25)
		urt_sleep(MS);
	urt_scope_cancel(&s);
	ck_assert_int_eq(urt_scope_close(&s), -ECANCELED);
	ck_assert_int_eq(ended, 25);
	/* The kernel has released all buffers, so this data goes into none. */
	ck_assert_int_eq(urt_write(fds[1], "x", 1, URT_NEVER), 1);
	ck_assert_int_eq(urt_read(fds[0], dead, 1, URT_NEVER), 1);
	close(fds[0]);
	close(fds[1]);
}

static void close_a_scope(void *arg)
{
	struct urt_scope s;

	urt_scope_open(&s, URT_NEVER);
	for (int i = 0; i < 3; i++)
		urt_scope_go(&s, sleep_long, NULL);
	result = urt_scope_close(&s);
}

CORO_TEST(cancelled_closer_cancels_its_scope_and_still_waits)
{
	struct urt_coro *c = urt_spawn(close_a_scope, NULL);

	until_parked(c, URT__R_SCOPE);
	urt_cancel(c);
	urt_join(c);
	ck_assert_int_eq(result, -ECANCELED);
	ck_assert_int_eq(ended, 3);
}

/* ---- local values ------------------------------------------------------ */

static atomic_int destroyed;

static void destroy(void *value)
{
	destroyed += *(int *)value;
	urt_yield(); /* it may do what the coroutine could */
}

static void use_local(void *arg)
{
	int *p = arg, key = p[0];

	ck_assert_ptr_null(urt_local_get(key));
	ck_assert_int_eq(urt_local_set(key, &p[1]), 0);
	urt_yield();
	ck_assert_ptr_eq(urt_local_get(key), &p[1]);
}

CORO_TEST(local_values_are_each_coroutines_own_and_destroyed_at_its_end)
{
	int key = urt_local_key(destroy), a[2] = { key, 1 }, b[2] = { key, 10 };
	struct urt_coro *c[2] = { urt_spawn(use_local, a),
				  urt_spawn(use_local, b) };

	ck_assert_int_ge(key, 0);
	urt_join(c[0]);
	urt_join(c[1]);
	ck_assert_int_eq(destroyed, 11);
	ck_assert_ptr_null(urt_local_get(key));
	ck_assert_int_eq(urt_local_set(key + 1, a), -EINVAL);
	for (int i = key + 1; i < URT_LOCAL_KEYS; i++)
		ck_assert_int_eq(urt_local_key(NULL), i);
	ck_assert_int_eq(urt_local_key(NULL), -EAGAIN);
}

Suite *scope_suite(void)
{
	Suite *s = suite_create("scope");
	TCase *t = tcase_create("scope");

	tcase_add_test(t, close_waits_for_all);
	tcase_add_test(t, first_error_cancels_the_others_and_is_kept);
	tcase_add_test(t, cancelled_scope_starts_nothing);
	tcase_add_test(t, deadline_of_a_scope_ends_all_its_waits);
	tcase_add_test(t, scope_deadline_is_etime_in_every_wait);
	tcase_add_test(t,
		       cancellation_reaches_every_operation_in_nested_scopes);
	tcase_add_test(t, cancelled_closer_cancels_its_scope_and_still_waits);
	tcase_add_test(
		t,
		local_values_are_each_coroutines_own_and_destroyed_at_its_end);
	suite_add_tcase(s, t);
	return s;
}
