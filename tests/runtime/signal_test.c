// SPDX-License-Identifier: MIT
/* Floor 6: signals as something to wait for. */
#define _GNU_SOURCE
#include "../lib/net.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

static void none(int signal)
{
	(void)signal;
}

RUN_TEST(signals_are_waited_for)
{
	int fd = urt_signal_open(SIGUSR1, SIGUSR2, 0);
	siginfo_t info;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(urt_signal_wait(fd, NULL, urt_after(MS)), -ETIME);
	for (int i = 0; i < 3; i++) {
		kill(getpid(), SIGUSR2);
		ck_assert_int_eq(urt_signal_wait(fd, NULL, never), SIGUSR2);
		kill(getpid(), SIGUSR1);
		ck_assert_int_eq(urt_signal_wait(fd, &info, never), SIGUSR1);
		ck_assert_int_eq(info.si_signo, SIGUSR1);
		ck_assert_int_eq(info.si_pid, getpid());
	}
	ck_assert_int_eq(urt_signal_close(fd), 0);
	ck_assert_int_eq(urt_signal_close(fd), -EBADF);
}

RUN_TEST(afterwards_signals_do_what_they_did)
{
	struct sigaction before = { .sa_handler = none }, after;
	int fd, other;

	sigaction(SIGUSR1, &before, NULL);
	fd = urt_signal_open(SIGUSR1, SIGQUIT, 0);
	other = urt_signal_open(SIGUSR1, 0);
	urt_signal_close(fd);
	sigaction(SIGUSR1, NULL, &after);
	ck_assert_ptr_ne(after.sa_handler, none);
	kill(getpid(), SIGUSR1);
	ck_assert_int_eq(urt_signal_wait(other, NULL, never), SIGUSR1);
	urt_signal_close(other);
	sigaction(SIGUSR1, NULL, &after);
	ck_assert_ptr_eq(after.sa_handler, none);
}

RUN_TEST(each_collector_gets_each_signal)
{
	int fd[16];

	for (int i = 0; i < 16; i++) {
		fd[i] = urt_signal_open(SIGHUP, 0);
		ck_assert_int_ge(fd[i], 0);
	}
	ck_assert_int_eq(urt_signal_open(SIGHUP, 0), -EMFILE);
	kill(getpid(), SIGHUP);
	for (int i = 0; i < 16; i++) {
		ck_assert_int_eq(urt_signal_wait(fd[i], NULL, never), SIGHUP);
		ck_assert_int_eq(urt_signal_close(fd[i]), 0);
	}
}

RUN_TEST(some_signals_cannot_be_collected)
{
	static const int bad[] = { -1,	    65,	    1000,   SIGKILL, SIGSTOP,
				   SIGSEGV, SIGBUS, SIGFPE, SIGILL,  SIGURG };

	ck_assert_int_eq(urt_signal_open(0), -EINVAL);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_int_eq(urt_signal_open(SIGUSR1, bad[i], 0), -EINVAL);
}

static _Atomic int result;

static void wait_for_one(void *arg)
{
	result = urt_signal_wait(*(int *)arg, NULL, never);
}

RUN_TEST(wait_for_signals_can_be_cancelled)
{
	int fd = urt_signal_open(SIGUSR1, 0);
	struct urt_coro *c = urt_spawn(wait_for_one, &fd);

	urt_sleep(MS);
	urt_cancel(c);
	urt_join(c);
	ck_assert_int_eq(result, -ECANCELED);
	kill(getpid(), SIGUSR1);
	ck_assert_int_eq(urt_signal_wait(fd, NULL, never), SIGUSR1);
	urt_signal_close(fd);
}

/* A plain thread sends signals all the time while collectors come and go: the
 * process is not killed, and only collectors' descriptors are written to. */
static _Atomic bool stop;

static void *storm(void *arg)
{
	while (!stop)
		kill(getpid(), SIGUSR1);
	return arg;
}

RUN_TEST(signals_may_come_while_collectors_go)
{
	struct sigaction sa = { .sa_handler = none };
	char path[] = "/tmp/urt-signal.XXXXXX";
	pthread_t t;

	sigaction(SIGUSR1, &sa, NULL);
	pthread_create(&t, NULL, storm, NULL);
	for (int i = 0; i < FEWER(300); i++) {
		int fd = urt_signal_open(SIGUSR1, 0), file;

		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(urt_signal_wait(fd, NULL, never), SIGUSR1);
		ck_assert_int_eq(urt_signal_close(fd), 0);
		strcpy(path + sizeof(path) - 7, "XXXXXX");
		file = mkstemp(path);
		unlink(path);
		urt_yield();
		ck_assert_int_eq(lseek(file, 0, SEEK_END), 0);
		close(file);
	}
	stop = true;
	pthread_join(t, NULL);
}

/* ---- the end of the run, and children ---- */

static void leave_open(void *arg)
{
	ck_assert_int_ge(urt_signal_open(SIGUSR1, SIGQUIT, 0), 0);
}

START_TEST(end_of_the_run_closes_collectors)
{
	int before = open_descriptors();
	struct sigaction sa;

	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(urt_run(leave_open, NULL), 0);
		sigaction(SIGUSR1, NULL, &sa);
		ck_assert_ptr_eq(sa.sa_handler, SIG_DFL);
		sigaction(SIGQUIT, NULL, &sa);
		ck_assert_ptr_eq(sa.sa_handler, SIG_DFL);
	}
	ck_assert_int_eq(urt_signal_open(SIGUSR1, 0), -EPERM);
	ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

static void fork_and_raise(void *arg)
{
	int fd = urt_signal_open(SIGUSR1, 0), status;
	pid_t pid = fork();

	if (!pid) {
		raise(SIGUSR1);
		_exit(1);
	}
	waitpid(pid, &status, 0);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
	/* The signal was not ours. */
	ck_assert_int_eq(urt_signal_wait(fd, NULL, urt_after(MS)), -ETIME);
}

START_TEST(forked_child_has_its_signals_back)
{
	ck_assert_int_eq(urt_run(fork_and_raise, NULL), 0);
}
END_TEST

Suite *signal_suite(void)
{
	Suite *s = suite_create("signal");
	TCase *t = tcase_create("signals");

	tcase_add_test(t, signals_are_waited_for);
	tcase_add_test(t, afterwards_signals_do_what_they_did);
	tcase_add_test(t, each_collector_gets_each_signal);
	tcase_add_test(t, some_signals_cannot_be_collected);
	tcase_add_test(t, wait_for_signals_can_be_cancelled);
	tcase_add_test(t, signals_may_come_while_collectors_go);
	tcase_add_test(t, end_of_the_run_closes_collectors);
	tcase_add_test(t, forked_child_has_its_signals_back);
	suite_add_tcase(s, t);
	return s;
}
