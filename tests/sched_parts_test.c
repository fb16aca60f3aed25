// SPDX-License-Identifier: MIT
/* Floor 3, its pure parts: the run queue and the timer heap. */
#include "../uring_rt/sched/runq.h"
#include "../uring_rt/sched/timers.h"
#include "test.h"
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
		ck_assert(urt__runq_push(&queue, item(i)));
	ck_assert_uint_eq(urt__runq_len(&queue), 100);
	for (uintptr_t i = 1; i <= 100; i++)
		ck_assert_uint_eq(take_one(), i);
	ck_assert_uint_eq(take_one(), 0);
}
END_TEST

START_TEST(runq_refuses_what_does_not_fit)
{
	for (uintptr_t i = 1; i <= URT__RUNQ_SIZE; i++)
		ck_assert(urt__runq_push(&queue, item(i)));
	ck_assert(!urt__runq_push(&queue, item(9999)));
	ck_assert_uint_eq(take_one(), 1);
	ck_assert(urt__runq_push(&queue, item(9999)));
}
END_TEST

START_TEST(runq_take_gives_half_rounded_up)
{
	struct urt_coro *out[URT__RUNQ_SIZE];

	for (uintptr_t i = 1; i <= 7; i++)
		urt__runq_push(&queue, item(i));
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
		ck_assert(urt__runq_push(&queue, item(i)));
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
		if (urt__runq_push(&queue, item(i)))
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

struct stamp {
	struct urt__timer timer;
	int64_t when;
	bool in, fired;
};

static struct urt__timers timers;
static int64_t last_fired;
static unsigned nr_fired;

static void fire(struct urt__timer *t)
{
	struct stamp *s = (struct stamp *)t;

	ck_assert(s->in && !s->fired);
	ck_assert_int_ge(s->when, last_fired);
	last_fired = s->when;
	s->fired = true;
	s->in = false;
	nr_fired++;
}

START_TEST(timers_fire_in_order_when_they_are_due)
{
	struct stamp s[5] = { 0 };
	int64_t when[5] = { 50, 10, 30, 20, 40 };

	urt__timers_init(&timers);
	ck_assert_int_eq(urt__timers_next(&timers), INT64_MAX);
	for (int i = 0; i < 5; i++) {
		s[i].timer.fire = fire;
		s[i].when = when[i];
		s[i].in = true;
		ck_assert_int_eq(urt__timers_add(&timers, &s[i].timer, when[i]),
				 0);
	}
	ck_assert_int_eq(urt__timers_next(&timers), 10);
	ck_assert_uint_eq(urt__timers_run(&timers, 9), 0);
	ck_assert_uint_eq(urt__timers_run(&timers, 30), 3);
	ck_assert(urt__timers_del(&timers, &s[0].timer));
	ck_assert(!urt__timers_del(&timers, &s[0].timer));
	ck_assert_uint_eq(urt__timers_run(&timers, 1000), 1);
	ck_assert(!s[0].fired);
	urt__timers_destroy(&timers);
}
END_TEST

START_TEST(timers_agree_with_a_plain_search_on_random_work)
{
	enum { N = 500 };
	static struct stamp s[N];
	uint64_t r = seed();
	int64_t now = 0;

	urt__timers_init(&timers);
	for (int step = 0; step < 200000; step++) {
		struct stamp *x = &s[rnd(&r) % N];
		int64_t next = INT64_MAX;

		if (x->in && rnd(&r) % 2) {
			ck_assert(urt__timers_del(&timers, &x->timer));
			x->in = false;
		} else if (!x->in) {
			x->timer = (struct urt__timer){ .fire = fire };
			x->when = now + rnd(&r) % 1000;
			x->in = true;
			x->fired = false;
			urt__timers_add(&timers, &x->timer, x->when);
		}
		if (rnd(&r) % 16)
			continue;
		now += rnd(&r) % 100;
		last_fired = 0;
		urt__timers_run(&timers, now);
		for (int i = 0; i < N; i++)
			if (s[i].in && s[i].when < next)
				next = s[i].when;
		ck_assert_int_gt(next, now);
		ck_assert_int_eq(urt__timers_next(&timers), next);
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
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	t = tcase_create("timers");
	tcase_add_test(t, timers_fire_in_order_when_they_are_due);
	tcase_add_test(t, timers_agree_with_a_plain_search_on_random_work);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	return s;
}
