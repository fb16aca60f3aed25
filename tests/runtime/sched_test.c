// SPDX-License-Identifier: MIT
/* Floors 3 and 7: coroutines, and the beginning and end of a run. */
#define _GNU_SOURCE
#include "../../tools/measure/pages.h"
#include "../../uring_rt/base/stats.h"
#include "../../uring_rt/urt.h"
#include "../lib/child.h"
#include "../lib/test.h"
#include "../lib/workers.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

/* On one worker: these may rely on an order and use plain variables. */
static void run(urt_fn *fn, void *arg)
{
	struct urt_options o = { .workers = 1 };

	ck_assert_msg(!urt_run_with(fn, arg, &o), "%s", urt_why());
}

/* Where the machine is slow, the thread is handed off, and two coroutines run at
 * a time: each takes a place of its own. */
static char order[64];
static unsigned places;

static void append(void *arg)
{
	order[__atomic_fetch_add(&places, 1, __ATOMIC_RELAXED)] =
		*(const char *)arg;
}

static void spawn_and_join_one(void *arg)
{
	struct urt_coro *c = urt_spawn(append, "b");

	append("a");
	ck_assert_int_eq(urt_join(c), 0);
	append("c");
}

START_TEST(join_waits_for_the_end)
{
	run(spawn_and_join_one, NULL);
	ck_assert_uint_eq(strlen(order), 3);
	ck_assert_ptr_nonnull(strchr(order, 'b'));
	ck_assert_int_eq(order[2], 'c');
}
END_TEST

static void join_ended(void *arg)
{
	struct urt_coro *c = urt_spawn(append, "x");

	urt_yield();
	ck_assert_str_eq(order, "x");
	ck_assert_int_eq(urt_join(c), 0);
}

START_TEST(join_of_an_ended_coroutine_returns_at_once)
{
	run(join_ended, NULL);
}
END_TEST

static void append_thrice(void *arg)
{
	for (int i = 0; i < 3; i++) {
		append(arg);
		urt_yield();
	}
}

static void take_turns(void *arg)
{
	struct urt_coro *a = urt_spawn(append_thrice, "a");
	struct urt_coro *b = urt_spawn(append_thrice, "b");

	urt_join(a);
	urt_join(b);
	*(bool *)arg = was_handed_off();
}

START_TEST(yield_lets_the_others_go_first)
{
	bool apart;

	run(take_turns, &apart);
	ck_assert_uint_eq(strlen(order), 6);
	if (apart)
		SKIP("the thread was handed off, so two ran: %s", order);
	for (int i = 0; i + 2 < 6; i++)
		ck_assert_msg(order[i] != order[i + 1], "%s", order);
}
END_TEST

static void yield_alone(void *arg)
{
	for (int i = 0; i < 1000; i++)
		urt_yield();
}

START_TEST(yield_of_the_only_coroutine_returns)
{
	run(yield_alone, NULL);
}
END_TEST

/* A tree of coroutines: each spawns ten, down to depth; counts the leaves. */
struct tree {
	int depth;
	long leaves;
};

static void grow(void *arg)
{
	struct tree *t = arg;
	struct tree child[10];
	struct urt_coro *c[10];

	if (!t->depth) {
		t->leaves = 1;
		return;
	}
	for (int i = 0; i < 10; i++) {
		child[i] = (struct tree){ t->depth - 1, 0 };
		c[i] = urt_spawn(grow, &child[i]);
		ck_assert_ptr_nonnull(c[i]);
	}
	for (int i = 0; i < 10; i++) {
		urt_join(c[i]);
		t->leaves += child[i].leaves;
	}
}

START_TEST(a_tree_of_ten_thousand_coroutines_comes_back_whole)
{
	struct tree t = { 4, 0 };

	run(grow, &t);
	ck_assert_int_eq(t.leaves, 10000);
}
END_TEST

static long count;

static void bump(void *arg)
{
	count++;
}

/* Far more than the local queue holds (TSan knows 8000 at most). */
enum { MANY = TSANITIZED ? 5000 : 20000 };

static void start_many(void *arg)
{
	for (int i = 0; i < MANY; i++)
		ck_assert_int_eq(urt_go(bump, NULL), 0);
	while (count < MANY)
		urt_yield();
}

START_TEST(more_runnable_coroutines_than_a_queue_holds_all_run)
{
	run(start_many, NULL);
	ck_assert_int_eq(count, MANY);
}
END_TEST

static bool hog_stop;

static void hog(void *arg)
{
	while (!hog_stop)
		urt_yield();
}

static void sleep_beside_hogs(void *arg)
{
	int64_t begin = urt_now();

	for (int i = 0; i < 10; i++)
		urt_go(hog, NULL);
	ck_assert_int_eq(urt_sleep(5 * MS), 0);
	ck_assert_int_ge(urt_now() - begin, 5 * MS);
	hog_stop = true;
}

START_TEST(yielding_coroutines_do_not_starve_timers)
{
	run(sleep_beside_hogs, NULL);
}
END_TEST

static void pipe_hogs(void *arg)
{
	int fds[2];
	char c = 0;

	ck_assert_int_eq(pipe(fds), 0);
	for (int i = 0; i < 10; i++)
		urt_go(hog, NULL);
	ck_assert_int_eq(urt_write(fds[1], "x", 1, URT_NEVER), 1);
	ck_assert_int_eq(urt_read(fds[0], &c, 1, URT_NEVER), 1);
	hog_stop = true;
	close(fds[0]);
	close(fds[1]);
}

START_TEST(yielding_coroutines_do_not_starve_the_ring)
{
	run(pipe_hogs, NULL);
}
END_TEST

/* A pair that hands data to and fro must not keep others from running. */
static void echo_for_ever(void *arg)
{
	struct urt_chan **ch = arg;
	int v;

	while (!urt_chan_recv(ch[0], &v, URT_NEVER) &&
	       !urt_chan_send(ch[1], &v, URT_NEVER))
		;
}

static void pair_beside_one(void *arg)
{
	struct urt_chan *ch[2] = { urt_chan_new(4, 0), urt_chan_new(4, 0) };
	struct urt_coro *c = urt_spawn(echo_for_ever, ch);
	int v = 0, turns = 0;

	urt_go(bump, NULL);
	for (; !count; turns++) {
		urt_chan_send(ch[0], &v, URT_NEVER);
		urt_chan_recv(ch[1], &v, URT_NEVER);
		ck_assert_int_lt(turns, 10000);
	}
	urt_chan_close(ch[0]);
	urt_join(c);
	urt_chan_free(ch[0]);
	urt_chan_free(ch[1]);
}

START_TEST(a_busy_pair_does_not_starve_others)
{
	run(pair_beside_one, NULL);
}
END_TEST

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

START_TEST(the_run_ends_with_its_first_coroutine)
{
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	run(leave_others, fds);
	ck_assert_int_eq(write(fds[1], "x", 1), 1);
	usleep(1000);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

START_TEST(runs_can_follow_each_other)
{
	for (int i = 0; i < 20; i++) {
		order[0] = '\0';
		run(spawn_and_join_one, NULL);
	}
}
END_TEST

static void run_inside(void *arg)
{
	ck_assert_int_eq(urt_run(bump, NULL), -EBUSY);
	ck_assert_ptr_nonnull(strstr(urt_why(), "going on"));
}

START_TEST(a_second_run_at_the_same_time_is_refused)
{
	run(run_inside, NULL);
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

static void spawn_too_many(void *arg)
{
	struct urt_coro *c[3];

	for (int i = 0; i < 3; i++)
		c[i] = urt_spawn(bump, NULL);
	ck_assert_ptr_nonnull(c[2]);
	ck_assert_ptr_null(urt_spawn(bump, NULL));
	ck_assert_int_eq(urt_go(bump, NULL), -EAGAIN);
	for (int i = 0; i < 3; i++)
		urt_join(c[i]);
	ck_assert_int_eq(urt_go(bump, NULL), 0);
}

START_TEST(more_than_max_coroutines_are_refused)
{
	struct urt_options o = { .max_coroutines = 4 };

	ck_assert_int_eq(urt_run_with(spawn_too_many, NULL, &o), 0);
}
END_TEST

START_TEST(outside_a_coroutine_calls_say_so)
{
	char c;

	ck_assert_int_eq(urt_go(bump, NULL), -EPERM);
	ck_assert_ptr_null(urt_spawn(bump, NULL));
	struct urt_chan *ch = urt_chan_new(1, 1);

	ck_assert_int_eq(urt_sleep(1), -EPERM);
	ck_assert_int_eq(urt_chan_send(ch, &c, 0), -EPERM);
	ck_assert_int_eq(urt_chan_recv(ch, &c, 0), -EPERM);
	urt_chan_free(ch);
	ck_assert_int_eq(urt_read(0, &c, 1, URT_NEVER), -EPERM);
	ck_assert_ptr_null(urt_self());
	urt_yield();
}
END_TEST

static void ids(void *arg)
{
	uint64_t me = urt_id(urt_self());
	struct urt_coro *a = urt_spawn(bump, NULL);
	struct urt_coro *b = urt_spawn(bump, NULL);

	ck_assert_uint_ne(me, urt_id(a));
	ck_assert_uint_ne(urt_id(a), urt_id(b));
	urt_join(a);
	urt_join(b);
}

START_TEST(ids_differ)
{
	run(ids, NULL);
}
END_TEST

static void fork_inside(void *arg)
{
	int fds[2], status;
	char c = 0;
	pid_t pid;

	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		/* Not the parent's ring: refused; a run of its own works. */
		bool ok = urt_write(fds[1], "x", 1, URT_NEVER) == -EPERM &&
			  !urt_self();

		/*
		 * TSan allows no new threads after a fork with threads; with
		 * GCC's ASan they wait for ever where another thread held a
		 * lock of its allocator at the fork (3 of 100 here).
		 */
		if (!SANITIZED)
			ok = ok && !urt_run(bump, NULL) && count == 1;

		_exit(!ok);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(urt_write(fds[1], "y", 1, URT_NEVER), 1);
	ck_assert_int_eq(urt_read(fds[0], &c, 1, URT_NEVER), 1);
	ck_assert_int_eq(c, 'y');
	close(fds[0]);
	close(fds[1]);
}

START_TEST(a_forked_child_leaves_the_parents_ring_alone)
{
	run(fork_inside, NULL);
}
END_TEST

static pid_t child;

static void fork_and_return(void *arg)
{
	child = fork();
	if (child)
		urt_sleep(MS);
}

START_TEST(a_forked_child_that_returns_ends)
{
	int status;

	if (SANITIZED)
		SKIP("a sanitizer calls what the child inherits leaks");
	run(fork_and_return, NULL);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}
END_TEST

static void fork_and_wait(void *arg)
{
	child = fork();
	for (;;)
		if (!child)
			pause();
		else
			return;
}

START_TEST(sigquit_kills_a_forked_child)
{
	struct rlimit no_core = { 0, 0 };
	int status;

	setrlimit(RLIMIT_CORE, &no_core);
	run(fork_and_wait, NULL);
	kill(child, SIGQUIT);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGQUIT);
}
END_TEST

/* ---- set-up that fails ---- */

START_TEST(a_forbidden_io_uring_is_explained)
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

	/* May leave an idle thread of io_uring's in the process. */
	urt_write(fd, "x", 1, URT_NEVER);
	unlink(path);
	wait_for_nothing(NULL);
}

static void all_wait(void *arg)
{
	struct urt_coro *c = urt_spawn(wait_for_nothing, NULL);

	urt_join(c);
}

START_TEST(a_deadlock_is_reported_and_ends_with_status_2)
{
	char said[4096];
	int status = child_says(all_wait, NULL, said, sizeof(said));
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 2, "%x: %s",
		      status, said);
	ck_assert_ptr_nonnull(strstr(said, "all coroutines are asleep"));
	ck_assert_ptr_nonnull(strstr(said, "[chan receive]"));
	ck_assert_ptr_nonnull(strstr(said, "[join]"));
}
END_TEST

START_TEST(a_deadlock_is_seen_beside_io_urings_own_threads)
{
	char said[4096];
	int status = child_says(worker_thread_then_deadlock, NULL, said,
				sizeof(said));

	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 2, "%x: %s",
		      status, said);
}
END_TEST

static __attribute__((noinline)) int recurse(volatile char *above)
{
	volatile char frame[512];

	frame[0] = above[0];
	if (above[0] == 1) /* never, but the compiler cannot know */
		return 0;
	return recurse(frame) + frame[0];
}

static void overflow(void *arg)
{
	char c = 0;

	recurse(&c);
}

static void spawn_overflow(void *arg)
{
	urt_join(urt_spawn(overflow, NULL));
}

START_TEST(a_stack_overflow_is_named_and_fatal)
{
	struct urt_options o = { .stack_size = 16384 };
	char said[8192];
	int status = child_says(spawn_overflow, &o, said, sizeof(said));

	ck_assert_msg(status != 0, "it lived: %s", said);
	if (!SANITIZED)
		ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == 11,
			      "%x: %s", status, said);
	ck_assert_msg(strstr(said, "coroutine stack overflow"), "%s", said);
	ck_assert_ptr_nonnull(strstr(said, "coroutine 2"));
	ck_assert_msg(strstr(said, "#3 "), "no backtrace: %s", said);
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
			p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	}
	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq(p->magic, URT__STATS_MAGIC);
	ck_assert_uint_eq(p->pid, getpid());
	ck_assert_str_eq(p->name[URT__STAT_SWITCHES], "switches");
	before = urt__stats_slot(p, 0)->counter[URT__STAT_YIELDS];
	for (int i = 0; i < 100; i++)
		urt_yield();
	ck_assert_uint_eq(urt__stats_slot(p, 0)->counter[URT__STAT_YIELDS],
			  before + 100);
}

START_TEST(the_counters_page_can_be_found_and_counts)
{
	unsetenv(URT__STATS_TO_ENV);
	run(look_at_page, NULL);
}
END_TEST

START_TEST(the_counters_page_is_sent_where_the_environment_wants_it)
{
	struct page_inbox *inbox = page_inbox_open(URT__STATS_TO_ENV);
	struct urt__stats_page *p;
	struct page_map map;
	pid_t from;
	int fd;

	ck_assert_ptr_nonnull(inbox);
	run(bump, NULL);
	fd = page_inbox_next(inbox, &from);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(from, getpid());
	/* Also when the run has ended: nothing can cut it. */
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

START_TEST(a_socket_that_nobody_reads_stops_no_run)
{
	setenv(URT__STATS_TO_ENV, "@urt-nobody-listens-here/x", 1);
	run(bump, NULL);
	setenv(URT__STATS_TO_ENV, "nonsense", 1);
	run(bump, NULL);
	unsetenv(URT__STATS_TO_ENV);
}
END_TEST

Suite *sched_suite(void)
{
	Suite *s = suite_create("sched");
	TCase *t = tcase_create("coroutines");

	tcase_add_test(t, join_waits_for_the_end);
	tcase_add_test(t, join_of_an_ended_coroutine_returns_at_once);
	tcase_add_test(t, yield_lets_the_others_go_first);
	tcase_add_test(t, yield_of_the_only_coroutine_returns);
	tcase_add_test(t, a_tree_of_ten_thousand_coroutines_comes_back_whole);
	tcase_add_test(t, more_runnable_coroutines_than_a_queue_holds_all_run);
	tcase_add_test(t, yielding_coroutines_do_not_starve_timers);
	tcase_add_test(t, yielding_coroutines_do_not_starve_the_ring);
	tcase_add_test(t, a_busy_pair_does_not_starve_others);
	tcase_add_test(t, ids_differ);
	suite_add_tcase(s, t);
	t = tcase_create("runs");
	tcase_add_test(t, the_run_ends_with_its_first_coroutine);
	tcase_add_test(t, runs_can_follow_each_other);
	tcase_add_test(t, a_second_run_at_the_same_time_is_refused);
	tcase_add_test(t, impossible_options_are_refused);
	tcase_add_test(t, more_than_max_coroutines_are_refused);
	tcase_add_test(t, outside_a_coroutine_calls_say_so);
	tcase_add_test(t, a_forbidden_io_uring_is_explained);
	tcase_add_test(t, a_deadlock_is_reported_and_ends_with_status_2);
	tcase_add_test(t, a_deadlock_is_seen_beside_io_urings_own_threads);
	tcase_add_test(t, a_forked_child_leaves_the_parents_ring_alone);
	tcase_add_test(t, a_forked_child_that_returns_ends);
	tcase_add_test(t, sigquit_kills_a_forked_child);
	tcase_add_test(t, a_stack_overflow_is_named_and_fatal);
	tcase_add_test(t, the_counters_page_can_be_found_and_counts);
	tcase_add_test(
		t, the_counters_page_is_sent_where_the_environment_wants_it);
	tcase_add_test(t, a_socket_that_nobody_reads_stops_no_run);
	suite_add_tcase(s, t);
	return s;
}
