// SPDX-License-Identifier: MIT
/* Runs in forked children, and children that are forked in a run. */
#define _GNU_SOURCE
#include "../lib/child.h"
#include "../lib/net.h"
#include "../lib/workers.h"
#include <malloc.h>
#include <sys/resource.h>

/* ---- what surrounds the process ---------------------------------------- */

static int failed;

/* ---- forks and ends ---------------------------------------------------- */

static int generation, kept_open;
static long kept_kb;
static void generations(void *arg);

static void fork_one(void *arg)
{
	int status, open = descriptors();
	long kb = status_of("VmSize:");
	struct urt_options o = { .workers = 2 };
	pid_t pid = fork();

	(void)arg;
	if (!pid) {
		/* It uses less than its parent, which has a run. */
		if (descriptors() >= open || status_of("VmSize:") > kb / 2)
			_exit(10 + generation);
		if (generation++ < 3 && urt_run_with(generations, NULL, &o))
			_exit(20 + generation);
		_exit(failed);
	}
	waitpid(pid, &status, 0);
	failed |= status;
}

/* Each in its own run uses as much as the previous one, and a chunk of
 * stacks. */
static void generations(void *arg)
{
	(void)arg;
	if (kept_open)
		failed |= open_descriptors() != kept_open ||
			  status_of("VmSize:") > kept_kb + (256 << 10);
	kept_open = open_descriptors();
	kept_kb = status_of("VmSize:");
	urt_join(urt_spawn(fork_one, NULL));
}

static int fork_generations(void)
{
	struct urt_options o = { .workers = 2 };

	/* Not 64 MiB for each thread, however many there are. */
	mallopt(M_ARENA_MAX, 1);
	return urt_run_with(generations, NULL, &o) || failed;
}

START_TEST(forked_children_keep_neither_descriptors_nor_reservations)
{
	if (SANITIZED)
		SKIP("the sanitizers reserve terabytes themselves");
	in_child(fork_generations);
}
END_TEST

static long count;

static void bump(void *arg)
{
	count++;
}

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

START_TEST(forked_child_leaves_the_parents_ring_alone)
{
	run_on(1, fork_inside, NULL);
}
END_TEST

static pid_t child;

static void fork_and_return(void *arg)
{
	child = fork();
	if (child)
		urt_sleep(MS);
}

START_TEST(forked_child_that_returns_ends)
{
	int status;

	if (SANITIZED)
		SKIP("a sanitizer calls what the child inherits leaks");
	run_on(1, fork_and_return, NULL);
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
	run_on(1, fork_and_wait, NULL);
	kill(child, SIGQUIT);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGQUIT);
}
END_TEST

Suite *fork_suite(void)
{
	Suite *s = suite_create("fork");
	TCase *t = tcase_create("fork");

	tcase_add_test(t, forked_child_leaves_the_parents_ring_alone);
	tcase_add_test(t, forked_child_that_returns_ends);
	tcase_add_test(t, sigquit_kills_a_forked_child);
	tcase_add_test(
		t, forked_children_keep_neither_descriptors_nor_reservations);
	suite_add_tcase(s, t);
	return s;
}
