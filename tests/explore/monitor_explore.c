// SPDX-License-Identifier: MIT
/* The monitor's own thread beside the workers (watch/monitor.c). */
#include "../../uring_rt/watch/watch.h"
#include "kernel.h"
#include "world.h"
#include <errno.h>
#undef errno

static int ran;

static void with_monitor(void)
{
	CHECK(!urt__monitor_start());
	world_worker_0();
	urt__monitor_stop();
	k_no_more_threads();
}

static void sleeps_long(void *arg)
{
	(void)arg;
	CHECK(!urt_sleep(60000000)); /* longer than the monitor lingers */
	while (atomic_load(&urt__rt.monitor_asleep)) /* it comes, too */
		explore_relax();
	ran++;
	world_done(1);
}

static void one_that_sleeps(void)
{
	world(1, 1);
	world_coro(0, sleeps_long, NULL);
}

static void it_ran(void)
{
	CHECK(ran == 1);
}

SCENARIO(monitor_against_wake,
	 "The monitor sleeps while all sleep, wakes with them, and ends.",
	 .setup = one_that_sleeps, .check = it_ran, .stale = 1,
	 .thread = { with_monitor, world_worker_1, k_new_thread });
