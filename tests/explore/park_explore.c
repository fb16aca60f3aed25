// SPDX-License-Identifier: MIT
/*
 * The park word (sched/coro.h): of all wakers that race to end a wait, one wins; the
 * winner sees what the parker wrote; a late waker changes nothing.
 */
#include "../../uring_rt/sched/sched.h"
#include "explore.h"

#define SEQ UINT64_C(5)

static struct urt_coro coro;
static int data;
static _Atomic unsigned wins;

static void parked_from_the_start(void)
{
	urt__shared = true;
	coro.park = SEQ << 2 | URT__WAITING;
	explore_name(&coro, sizeof(coro), "coroutine");
}

static void claim(int result)
{
	if (!urt__claim(&coro, SEQ))
		return;
	coro.result = result; /* plain: two winners are a race */
	wins++;
}

static void sender(void)
{
	claim(0);
}

static void deadline(void)
{
	claim(-1);
}

static void canceller(void)
{
	claim(-2);
}

static void one_won(void)
{
	CHECK(wins == 1);
	CHECK(coro.park == SEQ << 2);
}

SCENARIO(claim_against_claim,
	 "Of a sender, a deadline and a cancellation one ends a wait.",
	 .setup = parked_from_the_start,
	 .thread = { sender, deadline, canceller }, .check = one_won);

/* Begins the wait at the same time, as publish() in sched.c does. */
static void parks(void)
{
	data = 1;
	atomic_store_explicit(&coro.park, SEQ << 2 | URT__WAITING,
			      memory_order_release);
}

static void claims_and_reads(void)
{
	if (!urt__claim(&coro, SEQ))
		return;
	CHECK(data == 1);
	wins++;
}

static void about_to_park(void)
{
	urt__shared = true;
	coro.park = SEQ << 2;
}

static void at_most_one(void)
{
	CHECK(wins <= 1);
}

SCENARIO(claim_sees_the_parker,
	 "Who claims a wait sees what the parker wrote before it.",
	 .setup = about_to_park,
	 .thread = { parks, claims_and_reads, claims_and_reads },
	 .check = at_most_one);
