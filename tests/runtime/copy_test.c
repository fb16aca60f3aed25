// SPDX-License-Identifier: MIT
/* Floor 6: whole files, copies and sendfile. */
#define _GNU_SOURCE
#include "../lib/net.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/urt-copy.XXXXXX";

static void setup(void)
{
	new_directory(dir);
	ck_assert_int_eq(chdir(dir), 0);
}

/* Checks that nothing was left in it. */
static void teardown(void)
{
	unlink("a");
	unlink("b");
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_int_eq(rmdir(dir), 0);
}

/* ---- whole files ---- */

RUN_TEST(file_is_replaced_whole)
{
	struct stat st;
	char *data;

	ck_assert_int_eq(urt_write_file("a", "old", 3, 0600, never), 0);
	ck_assert_int_eq(link("a", "b"), 0);
	ck_assert_int_eq(urt_write_file("a", "newer", 5, 0640, never), 0);
	ck_assert_int_eq(urt_read_file("a", &data, 100, never), 5);
	ck_assert_str_eq(data, "newer");
	free(data);
	ck_assert_int_eq(urt_read_file("b", &data, 100, never), 3);
	ck_assert_str_eq(data, "old");
	free(data);
	ck_assert_int_eq(stat("a", &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0640);
	ck_assert_int_eq(urt_write_file("a", NULL, 0, 0600, never), 0);
	ck_assert_int_eq(urt_read_file("a", &data, 0, never), 0);
	ck_assert_str_eq(data, "");
	free(data);
}

RUN_TEST(file_that_could_not_be_written_leaves_nothing)
{
	char path[5000], *data;

	ck_assert_int_eq(urt_write_file("a", "old", 3, 0600, never), 0);
	ck_assert_int_eq(urt_write_file("no/such", "x", 1, 0600, never),
			 -ENOENT);
	ck_assert_int_eq(urt_write_file(".", "x", 1, 0600, never), -EBUSY);
	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	ck_assert_int_eq(urt_write_file(path, "x", 1, 0600, never),
			 -ENAMETOOLONG);
	path[1000] = '\0';
	ck_assert_int_eq(urt_write_file(path, "x", 1, 0600, never),
			 -ENAMETOOLONG);
	ck_assert_int_eq(urt_read_file("a", &data, 100, never), 3);
	free(data);
}

static int written;

static void write_a(void *arg)
{
	static char data[1 << 16];

	written = urt_write_file("a", data, sizeof(data), 0600, never);
}

/* Whenever it is cancelled, there is one whole file, or none, and no other file
 * next to it (teardown). */
RUN_TEST(write_that_is_cancelled_leaves_nothing_half)
{
	char *data;

	for (int i = 0; i < FEWER(300); i++) {
		struct urt_coro *c = urt_spawn(write_a, NULL);
		ssize_t len;

		urt_sleep(i % 30 * MS / 100);
		urt_cancel(c);
		urt_join(c);
		ck_assert(!written || written == -ECANCELED);
		len = urt_read_file("a", &data, SIZE_MAX, never);
		ck_assert(len == 1 << 16 || (len == -ENOENT && written));
		free(data);
		unlink("a");
	}
}

RUN_TEST(bound_of_a_file_is_exact)
{
	char text[10000], *data;
	struct stat st;

	memset(text, 'x', sizeof(text));
	ck_assert_int_eq(urt_write_file("a", text, 10000, 0600, never), 0);
	ck_assert_int_eq(urt_read_file("a", &data, 9999, never), -EFBIG);
	ck_assert_ptr_null(data);
	ck_assert_int_eq(urt_read_file("a", &data, 10000, never), 10000);
	ck_assert_mem_eq(data, text, 10000);
	free(data);
	ck_assert_int_eq(urt_read_file("none", &data, 1, never), -ENOENT);
	ck_assert_int_eq(urt_read_file(".", &data, 100, never), -EISDIR);
	/* The file reports no bytes, and has many. */
	ck_assert_int_eq(stat("/proc/self/smaps", &st), 0);
	ck_assert_int_eq(st.st_size, 0);
	ck_assert_int_gt(
		urt_read_file("/proc/self/smaps", &data, SIZE_MAX, never),
		4096);
	ck_assert_ptr_nonnull(strstr(data, "[stack]"));
	free(data);
	ck_assert_int_eq(urt_read_file("/proc/self/smaps", &data, 4097, never),
			 -EFBIG);
}

/* ---- copies ---- */

#define BIG (1 << 20)

static unsigned char *big;

/* "a" has BIG random bytes; returns it open. */
static int big_file(void)
{
	uint64_t state = 88172645463325252;
	int fd = open("a", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	big = malloc(BIG);
	for (int i = 0; i < BIG; i++)
		big[i] = rnd(&state);
	ck_assert_int_eq(pwrite(fd, big, BIG, 0), BIG);
	return fd;
}

/* Reads the other end to its end, a bit slowly. */
static int other_end;
static unsigned char *come;
static size_t nr_come;

static void collect(void *arg)
{
	ssize_t n;

	nr_come = 0;
	while ((n = urt_read(other_end, come + nr_come, 10000, never)) > 0) {
		nr_come += n;
		if (nr_come > BIG / 2)
			urt_yield();
	}
}

static struct urt_coro *begin_collecting(int fd)
{
	other_end = fd;
	come = realloc(come, 2 * BIG);
	memset(come, 0, 2 * BIG);
	return urt_spawn(collect, NULL);
}

static void pair(int type, int fds[2])
{
	char text[URT_ADDR_TEXT];
	struct urt_addr a;
	int listener;

	if (type == 'u' || type == 'n')
		ck_assert_int_eq(
			socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds),
			0);
	if (type == 'n') { /* the writing end does not block, and is small */
		int size = 20000;

		ck_assert_int_eq(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
		setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	}
	if (type == 'p')
		ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	if (type != 't')
		return;
	listener = urt_listen("127.0.0.1:0", never);
	urt_addr_local(listener, &a);
	urt_addr_text(&a, text, sizeof(text));
	fds[1] = urt_dial(text, never);
	fds[0] = urt_accept(listener, NULL, NULL, SOCK_CLOEXEC, never);
	urt_close(listener);
}

RUN_TEST(sendfile_sends_all_to_anything)
{
	int in = big_file(), fds[2];

	for (const char *type = "utpn"; *type; type++) {
		off_t offset = 1000;
		struct urt_coro *c;

		pair(*type, fds);
		c = begin_collecting(fds[0]);
		ck_assert_int_eq(
			urt_sendfile(fds[1], in, &offset, SIZE_MAX, never),
			BIG - 1000);
		ck_assert_int_eq(offset, BIG);
		ck_assert_int_eq(
			urt_sendfile(fds[1], in, &offset, SIZE_MAX, never), 0);
		lseek(in, 10, SEEK_SET);
		ck_assert_int_eq(urt_sendfile(fds[1], in, NULL, 100000, never),
				 100000);
		ck_assert_int_eq(lseek(in, 0, SEEK_CUR), 100010);
		urt_close(fds[1]);
		urt_join(c);
		ck_assert_uint_eq(nr_come, BIG - 1000 + 100000);
		ck_assert_mem_eq(come, big + 1000, BIG - 1000);
		ck_assert_mem_eq(come + BIG - 1000, big + 10, 100000);
		urt_close(fds[0]);
	}
	urt_close(in);
	free(big);
	free(come);
}

RUN_TEST(sendfile_counts_what_was_sent_until_the_deadline)
{
	int in = big_file(), fds[2];
	off_t offset = 0, begin;
	struct urt_coro *c;
	ssize_t n;

	pair('u', fds); /* holds some 200 KB */
	n = urt_sendfile(fds[1], in, &offset, SIZE_MAX, urt_after(20 * MS));
	ck_assert_int_gt(n, 0);
	ck_assert_int_lt(n, BIG);
	ck_assert_int_eq(offset, n);
	ck_assert_int_eq(
		urt_sendfile(fds[1], in, &offset, SIZE_MAX, urt_after(MS)),
		-ETIME);
	begin = offset;
	c = begin_collecting(fds[0]);
	ck_assert_int_eq(urt_sendfile(fds[1], in, &offset, SIZE_MAX, never),
			 BIG - begin);
	urt_close(fds[1]);
	urt_join(c);
	ck_assert_uint_eq(nr_come, BIG);
	ck_assert_mem_eq(come, big, BIG);
	urt_close(fds[0]);
	urt_close(in);
	free(big);
	free(come);
}

RUN_TEST(copy_copies_between_all_kinds)
{
	int in = big_file(), out, from[2], to[2];
	uint64_t copied;
	struct urt_coro *c;

	out = open("b", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(urt_copy(in, out, SIZE_MAX, &copied, never), 0);
	ck_assert_uint_eq(copied, BIG);
	lseek(out, 0, SEEK_SET);
	for (const char *type = "utp"; *type; type++) {
		/* from the file through one pair into another, and out */
		pair(*type, to);
		c = begin_collecting(to[0]);
		ck_assert_int_eq(urt_copy(out, to[1], BIG / 2, &copied, never),
				 0);
		ck_assert_uint_eq(copied, BIG / 2);
		pair('p', from);
		ck_assert_int_eq(write(from[1], big + BIG / 2, 5000), 5000);
		close(from[1]);
		ck_assert_int_eq(
			urt_copy(from[0], to[1], SIZE_MAX, NULL, never), 0);
		close(from[0]);
		close(to[1]);
		urt_join(c);
		ck_assert_uint_eq(nr_come, BIG / 2 + 5000);
		ck_assert_mem_eq(come, big, nr_come);
		close(to[0]);
		lseek(out, 0, SEEK_SET);
	}
	close(in);
	close(out);
	free(big);
	free(come);
}

RUN_TEST(copy_copies_files_that_have_no_size)
{
	int in = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	int out = open("b", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	uint64_t copied;

	ck_assert_int_eq(urt_copy(in, out, SIZE_MAX, &copied, never), 0);
	ck_assert_uint_gt(copied, 0);
	ck_assert_int_eq(lseek(out, 0, SEEK_END), copied);
	close(in);
	close(out);
}

/* A receiver that is gone causes an error and no signal, on each path. */
RUN_TEST(copy_to_a_broken_connection_ends)
{
	int in = big_file(), fds[2];
	uint64_t copied;

	for (const char *type = "ut"; *type; type++) {
		off_t offset = 0;
		ssize_t n = 1;

		pair(*type, fds);
		close(fds[0]);
		for (int i = 0; i < 100 && n > 0; i++) {
			offset = 0;
			n = urt_sendfile(fds[1], in, &offset, SIZE_MAX, never);
		}
		ck_assert(n == -EPIPE || n == -ECONNRESET);
		lseek(in, 0, SEEK_SET);
		ck_assert_int_eq(urt_copy(in, fds[1], SIZE_MAX, &copied, never),
				 -EPIPE);
		ck_assert_uint_eq(copied, 0);
		close(fds[1]);
	}
	ck_assert_int_eq(urt_copy(in, -1, SIZE_MAX, &copied, never), -EBADF);
	close(in);
	free(big);
}

static void read_some_and_close(void *arg)
{
	char buf[1000];

	ck_assert_int_gt(urt_recv(other_end, buf, 1000, 0, never), 0);
	urt_close(other_end);
}

/* In the middle: an error, after as many bytes as the file's position moved. */
RUN_TEST(connection_that_breaks_in_the_middle_is_an_error)
{
	int in = big_file(), fds[2];
	uint64_t copied;

	for (const char *type = "ut"; *type; type++) {
		struct urt_coro *c;
		int err;

		pair(*type, fds);
		lseek(in, 0, SEEK_SET);
		other_end = fds[0];
		c = urt_spawn(read_some_and_close, NULL);
		do { /* until more was sent than the buffers of TCP take */
			err = urt_copy(in, fds[1], SIZE_MAX, &copied, never);
			ck_assert(err || copied == BIG);
			ck_assert_int_eq(lseek(in, 0, SEEK_CUR), copied);
			lseek(in, 0, SEEK_SET);
		} while (!err);
		ck_assert(err == -EPIPE || err == -ECONNRESET);
		ck_assert_uint_lt(copied, BIG);
		urt_join(c);
		close(fds[1]);
	}
	close(in);
	free(big);
}

Suite *copy_suite(void)
{
	Suite *s = suite_create("copy");
	TCase *t = tcase_create("files and copies");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, file_is_replaced_whole);
	tcase_add_test(t, file_that_could_not_be_written_leaves_nothing);
	tcase_add_test(t, write_that_is_cancelled_leaves_nothing_half);
	tcase_add_test(t, bound_of_a_file_is_exact);
	tcase_add_test(t, sendfile_sends_all_to_anything);
	tcase_add_test(t, sendfile_counts_what_was_sent_until_the_deadline);
	tcase_add_test(t, copy_copies_between_all_kinds);
	tcase_add_test(t, copy_copies_files_that_have_no_size);
	tcase_add_test(t, copy_to_a_broken_connection_ends);
	tcase_add_test(t, connection_that_breaks_in_the_middle_is_an_error);
	suite_add_tcase(s, t);
	return s;
}
