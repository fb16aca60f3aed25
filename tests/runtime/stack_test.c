// SPDX-License-Identifier: MIT
/* Stacks of coroutines in a run: their size, their memory, their overflow. */
#define _GNU_SOURCE
#include "../lib/child.h"
#include "../lib/workers.h"

/* ---- plain threads ----------------------------------------------------- */

static atomic_int started;

static void start_one(void *arg)
{
	started++;
}

/* ---- stacks ------------------------------------------------------------ */

static __attribute__((noinline)) size_t touch_stack(size_t size)
{
	volatile char a[size];

	for (size_t i = 0; i < size; i += 1024)
		a[i] = (char)i;
	return a[size - 1] + size;
}

static void touch_800k(void *arg)
{
	ck_assert_uint_gt(touch_stack(800 * 1024), 0);
}

CORO_TEST(coroutine_can_have_a_stack_of_its_own_size)
{
	struct urt_spawn_options o = { .stack_size = 1 << 20 };
	struct urt_spawn_options too_much = { .stack_size = 1 << 30 };

	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(urt_join(urt_spawn_with(touch_800k, NULL, &o)),
				 0);
	ck_assert_ptr_null(urt_spawn_with(touch_800k, NULL, &too_much));
	ck_assert_int_eq(urt_go_with(touch_800k, NULL, &too_much), -EAGAIN);
}

/* Exact, while statm before Linux 6.2 lacks what each thread has not added yet. */
static long resident_kb(void)
{
	char line[256];
	long kb = 0;
	FILE *f = fopen("/proc/self/smaps_rollup", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Rss: %ld kB", &kb) == 1)
			break;
	if (f)
		fclose(f);
	ck_assert_int_gt(kb, 0);
	return kb;
}

static void touch_deep(void *arg)
{
	touch_stack(100 * 1024);
	urt_sleep(MS);
}

static void park_deep(void *arg)
{
	volatile char a[100 * 1024];

	for (size_t i = 0; i < sizeof(a); i += 1024)
		a[i] = (char)i;
	urt_sleep(MS);
	a[0] = 1; /* the memory is still there */
}

static void many(urt_fn *fn, int n)
{
	struct urt_coro *c[200];

	ck_assert_int_le(n, 200);
	for (int i = 0; i < n; i++)
		c[i] = urt_spawn(fn, NULL);
	for (int i = 0; i < n; i++)
		urt_join(c[i]);
}

CORO_TEST(deep_stacks_are_given_back)
{
	long before = resident_kb(), after;

	if (SANITIZED)
		return;
	/* Seen at the park: given back at once. */
	many(park_deep, 200);
	after = resident_kb();
	ck_assert_int_lt(after - before, 200 * 40);
	/* Never seen: given back gradually, as stacks are reused. */
	many(touch_deep, 200);
	for (int i = 0; i < 200 || resident_kb() - before >= 200 * 40; i++)
		many(start_one, 200);
}

/* ---- going wrong ---- */

static __attribute__((noinline)) int recurse(volatile char *above)
{
	volatile char frame[512];

	frame[0] = above[0];
	if (above[0] == 1) /* never, but the compiler cannot know */
		return 0;
	return recurse(frame) + frame[0];
}

static void overflow(void *arg)
{
	char c = 0;

	recurse(&c);
}

static void spawn_overflow(void *arg)
{
	urt_join(urt_spawn(overflow, NULL));
}

START_TEST(stack_overflow_is_named_and_fatal)
{
	struct urt_options o = { .stack_size = 16384 };
	char said[8192];
	int status = child_says(spawn_overflow, &o, said, sizeof(said));

	ck_assert_msg(status != 0, "it lived: %s", said);
	if (!SANITIZED)
		ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == 11,
			      "%x: %s", status, said);
	ck_assert_msg(strstr(said, "coroutine stack overflow"), "%s", said);
	ck_assert_ptr_nonnull(strstr(said, "coroutine 2"));
	ck_assert_msg(strstr(said, "#3 "), "no backtrace: %s", said);
}
END_TEST

Suite *stack_suite(void)
{
	Suite *s = suite_create("stack");
	TCase *t = tcase_create("stack");

	tcase_add_test(t, coroutine_can_have_a_stack_of_its_own_size);
	tcase_add_test(t, deep_stacks_are_given_back);
	tcase_add_test(t, stack_overflow_is_named_and_fatal);
	suite_add_tcase(s, t);
	return s;
}
