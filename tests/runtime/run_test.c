// SPDX-License-Identifier: MIT
/*
 * Floor 7: the beginning and the end of a run, and the page of its counters.
 */
#define _GNU_SOURCE
#include "../../tools/measure/pages.h"
#include "../lib/child.h"
#include "../lib/workers.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

/* ---- forks and ends ---------------------------------------------------- */

static void accept_one(void *arg)
{
	int fd = urt_accept(*(int *)arg, NULL, NULL, SOCK_CLOEXEC, URT_NEVER);

	close(fd);
}

static int listener;
static struct urt_addr address;

static void open_one(void *arg)
{
	int fd = urt_openat(AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC, 0,
			    URT_NEVER);

	(void)arg;
	close(fd);
}

static void end_while_they_open(void *arg)
{
	(void)arg;
	listener = urt_listen("127.0.0.1:0", URT_NEVER);
	urt_addr_local(listener, &address);
	for (int i = 0; i < 8; i++) {
		urt_go(accept_one, &listener);
		urt_go(open_one, NULL);
	}
	urt_yield();
	for (int i = 0; i < 8; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		connect(fd, &address.sa, address.len);
		close(fd);
	}
	/* The kernel has accepted, or will before the rings are empty. */
}

static int end_runs(void)
{
	struct urt_options o = { .workers = 1 };
	int open = descriptors();

	for (int i = 0; i < 20; i++) {
		if (urt_run_with(end_while_they_open, NULL, &o))
			return 1;
		close(listener);
	}
	return descriptors() != open;
}

static void cancel_own_thread(void *arg)
{
	pthread_cancel(*(pthread_t *)arg);
	for (int i = 0; i < 5; i++) { /* on any worker, in calls that cancel */
		ck_assert_int_eq(urt_sleep(MS), 0);
		usleep(1);
	}
	*(pthread_t *)arg = 0;
}

static void *run_and_be_cancelled(void *arg)
{
	pthread_t self = pthread_self();

	*(int *)arg = urt_run(cancel_own_thread, &self);
	*(int *)arg += self ? 1 : 2;
	pthread_testcancel();
	return NULL;
}

START_TEST(thread_that_is_cancelled_in_a_run_ends_after_it)
{
	pthread_t t;
	void *how;
	int result = -1;

	pthread_create(&t, NULL, run_and_be_cancelled, &result);
	pthread_join(t, &how);
	ck_assert_ptr_eq(how, PTHREAD_CANCELED);
	ck_assert_int_eq(result, 2);
}
END_TEST

START_TEST(descriptors_opened_while_a_run_ends_are_closed)
{
	in_child(end_runs);
}
END_TEST

/* ---- spreading --------------------------------------------------------- */

static void count_threads(void *arg)
{
	*(unsigned *)arg = urt__rt.nr_procs;
}

START_TEST(number_of_workers_comes_from_options_environment_or_cpus)
{
	unsigned n = 0;
	cpu_set_t set;

	run_on(3, count_threads, &n);
	ck_assert_uint_eq(n, 3);
	setenv("URT_WORKERS", "5", 1);
	ck_assert_int_eq(urt_run(count_threads, &n), 0);
	ck_assert_uint_eq(n, 5);
	setenv("URT_WORKERS", "none", 1);
	ck_assert_int_eq(urt_run(count_threads, &n), -EINVAL);
	ck_assert_ptr_nonnull(strstr(urt_why(), "URT_WORKERS"));
	unsetenv("URT_WORKERS");
	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	sched_setaffinity(0, sizeof(set), &set);
	ck_assert_int_eq(urt_run(count_threads, &n), 0);
	ck_assert_uint_eq(n, 1);
}
END_TEST

static long count;

static void bump(void *arg)
{
	count++;
}

static void for_ever(void *arg)
{
	char c;

	urt_read(*(int *)arg, &c, 1, URT_NEVER);
	ck_abort_msg("it went on after the run");
}

static void leave_others(void *arg)
{
	for (int i = 0; i < 100; i++)
		urt_go(for_ever, arg);
	urt_sleep(MS);
}

START_TEST(run_ends_with_its_first_coroutine)
{
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	run_on(1, leave_others, fds);
	ck_assert_int_eq(write(fds[1], "x", 1), 1);
	usleep(1000);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

static void run_inside(void *arg)
{
	ck_assert_int_eq(urt_run(bump, NULL), -EBUSY);
	ck_assert_ptr_nonnull(strstr(urt_why(), "going on"));
}

START_TEST(second_run_at_the_same_time_is_refused)
{
	run_on(1, run_inside, NULL);
}
END_TEST

START_TEST(impossible_options_are_refused)
{
	struct urt_options small = { .stack_size = 100 };
	struct urt_options workers = { .workers = 1000000 };
	struct urt_options ring = { .ring_entries = 1 << 20 };

	ck_assert_int_eq(urt_run_with(bump, NULL, &small), -EINVAL);
	ck_assert_ptr_nonnull(strstr(urt_why(), "stack_size"));
	ck_assert_int_eq(urt_run_with(bump, NULL, &workers), -EINVAL);
	ck_assert_ptr_nonnull(strstr(urt_why(), "workers"));
	ck_assert_int_eq(urt_run_with(bump, NULL, &ring), -EINVAL);
	setenv("URT_FEATURES", "-nonsense", 1);
	ck_assert_int_eq(urt_run(bump, NULL), -EINVAL);
	ck_assert_ptr_nonnull(strstr(urt_why(), "nonsense"));
	ck_assert_int_eq(count, 0);
}
END_TEST

/* ---- set-up that fails ---- */

START_TEST(forbidden_io_uring_is_explained)
{
	pid_t pid = fork();
	int status;

	/* A descriptor limit of nothing makes io_uring_setup fail. */
	if (!pid) {
		struct rlimit r = { 0, 0 };

		setenv(URT__STATS_TO_ENV, "", 1);
		setrlimit(RLIMIT_NOFILE, &r);
		_exit(urt_run(bump, NULL) == -EMFILE && *urt_why() ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* ---- the counters page ---- */

static void look_at_page(void *arg)
{
	char path[64], target[128];
	struct urt__stats_page *p = NULL;
	uint64_t before;

	for (int fd = 0; fd < 64 && !p; fd++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, target, sizeof(target) - 1);
		if (n < 0)
			continue;
		target[n] = '\0';
		if (strstr(target, "memfd:" URT__STATS_NAME))
			p = mmap(NULL, lseek(fd, 0, SEEK_END), PROT_READ,
				 MAP_SHARED, fd, 0);
	}
	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq(p->magic, URT__STATS_MAGIC);
	ck_assert_uint_eq(p->pid, getpid());
	ck_assert_str_eq(p->name[URT__STAT_SWITCHES], "switches");
	before = counter_in(p, URT__STAT_YIELDS);
	for (int i = 0; i < 100; i++)
		urt_yield();
	ck_assert_uint_eq(counter_in(p, URT__STAT_YIELDS), before + 100);
}

START_TEST(counters_page_can_be_found_and_counts)
{
	unsetenv(URT__STATS_TO_ENV);
	run_on(1, look_at_page, NULL);
}
END_TEST

START_TEST(counters_page_is_sent_where_the_environment_wants_it)
{
	struct page_inbox *inbox = page_inbox_open(URT__STATS_TO_ENV);
	struct urt__stats_page *p;
	struct page_map map;
	pid_t from;
	int fd;

	ck_assert_ptr_nonnull(inbox);
	run_on(1, bump, NULL);
	fd = page_inbox_next(inbox, &from);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(from, getpid());
	/* Even when the run has ended, nothing can cut it. */
	ck_assert_int_eq(ftruncate(fd, 0), -1);
	ck_assert_msg(!page_map(fd, 1 << 20, false, &map), "not readable");
	p = map.at;
	ck_assert_uint_eq(p->magic, URT__STATS_MAGIC);
	ck_assert_uint_eq(p->pid, getpid());
	page_unmap(&map);
	close(fd);
	page_inbox_close(inbox);
}
END_TEST

START_TEST(socket_that_nobody_reads_stops_no_run)
{
	setenv(URT__STATS_TO_ENV, "@urt-nobody-listens-here/x", 1);
	run_on(1, bump, NULL);
	setenv(URT__STATS_TO_ENV, "nonsense", 1);
	run_on(1, bump, NULL);
	unsetenv(URT__STATS_TO_ENV);
}
END_TEST

Suite *run_suite(void)
{
	Suite *s = suite_create("run");
	TCase *t = tcase_create("run");

	tcase_add_test(t, run_ends_with_its_first_coroutine);
	tcase_add_test(t, second_run_at_the_same_time_is_refused);
	tcase_add_test(t, impossible_options_are_refused);
	tcase_add_test(t, forbidden_io_uring_is_explained);
	tcase_add_test(t, counters_page_can_be_found_and_counts);
	tcase_add_test(t, counters_page_is_sent_where_the_environment_wants_it);
	tcase_add_test(t, socket_that_nobody_reads_stops_no_run);
	tcase_add_test(
		t, number_of_workers_comes_from_options_environment_or_cpus);
	tcase_add_test(t, thread_that_is_cancelled_in_a_run_ends_after_it);
	tcase_add_test(t, descriptors_opened_while_a_run_ends_are_closed);
	suite_add_tcase(s, t);
	return s;
}
