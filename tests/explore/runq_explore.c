// SPDX-License-Identifier: MIT
/*
 * The run queue alone, with four places: its owner pushes and takes, others steal
 * (sched/runq.h). Each coroutine is taken once, and its taker sees all that was written
 * before the push.
 */
#define URT__RUNQ_SIZE 4u
#include "../../uring_rt/sched/runq.h"
#include "explore.h"

#define ITEMS 6

/* Stands for a coroutine; its creator writes value by a plain store. */
struct item {
	unsigned value, taken;
};

static struct urt__runq queue;
static struct item item[ITEMS];

static void take(uint32_t max)
{
	struct urt_coro *got[URT__RUNQ_SIZE];
	uint32_t n = urt__runq_take(&queue, got, max);

	for (uint32_t i = 0; i < n; i++) {
		struct item *it = (struct item *)got[i];

		CHECK(it >= item && it < item + ITEMS);
		CHECK(it->value == (unsigned)(it - item) + 1);
		it->taken++; /* plain: two takers are a race */
	}
}

static void push(unsigned i)
{
	item[i].value = i + 1;
	if (!urt__runq_push(&queue, (struct urt_coro *)&item[i],
			    URT__RUNQ_SIZE))
		item[i].taken++; /* full: it stays here */
}

static void owner(void)
{
	push(0);
	push(1);
	push(2);
	take(1);
	push(3);
	push(4);
	push(5);
}

static void thief(void)
{
	take(4);
	take(2);
}

static void small_owner(void)
{
	push(0);
	push(1);
	take(1);
	push(2);
}

static void all_taken(void)
{
	take(ITEMS);
	take(ITEMS);
	take(ITEMS);
	take(ITEMS);
	for (unsigned i = 0; i < ITEMS; i++)
		CHECK(item[i].taken == 1 || !item[i].value);
}

SCENARIO(runq_is_stolen_from,
	 "A coroutine in a run queue is taken once, by its owner or a thief.",
	 .thread = { owner, thief }, .check = all_taken);

SCENARIO(runq_two_thieves,
	 "Two thieves and the owner take each coroutine once.",
	 .thread = { small_owner, thief, thief }, .check = all_taken);
