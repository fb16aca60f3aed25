// SPDX-License-Identifier: MIT
/* Floor 3, its pure parts: the run queue and the timers. */
#include "../../uring_rt/sched/runq.h"
#include "../../uring_rt/sched/timers.h"
#include "../lib/test.h"
#include <pthread.h>

static struct urt__runq queue;

static struct urt_coro *item(uintptr_t n)
{
	return (struct urt_coro *)n;
}

static uintptr_t take_one(void)
{
	struct urt_coro *c;

	return urt__runq_take(&queue, &c, 1) ? (uintptr_t)c : 0;
}

START_TEST(runq_is_first_in_first_out)
{
	for (uintptr_t i = 1; i <= 100; i++)
		ck_assert(urt__runq_push(&queue, item(i), URT__RUNQ_SIZE));
	ck_assert_uint_eq(urt__runq_len(&queue), 100);
	for (uintptr_t i = 1; i <= 100; i++)
		ck_assert_uint_eq(take_one(), i);
	ck_assert_uint_eq(take_one(), 0);
}
END_TEST

START_TEST(runq_refuses_what_does_not_fit)
{
	for (uintptr_t i = 1; i <= URT__RUNQ_SIZE; i++)
		ck_assert(urt__runq_push(&queue, item(i), URT__RUNQ_SIZE));
	ck_assert(!urt__runq_push(&queue, item(9999), URT__RUNQ_SIZE));
	ck_assert_uint_eq(take_one(), 1);
	ck_assert(urt__runq_push(&queue, item(9999), URT__RUNQ_SIZE));
}
END_TEST

START_TEST(runq_take_gives_half_rounded_up)
{
	struct urt_coro *out[URT__RUNQ_SIZE];

	for (uintptr_t i = 1; i <= 7; i++)
		urt__runq_push(&queue, item(i), URT__RUNQ_SIZE);
	ck_assert_uint_eq(urt__runq_take(&queue, out, URT__RUNQ_SIZE), 4);
	for (uintptr_t i = 0; i < 4; i++)
		ck_assert_ptr_eq(out[i], item(i + 1));
	ck_assert_uint_eq(urt__runq_take(&queue, out, 1), 1);
	ck_assert_uint_eq(urt__runq_len(&queue), 2);
}
END_TEST

START_TEST(runq_works_when_its_counters_wrap)
{
	atomic_store(&queue.head, UINT32_MAX - 2);
	atomic_store(&queue.tail, UINT32_MAX - 2);
	for (uintptr_t i = 1; i <= 10; i++)
		ck_assert(urt__runq_push(&queue, item(i), URT__RUNQ_SIZE));
	for (uintptr_t i = 1; i <= 10; i++)
		ck_assert_uint_eq(take_one(), i);
}
END_TEST

/* One owner, several thieves: each item is taken exactly once. */
#define ITEMS	200000
#define THIEVES 3
static unsigned char taken[ITEMS + 1];
static atomic_bool owner_done;

static void mark(struct urt_coro **c, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		__atomic_fetch_add(&taken[(uintptr_t)c[i]], 1,
				   __ATOMIC_RELAXED);
}

static void *thief(void *arg)
{
	struct urt_coro *out[URT__RUNQ_SIZE];
	uint64_t r = (uintptr_t)arg;

	while (!atomic_load(&owner_done) || urt__runq_len(&queue))
		mark(out,
		     urt__runq_take(&queue, out, 1 + rnd(&r) % URT__RUNQ_SIZE));
	return NULL;
}

START_TEST(runq_loses_and_doubles_nothing_under_thieves)
{
	uint64_t r = seed();
	pthread_t t[THIEVES];
	struct urt_coro *out[16];

	for (int i = 0; i < THIEVES; i++)
		pthread_create(&t[i], NULL, thief,
			       (void *)(uintptr_t)(rnd(&r) | 1));
	for (uintptr_t i = 1; i <= ITEMS;) {
		if (urt__runq_push(&queue, item(i), URT__RUNQ_SIZE))
			i++;
		if (rnd(&r) % 4 == 0)
			mark(out, urt__runq_take(&queue, out, 16));
	}
	atomic_store(&owner_done, true);
	for (int i = 0; i < THIEVES; i++)
		pthread_join(t[i], NULL);
	for (int i = 1; i <= ITEMS; i++)
		ck_assert_msg(taken[i] == 1, "item %d taken %d times", i,
			      taken[i]);
}
END_TEST

/* ---- timers ---- */

enum { STAMPS = 500 };

static struct stamp {
	int64_t when;
	uint32_t round; /* the round of its valid timer */
	bool in;
} stamps[STAMPS];

static struct urt__timers timers;
static int64_t last_fired;
static unsigned nr_fired, nr_dead;

/* The word: the stamp's index and its round. */
static uint64_t word(int i)
{
	return (uint64_t)stamps[i].round << 32 | i;
}

static bool live(uint64_t what)
{
	return stamps[(uint32_t)what].in && word((uint32_t)what) == what;
}

static void fire(uint64_t what)
{
	struct stamp *s = &stamps[(uint32_t)what];

	if (!live(what)) {
		nr_dead++;
		return;
	}
	ck_assert_int_ge(s->when, last_fired);
	last_fired = s->when;
	s->in = false;
	nr_fired++;
}

static void add(int i, int64_t when)
{
	stamps[i].when = when;
	stamps[i].round++;
	stamps[i].in = true;
	ck_assert_int_eq(urt__timers_add(&timers, when, word(i)), 0);
}

START_TEST(timers_fire_in_order_when_they_are_due)
{
	int64_t when[] = { 50, 40, 30, 20, 10, 5, 60, 55, 15 }, late = -1;

	urt__timers_init(&timers, live, fire, NULL);
	ck_assert_int_eq(urt__timers_next(&timers), INT64_MAX);
	for (int i = 0; i < (int)ARRAY_LEN(when); i++)
		add(i, when[i]);
	ck_assert_uint_gt(timers.heap_len, 0); /* more than the lanes hold */
	ck_assert_int_eq(urt__timers_next(&timers), 5);
	ck_assert_uint_eq(urt__timers_run(&timers, 4, &late), 0);
	ck_assert_int_eq(late, -1);
	ck_assert_uint_eq(urt__timers_run(&timers, 30, &late), 5);
	ck_assert_int_eq(late, 30 - 5);
	late = -1;
	stamps[1].in = false; /* the timer at 40 is invalid: the late one is at
				 50 */
	ck_assert_uint_eq(urt__timers_run(&timers, 1000, &late), 4);
	ck_assert_int_eq(late, 1000 - 50);
	ck_assert_uint_eq(nr_fired, 8);
	ck_assert_uint_eq(nr_dead, 1);
	urt__timers_destroy(&timers);
}
END_TEST

START_TEST(dead_timers_do_not_keep_the_next_from_being_told)
{
	urt__timers_init(&timers, live, fire, NULL);
	for (int i = 0; i < 100; i++)
		add(i, 100 - i);
	for (int i = 1; i < 100; i++)
		stamps[i].in = false;
	ck_assert_int_eq(urt__timers_next(&timers), 1);
	ck_assert_int_eq(urt__timers_next_live(&timers), 100);
	ck_assert_uint_eq(timers.len, 1);
	stamps[0].in = false;
	ck_assert_int_eq(urt__timers_next_live(&timers), INT64_MAX);
	urt__timers_destroy(&timers);
}
END_TEST

/* A long deadline that is dropped and set again, as by a busy connection. */
START_TEST(dead_timers_do_not_pile_up)
{
	int64_t late = -1;

	urt__timers_init(&timers, live, fire, NULL);
	for (int round = 0; round < 100000; round++)
		add(round % STAMPS, 1000000 + round * (round % 7));
	ck_assert_uint_le(timers.len, 4 * STAMPS);
	urt__timers_run(&timers, INT64_MAX - 1, &late);
	ck_assert_uint_eq(nr_fired, STAMPS);
	urt__timers_destroy(&timers);
}
END_TEST

START_TEST(timers_agree_with_a_plain_search_on_random_work)
{
	uint64_t r = seed();
	int64_t now = 0, late = -1;

	urt__timers_init(&timers, live, fire, NULL);
	for (int step = 0; step < 200000; step++) {
		int i = rnd(&r) % STAMPS;
		int64_t next = INT64_MAX;

		if (stamps[i].in && rnd(&r) % 2)
			stamps[i].in = false;
		else if (!stamps[i].in)
			add(i, now + (rnd(&r) % 2 ? rnd(&r) % 1000 : 500));
		if (rnd(&r) % 16)
			continue;
		now += rnd(&r) % 100;
		last_fired = 0;
		urt__timers_run(&timers, now, &late);
		for (int k = 0; k < STAMPS; k++)
			if (stamps[k].in && stamps[k].when < next)
				next = stamps[k].when;
		ck_assert_int_gt(next, now);
		ck_assert_int_eq(urt__timers_next_live(&timers), next);
	}
	ck_assert_uint_gt(nr_fired, 1000);
	urt__timers_destroy(&timers);
}
END_TEST

Suite *sched_parts_suite(void)
{
	Suite *s = suite_create("sched_parts");
	TCase *t = tcase_create("runq");

	tcase_add_test(t, runq_is_first_in_first_out);
	tcase_add_test(t, runq_refuses_what_does_not_fit);
	tcase_add_test(t, runq_take_gives_half_rounded_up);
	tcase_add_test(t, runq_works_when_its_counters_wrap);
	tcase_add_test(t, runq_loses_and_doubles_nothing_under_thieves);
	suite_add_tcase(s, t);
	t = tcase_create("timers");
	tcase_add_test(t, timers_fire_in_order_when_they_are_due);
	tcase_add_test(t, dead_timers_do_not_keep_the_next_from_being_told);
	tcase_add_test(t, dead_timers_do_not_pile_up);
	tcase_add_test(t, timers_agree_with_a_plain_search_on_random_work);
	suite_add_tcase(s, t);
	return s;
}
