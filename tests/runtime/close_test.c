// SPDX-License-Identifier: MIT
/*
 * Closing a descriptor for which others wait: by the ring, and without the
 * ring's operation.
 */
#define _GNU_SOURCE
#include "../../uring_rt/sched/sched.h"
#include "../lib/sockets.h"
#include "../lib/workers.h"

/* ---- closing ---- */

static int listening;
static long ended;

static void count_end(int ret)
{
	ck_assert_int_eq(ret, -ECANCELED);
	__atomic_fetch_add(&ended, 1, __ATOMIC_RELAXED);
}

static void waits_to_receive(void *arg)
{
	char c;

	count_end(urt_recv(fds[0], &c, 1, 0, never));
}

static void waits_to_read(void *arg)
{
	char c;
	struct iovec v = { &c, 1 };

	count_end(urt_readv(fds[0], &v, 1, urt_after(3600000 * MS)));
}

static void waits_to_poll(void *arg)
{
	count_end(urt_poll(fds[0], POLLIN, never));
}

static void waits_for_a_piece(void *arg)
{
	void *data;

	count_end(urt_recv_lent(fds[0], &data, 0, never));
	ck_assert_ptr_null(data);
}

static void waits_to_accept(void *arg)
{
	count_end(urt_accept(listening, NULL, NULL, 0, never));
}

static void close_under_them(void *arg)
{
	urt_fn *kinds[] = { waits_to_receive, waits_to_read, waits_to_poll,
			    waits_for_a_piece, waits_to_accept };
	enum { EACH = 20, N = 5 * EACH };
	struct urt_coro *c[N];
	uint64_t before;
	int t[3];

	ended = 0;
	pair();
	fds[0] = under_a_high_number(fds[0]);
	tcp_pair(t);
	listening = t[0];
	before = counter(URT__STAT_PARKS_IO);
	for (int i = 0; i < N; i++)
		c[i] = urt_spawn(kinds[i % 5], NULL);
	wait_for_count(URT__STAT_PARKS_IO, before + N);
	ck_assert_int_eq(urt_close(fds[0]), 0);
	ck_assert_int_eq(urt_close(listening), 0);
	for (int i = 0; i < N; i++)
		urt_join(c[i]);
	ck_assert_int_eq(ended, N);
	ck_assert_int_eq(urt_close(fds[0]), -EBADF);
	for (int i = 1; i < 3; i++)
		urt_close(t[i]);
	urt_close(fds[1]);
}

START_TEST(close_ends_the_calls_that_wait_for_the_descriptor)
{
	with_mask(0, _i, close_under_them);
}
END_TEST

CORO_TEST(close_of_a_non_blocking_descriptor_ends_its_waiters_too)
{
	struct urt_coro *c;

	pair();
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	c = urt_spawn(waits_to_receive, NULL);
	until_parked(c, URT__R_IO);
	ck_assert_int_eq(urt_close(fds[0]), 0);
	urt_join(c);
	urt_close(fds[1]);
}

/*
 * Several coroutines wait for one descriptor in every way, with short
 * deadlines, while another one sends, cancels some of them, and closes the
 * descriptor, whose number another file gets at once. The ring has 8 entries.
 * All must return, and receive only what was sent.
 */
#define PAIRS 24

struct bearer {
	int fd[2];
	uint64_t seed;
};

static _Atomic bool closing_over;
static _Atomic long received;

static ssize_t receive_somehow(int fd, unsigned how, int64_t deadline_ns)
{
	char buf[64] = "q";
	void *data;
	ssize_t n;

	if (how == 0)
		return urt_poll(fd, POLLIN, deadline_ns);
	if (how == 1) {
		n = urt_recv_lent(fd, &data, 0, deadline_ns);
		ck_assert(n <= 0 || *(char *)data == 'q');
		urt_yield();
		urt_lent_return(data);
		return n;
	}
	if (how == 2)
		return urt_read(fd, buf, sizeof(buf), deadline_ns);
	n = urt_recv(fd, buf, sizeof(buf), 0, deadline_ns);
	ck_assert(n <= 0 || buf[0] == 'q');
	return n;
}

static void receives_at_random(void *arg)
{
	struct bearer *b = arg;
	uint64_t r = b->seed + urt_id(urt_self());
	ssize_t n;

	do {
		n = receive_somehow(b->fd[0], rnd(&r) % 4,
				    urt_after(rnd(&r) % 400000));
		received += n > 0;
	} while (n > 0 || n == -ETIME);
}

static void sends_at_random(void *arg)
{
	struct bearer *b = arg;

	for (int i = 0; i < 20; i++) {
		ssize_t n = urt_send(b->fd[1], "qqqqqqqq", 8, MSG_NOSIGNAL,
				     urt_after(100000));

		if (n < 0 && n != -ETIME)
			return;
		if (i % 3 == 0)
			urt_yield();
	}
}

static void bears_and_closes(void *arg)
{
	struct bearer b = { .seed = (uintptr_t)arg };
	uint64_t r = b.seed;
	struct urt_coro *c[4];

	while (!closing_over) {
		int type = SOCK_STREAM | (rnd(&r) % 2 ? SOCK_NONBLOCK : 0);

		pair_of(type, b.fd);
		for (int i = 0; i < 3; i++)
			c[i] = urt_spawn(receives_at_random, &b);
		c[3] = urt_spawn(sends_at_random, &b);
		urt_sleep(rnd(&r) % 600000);
		if (rnd(&r) % 2)
			urt_cancel(c[rnd(&r) % 3]);
		ck_assert_int_eq(urt_close(b.fd[0]), 0);
		for (int i = 0; i < 4; i++)
			urt_join(c[i]);
		ck_assert_int_eq(urt_close(b.fd[1]), 0);
	}
}

static void closes_at_random(void *arg)
{
	uint64_t r = seed();
	struct urt_coro *c[PAIRS];
	const char *ms = getenv("URT_STRESS_MS");

	closing_over = false;
	received = 0;
	for (int i = 0; i < PAIRS; i++)
		c[i] = urt_spawn(bears_and_closes,
				 (void *)(uintptr_t)(rnd(&r) | 1));
	urt_sleep((ms ? atoi(ms) : 700) * MS);
	while (!received)
		urt_sleep(MS);
	closing_over = true;
	for (int i = 0; i < PAIRS; i++)
		urt_join(c[i]);
}

START_TEST(closes_and_waits_at_random_end)
{
	struct urt_options o = { .workers = _i, .ring_entries = 8 };

	ck_assert_msg(!urt_run_with(closes_at_random, NULL, &o), "%s",
		      urt_why());
}
END_TEST

/* The reader begins just when another worker closes. */
static int closing_fd;

static _Atomic int both_here;

static void receives_at_that_moment(void *arg)
{
	char c;
	int ret;

	both_here++;
	while (both_here < 2)
		urt_yield();
	for (volatile unsigned i = 0; i < (uintptr_t)arg % 3000; i++)
		;
	ret = urt_recv(closing_fd, &c, 1, 0, never);
	ck_assert_msg(ret == -ECANCELED || ret == -EBADF, "%d", ret);
}

static void closes_at_that_moment(void *arg)
{
	uint64_t r = seed();
	enum { ROUNDS = SANITIZED ? 1000 : 8000 };

	for (int n = 0; n < ROUNDS; n++) {
		struct urt_coro *c;

		pair();
		closing_fd = fds[0] = under_a_high_number(fds[0]);
		both_here = 0;
		c = urt_spawn(receives_at_that_moment,
			      (void *)(uintptr_t)rnd(&r));
		both_here++;
		while (both_here < 2)
			urt_yield();
		for (volatile unsigned i = 0; i < rnd(&r) % 3000; i++)
			;
		ck_assert_int_eq(urt_close(fds[0]), 0);
		urt_join(c);
		close(fds[1]);
	}
}

START_TEST(wait_that_begins_while_the_descriptor_is_closed_ends)
{
	with_mask(0, 2, closes_at_that_moment);
}
END_TEST

/* ---- calls that wait as their namesakes do ----------------------------- */

static ssize_t wrote;

static void write_much(void *arg)
{
	static char b[8 << 20];

	(void)arg;
	wrote = urt_write(fds[0], b, sizeof(b), URT_NEVER);
}

/* The next file with this number must not get the rest. */
CORO_TEST(close_ends_a_writer_that_had_sent_a_part)
{
	struct urt_coro *c;
	char b[65536];
	int other[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	c = urt_spawn(write_much, NULL);
	until_parked(c, URT__R_IO);
	ck_assert_int_gt(urt_recv(fds[1], b, sizeof(b), 0, URT_NEVER), 0);
	urt_close(fds[0]);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, other), 0);
	urt_join(c);
	ck_assert_int_gt(wrote, 0);
	ck_assert_int_lt(wrote, 8 << 20);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(recv(other[i], b, sizeof(b), MSG_DONTWAIT),
				 -1);
}

Suite *close_suite(void)
{
	Suite *s = suite_create("close");
	TCase *t = tcase_create("close");

	tcase_add_loop_test(
		t, close_ends_the_calls_that_wait_for_the_descriptor, 1, 4);
	tcase_add_test(t,
		       close_of_a_non_blocking_descriptor_ends_its_waiters_too);
	tcase_add_loop_test(t, closes_and_waits_at_random_end, 1, 5);
	tcase_add_test(t, wait_that_begins_while_the_descriptor_is_closed_ends);
	tcase_add_test(t, close_ends_a_writer_that_had_sent_a_part);
	suite_add_tcase(s, t);
	return s;
}
