// SPDX-License-Identifier: MIT
/*
 * The options of `urt demo`: results that are compared, resumed, reported and asserted,
 * a server of one's own, an interrupt.
 */
#include "../lib/demo_run.h"

/* A result with one model, with these rates in its rounds. */
static void write_result(const char *file, const char *kernel,
			 const char *verdict, const char *rps)
{
	ck_assert_int_eq(
		sh("printf '{\"schema\":\"urt.demo.v1\",\"host\":{\"kernel\":"
		   "\"%s\",\"time\":\"noon\\u0021\"},\"models\":[{\"model\":"
		   "\"go\",\"path\":\"/\",\"connections\":8,"
		   "\"requests_per_connection\":null,\"rounds\":[' >%s; "
		   "for n in %s; do printf '%%s{\"rps\":%%s}' \"$comma\" $n; "
		   "comma=,; done >>%s; printf ']}],\"waiting\":[{\"model\":"
		   "\"go\",\"wanted\":9,\"threads\":%d}],\"claims\":[{\"id\":4,"
		   "\"verdict\":\"%s\"}]}\n' >>%s",
		   kernel, file, rps, file, *kernel - '0', verdict, file),
		0);
}

/* By the table of the Mann-Whitney test: 1 of 20 orders of two times three
 * values has no overlap with the lower ones first, so 90 %. */
START_TEST(demo_compare_tells_changes_from_chance)
{
	write_result("old.json", "6.1", "holds", "100 104 102");
	write_result("new.json", "6.1", "holds", "107 103 101");
	ck_assert_int_eq(sh("./urt demo --compare old.json --with new.json"),
			 0);
	ck_assert_msg(has("Changes since noon!\n\n0 of 1 figures differ"), "%s",
		      text);
	write_result("new.json", "7.1", "does not hold", "210 206 208");
	ck_assert_int_eq(sh("./urt demo --compare old.json --with new.json"),
			 0);
	ck_assert_msg(has("  kernel: 6.1 -> 7.1\n"), "%s", text);
	ck_assert(has("  claim 4: holds -> does not hold\n"));
	ck_assert(has("1 of 1 figures differ; 0 would by chance"));
	ck_assert(has("102        208   +103.9   +100.0 .. +107.8  go, /, "
		      "connections 8: requests/s"));
	ck_assert(has("without confidence, differ by more than 10 %"));
	ck_assert(has("+16.7                     waiting: go, wanted 9: "
		      "threads"));
	/* Two rounds in one order of six: not enough. */
	write_result("new.json", "6.1", "holds", "210 206");
	sh("sed -i 's/104},{\"rps\":102/104/' old.json; "
	   "./urt demo --compare old.json --with new.json");
	ck_assert_msg(has("0 of 0 figures differ"), "%s", text);
	ck_assert(has("Too few rounds for a verdict: 1 of the figures"));
}
END_TEST

START_TEST(demo_compare_refuses_other_documents)
{
	ck_assert_int_eq(sh("./urt demo --with x.json 2>&1"), 1);
	ck_assert(has("--with needs --compare OLD.json"));
	ck_assert_int_eq(sh("./urt demo --compare missing.json 2>&1"), 1);
	ck_assert(has("cannot read missing.json: No such file"));
	sh("echo '{\"schema\":\"urt.demo.v1\",}' >old.json");
	ck_assert_int_eq(sh("./urt demo --compare old.json 2>&1"), 1);
	ck_assert(has("old.json is not JSON from byte 24 on"));
	sh("echo '{\"schema\":\"urt.stat.v1\"}' >old.json");
	ck_assert_int_eq(sh("./urt demo --compare old.json 2>&1"), 1);
	ck_assert(has("old.json is not a result of `urt demo --json`"));
	/* An empty document has nothing in common with a run. */
	sh("echo '{\"schema\":\"urt.demo.v1\"}' >old.json");
	ck_assert_int_eq(sh("./urt demo --quick --only 3 --waiting 20 -m epoll "
			    "--compare old.json"),
			 0);
	ck_assert_msg(has("kernel: none -> Linux"), "%s", text);
	ck_assert(has("0 of 0 figures differ"));
	sh("rm old.json new.json");
}
END_TEST

/* One model that waits: the smallest run with something to assert. */
#define LITTLE "./urt demo --quick --only 3 --waiting 20 -m epoll --json "

START_TEST(demo_assert_decides_the_exit_code)
{
	ck_assert_int_eq(sh(LITTLE "--assert '3.threads_epoll<3' "
				   "--assert '3.threads_epoll>=1'"),
			 0);
	/* An assertion about a missing measurement fails. */
	ck_assert_int_eq(sh(LITTLE "--assert '3.threads_epoll>1000' "
				   "--assert 1=holds "
				   "--assert '1.entries_per_switch<1' 2>&1"),
			 3);
	ck_assert(has("assert failed: 3.threads_epoll>1000: it is "));
	ck_assert(has("assert failed: 1=holds: "));
	ck_assert_msg(has("assert failed: 1.entries_per_switch<1: not "
			  "requested"),
		      "%.3000s", text);
	ck_assert_int_eq(sh(LITTLE "--assert nonsense 2>&1"), 1);
}
END_TEST

START_TEST(demo_interrupted_prints_what_it_has)
{
	int seconds, code;

	/* The first model would run for an hour. On a busy machine it begins
	 * late, and Ctrl-C may end urt before there is anything to print. */
	for (seconds = 3; seconds < 100; seconds *= 2) {
		code = sh("setsid -w timeout -s INT --preserve-status %d "
			  "./urt demo --only 2,8 -c 8 -d 3600 -m epoll,thread "
			  "2>&1",
			  seconds);
		if (code == 128 + SIGINT)
			continue;
		ck_assert_int_eq(code, 0);
		ck_assert_msg(has("Interrupted"), "%.3000s", text);
		ck_assert_msg(has("interrupted before it was measured"),
			      "%.3000s", text);
		if (has("\n  epoll "))
			break;
	}
	ck_assert_msg(seconds < 100, "%.3000s", text);
}
END_TEST

/* The first table is there while the next one is still being measured. */
START_TEST(demo_prints_a_finished_table_at_once)
{
	/* It would continue for ten more seconds; the exit code of kill shows
	 * that it still runs. */
	ck_assert_int_eq(sh("rm -f table; mkfifo table; ./urt demo --only 3,6 "
			    "--waiting 20 -m epoll --full 2>/dev/null >table & "
			    "pid=$!; sed '/20 requests that wait/q' table; "
			    "kill $pid"),
			 0);
	ck_assert_msg(has("20 requests that wait"), "%.3000s", text);
	ck_assert(!has("Claims"));
}
END_TEST

START_TEST(demo_checks_the_directory_of_the_report_first)
{
	ck_assert_int_eq(sh("timeout 60 ./urt demo --full --report "
			    "/no/such/place 2>&1"),
			 1);
	ck_assert(has("cannot make /no/such/place"));
	ck_assert(!has("Claims"));
}
END_TEST

START_TEST(demo_writes_a_report)
{
	ck_assert_int_eq(sh("rm -rf report; ./urt demo --quick --only 2,3 "
			    "--waiting 100 -m epoll,coroutine "
			    "--report report >/dev/null"),
			 0);
	ck_assert_int_eq(sh("cat report/report.json"), 0);
	ck_assert(has("\"schema\":\"urt.demo.v1\""));
	ck_assert_int_eq(sh("cat report/report.md"), 0);
	ck_assert(has("| 2 | A switch between coroutines is at least 10"));
	ck_assert_int_eq(
		sh("./urt demo --quick --only 3 -m epoll "
		   "--waiting 20 --report /no/such/place 2>&1 >/dev/null"),
		1);
	ck_assert(has("cannot make /no/such/place"));
	/* The same again, from the document alone. */
	ck_assert_int_eq(
		sh("rm -rf again; ./urt demo --from report/report.json "
		   "--report again 2>&1"),
		0);
	ck_assert_int_eq(sh("for f in index.html report.md waiting.svg; do "
			    "cmp report/$f again/$f || exit 1; done 2>&1"),
			 0);
	ck_assert_int_eq(sh("./urt demo --from report/report.md 2>&1"), 1);
	ck_assert(has("report.md is not JSON"));
	ck_assert_int_eq(sh("sed -i 's/\"mode\":/\"mood\":/' "
			    "report/report.json; "
			    "./urt demo --from report/report.json 2>&1"),
			 1);
	ck_assert(has("has no complete \"settings\""));
}
END_TEST

/* A second run has the measurements of the first, to the ns. */
START_TEST(demo_resumes_with_what_is_missing)
{
#define RESUME "./urt demo --quick --only 3 --waiting 20 --resume part.json "
	static const char own[] = "grep -o '\"model\":\"epoll\",\"wanted\""
				  "[^}]*' part.json >%s";

	ck_assert_int_eq(sh("rm -f part.json; " RESUME "-m epoll 2>&1"), 0);
	sh(own, "first");
	ck_assert_int_eq(sh(RESUME "-m epoll,coroutine 2>&1"), 0);
	ck_assert_msg(has("\n  coroutine "), "%s", text);
	sh(own, "second");
	ck_assert_int_eq(sh("test -s first && cmp first second 2>&1"), 0);
	ck_assert_int_eq(sh("grep -c '\"interrupted\":\"no\"' part.json"), 0);
	ck_assert_int_eq(sh(RESUME "-m epoll -d 7 2>&1"), 1);
	ck_assert(has("was measured with another mode, --seconds or --wait"));
	sh("rm part.json first second");
}
END_TEST

/* A user's own server takes part as far as its answers allow. */
START_TEST(demo_measures_a_server_of_ones_own)
{
	ck_assert_int_eq(sh("./urt demo --quick --only 3,7,8 -c 16 -m epoll "
			    "-d 0.1 -w 2 --waiting 20 --json --server "
			    "'mine=./urt serve thread --port {port} --backend "
			    "{backend}' 2>err"),
			 0);
	none_failed();
	ck_assert(figure("measured", "threads_mine") >= 21);
	ck_assert(figure("measured", "speedup_mine") > 0 ||
		  has("the CPUs were not free"));
	ck_assert(has("\"model\":\"mine\""));
	ck_assert_int_eq(sh("cat err"), 0);
	ck_assert_msg(has("mine: / yes; /wait (claims 3, 4, 5): yes; /cpu (6, "
			  "7): yes; nonsense is answered with status 400"),
		      "%s", text);
	/* Without {backend}, its /wait asks another backend. */
	ck_assert_int_eq(sh("./urt demo --quick --only 3 -m epoll --waiting 20 "
			    "--json --server 'mine=./urt serve epoll --port "
			    "{port}' 2>&1"),
			 0);
	ck_assert_msg(has("it does not ask the backend on {backend}"), "%s",
		      text);
	ck_assert(isnan(figure("measured", "threads_mine")));
	ck_assert_int_eq(sh("./urt demo --quick --only 3 --server "
			    "'mine=: {port}' 2>&1"),
			 1);
	ck_assert_msg(has("--server mine: the server ended at once"), "%s",
		      text);
}
END_TEST

START_TEST(demo_refuses_bad_options_with_advice)
{
	static const struct {
		const char *options, *says;
	} bad[] = {
		{ "--only 11", "not a number from 1 to 10" },
		{ "--models thread,nonsense", "no such model" },
		{ "--connections 0", "not a number" },
		{ "--waiting x", "not a number" },
		{ "--rounds 100", "not a number" },
		{ "--seconds 0", "not a time from" },
		{ "--backend redis://192.0.2.1", "expected redis://127.0.0.1" },
		{ "--server mine", "expected NAME='COMMAND'" },
		{ "--server 'mine=true'", "with {port} in it" },
		{ "--server 'epoll=x {port}'", "is a model of urt" },
		{ "part nonsense 3", "no such part" },
	};

	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		ck_assert_int_eq(sh("./urt demo %s 2>&1", bad[i].options), 1);
		ck_assert_msg(has(bad[i].says), "%s: %s", bad[i].options, text);
	}
}
END_TEST

Suite *demo_options_suite(void)
{
	Suite *s = suite_create("demo_options");
	TCase *t = tcase_create("demo_options");

	tcase_set_timeout(t, 300);
	tcase_add_test(t, demo_compare_tells_changes_from_chance);
	tcase_add_test(t, demo_compare_refuses_other_documents);
	tcase_add_test(t, demo_assert_decides_the_exit_code);
	tcase_add_test(t, demo_interrupted_prints_what_it_has);
	tcase_add_test(t, demo_prints_a_finished_table_at_once);
	tcase_add_test(t, demo_checks_the_directory_of_the_report_first);
	tcase_add_test(t, demo_writes_a_report);
	tcase_add_test(t, demo_resumes_with_what_is_missing);
	tcase_add_test(t, demo_measures_a_server_of_ones_own);
	tcase_add_test(t, demo_refuses_bad_options_with_advice);
	suite_add_tcase(s, t);
	return s;
}
