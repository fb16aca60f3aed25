// SPDX-License-Identifier: MIT
/*
 * Budgets of `urt stat`, and the steps of the action under
 * .github/actions/budget: kept, exceeded, compared with a baseline, and not
 * measurable.
 */
#define _GNU_SOURCE
#include "../lib/json_tree.h"
#include "../lib/service.h"
#include "../lib/stat_run.h"
#include "../lib/test.h"
#include <unistd.h>

static int port;

/* Runs budget.sh with a server of ours and the given budget. */
static int budget(const char *model, const char *more, const char *lines)
{
	FILE *f = fopen("budget", "w");

	ck_assert_ptr_nonnull(f);
	fputs(lines, f);
	fclose(f);
	port = net_free_port();
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
	/* As README recommends: the first run shows the figures from which to
	 * choose limits. */
	ck_assert_msg(!budget("thread", "URT_OUT=b1", ""), "%s", text);
	ck_assert_int_eq(sh("cat summary"), 0);
	ck_assert_ptr_nonnull(strstr(text, "## rate, without limits\n"));
	ck_assert_ptr_nonnull(strstr(text, "## saturation, without limits\n"));
	ck_assert_ptr_nonnull(strstr(text, "| | syscalls/op | 2"));
	/* thread: a read and a write for each request, at any load. */
	ck_assert_msg(!budget("thread", "URT_OUT=b2 URT_BASELINE=b1",
			      "# comment\n"
			      "rate       syscalls/op < 3.5\n"
			      "saturation syscalls/op < 1.6x\n"),
		      "%s", text);
	ck_assert_int_eq(sh("cat summary b2/saturation.json"), 0);
	ck_assert_ptr_nonnull(strstr(text, "| holds | `syscalls/op < 3.5` |"));
	ck_assert_ptr_nonnull(strstr(text, "| holds | `syscalls/op < 1.6x` |"));
	ck_assert_ptr_nonnull(
		row(NULL, json_pack("{s:s}", "verdict", "holds")));
	/* epoll asks once more: the baseline is thread's. */
	ck_assert_int_eq(budget("epoll", "URT_OUT=b3 URT_BASELINE=b1",
				"rate syscalls/op < 1.1x\n"
				"rate syscalls/op < 1.5\n"),
			 3);
	ck_assert_ptr_nonnull(
		strstr(text, "::error file=budget,line=1,title=urt::rate: "
			     "syscalls/op < 1.1x: it is "));
	ck_assert_ptr_nonnull(
		strstr(text, "::error file=budget,line=2,title=urt::rate: "
			     "syscalls/op < 1.5: it is "));
	ck_assert_int_eq(sh("cat summary"), 0);
	ck_assert_ptr_nonnull(strstr(text, "| failed | `syscalls/op < 1.5` |"));
	sh("rm -rf b1 b2 b3 summary budget");
}
END_TEST

/* The same assertions of two runs, of which the second has a baseline. */
START_TEST(assertions_are_relative_to_a_baseline)
{
	const char *run =
		"./urt stat --json -o run.json --baseline base.json "
		"--assert 'syscalls:sched_get_priority_max < 1.5x' --assert 'syscalls > 0' "
		"--format github -- tests/probe calls %d 2>&1";

	NEED_BPF();
	sh("rm -f base.json");
	ck_assert_int_eq(sh(run, 1000), 0);
	ck_assert_int_eq(sh("cat run.json; mv run.json base.json"), 0);
	ck_assert_ptr_nonnull(
		row(NULL, json_pack("{s:s}", "verdict", "skipped")));
	ck_assert_ptr_nonnull(strstr(text, "there is no baseline yet"));
	ck_assert_int_eq(sh(run, 1100), 0);
	ck_assert_int_eq(sh(run, 1600), 3);
	ck_assert_ptr_nonnull(strstr(
		text,
		"::error title=urt::syscalls:"
		"sched_get_priority_max < 1.5x: it is 1600, of the baseline 1000"));
	ck_assert_int_eq(sh("./urt stat --assert 'syscalls < 2x' -- true 2>&1"),
			 1);
	ck_assert_ptr_nonnull(strstr(text, "needs --baseline FILE"));
	/* Not a document of ours; one cut off; a deep one; strings without an
	 * end. */
	ck_assert_int_eq(
		sh("for d in '' x '{' '{\"figures\":{\"wall\":' "
		   "'{\"figures\":[[[[' '{\"a' '{\"figures\":{\"wall\\' "
		   "'{\"a\":\"\\\\\",\"figures\":{\"wall\":\"1\"}}' "
		   "'{\"figures\":{\"wall\\u0000x\":1}}'; do "
		   "printf '%%s' \"$d\" >base.json; "
		   "./urt stat --baseline base.json -- true 2>/dev/null; "
		   "[ $? = 1 ] || exit 7; done"),
		0);
	sh("rm -f base.json run.json");
}
END_TEST

START_TEST(operations_are_the_requests_that_loads_count)
{
	NEED_BPF();
	port = net_free_port();
	ck_assert_int_eq(
		sh("./urt serve epoll --port %d >/dev/null & s=$!\n"
		   "./urt stat -p $s --warmup 1 --ops-from load --json "
		   "-o ops.json -- sh -c './urt load --wait 90 -c 4 -n 300 $0 && "
		   "./urt load -c 1 -n 200 $0' http://127.0.0.1:%d/ >/dev/null\n"
		   "code=$?; kill $s; cat ops.json; rm ops.json; exit $code",
		   port, port),
		0);
	ck_assert_int_eq(number(NULL, "ops"), 500);
	/* Without a load; and by a program that inherits nothing. */
	ck_assert_int_eq(sh("./urt stat --ops-from load -- true 2>&1"), 0);
	ck_assert_ptr_nonnull(strstr(text, "no `urt load` in the command"));
}
END_TEST

/* As on a runner without privileges: /proc's figures hold, others do not. */
START_TEST(budget_without_bpf_is_that_of_proc)
{
	if (geteuid() || sh("command -v setpriv"))
		SKIP("setpriv and root are needed to drop privileges");
	/* The server's threads have ended when the load has; each waited for
	 * its requests. */
	ck_assert_int_eq(budget("thread",
				"URT_OUT=b5 setpriv --inh-caps=-all "
				"--bounding-set=-all",
				"rate kernel.voluntary/op < 3\n"
				"rate kernel.voluntary/op > 0.5\n"
				"saturation syscalls/op < 90\n"),
			 3);
	ck_assert_ptr_nonnull(strstr(text, "::warning::no BPF here"));
	ck_assert_ptr_nonnull(strstr(text, "budget,line=3,title=urt::saturation"
					   ": syscalls/op < 90: not measured"));
	ck_assert_ptr_null(strstr(text, "failed: kernel.voluntary"));
	ck_assert_int_eq(sh("cat summary"), 0);
	ck_assert_ptr_nonnull(
		strstr(text, "| holds | `kernel.voluntary/op < 3` |"));
	ck_assert_ptr_nonnull(
		strstr(text, "| holds | `kernel.voluntary/op > 0.5` |"));
	sh("rm -rf b5 summary budget");
}
END_TEST

/* Two servers in turn: one that ends, and one whose port another server has. */
START_TEST(budget_is_that_of_the_server_that_it_starts)
{
	port = net_free_port();
	ck_assert_int_eq(
		sh("export URT=./urt URT_COMMAND='echo in use; false' "
		   "URT_URL=http://127.0.0.1:%d/ URT_BUDGET=budget URT_OUT=b7\n"
		   "run() { sh ../../.github/actions/budget/budget.sh 2>&1; "
		   "echo \"exit $?\"; }\n"
		   ": >budget; run; ./urt serve thread --port %d >/dev/null & "
		   "./urt load --wait 90 -c 1 -n 1 $URT_URL >/dev/null; run; "
		   "kill $!; rm -r b7 budget",
		   port, port),
		0);
	ck_assert_ptr_nonnull(strstr(text, "in use\n"));
	ck_assert_ptr_nonnull(strstr(
		text, "::error::the server ended before it answered at "));
	ck_assert_ptr_nonnull(
		strstr(text, "/ is answered before the server was started\n"
			     "exit 1\n"));
}
END_TEST

/* Writes the lines between "```LANGUAGE" and "```" after that text to a
 * file. */
static void readme_block(const char *behind, const char *language,
			 const char *to)
{
	ck_assert_int_eq(
		sh("awk -v behind='%s' -v begin='```%s' "
		   "'index($0, behind) { seen = 1 } in_it && /^```$/ { exit } "
		   "in_it { print } seen && $0 == begin { in_it = 1 }' "
		   "../../README.md >%s; test -s %s",
		   behind, language, to, to),
		0);
}

/* The step names only inputs of the action, and all required ones. */
START_TEST(readme_step_fits_the_action)
{
	readme_block("### A budget in CI", "yaml", "step");
	ck_assert_int_eq(
		sh("grep -q 'uses: OWNER/uring_rt/.github/actions/budget@' step "
		   "&& sed -n 's/^    \\([a-z]*\\):.*/\\1/p' step | sort "
		   ">given && a=../../.github/actions/budget/action.yml && "
		   "sed -n '/^inputs:/,/^runs:/s/^  \\([a-z]*\\):$/\\1/p' $a | "
		   "sort >inputs && sed -n '/^inputs:/,/^runs:/p' $a | "
		   "grep -B2 'required: true' | sed -n "
		   "'s/^  \\([a-z]*\\):$/\\1/p' | sort >required && "
		   "comm -13 inputs given && comm -23 required given && "
		   "wc -l <required"),
		0);
	ck_assert_str_eq(text, "2\n");
	/* Each input reaches the script. */
	ck_assert_int_eq(
		sh("while read -r i; do grep -q \"inputs.$i }}\" "
		   "../../.github/actions/budget/action.yml || echo $i; done "
		   "<inputs"),
		0);
	ck_assert_str_eq(text, "");
	sh("rm -f step given inputs required");
}
END_TEST

/* Unchanged, except for our server in the place of the reader's. */
START_TEST(readme_budget_and_commands_run)
{
	NEED_BPF();
	readme_block("The file `.urt-budget` has", "", "readme.budget");
	ck_assert_int_eq(sh("cat readme.budget"), 0);
	ck_assert_int_eq(budget("coroutine", "URT_OUT=b6", text) & ~3, 0);
	ck_assert_ptr_null(strstr(text, "::error::"));
	readme_block("this command does the same", "", "readme.commands");
	port = net_free_port();
	ck_assert_int_eq(
		sh("rm -f summary; cp readme.budget .urt-budget\n"
		   "./urt serve coroutine --port %d >/dev/null & PID=$!\n"
		   "./urt load --wait 90 -c 1 -n 1 http://127.0.0.1:%d/ "
		   ">/dev/null\n"
		   "sed 's/:8080/:%d/; s/-d 5/-d 1/; s/^urt/.\\/urt/; "
		   "s/ urt load/ .\\/urt load/' readme.commands >run.sh; "
		   "PID=$PID sh run.sh >/dev/null; code=$?\n"
		   "kill $PID; cat now.json; exit $code",
		   port, port, port) &
			~3,
		0);
	ck_assert_ptr_nonnull(row(NULL, json_pack("{s:s, s:s}", "assert",
						  "switches/op < 1.1x",
						  "verdict", "skipped")));
	ck_assert_int_gt(number(NULL, "ops"), 0);
	sh("rm -rf b6 summary budget .urt-budget readme.* now.json run.sh");
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
		1);
	ck_assert_ptr_nonnull(
		strstr(text, "budget, line 1: 'no-such-figure/op < 1'"));
	/* Its end would not be seen. */
	ck_assert_int_eq(sh("printf 'syscalls < 9000\\0; switches < 0\\n' "
			    ">budget; ./urt stat --budget budget -- true 2>&1"),
			 1);
	ck_assert_ptr_nonnull(strstr(text, "budget, line 1: a NUL byte"));
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

	tcase_add_test(t, budget_breaks_for_one_more_call_a_request);
	tcase_add_test(t, assertions_are_relative_to_a_baseline);
	tcase_add_test(t, operations_are_the_requests_that_loads_count);
	tcase_add_test(t, budget_without_bpf_is_that_of_proc);
	tcase_add_test(t, budget_is_that_of_the_server_that_it_starts);
	tcase_add_test(t, readme_step_fits_the_action);
	tcase_add_test(t, readme_budget_and_commands_run);
	tcase_add_test(t, budget_says_what_cannot_be_measured);
	suite_add_tcase(s, t);
	return s;
}
