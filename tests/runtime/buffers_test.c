// SPDX-License-Identifier: MIT
/* Memory that coroutines and the kernel share: lent buffers, registered memory and
 * files, zero copy. */
#define _GNU_SOURCE
#include "../lib/sockets.h"
#include <sys/mman.h>

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

CORO_TEST(lent_receive_waits_no_longer_than_its_deadline)
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

START_TEST(zero_copy_send_returns_when_its_buffer_is_free)
{
	with_mask(_i, 1, zero_copy);
}
END_TEST

Suite *buffers_suite(void)
{
	Suite *s = suite_create("buffers");
	TCase *t = tcase_create("buffers");

	tcase_add_loop_test(t, lent_buffers_hold_what_was_sent, 0, 4);
	tcase_add_test(t, lent_receive_waits_no_longer_than_its_deadline);
	tcase_add_loop_test(t, registered_files_and_memory_are_used_as_others,
			    1, 3);
	tcase_add_loop_test(t, zero_copy_send_returns_when_its_buffer_is_free,
			    0, 2);
	suite_add_tcase(s, t);
	return s;
}
