// SPDX-License-Identifier: MIT
/*
 * `urt top` on a terminal of our own: a pseudo-terminal whose other end is here,
 * so that keys, sizes and the terminal's final state can be seen. Runs in the
 * build directory.
 */
#define _GNU_SOURCE
#include "../../uring_rt/urt.h"
#include "../lib/cgroups.h"
#include "../lib/test.h"
#include "../lib/tool_run.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#define ENTER "\033[?1049h"
#define LEAVE "\033[?25h\033[?1049l"

static int terminal;
static pid_t top;
static struct termios old;
static char out[1 << 20]; /* since the last forget() */
static size_t out_len;

static void resize(int columns, int rows)
{
	struct winsize w = { .ws_col = columns, .ws_row = rows };

	ck_assert_int_eq(ioctl(terminal, TIOCSWINSZ, &w), 0);
}

static void start(const char *delay_ms)
{
	struct winsize w = { .ws_col = 100, .ws_row = 24 };

	out_len = 0;
	top = forkpty(&terminal, NULL, NULL, &w);
	if (!top) {
		execl("./urt", "./urt", "top", "-d", delay_ms, NULL);
		_exit(127);
	}
	ck_assert_int_eq(tcgetattr(terminal, &old), 0);
}

/* Reads the output of at most 100 ms. False: the terminal is closed. */
static bool take(void)
{
	struct pollfd p = { terminal, POLLIN, 0 };
	ssize_t n;

	if (poll(&p, 1, 100) != 1)
		return true;
	n = read(terminal, out + out_len, sizeof(out) - 1 - out_len);
	if (n <= 0)
		return false;
	out_len += n;
	out[out_len] = '\0';
	return true;
}

static void until(const char *what)
{
	for (int i = 0; i < 300; i++) {
		out[out_len] = '\0';
		if (strstr(out, what))
			return;
		take();
	}
	ck_abort_msg("no \"%s\" in:\n%s", what, out);
}

static void forget(void)
{
	out_len = 0;
}

static void press(const char *keys)
{
	ck_assert_int_eq(write(terminal, keys, strlen(keys)), strlen(keys));
}

/* Ends by itself, and leaves the terminal as it was. */
static void ends(int code)
{
	struct termios now;
	int status;

	until(LEAVE);
	ck_assert_int_eq(tcgetattr(terminal, &now), 0);
	while (take())
		;
	ck_assert_int_eq(waitpid(top, &status, 0), top);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), code);
	ck_assert_msg(now.c_lflag == old.c_lflag, "flags %x, before %x",
		      now.c_lflag, old.c_lflag);
	ck_assert_ptr_null(strstr(strstr(out, LEAVE) + 1, ENTER));
	close(terminal);
}

/* The last whole frame: its lines, and the longest one's columns. */
static void measure(int *lines, int *columns)
{
	char *end, *begin = NULL;
	int column = 0;

	for (end = out; (end = strstr(end, "\033[J")); end++) {
		begin = end;
		*end = '\0';
	}
	ck_assert_ptr_nonnull(begin);
	for (end = begin; begin > out && strncmp(begin, "\033[H", 3);)
		begin--;
	*lines = 1;
	*columns = 0;
	for (const char *c = begin; c < end; c++) {
		if (*c == '\033') {
			c += strcspn(c, "HmKJhl");
			continue;
		}
		column = *c == '\r' || *c == '\n' ? 0 : column + 1;
		*lines += *c == '\n';
		if (column > *columns)
			*columns = column;
	}
}

START_TEST(keys_sort_and_q_quits)
{
	NEED_BPF();
	start("100");
	until(ENTER);
	until("sorted by switches");
	press("c");
	until("sorted by syscalls");
	press("u");
	until("sorted by uring");
	press("p");
	until("sorted by cpu");
	ck_assert_ptr_null(strstr(out, "threads (t g)"));
	press("t");
	until("threads (t g)");
	until("     tid");
	press("g");
	until("cgroups (t g)");
	until("cgroup      ");
	press("h");
	until("sorted by handoffs");
	press("\033[A?x"); /* an unknown key does nothing */
	press("q");
	ends(0);
}
END_TEST

START_TEST(top_fits_the_terminal_whatever_its_size)
{
	static const int sizes[][2] = {
		{ 40, 10 }, { 20, 3 }, { 9, 1 }, { 120, 30 }
	};
	int lines, columns;

	NEED_BPF();
	start("100");
	until("pid");
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		resize(sizes[i][0], sizes[i][1]);
		/* A frame that was begun before may have the old size. */
		for (int frames = 0; frames < 2; frames++) {
			forget();
			until("\033[J");
		}
		measure(&lines, &columns);
		forget();
		ck_assert_int_le(lines, sizes[i][1]);
		ck_assert_int_le(columns, sizes[i][0]);
	}
	ck_assert_int_gt(columns, 70);
	ck_assert_int_gt(lines, 2);
	press("q");
	ends(0);
}
END_TEST

START_TEST(signals_leave_the_terminal_as_it_was)
{
	static const int signals[] = { SIGTERM, SIGHUP, SIGQUIT };

	NEED_BPF();
	start("100");
	until("pid");
	press("\003"); /* Ctrl-C */
	ends(0);
	for (unsigned i = 0; i < ARRAY_LEN(signals); i++) {
		start("100");
		until("pid");
		kill(top, signals[i]);
		ends(0);
	}
}
END_TEST

START_TEST(stopped_it_gives_the_terminal_back)
{
	struct termios now;
	int status;

	NEED_BPF();
	start("100");
	until("pid");
	press("\032"); /* Ctrl-Z */
	until(LEAVE);
	ck_assert_int_eq(waitpid(top, &status, WUNTRACED), top);
	ck_assert(WIFSTOPPED(status));
	ck_assert_int_eq(tcgetattr(terminal, &now), 0);
	ck_assert_int_eq(now.c_lflag, old.c_lflag);
	forget();
	kill(top, SIGCONT);
	until(ENTER);
	until("pid");
	press("q");
	ends(0);
}
END_TEST

/* ---- counting ---- */

/* The columns of the line that begins with `of`, after it. */
static int columns(const char *of, double column[7])
{
	char word[7][32];
	const char *at = strstr(text, of);
	int n;

	if (!at)
		return 0;
	n = sscanf(at + strlen(of), "%31s %31s %31s %31s %31s %31s %31s",
		   word[0], word[1], word[2], word[3], word[4], word[5],
		   word[6]);
	for (int i = 0; i < n; i++)
		column[i] = strcmp(word[i], "n/a") ? atof(word[i]) : -1;
	return n;
}

/* 10 ms each, next to a process that wants to run. */
static void blocks(void *arg)
{
	for (;;) {
		usleep(10000);
		urt_pread(-1, NULL, 0, 0, URT_NEVER);
		urt_yield();
	}
}

static void blocks_twice(void *arg)
{
	if (write(*(int *)arg, "", 1) != 1)
		_exit(1);
	urt_go(blocks, NULL);
	blocks(NULL);
}

START_TEST(running_program_is_shown_with_its_calls_requests_and_handoffs)
{
	struct urt_options o = { .workers = 1 };
	double column[7];
	char of[64], c;
	int fds[2];
	pid_t pid;

	NEED_BPF();
	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, "blocks");
		urt_run_with(blocks_twice, &fds[1], &o);
		_exit(1);
	}
	ck_assert_int_eq(read(fds[0], &c, 1), 1);
	ck_assert_int_eq(sh("./urt top -b -d 300 -n 1 -s handoffs"), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	snprintf(of, sizeof(of), "%8d blocks ", pid);
	ck_assert_msg(columns(of, column) == 7, "%.2000s", text);
	/* One of the two blocks at any time: some 100 a second. */
	ck_assert_msg(column[6] >= 1 && column[6] < 10000, "%.2000s", text);
	/* Each time it sleeps once and asks the ring once. */
	ck_assert_msg(column[1] >= 1, "%.2000s", text);
	ck_assert_msg(column[2] >= 1, "%.2000s", text);
	/* Other programs have none to show. */
	ck_assert_msg(strstr(text, " n/a\n") != NULL, "%.2000s", text);
}
END_TEST

START_TEST(cgroups_are_counted_as_one)
{
	double column[7];

	NEED_BPF();
	if (!have_cgroups())
		SKIP("no cgroup can be made here");
	/* Processes that begin and end in it for as long as the test looks. */
	ck_assert_int_eq(
		sh("mkdir -p %s/urt-top; ./urt top -b -d 500 -n 1 --by cgroup "
		   ">top.out & t=$!\n"
		   "sh -c 'echo $$ >%s/urt-top/cgroup.procs; while kill -0 '$t'; "
		   "do tests/probe sleeps 50; done' >top.err 2>&1; wait $t; "
		   "cat top.out; rm top.err top.out; rmdir %s/urt-top",
		   cgroup_mount, cgroup_mount, cgroup_mount),
		0);
	ck_assert_msg(columns("\n/urt-top ", column) == 7, "%.2000s", text);
	/* A sleep of 1 ms is a switch; their number depends on the CPUs. */
	ck_assert_msg(column[0] > 0 && column[0] < 20000, "%.2000s", text);
	ck_assert_msg(column[6] < 0, "%.2000s", text);
}
END_TEST

/* Lives and ends under that number; false: the test may not choose it. */
static bool lived_as(pid_t number, const char *name)
{
	struct clone_args a = { .exit_signal = SIGCHLD,
				.set_tid = (uintptr_t)&number,
				.set_tid_size = 1 };
	pid_t pid;

	/* Meanwhile, another process may have it. */
	while ((pid = syscall(SYS_clone3, &a, sizeof(a))) < 0 &&
	       errno == EEXIST)
		usleep(1000);
	if (!pid) {
		prctl(PR_SET_NAME, name);
		usleep(1000);
		_exit(0);
	}
	return pid > 0 && waitpid(pid, NULL, 0) == pid;
}

START_TEST(processes_of_one_number_are_two)
{
	char of[2][64];
	pid_t number;
	bool may;

	NEED_BPF();
	number = fork();
	if (!number)
		_exit(0);
	waitpid(number, NULL, 0);
	start("3600000");
	resize(100, 1000);
	until("pid");
	may = lived_as(number, "first-one") && lived_as(number, "second-one");
	snprintf(of[0], sizeof(of[0]), "%8d first-one ", number);
	snprintf(of[1], sizeof(of[1]), "%8d second-one ", number);
	press(" ");
	for (int i = 0; may && i < 2; i++)
		until(of[i]);
	press("q");
	ends(0);
	if (!may)
		SKIP("numbers of processes cannot be chosen here");
}
END_TEST

START_TEST(error_leaves_the_terminal_alone)
{
	int status;

	out_len = 0;
	top = forkpty(&terminal, NULL, NULL, NULL);
	if (!top) {
		/* Without privileges there is no BPF. */
		if (setgid(65534) || setuid(65534))
			_exit(1);
		execl("./urt", "./urt", "top", NULL);
		_exit(127);
	}
	while (take())
		;
	ck_assert_int_eq(waitpid(top, &status, 0), top);
	ck_assert_int_eq(WEXITSTATUS(status), 1);
	ck_assert_ptr_null(strstr(out, ENTER));
	close(terminal);
}
END_TEST

Suite *top_suite(void)
{
	Suite *s = suite_create("top");
	TCase *t = tcase_create("top");

	tcase_add_test(t, keys_sort_and_q_quits);
	tcase_add_test(t, top_fits_the_terminal_whatever_its_size);
	tcase_add_test(t, signals_leave_the_terminal_as_it_was);
	tcase_add_test(t, stopped_it_gives_the_terminal_back);
	tcase_add_test(
		t,
		running_program_is_shown_with_its_calls_requests_and_handoffs);
	tcase_add_test(t, cgroups_are_counted_as_one);
	tcase_add_test(t, processes_of_one_number_are_two);
	tcase_add_test(t, error_leaves_the_terminal_alone);
	suite_add_tcase(s, t);
	return s;
}
