// SPDX-License-Identifier: MIT
/* How long coroutines wait for their turn, and how late timers are, by the
 * counters page. */
#define _GNU_SOURCE
#include "../lib/workers.h"

static uint64_t measured(enum urt__time t, unsigned from_cell)
{
	const struct urt__stats_page *p = urt__rt.stats_page;
	uint64_t n = 0;

	for (unsigned i = 0; i < p->slots; i++)
		for (unsigned c = from_cell; c < URT__TIME_CELLS; c++)
			n += __atomic_load_n(&urt__stats_slot(p, i)->time[t][c],
					     __ATOMIC_RELAXED);
	return n;
}

START_TEST(time_lies_in_the_cell_that_ends_after_it)
{
	uint64_t r = seed();

	for (int i = 0; i < 100000; i++) {
		uint64_t ns = rnd(&r) >> rnd(&r) % 64;
		unsigned cell = urt__time_cell(ns);

		ck_assert_uint_lt(cell, URT__TIME_CELLS);
		if (cell + 1 < URT__TIME_CELLS)
			ck_assert_uint_lt(ns, urt__time_end(cell));
		if (cell)
			ck_assert_uint_ge(ns, urt__time_end(cell - 1));
	}
	ck_assert_uint_eq(urt__time_cell(0), 0);
	ck_assert_uint_eq(urt__time_cell(UINT64_MAX), URT__TIME_CELLS - 1);
}
END_TEST

static atomic_bool over;

#define BUSY_NS (MS / 10)
#define TURNS	8

static void take_turns(void *arg)
{
	while (!over) {
		for (int64_t end = urt_now() + BUSY_NS; urt_now() < end;)
			;
		urt_yield();
	}
}

/* Each waits while seven others compute; one of many turns is measured. */
static void watch_turns(void *arg)
{
	struct urt_coro *c[TURNS];
	unsigned long_wait = urt__time_cell((TURNS - 1) / 2 * BUSY_NS);

	for (int i = 0; i < TURNS; i++)
		c[i] = urt_spawn(take_turns, NULL);
	while (!measured(URT__TIME_READY, long_wait))
		urt_sleep(MS);
	over = true;
	for (int i = 0; i < TURNS; i++)
		urt_join(c[i]);
}

START_TEST(coroutine_that_waits_for_its_turn_is_seen_to_wait)
{
	struct urt_options o = { .workers = 1 };

	ck_assert_int_eq(urt_run_with(watch_turns, NULL, &o), 0);
}
END_TEST

CORO_TEST(each_timer_that_fires_alone_is_measured)
{
	uint64_t before = measured(URT__TIME_TIMER, 0);
	uint64_t fired = counter(URT__STAT_TIMERS);

	/* On a busy machine, a sleep may be over before its timer is set. */
	while (counter(URT__STAT_TIMERS) < fired + 20)
		urt_sleep(MS);
	fired = counter(URT__STAT_TIMERS) - fired;
	ck_assert_uint_ge(measured(URT__TIME_TIMER, 0), before + fired);
}

/* Whatever it does when its turn comes, no false time is measured. */
#define WANDERERS 64

static void wander(void *arg)
{
	uint64_t r = (uintptr_t)arg;

	while (!over) {
		if (rnd(&r) % 8 == 0)
			urt_sleep(rnd(&r) % 100000);
		else
			urt_yield();
	}
}

static void watch_wanderers(void *arg)
{
	struct urt_coro *c[WANDERERS];
	int64_t begin = urt_now(), took;

	for (uintptr_t i = 0; i < WANDERERS; i++)
		c[i] = urt_spawn(wander, (void *)(i + 1));
	urt_sleep(300 * MS);
	while (!measured(URT__TIME_READY, 0))
		urt_sleep(MS);
	over = true;
	for (int i = 0; i < WANDERERS; i++)
		urt_join(c[i]);
	took = urt_now() - begin;
	/* Not even the longest wait exceeds the whole time. */
	ck_assert_uint_eq(measured(URT__TIME_READY, urt__time_cell(took) + 1),
			  0);
}

START_TEST(wait_is_measured_though_the_coroutine_moves)
{
	struct urt_options o = { .workers = _i };

	over = false;
	ck_assert_int_eq(urt_run_with(watch_wanderers, NULL, &o), 0);
}
END_TEST

Suite *latency_suite(void)
{
	Suite *s = suite_create("latency");
	TCase *t = tcase_create("latency");

	tcase_add_test(t, time_lies_in_the_cell_that_ends_after_it);
	tcase_add_test(t, coroutine_that_waits_for_its_turn_is_seen_to_wait);
	tcase_add_test(t, each_timer_that_fires_alone_is_measured);
	tcase_add_loop_test(t, wait_is_measured_though_the_coroutine_moves, 1,
			    5);
	suite_add_tcase(s, t);
	return s;
}
