// SPDX-License-Identifier: MIT
/*
 * Turns of coroutines that only a stuck worker could run (expose), that come back from a
 * blocking call, that yield, or whose timers have fired (sched/sched.c, handoff.c). Each
 * runs once for each time that it was readied, and none is passed over for long.
 */
#include "kernel.h"
#include "world.h"
#include <string.h>
#undef errno

/* ---- expose ------------------------------------------------------------ */

static int ran[4]; /* plain: a coroutine that runs twice at once is a race */
static struct urt_sem sem;

static void runs(int number)
{
	ran[number]++;
	world_done(4);
}

static void waits_to_be_next(void *arg)
{
	(void)arg;
	CHECK(!urt_sem_wait(&sem, URT_NEVER));
	runs(0);
}

static void yields(void *arg)
{
	urt_yield();
	runs((intptr_t)arg);
}

static void until_one_sleeps(void)
{
	while (!atomic_load(&urt__rt.idle.len) && !atomic_load(&urt__rt.stop))
		explore_relax();
}

/* Is stuck while others are in the batch and in `next`. */
static void is_stuck(void *arg)
{
	(void)arg;
	urt_yield();
	urt_sem_post(&sem);
	until_one_sleeps();
	runs(2);
}

static void relieve(void)
{
	until_one_sleeps();
	urt__worker_relieve(urt__rt.worker[0]);
}

static void one_is_stuck(void)
{
	world_other_threads = true;
	world(2, 0);
	world_coro(0, yields, (void *)3);
	world_coro(0, yields, (void *)1);
	world_coro(0, is_stuck, NULL);
	world_coro(0, waits_to_be_next, NULL);
}

static void each_ran_once(void)
{
	for (unsigned i = 0; i < 4; i++)
		CHECK(ran[i] == 1);
}

SCENARIO(expose_of_one_stuck,
	 "Coroutines that are taken from a worker that is stuck run once.",
	 .setup = one_is_stuck, .check = each_ran_once,
	 .thread = { world_worker_0, world_worker_1, relieve }, .stale = 1);

static void none_is_stuck(void)
{
	world_other_threads = true;
	world(2, 0);
	for (intptr_t i = 0; i < 4; i++)
		world_coro(0, yields, (void *)i);
}

SCENARIO(expose_against_pop,
	 "Coroutines that are taken from a worker that is out, and just comes "
	 "in, run once, by it or by another.",
	 .setup = none_is_stuck, .check = each_ran_once,
	 .thread = { world_worker_0, world_worker_1, relieve }, .stale = 1);

/* ---- back from blocking calls ------------------------------------------- */

#define BLOCKS 3

/* Returns from blocking calls. The upper half counts those whose call gave a processor
 * away and then waited for one; the other coroutines are in the queue themselves. */
static _Atomic unsigned returns;
#define BACK 0x10000u
static unsigned gap; /* the most of these between two turns of the queue */

/* Gives the processor away, as the monitor does when a thread blocks outside; but the
 * thread itself does so, which is as late as it can be. */
static void blocks(void)
{
	bool given = urt__handoff(urt__tls_worker->index, 0);

	urt_yield();
	returns += given ? BACK + 1 : 1;
}

static void blocks_again_and_again(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < BLOCKS; i++)
		blocks();
	world_done(3);
}

static void is_in_the_queue(void *arg)
{
	unsigned before = 0;

	(void)arg;
	for (unsigned n; before % BACK < 2 * BLOCKS; before = n) {
		urt_yield();
		explore_relax();
		n = returns;
		if (n / BACK - before / BACK > gap)
			gap = n / BACK - before / BACK;
	}
	world_done(3);
}

static void two_that_block(void)
{
	world_other_threads = true;
	world(1, 2);
	world_coro(0, is_in_the_queue, NULL);
	world_coro(0, blocks_again_and_again, NULL);
	world_coro(0, blocks_again_and_again, NULL);
}

static void it_had_its_turns(void)
{
	CHECK(gap <= 1);
}

SCENARIO(blocking_and_queue_take_turns,
	 "What is queued has its turn beside two that block again and again.",
	 .setup = two_that_block, .check = it_had_its_turns,
	 .thread = { world_worker_0, world_worker_1, world_worker_2 },
	 .stale = 1);

/* ---- timers that have fired, and the queue ------------------------------- */

static char order[17]; /* y: a yielding coroutine ran; s: one that had slept */
static unsigned events;

static void sleeps_again_and_again(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 4; i++) {
		CHECK(!urt_sleep(1));
		order[events++] = 's';
	}
	world_done(4);
}

/* Has its worker look round in time, as the monitor would. */
static void yields_again_and_again(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 4; i++) {
		atomic_fetch_or(&urt__tls_worker->word.attention,
				URT__ATT_LOOK);
		urt_yield();
		order[events++] = 'y';
	}
	world_done(4);
}

static void two_and_two(void)
{
	world(1, 0);
	urt__rt.worker[0]->pace = URT__SLOW;
	k_clock_step_ns = 500000; /* so long does each compute */
	world_coro(0, yields_again_and_again, NULL);
	world_coro(0, yields_again_and_again, NULL);
	world_coro(0, sleeps_again_and_again, NULL);
	world_coro(0, sleeps_again_and_again, NULL);
}

static unsigned longest_row(char of, char other)
{
	unsigned row = 0, longest = 0;

	for (char *p = order; *p && strchr(p, other); p++) {
		row = *p == of ? row + 1 : 0;
		if (row > longest)
			longest = row;
	}
	return longest;
}

static void none_waited(void)
{
	CHECK(longest_row('y', 's') <= 3);
	CHECK(longest_row('s', 'y') <= 3);
}

SCENARIO(
	timers_and_queue_take_turns,
	"Where coroutines run for long, those whose timers have fired and those "
	"in the queue take turns.",
	.setup = two_and_two, .check = none_waited,
	.thread = { world_worker_0 });

/* ---- a timer whose wait is over ------------------------------------------- */

static struct urt_sem never;
static int64_t deadline_ns;

static void waits_twice(void *arg)
{
	(void)arg;
	deadline_ns = urt_after(100000000);
	CHECK(!urt_sem_wait(&sem, deadline_ns));
	CHECK(!urt_sem_wait(&sem, URT_NEVER)); /* deadline_ns passes in it */
	world_done(2);
}

/* Both timers fire at one look. The one whose wait is over is not dropped before, since
 * it is behind a live one. */
static void posts_twice(void *arg)
{
	(void)arg;
	urt_sem_post(&sem);
	CHECK(urt_sem_wait(&never, deadline_ns - 1) == -ETIME);
	urt_sem_post(&sem);
	world_done(2);
}

static void two_waits(void)
{
	world(1, 0);
	world_coro(0, posts_twice, NULL);
	world_coro(0, waits_twice, NULL);
}

SCENARIO(timer_against_next_wait,
	 "A deadline that passes after its wait does not end the next one.",
	 .setup = two_waits, .thread = { world_worker_0 });

/* ---- one that yields ----------------------------------------------------- */

static int in_line;

static void is_in_line(void *arg)
{
	(void)arg;
	in_line++;
	world_done(2);
}

static struct urt__post post = { .fn = is_in_line };

static void posts(void)
{
	urt__post(&post);
}

static void yields_on(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 3; i++) {
		ran[0]++; /* plain, as before */
		urt_yield();
	}
	world_done(2);
}

static void one_that_yields(void)
{
	world_other_threads = true;
	world(2, 0);
	world_coro(0, yields_on, NULL);
}

static void both_ran(void)
{
	CHECK(in_line == 1 && ran[0] == 3);
}

SCENARIO(
	yield_against_post,
	"One that yields while another waits for any worker is run by one, and "
	"not before it has left.",
	.setup = one_that_yields, .check = both_ran,
	.thread = { world_worker_0, world_worker_1, posts }, .stale = 1);
