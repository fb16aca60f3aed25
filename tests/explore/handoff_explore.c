// SPDX-License-Identifier: MIT
/*
 * Processors that change hands (sched/handoff.c): one processor, a worker that
 * runs a coroutine outside the runtime, a spare, and the thread that takes the
 * processor.
 */
#include "../../uring_rt/ring/abi.h"
#include "../../uring_rt/sched/idle.h"
#include "../../uring_rt/wait/io.h"
#include "kernel.h"
#include "world.h"
#include <errno.h>
#undef errno

static int plain;

/* Is outside the runtime for a while, then enters it. */
static void goes_out_and_in(void *arg)
{
	(void)arg;
	urt_yield();
	world_done(2);
}

static void waits_for_its_turn(void *arg)
{
	(void)arg;
	world_done(2);
}

static void hand_off(void)
{
	urt__handoff(0, 0);
}

static void hand_off_by_kernel(void)
{
	urt__handoff(0, 1);
}

static void one_and_a_spare(void)
{
	world_other_threads = true;
	world(1, 1);
	world_coro(0, waits_for_its_turn, NULL);
	world_coro(0, goes_out_and_in, NULL);
}

SCENARIO(handoff_against_enter,
	 "A processor is taken from outside the runtime, or not at all.",
	 .setup = one_and_a_spare,
	 .thread = { world_worker_0, world_worker_1, hand_off_by_kernel },
	 .stale = 1);

SCENARIO(handoff_against_handoff,
	 "Of two that take a processor at once, one does.",
	 .setup = one_and_a_spare,
	 .thread = { world_worker_0, world_worker_1, hand_off,
		     hand_off_by_kernel },
	 .stale = 1);

static void retire(void)
{
	urt__spare_retire();
}

static void worker_1_or_gone(void)
{
	world_worker_1();
	if (!urt__rt.stop)
		urt__worker_vacate(urt__rt.worker[1]);
}

SCENARIO(retire_against_handoff,
	 "A spare worker retires or is given a processor, and not both.",
	 .setup = one_and_a_spare,
	 .thread = { world_worker_0, worker_1_or_gone, retire, hand_off },
	 .stale = 1);

/* ---- counts ------------------------------------------------------------ */

static void two_without_slots(void)
{
	world_other_threads = world_no_slots = true;
	world(2, 0);
}

static void counts_and_goes(unsigned i)
{
	struct urt__worker *w = urt__rt.worker[i];

	urt__count(w->stats, URT__STAT_SPAWNS);
	urt__worker_vacate(w);
}

static void worker_0_goes(void)
{
	counts_and_goes(0);
}

static void worker_1_goes(void)
{
	counts_and_goes(1);
}

static void both_were_counted(void)
{
	CHECK(urt__counted(urt__stats_slot(urt__rt.stats_page, 0),
			   URT__STAT_SPAWNS) == 2);
}

SCENARIO(counts_without_slots,
	 "The counts of workers that share the last slot are added up.",
	 .setup = two_without_slots, .thread = { worker_0_goes, worker_1_goes },
	 .check = both_were_counted);

/* ---- standing in ------------------------------------------------------- */

static void ends_alone(void *arg)
{
	(void)arg;
	urt_yield();
	world_done(1);
}

static void relieve(void)
{
	urt__worker_relieve(urt__rt.worker[0]);
}

static void sleeps(void *arg)
{
	(void)arg;
	CHECK(!urt_sleep(1000));
	world_done(2);
}

static void a_sleeper(void)
{
	world_other_threads = true;
	world(1, 1);
	world_coro(0, goes_out_and_in, NULL);
	world_coro(0, sleeps, NULL);
}

SCENARIO(relieve_against_enter,
	 "Timers of a worker that computes are fired for it, not beside it.",
	 .setup = a_sleeper,
	 .thread = { world_worker_0, world_worker_1, relieve }, .stale = 1);

static void one_alone(void)
{
	world_other_threads = true;
	world(1, 1);
	world_coro(0, ends_alone, NULL);
}

SCENARIO(relieve_of_one, "A worker with nothing else to do is left alone.",
	 .setup = one_alone,
	 .thread = { world_worker_0, world_worker_1, relieve }, .stale = 1);

static void time_is_over(void)
{
	urt__ask_to_yield(urt__rt.worker[0]);
}

SCENARIO(slice_ends_at_a_call,
	 "A coroutine whose time is over lets the next one go at its call.",
	 .setup = a_sleeper,
	 .thread = { world_worker_0, world_worker_1, time_is_over },
	 .stale = 1);

#define FD 3

static void reads(void *arg)
{
	static char buf[8];

	(void)arg;
	CHECK(urt_read(FD, buf, sizeof(buf), URT_NEVER) == 4);
	plain++;
	world_done(2);
}

/* Is stuck outside until its worker has lost the processor. */
static void is_stuck(void *arg)
{
	(void)arg;
	while (urt__state(urt__rt.worker[0]) == URT__W_RUNNING)
		explore_relax();
	urt_yield();
	world_done(2);
}

static void take_and_rescue(void)
{
	while (!urt__handoff(0, 0))
		explore_relax();
	urt__worker_rescue(urt__rt.worker[0]);
	urt__worker_rescue(urt__rt.worker[0]);
}

static void bytes_come(void)
{
	k_bytes_come(FD, 4);
}

static void a_reader(void)
{
	world_other_threads = true;
	world(1, 1);
	world_coro(0, goes_out_and_in, NULL);
	world_coro(0, reads, NULL);
}

static void it_was_read(void)
{
	CHECK(plain == 1);
}

static void a_reader_and_one_stuck(void)
{
	world_other_threads = true;
	world(1, 1);
	world_coro(0, is_stuck, NULL);
	world_coro(0, reads, NULL);
}

SCENARIO(rescue_against_come_back,
	 "What a blocked worker has queued is handed over by one thread.",
	 .setup = a_reader_and_one_stuck, .check = it_was_read,
	 .thread = { world_worker_0, world_worker_1, take_and_rescue,
		     bytes_come },
	 .stale = 1);

SCENARIO(handoff_against_sleep,
	 "A processor that is taken while its worker falls asleep is one's.",
	 .setup = a_reader, .check = it_was_read,
	 .thread = { world_worker_0, world_worker_1, hand_off, bytes_come },
	 .stale = 1);

/* ---- standing in while a worker enters the kernel ---------------------- */

static struct urt_coro *reader;
static int ended;

static void is_cancelled(void *arg)
{
	static char buf[8];

	(void)arg;
	CHECK(urt_read(FD, buf, sizeof(buf), URT_NEVER) == -ECANCELED);
	ended++;
	world_done(2);
}

/* Its requests, including cancellations, go to the kernel while it runs (wait/io.c). */
static void cancels_and_enters(void *arg)
{
	const struct io_uring_sqe nop = { .opcode = IORING_OP_NOP };

	(void)arg;
	urt_cancel(reader);
	for (int i = 0; i < 2; i++)
		CHECK(!urt__io_call(&nop, 0, 0, URT_NEVER));
	world_done(2);
}

static void a_cancelled_reader(void)
{
	world_other_threads = true;
	world(1, 0);
	world_coro(0, cancels_and_enters, NULL);
	reader = world_coro(0, is_cancelled, NULL);
}

static void it_was_cancelled(void)
{
	CHECK(ended == 1);
}

SCENARIO(relieve_against_submit,
	 "What the kernel answers to a worker that enters it is reaped for it, "
	 "and leaves alone the queue that it hands over.",
	 .setup = a_cancelled_reader, .check = it_was_cancelled,
	 .thread = { world_worker_0, relieve }, .stale = 1);

static void a_stubborn_reader(void)
{
	a_cancelled_reader();
	k_set_stubborn(FD);
}

SCENARIO(relieve_against_pause,
	 "So is the end of a pause before a cancellation is asked for again.",
	 .setup = a_stubborn_reader, .check = it_was_cancelled,
	 .thread = { world_worker_0, relieve, k_timeout_passes }, .stale = 1,
	 .may_block = true); /* the last thread, if no pause was needed */

/* The second read is made at once, because it continues a row. with_deadline: the third
 * read, for which there are no bytes, has a deadline. */
static void reads_in_a_row(void *with_deadline)
{
	static char buf[8];

	CHECK(urt_read(FD, buf, 4, URT_NEVER) == 4);
	CHECK(urt_read(FD, buf, 4, URT_NEVER) == 4);
	if (with_deadline)
		CHECK(urt_read(FD, buf, 4, urt_after(100000)) == -ETIME);
	else
		CHECK(urt_read(FD, buf, 4, URT_NEVER) == 4);
	ended++;
	world_done(1);
}

static void a_row(void *with_deadline)
{
	world_other_threads = true;
	world(1, 0);
	k_set_bytes(FD, 8);
	world_coro(0, reads_in_a_row, with_deadline);
}

static void a_row_with_a_deadline(void)
{
	a_row(&ended);
}

static void a_row_without(void)
{
	a_row(NULL);
}

SCENARIO(
	relieve_against_at_once,
	"A deadline that passes while an operation is made at once, and others "
	"have the timers, ends it.",
	.setup = a_row_with_a_deadline, .check = it_was_cancelled,
	.thread = { world_worker_0, relieve }, .stale = 1);

SCENARIO(
	relieve_against_row,
	"One without a deadline goes on waiting, though others had the timers.",
	.setup = a_row_without, .check = it_was_cancelled,
	.thread = { world_worker_0, relieve, bytes_come }, .stale = 1);

static void reads_for_a_while(void *arg)
{
	static char buf[8];

	(void)arg;
	CHECK(urt_read(FD, buf, sizeof(buf), urt_after(1000)) == -ETIME);
	ended++;
	world_done(2);
}

/* Gives its processor away at once, as the monitor does after a while. */
static void blocks_for_long(void *arg)
{
	(void)arg;
	urt__handoff(urt__tls_worker->index, 0);
	k_sleep(2000);
	urt_yield();
	world_done(2);
}

static void a_reader_with_a_deadline(void)
{
	world_other_threads = true;
	world(1, 1);
	world_coro(0, blocks_for_long, NULL);
	world_coro(0, reads_for_a_while, NULL);
}

SCENARIO(
	deadline_against_handoff,
	"A deadline that passes on another worker than its operation's ends it.",
	.setup = a_reader_with_a_deadline, .check = it_was_cancelled,
	.thread = { world_worker_0, world_worker_1 }, .stale = 1);

/* ---- preemption -------------------------------------------------------- */

/* As the signal's entry does (watch/preempt.c). */
static void is_preempted(void *arg)
{
	(void)arg;
	urt__proc_swap(urt__enter(false));
	urt__leave();
	world_done(2);
}

static void one_to_preempt(void)
{
	world_other_threads = true;
	world(1, 1);
	world_coro(0, waits_for_its_turn, NULL);
	world_coro(0, is_preempted, NULL);
}

SCENARIO(preempted_goes_on,
	 "A preempted coroutine gets its turn, and its processor back.",
	 .setup = one_to_preempt, .thread = { world_worker_0, world_worker_1 },
	 .stale = 1);

static void starts_one(void *arg)
{
	(void)arg;
	CHECK(!urt_go(waits_for_its_turn, NULL));
	world_done(2);
}

static void one_that_starts_one(void)
{
	world_other_threads = true;
	world(1, 1);
	world_coro(0, starts_one, NULL);
}

static void it_went_on_or_not(void)
{
	bool was =
		urt__counted(urt__rt.worker[0]->stats, URT__STAT_PREEMPTIONS);

	explore_outcome(was ? "preempted" : "whole");
}

SCENARIO(slice_ends_at_a_start,
	 "A coroutine whose time is over is preempted where it starts another.",
	 .setup = one_that_starts_one, .check = it_went_on_or_not,
	 .outcomes = "whole preempted",
	 .thread = { world_worker_0, world_worker_1, time_is_over },
	 .stale = 1);

/* ---- the end of a run -------------------------------------------------- */

static void ends_run(void *arg)
{
	(void)arg;
	world_done(1);
}

static void one_ends(void)
{
	world_other_threads = true;
	world(1, 1);
	world_coro(0, ends_run, NULL);
	world_coro(0, goes_out_and_in, NULL);
}

SCENARIO(end_against_handoff, "A run ends while a processor changes hands.",
	 .setup = one_ends,
	 .thread = { world_worker_0, world_worker_1, hand_off }, .stale = 1);
