// SPDX-License-Identifier: MIT
/*
 * The whole runtime at random, on 1, 2, 4 and 8 workers: coroutines that send,
 * receive, select, lock, sleep, read and write with deadlines, call blocking
 * functions, open scopes, and are cancelled at any moment; plain threads send
 * and receive next to them. At the end, everything sent was received exactly
 * once or is still queued, no lock is left taken or was held twice, every
 * coroutine has ended, and every byte written to a socket was read.
 */
#define _GNU_SOURCE
#include "../../uring_rt/urt.h"
#include "../lib/test.h"
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CORO = 40, CHANS = 5, PAIRS = 4, STEPS = 400, THREADS = 2 };

/* The steps of the coroutines, and their frequencies; tests/sim/random.c draws
 * others. */
#define KINDS 12
static struct load {
	unsigned coros, threads, steps;
	unsigned weight[KINDS];	 /* of each of steps[]; chances in their sum */
	unsigned sleeps, yields; /* of 8 steps */
	int64_t deadline_ns;	 /* the longest */
	bool no_threads;	 /* creating one may fail */
} load = { CORO, THREADS, STEPS,  { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 },
	   1,	 1,	  2 * MS, false };

static struct urt_chan *chan[CHANS];
static struct urt_mutex mutex[2] = { URT_MUTEX_INIT, URT_MUTEX_INIT };
static struct urt_rwlock rwlock = URT_RWLOCK_INIT;
static struct urt_sem sem = URT_SEM_INIT(2);
static struct urt_cond cond = URT_COND_INIT;
static int sock[PAIRS][2];
static _Atomic long held[2], writing, reading, inside;
static _Atomic uint64_t sent_sum, received_sum;
static _Atomic long sent, received, bytes_out, bytes_in, cancelled, timed_out;
static _Atomic long blocked, members;

static void tally(int ret)
{
	cancelled += ret == -ECANCELED;
	timed_out += ret == -ETIME;
	ck_assert_msg(ret >= 0 || ret == -ECANCELED || ret == -ETIME,
		      "error %d", ret);
}

static int64_t some_deadline(uint64_t *r)
{
	switch (rnd(r) % 4) {
	case 0:
		return 0;
	case 1:
		return urt_after(rnd(r) % 50000);
	default:
		return urt_after(rnd(r) % load.deadline_ns);
	}
}

static void count_sent(uint64_t v)
{
	sent++;
	sent_sum += v;
}

static void count_received(uint64_t v)
{
	received++;
	received_sum += v;
}

static void step_send(uint64_t *r)
{
	uint64_t v = rnd(r);
	int ret = urt_chan_send(chan[rnd(r) % CHANS], &v, some_deadline(r));

	tally(ret);
	if (!ret)
		count_sent(v);
}

static void step_recv(uint64_t *r)
{
	uint64_t v;
	int ret = urt_chan_recv(chan[rnd(r) % CHANS], &v, some_deadline(r));

	tally(ret);
	if (!ret)
		count_received(v);
}

static void step_select(uint64_t *r)
{
	struct urt_case c[6];
	uint64_t v[6];
	size_t n = 1 + rnd(r) % 6;
	int i;

	for (size_t k = 0; k < n; k++) {
		v[k] = rnd(r);
		c[k] = (struct urt_case){ chan[rnd(r) % CHANS],
					  rnd(r) % 2 ? URT_SEND : URT_RECV,
					  &v[k], 0 };
	}
	i = urt_select(c, n, some_deadline(r));
	tally(i);
	if (i < 0)
		return;
	ck_assert_int_eq(c[i].result, 0);
	if (c[i].op == URT_SEND)
		count_sent(v[i]);
	else
		count_received(v[i]);
}

static void dawdle(uint64_t *r)
{
	if (rnd(r) % 2)
		urt_yield();
	if (rnd(r) % 8 == 0)
		tally(urt_sleep(rnd(r) % 20000));
}

static void step_lock(uint64_t *r)
{
	int i = rnd(r) % 2;
	int ret = urt_mutex_lock(&mutex[i], some_deadline(r));

	tally(ret);
	if (ret)
		return;
	ck_assert_int_eq(held[i]++, 0);
	dawdle(r);
	if (i == 0 && rnd(r) % 4 == 0) {
		held[0]--;
		tally(urt_cond_wait(&cond, &mutex[0], some_deadline(r)));
		ck_assert_int_eq(held[0]++, 0);
	}
	if (rnd(r) % 4 == 0)
		urt_cond_broadcast(&cond);
	held[i]--;
	urt_mutex_unlock(&mutex[i]);
}

static void step_rwlock(uint64_t *r)
{
	bool write = rnd(r) % 4 == 0;
	int ret = write ? urt_rwlock_wrlock(&rwlock, some_deadline(r))
			: urt_rwlock_rdlock(&rwlock, some_deadline(r));

	tally(ret);
	if (ret)
		return;
	if (write)
		ck_assert_int_eq(writing++, 0);
	else
		reading++;
	ck_assert(!writing || (write && !reading));
	dawdle(r);
	ck_assert(!writing || (write && !reading));
	if (write)
		writing--;
	else
		reading--;
	urt_rwlock_unlock(&rwlock);
}

static void step_sem(uint64_t *r)
{
	int ret = urt_sem_wait(&sem, some_deadline(r));

	tally(ret);
	if (ret)
		return;
	ck_assert_int_lt(inside++, 2);
	dawdle(r);
	inside--;
	urt_sem_post(&sem);
}

static void step_socket(uint64_t *r)
{
	int *s = sock[rnd(r) % PAIRS];
	char buf[64] = { 0 };
	size_t len = 1 + rnd(r) % sizeof(buf);
	ssize_t n;

	if (rnd(r) % 2) {
		n = urt_send(s[1], buf, len, 0, some_deadline(r));
		bytes_out += n > 0 ? n : 0;
	} else {
		n = urt_recv(s[0], buf, len, 0, some_deadline(r));
		bytes_in += n > 0 ? n : 0;
	}
	tally(n);
}

static int64_t block(void *arg)
{
	usleep(*(int *)arg);
	return 42;
}

static void step_blocking(uint64_t *r)
{
	int us = rnd(r) % 200;

	int64_t ret = urt_blocking_until(block, &us, some_deadline(r));

	if (ret == -EAGAIN && load.no_threads)
		return;
	ck_assert(ret == 42 || ret == -ETIME || ret == -ECANCELED);
	tally(ret == 42 ? 0 : ret);
	blocked += ret == 42;
}

static int scope_member(void *arg)
{
	uint64_t r = *(uint64_t *)arg;
	int ret = urt_sleep(rnd(&r) % (2 * MS));

	members++;
	return rnd(&r) % 4 ? 0 : ret;
}

static void step_scope(uint64_t *r)
{
	struct urt_scope s;
	uint64_t seeds[4];
	int n = rnd(r) % 5, ret;

	ck_assert_int_eq(urt_scope_open(&s, some_deadline(r)), 0);
	for (int i = 0; i < n; i++) {
		seeds[i] = rnd(r) | 1;
		ret = urt_scope_go(&s, scope_member, &seeds[i]);
		ck_assert(!ret || ret == -ECANCELED);
		if (rnd(r) % 4 == 0)
			urt_yield();
	}
	if (rnd(r) % 4 == 0)
		urt_scope_cancel(&s);
	tally(urt_scope_close(&s));
}

static void (*const steps[])(uint64_t *) = {
	step_send,   step_recv,	  step_select, step_lock,
	step_rwlock, step_socket, step_sem,    step_blocking,
	step_scope,  step_send,	  step_recv,   step_select,
};

static_assert(ARRAY_LEN(steps) == KINDS, "each kind of step has a weight");

static void (*some_step(uint64_t *r))(uint64_t *)
{
	unsigned sum = 0, n, i = 0;

	for (unsigned k = 0; k < KINDS; k++)
		sum += load.weight[k];
	for (n = rnd(r) % sum; n >= load.weight[i]; i++)
		n -= load.weight[i];
	return steps[i];
}

static void member(void *arg)
{
	uint64_t r = *(uint64_t *)arg;

	for (unsigned i = 0; i < load.steps; i++) {
		unsigned n = rnd(&r) % 8;

		if (n < load.sleeps)
			tally(urt_sleep(rnd(&r) % 100000));
		else if (n < load.sleeps + load.yields)
			urt_yield();
		else
			some_step (&r)(&r);
	}
}

/* A plain thread next to the coroutines. */
static void *outsider(void *arg)
{
	uint64_t r = *(uint64_t *)arg;

	for (unsigned i = 0; i < load.steps / 4; i++) {
		if (rnd(&r) % 2)
			step_send(&r);
		else if (rnd(&r) % 2)
			step_recv(&r);
		else
			step_select(&r);
	}
	return NULL;
}

static void drain(void)
{
	char buf[4096];
	uint64_t v;
	ssize_t n;

	for (int i = 0; i < CHANS; i++) {
		while (!urt_chan_recv(chan[i], &v, 0))
			count_received(v);
		urt_chan_free(chan[i]);
	}
	for (int i = 0; i < PAIRS; i++) {
		while ((n = recv(sock[i][0], buf, sizeof(buf), MSG_DONTWAIT)) >
		       0)
			bytes_in += n;
		close(sock[i][0]);
		close(sock[i][1]);
	}
}

static int64_t join_thread(void *arg)
{
	return pthread_join(*(pthread_t *)arg, NULL);
}

static int64_t join_by_pool(pthread_t *t)
{
	int64_t ret;

	while ((ret = urt_blocking(join_thread, t)) == -EAGAIN &&
	       load.no_threads)
		urt_sleep(MS);
	return ret;
}

static void whole(void *arg)
{
	uint64_t r = *(uint64_t *)arg, seeds[CORO + THREADS];
	struct urt_coro *c[CORO];
	pthread_t t[THREADS];
	unsigned threads = 0;

	for (int i = 0; i < CHANS; i++)
		chan[i] = urt_chan_new(8, i);
	for (int i = 0; i < PAIRS; i++)
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sock[i]),
				 0);
	for (int i = 0; i < CORO + THREADS; i++)
		seeds[i] = rnd(&r) | 1;
	for (unsigned i = 0; i < load.coros; i++)
		c[i] = urt_spawn(member, &seeds[i]);
	while (threads < load.threads &&
	       !pthread_create(&t[threads], NULL, outsider,
			       &seeds[CORO + threads]))
		threads++;
	for (unsigned i = 0; i < load.coros; i += 3) {
		urt_sleep(rnd(&r) % (5 * MS));
		urt_cancel(c[i]);
	}
	for (unsigned i = 0; i < load.coros; i++)
		ck_assert_int_eq(urt_join(c[i]), 0);
	for (unsigned i = 0; i < threads; i++)
		ck_assert_int_eq(join_by_pool(&t[i]), 0);
	drain();
	ck_assert_int_eq(sent, received);
	ck_assert_uint_eq(sent_sum, received_sum);
	ck_assert_int_eq(bytes_out, bytes_in);
	ck_assert(urt_mutex_trylock(&mutex[0]));
	ck_assert(urt_mutex_trylock(&mutex[1]));
	ck_assert(urt_rwlock_trywrlock(&rwlock));
	ck_assert(urt_sem_trywait(&sem) && urt_sem_trywait(&sem));
	for (int i = 0; i < 2; i++) {
		urt_mutex_unlock(&mutex[i]);
		urt_sem_post(&sem);
	}
	urt_rwlock_unlock(&rwlock);
}

START_TEST(whatever_happens_nothing_is_lost)
{
	static const unsigned workers[] = { 1, 2, 4, 8 };
	uint64_t r = seed() + _i * 7919;
	struct urt_options o = { .ring_entries = _i % 2 ? 4 : 256,
				 .workers = workers[_i % 4] };

	do { /* until each kind of event has happened */
		r = r ? r : 1;
		ck_assert_int_eq(urt_run_with(whole, &r, &o), 0);
		rnd(&r);
	} while (!cancelled || !timed_out || !blocked || !members);
}
END_TEST

/* ---- control blocks that are given back -------------------------------- */

#define BURST 3000

extern int64_t urt__pool_period_ns;

struct short_life {
	uint64_t seed;
	int quiet; /* a pipe that nobody writes to */
	_Atomic int wrong;
};

/* Each ends by a deadline, by a cancellation or at once, while timers and
 * cancellations for earlier ones may still hit its block. */
static void short_life(void *arg)
{
	struct short_life *s = arg;
	uint64_t r =
		(s->seed ^ urt_id(urt_self()) * UINT64_C(0x9e3779b97f4a7c15)) |
		1;
	int64_t deadline = urt_after(rnd(&r) % (3 * MS)), until;
	char c;
	int ret;

	switch (rnd(&r) % 4) {
	case 0:
		ret = urt_read(s->quiet, &c, 1, deadline);
		s->wrong += ret != -ETIME && ret != -ECANCELED;
		break;
	case 1:
		until = urt_now() + MS;
		ret = urt_sleep_until(until);
		s->wrong += ret != -ECANCELED && urt_now() < until;
		break;
	case 2:
		ret = urt_poll(s->quiet, 1, deadline);
		s->wrong += ret != -ETIME && ret != -ECANCELED;
		break;
	}
}

static void come_and_go(void *arg)
{
	static struct urt_coro *c[BURST];
	struct short_life *s = arg;
	uint64_t r = s->seed;
	int64_t until = urt_after((SANITIZED ? 3000 : 1500) * MS);
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	s->quiet = fds[0];
	while (urt_now() < until) {
		int n = 1 + rnd(&r) % BURST;

		for (int i = 0; i < n; i++) {
			c[i] = urt_spawn(short_life, s);
			ck_assert_ptr_nonnull(c[i]);
		}
		for (int i = 0; i < n; i++)
			if (rnd(&r) % 2)
				urt_cancel(c[i]);
		for (int i = 0; i < n; i++)
			urt_join(c[i]);
		urt_sleep(rnd(&r) % (4 * MS));
	}
	ck_assert_int_eq(s->wrong, 0);
}

START_TEST(waits_end_once_while_control_blocks_are_given_back)
{
	static const unsigned workers[] = { 1, 2, 4 };
	struct short_life s = { .seed = (seed() + _i * 7919) | 1 };
	struct urt_options o = { .workers = workers[_i] };

	urt__pool_period_ns = MS;
	ck_assert_int_eq(urt_run_with(come_and_go, &s, &o), 0);
}
END_TEST

Suite *stress_suite(void)
{
	Suite *s = suite_create("stress");
	TCase *t = tcase_create("random");
	const char *rounds = getenv("URT_STRESS_ROUNDS");

	tcase_add_loop_test(t, whatever_happens_nothing_is_lost, 0,
			    rounds ? atoi(rounds) : 8);
	tcase_add_loop_test(
		t, waits_end_once_while_control_blocks_are_given_back, 0, 3);
	suite_add_tcase(s, t);
	return s;
}
