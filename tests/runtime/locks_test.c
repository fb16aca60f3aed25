// SPDX-License-Identifier: MIT
/*
 * Floor 5: mutex, rwlock, condition, semaphore, once, barrier and wait group, on one
 * worker. The stress suite has them on many.
 */
#define _GNU_SOURCE
#include "../lib/workers.h"

static _Atomic int result;

/* ---- rwlock ------------------------------------------------------------ */

static struct urt_rwlock rwlock = URT_RWLOCK_INIT;
static char order[16];

static _Atomic unsigned places;

/* After a hand-off, two coroutines run at a time: each takes its own place. */
static void append(const char *what)
{
	order[places++] = *what;
}

static void write_it(void *arg)
{
	ck_assert_int_eq(urt_rwlock_wrlock(&rwlock, URT_NEVER), 0);
	append("w");
	urt_rwlock_unlock(&rwlock);
}

static void read_it(void *arg)
{
	ck_assert_int_eq(urt_rwlock_rdlock(&rwlock, URT_NEVER), 0);
	append("r");
	urt_rwlock_unlock(&rwlock);
}

CORO_TEST(readers_share_and_a_waiting_writer_keeps_new_ones_out)
{
	struct urt_coro *c[3];

	ck_assert_int_eq(urt_rwlock_rdlock(&rwlock, URT_NEVER), 0);
	ck_assert(urt_rwlock_tryrdlock(&rwlock));
	ck_assert(!urt_rwlock_trywrlock(&rwlock));
	urt_rwlock_unlock(&rwlock);
	c[0] = urt_spawn(write_it, NULL);
	until_parked(c[0], URT__R_RWLOCK);
	ck_assert(!urt_rwlock_tryrdlock(&rwlock));
	ck_assert_int_eq(urt_rwlock_rdlock(&rwlock, urt_after(MS)), -ETIME);
	c[1] = urt_spawn(read_it, NULL);
	c[2] = urt_spawn(read_it, NULL);
	until_parked(c[1], URT__R_RWLOCK);
	until_parked(c[2], URT__R_RWLOCK);
	ck_assert_str_eq(order, "");
	urt_rwlock_unlock(&rwlock);
	for (int i = 0; i < 3; i++)
		urt_join(c[i]);
	ck_assert_str_eq(order, "wrr");
	ck_assert(urt_rwlock_trywrlock(&rwlock));
	urt_rwlock_unlock(&rwlock);
}

CORO_TEST(writer_that_gives_up_lets_the_readers_in)
{
	struct urt_coro *w, *r;

	urt_rwlock_rdlock(&rwlock, URT_NEVER);
	w = urt_spawn(write_it, NULL);
	until_parked(w, URT__R_RWLOCK);
	r = urt_spawn(read_it, NULL);
	until_parked(r, URT__R_RWLOCK);
	ck_assert_str_eq(order, "");
	urt_rwlock_unlock(&rwlock); /* the writer's, but it is cancelled: */
	urt_rwlock_rdlock(&rwlock, URT_NEVER);
	urt_join(w);
	urt_join(r);
	urt_rwlock_unlock(&rwlock);
	urt_rwlock_rdlock(&rwlock, URT_NEVER);
	ck_assert_int_eq(urt_rwlock_wrlock(&rwlock, urt_after(MS)), -ETIME);
	r = urt_spawn(read_it, NULL);
	ck_assert_int_eq(urt_join(r), 0); /* although we still read */
	urt_rwlock_unlock(&rwlock);
}

/* ---- condition, semaphore, once, barrier ------------------------------- */

static struct urt_mutex mutex = URT_MUTEX_INIT;
static struct urt_cond cond = URT_COND_INIT;

static void wait_cond(void *arg)
{
	urt_mutex_lock(&mutex, URT_NEVER);
	ck_assert_int_eq(urt_cond_wait(&cond, &mutex, URT_NEVER), 0);
	append(arg);
	urt_mutex_unlock(&mutex);
}

CORO_TEST(signal_wakes_the_first_and_broadcast_all)
{
	struct urt_coro *c[3];

	ck_assert_int_eq(urt_mutex_lock(&mutex, URT_NEVER), 0);
	ck_assert_int_eq(urt_cond_wait(&cond, &mutex, urt_after(MS)), -ETIME);
	ck_assert(!urt_mutex_trylock(&mutex)); /* ours again */
	urt_mutex_unlock(&mutex);
	for (int i = 0; i < 3; i++) {
		c[i] = urt_spawn(wait_cond, &"abc"[i]);
		until_parked(c[i], URT__R_COND);
	}
	urt_cond_signal(&cond);
	urt_join(c[0]);
	ck_assert_str_eq(order, "a");
	urt_cond_broadcast(&cond);
	urt_join(c[1]);
	urt_join(c[2]);
	ck_assert_uint_eq(strlen(order), 3);
	urt_cond_signal(&cond); /* nobody waits: nothing happens */
}

static struct urt_sem sem = URT_SEM_INIT(0);

static void wait_sem(void *arg)
{
	result = urt_sem_wait(&sem, URT_NEVER);
	if (!result)
		append(arg);
}

CORO_TEST(post_goes_to_the_one_that_has_waited_longest)
{
	struct urt_coro *a = urt_spawn(wait_sem, "a"), *b;

	until_parked(a, URT__R_SEM);
	b = urt_spawn(wait_sem, "b");
	until_parked(b, URT__R_SEM);
	urt_sem_post(&sem);
	/* It cannot be taken from the coroutine that received it. */
	ck_assert(!urt_sem_trywait(&sem));
	urt_join(a);
	ck_assert_str_eq(order, "a");
	urt_cancel(b);
	urt_join(b);
	ck_assert_int_eq(result, -ECANCELED);
	urt_sem_post(&sem);
	ck_assert(urt_sem_trywait(&sem));
	ck_assert_int_eq(urt_sem_wait(&sem, urt_after(MS)), -ETIME);
}

static struct urt_once once = URT_ONCE_INIT;
static _Atomic int once_runs;
static _Atomic bool once_may_end;

static void slow_init(void *arg)
{
	once_runs++;
	while (!once_may_end)
		urt_sleep(MS);
	append("i");
}

static void do_once(void *arg)
{
	ck_assert_int_eq(urt_once_do(&once, slow_init, NULL, URT_NEVER), 0);
	append("d");
}

CORO_TEST(once_runs_once_and_all_wait_for_it)
{
	struct urt_coro *c[3];

	for (int i = 0; i < 3; i++)
		c[i] = urt_spawn(do_once, NULL);
	while (!once_runs)
		urt_yield();
	ck_assert_int_eq(urt_once_do(&once, slow_init, NULL, urt_after(MS)),
			 -ETIME);
	once_may_end = true;
	for (int i = 0; i < 3; i++)
		urt_join(c[i]);
	ck_assert_str_eq(order, "iddd");
	ck_assert_int_eq(once_runs, 1);
}

static struct urt_barrier barrier = URT_BARRIER_INIT(3);
static _Atomic int serials;

static void meet(void *arg)
{
	for (int i = 0; i < 10; i++) {
		int ret = urt_barrier_wait(&barrier, URT_NEVER);

		ck_assert(ret == 0 || ret == 1);
		serials += ret;
	}
}

CORO_TEST(barrier_opens_for_all_and_can_be_used_again)
{
	struct urt_coro *c[3];

	ck_assert_int_eq(urt_barrier_wait(&barrier, urt_after(MS)), -ETIME);
	for (int i = 0; i < 3; i++)
		c[i] = urt_spawn(meet, NULL);
	for (int i = 0; i < 3; i++)
		urt_join(c[i]);
	ck_assert_int_eq(serials, 10);
}

static void meet_late(void *arg)
{
	result = urt_barrier_wait(arg, urt_after(2 * MS));
}

/* Its deadline passes while nobody else runs: it gives up, or counts. */
CORO_TEST(barrier_does_not_count_who_gave_up)
{
	struct urt_barrier b = URT_BARRIER_INIT(2);
	struct urt_coro *c = urt_spawn(meet_late, &b);
	int64_t until;
	int ret;

	until_parked(c, URT__R_BARRIER);
	for (until = urt_after(5 * MS); urt_now() < until;)
		;
	ret = urt_barrier_wait(&b, urt_after(2 * MS));
	urt_join(c);
	ck_assert((ret == -ETIME && result == -ETIME) ||
		  (ret >= 0 && result >= 0 && ret + result == 1));
}

/* ---- mutex ---- */

static long inside;
static _Atomic long total;

static void critical(void *arg)
{
	for (int i = 0; i < 200; i++) {
		ck_assert_int_eq(urt_mutex_lock(&mutex, URT_NEVER), 0);
		ck_assert_int_eq(inside++, 0);
		if (i % 7 == 0)
			urt_yield();
		if (i % 50 == 0)
			urt_sleep(10000);
		inside--;
		total++;
		urt_mutex_unlock(&mutex);
	}
}

CORO_TEST(mutex_admits_one_at_a_time)
{
	struct urt_coro *c[20];

	for (int i = 0; i < 20; i++)
		c[i] = urt_spawn(critical, NULL);
	for (int i = 0; i < 20; i++)
		urt_join(c[i]);
	ck_assert_int_eq(total, 20 * 200);
}

CORO_TEST(mutex_trylock_and_deadline_do_not_wait_for_ever)
{
	urt_mutex_lock(&mutex, URT_NEVER);
	ck_assert(!urt_mutex_trylock(&mutex));
	ck_assert_int_eq(urt_mutex_lock(&mutex, urt_after(MS)), -ETIME);
	urt_mutex_unlock(&mutex);
	ck_assert(urt_mutex_trylock(&mutex));
	urt_mutex_unlock(&mutex);
}

static _Atomic bool got_it;

static void lock_once(void *arg)
{
	result = urt_mutex_lock(&mutex, URT_NEVER);
	if (result)
		return;
	got_it = true;
	urt_mutex_unlock(&mutex);
}

CORO_TEST(mutex_waiter_is_not_starved_by_a_greedy_holder)
{
	struct urt_coro *c;

	urt_mutex_lock(&mutex, URT_NEVER);
	c = urt_spawn(lock_once, NULL);
	until_parked(c, URT__R_MUTEX);
	/* Unlocks and locks again at once, always: the waiter never finds it
	 * free, until it is handed over. */
	while (!got_it) {
		urt_mutex_unlock(&mutex);
		urt_mutex_lock(&mutex, URT_NEVER);
		urt_yield();
	}
	urt_mutex_unlock(&mutex);
	urt_join(c);
}

CORO_TEST(mutex_cancelled_waiter_goes_without_it)
{
	struct urt_coro *c;

	urt_mutex_lock(&mutex, URT_NEVER);
	c = urt_spawn(lock_once, NULL);
	until_parked(c, URT__R_MUTEX);
	urt_cancel(c);
	urt_join(c);
	ck_assert_int_eq(result, -ECANCELED);
	urt_mutex_unlock(&mutex);
	ck_assert(urt_mutex_trylock(&mutex));
}

/* ---- wait group ---- */

static struct urt_waitgroup group = URT_WAITGROUP_INIT;

static void work(void *arg)
{
	urt_yield();
	total++;
	urt_waitgroup_done(&group);
}

CORO_TEST(waitgroup_waits_for_all)
{
	ck_assert_int_eq(urt_waitgroup_wait(&group, URT_NEVER), 0);
	urt_waitgroup_add(&group, 51); /* the last is ours */
	for (int i = 0; i < 50; i++)
		urt_go(work, NULL);
	ck_assert_int_eq(urt_waitgroup_wait(&group, urt_after(0)), -ETIME);
	urt_waitgroup_done(&group);
	ck_assert_int_eq(urt_waitgroup_wait(&group, URT_NEVER), 0);
	ck_assert_int_eq(total, 50);
}

static void wait_group(void *arg)
{
	result += !urt_waitgroup_wait(&group, URT_NEVER);
}

CORO_TEST(waitgroup_wakes_all_that_wait)
{
	struct urt_coro *c[10];

	urt_waitgroup_add(&group, 1);
	for (int i = 0; i < 10; i++)
		c[i] = urt_spawn(wait_group, NULL);
	for (int i = 0; i < 10; i++)
		until_parked(c[i], URT__R_WAITGROUP);
	urt_waitgroup_done(&group);
	for (int i = 0; i < 10; i++)
		urt_join(c[i]);
	ck_assert_int_eq(result, 10);
}

START_TEST(waitgroup_below_zero_is_a_bug)
{
	urt_waitgroup_done(&group);
}
END_TEST

Suite *locks_suite(void)
{
	Suite *s = suite_create("locks");
	TCase *t = tcase_create("locks");

	tcase_add_test(t, mutex_admits_one_at_a_time);
	tcase_add_test(t, mutex_trylock_and_deadline_do_not_wait_for_ever);
	tcase_add_test(t, mutex_waiter_is_not_starved_by_a_greedy_holder);
	tcase_add_test(t, mutex_cancelled_waiter_goes_without_it);
	tcase_add_test(t, waitgroup_waits_for_all);
	tcase_add_test(t, waitgroup_wakes_all_that_wait);
	tcase_add_test_raise_signal(t, waitgroup_below_zero_is_a_bug, 6);
	tcase_add_test(t,
		       readers_share_and_a_waiting_writer_keeps_new_ones_out);
	tcase_add_test(t, writer_that_gives_up_lets_the_readers_in);
	tcase_add_test(t, signal_wakes_the_first_and_broadcast_all);
	tcase_add_test(t, post_goes_to_the_one_that_has_waited_longest);
	tcase_add_test(t, once_runs_once_and_all_wait_for_it);
	tcase_add_test(t, barrier_opens_for_all_and_can_be_used_again);
	tcase_add_test(t, barrier_does_not_count_who_gave_up);
	suite_add_tcase(s, t);
	return s;
}
