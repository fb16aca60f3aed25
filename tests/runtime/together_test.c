// SPDX-License-Identifier: MIT
/*
 * Floors 4 and 5: select, the locks beside the mutex, scopes, local values and
 * blocking calls, one property at a time and on one worker; what must hold for
 * all of them together, on many, is the stress suite's.
 */
#define _GNU_SOURCE
#include "../../uring_rt/urt.h"
#include "../lib/test.h"
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

static int result;

/* ---- select ------------------------------------------------------------ */

static struct urt_chan *ch[3];

static void channels(size_t capacity)
{
	for (int i = 0; i < 3; i++)
		ch[i] = urt_chan_new(4, capacity);
}

static void channels_free(void)
{
	for (int i = 0; i < 3; i++)
		urt_chan_free(ch[i]);
}

CORO_TEST(select_takes_the_case_that_can_go_ahead)
{
	int in = 7, out = 0;
	struct urt_case c[3] = { { NULL, URT_RECV, NULL, 0 },
				 { NULL, URT_RECV, &out, 0 },
				 { NULL, URT_SEND, &in, 0 } };

	channels(1);
	c[0].chan = ch[0];
	c[1].chan = ch[1];
	c[2].chan = ch[2];
	urt_chan_send(ch[1], &in, URT_NEVER);
	urt_chan_send(ch[2], &in, URT_NEVER); /* full */
	ck_assert_int_eq(urt_select(c, 3, URT_NEVER), 1);
	ck_assert_int_eq(out, 7);
	ck_assert_int_eq(urt_select(c, 3, 0), -ETIME);
	urt_chan_recv(ch[2], &out, URT_NEVER);
	ck_assert_int_eq(urt_select(c, 3, URT_NEVER), 2);
	ck_assert_uint_eq(urt_chan_len(ch[2]), 1);
	urt_chan_close(ch[0]);
	ck_assert_int_eq(urt_select(c, 3, URT_NEVER), 0);
	ck_assert_int_eq(c[0].result, -EPIPE);
	urt_chan_recv(ch[2], NULL, 0);
	channels_free();
}

CORO_TEST(select_of_nothing_waits_for_its_deadline)
{
	struct urt_case c = { NULL, URT_RECV, NULL, 0 };
	int64_t begin = urt_now();

	ck_assert_int_eq(urt_select(NULL, 0, urt_after(2 * MS)), -ETIME);
	ck_assert_int_eq(urt_select(&c, 1, urt_after(2 * MS)), -ETIME);
	ck_assert_int_ge(urt_now() - begin, 4 * MS);
}

static void select_two(void *arg)
{
	struct urt_case c[2] = { { ch[0], URT_RECV, arg, 0 },
				 { ch[1], URT_SEND, arg, 0 } };

	result = urt_select(c, 2, URT_NEVER);
}

CORO_TEST(a_waiting_select_is_served_once_and_leaves_the_other_channels)
{
	int v = 1, w = 5;
	struct urt_coro *c;

	channels(0);
	c = urt_spawn(select_two, &v);
	urt_yield();
	ck_assert_int_eq(urt_chan_send(ch[0], &w, URT_NEVER), 0);
	urt_join(c);
	ck_assert_int_eq(result, 0);
	ck_assert_int_eq(v, 5);
	/* Its offer on the other one is gone with it. */
	ck_assert_int_eq(urt_chan_recv(ch[1], &w, 0), -ETIME);
	c = urt_spawn(select_two, &v);
	urt_yield();
	ck_assert_int_eq(urt_chan_recv(ch[1], &w, URT_NEVER), 0);
	urt_join(c);
	ck_assert_int_eq(result, 1);
	ck_assert_int_eq(urt_chan_send(ch[0], &w, 0), -ETIME);
	c = urt_spawn(select_two, &v);
	urt_yield();
	urt_cancel(c);
	urt_join(c);
	ck_assert_int_eq(result, -ECANCELED);
	channels_free();
}

CORO_TEST(select_can_name_a_channel_more_than_once)
{
	int a = 1, b = 2, got = 0;
	struct urt_case c[3];

	channels(1);
	c[0] = (struct urt_case){ ch[0], URT_SEND, &a, 0 };
	c[1] = (struct urt_case){ ch[0], URT_SEND, &b, 0 };
	c[2] = (struct urt_case){ ch[0], URT_RECV, &got, 0 };
	for (int i = 0; i < 10; i++) {
		int sent = urt_select(c, 3, URT_NEVER);

		ck_assert(sent == 0 || sent == 1);
		ck_assert_int_eq(urt_select(c, 3, URT_NEVER), 2);
		ck_assert_int_eq(got, sent == 0 ? a : b);
	}
	channels_free();
}

CORO_TEST(select_is_fair_among_the_ready)
{
	enum { N = 3000 };
	int count[3] = { 0 };
	struct urt_case c[3];

	channels(1);
	for (int i = 0; i < 3; i++) {
		c[i] = (struct urt_case){ ch[i], URT_RECV, NULL, 0 };
		urt_chan_send(ch[i], &i, URT_NEVER);
	}
	for (int i = 0; i < N; i++) {
		int k = urt_select(c, 3, URT_NEVER);

		count[k]++;
		urt_chan_send(ch[k], &i, URT_NEVER);
	}
	for (int i = 0; i < 3; i++) /* 25 standard deviations off */
		ck_assert_int_gt(count[i], N / 3 - 650);
	channels_free();
}

CORO_TEST(select_works_with_many_cases)
{
	enum { MANY = 100 };
	struct urt_chan *many[MANY];
	struct urt_case c[MANY];
	int v = 3;

	for (int i = 0; i < MANY; i++) {
		many[i] = urt_chan_new(4, 1);
		c[i] = (struct urt_case){ many[i], URT_RECV, NULL, 0 };
	}
	urt_chan_send(many[77], &v, URT_NEVER);
	ck_assert_int_eq(urt_select(c, MANY, URT_NEVER), 77);
	ck_assert_int_eq(urt_select(c, MANY, urt_after(MS)), -ETIME);
	for (int i = 0; i < MANY; i++)
		urt_chan_free(many[i]);
}

/* ---- rwlock ------------------------------------------------------------ */

static struct urt_rwlock rwlock = URT_RWLOCK_INIT;
static char order[16];

static void write_it(void *arg)
{
	ck_assert_int_eq(urt_rwlock_wrlock(&rwlock, URT_NEVER), 0);
	strcat(order, "w");
	urt_rwlock_unlock(&rwlock);
}

static void read_it(void *arg)
{
	ck_assert_int_eq(urt_rwlock_rdlock(&rwlock, URT_NEVER), 0);
	strcat(order, "r");
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
	urt_yield();
	ck_assert(!urt_rwlock_tryrdlock(&rwlock));
	ck_assert_int_eq(urt_rwlock_rdlock(&rwlock, urt_after(MS)), -ETIME);
	c[1] = urt_spawn(read_it, NULL);
	c[2] = urt_spawn(read_it, NULL);
	urt_yield();
	ck_assert_str_eq(order, "");
	urt_rwlock_unlock(&rwlock);
	for (int i = 0; i < 3; i++)
		urt_join(c[i]);
	ck_assert_str_eq(order, "wrr");
	ck_assert(urt_rwlock_trywrlock(&rwlock));
	urt_rwlock_unlock(&rwlock);
}

CORO_TEST(a_writer_that_gives_up_lets_the_readers_in)
{
	struct urt_coro *w, *r;

	urt_rwlock_rdlock(&rwlock, URT_NEVER);
	w = urt_spawn(write_it, NULL);
	urt_yield();
	r = urt_spawn(read_it, NULL);
	urt_yield();
	ck_assert_str_eq(order, "");
	urt_rwlock_unlock(&rwlock); /* the writer's, but it is cancelled: */
	urt_rwlock_rdlock(&rwlock, URT_NEVER);
	urt_join(w);
	urt_join(r);
	urt_rwlock_unlock(&rwlock);
	order[0] = '\0';
	urt_rwlock_rdlock(&rwlock, URT_NEVER);
	ck_assert_int_eq(urt_rwlock_wrlock(&rwlock, urt_after(MS)), -ETIME);
	r = urt_spawn(read_it, NULL);
	ck_assert_int_eq(urt_join(r), 0); /* although we still read */
	urt_rwlock_unlock(&rwlock);
}

/* ---- condition, semaphore, once, barrier ------------------------------- */

static struct urt_mutex mutex = URT_MUTEX_INIT;
static struct urt_cond cond = URT_COND_INIT;
static int waiting;

static void wait_cond(void *arg)
{
	urt_mutex_lock(&mutex, URT_NEVER);
	waiting++;
	ck_assert_int_eq(urt_cond_wait(&cond, &mutex, URT_NEVER), 0);
	strcat(order, arg);
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
		c[i] = urt_spawn(wait_cond, &"a\0b\0c\0"[i * 2]);
		while (waiting <= i)
			urt_yield();
	}
	urt_cond_signal(&cond);
	urt_join(c[0]);
	ck_assert_str_eq(order, "a");
	urt_cond_broadcast(&cond);
	urt_join(c[1]);
	urt_join(c[2]);
	ck_assert_uint_eq(strlen(order), 3);
	urt_cond_signal(&cond); /* nobody: nothing happens */
}

static struct urt_sem sem = URT_SEM_INIT(0);

static void wait_sem(void *arg)
{
	result = urt_sem_wait(&sem, URT_NEVER);
	if (!result)
		strcat(order, arg);
}

CORO_TEST(a_post_goes_to_the_one_that_has_waited_longest)
{
	struct urt_coro *a = urt_spawn(wait_sem, "a"), *b;

	urt_yield();
	b = urt_spawn(wait_sem, "b");
	urt_yield();
	urt_sem_post(&sem);
	/* It cannot be taken from the one it was given to. */
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
static int once_runs;

static void slow_init(void *arg)
{
	once_runs++;
	urt_sleep(5 * MS);
	strcat(order, "i");
}

static void do_once(void *arg)
{
	ck_assert_int_eq(urt_once_do(&once, slow_init, NULL, URT_NEVER), 0);
	strcat(order, "d");
}

CORO_TEST(once_runs_once_and_all_wait_for_it)
{
	struct urt_coro *c[3];

	for (int i = 0; i < 3; i++)
		c[i] = urt_spawn(do_once, NULL);
	urt_yield();
	ck_assert_int_eq(urt_once_do(&once, slow_init, NULL, urt_after(MS)),
			 -ETIME);
	for (int i = 0; i < 3; i++)
		urt_join(c[i]);
	ck_assert_str_eq(order, "iddd");
	ck_assert_int_eq(once_runs, 1);
}

static struct urt_barrier barrier = URT_BARRIER_INIT(3);
static int serials;

static void meet(void *arg)
{
	for (int i = 0; i < 10; i++) {
		int ret = urt_barrier_wait(&barrier, URT_NEVER);

		ck_assert(ret == 0 || ret == 1);
		serials += ret;
	}
}

CORO_TEST(a_barrier_opens_for_all_and_can_be_used_again)
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

/* Its deadline passes while nobody else runs: it gives up, or is counted. */
CORO_TEST(a_barrier_does_not_count_who_gave_up)
{
	struct urt_barrier b = URT_BARRIER_INIT(2);
	struct urt_coro *c = urt_spawn(meet_late, &b);
	int64_t until;
	int ret;

	urt_yield();
	for (until = urt_after(5 * MS); urt_now() < until;)
		;
	ret = urt_barrier_wait(&b, urt_after(2 * MS));
	urt_join(c);
	ck_assert((ret == 1 && result == 0) ||
		  (ret == -ETIME && result == -ETIME));
}

/* ---- scopes ------------------------------------------------------------ */

static int ended;
static atomic_int reading;

static int sleep_long(void *arg)
{
	int ret = urt_sleep(3600000 * MS);

	ended++;
	return ret;
}

static int fail_soon(void *arg)
{
	urt_sleep(MS);
	ended++;
	return -EIO;
}

static int succeed(void *arg)
{
	urt_sleep(MS);
	ended++;
	return 7;
}

CORO_TEST(close_waits_for_all)
{
	struct urt_scope s;

	ck_assert_int_eq(urt_scope_open(&s, URT_NEVER), 0);
	ck_assert_int_eq(urt_scope_close(&s), 0);
	urt_scope_open(&s, URT_NEVER);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(urt_scope_go(&s, succeed, NULL), 0);
	ck_assert_int_eq(urt_scope_close(&s), 0);
	ck_assert_int_eq(ended, 10);
}

CORO_TEST(the_first_error_cancels_the_others_and_is_kept)
{
	struct urt_scope s;

	urt_scope_open(&s, URT_NEVER);
	urt_scope_go(&s, sleep_long, NULL);
	urt_scope_go(&s, fail_soon, NULL);
	urt_scope_go(&s, sleep_long, NULL);
	ck_assert_int_eq(urt_scope_close(&s), -EIO);
	ck_assert_int_eq(ended, 3);
}

CORO_TEST(nothing_starts_in_a_cancelled_scope)
{
	struct urt_scope s;

	urt_scope_open(&s, URT_NEVER);
	urt_scope_cancel(&s);
	ck_assert_int_eq(urt_scope_go(&s, succeed, NULL), -ECANCELED);
	ck_assert_int_eq(urt_scope_close(&s), 0);
}

CORO_TEST(the_deadline_of_a_scope_ends_all_its_waits)
{
	struct urt_scope s;
	int64_t begin = urt_now();

	urt_scope_open(&s, urt_after(5 * MS));
	for (int i = 0; i < 5; i++)
		urt_scope_go(&s, sleep_long, NULL);
	ck_assert_int_eq(urt_scope_close(&s), -ETIME);
	ck_assert_int_eq(ended, 5);
	ck_assert_int_lt(urt_now() - begin, 3600000 * MS);
}

static int waits[4];

static int wait_in_sleep(void *arg)
{
	waits[0] = urt_sleep(3600000 * MS);
	return 0;
}

static int wait_in_chan(void *arg)
{
	waits[1] = urt_chan_recv(arg, NULL, URT_NEVER);
	return 0;
}

static int wait_in_poll(void *arg)
{
	waits[2] = urt_poll(*(int *)arg, POLLIN, URT_NEVER);
	return 0;
}

static int wait_after_deadline(void *arg)
{
	int64_t deadline_ns = *(int64_t *)arg;

	while (urt_now() < deadline_ns + MS)
		; /* computes: the scope cancels it before it waits */
	waits[3] = urt_sleep(3600000 * MS);
	return 0;
}

/* The scope cancels its members at that moment, which is not what they are
 * told. */
CORO_TEST(scope_deadline_is_etime_in_every_wait)
{
	struct urt_chan *empty = urt_chan_new(0, 0);
	int64_t deadline_ns = urt_after(5 * MS);
	struct urt_scope s;
	int p[2];

	ck_assert_int_eq(urt_pipe(p, 0), 0);
	urt_scope_open(&s, deadline_ns);
	urt_scope_go(&s, wait_in_sleep, NULL);
	urt_scope_go(&s, wait_in_chan, empty);
	urt_scope_go(&s, wait_in_poll, p);
	urt_scope_go(&s, wait_after_deadline, &deadline_ns);
	ck_assert_int_eq(urt_scope_close(&s), -ETIME);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(waits[i], -ETIME);
	urt_chan_free(empty);
	urt_close(p[0]);
	urt_close(p[1]);
}

static int fds[2];
static char dead[64];

static int read_something(void *arg)
{
	char buf[64] = { 0 };
	int ret;

	reading++;
	ret = urt_read(fds[0], buf, sizeof(buf), URT_NEVER);
	ended++;
	memcpy(dead, buf, sizeof(dead));
	return ret;
}

static int nested(void *arg)
{
	struct urt_scope inner;

	urt_scope_open(&inner, URT_NEVER);
	for (int i = 0; i < 5; i++)
		urt_scope_go(&inner, read_something, NULL);
	return urt_scope_close(&inner);
}

CORO_TEST(cancellation_reaches_every_operation_in_nested_scopes)
{
	struct urt_scope s;

	ck_assert_int_eq(pipe(fds), 0);
	urt_scope_open(&s, URT_NEVER);
	for (int i = 0; i < 5; i++)
		urt_scope_go(&s, nested, NULL);
	while (reading < 25)
		urt_sleep(MS);
	urt_scope_cancel(&s);
	ck_assert_int_eq(urt_scope_close(&s), -ECANCELED);
	ck_assert_int_eq(ended, 25);
	/* The kernel has let go of all the buffers: this goes to nobody's. */
	ck_assert_int_eq(urt_write(fds[1], "x", 1, URT_NEVER), 1);
	ck_assert_int_eq(urt_read(fds[0], dead, 1, URT_NEVER), 1);
	close(fds[0]);
	close(fds[1]);
}

static void close_a_scope(void *arg)
{
	struct urt_scope s;

	urt_scope_open(&s, URT_NEVER);
	for (int i = 0; i < 3; i++)
		urt_scope_go(&s, sleep_long, NULL);
	result = urt_scope_close(&s);
}

CORO_TEST(a_cancelled_closer_cancels_its_scope_and_still_waits)
{
	struct urt_coro *c = urt_spawn(close_a_scope, NULL);

	urt_sleep(MS);
	urt_cancel(c);
	urt_join(c);
	ck_assert_int_eq(result, -ECANCELED);
	ck_assert_int_eq(ended, 3);
}

/* ---- local values ------------------------------------------------------ */

static int destroyed;

static void destroy(void *value)
{
	destroyed += *(int *)value;
	urt_yield(); /* it may do what the coroutine could */
}

static void use_local(void *arg)
{
	int *p = arg, key = p[0];

	ck_assert_ptr_null(urt_local_get(key));
	ck_assert_int_eq(urt_local_set(key, &p[1]), 0);
	urt_yield();
	ck_assert_ptr_eq(urt_local_get(key), &p[1]);
}

CORO_TEST(local_values_are_each_coroutines_own_and_destroyed_at_its_end)
{
	int key = urt_local_key(destroy), a[2] = { key, 1 }, b[2] = { key, 10 };
	struct urt_coro *c[2] = { urt_spawn(use_local, a),
				  urt_spawn(use_local, b) };

	ck_assert_int_ge(key, 0);
	urt_join(c[0]);
	urt_join(c[1]);
	ck_assert_int_eq(destroyed, 11);
	ck_assert_ptr_null(urt_local_get(key));
	ck_assert_int_eq(urt_local_set(key + 1, a), -EINVAL);
	for (int i = key + 1; i < URT_LOCAL_KEYS; i++)
		ck_assert_int_eq(urt_local_key(NULL), i);
	ck_assert_int_eq(urt_local_key(NULL), -EAGAIN);
}

/* ---- blocking calls ---------------------------------------------------- */

static atomic_int inside, most, wanted; /* at a time */

/* Until there were as many at a time as are wanted. */
static int64_t block(void *arg)
{
	int now = atomic_fetch_add(&inside, 1) + 1, seen = most;

	while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now))
		;
	do {
		usleep(20000);
	} while (most < wanted);
	inside--;
	return (intptr_t)arg * 2;
}

static void call_blocking(void *arg)
{
	ck_assert_int_eq(urt_blocking(block, arg), (intptr_t)arg * 2);
	ended++;
}

static void block_many(void *arg)
{
	struct urt_coro *c[20];

	wanted = 4; /* one by one, the first would not end */
	for (intptr_t i = 0; i < 20; i++)
		c[i] = urt_spawn(call_blocking, (void *)i);
	for (int i = 0; i < 20; i++)
		urt_join(c[i]);
	ck_assert_int_eq(ended, 20);
}

START_TEST(blocking_calls_run_on_a_bounded_pool)
{
	struct urt_options o = { .workers = 1, .max_blocking = 4 };

	ck_assert_int_eq(urt_run_with(block_many, NULL, &o), 0);
	ck_assert_int_eq(most, 4);
}
END_TEST

CORO_TEST(a_cancelled_coroutine_still_gets_its_blocking_calls_result)
{
	struct urt_coro *c = urt_spawn(call_blocking, (void *)5);

	while (!inside) /* once begun */
		urt_sleep(MS / 10);
	urt_cancel(c);
	urt_join(c);
	ck_assert_int_eq(ended, 1);
}

START_TEST(a_blocking_call_on_a_plain_thread_is_just_made)
{
	ck_assert_int_eq(urt_blocking(block, (void *)4), 8);
}
END_TEST

Suite *together_suite(void)
{
	Suite *s = suite_create("together");
	TCase *t = tcase_create("select and locks");

	tcase_add_test(t, select_takes_the_case_that_can_go_ahead);
	tcase_add_test(t, select_of_nothing_waits_for_its_deadline);
	tcase_add_test(
		t,
		a_waiting_select_is_served_once_and_leaves_the_other_channels);
	tcase_add_test(t, select_can_name_a_channel_more_than_once);
	tcase_add_test(t, select_is_fair_among_the_ready);
	tcase_add_test(t, select_works_with_many_cases);
	tcase_add_test(t,
		       readers_share_and_a_waiting_writer_keeps_new_ones_out);
	tcase_add_test(t, a_writer_that_gives_up_lets_the_readers_in);
	tcase_add_test(t, signal_wakes_the_first_and_broadcast_all);
	tcase_add_test(t, a_post_goes_to_the_one_that_has_waited_longest);
	tcase_add_test(t, once_runs_once_and_all_wait_for_it);
	tcase_add_test(t, a_barrier_opens_for_all_and_can_be_used_again);
	tcase_add_test(t, a_barrier_does_not_count_who_gave_up);
	suite_add_tcase(s, t);
	t = tcase_create("scopes, locals, blocking");
	tcase_add_test(t, close_waits_for_all);
	tcase_add_test(t, the_first_error_cancels_the_others_and_is_kept);
	tcase_add_test(t, nothing_starts_in_a_cancelled_scope);
	tcase_add_test(t, the_deadline_of_a_scope_ends_all_its_waits);
	tcase_add_test(t, scope_deadline_is_etime_in_every_wait);
	tcase_add_test(t,
		       cancellation_reaches_every_operation_in_nested_scopes);
	tcase_add_test(t, a_cancelled_closer_cancels_its_scope_and_still_waits);
	tcase_add_test(
		t,
		local_values_are_each_coroutines_own_and_destroyed_at_its_end);
	tcase_add_test(t, blocking_calls_run_on_a_bounded_pool);
	tcase_add_test(
		t, a_cancelled_coroutine_still_gets_its_blocking_calls_result);
	tcase_add_test(t, a_blocking_call_on_a_plain_thread_is_just_made);
	suite_add_tcase(s, t);
	return s;
}
