// SPDX-License-Identifier: MIT
/* Floor 6: child processes. */
#define _GNU_SOURCE
#include "../lib/net.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGV(...)                 \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}
#define SHELL(script)                                 \
	{                                             \
		.argv = ARGV("/bin/sh", "-c", script) \
	}

/* Returns its status; its output must be `expected`. */
static int check_run(const struct urt_command *c, const char *expected)
{
	char *out;
	size_t len;
	int status = urt_process_run(c, &out, &len, 1000, never);

	ck_assert_msg(status >= 0, "%s", strerror(-status));
	ck_assert_str_eq(out, expected);
	ck_assert_uint_eq(len, strlen(expected));
	free(out);
	return status;
}

RUN_TEST(command_is_run_and_its_output_caught)
{
	static const char *const env[] = { "A=b", NULL };
	struct urt_command c = { .argv = ARGV("echo", "a b", "c") };
	struct urt_command fails = SHELL("printf x; exit 7");
	struct urt_command killed = SHELL("kill -9 $$");
	struct urt_command where = SHELL("pwd; echo $A");
	struct urt_command both = SHELL("echo 1; echo 2 >&2; echo 3");
	int status;

	ck_assert_int_eq(check_run(&c, "a b c\n"), 0);
	status = check_run(&fails, "x");
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	status = check_run(&killed, "");
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	where.cwd = "/tmp";
	where.env = env;
	check_run(&where, "/tmp\nb\n");
	both.err = URT_TO_STDOUT;
	check_run(&both, "1\n2\n3\n");
	both.err = URT_NULL;
	check_run(&both, "1\n3\n");
	c.out = URT_NULL;
	ck_assert_int_eq(urt_process_run(&c, NULL, NULL, 0, never), 0);
}

RUN_TEST(program_that_cannot_be_run_says_why)
{
	struct urt_command none = { .argv = ARGV("/no/such/program") };
	struct urt_command dir = { .argv = ARGV("/tmp") };
	struct urt_command cwd = { .argv = ARGV("true"), .cwd = "/no/such" };
	struct urt_command fd = { .argv = ARGV("true"), .in = 999999 };
	struct urt_command empty = { .argv = ARGV(NULL) };
	struct urt_command bad = { .argv = ARGV("true"), .in = URT_TO_STDOUT };
	struct urt_command in = { .argv = ARGV("true"), .in = URT_PIPE };
	struct urt_process p;
	char *out;

	ck_assert_int_eq(urt_process_start(&p, &none), -ENOENT);
	ck_assert_int_eq(urt_process_close(&p), -ESRCH);
	ck_assert_int_eq(urt_process_signal(&p, SIGTERM), -ESRCH);
	ck_assert_int_eq(urt_process_start(&p, &dir), -EACCES);
	ck_assert_int_eq(urt_process_start(&p, &cwd), -ENOENT);
	ck_assert_int_eq(urt_process_start(&p, &fd), -EBADF);
	ck_assert_int_eq(urt_process_start(&p, &empty), -EINVAL);
	ck_assert_int_eq(urt_process_start(&p, &bad), -EINVAL);
	ck_assert_int_eq(urt_process_run(&in, &out, NULL, 10, never), -EINVAL);
	ck_assert_ptr_null(out);
	signal(SIGCHLD, SIG_IGN);
	empty.argv = ARGV("true");
	ck_assert_int_eq(urt_process_start(&p, &empty), -ECHILD);
	signal(SIGCHLD, SIG_DFL);
	ck_assert_int_eq(urt_process_run(&empty, NULL, NULL, 0, never), 0);
}

RUN_TEST(conversation_goes_through_pipes)
{
	struct urt_command c = { .argv = ARGV("cat"),
				 .in = URT_PIPE,
				 .out = URT_PIPE,
				 .err = URT_PIPE };
	struct urt_process p;
	char buf[8] = "";

	ck_assert_int_eq(urt_process_start(&p, &c), 0);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(urt_write(p.in, "ping", 4, never), 4);
		ck_assert_int_eq(urt_read(p.out, buf, 8, never), 4);
		ck_assert_str_eq(buf, "ping");
	}
	ck_assert_int_eq(urt_process_wait(&p, urt_after(MS)), -ETIME);
	urt_close(p.in);
	p.in = -1;
	ck_assert_int_eq(urt_read(p.out, buf, 8, never), 0);
	ck_assert_int_eq(urt_read(p.err, buf, 8, never), 0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(urt_process_wait(&p, never), 0);
	ck_assert_int_eq(urt_process_signal(&p, SIGTERM), 0);
	ck_assert_int_eq(urt_process_close(&p), 0);
	ck_assert_int_eq(urt_process_close(&p), -ESRCH);
}

/* out and err change places, which needs a third descriptor. */
RUN_TEST(descriptors_may_stand_in_each_others_way)
{
	struct urt_command c = SHELL("echo out; echo err >&2");
	char out[] = "/tmp/urt-process.XXXXXX",
	     err[] = "/tmp/urt-process.XXXXXX";
	int fds[2] = { mkostemp(out, O_CLOEXEC), mkstemp(err) };
	int saved[2] = { dup(1), dup(2) };
	char buf[16] = "";

	ck_assert_int_eq(dup2(fds[0], 1), 1);
	ck_assert_int_eq(dup2(fds[1], 2), 2);
	c.out = 2;
	c.err = 1;
	ck_assert_int_eq(urt_process_run(&c, NULL, NULL, 0, never), 0);
	for (int i = 0; i < 2; i++) {
		dup2(saved[i], i + 1);
		close(saved[i]);
	}
	ck_assert_int_eq(pread(fds[0], buf, 16, 0), 4);
	ck_assert_str_eq(buf, "err\n");
	ck_assert_int_eq(pread(fds[1], buf, 16, 0), 4);
	ck_assert_str_eq(buf, "out\n");
	for (int i = 0; i < 2; i++) {
		unlink(i ? err : out);
		close(fds[i]);
	}
}

RUN_TEST(process_starts_with_signals_as_it_expects_them)
{
	/* Not by a shell: busybox's ignores SIGQUIT. */
	struct urt_command c = { .argv = (const char *[]){
					 "grep", "-e", "SigBlk", "-e", "SigIgn",
					 "/proc/self/status", NULL } };
	unsigned long long blocked, ignored, before = 0;
	struct sigaction sa;
	sigset_t set;
	char *out;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	for (int n = 1; n < 32; n++)
		if (!sigaction(n, NULL, &sa) && sa.sa_handler == SIG_IGN)
			before |= 1u << (n - 1);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	ck_assert_int_eq(urt_process_run(&c, &out, NULL, 1000, never), 0);
	ck_assert_int_eq(
		sscanf(out, "SigBlk: %llx SigIgn: %llx", &blocked, &ignored),
		2);
	ck_assert_uint_eq(blocked, 0);
	ck_assert_uint_ne(before & 1 << (SIGHUP - 1), 0);
	ck_assert_uint_eq(ignored & 0x7fffffff,
			  before & ~(1u << (SIGPIPE - 1)));
	free(out);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* ---- the end ---- */

static bool alive(pid_t pid)
{
	return !kill(pid, 0);
}

RUN_TEST(too_much_output_kills)
{
	struct urt_command c = { .argv = ARGV("yes") };
	char *out;
	size_t len = 1;

	ck_assert_int_eq(urt_process_run(&c, &out, &len, 100000, never),
			 -EMSGSIZE);
	ck_assert_ptr_null(out);
	ck_assert_uint_eq(len, 0);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
}

RUN_TEST(deadline_kills)
{
	struct urt_command c = { .argv = ARGV("sleep", "1000") };
	char *out;

	ck_assert_int_eq(
		urt_process_run(&c, &out, NULL, 10, urt_after(20 * MS)),
		-ETIME);
	c.out = URT_NULL;
	ck_assert_int_eq(
		urt_process_run(&c, NULL, NULL, 10, urt_after(20 * MS)),
		-ETIME);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
}

static _Atomic int result;

static void run_sleep(void *arg)
{
	struct urt_command c = { .argv = ARGV("sleep", "1000") };

	result = urt_process_run(&c, NULL, NULL, 0, never);
}

RUN_TEST(cancelling_kills_at_any_time)
{
	for (int i = 0; i < 20; i++) {
		struct urt_coro *c = urt_spawn(run_sleep, NULL);

		urt_sleep(i * MS / 5);
		urt_cancel(c);
		urt_join(c);
		ck_assert_int_eq(result, -ECANCELED);
		ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	}
}

RUN_TEST(group_that_is_closed_kills_its_processes)
{
	struct urt_command c = SHELL("sleep 1000 & echo $!");
	struct urt_process p;
	char buf[32] = "";
	pid_t grandchild;

	c.group = true;
	c.out = URT_PIPE;
	ck_assert_int_eq(urt_process_start(&p, &c), 0);
	ck_assert_int_gt(urt_read(p.out, buf, 31, never), 0);
	grandchild = atoi(buf);
	/* The shell has ended, but its child has not. */
	ck_assert_int_eq(urt_process_wait(&p, never), 0);
	ck_assert(alive(grandchild));
	ck_assert_int_eq(urt_process_close(&p), 0);
	while (alive(grandchild)) { /* or a zombie, until init reaps it */
		char path[64], *status;

		snprintf(path, sizeof(path), "/proc/%d/status", grandchild);
		if (urt_read_file(path, &status, 10000, never) < 0)
			break;
		grandchild =
			strstr(status, "\nState:\tZ") ? 0x3fffffff : grandchild;
		free(status);
		urt_sleep(MS / 10);
	}
}

RUN_TEST(signals_reach_it)
{
	struct urt_command c = SHELL("trap 'exit 3' TERM; echo ready; "
				     "while :; do sleep 0.01; done");
	struct urt_process p;
	char buf[8];
	int status;

	c.out = URT_PIPE;
	ck_assert_int_eq(urt_process_start(&p, &c), 0);
	ck_assert_int_eq(urt_read(p.out, buf, 8, never), 6);
	ck_assert_int_eq(urt_process_signal(&p, 0), 0);
	ck_assert_int_eq(urt_process_signal(&p, SIGTERM), 0);
	status = urt_process_wait(&p, never);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 3);
	ck_assert_int_eq(urt_process_close(&p), status);
	/* A process that does not end on its own. */
	ck_assert_int_eq(urt_process_start(&p, &c), 0);
	status = urt_process_close(&p);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static int run_one(void *arg)
{
	struct urt_command c = SHELL("echo $$");
	char *out;
	int ret = urt_process_run(&c, &out, NULL, 100, never);

	free(out);
	return ret;
}

RUN_TEST(many_can_run_at_once)
{
	struct urt_scope s;

	urt_scope_open(&s, never);
	for (int i = 0; i < FEWER(100); i++)
		ck_assert_int_eq(urt_scope_go(&s, run_one, NULL), 0);
	ck_assert_int_eq(urt_scope_close(&s), 0);
}

Suite *process_suite(void)
{
	Suite *s = suite_create("process");
	TCase *t = tcase_create("start");

	tcase_add_test(t, command_is_run_and_its_output_caught);
	tcase_add_test(t, program_that_cannot_be_run_says_why);
	tcase_add_test(t, conversation_goes_through_pipes);
	tcase_add_test(t, descriptors_may_stand_in_each_others_way);
	tcase_add_test(t, process_starts_with_signals_as_it_expects_them);
	suite_add_tcase(s, t);
	t = tcase_create("end");
	tcase_add_test(t, too_much_output_kills);
	tcase_add_test(t, deadline_kills);
	tcase_add_test(t, cancelling_kills_at_any_time);
	tcase_add_test(t, group_that_is_closed_kills_its_processes);
	tcase_add_test(t, signals_reach_it);
	tcase_add_test(t, many_can_run_at_once);
	suite_add_tcase(s, t);
	return s;
}
