// SPDX-License-Identifier: MIT
/*
 * `urt compare`: which words are commands, in which order they run, and what it
 * prints about their figures. Runs in the build directory.
 */
#define _GNU_SOURCE
#include "../lib/json_tree.h"
#include "../lib/test.h"
#include "../lib/tool_run.h"

#define CALL "sched_get_priority_max"

/* Command B differs from A, C does not. */
START_TEST(compare_tells_a_difference_from_chance)
{
	json_t *third;

	NEED_BPF();
	ck_assert_int_eq(
		sh("./urt compare -r 4 --json -- tests/probe calls 100 "
		   "-- tests/probe calls 300 -- "
		   "tests/probe calls 100 2>&1"),
		0);
	ck_assert_ptr_nonnull(
		row("syscalls:" CALL,
		    json_pack("{s:i, s:i, s:i, s:i, s:i, s:s}", "a", 100, "b",
			      300, "difference", 200, "low", 200, "high", 200,
			      "significant", "yes")));
	third = row("more", json_pack("{s:[s, s, s]}", "b", "tests/probe",
				      "calls", "100"));
	third = member(third, "syscalls");
	ck_assert_ptr_nonnull(third);
	ck_assert_str_eq(json_string_value(member(third, "significant")), "no");
}
END_TEST

/* Loading BPF programs takes most of a short run, and these tests need no counts. */

/* Each begins in its turn; the preparation before a run belongs to it. */
START_TEST(compare_runs_the_commands_in_turn)
{
	ck_assert_int_eq(sh("./urt compare --no-bpf -r 2 -w 1 -- echo a -- "
			    "echo b -- echo c 2>/dev/null | tr -d '\\n'"),
			 0);
	ck_assert_str_eq(text, "abc"
			       "abcbca");
	ck_assert_int_eq(sh("./urt compare --no-bpf -r 1 --prepare 'printf .' "
			    "-- printf a -- printf b 2>/dev/null"),
			 0);
	ck_assert_str_eq(text, ".a.b");
	ck_assert_int_eq(sh("./urt compare --no-bpf -r 2 --prepare 'printf 1' "
			    "--prepare 'printf 2' -- printf a -- printf b "
			    "2>/dev/null"),
			 0);
	ck_assert_str_eq(text, "1a2b2b1a");
}
END_TEST

START_TEST(compare_gives_three_dashes_as_two)
{
	ck_assert_int_eq(sh("./urt compare --no-bpf -r 1 -- sh -c 'echo $*' "
			    "x --- -a ---- --- --b -- echo -- 2>&1"),
			 1);
	ck_assert_ptr_nonnull(strstr(text, "command C is empty"));
	ck_assert_int_eq(sh("./urt compare --no-bpf -r 1 -- sh -c 'echo $*' "
			    "x --- -a ---- --- --b -- echo b 2>/dev/null"),
			 0);
	ck_assert_str_eq(text, "-- -a --- -- --b\nb\n");
}
END_TEST

START_TEST(compare_is_silent_until_a_command_fails)
{
	const char *run = "./urt compare --no-bpf --silent -r 1 -o cmp.out "
			  "--prepare 'echo p; echo p >&2' -- sh -c 'echo a; "
			  "echo a >&2' -- sh -c 'echo lost; echo %s >&2; exit "
			  "%d' 2>&1";

	ck_assert_int_eq(sh(run, "b", 0), 0);
	ck_assert_str_eq(text, "");
	ck_assert_int_eq(sh("grep -c wall cmp.out"), 0);
	ck_assert_int_eq(sh(run, "why", 7), 1);
	ck_assert_str_eq(text, "p\nwhy\nurt: \"sh\" ended with exit status 7: "
			       "nothing to compare\n");
	sh("rm -f cmp.out");
}
END_TEST

/* Tables whose rows have as many cells as their heads; spans of code that
 * end. */
START_TEST(compare_prints_tables_of_markdown)
{
	unsigned rows = 0;

	ck_assert_int_eq(sh("./urt compare --markdown --silent -r 1 -- true "
			    "'a `b`' -- true '|' -- true 2>&1"),
			 0);
	ck_assert_ptr_nonnull(strstr(text, "- A: `` true a `b` ``\n"
					   "- B: `true |`\n- C: `true`\n"));
	ck_assert_ptr_nonnull(strstr(text, "\n| median of 1 runs | A | C |"));
	ck_assert_ptr_nonnull(strstr(text, "\n| wall, ms | "));
	for (const char *row = strstr(text, "\n|"); row;
	     row = strstr(row + 1, "\n|")) {
		unsigned cells = 0;

		for (const char *c = row + 1; *c && *c != '\n'; c++)
			cells += *c == '|';
		ck_assert_uint_eq(cells, 8);
		rows++;
	}
	ck_assert_uint_gt(rows, 10);
}
END_TEST

START_TEST(compare_prints_the_rounds_before_an_interruption)
{
	/* The second command interrupts its parent in the third round. */
	ck_assert_int_eq(
		sh("rm -f cmp.n; ./urt compare --no-bpf --json -r 100 -- true "
		   "-- sh -c 'echo >>cmp.n; [ $(wc -l <cmp.n) -lt 3 ] || "
		   "{ kill -INT $PPID; exec sleep 9; }' 2>&1; code=$?; rm cmp.n; "
		   "exit $code"),
		0);
	ck_assert_int_eq(number(NULL, "runs"), 2);
}
END_TEST

START_TEST(compare_refuses_what_it_cannot_compare)
{
	refuses("./urt compare -- true", "two commands");
	refuses("./urt compare", "two commands");
	refuses("./urt compare -- true -- -- true", "command B is empty");
	refuses("./urt compare -- -- true", "command A is empty");
	refuses("./urt compare -- true -- --quick -- true",
		"command B begins with an option, \"--quick\"");
	refuses("./urt compare -- a -- a -- a -- a -- a -- a -- a -- a -- a",
		"more than 8");
	refuses("./urt compare --json --markdown -- true -- true", "not both");
	refuses("./urt compare --prepare a --prepare b -- true -- true -- true",
		"given 2 times for 3 commands");
	refuses("./urt compare --no-bpf -r 1 --prepare 'exit 3' -- true -- true",
		"\"exit 3\" failed, which runs before the command");
	refuses("./urt compare --export-json x -- true -- true",
		"use --json -o FILE");
	refuses("./urt compare --no-bpf -r 1 -- true -- false",
		"exit status 1");
	refuses("./urt compare --no-bpf -w 1 -- true -- false",
		"exit status 1");
	refuses_by(127, "./urt compare --no-bpf -r 1 -- true -- /no/such",
		   "cannot run");
	refuses("./urt compare -r x -- true -- true", "not a number");
}
END_TEST

Suite *compare_suite(void)
{
	Suite *s = suite_create("compare");
	TCase *t = tcase_create("compare");

	tcase_add_test(t, compare_tells_a_difference_from_chance);
	tcase_add_test(t, compare_runs_the_commands_in_turn);
	tcase_add_test(t, compare_gives_three_dashes_as_two);
	tcase_add_test(t, compare_is_silent_until_a_command_fails);
	tcase_add_test(t, compare_prints_tables_of_markdown);
	tcase_add_test(t, compare_prints_the_rounds_before_an_interruption);
	tcase_add_test(t, compare_refuses_what_it_cannot_compare);
	suite_add_tcase(s, t);
	return s;
}
