// SPDX-License-Identifier: MIT
/* Plain threads, and workers that sleep (sched/idle.c, wait/thread.c). */
#include "../../uring_rt/base/sys.h"
#include "../../uring_rt/sched/idle.h"
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

/* The kick may come when the worker is listed as asleep but is not in the kernel yet.
 * If this thread reaps the kick, it must kick again, or the worker would sleep although
 * there is work. */
static void posts_and_relieves(void)
{
	posts();
	urt__worker_relieve(urt__rt.worker[0]);
}

SCENARIO(relieve_against_wake,
	 "A worker is woken, though another thread has reaped its kick.",
	 .setup = one_sleeper, .check = it_ran,
	 .thread = { world_worker_0, posts_and_relieves });

/* ---- whether anything can still happen ---------------------------------- */

static _Atomic unsigned others; /* plain threads that exist */

static bool any_others(void)
{
	return atomic_load(&others);
}

static void *posts_and_ends(void *arg)
{
	posts();
	atomic_fetch_sub(&others, 1);
	return arg;
}

static void starts_a_thread(void *arg)
{
	pthread_t t;

	atomic_fetch_add(&others, 1);
	CHECK(!urt__sys_thread(&t, NULL, posts_and_ends, arg));
}

static struct urt__post starter = { .fn = starts_a_thread };

static void posts_starter_and_ends(void)
{
	urt__post(&starter);
	atomic_fetch_sub(&others, 1);
}

static void a_thread_and_a_spare(void)
{
	world(1, 1);
	others = 1;
	urt__rt.other_threads = any_others;
}

/*
 * The spare finds no hope; the first thread posts and ends; the spare counts no
 * threads; worker 0 starts the second thread and sleeps again; the spare finds no hope
 * again. Only the epoch tells the spare that its count is old.
 */
SCENARIO(deadlock_against_post,
	 "No deadlock is reported while a thread is there that another one, "
	 "which has ended, had a coroutine start.",
	 .setup = a_thread_and_a_spare, .check = it_ran,
	 .thread = { world_worker_0, world_worker_1, posts_starter_and_ends,
		     k_new_thread },
	 .stale = 1);

/* ---- a sleeper whose processor is taken becomes a spare ------------------ */

/* The spare, worker 1, gets the calling worker's processor, runs its coroutines and
 * falls asleep. Then its processor is taken back, perhaps before it is in the kernel. */
static void give_and_take(void)
{
	while (!atomic_load(&urt__rt.spare.len))
		explore_relax();
	CHECK(urt__handoff(0, 0));
	while (!atomic_load(&urt__rt.idle.len))
		explore_relax();
	urt_yield();
}

/* Retires the spare, as the monitor does. */
static void retires_it(void *arg)
{
	(void)arg;
	give_and_take();
	if (urt__spare_retire())
		while (urt__state(urt__rt.worker[1]) != URT__W_GONE)
			explore_relax();
	world_done(1);
}

static void worker_1_or_gone(void)
{
	struct urt__worker *w = urt__rt.worker[1];

	world_worker_1();
	if (urt__rt.stop)
		return;
	CHECK(!w->proc);
	urt__worker_vacate(w);
}

static void one_and_a_spare(void)
{
	world_other_threads = true;
	world(1, 1);
	world_coro(0, retires_it, NULL);
}

SCENARIO(
	retire_against_take,
	"A spare that is told to end, and knows nothing of being one yet, ends.",
	.setup = one_and_a_spare,
	.thread = { world_worker_0, worker_1_or_gone }, .stale = 1);

#define FD 3

static struct urt_coro *reader[2];

static void is_cancelled(void *arg)
{
	static char buf[8];

	(void)arg;
	CHECK(urt_read(FD, buf, sizeof(buf), URT_NEVER) == -ECANCELED);
	ran++;
	world_done(3);
}

/* The spare wakes for the first cancellation, and may reap the kick for the second one
 * together with its own. */
static void cancels_both(void *arg)
{
	(void)arg;
	give_and_take();
	urt_cancel(reader[0]);
	urt_cancel(reader[1]);
	world_done(3);
}

static void two_readers_and_a_spare(void)
{
	world_other_threads = true;
	world(1, 1);
	reader[0] = world_coro(0, is_cancelled, NULL);
	reader[1] = world_coro(0, is_cancelled, NULL);
	world_coro(0, cancels_both, NULL);
}

static void both_ended(void)
{
	CHECK(ran == 2);
}

SCENARIO(cancel_against_take,
	 "A spare asks its own ring to cancel what that has, though it has no "
	 "processor.",
	 .setup = two_readers_and_a_spare, .check = both_ended,
	 .thread = { world_worker_0, world_worker_1 }, .stale = 1);

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

/* The pool's thread may just be falling asleep; it would wake by itself after 5 s. */
static void calls(void *arg)
{
	int64_t since_ns = x_now_ns;

	plain = 1;
	CHECK(urt_blocking(job, arg) == 9);
	CHECK(plain == 2);
	CHECK(x_now_ns - since_ns < 1000000000);
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

/* The pool's thread ends after 5 s without work, which is about when the second call
 * comes. */
static void calls_again(void *arg)
{
	int64_t then_ns;

	plain = 1;
	CHECK(urt_blocking(job, arg) == 9);
	then_ns = x_now_ns + 5000000000 + explore_choose(4) * k_clock_step_ns;
	urt_sleep_until(then_ns);
	plain = 1;
	CHECK(urt_blocking(job, arg) == 9);
	ran++;
	world_done(1);
}

static void pool_of_two_calls(void)
{
	world(1, 0);
	urt__blocking_open(2);
	world_coro(0, calls_again, &plain);
}

SCENARIO(blocking_call_against_idle_end,
	 "A call that comes when the pool's last thread has been idle for long "
	 "enough is made.",
	 .setup = pool_of_two_calls,
	 .thread = { pool_worker, k_new_thread, k_new_thread }, .check = it_ran,
	 .stale = 1);

static struct urt_coro *caller;
static int64_t returned;

static void calls_or_not(void *arg)
{
	plain = 1;
	returned = urt_blocking(job, arg);
	CHECK(returned == 9 || returned == -ECANCELED);
	CHECK(plain == (returned == 9 ? 2 : 1)); /* 1: the job never runs */
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
