// SPDX-License-Identifier: MIT
/* Floor 4: sleep, deadlines, cancellation, operations on the ring. */
#define _GNU_SOURCE
#include "../../uring_rt/base/sys.h"
#include "../lib/workers.h"
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void pair(int fds[2])
{
	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

/* ---- sleep ---- */

/* Atomic, as two run at once after a hand-off. */
static int woken[10];
static _Atomic int nr_woken;
static int64_t sleep_begin;
static _Atomic bool was_late; /* timers of one look round have no order */

#define SLEEP_STEP (3 * MS)

static void sleep_and_note(void *arg)
{
	int i = (int)(intptr_t)arg;
	int64_t deadline_ns = sleep_begin + (i + 3) * SLEEP_STEP;

	if (urt_now() >= sleep_begin + SLEEP_STEP)
		was_late = true;
	ck_assert_int_eq(urt_sleep_until(deadline_ns), 0);
	ck_assert_int_ge(urt_now(), deadline_ns);
	woken[nr_woken++] = i;
	if (urt_now() >= deadline_ns + SLEEP_STEP)
		was_late = true;
}

CORO_TEST(sleepers_wake_in_the_order_of_their_deadlines)
{
	struct urt_coro *c[10];

	sleep_begin = urt_now();
	for (int i = 0; i < 10; i++)
		c[i] = urt_spawn(sleep_and_note, (void *)(intptr_t)(9 - i));
	for (int i = 0; i < 10; i++)
		urt_join(c[i]);
	ck_assert_int_eq(nr_woken, 10);
	if (was_late)
		SKIP("the machine was 3 ms late");
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(woken[i], i);
}

CORO_TEST(sleep_lasts_at_least_as_long_as_asked)
{
	for (int i = 0; i < 20; i++) {
		int64_t begin = urt_now();

		urt_sleep(MS / 2);
		ck_assert_int_ge(urt_now() - begin, MS / 2);
	}
}

CORO_TEST(deadline_in_the_past_does_not_sleep)
{
	int64_t begin;

	do { /* a busy machine may take its time */
		begin = urt_now();
		ck_assert_int_eq(urt_sleep_until(begin - 1000), 0);
		ck_assert_int_eq(urt_sleep(-5), 0);
	} while (urt_now() - begin >= 1000 * MS);
	ck_assert_int_eq(urt_after(INT64_MAX), URT_NEVER);
}

/* ---- cancellation ---- */

static int result;

static void sleep_long(void *arg)
{
	result = urt_sleep(3600000 * MS);
}

CORO_TEST(cancel_wakes_a_sleeper)
{
	struct urt_coro *c = urt_spawn(sleep_long, NULL);

	until_parked(c, URT__R_SLEEP);
	ck_assert_int_eq(urt_cancel(c), 0);
	ck_assert_int_eq(urt_cancel(c), 0);
	ck_assert_int_eq(urt_join(c), 0);
	ck_assert_int_eq(result, -ECANCELED);
}

CORO_TEST(cancel_before_the_start_cancels_the_first_wait)
{
	struct urt_coro *c = urt_spawn(sleep_long, NULL);

	urt_cancel(c);
	urt_join(c);
	ck_assert_int_eq(result, -ECANCELED);
}

static void join_it(void *arg)
{
	result = urt_join(arg);
}

CORO_TEST(cancelled_join_leaves_the_coroutine_to_be_joined)
{
	struct urt_coro *sleeper = urt_spawn(sleep_long, NULL);
	struct urt_coro *joiner = urt_spawn(join_it, sleeper);

	until_parked(joiner, URT__R_JOIN);
	until_parked(sleeper, URT__R_SLEEP); /* both write the result */
	urt_cancel(joiner);
	urt_join(joiner);
	ck_assert_int_eq(result, -ECANCELED);
	urt_cancel(sleeper);
	ck_assert_int_eq(urt_join(sleeper), 0);
}

static int fds[2];
static char buffer[64];

static void recv_it(void *arg)
{
	result = urt_recv(fds[0], buffer, sizeof(buffer), 0, URT_NEVER);
}

CORO_TEST(cancel_ends_an_operation_in_flight)
{
	struct urt_coro *c;

	pair(fds);
	c = urt_spawn(recv_it, NULL);
	until_parked(c, URT__R_IO);
	urt_sleep(MS); /* meanwhile the ring is entered */
	urt_cancel(c);
	ck_assert_int_eq(urt_join(c), 0);
	ck_assert_int_eq(result, -ECANCELED);
	/* The kernel has released the buffer, so later data are not lost. */
	ck_assert_int_eq(urt_send(fds[1], "later", 5, 0, URT_NEVER), 5);
	ck_assert_int_eq(urt_recv(fds[0], buffer, 64, 0, URT_NEVER), 5);
}

CORO_TEST(cancel_of_an_operation_not_yet_submitted_works)
{
	struct urt_coro *c;

	pair(fds);
	c = urt_spawn(recv_it, NULL);
	until_parked(c, URT__R_IO);
	urt_cancel(c);
	urt_join(c);
	ck_assert_int_eq(result, -ECANCELED);
}

static void close_in_cancelled(void *arg)
{
	int fd = under_a_high_number(dup(0));

	urt_sleep(3600000 * MS);
	ck_assert_int_eq(urt_close(fd), 0);
	result = fcntl(fd, F_GETFD);
}

CORO_TEST(close_works_in_a_cancelled_coroutine)
{
	struct urt_coro *c = urt_spawn(close_in_cancelled, NULL);

	urt_cancel(c);
	urt_join(c);
	ck_assert_int_eq(result, -1);
}

/* ---- deadlines on operations ---- */

CORO_TEST(deadline_ends_a_receive)
{
	int64_t begin = urt_now();

	pair(fds);
	ck_assert_int_eq(urt_recv(fds[0], buffer, 64, 0, urt_after(5 * MS)),
			 -ETIME);
	ck_assert_int_ge(urt_now() - begin, 5 * MS);
	ck_assert_int_eq(urt_send(fds[1], "abc", 3, 0, URT_NEVER), 3);
	ck_assert_int_eq(urt_recv(fds[0], buffer, 64, 0, URT_NEVER), 3);
}

CORO_TEST(passed_deadline_still_takes_what_is_there)
{
	pair(fds);
	ck_assert_int_eq(urt_recv(fds[0], buffer, 64, 0, 0), -ETIME);
	ck_assert_int_eq(urt_send(fds[1], "abc", 3, 0, URT_NEVER), 3);
	ck_assert_int_eq(urt_recv(fds[0], buffer, 64, 0, 0), 3);
}

CORO_TEST(deadline_that_is_far_away_does_no_harm)
{
	pair(fds);
	for (int i = 0; i < 1000; i++) {
		ck_assert_int_eq(
			urt_send(fds[1], "x", 1, 0, urt_after(3600000 * MS)),
			1);
		ck_assert_int_eq(
			urt_recv(fds[0], buffer, 1, 0, urt_after(3600000 * MS)),
			1);
	}
}

/* Many operations whose deadlines pass at once, on a ring of 64 entries. */
static _Atomic long timed_out;
static int64_t at_once_ns;

static void recv_until(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char c;
	ssize_t n = urt_recv(fd, &c, 1, 0, at_once_ns);

	ck_assert_int_eq(n, -ETIME);
	timed_out++;
}

static void expire_together(void *arg)
{
	enum { N = TSANITIZED ? 2000 : 100000 };
	struct urt_coro **c = calloc(N, sizeof(*c));

	pair(fds);
	at_once_ns = urt_after(300 * MS);
	for (int i = 0; i < N; i++) {
		c[i] = urt_spawn(recv_until, (void *)(intptr_t)fds[0]);
		ck_assert_ptr_nonnull(c[i]);
	}
	for (int i = 0; i < N; i++)
		ck_assert_int_eq(urt_join(c[i]), 0);
	ck_assert_int_eq(timed_out, N);
	free(c);
}

START_TEST(hundred_thousand_deadlines_at_once_lose_nothing_on_a_small_ring)
{
	struct urt_options o = { .ring_entries = 64, .workers = 1 };

	ck_assert_int_eq(urt_run_with(expire_together, NULL, &o), 0);
}
END_TEST

/* ---- operations ---- */

CORO_TEST(files_are_written_and_read_at_offsets)
{
	char path[] = "/tmp/urt-test.XXXXXX", buf[16] = "";
	int fd = under_a_high_number(mkstemp(path));

	unlink(path);
	ck_assert_int_eq(urt_write(fd, "hello ", 6, URT_NEVER), 6);
	ck_assert_int_eq(urt_write(fd, "world", 5, URT_NEVER), 5);
	ck_assert_int_eq(urt_pwrite(fd, "W", 1, 6, URT_NEVER), 1);
	ck_assert_int_eq(urt_pread(fd, buf, 5, 6, URT_NEVER), 5);
	ck_assert_str_eq(buf, "World");
	lseek(fd, 0, SEEK_SET);
	ck_assert_int_eq(urt_read(fd, buf, 5, URT_NEVER), 5);
	ck_assert_int_eq(memcmp(buf, "hello", 5), 0);
	ck_assert_int_eq(urt_pread(fd, buf, 5, 100, URT_NEVER), 0);
	ck_assert_int_eq(urt_pread(fd, buf, 5, -1, URT_NEVER), -EINVAL);
	ck_assert_int_eq(urt_close(fd), 0);
	ck_assert_int_eq(urt_close(fd), -EBADF);
	ck_assert_int_eq(urt_read(fd, buf, 5, URT_NEVER), -EBADF);
}

static void write_soon(void *arg)
{
	urt_sleep(2 * MS);
	urt_write(fds[1], "x", 1, URT_NEVER);
}

CORO_TEST(non_blocking_descriptor_waits_like_others)
{
	char c;

	ck_assert_int_eq(pipe2(fds, O_NONBLOCK), 0);
	urt_go(write_soon, NULL);
	ck_assert_int_eq(urt_read(fds[0], &c, 1, URT_NEVER), 1);
	ck_assert_int_eq(urt_read(fds[0], &c, 1, urt_after(MS)), -ETIME);
}

CORO_TEST(receive_that_must_not_wait_does_not)
{
	pair(fds);
	ck_assert_int_eq(urt_recv(fds[0], buffer, 1, MSG_DONTWAIT, URT_NEVER),
			 -EAGAIN);
}

CORO_TEST(poll_tells_what_is_ready)
{
	pair(fds);
	ck_assert_int_eq(urt_poll(fds[0], POLLIN, urt_after(MS)), -ETIME);
	ck_assert_int_eq(urt_poll(fds[0], POLLOUT, URT_NEVER), POLLOUT);
	urt_go(write_soon, NULL);
	ck_assert_int_eq(urt_poll(fds[0], POLLIN, URT_NEVER), POLLIN);
}

static int listener;

static void echo_client(void *arg)
{
	struct sockaddr_in *addr = arg;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char out[32], in[32];

	ck_assert_int_eq(urt_connect(fd, (struct sockaddr *)addr, sizeof(*addr),
				     URT_NEVER),
			 0);
	for (int i = 0; i < 20; i++) {
		size_t len = snprintf(out, sizeof(out), "message %d", i);

		ck_assert_int_eq(urt_send(fd, out, len, 0, URT_NEVER), len);
		for (size_t got = 0; got < len;) {
			ssize_t n =
				urt_recv(fd, in + got, len - got, 0, URT_NEVER);
			ck_assert_int_gt(n, 0);
			got += n;
		}
		ck_assert_int_eq(memcmp(in, out, len), 0);
	}
	urt_close(fd);
}

static void echo_connection(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[256];
	ssize_t n;

	while ((n = urt_recv(fd, buf, sizeof(buf), 0, URT_NEVER)) > 0)
		ck_assert_int_eq(urt_send(fd, buf, n, 0, URT_NEVER), n);
	ck_assert_int_eq(n, 0);
	urt_close(fd);
}

static void echo_server(void *arg)
{
	int fd;

	while ((fd = urt_accept(listener, NULL, NULL, SOCK_CLOEXEC,
				URT_NEVER)) >= 0)
		urt_go(echo_connection, (void *)(intptr_t)fd);
	ck_assert_int_eq(fd, -ECANCELED);
}

CORO_TEST(hundred_clients_are_echoed)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	struct urt_coro *server, *client[100];

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&addr, len), 0);
	ck_assert_int_eq(listen(listener, 128), 0);
	getsockname(listener, (struct sockaddr *)&addr, &len);
	server = urt_spawn(echo_server, NULL);
	for (int i = 0; i < 100; i++)
		client[i] = urt_spawn(echo_client, &addr);
	for (int i = 0; i < 100; i++)
		urt_join(client[i]);
	urt_cancel(server);
	urt_join(server);
	urt_close(listener);
}

CORO_TEST(refused_connection_says_so)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_port = htons(1) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(urt_connect(fd, (struct sockaddr *)&addr, sizeof(addr),
				     URT_NEVER),
			 -ECONNREFUSED);
	urt_close(fd);
}

CORO_TEST(errno_is_this_threads_own)
{
	errno = 5;
	ck_assert_int_eq(*urt_errno_location(), 5);
	close(-1);
	ck_assert_int_eq(errno, EBADF);
	ck_assert_int_eq(urt_close(-1), -EBADF);
}

/* The kernel does so by itself when it cannot make a thread (6.1, 100 reads of
 * pipes at once while children start). */
CORO_TEST(operation_that_the_kernel_gives_up_is_asked_for_again)
{
	struct urt__sys_fault *f = &urt__sys_faults[URT__SYS_OPERATION];
	char c = 0;

	ck_assert_int_eq(pipe(fds), 0);
	f->err = ECANCELED;
	f->times = 3;
	f->countdown = 1;
	ck_assert_int_eq(urt_write(fds[1], "x", 1, URT_NEVER), 1);
	f->countdown = 1;
	ck_assert_int_eq(urt_read(fds[0], &c, 1, URT_NEVER), 1);
	ck_assert_int_eq(c, 'x');
	f->countdown = 1;
	ck_assert_int_eq(urt_poll(fds[1], POLLOUT, URT_NEVER), POLLOUT);
	f->countdown = 1;
	ck_assert_int_eq(urt_close(fds[0]), 0);
	ck_assert_int_eq(f->hits, 12);
	ck_assert_int_eq(close(fds[0]), -1);
	urt_close(fds[1]);
}

Suite *wait_suite(void)
{
	Suite *s = suite_create("wait");
	TCase *t = tcase_create("time");

	tcase_add_test(t, sleepers_wake_in_the_order_of_their_deadlines);
	tcase_add_test(t, sleep_lasts_at_least_as_long_as_asked);
	tcase_add_test(t, deadline_in_the_past_does_not_sleep);
	suite_add_tcase(s, t);
	t = tcase_create("cancel");
	tcase_add_test(t, cancel_wakes_a_sleeper);
	tcase_add_test(t, cancel_before_the_start_cancels_the_first_wait);
	tcase_add_test(t, cancelled_join_leaves_the_coroutine_to_be_joined);
	tcase_add_test(t, cancel_ends_an_operation_in_flight);
	tcase_add_test(t, cancel_of_an_operation_not_yet_submitted_works);
	tcase_add_test(t, close_works_in_a_cancelled_coroutine);
	suite_add_tcase(s, t);
	t = tcase_create("deadlines");
	tcase_add_test(t, deadline_ends_a_receive);
	tcase_add_test(t, passed_deadline_still_takes_what_is_there);
	tcase_add_test(t, deadline_that_is_far_away_does_no_harm);
	tcase_add_test(
		t,
		hundred_thousand_deadlines_at_once_lose_nothing_on_a_small_ring);
	suite_add_tcase(s, t);
	t = tcase_create("operations");
	tcase_add_test(t,
		       operation_that_the_kernel_gives_up_is_asked_for_again);
	tcase_add_test(t, files_are_written_and_read_at_offsets);
	tcase_add_test(t, non_blocking_descriptor_waits_like_others);
	tcase_add_test(t, receive_that_must_not_wait_does_not);
	tcase_add_test(t, poll_tells_what_is_ready);
	tcase_add_test(t, hundred_clients_are_echoed);
	tcase_add_test(t, refused_connection_says_so);
	tcase_add_test(t, errno_is_this_threads_own);
	suite_add_tcase(s, t);
	return s;
}
