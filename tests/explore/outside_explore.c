// SPDX-License-Identifier: MIT
/* Plain threads, and workers that sleep (sched/idle.c, wait/thread.c). */
#include "../../uring_rt/wait/pool.h"
#include "../../uring_rt/wait/thread.h"
#include "kernel.h"
#include "world.h"
#include <errno.h>
#undef errno

static int ran, plain;

static void runs(void *arg)
{
	CHECK(*(int *)arg == 1);
	ran++;
	world_done(1);
}

static struct urt__post post = { .fn = runs, .arg = &plain };

static void posts(void)
{
	plain = 1;
	urt__post(&post);
}

static void it_ran(void)
{
	CHECK(ran == 1);
}

static void one_sleeper(void)
{
	world_other_threads = true;
	world(1, 0);
}

SCENARIO(post_against_sleep,
	 "What a thread posts while the only worker falls asleep is run.",
	 .setup = one_sleeper, .thread = { world_worker_0, posts },
	 .check = it_ran);

static void two_sleepers(void)
{
	world_other_threads = true;
	world(2, 0);
}

SCENARIO(post_against_two_sleeps,
	 "What a thread posts while both workers fall asleep is run.",
	 .setup = two_sleepers,
	 .thread = { world_worker_0, world_worker_1, posts }, .check = it_ran,
	 .stale = 1);

/* ---- calls on behalf of a thread --------------------------------------- */

static struct urt_sem sem;

static void waits(void *arg)
{
	(void)arg;
	CHECK(!urt_sem_wait(&sem, URT_NEVER));
	CHECK(plain == 1);
	ran++;
	world_done(1);
}

static void posts_sem(void)
{
	plain = 1;
	urt_sem_post(&sem);
}

static void behalf(void)
{
	world_other_threads = true;
	world(1, 0);
	urt__behalf_open();
	world_coro(0, waits, NULL);
}

SCENARIO(behalf_of_a_thread,
	 "A thread's call is carried out by a coroutine, and it returns.",
	 .setup = behalf, .thread = { world_worker_0, posts_sem },
	 .check = it_ran);

static int64_t nothing(void *arg)
{
	(void)arg;
	ran++;
	return 5;
}

static void asks(void)
{
	int64_t ret = urt__behalf(nothing, NULL);

	CHECK(ret == 5 || ret == -ECANCELED || ret == -EPERM);
}

static void stops(void *arg)
{
	(void)arg;
	world_done(1);
}

static void runs_and_closes(void)
{
	world_worker_0();
	urt__behalf_close();
}

static void end_of_run(void)
{
	world_other_threads = true;
	world(1, 0);
	urt__behalf_open();
	world_coro(0, stops, NULL);
}

SCENARIO(behalf_against_end_of_run,
	 "A thread's call returns, also when the run ends meanwhile.",
	 .setup = end_of_run, .thread = { runs_and_closes, asks });

/* ---- the thread pool --------------------------------------------------- */

static int64_t job(void *arg)
{
	CHECK(*(int *)arg == 1);
	*(int *)arg = 2;
	return 9;
}

static void calls(void *arg)
{
	plain = 1;
	CHECK(urt_blocking(job, arg) == 9);
	CHECK(plain == 2);
	ran++;
	world_done(1);
}

static void pool_worker(void)
{
	world_worker_0();
	k_no_more_threads();
	urt__blocking_close();
}

static void pool(void)
{
	world(1, 0);
	urt__blocking_open(2);
	world_coro(0, calls, &plain);
}

SCENARIO(blocking_call_returns,
	 "A call on the thread pool returns to its coroutine; no deadlock is "
	 "reported meanwhile.",
	 .setup = pool, .thread = { pool_worker, k_new_thread },
	 .check = it_ran);

static struct urt_coro *caller;
static int64_t returned;

static void calls_or_not(void *arg)
{
	plain = 1;
	returned = urt_blocking(job, arg);
	CHECK(returned == 9 || returned == -ECANCELED);
	CHECK(plain == (returned == 9 ? 2 : 1)); /* else it does not run now */
	world_done(2);
}

static void cancels_caller(void *arg)
{
	(void)arg;
	urt_cancel(caller);
	world_done(2);
}

static void call_and_cancel(void)
{
	world(2, 0);
	urt__blocking_open(2);
	caller = world_coro(0, calls_or_not, &plain);
	world_coro(1, cancels_caller, NULL);
}

static void called_or_not(void)
{
	explore_outcome(returned == 9 ? "called" : "cancelled");
}

SCENARIO(
	cancel_against_job,
	"A call that is cancelled while a thread of the pool begins it is made "
	"and waited for, or not made at all.",
	.setup = call_and_cancel, .check = called_or_not,
	.thread = { pool_worker, world_worker_1, k_new_thread }, .stale = 1,
	.outcomes = "called cancelled");
