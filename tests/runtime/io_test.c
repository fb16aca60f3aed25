// SPDX-License-Identifier: MIT
/*
 * Floor 4: what continues between operations and descriptors: closing one that
 * others wait for, lent buffers, registered files and memory, futexes, epoll
 * instances, zero copy. By the ring, and where it does not know the operation.
 */
#define _GNU_SOURCE
#include "../../uring_rt/sched/sched.h"
#include "../../uring_rt/urt.h"
#include "../lib/test.h"
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static const int64_t never = URT_NEVER;
static int fds[2];
static bool non_blocking;

/* TSan does not see what the ring closes, and would take the next file of that
 * number for a race: so not by the function that it knows. */
static void pair_of(int type, int fd[2])
{
	ck_assert_int_eq(
		syscall(SYS_socketpair, AF_UNIX, type | SOCK_CLOEXEC, 0, fd),
		0);
}

static void pair(void)
{
	pair_of(SOCK_STREAM, fds);
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

static const char *const masks[] = { "", "-optional_ops,-buffer_pieces" };

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

/* How often coroutines have waited for an operation. */
static uint64_t waits(void)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < urt__rt.stats_page->slots; i++)
		n += __atomic_load_n(&urt__stats_slot(urt__rt.stats_page, i)
					      ->counter[URT__STAT_PARKS_IO],
				     __ATOMIC_RELAXED);
	return n;
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
	before = waits();
	for (int i = 0; i < N; i++)
		c[i] = urt_spawn(kinds[i % 5], NULL);
	while (waits() - before < N)
		urt_sleep(MS);
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
 * Several that wait for one descriptor in every way, on short deadlines, while
 * another sends, cancels some of them, and closes it; the number is used again
 * at once, by whatever file. On a ring of 8 entries. Everybody must come back,
 * and receive nothing but what was sent.
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
	closing_over = true;
	for (int i = 0; i < PAIRS; i++)
		urt_join(c[i]);
	ck_assert_int_gt(received, 0);
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
	ret = urt_recv(closing_fd, &c, 1, 0, urt_after(5000 * MS));
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

START_TEST(a_wait_that_begins_while_the_descriptor_is_closed_ends)
{
	with_mask(0, 2, closes_at_that_moment);
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

START_TEST(lent_buffers_hold_what_was_sent)
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
	ck_assert_int_eq(urt_recv_lent(fds[0], &data, MSG_WAITALL, never),
			 -EINVAL);
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

START_TEST(a_write_that_may_wait_writes_all)
{
	non_blocking = _i / 2;
	with_mask(_i % 2, 1, writes_whole);
}
END_TEST

CORO_TEST(a_full_datagram_peer_is_waited_for_without_spinning)
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

START_TEST(a_cancelled_coroutine_begins_no_operation)
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
	ck_assert_int_eq(urt_preadv2(fds[0], v, 2, -1, RWF_NOWAIT, never),
			 plain < 0 ? -errno : plain);
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

	tcase_add_loop_test(
		t, close_ends_the_calls_that_wait_for_the_descriptor, 1, 4);
	tcase_add_test(t,
		       close_of_a_non_blocking_descriptor_ends_its_waiters_too);
	tcase_add_loop_test(t, closes_and_waits_at_random_end, 1, 5);
	tcase_add_test(t,
		       a_wait_that_begins_while_the_descriptor_is_closed_ends);
	tcase_add_loop_test(t, a_write_that_may_wait_writes_all, 0, 4);
	tcase_add_test(t, a_full_datagram_peer_is_waited_for_without_spinning);
	tcase_add_loop_test(t, lengths_of_four_gigabytes_are_not_cut_to_nothing,
			    0, 2);
	tcase_add_loop_test(t, a_cancelled_coroutine_begins_no_operation, 0, 2);
	tcase_add_test(t, operations_without_a_run_say_so);
	tcase_add_loop_test(t, lent_buffers_hold_what_was_sent, 0, 4);
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
