// SPDX-License-Identifier: MIT
/*
 * Floor 4: calls on files, children and datagrams; once by the ring and once
 * with the ring's operations masked, by the thread pool. Both must have the
 * same results.
 */
#define _GNU_SOURCE
#include "../../uring_rt/urt.h"
#include "../lib/test.h"
#include <fcntl.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/urt-files.XXXXXX";
static int dir_fd;

static void setup_dir(void)
{
	new_directory(dir);
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(dir_fd, 0);
}

static void on_masks(int i, urt_fn *fn)
{
	struct urt_options o = { .workers = 1 };

	setenv("URT_FEATURES", i ? "-optional_ops" : "", 1);
	setup_dir();
	ck_assert_msg(!urt_run_with(fn, NULL, &o), "%s", urt_why());
	close(dir_fd);
	ck_assert_int_eq(rmdir(dir), 0);
}

static const int64_t never = URT_NEVER;

static void file_life(void *arg)
{
	struct iovec out[2] = { { "hello ", 6 }, { "world", 5 } };
	char in[16] = { 0 };
	struct iovec iov = { in, sizeof(in) };
	struct open_how how = { .flags = O_RDWR };
	struct statx st;
	int fd =
		urt_openat(dir_fd, "a", O_RDWR | O_CREAT | O_EXCL, 0640, never);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(urt_openat(dir_fd, "a", O_CREAT | O_EXCL, 0, never),
			 -EEXIST);
	ck_assert_int_eq(urt_openat(dir_fd, "none", O_RDONLY, 0, never),
			 -ENOENT);
	ck_assert_int_eq(urt_fallocate(fd, 0, 0, 4096, never), 0);
	ck_assert_int_eq(urt_ftruncate(fd, 0, never), 0);
	ck_assert_int_eq(urt_pwritev2(fd, out, 2, 0, 0, never), 11);
	ck_assert_int_eq(urt_fsync(fd, never), 0);
	ck_assert_int_eq(urt_fdatasync(fd, never), 0);
	ck_assert_int_eq(urt_sync_file_range(fd, 0, 11, 0, never), 0);
	ck_assert_int_eq(urt_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL, never),
			 0);
	ck_assert_int_eq(urt_preadv2(fd, &iov, 1, 0, 0, never), 11);
	ck_assert_str_eq(in, "hello world");
	ck_assert_int_eq(
		urt_statx(dir_fd, "a", 0, STATX_SIZE | STATX_MODE, &st, never),
		0);
	ck_assert_uint_eq(st.stx_size, 11);
	ck_assert_uint_eq(st.stx_mode & 0777, 0640);
	ck_assert_int_eq(urt_close(fd), 0);
	fd = urt_openat2(dir_fd, "a", &how, sizeof(how), never);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(urt_close(fd), 0);
	ck_assert_int_eq(urt_unlinkat(dir_fd, "a", 0, never), 0);
	ck_assert_int_eq(urt_unlinkat(dir_fd, "a", 0, never), -ENOENT);
}

START_TEST(file_lives_from_open_to_unlink)
{
	on_masks(_i, file_life);
}
END_TEST

static void names(void *arg)
{
	int fd = urt_openat(dir_fd, "a", O_RDWR | O_CREAT, 0600, never);
	char path[64], value[8] = { 0 };
	struct stat st;
	int ret;

	ck_assert_int_eq(urt_mkdirat(dir_fd, "d", 0700, never), 0);
	ck_assert_int_eq(urt_linkat(dir_fd, "a", dir_fd, "d/b", 0, never), 0);
	ck_assert_int_eq(urt_symlinkat("../a", dir_fd, "d/s", never), 0);
	ck_assert_int_eq(urt_renameat(dir_fd, "d/b", dir_fd, "c",
				      RENAME_NOREPLACE, never),
			 0);
	ck_assert_int_eq(
		urt_renameat(dir_fd, "c", dir_fd, "a", RENAME_NOREPLACE, never),
		-EEXIST);
	ck_assert_int_eq(fstatat(dir_fd, "d/s", &st, 0), 0);
	ck_assert_uint_eq(st.st_nlink, 2);
	snprintf(path, sizeof(path), "%s/a", dir);
	ret = urt_setxattr(path, "user.t", "v1", 2, 0, never);
	if (ret != -EOPNOTSUPP) {
		ck_assert_int_eq(ret, 0);
		ck_assert_int_eq(urt_getxattr(path, "user.t", value, 8, never),
				 2);
		ck_assert_str_eq(value, "v1");
		ck_assert_int_eq(
			urt_fsetxattr(fd, "user.t", "w22", 3, 0, never), 0);
		ck_assert_int_eq(urt_fgetxattr(fd, "user.t", value, 8, never),
				 3);
		ck_assert_str_eq(value, "w22");
	}
	urt_close(fd);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(
			unlinkat(dir_fd, (char *[]){ "a", "c", "d/s" }[i], 0),
			0);
	ck_assert_int_eq(urt_unlinkat(dir_fd, "d", AT_REMOVEDIR, never), 0);
}

START_TEST(names_can_be_made_linked_moved_and_removed)
{
	on_masks(_i, names);
}
END_TEST

static void pipes(void *arg)
{
	int a[2], b[2], fd;
	off_t offset = 2;
	char buf[16] = { 0 };
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_int_eq(pipe(a), 0);
	ck_assert_int_eq(pipe(b), 0);
	fd = urt_openat(dir_fd, "f", O_RDWR | O_CREAT, 0600, never);
	ck_assert_int_eq(urt_pwrite(fd, "0123456789", 10, 0, never), 10);
	ck_assert_int_eq(urt_splice(fd, &offset, a[1], NULL, 5, 0, never), 5);
	ck_assert_int_eq(offset, 7);
	ck_assert_int_eq(urt_tee(a[0], b[1], 5, 0, never), 5);
	ck_assert_int_eq(urt_read(a[0], buf, 16, never), 5);
	ck_assert_str_eq(buf, "23456");
	memset(buf, 0, sizeof(buf));
	ck_assert_int_eq(urt_read(b[0], buf, 16, never), 5);
	ck_assert_str_eq(buf, "23456");
	ck_assert_int_eq(urt_madvise(page, 4096, MADV_DONTNEED, never), 0);
	munmap(page, 4096);
	for (int i = 0; i < 2; i++) {
		close(a[i]);
		close(b[i]);
	}
	urt_close(fd);
	urt_unlinkat(dir_fd, "f", 0, never);
}

START_TEST(splice_and_tee_move_what_they_say)
{
	on_masks(_i, pipes);
}
END_TEST

static void children(void *arg)
{
	siginfo_t info = { 0 };
	int wait_for[2];
	char c;
	pid_t pid;

	ck_assert_int_eq(pipe(wait_for), 0);
	pid = fork();
	if (!pid) {
		close(wait_for[1]);
		_exit(read(wait_for[0], &c, 1) ? 1 : 7);
	}
	close(wait_for[0]);
	ck_assert_int_eq(urt_waitid(P_PID, pid, &info, WEXITED, urt_after(MS)),
			 -ETIME);
	close(wait_for[1]);
	ck_assert_int_eq(urt_waitid(P_PID, pid, &info, WEXITED, never), 0);
	ck_assert_int_eq(info.si_pid, pid);
	ck_assert_int_eq(info.si_status, 7);
	/* It is gone: there is no such child, or no such process. */
	ck_assert_int_lt(urt_waitid(P_PID, pid, &info, WEXITED, never), 0);
}

START_TEST(child_can_be_waited_for)
{
	on_masks(_i, children);
}
END_TEST

static void datagrams(void *arg)
{
	struct sockaddr_in a[2], from;
	socklen_t len = sizeof(a[0]);
	char buf[16] = { 0 };
	int fd[2];

	for (int i = 0; i < 2; i++) {
		a[i] = (struct sockaddr_in){ .sin_family = AF_INET };
		a[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		fd[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		ck_assert_int_eq(bind(fd[i], (void *)&a[i], sizeof(a[i])), 0);
		getsockname(fd[i], (void *)&a[i], &len);
	}
	ck_assert_int_eq(urt_sendto(fd[0], "hi", 2, 0, (void *)&a[1],
				    sizeof(a[1]), never),
			 2);
	len = sizeof(from);
	ck_assert_int_eq(urt_recvfrom(fd[1], buf, sizeof(buf), 0, (void *)&from,
				      &len, never),
			 2);
	ck_assert_str_eq(buf, "hi");
	ck_assert_int_eq(from.sin_port, a[0].sin_port);
	ck_assert_int_eq(urt_recvfrom(fd[1], buf, sizeof(buf), 0, NULL, NULL,
				      urt_after(MS)),
			 -ETIME);
	urt_close(fd[0]);
	urt_close(fd[1]);
}

START_TEST(datagrams_come_with_their_sender)
{
	on_masks(_i, datagrams);
}
END_TEST

Suite *files_suite(void)
{
	Suite *s = suite_create("files");
	TCase *t = tcase_create("by the ring, and by the thread pool");

	tcase_add_loop_test(t, file_lives_from_open_to_unlink, 0, 2);
	tcase_add_loop_test(t, names_can_be_made_linked_moved_and_removed, 0,
			    2);
	tcase_add_loop_test(t, splice_and_tee_move_what_they_say, 0, 2);
	tcase_add_loop_test(t, child_can_be_waited_for, 0, 2);
	tcase_add_loop_test(t, datagrams_come_with_their_sender, 0, 2);
	suite_add_tcase(s, t);
	return s;
}
