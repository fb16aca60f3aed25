// SPDX-License-Identifier: MIT
/*
 * The action under .github/actions/budget, by the steps that it runs: kept,
 * broken, compared with a baseline, and what cannot be measured.
 */
#define _GNU_SOURCE
#include "../lib/test.h"
#include "../lib/tool_run.h"
#include <unistd.h>

static int port;

/* budget.sh with a server of ours and the budget that is given. */
static int budget(const char *model, const char *more, const char *lines)
{
	FILE *f = fopen("budget", "w");

	ck_assert_ptr_nonnull(f);
	fputs(lines, f);
	fclose(f);
	port = 21000 + getpid() % 9000;
	return sh("rm -f summary; URT=./urt GITHUB_STEP_SUMMARY=summary "
		  "URT_COMMAND='./urt serve %s --port %d' "
		  "URT_URL=http://127.0.0.1:%d/ URT_BUDGET=budget "
		  "URT_RATE=200 URT_CONNECTIONS=4 URT_SECONDS=1 %s "
		  "sh ../../.github/actions/budget/budget.sh 2>&1",
		  model, port, port, more);
}

START_TEST(budget_breaks_for_one_more_call_a_request)
{
	NEED_BPF();
	/* thread: a read and a write for each request, at any load. */
	ck_assert_msg(!budget("thread", "URT_OUT=b1",
			      "# comment\n"
			      "rate       syscalls/op < 3.5\n"
			      "saturation syscalls/op < 2.5\n"),
		      "%s", text);
	ck_assert_ptr_nonnull(strstr(text, "kept: rate: syscalls/op"));
	ck_assert_int_eq(budget("thread", "URT_OUT=b2 URT_BASELINE=b1",
				"rate syscalls/op < 1.5\n"
				"saturation syscalls/op < 1.2x\n"),
			 3);
	ck_assert_ptr_nonnull(
		strstr(text, "::error file=budget,line=1::broken: at rate, "
			     "syscalls/op is 2"));
	ck_assert_ptr_nonnull(strstr(text, "kept: saturation: syscalls/op"));
	ck_assert_int_eq(sh("cat summary b2/budget.json"), 0);
	ck_assert_ptr_nonnull(strstr(text, "| rate | syscalls/op | 2"));
	ck_assert_ptr_nonnull(strstr(text, "\"schema\":\"urt.budget.v1\""));
	/* epoll asks once more: the baseline is thread's. */
	ck_assert_int_eq(budget("epoll", "URT_OUT=b3 URT_BASELINE=b1",
				"rate syscalls/op < 1.1x\n"),
			 3);
	sh("rm -rf b1 b2 b3 summary budget");
}
END_TEST

START_TEST(budget_says_what_cannot_be_measured)
{
	ck_assert_int_eq(budget("epoll", "URT_OUT=b4", "idle switches < 1\n"),
			 1);
	ck_assert_ptr_nonnull(
		strstr(text, "line 1: expected rate or saturation"));
	ck_assert_int_eq(
		budget("epoll", "URT_OUT=b4", "rate no-such-figure/op < 1\n"),
		3);
	ck_assert_ptr_nonnull(strstr(text, "not measured"));
	ck_assert_int_eq(budget("epoll", "URT_OUT=b4 URT_BUDGET=nowhere", ""),
			 1);
	ck_assert_ptr_nonnull(strstr(text, "cannot read \"nowhere\""));
	sh("rm -rf b4 summary budget");
}
END_TEST

Suite *budget_suite(void)
{
	Suite *s = suite_create("budget");
	TCase *t = tcase_create("budget");

	tcase_set_timeout(t, 120);
	tcase_add_test(t, budget_breaks_for_one_more_call_a_request);
	tcase_add_test(t, budget_says_what_cannot_be_measured);
	suite_add_tcase(s, t);
	return s;
}
