// SPDX-License-Identifier: MIT
/*
 * SIGQUIT (watch/monitor.c, preempt.c, report.c): the monitor stops the world and reads
 * all of it, including the stacks of parked coroutines. A thread that still ran would
 * race with this.
 */
#include "../../uring_rt/watch/watch.h"
#include "kernel.h"
#include "world.h"
#include <stdlib.h>
#undef errno

static struct urt_sem sem;

static void monitor_and_signal(void)
{
	CHECK(!urt__monitor_start());
	urt__monitor_quit(); /* as in the handler of SIGQUIT */
	world_worker_0();
}

static void waits_for_ever(void *arg)
{
	(void)arg;
	urt_sem_wait(&sem, URT_NEVER);
	urt_sem_wait(&sem, URT_NEVER);
}

static void posts_and_waits(void *arg)
{
	urt_sem_post(&sem);
	waits_for_ever(arg);
}

static void two_that_wait(void)
{
	world_other_threads = true;
	world(1, 1);
	urt__preempt_open();
	world_coro(0, waits_for_ever, NULL);
	world_coro(0, posts_and_waits, NULL);
}

static void all_stood_still(void)
{
	for (unsigned i = 0; i < urt__rt.nr_workers; i++)
		CHECK(urt__rt.worker[i]->parked_signal == URT__FROZEN);
	explore_outcome("%u", k_backtraces - urt__rt.nr_workers);
}

SCENARIO(quit_stops_the_world,
	 "When SIGQUIT's report is made no worker runs, and what it reads of "
	 "each is all there.",
	 .setup = two_that_wait, .check = all_stood_still,
	 .thread = { monitor_and_signal, world_worker_1, k_new_thread },
	 .stale = 1, .outcomes = "0 1 2");
