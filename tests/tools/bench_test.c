// SPDX-License-Identifier: MIT
/* urt bench: each set prints its figures, and no measurement is lost. */
#define _GNU_SOURCE
#include "../lib/json_tree.h"
#include "../lib/tool_run.h"
#include <signal.h>
#include <unistd.h>

/* However it ends, the complete row is printed, and the document is whole. */
static void ends_with_what_it_has(int sig)
{
	char row[256] = "";
	int fds[2], status;
	FILE *out;
	pid_t pid;

	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		close(fds[1]);
		if (!freopen("/dev/null", "w", stderr))
			_exit(1);
		execl("./urt", "urt", "bench", "-r", "1", "-w", "1", "micro",
		      NULL);
		_exit(127);
	}
	close(fds[1]);
	out = fdopen(fds[0], "r");
	ck_assert_ptr_nonnull(out);
	/* Into a pipe, rows are written while it still runs. */
	while (strncmp(row, "yield", 5))
		ck_assert_ptr_nonnull(fgets(row, sizeof(row), out));
	ck_assert_int_eq(waitpid(pid, &status, WNOHANG), 0);
	kill(pid, sig);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 1,
		      "signal %d: status %x", sig, status);
	fclose(out);
}

START_TEST(bench_keeps_what_it_has_when_a_signal_ends_it)
{
	ends_with_what_it_has(SIGTERM);
	ends_with_what_it_has(SIGINT);
	ends_with_what_it_has(SIGHUP);
}
END_TEST

START_TEST(bench_writes_a_whole_document_when_a_signal_ends_it)
{
	sh("timeout -s TERM 1.5 ./urt bench --json -r 51 -w 1 "
	   "yield 2>/dev/null; echo END");

	ck_assert_ptr_nonnull(
		row(NULL, json_pack("{s:s}", "schema", "urt.bench.v1")));
	ck_assert_ptr_nonnull(row(NULL, json_pack("{s:s}", "name", "yield")));
	ck_assert_ptr_nonnull(
		strstr(text, "],\"interrupted\":\"ended by a signal\"}\nEND"));
}
END_TEST

/* When the second process runs, the first one's figures are printed. */
START_TEST(bench_tracing_keeps_what_it_has_when_a_signal_ends_it)
{
	static const char *const signals[] = { "TERM", "INT", "HUP" };

	ck_assert_int_eq(
		sh("./urt bench --tracing --ours --json >tracing.out 2>&1 & "
		   "of=$!\n"
		   "child() { cat /proc/$of/task/$of/children; }\n"
		   "until first=$(child) && [ -n \"$first\" ]; do :; done\n"
		   "until now=$(child) && [ -n \"$now\" ] && "
		   "[ \"$now\" != \"$first\" ]; do :; done\n"
		   "kill -%s $of; wait $of; code=$?\n"
		   "cat tracing.out; rm tracing.out; kill -0 $now; "
		   "[ $? = 1 ] && exit $code",
		   signals[_i]),
		1);
	ck_assert_msg(strstr(text, "\"way\":\"alone\",\"event\":\"yield\","
				   "\"ns\":null") == NULL,
		      "%s", text);
	ck_assert_ptr_nonnull(row(NULL, json_pack("{s:s}", "way", "alone")));
	ck_assert_ptr_nonnull(
		strstr(text, "},\"interrupted\":\"ended by a signal\"}\n"));
	ck_assert_ptr_nonnull(
		row(NULL, json_pack("{s:s}", "unavailable",
				    "ended by a signal before it")));
}
END_TEST

START_TEST(bench_latency_asks_a_server_in_each_runtime)
{
	ck_assert_int_eq(sh("./urt bench --json -r 1 -w 1 reads-0 burst-1000"),
			 0);
	ck_assert_ptr_nonnull(
		row(NULL, json_pack("{s:s}", "figure", "first 1000")));
	ck_assert_ptr_nonnull(
		row(NULL, json_pack("{s:s}", "figure", "last first answer")));
	ck_assert_ptr_nonnull(
		row(NULL, json_pack("{s:s}", "runtime", "epoll")));
	ck_assert_ptr_nonnull(
		row(NULL, json_pack("{s:s}", "runtime", "uring_rt")));
	ck_assert_ptr_null(strstr(text, "unavailable"));
}
END_TEST

START_TEST(bench_stall_tells_messages_with_a_loop_from_those_without)
{
	json_t *plain, *loop;

	ck_assert_int_eq(sh("./urt bench --json -r 1 -w 1 stall-64-1ms"), 0);
	ck_assert_ptr_nonnull(
		row(NULL, json_pack("{s:s}", "figure", "answers")));
	plain = row(NULL, json_pack("{s:s}", "figure", "without: max"));
	loop = row(NULL, json_pack("{s:s}", "figure", "with a loop: p50"));
	ck_assert(plain && loop);
	/* A loop of 1 ms was requested, so no answer comes sooner. */
	ck_assert_double_gt(value(loop, "ns"), 900);
}
END_TEST

START_TEST(bench_takes_names_and_sets_of_them)
{
	ck_assert_int_eq(sh("./urt bench --json -r 1 -w 1 'chan-*'"), 0);
	ck_assert_ptr_nonnull(
		row(NULL, json_pack("{s:s}", "name", "chan-buffered")));
	ck_assert_ptr_nonnull(
		row(NULL, json_pack("{s:s}", "name", "chan-pingpong")));
	ck_assert_ptr_null(row(NULL, json_pack("{s:s}", "name", "yield")));
	ck_assert_int_eq(sh("./urt bench --json -r 1 -w 1 micro yield"), 0);
	ck_assert_ptr_nonnull(row(NULL, json_pack("{s:s}", "name", "yield")));
	ck_assert_ptr_null(
		row(NULL, json_pack("{s:s}", "name", "chan-buffered")));
	refuses("./urt bench yield nonsense", "no such benchmark");
	refuses("./urt bench -w 5 yield", "expected one of 1, 2, 4, 8");
}
END_TEST

Suite *bench_suite(void)
{
	Suite *s = suite_create("bench");
	TCase *t = tcase_create("bench");

	tcase_add_test(t, bench_keeps_what_it_has_when_a_signal_ends_it);
	tcase_add_test(t, bench_writes_a_whole_document_when_a_signal_ends_it);
	tcase_add_loop_test(
		t, bench_tracing_keeps_what_it_has_when_a_signal_ends_it, 0, 3);
	tcase_add_test(t, bench_latency_asks_a_server_in_each_runtime);
	tcase_add_test(
		t, bench_stall_tells_messages_with_a_loop_from_those_without);
	tcase_add_test(t, bench_takes_names_and_sets_of_them);
	suite_add_tcase(s, t);
	return s;
}
