// SPDX-License-Identifier: MIT
/* The options of `urt stat` one by one. Runs in the build directory. */
#define _GNU_SOURCE
#include "../lib/cgroups.h"
#include "../lib/json_tree.h"
#include "../lib/stat_run.h"
#include "../lib/test.h"
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the measured processes ---- */

START_TEST(several_processes_are_counted_together)
{
	NEED_BPF();
	ck_assert_int_eq(
		sh("mkfifo ctl.fifo ack.fifo\n"
		   "tests/probe hang >hang1 & a=$!\n"
		   "tests/probe hang >hang2 & b=$!\n"
		   "until grep -q hanging hang1 && grep -q hanging hang2; "
		   "do :; done\n"
		   "./urt stat --json -p $a,$b,$a -o stat2.json "
		   "--control fifo:ctl.fifo,ack.fifo & tool=$!\n"
		   "echo ping >ctl.fifo; read answer <ack.fifo\n"
		   "kill -USR1 $a $b; wait $tool; code=$?\n"
		   "rm -f ctl.fifo ack.fifo hang1 hang2; cat stat2.json\n"
		   "exit $code"),
		0);
	ck_assert_int_eq(number("by_name", "exit_group"), 2);
	ck_assert_int_eq(number("by_cause", "exit"), 2);
	kernel_agrees();
}
END_TEST

START_TEST(all_processes_are_counted_while_a_command_runs)
{
	NEED_BPF();
	whole_host();
	ck_assert_int_eq(sh("./urt stat -a --json -o stat2.json -- "
			    "tests/probe rare 3000 && cat stat2.json"),
			 0);
	ck_assert_int_eq(number("by_name", RARE_CALL), 3000);
	ck_assert_int_gt(number("threads", "kernel"), 5);
}
END_TEST

/* A new cgroup (v2), or NULL: none can be made here. */
static const char *cgroup_new(void)
{
	static char path[128];

	if (!have_cgroups())
		return NULL;
	snprintf(path, sizeof(path), "%s/urt-test-%d", cgroup_mount, getpid());
	return mkdir(path, 0755) ? NULL : path;
}

START_TEST(cgroup_is_counted_until_it_vanishes)
{
	const char *group;

	NEED_BPF();
	group = cgroup_new();
	if (!group)
		SKIP("no cgroup (v2) can be made here");
	/* Enters the group, makes its calls, and ends; then the group is
	 * removed. */
	ck_assert_int_eq(
		sh("mkfifo ctl.fifo ack.fifo; mkdir %s/below\n"
		   "./urt stat -G %s --json -o stat2.json "
		   "--control fifo:ctl.fifo,ack.fifo 2>stat2.err & tool=$!\n"
		   "echo ping >ctl.fifo; read answer <ack.fifo\n"
		   "sh -c 'echo $$ >%s/below/cgroup.procs; "
		   "exec tests/probe calls 700'\n"
		   "tests/probe calls 900\n"
		   "until rmdir %s/below %s 2>/dev/null; do :; done\n"
		   "wait $tool; code=$?\n"
		   "rm -f ctl.fifo ack.fifo; cat stat2.json stat2.err\n"
		   "exit $code",
		   group, group, group, group, group),
		0);
	ck_assert_int_eq(number("by_name", "sched_get_priority_max"), 700);
	ck_assert_ptr_nonnull(strstr(text, "is gone"));
}
END_TEST

/* Of a process that is moved, the kernel announces the first thread alone. */
START_TEST(threads_count_as_long_as_their_process_is_in_the_cgroup)
{
	const char *group;

	NEED_BPF();
	group = cgroup_new();
	if (!group)
		SKIP("no cgroup (v2) can be made here");
	ck_assert_int_eq(
		sh("mkfifo ctl.fifo ack.fifo in.fifo\n"
		   "./urt stat -G %s --json -o stat2.json "
		   "--control fifo:ctl.fifo,ack.fifo & tool=$!\n"
		   "echo ping >ctl.fifo; read answer <ack.fifo\n"
		   "tests/probe later 100 <in.fifo >comes & a=$!\n"
		   "sh -c 'echo $$ >%s/cgroup.procs; "
		   "exec tests/probe later 70' <in.fifo >goes & b=$!\n"
		   "exec 3>in.fifo\n"
		   "until grep -q here comes && grep -q here goes; do :; done\n"
		   "echo $a >%s/cgroup.procs; echo $b >%s/cgroup.procs\n"
		   "exec 3>&-; wait $a $b; echo stop >ctl.fifo; wait $tool\n"
		   "code=$?; rmdir %s; rm -f *.fifo comes goes\n"
		   "cat stat2.json; exit $code",
		   group, group, group, cgroup_mount, group),
		0);
	if (number(NULL, "drops") == 3 + 3)
		SKIP("needs bpf_iter_task_new of Linux 6.7");
	ck_assert_int_eq(number(NULL, "drops"), 0);
	ck_assert_int_eq(number("by_name", "sched_get_priority_max"), 300);
	ck_assert_int_eq(number("threads", "app"), 8);
	kernel_agrees();
}
END_TEST

START_TEST(thread_that_executes_a_program_has_its_process_number)
{
	bool found = false;
	json_t *t;
	size_t i;

	NEED_BPF();
	stat_ok("--per-thread", "thread-execs 500");
	json_array_foreach(member(document(), "thread_list"), i, t)
	{
		if (value(t, "syscalls") < 500)
			continue;
		found = true;
		ck_assert_msg(value(t, "tid") == value(t, "pid"), "%s", text);
	}
	ck_assert(found);
	kernel_agrees();
}
END_TEST

START_TEST(only_what_is_between_enable_and_disable_counts)
{
	NEED_BPF();
	whole_host();
	ck_assert_int_eq(
		sh("mkfifo ctl.fifo ack.fifo\n"
		   "./urt stat -a -D -1 --json -o stat2.json "
		   "--control fifo:ctl.fifo,ack.fifo & tool=$!\n"
		   "say() { echo $1 >ctl.fifo; read answer <ack.fifo; }\n"
		   "say ping; tests/probe rare 100\n"
		   "say enable; tests/probe rare 1000; say disable\n"
		   "tests/probe rare 100\n"
		   "say enable; tests/probe rare 1000; say disable\n"
		   "echo stop >ctl.fifo; wait $tool; code=$?\n"
		   "rm -f ctl.fifo ack.fifo; cat stat2.json; exit $code"),
		0);
	ck_assert_int_eq(number("by_name", RARE_CALL), 2000);
}
END_TEST

START_TEST(timeout_ends_the_command_and_prints)
{
	/* It ended as requested: that is not a failure. */
	ck_assert_int_eq(stat_json("--timeout 200", "hang"), 0);
	ck_assert_int_eq(number(NULL, "exit_code"), 128 + SIGTERM);
	ck_assert_int_ge(number(NULL, "wall_ns"), 200 * MS);
	ck_assert_int_lt(number(NULL, "wall_ns"), 20000 * MS);
}
END_TEST

START_TEST(intervals_add_up_to_the_whole)
{
	long long sum = 0;
	int lines = 0;

	NEED_BPF();
	ck_assert_int_eq(sh("./urt stat -I 20 --json -o stat2.json -- "
			    "tests/probe sleeps 1000 >probe2.out; "
			    "cat stat2.json"),
			 0);
	/* A call that began in an interval may switch in the next one. */
	for (char *p = text; (p = strstr(p, "\"by_name\":{")); p++) {
		char *calls = strstr(p, "\"clock_nanosleep\":");

		if (calls && calls < strchr(p, '}'))
			sum += atoll(calls + strlen("\"clock_nanosleep\":"));
		lines++;
	}
	ck_assert_int_ge(lines, 3);
	ck_assert_int_eq(sum, 1000);
}
END_TEST

START_TEST(repeated_runs_give_mean_and_spread)
{
	NEED_BPF();
	ck_assert_int_eq(sh("./urt stat -r 3 --json -- tests/probe calls 500 "
			    "2>&1"),
			 0);
	ck_assert_int_eq(number(NULL, "runs"), 3);
	ck_assert_ptr_nonnull(
		row("syscalls:sched_get_priority_max",
		    json_pack("{s:i, s:i}", "mean", 500, "deviation", 0)));
}
END_TEST

START_TEST(values_are_separated_as_wished)
{
	NEED_BPF();
	ck_assert_int_eq(sh("./urt stat -x ';' --ops 10 -- tests/probe "
			    "calls 500 2>&1"),
			 0);
	ck_assert_ptr_nonnull(strstr(
		text, "\n500;;syscalls:sched_get_priority_max;bpf;50\n"));
	ck_assert_ptr_nonnull(strstr(text, "<not counted>;;user-switches;;"));
}
END_TEST

START_TEST(operations_may_come_from_a_figure_or_a_file)
{
	int n = 0;

	NEED_BPF();
	stat_ok("--ops-from syscalls:sched_get_priority_max", "calls 250");
	ck_assert_int_eq(number(NULL, "ops"), 250);
	ck_assert_int_eq(sh("echo 42 >ops.txt"), 0);
	stat_ok("--ops-from file:ops.txt", "calls 250");
	ck_assert_int_eq(number(NULL, "ops"), 42);
	ck_assert_int_eq(sh("printf '4\\0002' >ops.nul; echo 4 2 >ops.two; "
			    "echo inf >ops.inf; echo 0 >ops.0; "
			    "for f in /no/such ops.nul ops.two ops.inf ops.0; "
			    "do ./urt stat --ops-from file:$f -- true 2>&1; "
			    "done; rm ops.*"),
			 0);
	for (const char *p = text; n < 5; n++, p++) {
		p = strstr(p, "figures per operation are missing");
		ck_assert_msg(p != NULL, "%d: %s", n, text);
	}
}
END_TEST

/* ---- rungs ---- */

START_TEST(perf_events_are_the_second_rung)
{
	long v[2], n[2];

	if (stat_json("--no-bpf", "sleeps 100") ||
	    !row(NULL, json_pack("{s:s}", "source", "perf")))
		SKIP("no perf events here");
	if (!row(NULL, json_pack("{s:s}", "switches", "perf"))) {
		ck_assert_ptr_nonnull(strstr(text, "tracefs"));
		SKIP("no tracefs here");
	}
	ck_assert_int_ge(number("switches", "total"), 90);
	ck_assert_ptr_nonnull(row(NULL, json_pack("{s:n}", "voluntary")));
	if (row(NULL, json_pack("{s:n}", "syscalls")))
		ck_assert_ptr_nonnull(strstr(text, "tracefs"));
	v[0] = number("switches", "total");
	ck_assert_int_eq(sh("cat probe2.out"), 0);
	ck_assert_int_eq(
		sscanf(text, "%ld %ld %ld %ld", &v[1], &n[0], &v[1], &n[1]), 4);
	ck_assert_int_le(v[0], v[1] + n[1] + 10);
}
END_TEST

/* 100 children: each ends without waiting, and its parent waits for it. */
START_TEST(switches_mean_the_same_on_each_rung_or_are_not_available)
{
	static const char command[] =
		"./urt stat -x , %s -- sh -c 'i=0; while [ $i -lt 100 ]; do "
		"/bin/true; i=$((i+1)); done' 2>&1 | sed -n '/,switches,/p'";
	long bpf, perf;

	NEED_BPF();
	ck_assert_int_eq(sh(command, ""), 0);
	bpf = atol(text);
	ck_assert_int_ge(bpf, 200);
	ck_assert_int_eq(sh(command, "--no-bpf --no-perf"), 0);
	ck_assert_ptr_nonnull(strstr(text, "<not counted>"));
	ck_assert_int_eq(sh(command, "--no-bpf"), 0);
	if (strstr(text, "<not counted>"))
		SKIP("no perf events, or no tracefs here");
	/* The rest is chance: which thread preempts which. */
	perf = atol(text);
	ck_assert_msg(perf >= 200, "perf: %ld, bpf: %ld", perf, bpf);
}
END_TEST

/* In addition to those of the sleeps, as the program sees its own counts: a
 * sleep that begins late enough does not switch. The least of some runs, since
 * on a busy machine an exec waits for locks, too. */
static long other_voluntary(const char *rung)
{
	unsigned long before, after, none;
	long least = LONG_MAX;

	for (int i = 0; i < 5; i++) {
		char *p;

		ck_assert_int_eq(
			sh("./urt stat -x , %s -- tests/probe sleeps 50 2>&1 | "
			   "sed -n '/^[0-9]* [0-9]*$/p; /,kernel.voluntary,/p'",
			   rung),
			0);
		ck_assert_int_eq(sscanf(text, "%lu %lu\n%lu %lu", &before,
					&none, &after, &none),
				 4);
		p = strchr(strchr(text, '\n') + 1, '\n') + 1;
		if (atol(p) - (long)(after - before) < least)
			least = atol(p) - (long)(after - before);
	}
	return least;
}

START_TEST(system_calls_are_the_same_on_each_rung)
{
	long long n;

	NEED_BPF();
	ck_assert_int_eq(stat_json("", "calls 1000"), 0);
	n = number("syscalls", "total");
	ck_assert_int_eq(stat_json("--no-bpf", "calls 1000"), 0);
	if (row(NULL, json_pack("{s:n}", "syscalls")))
		SKIP("no perf events of system calls here");
	ck_assert_int_eq(number("syscalls", "total"), n);
}
END_TEST

/* The kernel ends perf events there, and what they had counted would be shown. */
START_TEST(perf_events_that_a_setuid_program_ends_are_not_available)
{
	int code = sh("d=$(mktemp -d) && cp tests/probe $d/ && "
		      "chmod 755 $d && chmod 4755 $d/probe && "
		      "./urt stat --no-bpf --json -o setuid.json --user nobody "
		      "-- $d/probe calls 1000 2>&1; code=$?; rm -rf $d; "
		      "exit $code");

	if (code && strstr(text, "--user"))
		SKIP("root can run this only");
	ck_assert_msg(!code, "%s", text);
	sh("cat setuid.json; rm setuid.json");
	if (!row(NULL, json_pack("{s:s}", "source", "perf")))
		SKIP("no perf events here");
	ck_assert_ptr_nonnull(row(NULL, json_pack("{s:n}", "syscalls")));
	if (!strstr(text, "tracefs"))
		ck_assert_ptr_nonnull(strstr(text, "setuid"));
}
END_TEST

START_TEST(kernel_voluntary_means_the_same_on_each_rung)
{
	NEED_BPF();
	if (SANITIZED)
		SKIP("a sanitizer's own thread waits, too");
	ck_assert_int_eq(other_voluntary(""), 1);
	/* A parent may hear of the end before the last switch. */
	ck_assert_int_le(other_voluntary("--no-bpf"), 1);
	ck_assert_int_le(other_voluntary("--no-bpf --no-perf"), 1);
}
END_TEST

/* ---- assertions ---- */

static void assert_code(const char *expression, int code, const char *says)
{
	int got = sh("./urt stat -o stat2.txt --ops 100 --assert '%s' -- "
		     "tests/probe calls 500 2>&1",
		     expression);

	ck_assert_msg(got == code, "%s: %d: %s", expression, got, text);
	ck_assert_msg(strstr(text, says), "%s: %s", expression, text);
}

/* dd is a child that has ended by the time of the look; reads of its libraries
 * and the shell's own are added. */
START_TEST(reads_and_writes_are_counted_without_bpf)
{
	ck_assert_int_eq(
		sh("rm -f go.fifo done.fifo; mkfifo go.fifo done.fifo\n"
		   "sh -c 'read x <go.fifo; dd if=/dev/zero of=/dev/null bs=1 "
		   "count=1000 2>/dev/null; echo >done.fifo; read x <go.fifo' & "
		   "p=$!\n./urt stat --no-bpf -p $p --json -o io.json "
		   "--assert 'kernel.reads >= 1000' "
		   "--assert 'kernel.reads < 1100' "
		   "--assert 'kernel.writes >= 1000' "
		   "--assert 'kernel.writes < 1100' -- "
		   "sh -c 'echo >go.fifo; read x <done.fifo' 2>&1; code=$?\n"
		   "echo >go.fifo; wait $p; cat io.json\n"
		   "rm -f go.fifo done.fifo io.json; exit $code"),
		0);
	ck_assert_int_ge(number("kernel", "reads"), 1000);
	ck_assert_ptr_nonnull(
		row(NULL, json_pack("{s:s}", "kernel.reads", "proc")));
	ck_assert_int_eq(sh("./urt stat --no-bpf --assert 'kernel.reads < 9' "
			    "-- true 2>&1"),
			 3);
	ck_assert_ptr_nonnull(strstr(text, "give it by -p"));
}
END_TEST

START_TEST(budgets_that_hold_are_silent)
{
	NEED_BPF();
	assert_code("syscalls:sched_get_priority_max == 500", 0, "");
	assert_code("syscalls:sched_get_priority_max/op == 5", 0, "");
	assert_code("syscalls/op <= 50", 0, "");
	assert_code("syscalls:sched_get_priority_max/syscalls > 10 %", 0, "");
	assert_code("wall < 60s", 0, "");
	assert_code("threads >= 1", 0, "");
	assert_code("lost == 0", 0, "");
	assert_code("punted/op < 0.001k", 0, "");
	ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(budgets_that_are_broken_exit_with_3)
{
	NEED_BPF();
	assert_code("syscalls:sched_get_priority_max < 500", 3, "it is 500");
	assert_code("syscalls:sched_get_priority_max/op != 5", 3, "it is 5");
	assert_code("user-switches == 0", 3, "not measured");
	assert_code("off-cpu.p99 < 1ms", 3, "--times");
	ck_assert_int_eq(sh("./urt stat --no-bpf -o stat2.txt "
			    "--assert 'syscalls:read < 1' -- true 2>&1"),
			 3);
	ck_assert(strstr(text, "not wanted (--no-bpf)") ||
		  strstr(text, "perf events need tracefs"));
	/* The program's own failure is more important. */
	ck_assert_int_eq(sh("./urt stat -o stat2.txt --assert 'wall < 1ns' -- "
			    "tests/probe exit 42 2>&1"),
			 42);
}
END_TEST

START_TEST(budget_that_is_none_is_refused_before_anything_runs)
{
	refuses("./urt stat --assert 'nonsense < 1' -- true", "no figure");
	refuses("./urt stat --assert 'switches' -- true", "comes one of <");
	refuses("./urt stat --assert 'switches < x' -- true", "a number");
	refuses("./urt stat --assert 'switches < 1 parsec' -- true", "unit");
	refuses("./urt stat --assert 'switches/day < 1' -- true", "after /");
	refuses("./urt stat --assert 'switches =< 1' -- true", "comes one of");
	refuses("./urt stat --assert 'off-cpu.q < 1' -- true", "no figure");
}
END_TEST

/* ---- behaviour of the command ---- */

START_TEST(bad_options_are_refused_with_advice)
{
	refuses("./urt stat -a -p 1", "give one of");
	refuses("./urt stat -D -1 -- true", "waits for --control");
	refuses("./urt stat -r 2 -p 1", "-r takes a command");
	refuses("./urt stat -I 0 -- true", "is not a time from 1");
	refuses("./urt stat -p 1,x", "not a number");
	refuses("./urt stat --control fd:99 -- true", "open descriptors");
	refuses("./urt stat --control nonsense -- true", "fifo:COMMANDS");
	refuses("./urt stat --ops-from nonsense -- true", "--list");
	refuses("./urt stat --cost nonsense -- true", "expected one of");
	refuses("./urt stat --ops 1 --ops-from wall -- true", "give one of");
	if (have_bpf()) {
		refuses("./urt stat -G /no/such", "cannot count cgroup");
		refuses("./urt stat -G /tmp", "cgroup2");
	}
}
END_TEST

START_TEST(full_disk_is_said)
{
	if (access("/dev/full", W_OK))
		SKIP("no /dev/full here");
	ck_assert_int_eq(sh("./urt stat -o /dev/full -- true 2>&1"), 1);
	ck_assert_ptr_nonnull(strstr(
		text, "cannot write /dev/full: No space left on device"));
}
END_TEST

START_TEST(ctrl_c_prints_what_was_measured)
{
	NEED_BPF();
	ck_assert_int_eq(sh("mkfifo ctl.fifo ack.fifo\n"
			    "./urt stat -a -o stat2.txt --control "
			    "fifo:ctl.fifo,ack.fifo & tool=$!\n"
			    "echo ping >ctl.fifo; read answer <ack.fifo\n"
			    "kill -INT $tool; wait $tool; code=$?\n"
			    "rm -f ctl.fifo ack.fifo\n"
			    "cat stat2.txt; exit $code"),
			 0);
	ck_assert_ptr_nonnull(strstr(text, "kernel switches"));
	ck_assert_ptr_nonnull(strstr(text, "s elapsed"));
}
END_TEST

START_TEST(stat_tells_what_counting_cost)
{
	NEED_BPF();
	stat_ok("--cost always", "calls 100000");
	ck_assert_int_ge(number("cost", "bpf_runs"), 100000);
	ck_assert_int_gt(number("cost", "bpf_ns"), 100000);
	stat_ok("--cost off", "calls 1");
	ck_assert_ptr_nonnull(row(NULL, json_pack("{s:n}", "cost")));
}
END_TEST

START_TEST(figures_that_are_not_counted_are_not_0)
{
	json_t *r;

	NEED_BPF();
	stat_ok("--no-syscalls --by comm", "calls 10");
	r = row(NULL, json_pack("{s:s}", "name", "probe"));
	ck_assert_ptr_nonnull(r);
	ck_assert(json_is_null(json_object_get(r, "syscalls")));
	stat_ok("--no-syscalls --per-thread", "calls 10");
	r = row(NULL, json_pack("{s:s}", "name", "probe"));
	ck_assert_ptr_nonnull(r);
	ck_assert(json_is_null(json_object_get(r, "syscalls")));
	/* An assertion on no figure fails. */
	ck_assert_int_eq(sh("./urt stat --assert 'user:yields > 0' -- "
			    "tests/probe yields 10 2>&1"),
			 0);
	ck_assert_int_eq(sh("./urt stat --assert 'user:yield < 1' -- "
			    "tests/probe yields 10 2>&1"),
			 3);
	ck_assert_msg(strstr(text, "no such counter") != NULL, "%s", text);
}
END_TEST

Suite *stat_options_suite(void)
{
	Suite *s = suite_create("stat_options");
	TCase *t = tcase_create("options");

	tcase_add_test(t, several_processes_are_counted_together);
	tcase_add_test(t, all_processes_are_counted_while_a_command_runs);
	tcase_add_test(t, cgroup_is_counted_until_it_vanishes);
	tcase_add_test(t,
		       threads_count_as_long_as_their_process_is_in_the_cgroup);
	tcase_add_test(t,
		       thread_that_executes_a_program_has_its_process_number);
	tcase_add_test(t, only_what_is_between_enable_and_disable_counts);
	tcase_add_test(t, timeout_ends_the_command_and_prints);
	tcase_add_test(t, intervals_add_up_to_the_whole);
	tcase_add_test(t, repeated_runs_give_mean_and_spread);
	tcase_add_test(t, values_are_separated_as_wished);
	tcase_add_test(t, operations_may_come_from_a_figure_or_a_file);
	tcase_add_test(t, perf_events_are_the_second_rung);
	tcase_add_test(t, system_calls_are_the_same_on_each_rung);
	tcase_add_test(
		t, perf_events_that_a_setuid_program_ends_are_not_available);
	tcase_add_test(
		t, switches_mean_the_same_on_each_rung_or_are_not_available);
	tcase_add_test(t, kernel_voluntary_means_the_same_on_each_rung);
	tcase_add_test(t, reads_and_writes_are_counted_without_bpf);
	tcase_add_test(t, figures_that_are_not_counted_are_not_0);
	tcase_add_test(t, budgets_that_hold_are_silent);
	tcase_add_test(t, budgets_that_are_broken_exit_with_3);
	tcase_add_test(t, budget_that_is_none_is_refused_before_anything_runs);
	tcase_add_test(t, bad_options_are_refused_with_advice);
	tcase_add_test(t, full_disk_is_said);
	tcase_add_test(t, ctrl_c_prints_what_was_measured);
	tcase_add_test(t, stat_tells_what_counting_cost);
	suite_add_tcase(s, t);
	return s;
}
