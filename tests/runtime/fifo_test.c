// SPDX-License-Identifier: MIT
/* Calls that wait for another process or thread: opening a FIFO, connecting to a full
 * backlog. */
#define _GNU_SOURCE
#include "../lib/net.h"
#include "../lib/workers.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/un.h>

static char fifo[64];

static void new_fifo(void)
{
	snprintf(fifo, sizeof(fifo), "/tmp/urt-fifo.%d", getpid());
	unlink(fifo);
	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
}

static int open_fifo(int flags, int64_t ns)
{
	return urt_openat(AT_FDCWD, fifo, flags | O_CLOEXEC, 0, urt_after(ns));
}

static _Atomic bool opened;
static uint64_t parked; /* waits before ours */

/* Opens the other side when ours waits, and closes it when ours is open. */
static void other_side(void *arg)
{
	int flags = *(int *)arg, fd;

	wait_for_count(URT__STAT_PARKS_IO, parked + 1);
	do {
		fd = open(fifo, flags | O_NONBLOCK | O_CLOEXEC);
	} while (fd < 0 && errno == ENXIO && !urt_sleep(MS));
	ck_assert_int_ge(fd, 0);
	if (flags == O_WRONLY)
		ck_assert_int_eq(write(fd, "x", 1), 1);
	while (!opened)
		urt_sleep(MS);
	close(fd);
}

static struct urt_coro *open_with(int other_flags, int flags, int *fd)
{
	static int arg;
	struct urt_coro *c;

	arg = other_flags;
	opened = false;
	parked = counter(URT__STAT_PARKS_IO);
	c = urt_spawn(other_side, &arg);
	*fd = open_fifo(flags, 100000 * MS);
	opened = true;
	ck_assert_int_ge(*fd, 0);
	return c;
}

CORO_TEST(opening_a_fifo_waits_for_its_other_side)
{
	struct urt_coro *c;
	int fd;
	char b;

	new_fifo();
	c = open_with(O_WRONLY, O_RDONLY, &fd);
	ck_assert_int_eq(urt_read(fd, &b, 1, urt_after(100000 * MS)), 1);
	ck_assert_int_eq(urt_read(fd, &b, 1, urt_after(100000 * MS)), 0);
	urt_join(c);
	urt_close(fd);
	c = open_with(O_RDONLY, O_WRONLY, &fd);
	urt_join(c);
	urt_close(fd);
	unlink(fifo);
}

CORO_TEST(opening_a_fifo_alone_ends_at_the_deadline)
{
	int before_fds = open_descriptors();

	new_fifo();
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(open_fifo(O_RDONLY, 3 * MS), -ETIME);
		ck_assert_int_eq(open_fifo(O_WRONLY, 3 * MS), -ETIME);
	}
	ck_assert_int_ge(open_fifo(O_RDONLY | O_NONBLOCK, 0), 0);
	ck_assert_int_eq(open_descriptors(), before_fds + 1);
	unlink(fifo);
}

static _Atomic int waiting;

/* Once n coroutines wait. */
static void other_files_are_left_alone(int n)
{
	char path[80];

	while (waiting < n)
		urt_sleep(1 * MS);
	urt_sleep(50 * MS);
	snprintf(path, sizeof(path), "%s.dir", fifo);
	ck_assert_int_eq(
		urt_mkdirat(AT_FDCWD, path, 0700, urt_after(100000 * MS)), 0);
	rmdir(path);
}

static void wait_for_reader(void *arg)
{
	(void)arg;
	waiting++;
	ck_assert_int_eq(open_fifo(O_WRONLY, 100000 * MS), -ECANCELED);
}

/* By default, the kernel has 4 threads per CPU for blocking requests; it had 512 here. */
enum { MANY = 600 };

CORO_TEST(blocked_opens_leave_other_files_alone)
{
	struct urt_coro *c[MANY];

	new_fifo();
	for (int i = 0; i < MANY; i++)
		c[i] = urt_spawn(wait_for_reader, NULL);
	other_files_are_left_alone(MANY);
	for (int i = 0; i < MANY; i++)
		urt_end(c[i]);
	unlink(fifo);
}

static void open_leased(void *arg)
{
	waiting++;
	ck_assert_int_eq(open_fifo(O_RDWR, 100000 * MS), -ECANCELED);
}

/* Not a FIFO, so as on a file system that does not answer. */
CORO_TEST(opens_that_wait_for_a_lease_leave_other_files_alone)
{
	struct urt_coro *c[64];
	int holder;

	new_fifo();
	unlink(fifo);
	signal(SIGIO, SIG_IGN); /* "give it back" */
	holder = open(fifo, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	if (fcntl(holder, F_SETLEASE, F_WRLCK)) /* no leases there */
		return;
	for (int i = 0; i < 64; i++)
		c[i] = urt_spawn(open_leased, NULL);
	other_files_are_left_alone(64);
	for (int i = 0; i < 64; i++)
		urt_end(c[i]);
	close(holder);
	unlink(fifo);
}

static void accept_later(void *arg)
{
	urt_sleep(30 * MS);
	for (int i = 0; i < 3; i++)
		urt_close(urt_accept(*(int *)arg, NULL, NULL, 0,
				     urt_after(100000 * MS)));
}

CORO_TEST(connect_waits_while_the_backlog_is_full)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int l = socket(AF_UNIX, SOCK_STREAM, 0), fd[3];
	struct urt_coro *c;

	snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "urt-%d", getpid());
	ck_assert_int_eq(bind(l, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(l, 0), 0);
	c = urt_spawn(accept_later, &l);
	for (int i = 0; i < 3; i++) {
		fd[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		ck_assert_int_eq(urt_connect(fd[i], (struct sockaddr *)&a,
					     sizeof(a), urt_after(100000 * MS)),
				 0);
	}
	urt_join(c);
	fd[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	fd[1] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	urt_connect(fd[0], (struct sockaddr *)&a, sizeof(a), URT_NEVER);
	ck_assert_int_eq(urt_connect(fd[1], (struct sockaddr *)&a, sizeof(a),
				     urt_after(20 * MS)),
			 -ETIME);
}

Suite *fifo_suite(void)
{
	Suite *s = suite_create("fifo");
	TCase *t = tcase_create("fifo");

	tcase_add_test(t, opening_a_fifo_waits_for_its_other_side);
	tcase_add_test(t, opening_a_fifo_alone_ends_at_the_deadline);
	tcase_add_test(t, blocked_opens_leave_other_files_alone);
	tcase_add_test(t, opens_that_wait_for_a_lease_leave_other_files_alone);
	tcase_add_test(t, connect_waits_while_the_backlog_is_full);
	suite_add_tcase(s, t);
	return s;
}
