// SPDX-License-Identifier: MIT
/*
 * Floor 4: what goes on between operations and descriptors: closing one that
 * others wait for, lent buffers, registered files and memory, futexes, epoll
 * instances, zero copy. By the ring, and where it does not know the operation.
 */
#define _GNU_SOURCE
#include "../uring_rt/urt.h"
#include "test.h"
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

static const int64_t never = URT_NEVER;
static int fds[2];

static void pair(void)
{
	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

/* A connection over loopback: [0] accepted, [1] connected. */
static void tcp_pair(int listener_and_pair[3])
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int l = urt_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_ge(l, 0);
	ck_assert_int_eq(urt_setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, 4),
			 0);
	ck_assert_int_eq(urt_bind(l, (void *)&a, sizeof(a)), 0);
	ck_assert_int_eq(urt_bind(l, (void *)&a, sizeof(a)), -EINVAL);
	ck_assert_int_eq(urt_listen_on(l, 16), 0);
	ck_assert_int_eq(getsockname(l, (void *)&a, &len), 0);
	listener_and_pair[2] = urt_socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(
		urt_connect(listener_and_pair[2], (void *)&a, len, never), 0);
	listener_and_pair[1] = urt_accept(l, NULL, NULL, SOCK_CLOEXEC, never);
	ck_assert_int_ge(listener_and_pair[1], 0);
	listener_and_pair[0] = l;
}

static const char *const masks[] = { "", "-file_ops,-buffer_pieces" };

static void with_mask(int i, unsigned workers, urt_fn *fn)
{
	struct urt_options o = { .workers = workers };

	setenv("URT_FEATURES", masks[i], 1);
	ck_assert_msg(!urt_run_with(fn, NULL, &o), "%s", urt_why());
}

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
	int t[3];

	ended = 0;
	pair();
	tcp_pair(t);
	listening = t[0];
	for (int i = 0; i < N; i++)
		c[i] = urt_spawn(kinds[i % 5], NULL);
	urt_sleep(2 * MS);
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
	urt_sleep(MS);
	ck_assert_int_eq(urt_close(fds[0]), 0);
	urt_join(c);
	urt_close(fds[1]);
}

/*
 * A number that is used again at once must never be met by those who waited
 * for its last bearer. Some close, some wait, some do both, on few numbers.
 */
#define SLOTS 4
static struct {
	_Atomic int fd;
	_Atomic int64_t bearer;
} slot[SLOTS];
static atomic_int closing_over;

static void receives_at_random(void *arg)
{
	uint64_t r = (uintptr_t)arg;
	char c;

	while (!closing_over) {
		int i = rnd(&r) % SLOTS;
		int ret = urt_recv(slot[i].fd, &c, 1, 0,
				   urt_after(rnd(&r) % 300000));

		ck_assert_msg(ret == -ETIME || ret == -ECANCELED ||
				      ret == -EBADF || ret == 0,
			      "%d", ret);
	}
}

static void closes_at_random(void *arg)
{
	uint64_t s = seed(), r = s;
	enum { READERS = 12, ROUNDS = SANITIZED ? 1000 : 5000 };
	struct urt_coro *c[READERS];
	int other[SLOTS];

	for (int i = 0; i < SLOTS; i++) {
		pair();
		slot[i].fd = fds[0];
		other[i] = fds[1];
	}
	closing_over = 0;
	for (int i = 0; i < READERS; i++)
		c[i] = urt_spawn(receives_at_random,
				 (void *)(uintptr_t)(rnd(&r) | 1));
	for (int n = 0; n < ROUNDS; n++) {
		int i = rnd(&r) % SLOTS;

		ck_assert_int_eq(urt_close(slot[i].fd), 0);
		urt_close(other[i]);
		pair();
		other[i] = fds[1];
		slot[i].fd = fds[0];
		if (rnd(&r) % 4 == 0)
			urt_sleep(rnd(&r) % 100000);
	}
	closing_over = 1;
	for (int i = 0; i < READERS; i++)
		urt_join(c[i]);
	for (int i = 0; i < SLOTS; i++) {
		urt_close(slot[i].fd);
		urt_close(other[i]);
	}
}

START_TEST(closing_and_waiting_at_random_ends)
{
	with_mask(0, _i, closes_at_random);
}
END_TEST

/* ---- lent buffers ---- */

static void sends_numbers(void *arg)
{
	uint32_t n = (uintptr_t)arg;

	for (uint32_t i = 0; i < n; i++)
		ck_assert_int_eq(urt_send(fds[1], &i, sizeof(i), 0, never),
				 sizeof(i));
	urt_shutdown(fds[1], SHUT_WR, never);
}

/* Holds up to HELD pieces and gives them back in any order. */
static void receives_numbers(uint32_t n, size_t held_max)
{
	uint64_t r = seed();
	void **held = calloc(held_max, sizeof(*held)), *data;
	uint32_t next = 0;
	size_t at = 0;
	ssize_t len;
	char part[4];

	while ((len = urt_recv_lent(fds[0], &data, 0, never)) > 0) {
		size_t i = rnd(&r) % held_max;

		for (ssize_t k = 0; k < len; k++) {
			part[at++] = ((char *)data)[k];
			if (at < 4)
				continue;
			ck_assert_int_eq(memcmp(part, &next, 4), 0);
			next++;
			at = 0;
		}
		memset(data, 0xee, len); /* ours */
		urt_lent_return(held[i]);
		held[i] = data;
	}
	ck_assert_int_eq(len, 0);
	ck_assert_ptr_null(data);
	ck_assert_uint_eq(next, n);
	for (size_t i = 0; i < held_max; i++)
		urt_lent_return(held[i]);
	free(held);
}

static void lends(void *arg)
{
	enum { N = SANITIZED ? 10000 : 50000 };
	struct urt_coro *c;

	for (size_t held = 1; held <= 4096; held *= 16) {
		pair();
		c = urt_spawn(sends_numbers, (void *)(uintptr_t)N);
		receives_numbers(N, held);
		urt_join(c);
		urt_close(fds[0]);
		urt_close(fds[1]);
	}
}

START_TEST(what_is_received_into_lent_buffers_is_what_was_sent)
{
	with_mask(_i % 2, 1 + _i / 2, lends);
}
END_TEST

CORO_TEST(a_lent_receive_waits_no_longer_than_its_deadline)
{
	void *data = &data;

	pair();
	ck_assert_int_eq(urt_recv_lent(fds[0], &data, MSG_DONTWAIT, never),
			 -EAGAIN);
	ck_assert_int_eq(urt_recv_lent(fds[0], &data, 0, urt_after(MS)),
			 -ETIME);
	ck_assert_ptr_null(data);
	ck_assert_int_eq(urt_recv_lent(-1, &data, 0, never), -EBADF);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	ck_assert_int_eq(urt_recv_lent(fds[0], &data, 0, urt_after(MS)),
			 -ETIME);
	urt_send(fds[1], "abc", 3, 0, never);
	ck_assert_int_eq(urt_recv_lent(fds[0], &data, 0, never), 3);
	ck_assert_int_eq(memcmp(data, "abc", 3), 0);
	urt_lent_return(data);
	urt_lent_return(NULL);
}

/* ---- registered files and memory ---- */

static char *memory;
static int file;

static void uses_registered(void *arg)
{
	char other[4096];

	memset(memory, 'a', 4096);
	ck_assert_int_eq(urt_pwrite(file, memory, 4096, 0, never), 4096);
	ck_assert_int_eq(urt_pread(file, memory + 4096, 4096, 0, never), 4096);
	ck_assert_int_eq(memcmp(memory, memory + 4096, 4096), 0);
	/* Partly outside: as any other. */
	ck_assert_int_eq(urt_pread(file, memory + 8192 - 16, 4096, 0, never),
			 4096);
	ck_assert_int_eq(urt_pread(file, other, 4096, 0, never), 4096);
	ck_assert_int_eq(memcmp(memory, other, 4096), 0);
	ck_assert_int_eq(urt_send(fds[1], memory, 1, 0, never), 1);
	ck_assert_int_eq(urt_recv(fds[0], memory, 1, 0, never), 1);
	ck_assert_int_eq(urt_fsync(file, never), 0);
}

START_TEST(registered_files_and_memory_are_used_as_others)
{
	char path[] = "/tmp/urt-io.XXXXXX";
	struct iovec v;
	struct urt_options o = { .workers = _i, .buffers = &v };
	int registered[2];

	pair();
	file = mkstemp(path);
	unlink(path);
	memory = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	v = (struct iovec){ memory, 8192 };
	o.nr_buffers = 1;
	registered[0] = file;
	registered[1] = fds[0];
	o.files = registered;
	o.nr_files = 2;
	ck_assert_msg(!urt_run_with(uses_registered, NULL, &o), "%s",
		      urt_why());
	registered[1] = 999;
	ck_assert_int_eq(urt_run_with(uses_registered, NULL, &o), -EBADF);
	ck_assert_ptr_nonnull(strstr(urt_why(), "urt_options.files"));
	registered[1] = fds[0];
	v.iov_base = NULL;
	ck_assert_int_eq(urt_run_with(uses_registered, NULL, &o), -EFAULT);
	ck_assert_ptr_nonnull(strstr(urt_why(), "urt_options.buffers"));
	o.nr_files = 1025;
	ck_assert_int_eq(urt_run_with(uses_registered, NULL, &o), -EINVAL);
}
END_TEST

/* ---- zero copy ---- */

#define LARGE (4 << 20)

static char *large(void)
{
	char *p = malloc(LARGE);

	for (size_t i = 0; i < LARGE; i++)
		p[i] = i * 2654435761u >> 24;
	return p;
}

static void sends_large(void *arg)
{
	char *p = large();
	size_t done = 0;
	ssize_t n = 0;

	for (; done < LARGE && n >= 0; done += n) {
		n = urt_send(fds[1], p + done, LARGE - done, MSG_ZEROCOPY,
			     never);
		ck_assert_int_gt(n, 0);
		memset(p + done, 0, n); /* the kernel has let go of it */
	}
	free(p);
	urt_shutdown(fds[1], SHUT_WR, never);
}

static void receives_large(void)
{
	char *p = malloc(LARGE), *expected = large();
	struct urt_coro *c = urt_spawn(sends_large, NULL);
	size_t done = 0;
	ssize_t n;

	while ((n = urt_recv(fds[0], p + done, LARGE - done, 0, never)) > 0)
		done += n;
	ck_assert_int_eq(done, LARGE);
	ck_assert_int_eq(memcmp(p, expected, LARGE), 0);
	urt_join(c);
	free(p);
	free(expected);
}

static void zero_copy(void *arg)
{
	int t[3];

	pair(); /* cannot do it: copied */
	receives_large();
	tcp_pair(t);
	memcpy(fds, t + 1, sizeof(fds));
	receives_large();
}

START_TEST(a_zero_copy_send_returns_when_its_buffer_is_free)
{
	with_mask(_i, 1, zero_copy);
}
END_TEST

/* ---- vectors, futexes, epoll ---- */

static void writes_vector(void *arg)
{
	struct iovec v[2] = { { "hello ", 6 }, { "world", 5 } };

	urt_sleep(MS);
	ck_assert_int_eq(urt_writev(fds[1], v, 2, never), 11);
}

static void vectors(void *arg)
{
	char a[6], b[16];
	struct iovec v[2] = { { a, 6 }, { b, 16 } };

	ck_assert_int_eq(urt_pipe(fds, O_NONBLOCK | O_CLOEXEC), 0);
	ck_assert_int_eq(urt_preadv2(fds[0], v, 2, -1, RWF_NOWAIT, never),
			 -EAGAIN);
	urt_go(writes_vector, NULL);
	ck_assert_int_eq(urt_readv(fds[0], v, 2, never), 11);
	ck_assert_int_eq(memcmp(a, "hello ", 6) || memcmp(b, "world", 5), 0);
	ck_assert_int_eq(urt_readv(-1, v, 2, never), -EBADF);
}

START_TEST(vectors_wait_for_a_non_blocking_pipe)
{
	with_mask(_i, 1, vectors);
}
END_TEST

static uint32_t word;

static void waits_on_word(void *arg)
{
	*(int *)arg = urt_futex_wait(&word, 0, never);
}

static void futexes(void *arg)
{
	int ret[2] = { 1, 1 };
	struct urt_coro *c[2];
	int woken = 0;

	word = 0;
	ck_assert_int_eq(urt_futex_wait(&word, 1, never), -EAGAIN);
	ck_assert_int_eq(urt_futex_wait(&word, 0, urt_after(MS)), -ETIME);
	for (int i = 0; i < 2; i++)
		c[i] = urt_spawn(waits_on_word, &ret[i]);
	urt_sleep(MS);
	urt_cancel(c[0]);
	urt_join(c[0]);
	ck_assert_int_eq(ret[0], -ECANCELED);
	__atomic_store_n(&word, 1, __ATOMIC_RELEASE);
	while (ret[1] == 1) {
		woken += urt_futex_wake(&word, 5);
		urt_sleep(MS);
	}
	/* Between two slices it sees the value instead of the wake. */
	ck_assert((ret[1] == 0 && woken == 1) || ret[1] == -EAGAIN);
	urt_join(c[1]);
}

START_TEST(a_futex_is_waited_for_and_woken)
{
	with_mask(_i, 1, futexes);
}
END_TEST

static void writes_soon(void *arg)
{
	urt_sleep(MS);
	ck_assert_int_eq(urt_write(fds[1], "x", 1, never), 1);
}

static void epolls(void *arg)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = 7 }, got[4];
	int ep = epoll_create1(EPOLL_CLOEXEC);

	pair();
	ck_assert_int_eq(epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &e), 0);
	ck_assert_int_eq(urt_epoll_wait(ep, got, 4, urt_after(MS)), -ETIME);
	urt_go(writes_soon, NULL);
	ck_assert_int_eq(urt_epoll_wait(ep, got, 4, never), 1);
	ck_assert_uint_eq(got[0].data.u64, 7);
	ck_assert_int_lt(urt_epoll_wait(ep, got, 0, never), 0);
	ck_assert_int_eq(urt_close(ep), 0);
	ck_assert_int_eq(urt_epoll_wait(ep, got, 4, never), -EBADF);
}

START_TEST(an_epoll_instance_is_waited_for)
{
	with_mask(_i, 1, epolls);
}
END_TEST

Suite *io_suite(void)
{
	Suite *s = suite_create("io");
	TCase *t = tcase_create("descriptors");

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(
		t, close_ends_the_calls_that_wait_for_the_descriptor, 1, 4);
	tcase_add_test(t,
		       close_of_a_non_blocking_descriptor_ends_its_waiters_too);
	tcase_add_loop_test(t, closing_and_waiting_at_random_ends, 1, 5);
	tcase_add_loop_test(
		t, what_is_received_into_lent_buffers_is_what_was_sent, 0, 4);
	tcase_add_test(t, a_lent_receive_waits_no_longer_than_its_deadline);
	tcase_add_loop_test(t, registered_files_and_memory_are_used_as_others,
			    1, 3);
	tcase_add_loop_test(t, a_zero_copy_send_returns_when_its_buffer_is_free,
			    0, 2);
	tcase_add_loop_test(t, vectors_wait_for_a_non_blocking_pipe, 0, 2);
	tcase_add_loop_test(t, a_futex_is_waited_for_and_woken, 0, 2);
	tcase_add_loop_test(t, an_epoll_instance_is_waited_for, 0, 2);
	suite_add_tcase(s, t);
	return s;
}
