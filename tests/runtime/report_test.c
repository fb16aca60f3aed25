// SPDX-License-Identifier: MIT
/* What the runtime reports: deadlocks, SIGQUIT, leaks, stalls; and coroutines in gdb. */
#define _GNU_SOURCE
#include "../lib/child.h"
#include "../lib/workers.h"
#include <pthread.h>

static struct urt_chan *to;
static atomic_bool stop_it, computes;
static int pipe_fds[2];
static atomic_int started;

/* In the program's own text, with no call at all. */
static __attribute__((noinline)) void tight_loop(void)
{
	while (!stop_it)
		;
}

static void hog(void *arg)
{
	tight_loop();
}

static void start_one(void *arg)
{
	started++;
}

/* ---- reports ----------------------------------------------------------- */

static char said[65536];
URT_API void wait_for_ever(void *arg); /* for backtraces to know its name */

void wait_for_ever(void *arg)
{
	urt_chan_recv(to, NULL, URT_NEVER);
	stop_it = true; /* so that the call above is not a tail call */
}

static void all_asleep(void *arg)
{
	to = urt_chan_new(4, 0);
	for (int i = 0; i < 3; i++)
		urt_go(wait_for_ever, NULL);
	wait_for_ever(NULL);
}

START_TEST(deadlock_is_reported_with_backtraces_on_any_number_of_workers)
{
	int status =
		child_says(all_asleep, &(struct urt_options){ .workers = _i },
			   said, sizeof(said));

	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 2, "%x: %s",
		      status, said);
	ck_assert_ptr_nonnull(strstr(said, "deadlock"));
	ck_assert_ptr_nonnull(strstr(said, "[chan receive]"));
	ck_assert_ptr_nonnull(strstr(said, "wait_for_ever+"));
}
END_TEST

static atomic_int thread_lives = 1;

static void *end_when_told(void *arg)
{
	while (atomic_load(&thread_lives))
		usleep(1000);
	return NULL;
}

/* The thread ends when no coroutine has run for a while, after 20 looks. */
static void *tell_when_idle(void *arg)
{
	uint64_t before, now = 0;

	for (int idle = 0; idle < 20; idle++) {
		usleep(5000);
		before = now;
		now = counter(URT__STAT_SWITCHES);
		if (now != before)
			idle = 0;
	}
	atomic_store(&thread_lives, 0);
	return NULL;
}

static void asleep_beside_a_thread(void *arg)
{
	pthread_t t;

	pthread_create(&t, NULL, end_when_told, NULL);
	pthread_create(&t, NULL, tell_when_idle, NULL);
	all_asleep(NULL);
}

START_TEST(deadlock_is_reported_when_the_last_thread_that_could_end_it_ends)
{
	int status = child_says(asleep_beside_a_thread,
				&(struct urt_options){ .workers = _i }, said,
				sizeof(said));

	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 2, "%x: %s",
		      status, said);
	ck_assert_ptr_nonnull(strstr(said, "deadlock"));
}
END_TEST

URT_API void compute_for_ever(void *arg);

void compute_for_ever(void *arg)
{
	urt_preempt_disable();
	computes = true;
	/* TSan runs a signal's handler when the thread calls the C library, and
	 * the kernel may give this one the signal. */
	while (!stop_it)
		if (TSANITIZED)
			usleep(10);
}

static void quit_myself(void *arg)
{
	to = urt_chan_new(4, 0);
	for (int i = 0; i < 3; i++)
		urt_go(wait_for_ever, NULL);
	urt_go(compute_for_ever, NULL);
	wait_for_count(URT__STAT_PARKS_CHAN, 3);
	while (!computes)
		urt_sleep(MS);
	kill(getpid(), SIGQUIT);
	wait_for_ever(NULL);
}

START_TEST(sigquit_lists_all_coroutines_and_kills)
{
	int status =
		child_says(quit_myself, &(struct urt_options){ .workers = 2 },
			   said, sizeof(said));
	const char *running;

	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGQUIT,
		      "%x: %s", status, said);
	ck_assert_ptr_nonnull(strstr(said, "[chan receive]"));
	ck_assert_ptr_nonnull(strstr(said, "wait_for_ever+"));
	running = strstr(said, "(compute_for_ever) [running on worker");
	ck_assert_msg(running, "%s", said);
	ck_assert_msg(strstr(running, "\t#0 compute_for_ever+") || TSANITIZED,
		      "%s", said);
}
END_TEST

static void leak_some(void *arg)
{
	to = urt_chan_new(4, 0);
	urt_go(wait_for_ever, NULL);
	urt_spawn(start_one, NULL);
	while (!started)
		urt_sleep(MS);
	wait_for_count(URT__STAT_PARKS_CHAN, 1);
}

START_TEST(leaks_are_listed_on_request)
{
	setenv("URT_DEBUG", "leak", 1);
	child_says(leak_some, &(struct urt_options){ .workers = 1 }, said,
		   sizeof(said));
	ck_assert_ptr_nonnull(strstr(said, "left at the end"));
	ck_assert_ptr_nonnull(strstr(said, "(wait_for_ever) [chan receive]"));
	ck_assert_ptr_nonnull(strstr(said, "[ended, not joined]"));
}
END_TEST

/* Copies the reports to the test's stderr until each kind has come. */
static void *pass_on(void *arg)
{
	static char passed[65536];
	const int *fds = arg;
	size_t len = 0;
	ssize_t n;

	while (!strstr(passed, "stall: coroutine") ||
	       (!TSANITIZED && !strstr(passed, "slow_one")) ||
	       !strstr(passed, "processors=1")) {
		n = read(fds[0], passed + len, sizeof(passed) - 1 - len);
		if (n <= 0 || write(fds[1], passed + len, n) != n)
			break;
		len += n;
	}
	stop_it = true;
	return NULL;
}

URT_API void slow_one(void *arg);

void slow_one(void *arg)
{
	int to_thread[2], fds[2];
	pthread_t t;

	ck_assert_int_eq(pipe(to_thread), 0);
	fds[0] = to_thread[0];
	fds[1] = dup(2);
	dup2(to_thread[1], 2);
	pthread_create(&t, NULL, pass_on, fds);
	urt_preempt_disable();
	tight_loop();
	urt_preempt_enable();
	dup2(fds[1], 2);
	pthread_join(t, NULL);
}

START_TEST(stalls_and_the_scheduler_are_reported_on_request)
{
	setenv("URT_DEBUG", "stall=50,sched=20", 1);
	child_says(slow_one, &(struct urt_options){ .workers = 1 }, said,
		   sizeof(said));
	ck_assert_ptr_nonnull(strstr(said, "stall: coroutine"));
	if (!TSANITIZED) /* which delays signals */
		ck_assert_ptr_nonnull(strstr(said, "slow_one"));
	ck_assert_ptr_nonnull(strstr(said, "sched"));
	ck_assert_ptr_nonnull(strstr(said, "processors=1"));
}
END_TEST

START_TEST(environment_with_an_unknown_value_is_refused)
{
	static const char *const names[] = { "URT_DEBUG", "URT_PREEMPT",
					     "URT_ASSIST", "URT_WORKERS",
					     "URT_FEATURES" };

	for (int i = 0; i < 5; i++) {
		setenv(names[i], "maybe", 1);
		ck_assert_int_eq(urt_run(start_one, NULL), -EINVAL);
		ck_assert_ptr_nonnull(strstr(urt_why(), names[i]));
		unsetenv(names[i]);
	}
}
END_TEST

static void park_and_burn(void *arg)
{
	to = urt_chan_new(4, 0);
	urt_go(wait_for_ever, NULL);
	urt_go(hog, NULL);
	while (!was_handed_off()) /* the hog has lost its processor */
		urt_sleep(MS);
	ck_assert_int_eq(write(*(int *)arg, "x", 1), 1);
	wait_for_ever(NULL);
}

/* The sources are two directories above the build directory. */
START_TEST(gdb_lists_coroutines_and_unwinds_them_to_their_first_frame)
{
	struct urt_options o = { .workers = 1 };
	char command[256], c;
	size_t len;
	FILE *f;
	pid_t pid;

	if (system("command -v gdb >/dev/null"))
		SKIP("gdb is not installed");
	if (SANITIZED)
		SKIP("a sanitizer's build is not one to debug");
	ck_assert_int_eq(pipe(pipe_fds), 0);
	pid = fork();
	if (!pid) {
		urt_run_with(park_and_burn, &pipe_fds[1], &o);
		_exit(0);
	}
	ck_assert_int_eq(read(pipe_fds[0], &c, 1), 1);
	snprintf(command, sizeof(command),
		 "gdb -batch -p %d -ex 'source ../../uring_rt/gdb.py' "
		 "-ex 'info urt' -ex 'urt bt 2' -ex 'urt bt 99' 2>&1",
		 pid);
	f = popen(command, "r");
	len = fread(said, 1, sizeof(said) - 1, f);
	said[len] = '\0';
	pclose(f);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ck_assert_msg(strstr(said, "chan recv"), "%s", said);
	ck_assert_msg(strstr(said, "wait_for_ever"), "%s", said);
	ck_assert_msg(strstr(said, "in urt__ctx_entry"), "%s", said);
	ck_assert_msg(strstr(said, "no such coroutine: 99"), "%s", said);
}
END_TEST

/* ---- going wrong ---- */

static void wait_for_nothing(void *arg)
{
	struct urt_chan *ch = urt_chan_new(4, 0);
	int v;

	urt_chan_recv(ch, &v, URT_NEVER);
}

static void worker_thread_then_deadlock(void *arg)
{
	char path[] = "/tmp/urt-test.XXXXXX";
	int fd = mkstemp(path);

	/* An idle thread of io_uring may remain in the process. */
	urt_write(fd, "x", 1, URT_NEVER);
	unlink(path);
	wait_for_nothing(NULL);
}

static void all_wait(void *arg)
{
	struct urt_coro *c = urt_spawn(wait_for_nothing, NULL);

	urt_join(c);
}

START_TEST(deadlock_is_reported_and_ends_with_status_2)
{
	int status = child_says(all_wait, NULL, said, sizeof(said));
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 2, "%x: %s",
		      status, said);
	ck_assert_ptr_nonnull(strstr(said, "all coroutines are asleep"));
	ck_assert_ptr_nonnull(strstr(said, "[chan receive]"));
	ck_assert_ptr_nonnull(strstr(said, "[join]"));
}
END_TEST

START_TEST(deadlock_is_seen_beside_io_urings_own_threads)
{
	int status = child_says(worker_thread_then_deadlock, NULL, said,
				sizeof(said));

	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 2, "%x: %s",
		      status, said);
}
END_TEST

Suite *report_suite(void)
{
	Suite *s = suite_create("report");
	TCase *t = tcase_create("report");

	tcase_add_loop_test(
		t,
		deadlock_is_reported_with_backtraces_on_any_number_of_workers,
		1, 4);
	tcase_add_loop_test(
		t,
		deadlock_is_reported_when_the_last_thread_that_could_end_it_ends,
		1, 3);
	tcase_add_test(t, sigquit_lists_all_coroutines_and_kills);
	tcase_add_test(t, leaks_are_listed_on_request);
	tcase_add_test(
		t, gdb_lists_coroutines_and_unwinds_them_to_their_first_frame);
	tcase_add_test(t, stalls_and_the_scheduler_are_reported_on_request);
	tcase_add_test(t, environment_with_an_unknown_value_is_refused);
	tcase_add_test(t, deadlock_is_reported_and_ends_with_status_2);
	tcase_add_test(t, deadlock_is_seen_beside_io_urings_own_threads);
	suite_add_tcase(s, t);
	return s;
}
