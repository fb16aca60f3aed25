// SPDX-License-Identifier: MIT
/* The monitor's own thread, next to the workers (watch/monitor.c, pause.c). */
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
	while (atomic_load(&urt__rt.monitor_asleep)) /* it wakes, too */
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

/* ---- a worker wakes while the monitor falls asleep ---------------------- */

#define FD	  3
#define LAST_POLL 11 /* before it checks whether it may sleep for long */

static void reads(void)
{
	static char buf[4];

	CHECK(urt_read(FD, buf, sizeof(buf), URT_NEVER) == 4);
}

/* Checks that the monitor looks again soon, as it must while a worker is awake. */
static void reads_and_is_seen(void *arg)
{
	int64_t since_ns;

	(void)arg;
	reads();
	since_ns = x_now_ns;
	k_await_polls(k_polls() + 1);
	CHECK(x_now_ns - since_ns < 20000000);
	ran++;
	world_done(1);
}

static void bytes_come_then(void)
{
	k_await_polls(LAST_POLL);
	k_bytes_come(FD, 4);
}

static void one_that_reads(void)
{
	world(1, 1);
	world_coro(0, reads_and_is_seen, NULL);
}

SCENARIO(monitor_dozes_against_wake,
	 "The monitor sees a worker that wakes, or the worker wakes it.",
	 .setup = one_that_reads, .check = it_ran, .stale = 1,
	 .thread = { with_monitor, world_worker_1, k_new_thread,
		     bytes_come_then });

/* ---- workers that wake put off a look, but not while another is awake ---- */

#define IN_TIME 4000000 /* ns: the longest time between looks */

static void is_looked_at(void)
{
	int64_t since_ns = x_now_ns;

	k_await_polls(k_polls() + 1);
	CHECK(x_now_ns - since_ns <= IN_TIME);
}

static void comes_and_goes(void *arg)
{
	(void)arg;
	for (int i = 0; i < 18; i++) /* from the fifth on, the monitor dozes */
		CHECK(!urt_sleep(1000000));
	is_looked_at();
	ran++;
	world_done(2);
}

static void reads_and_stays(void *arg)
{
	(void)arg;
	reads();
	is_looked_at();
	ran++;
	world_done(2);
}

static void bytes_come_late(void)
{
	k_sleep(11000000);
	k_bytes_come(FD, 4);
}

static void two_that_wake(void)
{
	world(2, 0);
	world_coro(0, comes_and_goes, NULL);
	world_coro(1, reads_and_stays, NULL);
}

static void both_ran(void)
{
	CHECK(ran == 2);
}

SCENARIO(monitor_is_put_off,
	 "A worker that stays awake is looked at in time, while another wakes.",
	 .setup = two_that_wake, .check = both_ran, .stale = 1,
	 .thread = { with_monitor, world_worker_1, k_new_thread,
		     bytes_come_late });

/* ---- a worker that is about to hand requests over may block there -------- */

static void wakes_it(void)
{
	atomic_exchange(&urt__rt.monitor_asleep, 0);
}

static void reads_once(void *arg)
{
	(void)arg;
	reads();
	ran++;
	world_done(1);
}

static void dozes(void)
{
	atomic_store(&urt__rt.monitor_asleep, URT__M_SLEEPS);
	if (urt__all_asleep())
		CHECK(!k_none_looks());
	k_bytes_come(FD, 4);
}

static void one_that_submits(void)
{
	world(1, 0);
	urt__rt.monitor_wake = wakes_it;
	world_coro(0, reads_once, NULL);
}

SCENARIO(monitor_dozes_against_submit,
	 "The monitor does not sleep while a worker is about to submit.",
	 .setup = one_that_submits, .check = it_ran,
	 .thread = { world_worker_0, dozes });
