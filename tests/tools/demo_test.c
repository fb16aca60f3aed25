// SPDX-License-Identifier: MIT
/*
 * A small experiment: each claim alone with the models in C, so that figures
 * and verdict are checked against facts that hold on any machine; and the
 * behaviour of the command. A test cannot know a claim's verdict on this
 * machine, but it checks that the verdict follows from the figures.
 */
#include "../lib/demo_run.h"
#include "../lib/json_tree.h"

/* The models that are always available. */
#define C_MODELS "-m thread,epoll,uring-loop,coroutine "

/* Claim n holds if its figures say so; if not, it may be "not measured" because
 * other programs used the CPUs. */
static bool verdict_follows(int n, bool holds)
{
	if (holds)
		return verdict(n, "holds");
	return verdict(n, "does not hold") ||
	       (verdict(n, "not measured") && has("the CPUs were not free"));
}

/*
 * Whether `calls` were counted for n requests, from `least` to `most` for each.
 * At both ends of the counting, each connection may have made the calls of one
 * request without the request, or the reverse; n is small if the machine is
 * busy.
 */
static bool calls_of(double n, double per_request, double least, double most,
		     int connections)
{
	double calls = per_request * n, edge = 2 * most * connections;

	return calls > least * n - edge && calls < most * n + edge;
}

START_TEST(demo_counts_the_kernel_entries_of_user_switches)
{
	bool bpf = have_bpf();

	ck_assert_int_eq(sh("./urt demo --quick --only 1 --json"), 0);
	if (!bpf) {
		ck_assert(verdict(1, "not measured"));
		SKIP("no BPF here: `urt doctor` says why");
	}
	/* Two coroutines yield 10 million times each. While one is on a thread
	 * without a CPU, the other one's yields switch to nothing. */
	ck_assert(figure("measured", "user_switches") > 1000);
	ck_assert(figure("measured", "user_switches") < 20.1e6);
	ck_assert_double_eq_tol(figure("measured", "entries_per_switch") *
					figure("measured", "user_switches"),
				figure("measured", "kernel_switches") +
					figure("measured", "syscalls"),
				1);
	ck_assert(figure("measured", "syscalls") > 0);
	ck_assert(verdict_follows(1, figure("measured", "entries_per_switch") <
					     0.001));
	ck_assert(verdict(2, "not measured"));
	ck_assert(has("not requested (--only)"));
}
END_TEST

START_TEST(demo_times_switches_of_all_kinds)
{
	ck_assert_int_eq(sh("./urt demo --quick --only 2 --json"), 0);
	ck_assert(figure("measured", "call_ns") > 0);
	ck_assert(figure("measured", "coroutine_ns") > 0);
	ck_assert(figure("measured", "thread_ns") > 0);
	ck_assert(verdict_follows(
		2, figure("measured", "thread_ns") >=
			   10 * figure("measured", "coroutine_ns")));
}
END_TEST

START_TEST(demo_holds_waiting_requests_and_reads_threads_and_memory)
{
	/* Claim 5 needs more coroutines than TSan allows. */
	ck_assert_int_eq(sh("./urt demo --quick --only 3,4%s "
			    "--waiting 20,100 --json " C_MODELS,
			    SANITIZED ? "" : ",5"),
			 0);
	none_failed();
	ck_assert(figure("measured", "waiting_100_thread") == 100);
	ck_assert(figure("measured", "waiting_100_coroutine") == 100);
	/* TSan may add a thread of its own to each. */
	ck_assert(figure("measured", "threads_thread") >= 21);
	ck_assert(figure("measured", "threads_thread") <= 21 + TSANITIZED);
	ck_assert(figure("measured", "threads_epoll") <= 1 + TSANITIZED);
	ck_assert(verdict(3, "not measured")); /* 20 are too few for a
						  verdict */
	ck_assert(verdict(4, "not measured")); /* 100 are not 40,000 */
	if (!SANITIZED)
		ck_assert(figure("measured", "state_machine_bytes") > 50);
	ck_assert(has("\"answered\":100"));
}
END_TEST

/* Memory is checked against the source: a thread's stack cannot be smaller than
 * its read buffer, and a connection of the loop is its struct. */
START_TEST(demo_measures_memory_that_fits_the_source)
{
	if (SANITIZED)
		SKIP("sanitizers have memory of their own");
	ck_assert_int_eq(sh("./urt demo --quick --only 4 --waiting 500 "
			    "--json -m thread,epoll"),
			 0);
	ck_assert(figure("waiting", "process_bytes") / 500 > 4096);
	ck_assert(figure("waiting", "process_bytes") / 500 < 40960);
}
END_TEST

/* One connection uses memory that the first requests have left: without growth
 * there is no figure. Other programs influence the kernel's. */
START_TEST(demo_gives_no_memory_where_none_came)
{
	ck_assert_int_eq(sh("./urt demo --quick --only 4 --waiting 1 -m epoll "
			    "--report one"),
			 0);
	ck_assert_msg(!has("nan"), "%.3000s", text);
	ck_assert_int_eq(sh("cat one/report.json; rm -r one"), 0);
	ck_assert(!(figure("waiting", "process_bytes") <= 0));
	ck_assert(!(figure("waiting", "kernel_bytes") <= 0));
	if (isnan(figure("waiting", "process_bytes")))
		ck_assert_msg(has("\"memory_reason\":\"the process had no more "
				  "memory than before ("),
			      "%.3000s", text);
}
END_TEST

/* A page of stack for each, and a share of the runtime. */
START_TEST(demo_coroutine_with_lent_buffers_waits_in_a_page)
{
	if (SANITIZED)
		SKIP("sanitizers have memory of their own");
	ck_assert_int_eq(sh("./urt demo --quick --only 4 --waiting 1000 "
			    "--json -m coroutine-lent"),
			 0);
	if (has("\"status\":\"skipped\""))
		SKIP("io_uring cannot be used here");
	ck_assert_msg(figure("waiting", "process_bytes") / 1000 < 6144,
		      "%.3000s", text);
}
END_TEST

START_TEST(demo_measures_light_requests_beside_a_burst)
{
	ck_assert_int_eq(sh("./urt demo --quick --only 6 --json "
			    "-m epoll,thread,coroutine"),
			 0);
	/* A burst of 200 ms stops the loop for as long. */
	ck_assert(figure("measured", "max_ns_epoll") > 100e6);
	ck_assert(figure("measured", "p50_ns_epoll") <
		  figure("measured", "max_ns_epoll"));
	ck_assert(figure("measured", "p99_ns_thread") > 0);
	ck_assert(verdict_follows(
		6, figure("measured", "p99_ns_epoll") >= 100e6 &&
			   figure("measured", "p99_ns_coroutine") < 50e6));
}
END_TEST

START_TEST(demo_measures_speed_up_on_all_cpus)
{
	ck_assert_int_eq(sh("./urt demo --quick --only 7 --json "
			    "-m epoll,coroutine"),
			 0);
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		ck_assert(verdict(7, "not measured"));
		SKIP("there is only one CPU");
	}
	/* Each one's speed depends on other programs; the verdict does not. */
	ck_assert(figure("measured", "speedup_epoll") > 0);
	ck_assert(figure("measured", "speedup_coroutine") > 0);
	if (figure("measured", "speedup_coroutine") >=
	    0.75 * figure("measured", "cpus"))
		ck_assert(verdict(7, figure("measured", "speedup_epoll") < 1.25
					     ? "holds"
					     : "does not hold"));
	else /* the CPUs may not have been free, which is then the reason */
		ck_assert(verdict(7, "does not hold") ||
			  (verdict(7, "not measured") &&
			   has("the CPUs were not free")));
}
END_TEST

/* Another program uses one of two CPUs: no verdict, with the reason. */
START_TEST(demo_does_not_judge_speed_up_where_cpus_are_taken)
{
	if (sysconf(_SC_NPROCESSORS_ONLN) != 2)
		SKIP("needs two CPUs");
	ck_assert_int_eq(sh("(while :; do :; done) & busy=$!; "
			    "./urt demo --only 7 --rounds 1 -d 0.4 --json "
			    "-m epoll,thread,coroutine; kill $busy"),
			 0);
	ck_assert(figure("scaling", "others_cpus") > 0.15);
	if (figure("measured", "speedup_coroutine") < 1.5) {
		ck_assert(verdict(7, "not measured"));
		ck_assert(has("the CPUs were not free: other programs used"));
	}
}
END_TEST

START_TEST(demo_counts_the_kernel_per_request)
{
	bool bpf = have_bpf();

	ck_assert_int_eq(sh("./urt demo --quick --only 8 -c 16 -w 2 --rounds 2 "
			    "-d 0.1 --json -m thread,epoll,coroutine"),
			 0);
	none_failed();
	ck_assert(figure(NULL, "errors") == 0);
	ck_assert(figure("models", "rps_spread") >= 0);
	if (!bpf) {
		ck_assert(verdict(8, "not measured"));
		SKIP("no BPF here: `urt doctor` says why");
	}
	/* A blocking receive and a send: two calls on any machine; in two
	 * rounds. */
	ck_assert_msg(calls_of(figure("models", "requests"),
			       figure("measured", "syscalls_thread_16"), 2,
			       SANITIZED ? 4 : 2.2, 2 * 16),
		      "%.3000s", text);
	ck_assert(figure("measured", "syscalls_coroutine_16") > 0);
}
END_TEST

/* Of 10 requests on a connection, the accept and the close are shared. */
START_TEST(demo_measures_connections_that_come_and_go)
{
	bool bpf = have_bpf();
	json_t *one;

	ck_assert_int_eq(sh("./urt demo --only 8 -c 8 -d 0.1 -w 2 --rounds 1 "
			    "--json -m thread"),
			 0);
	none_failed();
	one = row(NULL, json_pack("{s:i}", "requests_per_connection", 10));
	ck_assert_ptr_nonnull(one);
	ck_assert_int_eq(value(one, "errors"), 0);
	if (!bpf)
		SKIP("no BPF here: `urt doctor` says why");
	/* A receive and a send for each; a tenth of accept, clone, the last
	 * receive, close and the end of a thread. */
	ck_assert_msg(calls_of(value(one, "requests"), value(one, "syscalls"),
			       2.2, 6, 8),
		      "%.3000s", text);
}
END_TEST

/* A wrk of our own, whose figures are known to be wrong. */
START_TEST(demo_flags_a_second_generator_that_differs)
{
#define SECOND "./urt demo --only 8 --rounds 1 -d 0.05 -c 8 -m epoll 2>&1"
	sh("mkdir -p bin; printf '#!/bin/sh\\necho \"  100 requests in 1.00s, "
	   "6KB read\"; echo Requests/sec: 100.00\\n' >bin/wrk; "
	   "chmod +x bin/wrk");
	ck_assert_int_eq(sh("PATH=$PWD/bin:$PATH " SECOND), 0);
	ck_assert_msg(has(" 100  0."), "%s", text);
	ck_assert(has("not explained\n"));
	ck_assert(has("(three backends in turn), "));
	ck_assert(has("(three backends at once), "));
	ck_assert(has("warning: epoll: urt load and wrk measure different"));
	sh("rm -r bin");
}
END_TEST

START_TEST(demo_measures_the_bounds_of_the_coroutine)
{
	ck_assert_int_eq(sh("./urt demo --bounds --only 3,8 --rounds 2 -d 0.05 "
			    "--waiting 50 --json -o bounds.json; "
			    "./urt demo --from bounds.json"),
			 0);
	ck_assert_msg(has("requests/s at full load, of uring-loop's: at least "
			  "0.970"),
		      "%s", text);
	ck_assert(has("times, of 2: "));
	ck_assert(has(" bytes, of 50: "));
	ck_assert(has("n/a ms, of 0: not measured"));
	/* Its tables fit a terminal of 80 columns. */
	ck_assert_int_eq(sh("COLUMNS=80 ./urt demo --from bounds.json | "
			    "awk 'length > 80 { print; bad = 1 } "
			    "END { exit bad }'"),
			 0);
	/* All of it again, to the last digit. */
	ck_assert_int_eq(sh("./urt demo --from bounds.json --json -o again.json"
			    " && cmp bounds.json again.json 2>&1"),
			 0);
	sh("rm bounds.json again.json");
}
END_TEST

START_TEST(demo_records_how_one_request_waits)
{
	NEED_BPF();
	ck_assert_int_eq(sh("./urt demo --only 3 --waiting 20 -m coroutine "
			    "--json -o waits.json 2>&1 && cat waits.json"),
			 0);
	none_failed();
	ck_assert_int_eq(sh("grep -o '\"timelines\".*' waits.json"), 0);
	ck_assert_msg(has("\"kind\":\"coroutine\""), "%.900s", text);
	ck_assert(has("\"state\":\"waits\",\"what\":\"wait: io_uring_enter"));
	ck_assert_int_eq(sh("./urt demo --from waits.json --json -o again.json "
			    "&& cmp waits.json again.json 2>&1"),
			 0);
	ck_assert_int_eq(sh("./urt demo --from waits.json --report waits "
			    ">/dev/null; cat waits/index.html"),
			 0);
	ck_assert(has("<h2>How one request waits</h2>"));
	sh("rm -r waits.json again.json waits");
}
END_TEST

START_TEST(demo_measures_messages_with_busy_loops)
{
	ck_assert_int_eq(sh("./urt demo --only 6 --rounds 1 -d 0.1 "
			    "-m coroutine --json -o stalls.json"),
			 0);
	ck_assert_int_eq(sh("./urt demo --from stalls.json"), 0);
	ck_assert_msg(has("stall-64-1ms    coroutine "), "%s", text);
	ck_assert(has("stall-160-100us coroutine "));
	/* As text it is broken into lines. */
	ck_assert_int_eq(sh("cat stalls.json; rm stalls.json"), 0);
	ck_assert(has("p99.9 of messages without a busy loop)"));
}
END_TEST

/* The choice uses the same figures as the claims. */
START_TEST(demo_says_node_or_go_by_their_figures)
{
	double node;
	json_t *chosen;

	if (not_here("node") || not_here("go"))
		SKIP("Node and Go are not both installed");
	ck_assert_int_eq(sh("./urt demo --quick --only 3 --waiting 50 "
			    "-m node,go --report choice"),
			 0);
	if (!has("had no more memory than before")) {
		ck_assert_msg(has("Node or Go?"), "%.3000s", text);
		ck_assert(has("Fan-out I/O: Node and Go were not both "
			      "measured."));
		ck_assert(has("  Long-lived connections: "));
	}
	ck_assert_int_eq(sh("cat choice/report.json; rm -r choice"), 0);
	node = (figure("waiting", "process_bytes") +
		figure("waiting", "kernel_bytes")) /
	       50e3; /* the first one is Node's */
	chosen = row(NULL, json_pack("{s:s}", "figure",
				     "memory of a request that waits, KB"));
	if (!chosen) { /* one of them has no figure, so there is no choice */
		ck_assert_msg(has("had no more memory than before"), "%.3000s",
			      text);
		return;
	}
	if (isnan(node))
		ck_assert(json_is_null(json_object_get(chosen, "node")));
	else
		ck_assert_double_eq_tol(value(chosen, "node"), node,
					0.01 * node);
}
END_TEST

START_TEST(demo_counts_the_kernel_by_load)
{
	bool bpf = have_bpf();
	json_t *idle, *full;
	double n;

	ck_assert_int_eq(sh("./urt demo --quick --only 10 -d 0.3 --json "
			    "-m thread,coroutine >steps.json"),
			 0);
	/* On the terminal, in Markdown and on the page. */
	ck_assert_int_eq(sh("./urt demo --from steps.json --report steps.d "
			    ">steps.out && cat steps.out steps.d/report.md "
			    "steps.d/index.html | grep -c 'What each step'"),
			 0);
	ck_assert_str_eq(text, "3\n");
	ck_assert_int_eq(sh("cat steps.json && rm -r steps.*"), 0);
	none_failed();
	/* The rate of the open loop was kept. */
	ck_assert(figure("by_load", "requests") > 0);
	ck_assert(has("\"due_per_s\":1000"));
	if (!bpf) {
		ck_assert(verdict(10, "not measured"));
		SKIP("no BPF here: `urt doctor` says why");
	}
	/* A thread receives and sends for each request, at any load; the number
	 * of coroutines' switches at full load depends on the machine. */
	full = row(NULL,
		   json_pack("{s:s, s:i}", "model", "thread", "share", 1));
	ck_assert_ptr_nonnull(full);
	n = value(full, "requests");
	ck_assert(calls_of(n, figure("measured", "syscalls_thread_at_100"), 2,
			   1e3, 64));
	/* Up to one request on each of the 64 connections may have been
	 * answered before the first look, but read by the generator after it.
	 * If the look is interrupted, half of the requests due meanwhile add to
	 * that: 32 in 64 ms. */
	idle = row(NULL,
		   json_pack("{s:s, s:i}", "model", "thread", "share", 0));
	ck_assert_ptr_nonnull(idle);
	n = value(idle, "requests");
	ck_assert(figure("measured", "syscalls_thread_at_0") >
		  2 * (n - 64 - 32) / n);
	ck_assert(figure("measured", "switches_coroutine_at_0") > 0);
	ck_assert(verdict_follows(
		10,
		figure("measured", "switches_coroutine_at_0") < 0.5 &&
			figure("measured", "switches_coroutine_at_100") < 0.5));
}
END_TEST

START_TEST(demo_starts_very_many_sleepers)
{
	if (SANITIZED)
		SKIP("sanitizers multiply the memory of a stack");
	ck_assert_int_eq(sh("./urt demo --quick --only 9 --json -m coroutine"),
			 0);
	ck_assert(figure("measured", "coroutines") == 200000);
	ck_assert(figure("measured", "coroutine_bytes") > 1000);
	ck_assert(figure("measured", "coroutine_bytes") < 20000);
	ck_assert(verdict(9, "holds"));
}
END_TEST

/* Each request needs one event or one start of a goroutine, at least: the
 * client waits for its answer before it sends the next. */
static void tells_user_switches(const char *model, const char *what)
{
	if (not_here(model))
		SKIP("%s is not installed", model);
	ck_assert_int_eq(
		sh("./urt demo --quick --only 8 -d 0.1 -m %s --json", model),
		0);
	if (has("n/a: needs uvMetricsInfo"))
		SKIP("this Node does not count its events");
	ck_assert(has(what));
	ck_assert(figure("per_request", "user_switches") > 0.8);
	ck_assert(figure("per_request", "user_switches") < 8);
}

START_TEST(demo_asks_node_and_go_for_their_user_switches)
{
	tells_user_switches("node", "events that the event loop handled");
	tells_user_switches("go", "a goroutine was set running");
	ck_assert_int_eq(
		sh("./urt demo --quick --only 8 -d 0.1 -m epoll,thread "
		   "--json"),
		0);
	ck_assert(isnan(figure("per_request", "user_switches")));
	ck_assert(has("n/a: the kernel switches its threads"));
	ck_assert(has("n/a: callbacks of one loop"));
}
END_TEST

Suite *demo_suite(void)
{
	Suite *s = suite_create("demo");
	TCase *t = tcase_create("claims"), *command = tcase_create("command");

	tcase_add_test(t, demo_counts_the_kernel_entries_of_user_switches);
	tcase_add_test(t, demo_times_switches_of_all_kinds);
	tcase_add_test(command, demo_asks_node_and_go_for_their_user_switches);
	tcase_add_test(
		t, demo_holds_waiting_requests_and_reads_threads_and_memory);
	tcase_add_test(t, demo_measures_memory_that_fits_the_source);
	tcase_add_test(t, demo_gives_no_memory_where_none_came);
	tcase_add_test(t, demo_coroutine_with_lent_buffers_waits_in_a_page);
	tcase_add_test(t, demo_measures_light_requests_beside_a_burst);
	tcase_add_test(t, demo_measures_speed_up_on_all_cpus);
	tcase_add_test(t, demo_does_not_judge_speed_up_where_cpus_are_taken);
	tcase_add_test(t, demo_counts_the_kernel_per_request);
	tcase_add_test(t, demo_measures_connections_that_come_and_go);
	tcase_add_test(command, demo_says_node_or_go_by_their_figures);
	tcase_add_test(t, demo_counts_the_kernel_by_load);
	tcase_add_test(t, demo_starts_very_many_sleepers);
	tcase_add_test(command, demo_measures_the_bounds_of_the_coroutine);
	tcase_add_test(command, demo_records_how_one_request_waits);
	tcase_add_test(command, demo_measures_messages_with_busy_loops);
	tcase_add_test(command, demo_flags_a_second_generator_that_differs);
	tcase_set_timeout(t, 300);
	tcase_set_timeout(command, 300);
	suite_add_tcase(s, t);
	suite_add_tcase(s, command);
	return s;
}
