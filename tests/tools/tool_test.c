// SPDX-License-Identifier: MIT
/*
 * The command urt, as a user meets it: exact counts against independent
 * sources, exit codes, bad input. Runs in the build directory.
 */
#define _GNU_SOURCE
#include "../lib/json_tree.h"
#include "../lib/test.h"
#include "../lib/tool_run.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void stat_probe(const char *args)
{
	ck_assert_int_eq(sh("./urt stat --json -o stat.json -- tests/probe %s "
			    ">probe.out",
			    args),
			 0);
	ck_assert_int_eq(sh("cat stat.json"), 0);
	ck_assert_ptr_nonnull(
		row(NULL, json_pack("{s:s}", "schema", "urt.stat.v1")));
	ck_assert_int_eq(number(NULL, "drops"), 0);
}

static void kernel_agrees(void)
{
	ck_assert_int_eq(number("switches", "total"),
			 number("kernel", "nvcsw") +
				 number("kernel", "nivcsw"));
	ck_assert_int_eq(number("switches", "voluntary"),
			 number("kernel", "nvcsw"));
}

/* ---- counting ---- */

START_TEST(stat_counts_switches_as_the_kernel_does)
{
	long long before, after, total;
	long v[2], n[2];

	NEED_BPF();
	stat_probe("sleeps 100");
	kernel_agrees();
	total = number("switches", "total");
	ck_assert_int_eq(sh("cat probe.out"), 0);
	ck_assert_int_eq(
		sscanf(text, "%ld %ld %ld %ld", &v[0], &n[0], &v[1], &n[1]), 4);
	before = v[0] + n[0];
	after = v[1] + n[1];
	/*
	 * The program's own rusage counts from the fork, the tool from the
	 * exec, and the tool sees the end: so the tool counts at least the part
	 * between the two looks, and at most all of it with the ending.
	 */
	ck_assert_int_ge(total, after - before);
	ck_assert_int_le(total, after + 10);
	/* A sleep may be over before it has begun to wait. */
	ck_assert_int_ge(after - before, 90);
}
END_TEST

START_TEST(stat_tells_in_which_call_it_switched)
{
	NEED_BPF();
	stat_probe("sleeps 100");
	ck_assert_int_ge(number("by_syscall", "clock_nanosleep") +
				 number("by_syscall", "nanosleep"),
			 90);
}
END_TEST

START_TEST(stat_counts_calls_exactly)
{
	NEED_BPF();
	stat_probe("calls 12345");
	ck_assert_int_eq(number("by_name", "sched_get_priority_max"), 12345);
	ck_assert_int_eq(number("by_name", "execve"), 1);
	ck_assert_int_eq(number("by_name", "exit_group"), 1);
	kernel_agrees();
}
END_TEST

START_TEST(stat_follows_children_and_threads)
{
	NEED_BPF();
	stat_probe("children 50");
	ck_assert_int_eq(number("by_name", "sched_get_priority_max"), 500);
	if (!SANITIZED) /* sanitizers start threads of their own */
		ck_assert_int_eq(number("threads", "app"), 51);
	kernel_agrees();
	stat_probe("threads 50");
	ck_assert_int_eq(number("by_name", "sched_get_priority_max"), 500);
	kernel_agrees();
}
END_TEST

START_TEST(stat_counts_io_uring_operations_exactly)
{
	NEED_BPF();
	if (sh("tests/probe nops 1") == 77)
		SKIP("no io_uring here");
	stat_probe("nops 1000");
	ck_assert_int_eq(number("io_uring", "submitted"), 1000);
	ck_assert_int_eq(number("io_uring", "completed"), 1000);
	ck_assert_int_eq(number("by_opcode", "NOP"), 1000);
	ck_assert_int_ge(number("io_uring", "enters"), 125);
}
END_TEST

START_TEST(stat_shows_switches_in_user_space)
{
	/* On one worker, since on two, each of the pair yields to nobody. */
	setenv("URT_WORKERS", "1", 1);
	stat_probe("yields 1000");
	ck_assert_int_eq(number("user", "yields"), 1000);
	ck_assert_int_ge(number("user", "switches"), 1000);
	/* The times for which coroutines waited for their turn, and by which
	 * timers were late. */
	stat_probe("yields 200000");
	ck_assert_int_gt(number("ready", "count"), 0);
	ck_assert_int_gt(number("ready", "p99"), 0);
	unsetenv("URT_WORKERS");
	ck_assert_int_eq(sh("./urt stat --assert 'latency:ready.p50 < 20s' -- "
			    "tests/probe yields 200000 2>&1"),
			 0);
	ck_assert_ptr_nonnull(strstr(text, "from runnable to running"));
	ck_assert_int_eq(sh("./urt stat --assert 'latency:ready.p50 < 1ns' -- "
			    "tests/probe yields 200000 2>/dev/null"),
			 3);
	refuses("./urt stat --assert 'latency:nonsense.p50 < 1' -- true",
		"latency:nonsense.p50");
	stat_probe("calls 1");
	ck_assert_ptr_nonnull(row(NULL, json_pack("{s:n}", "user")));
}
END_TEST

/* name and calls of each line of strace -c; calls by that name in the other. */
static void compare_with_strace(const char *args)
{
	static char strace[sizeof(text)];
	char *line, *save;
	int compared = 0;

	ck_assert_int_eq(sh("strace -f -c -o strace.out tests/probe %s "
			    ">probe.out && cat strace.out",
			    args),
			 0);
	snprintf(strace, sizeof(strace), "%s", text);
	stat_probe(args);
	for (line = strtok_r(strace, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		double percent, seconds;
		long usecs, calls;
		char rest[128], name[64];

		if (sscanf(line, "%lf %lf %ld %ld %127[^\n]", &percent,
			   &seconds, &usecs, &calls, rest) != 5 ||
		    sscanf(strrchr(rest, ' ') ? strrchr(rest, ' ') : rest,
			   "%63s", name) != 1 ||
		    !strcmp(name, "total") || !isalpha(name[0]))
			continue;
		ck_assert_msg(number("by_name", name) == calls,
			      "%s: strace %ld, urt %lld", name, calls,
			      number("by_name", name));
		compared++;
	}
	ck_assert_int_gt(compared, 10);
}

START_TEST(stat_agrees_with_strace)
{
	NEED_BPF();
	if (sh("strace -V >/dev/null 2>&1"))
		SKIP("no strace here: `make deps`");
	if (SANITIZED)
		SKIP("a sanitizer's own system calls differ under ptrace");
	compare_with_strace("calls 100");
	compare_with_strace("children 3");
	compare_with_strace("sleeps 20");
}
END_TEST

START_TEST(stat_attaches_to_a_running_process)
{
	NEED_BPF();
	ck_assert_int_eq(
		sh("rm -f hang.out ask answer; mkfifo hang.out ask answer\n"
		   "tests/probe hang >hang.out & pid=$!; read line <hang.out\n"
		   "./urt stat --json -p $pid --control fifo:ask,answer "
		   "-o stat.json & tool=$!\n"
		   "echo ping >ask; head -c 4 answer >/dev/null\n"
		   "kill -USR1 $pid; wait $pid; echo $?; wait $tool\n"
		   "cat stat.json; rm hang.out ask answer"),
		0);
	ck_assert_int_eq(atoi(text), 7);
	/* Only the end: the signal, and _exit in its handler. */
	ck_assert_int_eq(number("by_name", "exit_group"), 1);
	ck_assert_int_eq(number("by_name", "execve"), -1);
	if (!SANITIZED)
		ck_assert_int_eq(number("threads", "app"), 1);
	kernel_agrees();
}
END_TEST

START_TEST(stat_without_bpf_says_what_is_missing)
{
	ck_assert_int_eq(
		sh("./urt stat --no-bpf --no-perf --json -- tests/probe "
		   "sleeps 20 "
		   "2>&1 >/dev/null"),
		0);
	ck_assert_ptr_nonnull(row(NULL, json_pack("{s:s}", "source", "proc")));
	/* The kernel's own count, under its own name. */
	ck_assert_int_ge(number("kernel", "nvcsw"), 20);
	ck_assert_ptr_nonnull(row(NULL, json_pack("{s:n}", "voluntary")));
	ck_assert_ptr_nonnull(row(NULL, json_pack("{s:n}", "syscalls")));
	ck_assert_ptr_nonnull(strstr(text, "\"syscalls\":\"not wanted"));
}
END_TEST

/* ---- behaviour of the command ---- */

START_TEST(stat_passes_on_exit_status_and_stdout)
{
	ck_assert_int_eq(sh("./urt stat -- tests/probe exit 42 2>/dev/null"),
			 42);
	ck_assert_int_eq(sh("./urt stat -- tests/probe signal 2>/dev/null"),
			 128 + SIGTERM);
	ck_assert_int_eq(sh("./urt stat -- echo only this 2>/dev/null"), 0);
	ck_assert_str_eq(text, "only this\n");
}
END_TEST

START_TEST(stat_forwards_signals)
{
	/* It prints that it hangs once it can be signalled. */
	ck_assert_int_eq(sh("rm -f hang.out; mkfifo hang.out\n"
			    "./urt stat -o stat.txt -- tests/probe hang "
			    ">hang.out & tool=$!\n"
			    "read line <hang.out\n"
			    "kill -USR1 $tool; wait $tool; echo $?\n"
			    "cat stat.txt; rm hang.out"),
			 0);
	ck_assert_int_eq(atoi(text), 7);
	ck_assert_ptr_nonnull(strstr(text, "kernel switches"));
}
END_TEST

START_TEST(bad_input_is_refused_with_advice)
{
	refuses("./urt nonsense", "no such command");
	refuses("./urt stat", "either a command after -- or -p PID");
	refuses("./urt stat -p 99999999 ", "not a number from");
	refuses("./urt stat -p 4194300", "no process has the PID");
	refuses("./urt stat -p abc", "not a number");
	refuses_by(127, "./urt stat -- /no/such/program", "cannot run");
	refuses_by(126, "./urt stat -- /tmp", "cannot run");
	refuses("./urt stat --user nobody-at-all -- true", "no user");
	refuses("./urt stat -o /no/such/file -- true", "cannot write");
	refuses("./urt serve nonsense", "no such model");
	refuses("./urt serve", "name one model");
	refuses("./urt serve epoll --port 99999", "not a number");
	refuses("./urt demo --models thread,nonsense", "no such model");
	refuses("./urt demo --connections 0", "not a number");
	refuses("./urt demo --seconds x", "is not a time from");
	refuses("./urt demo surplus", "unexpected argument");
	refuses("./urt load http://127.0.0.1:1/", "cannot connect");
	refuses("./urt load ftp://x", "invalid URL");
	refuses("./urt bench nonsense", "no such benchmark");
	refuses("ulimit -n 100; setpriv --bounding-set=-sys_resource "
		"--inh-caps=-sys_resource ./urt demo -c 500",
		"ulimit -n");
}
END_TEST

/* Each command would fail for another reason if the time were one. */
START_TEST(time_is_read_alike_by_all_commands)
{
	static const char *const commands[] = {
		"stat --timeout",  "stat -I",
		"stat --delay",	   "top surplus -d",
		"dump --longer",   "profile --duration",
		"record --last",   "record --duration",
		"load -d",	   "load --timeout",
		"sim --time",	   "sim --timeout",
		"demo surplus -d", "export surplus --interval",
	};
	static const char *const times[] = { "1000", "1000ms", "1.5s", "2m" };
	static const char *const wrong[] = { "1h", "1 s",  "ms", "nan",
					     "",   "1e99", "-2" };
	char command[128];

	for (unsigned i = 0; i < ARRAY_LEN(commands); i++) {
		for (unsigned t = 0; t < ARRAY_LEN(times); t++) {
			ck_assert_int_eq(
				sh("./urt %s %s 2>&1", commands[i], times[t]),
				1);
			ck_assert_msg(!strstr(text, "is not a"), "%s: %s",
				      commands[i], text);
		}
		for (unsigned t = 0; t < ARRAY_LEN(wrong); t++) {
			snprintf(command, sizeof(command), "./urt %s \"%s\"",
				 commands[i], wrong[t]);
			refuses(command, "is not a time from");
		}
	}
	ck_assert_int_eq(sh("./urt stat --timeout 0.05s -- sleep 60 2>&1"), 0);
}
END_TEST

START_TEST(port_in_use_is_said)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char command[128];

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, len), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	getsockname(fd, (struct sockaddr *)&addr, &len);
	snprintf(command, sizeof(command), "./urt serve thread --port %d",
		 ntohs(addr.sin_port));
	refuses(command, "is in use");
	close(fd);
}
END_TEST

/* ---- the rest ---- */

START_TEST(doctor_names_what_it_looked_at)
{
	sh("./urt doctor");
	ck_assert_ptr_nonnull(strstr(text, "io_uring"));
	ck_assert_ptr_nonnull(strstr(text, "eBPF"));
	sh("./urt doctor --json");
	ck_assert_ptr_nonnull(strstr(text, "urt.doctor.v1"));
}
END_TEST

START_TEST(output_that_was_not_written_is_an_error)
{
	static const char *const commands[] = {
		"version",
		"help stat",
		"help --bash",
		"doctor --json",
		"serve --list",
		"report out.pftrace",
		"stat --json -o /dev/stdout -- true",
	};

	ck_assert_int_eq(sh("./urt record -o out.pftrace -- true 2>&1"), 0);
	for (unsigned i = 0; i < ARRAY_LEN(commands); i++) {
		ck_assert_int_eq(sh("./urt %s 2>&1 >/dev/full", commands[i]),
				 1);
		ck_assert_msg(strstr(text, "cannot write"), "%s: %s",
			      commands[i], text);
	}
	sh("rm out.pftrace");
}
END_TEST

/* Its file would get the free descriptor. */
START_TEST(closed_standard_streams_are_not_taken_for_files)
{
	static const char *const closed[] = { "<&-", ">&-", "2>&-",
					      "<&- >&- 2>&-" };

	for (unsigned i = 0; i < ARRAY_LEN(closed); i++) {
		sh("(./urt record -o closed.pftrace -- true %s) 2>&1",
		   closed[i]);
		ck_assert_int_eq(sh("./urt report closed.pftrace 2>&1"), 0);
		ck_assert_msg(strstr(text, "0 events dropped"), "%s: %s",
			      closed[i], text);
	}
	ck_assert_int_eq(sh("./urt version 2>&1 >&-"), 1);
	ck_assert_ptr_nonnull(strstr(text, "Bad file descriptor"));
	/* As the command finds its descriptors without urt. */
	ck_assert_int_eq(sh("./urt stat -o closed.txt -- sh -c "
			    "'! [ -e /proc/self/fd/0 ] && "
			    "! [ -e /proc/self/fd/1 ]' <&- >&-"),
			 0);
	sh("rm closed.pftrace closed.txt");
}
END_TEST

Suite *tool_suite(void)
{
	Suite *s = suite_create("tool");
	TCase *t = tcase_create("stat");

	tcase_add_test(t, stat_counts_switches_as_the_kernel_does);
	tcase_add_test(t, stat_tells_in_which_call_it_switched);
	tcase_add_test(t, stat_counts_calls_exactly);
	tcase_add_test(t, stat_follows_children_and_threads);
	tcase_add_test(t, stat_counts_io_uring_operations_exactly);
	tcase_add_test(t, stat_shows_switches_in_user_space);
	tcase_add_test(t, stat_agrees_with_strace);
	tcase_add_test(t, stat_attaches_to_a_running_process);
	tcase_add_test(t, stat_without_bpf_says_what_is_missing);
	tcase_add_test(t, stat_passes_on_exit_status_and_stdout);
	tcase_add_test(t, stat_forwards_signals);
	suite_add_tcase(s, t);
	t = tcase_create("commands");
	tcase_add_test(t, bad_input_is_refused_with_advice);
	tcase_add_test(t, time_is_read_alike_by_all_commands);
	tcase_add_test(t, port_in_use_is_said);
	tcase_add_test(t, doctor_names_what_it_looked_at);
	tcase_add_test(t, output_that_was_not_written_is_an_error);
	tcase_add_test(t, closed_standard_streams_are_not_taken_for_files);
	suite_add_tcase(s, t);
	return s;
}
