// SPDX-License-Identifier: MIT
/* Floor 5: channels, on one worker. */
#include "../lib/workers.h"

static struct urt_chan *ch;
static _Atomic int result;

/* ---- channels ---- */

static void send_1_to_100(void *arg)
{
	for (int i = 1; i <= 100; i++)
		ck_assert_int_eq(urt_chan_send(ch, &i, URT_NEVER), 0);
	urt_chan_close(ch);
}

static void expect_1_to_100(size_t capacity)
{
	struct urt_coro *c;
	int v;

	ch = urt_chan_new(sizeof(int), capacity);
	c = urt_spawn(send_1_to_100, NULL);
	for (int i = 1; i <= 100; i++) {
		ck_assert_int_eq(urt_chan_recv(ch, &v, URT_NEVER), 0);
		ck_assert_int_eq(v, i);
	}
	ck_assert_int_eq(urt_chan_recv(ch, &v, URT_NEVER), -EPIPE);
	urt_join(c);
	urt_chan_free(ch);
}

CORO_TEST(chan_keeps_the_order_at_any_capacity)
{
	size_t capacity[] = { 0, 1, 2, 7, 100, 1000 };

	for (unsigned i = 0; i < ARRAY_LEN(capacity); i++)
		expect_1_to_100(capacity[i]);
}

static void send_one(void *arg)
{
	int v = (int)(intptr_t)arg;

	result = urt_chan_send(ch, &v, URT_NEVER);
}

CORO_TEST(chan_waiting_senders_keep_their_order)
{
	struct urt_coro *c[6];
	int v;

	ch = urt_chan_new(sizeof(int), 2);
	for (int i = 0; i < 6; i++) {
		c[i] = urt_spawn(send_one, (void *)(intptr_t)i);
		if (i < 2) /* there is room */
			urt_join(c[i]);
		else
			until_parked(c[i], URT__R_CHAN_SEND);
	}
	for (int i = 0; i < 6; i++) {
		ck_assert_int_eq(urt_chan_recv(ch, &v, URT_NEVER), 0);
		ck_assert_int_eq(v, i);
	}
	for (int i = 2; i < 6; i++)
		urt_join(c[i]);
	urt_chan_free(ch);
}

CORO_TEST(chan_rendezvous_does_not_store)
{
	int v = 1;

	ch = urt_chan_new(sizeof(int), 0);
	ck_assert_int_eq(urt_chan_send(ch, &v, urt_after(MS)), -ETIME);
	ck_assert_uint_eq(urt_chan_len(ch), 0);
	ck_assert_int_eq(urt_chan_recv(ch, &v, urt_after(MS)), -ETIME);
	urt_chan_free(ch);
}

CORO_TEST(chan_with_a_passed_deadline_only_tries)
{
	int v = 7;

	ch = urt_chan_new(sizeof(int), 1);
	ck_assert_int_eq(urt_chan_recv(ch, &v, 0), -ETIME);
	ck_assert_int_eq(urt_chan_send(ch, &v, 0), 0);
	ck_assert_int_eq(urt_chan_send(ch, &v, 0), -ETIME);
	ck_assert_int_eq(urt_chan_recv(ch, &v, 0), 0);
	urt_chan_free(ch);
}

CORO_TEST(chan_send_on_closed_returns_epipe)
{
	int v = 1;

	ch = urt_chan_new(sizeof(int), 4);
	ck_assert_int_eq(urt_chan_send(ch, &v, URT_NEVER), 0);
	urt_chan_close(ch);
	urt_chan_close(ch);
	ck_assert_int_eq(urt_chan_send(ch, &v, URT_NEVER), -EPIPE);
	ck_assert_int_eq(urt_chan_recv(ch, &v, URT_NEVER), 0);
	ck_assert_int_eq(urt_chan_recv(ch, &v, URT_NEVER), -EPIPE);
	urt_chan_free(ch);
}

CORO_TEST(chan_close_wakes_a_waiting_sender)
{
	struct urt_coro *c;

	ch = urt_chan_new(sizeof(int), 0);
	c = urt_spawn(send_one, NULL);
	until_parked(c, URT__R_CHAN_SEND);
	urt_chan_close(ch);
	urt_join(c);
	ck_assert_int_eq(result, -EPIPE);
	urt_chan_free(ch);
}

static void recv_one(void *arg)
{
	int v;

	result = urt_chan_recv(ch, &v, URT_NEVER);
}

CORO_TEST(chan_cancel_takes_a_waiter_off)
{
	struct urt_coro *c;
	int v = 5;

	ch = urt_chan_new(sizeof(int), 1);
	c = urt_spawn(recv_one, NULL);
	until_parked(c, URT__R_CHAN_RECV);
	urt_cancel(c);
	/* It must not receive an element that is sent after it was
	 * cancelled. */
	ck_assert_int_eq(urt_chan_send(ch, &v, URT_NEVER), 0);
	urt_join(c);
	ck_assert_int_eq(result, -ECANCELED);
	ck_assert_uint_eq(urt_chan_len(ch), 1);
	urt_chan_free(ch);
}

CORO_TEST(chan_what_was_received_counts_though_cancelled_after)
{
	struct urt_coro *c;
	int v = 5;

	ch = urt_chan_new(sizeof(int), 0);
	c = urt_spawn(recv_one, NULL);
	until_parked(c, URT__R_CHAN_RECV);
	ck_assert_int_eq(urt_chan_send(ch, &v, URT_NEVER), 0);
	urt_cancel(c);
	urt_join(c);
	ck_assert_int_eq(result, 0);
	urt_chan_free(ch);
}

CORO_TEST(chan_of_nothing_counts_events)
{
	ch = urt_chan_new(0, 3);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(urt_chan_send(ch, NULL, 0), 0);
	ck_assert_int_eq(urt_chan_send(ch, NULL, 0), -ETIME);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(urt_chan_recv(ch, NULL, 0), 0);
	urt_chan_free(ch);
	ch = urt_chan_new(8, 1);
	ck_assert_int_eq(urt_chan_send(ch, &(int64_t){ 5 }, 0), 0);
	ck_assert_int_eq(urt_chan_recv(ch, NULL, 0), 0);
	urt_chan_free(ch);
}

START_TEST(chan_of_impossible_size_is_refused)
{
	ck_assert_ptr_null(urt_chan_new(SIZE_MAX / 2, 4));
	ck_assert_ptr_null(urt_chan_new(1, SIZE_MAX));
	urt_chan_free(NULL);
}
END_TEST

Suite *chan_suite(void)
{
	Suite *s = suite_create("chan");
	TCase *t = tcase_create("chan");

	tcase_add_test(t, chan_keeps_the_order_at_any_capacity);
	tcase_add_test(t, chan_waiting_senders_keep_their_order);
	tcase_add_test(t, chan_rendezvous_does_not_store);
	tcase_add_test(t, chan_with_a_passed_deadline_only_tries);
	tcase_add_test(t, chan_send_on_closed_returns_epipe);
	tcase_add_test(t, chan_close_wakes_a_waiting_sender);
	tcase_add_test(t, chan_cancel_takes_a_waiter_off);
	tcase_add_test(t, chan_what_was_received_counts_though_cancelled_after);
	tcase_add_test(t, chan_of_nothing_counts_events);
	tcase_add_test(t, chan_of_impossible_size_is_refused);
	suite_add_tcase(s, t);
	return s;
}
