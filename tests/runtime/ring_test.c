// SPDX-License-Identifier: MIT
/* Floor 2: the ring alone. */
#define _GNU_SOURCE
#include "../../uring_rt/base/sys.h"
#include "../../uring_rt/ring/ring.h"
#include "../lib/test.h"
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static struct urt__stats_slot stats;
static struct urt__ring ring;
static unsigned features = URT__FEATURES_ALL;

struct counted {
	struct urt__op op;
	int res;
	unsigned calls;
};

static void on_done(struct urt__op *op, int32_t res, uint32_t flags)
{
	struct counted *c = (struct counted *)op;

	c->res = res;
	c->calls++;
}

static void open_ring(unsigned entries)
{
	ck_assert_int_eq(urt__ring_init(&ring, entries, features, &stats), 0);
}

static void queue_nop(struct counted *c)
{
	struct io_uring_sqe *sqe = urt__ring_sqe(&ring);

	c->op.done = on_done;
	sqe->opcode = IORING_OP_NOP;
	sqe->user_data = (uintptr_t)&c->op;
}

static void queue_recv(struct counted *c, int fd, void *buf, size_t len)
{
	struct io_uring_sqe *sqe = urt__ring_sqe(&ring);

	c->op.done = on_done;
	sqe->opcode = IORING_OP_RECV;
	sqe->fd = fd;
	sqe->addr = (uintptr_t)buf;
	sqe->len = len;
	sqe->user_data = (uintptr_t)&c->op;
}

static void finish(struct counted *c, unsigned n)
{
	for (int tries = 0; ring.inflight || urt__ring_queued(&ring); tries++) {
		ck_assert_int_lt(tries, 100000);
		urt__ring_enter(&ring, 0);
	}
	for (unsigned i = 0; i < n; i++) {
		ck_assert_uint_eq(c[i].calls, 1);
		ck_assert_int_eq(c[i].res, 0);
	}
	urt__ring_destroy(&ring);
}

START_TEST(request_completes_once)
{
	struct counted c = { .res = 99 };
	unsigned before;

	open_ring(8);
	before = urt__ring_queued(&ring); /* one, if it polls for kicks */
	queue_nop(&c);
	ck_assert_uint_eq(urt__ring_queued(&ring), before + 1);
	finish(&c, 1);
}
END_TEST

/* More requests than both queues hold: none is lost. */
static void many(unsigned n)
{
	struct counted *c = calloc(n, sizeof(*c));

	open_ring(8);
	for (unsigned i = 0; i < n; i++)
		queue_nop(&c[i]);
	finish(c, n);
	free(c);
}

START_TEST(full_submission_queue_is_handed_over)
{
	many(100);
}
END_TEST

START_TEST(overflowing_completion_queue_loses_nothing)
{
	many(5000);
}
END_TEST

START_TEST(ring_loses_nothing_with_any_feature_masked)
{
	features = URT__FEATURES_ALL & ~(1u << _i);
	many(1000);
	ck_assert_uint_eq(ring.features & (1u << _i), 0);
}
END_TEST

START_TEST(ring_loses_nothing_without_any_feature)
{
	features = 0;
	many(1000);
}
END_TEST

START_TEST(wait_ends_with_its_timeout)
{
	int64_t begin = urt__clock_ns();

	open_ring(8);
	ck_assert_uint_eq(urt__ring_enter(&ring, 20 * MS), 0);
	ck_assert_int_ge(urt__clock_ns() - begin, 20 * MS);
	urt__ring_destroy(&ring);
}
END_TEST

START_TEST(request_that_is_queued_is_submitted_also_when_the_wait_times_out)
{
	struct counted c = { .res = 99 };
	int fds[2];
	char buf[8];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	open_ring(8);
	queue_recv(&c, fds[0], buf, sizeof(buf));
	urt__ring_enter(&ring, 5 * MS);
	ck_assert_uint_eq(urt__ring_queued(&ring), 0);
	ck_assert_uint_eq(ring.inflight, 1);
	ck_assert_int_eq(write(fds[1], "hi", 2), 2);
	while (!c.calls)
		urt__ring_enter(&ring, 100 * MS);
	ck_assert_int_eq(c.res, 2);
	urt__ring_destroy(&ring);
}
END_TEST

START_TEST(drain_cancels_what_is_in_flight)
{
	struct counted c[50] = { 0 };
	char buf[50];
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	open_ring(8);
	for (int i = 0; i < 50; i++)
		queue_recv(&c[i], fds[0], &buf[i], 1);
	urt__ring_drain(&ring);
	for (int i = 0; i < 50; i++) {
		ck_assert_uint_eq(c[i].calls, 1);
		ck_assert_int_eq(c[i].res, -ECANCELED);
	}
	ck_assert_uint_eq(ring.inflight, 0);
	urt__ring_destroy(&ring);
}
END_TEST

/* If any enter fails, with any error of the kernel, nothing is lost. */
START_TEST(refused_enter_is_asked_again)
{
	static const int errors[] = { EINTR, EAGAIN, EBUSY, ENOMEM };
	struct counted *c;

	for (unsigned nth = 1; nth < 8; nth++) {
		struct urt__sys_fault *f =
			&urt__sys_faults[URT__SYS_RING_ENTER];

		c = calloc(40, sizeof(*c));
		open_ring(8);
		*f = (struct urt__sys_fault){ .countdown = nth,
					      .err = errors[_i] };
		for (int i = 0; i < 40; i++)
			queue_nop(&c[i]);
		finish(c, 40);
		f->countdown = 0;
		free(c);
	}
}
END_TEST

START_TEST(set_up_reports_what_the_kernel_says)
{
	urt__sys_faults[URT__SYS_RING_SETUP] =
		(struct urt__sys_fault){ .countdown = 1, .err = EPERM };
	ck_assert_int_eq(urt__ring_init(&ring, 8, features, &stats), -EPERM);
	for (int nth = 1; nth <= 2; nth++) {
		urt__sys_faults[URT__SYS_MMAP] =
			(struct urt__sys_fault){ .countdown = nth,
						 .err = ENOMEM };
		ck_assert_int_eq(urt__ring_init(&ring, 8, features, &stats),
				 -ENOMEM);
	}
}
END_TEST

START_TEST(features_can_be_masked_by_the_environment)
{
	const char *bad = NULL;
	unsigned f;

	setenv("URT_FEATURES", "-coop_taskrun,-reg_ring", 1);
	ck_assert_int_eq(urt__features_wanted(&f, &bad), 0);
	ck_assert_uint_eq(f, URT__FEATURES_ALL & ~URT__F_COOP_TASKRUN &
				     ~URT__F_REG_RING);
	setenv("URT_FEATURES", "-reg_ring,-nonsense", 1);
	ck_assert_int_eq(urt__features_wanted(&f, &bad), -EINVAL);
	ck_assert_str_eq(bad, "-nonsense");
	setenv("URT_FEATURES", "reg_ring", 1);
	ck_assert_int_eq(urt__features_wanted(&f, &bad), -EINVAL);
}
END_TEST

Suite *ring_suite(void)
{
	Suite *s = suite_create("ring");
	TCase *t = tcase_create("ring");

	tcase_add_test(t, request_completes_once);
	tcase_add_test(t, full_submission_queue_is_handed_over);
	tcase_add_test(t, overflowing_completion_queue_loses_nothing);
	tcase_add_loop_test(t, ring_loses_nothing_with_any_feature_masked, 0,
			    URT__FEATURE_COUNT);
	tcase_add_test(t, ring_loses_nothing_without_any_feature);
	tcase_add_test(t, wait_ends_with_its_timeout);
	tcase_add_test(
		t,
		request_that_is_queued_is_submitted_also_when_the_wait_times_out);
	tcase_add_test(t, drain_cancels_what_is_in_flight);
	tcase_add_loop_test(t, refused_enter_is_asked_again, 0, 4);
	tcase_add_test(t, set_up_reports_what_the_kernel_says);
	tcase_add_test(t, features_can_be_masked_by_the_environment);
	suite_add_tcase(s, t);
	return s;
}
