// SPDX-License-Identifier: MIT
/* Channels and select (sync/chan.c, select.c): two workers, coroutines on each. */
#include "../../uring_rt/sync/chan.h"
#include "world.h"
#include <errno.h>
#include <string.h>
#undef errno

static struct urt_chan *chan, *other;
static int sent, received, closed, cancelled;
static uint64_t sum;

static struct urt_chan *new_chan(size_t capacity, const char *name)
{
	struct urt_chan *ch = urt_chan_new(sizeof(uint64_t), capacity);

	explore_name(ch, sizeof(*ch) + 8 * capacity, "%s", name);
	return ch;
}

/* Counts are atomic builtins, since coroutines of two workers use them. */
static void count(int *n)
{
	__atomic_fetch_add(n, 1, __ATOMIC_RELAXED);
}

static void sends(void *arg)
{
	uint64_t value = (uintptr_t)arg;
	int ret = urt_chan_send(chan, &value, URT_NEVER);

	CHECK(!ret || ret == -EPIPE || ret == -ECANCELED);
	count(!ret ? &sent : ret == -EPIPE ? &closed : &cancelled);
	world_done(2);
}

static void receives(void *arg)
{
	uint64_t value = 0;
	int ret = urt_chan_recv(chan, &value, URT_NEVER);

	(void)arg;
	CHECK(!ret || ret == -EPIPE || ret == -ECANCELED);
	if (!ret)
		__atomic_fetch_add(&sum, value, __ATOMIC_RELAXED);
	count(!ret ? &received : ret == -EPIPE ? &closed : &cancelled);
	world_done(2);
}

static void rendezvous(void)
{
	world(2, 0);
	chan = new_chan(0, "channel");
	world_coro(0, sends, (void *)7);
	world_coro(1, receives, NULL);
}

static void they_met(void)
{
	CHECK(sent == 1 && received == 1 && sum == 7);
}

SCENARIO(chan_rendezvous,
	 "A sender and a receiver meet, whoever comes first, and both go on.",
	 .setup = rendezvous, .thread = { world_worker_0, world_worker_1 },
	 .check = they_met);

/* ---- through the ring of elements -------------------------------------- */

static void sends_two(void *arg)
{
	for (uint64_t i = 1; i <= 2; i++)
		CHECK(!urt_chan_send(chan, &i, URT_NEVER));
	(void)arg;
	world_done(2);
}

static void receives_two(void *arg)
{
	for (uint64_t i = 1, value; i <= 2; i++) {
		CHECK(!urt_chan_recv(chan, &value, URT_NEVER));
		CHECK(value == i);
	}
	(void)arg;
	world_done(2);
}

static void buffered(void)
{
	world(2, 0);
	chan = new_chan(1, "channel");
	world_coro(0, sends_two, NULL);
	world_coro(1, receives_two, NULL);
}

SCENARIO(chan_keeps_order,
	 "Elements leave a channel in the order in which they came.",
	 .setup = buffered, .thread = { world_worker_0, world_worker_1 });

/* ---- close ------------------------------------------------------------- */

static void closes(void *arg)
{
	(void)arg;
	urt_chan_close(chan);
	world_done(2);
}

static void close_against_receive(void)
{
	world(2, 0);
	chan = new_chan(0, "channel");
	world_coro(0, closes, NULL);
	world_coro(1, receives, NULL);
}

static void it_was_told(void)
{
	CHECK(closed == 1 && !received);
}

SCENARIO(chan_close_against_receive,
	 "A receiver is told of the close, whether it waits by then or not.",
	 .setup = close_against_receive,
	 .thread = { world_worker_0, world_worker_1 }, .check = it_was_told);

/* ---- cancellation ------------------------------------------------------ */

static struct urt_coro *receiver;

static void cancels(void *arg)
{
	(void)arg;
	urt_cancel(receiver);
	world_done(2);
}

static void cancel_against_park(void)
{
	world(2, 0);
	chan = new_chan(0, "channel");
	world_coro(0, cancels, NULL);
	receiver = world_coro(1, receives, NULL);
}

static void it_was_cancelled(void)
{
	CHECK(cancelled == 1 && !received);
}

SCENARIO(cancel_against_park,
	 "A coroutine that is cancelled while it parks does not stay parked.",
	 .setup = cancel_against_park,
	 .thread = { world_worker_0, world_worker_1 },
	 .check = it_was_cancelled);

static void cancels_and_sends(void *arg)
{
	uint64_t value = 3;
	int ret;

	(void)arg;
	urt_cancel(receiver);
	ret = urt_chan_send(chan, &value, 0); /* now or not at all */
	count(ret ? &closed : &sent);
	world_done(2);
}

static void cancel_against_send(void)
{
	world(2, 0);
	chan = new_chan(0, "channel");
	world_coro(0, cancels_and_sends, NULL);
	receiver = world_coro(1, receives, NULL);
}

static void never_both(void)
{
	CHECK(cancelled + received == 1);
	CHECK(sent == received);
}

SCENARIO(cancel_against_send,
	 "An element is not lost to a receiver that was cancelled before.",
	 .setup = cancel_against_send,
	 .thread = { world_worker_0, world_worker_1 }, .check = never_both);

/* ---- select ------------------------------------------------------------ */

/* Overwrites the place where the select's frame was. */
static __attribute__((noinline)) void uses_the_stack(void)
{
	char frame[2048];

	memset(frame, 1, sizeof(frame));
	__asm__ volatile("" : : "r"(frame) : "memory");
}

static void selects(void *arg)
{
	uint64_t a = 0, b = 0;
	struct urt_case cases[] = {
		{ .chan = chan, .op = URT_RECV, .elem = &a },
		{ .chan = other, .op = URT_RECV, .elem = &b },
	};
	int i = urt_select(cases, 2, URT_NEVER);

	(void)arg;
	uses_the_stack();
	CHECK(i == 0 || i == 1);
	CHECK(!cases[i].result && (i ? b == 2 && !a : a == 1 && !b));
	/* The other sender's element can still be received. */
	CHECK(!urt_chan_recv(i ? chan : other, i ? &a : &b, URT_NEVER));
	CHECK(a == 1 && b == 2);
	world_done(3);
}

static void sends_to(struct urt_chan *ch, uint64_t value)
{
	CHECK(!urt_chan_send(ch, &value, URT_NEVER));
	world_done(3);
}

static void sends_1(void *arg)
{
	(void)arg;
	sends_to(chan, 1);
}

static void sends_2(void *arg)
{
	(void)arg;
	sends_to(other, 2);
}

static void select_two(void)
{
	world(2, 0);
	chan = new_chan(0, "channel");
	other = new_chan(0, "other channel");
	world_coro(0, selects, NULL);
	world_coro(1, sends_1, NULL);
	world_coro(1, sends_2, NULL);
}

SCENARIO(select_against_two_senders,
	 "A select takes from one of two senders, and the other one's waits.",
	 .setup = select_two, .thread = { world_worker_0, world_worker_1 });

static void select_on_three(void)
{
	world(3, 0);
	chan = new_chan(0, "channel");
	other = new_chan(0, "other channel");
	world_coro(0, selects, NULL);
	world_coro(1, sends_1, NULL);
	world_coro(2, sends_2, NULL);
}

SCENARIO(select_on_three_workers,
	 "Two senders that claim one select at once: one wins.",
	 .setup = select_on_three, .stale = 1,
	 .thread = { world_worker_0, world_worker_1, world_worker_2 });
