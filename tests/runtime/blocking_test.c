// SPDX-License-Identifier: MIT
/*
 * Floor 4: the thread pool when it is full. A job that no thread has begun is
 * taken back at the deadline or cancellation of the coroutine that waits for
 * it; one that has begun is not.
 */
#define _GNU_SOURCE
#include "../../uring_rt/net/resolve.h"
#include "../lib/workers.h"
#include <errno.h>
#include <netdb.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#define never URT_NEVER

static const int worker_counts[] = { 1, 2, 8 };

/* The pool's only thread stays here until `release`. */
static sem_t release;
static atomic_int holding;

static int64_t hold(void *arg)
{
	holding = 1;
	while (sem_wait(&release))
		;
	return 0;
}

static void holder(void *arg)
{
	ck_assert_int_eq(urt_blocking(hold, NULL), 0);
}

static struct urt_coro *fill(void)
{
	struct urt_coro *c = urt_spawn(holder, NULL);

	while (!holding)
		urt_sleep(MS / 10);
	return c;
}

static atomic_int called;

static int64_t call(void *arg)
{
	called++;
	return (intptr_t)arg;
}

static int64_t result;
static atomic_int returned;

static void caller(void *arg)
{
	result = urt_blocking(call, arg);
	returned++;
}

/* The body as the first coroutine of a run whose pool is full, on 1, 2 and 8
 * workers; then the thread continues, and the run ends. */
static void (*body)(void);

static void with_full_pool(void *arg)
{
	struct urt_coro *c = fill();

	body();
	sem_post(&release);
	urt_join(c);
}

static void run_full(void (*fn)(void), int workers)
{
	struct urt_options o = { .workers = workers, .max_blocking = 1 };

	sem_init(&release, 0, 0);
	holding = 0;
	body = fn;
	ck_assert_int_eq(urt_run_with(with_full_pool, NULL, &o), 0);
}

#define FULL_TEST(name)                                   \
	static void name##_body(void);                    \
	START_TEST(name)                                  \
	{                                                 \
		run_full(name##_body, worker_counts[_i]); \
	}                                                 \
	END_TEST                                          \
	static void name##_body(void)

FULL_TEST(job_not_begun_ends_at_its_deadline)
{
	int64_t deadline = urt_after(20 * MS);

	ck_assert_int_eq(urt_blocking_until(call, NULL, deadline), -ETIME);
	ck_assert_int_ge(urt_now(), deadline);
	ck_assert_int_eq(urt_blocking_until(call, NULL, urt_now()), -ETIME);
	ck_assert_int_eq(called, 0);
}

FULL_TEST(job_not_begun_can_be_cancelled)
{
	struct urt_coro *c = urt_spawn(caller, NULL);

	until_parked(c, URT__R_BLOCKING);
	urt_cancel(c);
	ck_assert_int_eq(urt_join(c), 0);
	ck_assert_int_eq(result, -ECANCELED);
	ck_assert_int_eq(called, 0);
}

static int scoped(void *arg)
{
	return urt_blocking(call, NULL);
}

FULL_TEST(job_not_begun_ends_with_its_scope)
{
	struct urt_scope s;

	ck_assert_int_eq(urt_scope_open(&s, urt_after(10 * MS)), 0);
	ck_assert_int_eq(urt_scope_go(&s, scoped, NULL), 0);
	ck_assert_int_eq(urt_scope_close(&s), -ETIME);
	ck_assert_int_eq(called, 0);
}

FULL_TEST(process_is_not_started_after_its_deadline)
{
	const char *const argv[] = { "/bin/true", NULL };
	struct urt_command c = { .argv = argv };
	char *out = (char *)1;
	size_t len = 1;

	ck_assert_int_eq(
		urt_process_run(&c, &out, &len, 100, urt_after(10 * MS)),
		-ETIME);
	ck_assert_ptr_null(out);
	ck_assert_uint_eq(len, 0);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* no child */
}

static int never_asked(const char *host, const char *service,
		       const struct addrinfo *hints, struct addrinfo **list)
{
	called++;
	return EAI_NONAME;
}

FULL_TEST(look_up_not_begun_is_taken_back)
{
	struct urt_addr a;

	urt__resolver.get = never_asked;
	ck_assert_int_eq(urt_resolve("a:1", &a, 1, urt_after(10 * MS)), -ETIME);
	ck_assert_int_eq(called, 0);
}

/* The oldest, one in the middle and the newest are taken back; the others keep
 * their turn. */
static void queue_with_holes(void *arg)
{
	struct urt_coro *holder_coro = fill(), *c[5];

	for (intptr_t i = 0; i < 5; i++) {
		c[i] = urt_spawn(caller, (void *)(i + 1));
		until_parked(c[i], URT__R_BLOCKING);
	}
	for (int i = 0; i < 5; i += 2) {
		urt_cancel(c[i]);
		urt_join(c[i]);
	}
	ck_assert_int_eq(returned, 3);
	sem_post(&release);
	urt_join(c[1]);
	urt_join(c[3]);
	urt_join(holder_coro);
	ck_assert_int_eq(called, 2);
}

START_TEST(jobs_behind_one_that_was_taken_back_are_done)
{
	struct urt_options o = { .workers = worker_counts[_i],
				 .max_blocking = 1 };

	sem_init(&release, 0, 0);
	ck_assert_int_eq(urt_run_with(queue_with_holes, NULL, &o), 0);
}
END_TEST

static void begun(void *arg)
{
	struct urt_coro *c = fill();

	urt_cancel(c);
	for (int i = 0; i < 100; i++)
		urt_yield();
	sem_post(&release);
	urt_join(c); /* its result was 0, not -ECANCELED */
}

START_TEST(job_that_has_begun_is_not_ended_by_a_cancellation)
{
	struct urt_options o = { .workers = worker_counts[_i],
				 .max_blocking = 1 };

	sem_init(&release, 0, 0);
	ck_assert_int_eq(urt_run_with(begun, NULL, &o), 0);
}
END_TEST

static void leave_queued(void *arg)
{
	urt_go(holder, NULL);
	while (!holding)
		urt_sleep(MS / 10);
	until_parked(urt_spawn(caller, NULL), URT__R_BLOCKING);
	sem_post(&release); /* otherwise the end would wait forever */
}

START_TEST(end_of_a_run_drops_jobs_that_nobody_has_begun)
{
	struct urt_options o = { .workers = worker_counts[_i],
				 .max_blocking = 1 };

	for (int i = 0; i < 20; i++) {
		sem_init(&release, 0, 0);
		holding = 0;
		ck_assert_int_eq(urt_run_with(leave_queued, NULL, &o), 0);
	}
}
END_TEST

/*
 * ---- chance ----
 *
 * Coroutines give short jobs with equally short deadlines to a small pool,
 * while another one cancels some at random. Each call has either run its
 * function once and has its result, or it was taken back and has not run it.
 */

#define CALLERS 24

struct chance {
	uint64_t random;
	int runs; /* of the job under way */
	bool over;
};

static atomic_int ran, taken_back;

static int64_t short_job(void *arg)
{
	struct chance *c = arg;

	if (rnd(&c->random) % 4 == 0)
		usleep(rnd(&c->random) % 100);
	c->runs++;
	return 42;
}

static void take_chances(void *arg)
{
	struct chance *c = arg;
	int64_t ret = 0;

	for (int i = 0; i < FEWER(400) && ret != -ECANCELED; i++) {
		int64_t in = rnd(&c->random) % 200000;

		c->runs = 0;
		ret = urt_blocking_until(short_job, c,
					 rnd(&c->random) % 4 ? urt_after(in)
							     : never);
		ck_assert_msg(ret == 42 ? c->runs == 1
					: c->runs == 0 && (ret == -ETIME ||
							   ret == -ECANCELED),
			      "%d, ran %d times", (int)ret, c->runs);
		if (ret == 42)
			ran++;
		else
			taken_back++;
	}
	c->over = true;
}

static void chances(void *arg)
{
	uint64_t r = *(uint64_t *)arg;
	struct chance c[CALLERS];
	struct urt_coro *coro[CALLERS];
	int left = CALLERS;

	for (int i = 0; i < CALLERS; i++) {
		c[i] = (struct chance){ .random = rnd(&r) | 1 };
		coro[i] = urt_spawn(take_chances, &c[i]);
	}
	while (left) {
		urt_sleep(rnd(&r) % (2 * MS));
		if (rnd(&r) % 8 == 0)
			urt_cancel(coro[--left]);
		else if (c[left - 1].over)
			left--;
		else
			continue;
		ck_assert_int_eq(urt_join(coro[left]), 0);
	}
}

START_TEST(job_is_run_once_or_taken_back)
{
	struct urt_options o = { .workers = worker_counts[_i % 3],
				 .max_blocking = _i < 3 ? 1 : 3 };
	uint64_t random = seed();

	ck_assert_int_eq(urt_run_with(chances, &random, &o), 0);
	ck_assert_int_gt(ran, 0);
	ck_assert_int_gt(taken_back, 0);
}
END_TEST

Suite *blocking_suite(void)
{
	Suite *s = suite_create("blocking");
	TCase *t = tcase_create("the pool is full");

	tcase_add_loop_test(t, job_not_begun_ends_at_its_deadline, 0, 3);
	tcase_add_loop_test(t, job_not_begun_can_be_cancelled, 0, 3);
	tcase_add_loop_test(t, job_not_begun_ends_with_its_scope, 0, 3);
	tcase_add_loop_test(t, process_is_not_started_after_its_deadline, 0, 3);
	tcase_add_loop_test(t, look_up_not_begun_is_taken_back, 0, 3);
	tcase_add_loop_test(t, jobs_behind_one_that_was_taken_back_are_done, 0,
			    3);
	tcase_add_loop_test(
		t, job_that_has_begun_is_not_ended_by_a_cancellation, 0, 3);
	tcase_add_loop_test(t, end_of_a_run_drops_jobs_that_nobody_has_begun, 0,
			    3);
	tcase_add_loop_test(t, job_is_run_once_or_taken_back, 0, 6);
	suite_add_tcase(s, t);
	return s;
}
