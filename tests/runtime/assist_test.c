// SPDX-License-Identifier: MIT
/*
 * Hand-off reported by the kernel (watch/told.c, bpf/assist.bpf.c): each time a
 * worker blocks in libc, on a page or in a file system, the kernel reports it,
 * and another coroutine continues meanwhile, on one worker.
 */
#define _GNU_SOURCE
#include "../../tools/measure/user_stats.h"
#include "../../uring_rt/base/assist.h"
#include "../../uring_rt/base/stats.h"
#include "../../uring_rt/base/sys.h"
#include "../../uring_rt/sched/sched.h"
#include "../../uring_rt/urt.h"
#include "../lib/fuse.h"
#include "../lib/test.h"
#include "../lib/workers.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#undef errno

#define PAGE 4096

static struct fuse fuse;
static int file = -1;
static const char *volatile mapped;
static _Atomic bool stop;
static uint64_t went_on; /* rounds in which the other coroutine ran meanwhile */
static _Atomic unsigned round_nr;

/* NULL, or why the process may not load the program. */
static const char *assisted(void)
{
	struct urt__assisted nobody = { .pid = 1 };
	struct urt__assist a;
	int err = urt__assist_load(&a, &nobody);

	if (err)
		return strerror(-err);
	urt__assist_unload(&a);
	setenv("URT_ASSIST", "on", 1);
	return NULL;
}

static unsigned rounds(void)
{
	const char *s = getenv("URT_ASSIST_ROUNDS");

	return s ? atoi(s) : FEWER(1000);
}

static void block_in_sleep(unsigned i)
{
	(void)i;
	usleep(200);
}

static void block_on_page(unsigned i)
{
	char c = mapped[(size_t)i % (FUSE_FILE_SIZE / PAGE) * PAGE];

	ck_assert_int_eq(c, 0);
}

static void block_in_read(unsigned i)
{
	char c;

	ck_assert_int_eq(
		pread(file, &c, 1, (off_t)i % (FUSE_FILE_SIZE / PAGE) * PAGE),
		1);
}

static void (*const blocks[])(unsigned) = { block_in_sleep, block_on_page,
					    block_in_read };

/* Runs while the first coroutine is blocked, and answers the file system. */
static void other(void *arg)
{
	unsigned last = 0;

	(void)arg;
	while (!stop) {
		if (fuse_held(&fuse) && round_nr != last) {
			last = round_nr;
			went_on++;
			fuse_answer(&fuse);
		}
		urt_sleep(MS / 20);
	}
}

/* The kernel reports nothing about a thread whose processor the monitor has
 * already taken, as may happen to one that was preempted on its way to
 * sleep. */
static uint64_t told_or_gone(void)
{
	return counter(URT__STAT_TOLD) + counter(URT__STAT_HANDOFFS) -
	       counter(URT__STAT_HANDOFFS_TOLD);
}

/* A thread that was preempted on its way to sleep may find that it need not
 * sleep. */
static long sleeps_of_thread(void)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	return u.ru_nvcsw;
}

/* The percentile of the time, in us, from the switch to the standby's start, of
 * the hand-offs that the kernel reported. */
static double told_us(unsigned percent)
{
	static struct user_stats s;

	memcpy(s.time[0], urt__stats_slot(urt__rt.stats_page, 0)->told,
	       sizeof(s.time[0]));
	return user_stats_time(&s, 0, percent / 100.0) / 1e3;
}

static void is_told(void *arg)
{
	void (*block)(unsigned) = *(void (**)(unsigned))arg;
	struct urt_coro *c = urt_spawn(other, NULL);
	uint64_t told = told_or_gone(), held = 0;
	unsigned n = rounds();
	long sleeps;

	/* On a busy machine, the monitor may be faster at first. */
	for (unsigned i = 0; i < n || !counter(URT__STAT_HANDOFFS_TOLD); i++) {
		unsigned reads = fuse.control->reads;

		if (block != block_in_sleep && i % 64 == 0)
			posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
		if (i && i % (FUSE_FILE_SIZE / PAGE) == 0)
			madvise((void *)mapped, FUSE_FILE_SIZE, MADV_DONTNEED);
		round_nr = i + 1;
		fuse_hold(&fuse, FUSE_HOLD_READ);
		sleeps = sleeps_of_thread();
		block(i);
		if (block == block_in_sleep)
			held += sleeps_of_thread() != sleeps;
		else
			held += fuse.control->reads - reads;
		urt_yield();
	}
	stop = true;
	urt_join(c);
	if (block != block_in_sleep)
		ck_assert_uint_eq(went_on, held);
	/* The monitor may not have read the last one yet. */
	while (told_or_gone() - told < held)
		urt_sleep(MS);
	ck_assert_uint_ge(held, n / 2);
	printf("assist: %u rounds, %llu blocked, %llu told, %llu hand-offs, "
	       "%llu of them told: p50 < %.0f us, p99 < %.0f us\n",
	       n, (unsigned long long)held,
	       (unsigned long long)(counter(URT__STAT_TOLD) - told),
	       (unsigned long long)counter(URT__STAT_HANDOFFS),
	       (unsigned long long)counter(URT__STAT_HANDOFFS_TOLD),
	       told_us(50), told_us(99));
}

/* A file system for the test, its file open and mapped. NULL, or why not. */
static const char *file_that_waits(void)
{
	const char *why = fuse_start(&fuse);

	if (why)
		return why;
	file = open(fuse.path, O_RDONLY);
	ck_assert_int_ge(file, 0);
	mapped = mmap(NULL, FUSE_FILE_SIZE, PROT_READ, MAP_SHARED, file, 0);
	ck_assert(mapped != MAP_FAILED);
	madvise((void *)mapped, FUSE_FILE_SIZE, MADV_RANDOM);
	posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM);
	return NULL;
}

START_TEST(each_blocking_is_told_and_others_go_on)
{
	struct urt_options o = { .workers = 1 };
	const char *why = assisted();

	if (why)
		SKIP("the BPF program cannot be loaded: %s", why);
	why = file_that_waits();
	if (why)
		SKIP("%s", why);
	ck_assert_msg(!urt_run_with(is_told, (void *)&blocks[_i], &o), "%s",
		      urt_why());
	fuse_stop(&fuse);
}
END_TEST

/* ---- a file system that does not answer ---- */

static void ticks(void *arg)
{
	uint64_t *n = arg;

	while (!stop) {
		urt_sleep(MS);
		++*n;
		if (*n > 20 && fuse_held(&fuse))
			fuse_answer(&fuse);
	}
}

static void opens_and_reads(void *arg)
{
	uint64_t n = 0;
	struct urt_coro *c = urt_spawn(ticks, &n);
	char b[5];
	int fd;

	fuse_hold(&fuse, *(unsigned *)arg);
	fd = urt_openat(AT_FDCWD, fuse.path, O_RDONLY, 0, URT_NEVER);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(urt_read(fd, b, 5, URT_NEVER), 5);
	stop = true;
	urt_join(c);
	/* The other coroutine makes the file system answer. */
	ck_assert_uint_gt(n, 20);
	close(fd);
}

START_TEST(file_system_that_does_not_answer_holds_up_its_user_only)
{
	static unsigned what[] = { FUSE_HOLD_OPEN, FUSE_HOLD_READ };
	struct urt_options o = { .workers = 1 + _i / 2 };
	const char *why = fuse_start(&fuse);

	if (why)
		SKIP("%s", why);
	ck_assert_msg(!urt_run_with(opens_and_reads, &what[_i % 2], &o), "%s",
		      urt_why());
	fuse_stop(&fuse);
}
END_TEST

/* ---- what a run sends to the tool that started it ---- */

static uint32_t socket_number;

static void look_at_page(void)
{
	socket_number = urt__stats_slot(urt__rt.stats_page, 0)->told_socket;
}

static void do_nothing(void *arg)
{
}

START_TEST(page_is_sent_when_it_names_the_socket_for_reports)
{
	struct urt__sys_fault *f = &urt__sys_faults[URT__SYS_SOCKET];

	setenv(URT__STATS_TO_ENV, "@nobody/listens", 1);
	f->countdown = 2; /* the pair of sockets, then that of the page */
	f->meanwhile = look_at_page;
	run_on(1, do_nothing, NULL);
	ck_assert_int_eq(f->hits, 1);
	ck_assert_uint_ne(socket_number, 0);
}
END_TEST

Suite *assist_suite(void)
{
	Suite *s = suite_create("assist");
	TCase *t = tcase_create("told");

	tcase_add_loop_test(t, each_blocking_is_told_and_others_go_on, 0,
			    ARRAY_LEN(blocks));
	tcase_add_test(t, page_is_sent_when_it_names_the_socket_for_reports);
	suite_add_tcase(s, t);
	t = tcase_create("file systems");
	tcase_add_loop_test(
		t, file_system_that_does_not_answer_holds_up_its_user_only, 0,
		4);
	suite_add_tcase(s, t);
	return s;
}
