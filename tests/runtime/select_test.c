// SPDX-License-Identifier: MIT
/* Floor 5: select, on one worker. The stress suite has it on many. */
#define _GNU_SOURCE
#include "../lib/workers.h"

/* ---- calls that wait as their namesakes do ----------------------------- */

/* Cases that wait, before and after the ready ones. */
CORO_TEST(select_takes_ready_cases_with_equal_chance)
{
	struct urt_chan *c[6];
	int n[6] = { 0 }, v = 0;

	for (int i = 0; i < 6; i++)
		c[i] = urt_chan_new(sizeof(int), 1);
	for (int i = 0; i < 9000; i++) {
		struct urt_case k[6];

		for (int j = 0; j < 6; j++)
			k[j] = (struct urt_case){ c[j], URT_RECV, &v, 0 };
		for (int j = 2; j < 5; j++)
			urt_chan_send(c[j], &v, 0);
		n[urt_select(k, 6, 0)]++;
	}
	/* 3000 each, and a standard deviation of 45. */
	for (int j = 2; j < 5; j++)
		ck_assert_msg(n[j] > 2700 && n[j] < 3300, "%d: %d", j, n[j]);
	for (int i = 0; i < 6; i++)
		urt_chan_free(c[i]);
}

static void send_1000(void *arg)
{
	for (int i = 0; i < 1000; i++)
		urt_chan_send(arg, &i, URT_NEVER);
}

CORO_TEST(select_that_waited_is_served_through_any_case)
{
	struct urt_chan *c = urt_chan_new(sizeof(int), 0);
	struct urt_coro *sender = urt_spawn(send_1000, c);
	int n[2] = { 0 }, v;

	for (int i = 0; i < 1000; i++) {
		struct urt_case k[2] = { { c, URT_RECV, &v, 0 },
					 { c, URT_RECV, &v, 0 } };

		n[urt_select(k, 2, URT_NEVER)]++;
	}
	ck_assert_int_gt(n[0], 400);
	ck_assert_int_gt(n[1], 400);
	urt_join(sender);
	urt_chan_free(c);
}

static int result;

/* ---- select ------------------------------------------------------------ */

static struct urt_chan *ch[3];

static void channels(size_t capacity)
{
	for (int i = 0; i < 3; i++)
		ch[i] = urt_chan_new(4, capacity);
}

static void channels_free(void)
{
	for (int i = 0; i < 3; i++)
		urt_chan_free(ch[i]);
}

CORO_TEST(select_takes_the_case_that_can_go_ahead)
{
	int in = 7, out = 0;
	struct urt_case c[3] = { { NULL, URT_RECV, NULL, 0 },
				 { NULL, URT_RECV, &out, 0 },
				 { NULL, URT_SEND, &in, 0 } };

	channels(1);
	c[0].chan = ch[0];
	c[1].chan = ch[1];
	c[2].chan = ch[2];
	urt_chan_send(ch[1], &in, URT_NEVER);
	urt_chan_send(ch[2], &in, URT_NEVER); /* full */
	ck_assert_int_eq(urt_select(c, 3, URT_NEVER), 1);
	ck_assert_int_eq(out, 7);
	ck_assert_int_eq(urt_select(c, 3, 0), -ETIME);
	urt_chan_recv(ch[2], &out, URT_NEVER);
	ck_assert_int_eq(urt_select(c, 3, URT_NEVER), 2);
	ck_assert_uint_eq(urt_chan_len(ch[2]), 1);
	urt_chan_close(ch[0]);
	ck_assert_int_eq(urt_select(c, 3, URT_NEVER), 0);
	ck_assert_int_eq(c[0].result, -EPIPE);
	urt_chan_recv(ch[2], NULL, 0);
	channels_free();
}

CORO_TEST(select_of_nothing_waits_for_its_deadline)
{
	struct urt_case c = { NULL, URT_RECV, NULL, 0 };
	int64_t begin = urt_now();

	ck_assert_int_eq(urt_select(NULL, 0, urt_after(2 * MS)), -ETIME);
	ck_assert_int_eq(urt_select(&c, 1, urt_after(2 * MS)), -ETIME);
	ck_assert_int_ge(urt_now() - begin, 4 * MS);
}

static void select_two(void *arg)
{
	struct urt_case c[2] = { { ch[0], URT_RECV, arg, 0 },
				 { ch[1], URT_SEND, arg, 0 } };

	result = urt_select(c, 2, URT_NEVER);
}

CORO_TEST(waiting_select_is_served_once_and_leaves_the_other_channels)
{
	int v = 1, w = 5;
	struct urt_coro *c;

	channels(0);
	c = urt_spawn(select_two, &v);
	until_parked(c, URT__R_SELECT);
	ck_assert_int_eq(urt_chan_send(ch[0], &w, URT_NEVER), 0);
	urt_join(c);
	ck_assert_int_eq(result, 0);
	ck_assert_int_eq(v, 5);
	/* Its offer on the other channel is withdrawn. */
	ck_assert_int_eq(urt_chan_recv(ch[1], &w, 0), -ETIME);
	c = urt_spawn(select_two, &v);
	until_parked(c, URT__R_SELECT);
	ck_assert_int_eq(urt_chan_recv(ch[1], &w, URT_NEVER), 0);
	urt_join(c);
	ck_assert_int_eq(result, 1);
	ck_assert_int_eq(urt_chan_send(ch[0], &w, 0), -ETIME);
	c = urt_spawn(select_two, &v);
	until_parked(c, URT__R_SELECT);
	urt_cancel(c);
	urt_join(c);
	ck_assert_int_eq(result, -ECANCELED);
	channels_free();
}

CORO_TEST(select_can_name_a_channel_more_than_once)
{
	int a = 1, b = 2, got = 0;
	struct urt_case c[3];

	channels(1);
	c[0] = (struct urt_case){ ch[0], URT_SEND, &a, 0 };
	c[1] = (struct urt_case){ ch[0], URT_SEND, &b, 0 };
	c[2] = (struct urt_case){ ch[0], URT_RECV, &got, 0 };
	for (int i = 0; i < 10; i++) {
		int sent = urt_select(c, 3, URT_NEVER);

		ck_assert(sent == 0 || sent == 1);
		ck_assert_int_eq(urt_select(c, 3, URT_NEVER), 2);
		ck_assert_int_eq(got, sent == 0 ? a : b);
	}
	channels_free();
}

CORO_TEST(select_is_fair_among_the_ready)
{
	enum { N = 3000 };
	int count[3] = { 0 };
	struct urt_case c[3];

	channels(1);
	for (int i = 0; i < 3; i++) {
		c[i] = (struct urt_case){ ch[i], URT_RECV, NULL, 0 };
		urt_chan_send(ch[i], &i, URT_NEVER);
	}
	for (int i = 0; i < N; i++) {
		int k = urt_select(c, 3, URT_NEVER);

		count[k]++;
		urt_chan_send(ch[k], &i, URT_NEVER);
	}
	for (int i = 0; i < 3; i++) /* 25 standard deviations off */
		ck_assert_int_gt(count[i], N / 3 - 650);
	channels_free();
}

CORO_TEST(select_works_with_many_cases)
{
	enum { MANY = 100 };
	struct urt_chan *many[MANY];
	struct urt_case c[MANY];
	int v = 3;

	for (int i = 0; i < MANY; i++) {
		many[i] = urt_chan_new(4, 1);
		c[i] = (struct urt_case){ many[i], URT_RECV, NULL, 0 };
	}
	urt_chan_send(many[77], &v, URT_NEVER);
	ck_assert_int_eq(urt_select(c, MANY, URT_NEVER), 77);
	ck_assert_int_eq(urt_select(c, MANY, urt_after(MS)), -ETIME);
	for (int i = 0; i < MANY; i++)
		urt_chan_free(many[i]);
}

Suite *select_suite(void)
{
	Suite *s = suite_create("select");
	TCase *t = tcase_create("select");

	tcase_add_test(t, select_takes_the_case_that_can_go_ahead);
	tcase_add_test(t, select_of_nothing_waits_for_its_deadline);
	tcase_add_test(
		t, waiting_select_is_served_once_and_leaves_the_other_channels);
	tcase_add_test(t, select_can_name_a_channel_more_than_once);
	tcase_add_test(t, select_is_fair_among_the_ready);
	tcase_add_test(t, select_works_with_many_cases);
	tcase_add_test(t, select_takes_ready_cases_with_equal_chance);
	tcase_add_test(t, select_that_waited_is_served_through_any_case);
	suite_add_tcase(s, t);
	return s;
}
