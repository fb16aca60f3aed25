// SPDX-License-Identifier: MIT
/*
 * The whole runtime at random: coroutines that send, receive, lock, sleep, read
 * and write with deadlines, and are cancelled at any moment. What must be true
 * at the end whatever happened: everything sent was received exactly once or is
 * still queued, no mutex is left locked, every coroutine ended, every byte
 * written to a socket was read.
 */
#define _GNU_SOURCE
#include "../uring_rt/urt.h"
#include "test.h"
#include <sys/socket.h>
#include <unistd.h>

enum { CORO = 40, CHANS = 5, PAIRS = 4, STEPS = 400 };

static struct urt_chan *chan[CHANS];
static struct urt_mutex mutex[2] = { URT_MUTEX_INIT, URT_MUTEX_INIT };
static int sock[PAIRS][2];
static long held[2];
static uint64_t sent_sum, received_sum;
static long sent, received, bytes_out, bytes_in, cancelled, timed_out;

static void tally(int ret)
{
	cancelled += ret == -ECANCELED;
	timed_out += ret == -ETIME;
	ck_assert_msg(ret >= 0 || ret == -ECANCELED || ret == -ETIME,
		      "error %d", ret);
}

static int64_t some_deadline(uint64_t *r)
{
	switch (rnd(r) % 4) {
	case 0:
		return 0;
	case 1:
		return urt_after(rnd(r) % 50000);
	default:
		return urt_after(rnd(r) % (2 * MS));
	}
}

static void step_send(uint64_t *r)
{
	uint64_t v = rnd(r);
	int ret = urt_chan_send(chan[rnd(r) % CHANS], &v, some_deadline(r));

	tally(ret);
	if (!ret) {
		sent++;
		sent_sum += v;
	}
}

static void step_recv(uint64_t *r)
{
	uint64_t v;
	int ret = urt_chan_recv(chan[rnd(r) % CHANS], &v, some_deadline(r));

	tally(ret);
	if (!ret) {
		received++;
		received_sum += v;
	}
}

static void step_lock(uint64_t *r)
{
	int i = rnd(r) % 2;
	int ret = urt_mutex_lock(&mutex[i], some_deadline(r));

	tally(ret);
	if (ret)
		return;
	ck_assert_int_eq(held[i]++, 0);
	if (rnd(r) % 2)
		urt_yield();
	if (rnd(r) % 8 == 0)
		tally(urt_sleep(rnd(r) % 20000));
	held[i]--;
	urt_mutex_unlock(&mutex[i]);
}

static void step_socket(uint64_t *r)
{
	int *s = sock[rnd(r) % PAIRS];
	char buf[64] = { 0 };
	size_t len = 1 + rnd(r) % sizeof(buf);
	ssize_t n;

	if (rnd(r) % 2) {
		n = urt_send(s[1], buf, len, 0, some_deadline(r));
		bytes_out += n > 0 ? n : 0;
	} else {
		n = urt_recv(s[0], buf, len, 0, some_deadline(r));
		bytes_in += n > 0 ? n : 0;
	}
	tally(n);
}

static void member(void *arg)
{
	uint64_t r = *(uint64_t *)arg;

	for (int i = 0; i < STEPS; i++) {
		switch (rnd(&r) % 6) {
		case 0:
			step_send(&r);
			break;
		case 1:
			step_recv(&r);
			break;
		case 2:
			step_lock(&r);
			break;
		case 3:
			step_socket(&r);
			break;
		case 4:
			tally(urt_sleep(rnd(&r) % 100000));
			break;
		default:
			urt_yield();
		}
	}
}

static void drain(void)
{
	char buf[4096];
	uint64_t v;
	ssize_t n;

	for (int i = 0; i < CHANS; i++) {
		while (!urt_chan_recv(chan[i], &v, 0)) {
			received++;
			received_sum += v;
		}
		urt_chan_free(chan[i]);
	}
	for (int i = 0; i < PAIRS; i++) {
		while ((n = recv(sock[i][0], buf, sizeof(buf), MSG_DONTWAIT)) >
		       0)
			bytes_in += n;
		close(sock[i][0]);
		close(sock[i][1]);
	}
}

static void whole(void *arg)
{
	uint64_t r = *(uint64_t *)arg, seeds[CORO];
	struct urt_coro *c[CORO];

	for (int i = 0; i < CHANS; i++)
		chan[i] = urt_chan_new(8, i);
	for (int i = 0; i < PAIRS; i++)
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sock[i]),
				 0);
	for (int i = 0; i < CORO; i++) {
		seeds[i] = rnd(&r) | 1;
		c[i] = urt_spawn(member, &seeds[i]);
	}
	for (int i = 0; i < CORO; i += 3) {
		urt_sleep(rnd(&r) % (5 * MS));
		urt_cancel(c[i]);
	}
	for (int i = 0; i < CORO; i++)
		ck_assert_int_eq(urt_join(c[i]), 0);
	drain();
	ck_assert_int_eq(sent, received);
	ck_assert_uint_eq(sent_sum, received_sum);
	ck_assert_int_eq(bytes_out, bytes_in);
	ck_assert(urt_mutex_trylock(&mutex[0]));
	ck_assert(urt_mutex_trylock(&mutex[1]));
	ck_assert_int_gt(cancelled, 0);
	ck_assert_int_gt(timed_out, 0);
}

START_TEST(whatever_happens_nothing_is_lost)
{
	uint64_t r = seed() + _i * 7919;
	struct urt_options o = { .ring_entries = _i % 2 ? 4 : 256 };

	if (!r)
		r = 1;
	ck_assert_int_eq(urt_run_with(whole, &r, &o), 0);
}
END_TEST

Suite *stress_suite(void)
{
	Suite *s = suite_create("stress");
	TCase *t = tcase_create("random");
	const char *rounds = getenv("URT_STRESS_ROUNDS");

	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, whatever_happens_nothing_is_lost, 0,
			    rounds ? atoi(rounds) : 6);
	suite_add_tcase(s, t);
	return s;
}
