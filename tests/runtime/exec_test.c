// SPDX-License-Identifier: MIT
/* Floor 1: the register switch and the stacks. */
#define _GNU_SOURCE
#include "../../uring_rt/base/san.h"
#include "../../uring_rt/exec/context.h"
#include "../../uring_rt/exec/stack.h"
#include "../lib/test.h"
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

static struct urt__ctx thread_ctx, coro_ctx;
static struct urt__san thread_san, coro_san;
static int trace;

/* The same order as in the scheduler. */
static void to_coro(void)
{
	urt__san_leave(&thread_san, &coro_san, 0);
	urt__ctx_swap(&thread_ctx, &coro_ctx);
	urt__san_enter(&thread_san, &coro_san);
}

static void to_thread(void)
{
	urt__san_leave(&coro_san, &thread_san, 0);
	urt__ctx_swap(&coro_ctx, &thread_ctx);
	urt__san_enter(&coro_san, &thread_san);
}

static void prepare(void (*fn)(void *), void *arg)
{
	size_t size = 256 * 1024;
	char *stack = aligned_alloc(64, size);

	urt__san_thread(&thread_san);
	urt__san_create(&coro_san, stack, size);
	urt__ctx_init(&coro_ctx, stack + size, fn, arg);
}

static void three_steps(void *arg)
{
	urt__san_enter(&coro_san, &thread_san);
	ck_assert_ptr_eq(arg, &trace);
	for (;;) {
		trace = trace * 10 + 2;
		to_thread();
	}
}

START_TEST(switch_goes_there_and_back)
{
	prepare(three_steps, &trace);
	trace = 1;
	to_coro();
	ck_assert_int_eq(trace, 12);
	trace = trace * 10 + 3;
	to_coro();
	ck_assert_int_eq(trace, 1232);
}
END_TEST

static uintptr_t entry_alignment;

static void note_alignment(void *arg)
{
	/* A 16-byte aligned local needs an aligned stack pointer at entry. */
	_Alignas(16) volatile char local[16] = { 0 };

	urt__san_enter(&coro_san, &thread_san);
	entry_alignment = (uintptr_t)local % 16;
	to_thread();
}

START_TEST(new_context_has_an_aligned_stack)
{
	prepare(note_alignment, NULL);
	entry_alignment = 1;
	to_coro();
	ck_assert_uint_eq(entry_alignment, 0);
}
END_TEST

static void spoil_registers(void *arg)
{
	urt__san_enter(&coro_san, &thread_san);
	for (volatile long a = 1, b = 2, c = 3;; a++, b++, c++) {
		double x = a * 1.5, y = b * 2.5, z = c * 3.5;

		to_thread();
		ck_assert(x == a * 1.5 && y == b * 2.5 && z == c * 3.5);
	}
}

START_TEST(values_in_registers_survive_a_switch)
{
	long a = random(), b = random(), c = random(), d = random();
	long e = random(), f = random(), g = random();
	long h = random();
	double x = h / 3.0, y = b / 7.0;
	long sum = a + b + c + d + e + f + g;

	prepare(spoil_registers, NULL);
	for (int i = 0; i < 1000; i++) {
		to_coro();
		ck_assert(a + b + c + d + e + f + g == sum);
		ck_assert(x == h / 3.0 && y == b / 7.0);
		a++, g--;
	}
}
END_TEST

/* ---- stacks ---- */

static struct urt__stacks stacks;

static void open_stacks(size_t max, bool madvise)
{
	ck_assert_int_eq(urt__stacks_init(&stacks, 64 * 1024, max, madvise), 0);
}

START_TEST(stack_is_usable_from_end_to_end)
{
	char *top, *lowest;

	open_stacks(4, true);
	top = urt__stack_get(&stacks, (void **)&lowest);
	ck_assert_ptr_nonnull(top);
	ck_assert_uint_ge(top - lowest, 60 * 1024);
	ck_assert_uint_eq((uintptr_t)top % 64, 0);
	memset(lowest, 0xa5, top - lowest);
	urt__stacks_destroy(&stacks);
}
END_TEST

START_TEST(stacks_run_out_at_their_maximum)
{
	void *lowest;

	open_stacks(3, true);
	for (int i = 0; i < 3; i++)
		ck_assert_ptr_nonnull(urt__stack_get(&stacks, &lowest));
	ck_assert_ptr_null(urt__stack_get(&stacks, &lowest));
	urt__stacks_destroy(&stacks);
}
END_TEST

START_TEST(tops_of_stacks_do_not_share_cache_sets)
{
	void *a, *b, *lowest;

	open_stacks(4, true);
	a = urt__stack_get(&stacks, &lowest);
	b = urt__stack_get(&stacks, &lowest);
	ck_assert_uint_ne((uintptr_t)a % 4096, (uintptr_t)b % 4096);
	urt__stacks_destroy(&stacks);
}
END_TEST

static unsigned resident_pages(void *from, void *to)
{
	size_t n = ((char *)to - (char *)from) / 4096;
	unsigned char vec[64];
	unsigned resident = 0;

	ck_assert_uint_le(n, sizeof(vec));
	ck_assert_int_eq(mincore(from, n * 4096, vec), 0);
	for (size_t i = 0; i < n; i++)
		resident += vec[i] & 1;
	return resident;
}

START_TEST(trimmed_stack_gives_back_its_deep_pages)
{
	char *top, *lowest;

	if (sysconf(_SC_PAGESIZE) != 4096)
		SKIP("pages are not 4096 bytes");
	open_stacks(4, true);
	top = urt__stack_get(&stacks, (void **)&lowest);
	memset(lowest, 1, top - lowest);
	ck_assert_uint_ge(resident_pages(lowest, top - 4096), 14);
	urt__stack_trim(&stacks, top);
	ck_assert_uint_eq(resident_pages(lowest, top - URT__STACK_KEEP - 4096),
			  0);
	ck_assert_int_eq(top[-URT__STACK_KEEP], 1);
	urt__stacks_destroy(&stacks);
}
END_TEST

START_TEST(stack_that_came_back_is_empty_and_goes_out_first)
{
	char *top[3], *lowest;

	open_stacks(200, true);
	for (int i = 0; i < 3; i++) {
		top[i] = urt__stack_get(&stacks, (void **)&lowest);
		memset(lowest, 1, top[i] - lowest);
	}
	ck_assert(urt__stack_put(&stacks, top[1]));
	ck_assert(urt__stack_put(&stacks, top[0]));
	ck_assert_ptr_eq(urt__stack_get(&stacks, (void **)&lowest), top[0]);
	for (char *p = lowest; p < top[0]; p++)
		ck_assert_int_eq(*p, 0);
	ck_assert_ptr_eq(urt__stack_get(&stacks, (void **)&lowest), top[1]);
	ck_assert_int_eq(top[2][-1], 1);
	for (int i = 3; i < 200; i++)
		ck_assert_ptr_nonnull(
			urt__stack_get(&stacks, (void **)&lowest));
	ck_assert_ptr_null(urt__stack_get(&stacks, (void **)&lowest));
	urt__stacks_destroy(&stacks);
}
END_TEST

START_TEST(stacks_of_a_mebibyte_have_guards_of_64_kib)
{
	char *lowest;
	size_t index;
	bool guard;

	ck_assert_int_eq(urt__stacks_init(&stacks, 1 << 20, 4, true), 0);
	ck_assert_ptr_nonnull(urt__stack_get(&stacks, (void **)&lowest));
	ck_assert(urt__stack_find(&stacks, lowest - 65536, &index, &guard));
	ck_assert(guard);
	urt__stacks_destroy(&stacks);
}
END_TEST

static void hit_guard(bool madvise)
{
	volatile char *lowest;
	void *top;
	size_t index = 99;
	bool guard;

	open_stacks(4, madvise);
	urt__stack_get(&stacks, (void **)&lowest);
	top = urt__stack_get(&stacks, (void **)&lowest);
	ck_assert(urt__stack_find(&stacks, (char *)lowest - 1, &index, &guard));
	ck_assert_uint_eq(index, 1);
	ck_assert(guard);
	ck_assert(urt__stack_find(&stacks, (char *)lowest, &index, &guard));
	ck_assert(!guard);
	ck_assert(!urt__stack_find(&stacks, &top, &index, &guard));
	signal(SIGSEGV, SIG_DFL); /* the sanitizers' handler exits */
	lowest[-1] = 1;
}

START_TEST(running_into_a_guard_faults)
{
	hit_guard(true);
}
END_TEST

START_TEST(running_into_a_guard_by_mprotect_faults)
{
	hit_guard(false);
}
END_TEST

START_TEST(stacks_beyond_the_guard_budget_are_still_given)
{
	void *lowest;

	open_stacks(16, false);
	stacks.guard_budget = 2;
	for (int i = 0; i < 16; i++)
		ck_assert_ptr_nonnull(urt__stack_get(&stacks, &lowest));
	ck_assert_uint_eq(stacks.nr_guards, 2);
	urt__stacks_destroy(&stacks);
}
END_TEST

START_TEST(impossible_sizes_are_refused)
{
	ck_assert_int_eq(urt__stacks_init(&stacks, 0, 1, true), -EINVAL);
	ck_assert_int_eq(urt__stacks_init(&stacks, 4096, 0, true), -EINVAL);
	ck_assert_int_eq(urt__stacks_init(&stacks, SIZE_MAX / 2, 16, true),
			 -EINVAL);
}
END_TEST

Suite *exec_suite(void)
{
	Suite *s = suite_create("exec");
	TCase *t = tcase_create("switch");

	tcase_add_test(t, switch_goes_there_and_back);
	tcase_add_test(t, new_context_has_an_aligned_stack);
	tcase_add_test(t, values_in_registers_survive_a_switch);
	suite_add_tcase(s, t);
	t = tcase_create("stacks");
	tcase_add_test(t, stack_is_usable_from_end_to_end);
	tcase_add_test(t, stacks_run_out_at_their_maximum);
	tcase_add_test(t, tops_of_stacks_do_not_share_cache_sets);
	tcase_add_test(t, trimmed_stack_gives_back_its_deep_pages);
	tcase_add_test(t, stack_that_came_back_is_empty_and_goes_out_first);
	tcase_add_test(t, stacks_of_a_mebibyte_have_guards_of_64_kib);
	tcase_add_test_raise_signal(t, running_into_a_guard_faults, SIGSEGV);
	tcase_add_test_raise_signal(t, running_into_a_guard_by_mprotect_faults,
				    SIGSEGV);
	tcase_add_test(t, stacks_beyond_the_guard_budget_are_still_given);
	tcase_add_test(t, impossible_sizes_are_refused);
	suite_add_tcase(s, t);
	return s;
}
