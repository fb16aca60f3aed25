// SPDX-License-Identifier: MIT
/*
 * The commands around `urt stat`: top, help, and what is installed. Runs in the
 * build directory.
 */
#define _GNU_SOURCE
#include "../lib/json_tree.h"
#include "../lib/test.h"
#include "../lib/tool_run.h"

/* ---- top, help and what is installed ---- */

START_TEST(top_shows_who_calls_and_ends_by_itself)
{
	NEED_BPF();
	ck_assert_int_eq(sh("tests/probe preempted 600000 & pid=$!\n"
			    "./urt top -b -n 2 -d 300 -s syscalls; code=$?\n"
			    "kill $pid; exit $code"),
			 0);
	ck_assert_ptr_nonnull(strstr(text, "syscalls/s"));
	ck_assert_ptr_nonnull(strstr(text, "probe"));
	refuses("./urt top -s nonsense", "expected one of");
	refuses("./urt top -d 1", "is not a time from");
}
END_TEST

START_TEST(every_command_has_help_a_page_and_completions)
{
	static const char *const all[] = {
		"stat",	 "top",	   "compare", "doctor", "bench", "demo", "load",
		"serve", "record", "report",  "export", "dump",	 "sim"
	};
	ck_assert_int_eq(
		sh("rm -rf man && mkdir man && ./urt help --bash >man/b && "
		   "./urt help --zsh >man/z && ./urt help --fish >man/f"),
		0);
	/* Shells that are not installed check nothing. */
	if (!sh("bash --version >/dev/null 2>&1"))
		ck_assert_int_eq(sh("bash -n man/b"), 0);
	if (!sh("zsh --version >/dev/null 2>&1"))
		ck_assert_int_eq(sh("zsh -n man/z"), 0);
	for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
		ck_assert_int_eq(sh("./urt help %s", all[i]), 0);
		ck_assert_ptr_nonnull(strstr(text, "usage:"));
		ck_assert_int_eq(sh("./urt help --man %s", all[i]), 0);
		ck_assert_ptr_nonnull(strstr(text, ".SH DESCRIPTION"));
	}
	ck_assert_int_eq(sh("grep -q -e --per-thread man/b && "
			    "grep -q -e --per-thread man/z && "
			    "grep -q -e 'per-thread' man/f"),
			 0);
	ck_assert_int_eq(sh("bash -c '. ./man/b; COMP_WORDS=(urt sta); "
			    "COMP_CWORD=1; _urt; echo $COMPREPLY'"),
			 0);
	ck_assert_str_eq(text, "stat\n");
	ck_assert_int_eq(
		sh("bash -c '. ./man/b; COMP_WORDS=(urt demo -m epo); "
		   "COMP_CWORD=3; _urt; echo $COMPREPLY; "
		   "COMP_WORDS=(urt stat --assert user-sw); _urt; echo "
		   "$COMPREPLY; COMP_WORDS=(urt stat --cost alw); "
		   "_urt; echo $COMPREPLY; COMP_WORDS=(urt demo --only \\\"\\\"); "
		   "_urt; echo ${COMPREPLY[*]}; "
		   "COMP_WORDS=(urt demo --rounds -); _urt; "
		   "echo ${#COMPREPLY[*]}'"),
		0);
	ck_assert_str_eq(text, "epoll\nuser-switches\nalways\n"
			       "1 2 3 4 5 6 7 8 9 10\n0\n");
	refuses("./urt stat --jsn -- true", "did you mean --json?");
	refuses("./urt help nonsense", "no such command");
}
END_TEST

/* As in a container, where process numbers are not the kernel's. */
START_TEST(pid_namespace_has_pids_of_its_own)
{
	NEED_BPF();
	if (sh("unshare -pf --mount-proc true 2>&1"))
		SKIP("no PID namespaces here");
	ck_assert_int_eq(sh("unshare -pf --mount-proc ./urt stat --json "
			    "--per-thread -- tests/probe calls 100 2>&1"),
			 0);
	ck_assert_int_eq(number("by_name", "sched_get_priority_max"), 100);
	ck_assert_int_ge(number("threads", "app"), 1);
	/* A process outside has the same number, and children all the time. */
	ck_assert_int_eq(
		sh("rm -f hang2; (while :; do /bin/true; done) & out=$!\n"
		   "unshare -pf --mount-proc sh -c '"
		   "echo $(($0 - 1)) >/proc/sys/kernel/ns_last_pid\n"
		   "tests/probe hang >hang2 & pid=$!\n"
		   "until grep -q hanging hang2; do :; done\n"
		   "./urt stat --json --timeout 300 -p $pid; kill $pid' $out "
		   "2>&1; code=$?; kill $out; exit $code"),
		0);
	ck_assert_int_eq(number("threads", "app"), 1);
	ck_assert_int_eq(sh("unshare -pf --mount-proc ./urt record -o "
			    "ns.pftrace -- tests/probe punts 10 2>&1"),
			 0);
	ck_assert_int_eq(sh("./urt report --json ns.pftrace"), 0);
	ck_assert_ptr_nonnull(row(
		NULL, json_pack("{s:s, s:i}", "what", "READ", "times", 10)));
}
END_TEST

/*
 * A program with a name of its own, counted by both at once. It has the name
 * from its exec on, so bpftrace misses the call of execve itself, which urt
 * counts. Both count switches once execve has succeeded, not those within it.
 */
static const char *const watched[] = { "sleeps 200", "calls 5000",
				       "children 30", "threads 30",
				       "storm 10" };

START_TEST(counts_are_those_of_bpftrace)
{
	long long calls, switches;

	NEED_BPF();
	if (sh("command -v bpftrace"))
		SKIP("bpftrace is not installed");
	if (sh("test -r /sys/kernel/tracing/events/sched/sched_switch/id"))
		SKIP("bpftrace needs tracefs (mount -t tracefs none "
		     "/sys/kernel/tracing)");
	sh("cp tests/probe urt-bt.%d && rm -f bt.out bt.json; "
	   "timeout -s KILL 90 bpftrace -e 'tracepoint:raw_syscalls:sys_enter "
	   "/comm == \"urt-bt.%d\"/ { @calls = count(); } "
	   "tracepoint:sched:sched_process_exec /comm == \"urt-bt.%d\"/ "
	   "{ @begun = 1; } "
	   "tracepoint:sched:sched_switch /comm == \"urt-bt.%d\" && @begun/ "
	   "{ @switches = count(); } BEGIN { printf(\"begun\\n\"); }' "
	   ">bt.out 2>&1 & bt=$!; n=0; "
	   "until grep -q begun bt.out || [ $((n += 1)) -gt 1200 ]; do "
	   "sleep 0.05; done; "
	   "grep -q begun bt.out && "
	   "./urt stat --json -o bt.json -- ./urt-bt.%d %s >/dev/null 2>&1; "
	   "kill -INT $bt; wait $bt; rm urt-bt.%d",
	   getpid(), getpid(), getpid(), getpid(), getpid(), watched[_i],
	   getpid());
	sh("echo '{'; sed -n 's/^@\\([a-z]*\\): \\(.*\\)/\"\\1\":\\2,/p' "
	   "bt.out; echo '\"end\":0}'");
	if (!strstr(text, "\"switches\""))
		SKIP("bpftrace does not run here");
	calls = number(NULL, "calls");
	switches = number(NULL, "switches");
	ck_assert_int_eq(sh("cat bt.json"), 0);
	ck_assert_int_eq(number("switches", "total"), switches);
	ck_assert_int_eq(number("syscalls", "total"), calls + 1);
	sh("rm -f bt.out bt.json");
}
END_TEST

Suite *measure_suite(void)
{
	Suite *s = suite_create("measure");
	TCase *t = tcase_create("measure");

	tcase_set_timeout(t, 180);
	tcase_add_test(t, top_shows_who_calls_and_ends_by_itself);
	tcase_add_test(t, every_command_has_help_a_page_and_completions);
	tcase_add_loop_test(t, counts_are_those_of_bpftrace, 0,
			    ARRAY_LEN(watched));
	tcase_add_test(t, pid_namespace_has_pids_of_its_own);
	suite_add_tcase(s, t);
	return s;
}
