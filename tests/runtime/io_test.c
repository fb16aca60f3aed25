// SPDX-License-Identifier: MIT
/*
 * Floor 4: operations mean what POSIX says: whole writes, vectors, futexes, epoll
 * instances; by the ring, and where it does not know the operation.
 */
#define _GNU_SOURCE
#include "../lib/sockets.h"
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/un.h>

static bool non_blocking;

/* ---- as POSIX has it ---- */

#define MUCH (1 << 20)

static void takes_it_all(void *arg)
{
	char *buf = malloc(65536);
	size_t n = 0;

	while (n < 4u * MUCH) {
		ssize_t got = urt_read((int)(intptr_t)arg, buf, 65536, never);

		ck_assert_int_gt(got, 0);
		n += got;
	}
	free(buf);
}

static void writes_whole(void *arg)
{
	char *buf = calloc(1, MUCH);
	struct iovec v[3] = { { buf, 0 }, { buf, 1000 }, { buf, MUCH - 1000 } };
	struct msghdr m = { .msg_iov = v, .msg_iovlen = 3 };
	struct urt_coro *c;

	pair();
	if (non_blocking)
		fcntl(fds[1], F_SETFL, O_NONBLOCK);
	c = urt_spawn(takes_it_all, (void *)(intptr_t)fds[0]);
	ck_assert_int_eq(urt_send(fds[1], buf, MUCH, 0, never), MUCH);
	ck_assert_int_eq(urt_write(fds[1], buf, MUCH, never), MUCH);
	ck_assert_int_eq(urt_writev(fds[1], v, 3, never), MUCH);
	ck_assert_int_eq(urt_sendmsg(fds[1], &m, 0, never), MUCH);
	urt_join(c);
	/* Nobody reads any more: what fits, then nothing. */
	ck_assert_int_gt(urt_write(fds[1], buf, MUCH, urt_after(MS)), 0);
	ck_assert_int_eq(urt_write(fds[1], buf, MUCH, urt_after(MS)), -ETIME);
	free(buf);
}

START_TEST(write_that_may_wait_writes_all)
{
	non_blocking = _i / 2;
	with_mask(_i % 2, 1, writes_whole);
}
END_TEST

CORO_TEST(full_datagram_peer_is_waited_for_without_spinning)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int to = urt_socket(AF_UNIX, SOCK_DGRAM, 0), from, ret;
	struct rusage before, after;
	socklen_t len = sizeof(a);

	ck_assert_int_eq(urt_bind(to, (void *)&a, sizeof(sa_family_t)), 0);
	ck_assert_int_eq(getsockname(to, (void *)&a, &len), 0);
	from = urt_socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	getrusage(RUSAGE_SELF, &before);
	do
		ret = urt_sendto(from, "x", 1, 0, (void *)&a, len,
				 urt_after(100 * MS));
	while (ret == 1);
	getrusage(RUSAGE_SELF, &after);
	ck_assert_int_eq(ret, -ETIME);
	ck_assert_int_lt(
		(after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000 +
			after.ru_utime.tv_usec - before.ru_utime.tv_usec,
		50000);
}

#define FOUR_GIB (UINT64_C(1) << 32)

static void lengths(void *arg)
{
	int to[2];
	char *p = mmap(NULL, FOUR_GIB, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	ck_assert_ptr_ne(p, MAP_FAILED);
	p[0] = p[FOUR_GIB - 1] = 7;
	ck_assert_int_eq(urt_madvise(p, FOUR_GIB, MADV_DONTNEED, never), 0);
	ck_assert_int_eq(p[0] | p[FOUR_GIB - 1], 0);
	munmap(p, FOUR_GIB);
	ck_assert_int_eq(urt_pipe(fds, 0), 0);
	ck_assert_int_eq(urt_pipe(to, 0), 0);
	ck_assert_int_eq(urt_write(fds[1], "hello", 5, never), 5);
	ck_assert_int_eq(urt_tee(fds[0], to[1], FOUR_GIB, 0, never), 5);
	ck_assert_int_eq(
		urt_splice(fds[0], NULL, to[1], NULL, FOUR_GIB, 0, never), 5);
}

START_TEST(lengths_of_four_gigabytes_are_not_cut_to_nothing)
{
	with_mask(_i, 1, lengths);
}
END_TEST

static void cancelled(void *arg)
{
	urt_cancel(urt_self());
	ck_assert_int_eq(urt_openat(AT_FDCWD, "/", O_RDONLY, 0, never),
			 -ECANCELED);
}

static void opens_cancelled(void *arg)
{
	urt_join(urt_spawn(cancelled, NULL));
}

START_TEST(cancelled_coroutine_begins_no_operation)
{
	with_mask(_i, 1, opens_cancelled);
}
END_TEST

START_TEST(operations_without_a_run_say_so)
{
	char c;

	ck_assert_int_eq(urt_pread(0, &c, 1, 0, never), -EPERM);
	ck_assert_int_eq(urt_recv_lent(0, &(void *){ NULL }, 0, never), -EPERM);
	ck_assert_int_eq(urt_close(0), -EPERM);
	ck_assert_int_eq(urt_fsync(0, never), -EPERM);
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
	ssize_t plain;

	ck_assert_int_eq(urt_pipe(fds, O_NONBLOCK | O_CLOEXEC), 0);
	/* Linux 6.1 does not know it for pipes. */
	plain = preadv2(fds[0], v, 2, -1, RWF_NOWAIT);
	if (plain < 0)
		plain = -errno;
	ck_assert_int_eq(urt_preadv2(fds[0], v, 2, -1, RWF_NOWAIT, never),
			 plain);
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

START_TEST(futex_is_waited_for_and_woken)
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

START_TEST(epoll_instance_is_waited_for)
{
	with_mask(_i, 1, epolls);
}
END_TEST

Suite *io_suite(void)
{
	Suite *s = suite_create("io");
	TCase *t = tcase_create("descriptors");

	tcase_add_loop_test(t, write_that_may_wait_writes_all, 0, 4);
	tcase_add_test(t, full_datagram_peer_is_waited_for_without_spinning);
	tcase_add_loop_test(t, lengths_of_four_gigabytes_are_not_cut_to_nothing,
			    0, 2);
	tcase_add_loop_test(t, cancelled_coroutine_begins_no_operation, 0, 2);
	tcase_add_test(t, operations_without_a_run_say_so);
	tcase_add_loop_test(t, vectors_wait_for_a_non_blocking_pipe, 0, 2);
	tcase_add_loop_test(t, futex_is_waited_for_and_woken, 0, 2);
	tcase_add_loop_test(t, epoll_instance_is_waited_for, 0, 2);
	suite_add_tcase(s, t);
	return s;
}
