// SPDX-License-Identifier: MIT
/*
 * `urt record` and `urt report`: the file is read back by a decoder of our own
 * (timeline_decode.h) and by the command. Runs in the build directory.
 */
#define _GNU_SOURCE
#include "../lib/test.h"
#include "../lib/timeline_decode.h"
#include "../lib/tool_run.h"
#include <signal.h>
#include <unistd.h>

static void record(const char *args)
{
	ck_assert_int_eq(sh("./urt record -o rec.pftrace -- tests/probe %s "
			    "2>&1 >/dev/null",
			    args),
			 0);
	ck_assert_msg(strstr(text, " 0 events dropped"), "%s", text);
}

START_TEST(a_timeline_has_each_request_from_start_to_end)
{
	struct found f;

	NEED_BPF();
	if (sh("tests/probe nops 1") == 77)
		SKIP("no io_uring here");
	record("punts 100");
	f = decode("rec.pftrace");
	is_sound(&f);
	ck_assert_int_eq(count_pieces(3, "io_uring", "submit READ"), 100);
	ck_assert_int_eq(count_pieces(3, "io_uring", "complete READ"), 100);
	ck_assert_int_ge(f.flows, 100);
	ck_assert_int_ge(f.flow_ends, 100);
	ck_assert_int_ge(f.tracks, 3);
	ck_assert_int_eq(sh("./urt report --json rec.pftrace"), 0);
	ck_assert_ptr_nonnull(strstr(text, "\"what\":\"READ\",\"times\":100,"));
	ck_assert_int_eq(number(NULL, "dropped"), 0);
}
END_TEST

/* 32-bit calls, a thread that renames itself, a request that never ends. */
START_TEST(a_report_names_odd_waits)
{
	struct found f;

	NEED_BPF();
	if (sh("tests/probe odd-waits 1") == 77)
		SKIP("no io_uring here");
	record("odd-waits 5");
	f = decode("rec.pftrace");
	is_sound(&f);
	ck_assert_int_eq(count_pieces(3, "io_uring-more", NULL), 5);
	ck_assert_int_eq(sh("./urt report --json rec.pftrace"), 0);
	ck_assert_ptr_nonnull(strstr(text, "\"thread\":\"second ("));
	ck_assert_ptr_null(strstr(text, "\"thread\":\"first ("));
	ck_assert_ptr_nonnull(
		strstr(text, "{\"what\":\"POLL_ADD\",\"times\":1,"));
	ck_assert_ptr_nonnull(strstr(text, "\"ended\":\"no\""));
	ck_assert_ptr_null(strstr(text, "\"ended\":\"yes\""));
	ck_assert_int_eq(number(NULL, "completed_more"), 5);
	if (sh("tests/probe calls32 1") == 77)
		SKIP("no 32-bit system calls here");
	ck_assert_int_eq(sh("./urt report --json rec.pftrace"), 0);
	ck_assert_ptr_nonnull(
		strstr(text, "\"what\":\"wait: nanosleep\",\"times\":5,"));
	ck_assert_ptr_null(strstr(text, "wait: sync"));
}
END_TEST

START_TEST(a_kernel_thread_waits_in_no_system_call)
{
	const char *p;

	NEED_BPF();
	ck_assert_int_eq(
		sh("./urt record -a --duration 100 -o rec.pftrace 2>&1"), 0);
	ck_assert_int_eq(sh("./urt report --json rec.pftrace"), 0);
	p = strstr(text, "\"thread\":\"rcu_");
	if (!p)
		SKIP("no thread of RCU ran");
	for (; p; p = strstr(p + 1, "\"thread\":\"rcu_")) {
		const char *what = strstr(p, "\"what\":\"") + 8;

		ck_assert_msg(!strncmp(what, "wait: in the kernel\"", 20) ||
				      !strncmp(what, "preempted\"", 10),
			      "%.100s", p);
	}
}
END_TEST

START_TEST(a_report_says_who_waited_on_what)
{
	NEED_BPF();
	record("sleeps 100");
	ck_assert_int_eq(sh("./urt report --json rec.pftrace"), 0);
	ck_assert_ptr_nonnull(
		strstr(text, "\"what\":\"wait: clock_nanosleep\""));
	ck_assert_int_ge(number("wake_latency_ns", "count"), 90);
	/* 100 sleeps of 1 ms and more. */
	ck_assert_int_ge(number(NULL, "total_ns"), 50 * MS);
	ck_assert_int_eq(sh("./urt report rec.pftrace"), 0);
	ck_assert_ptr_nonnull(
		strstr(text, "Threads: the causes of their waits"));
	ck_assert_ptr_nonnull(strstr(text, "From being woken to running"));
}
END_TEST

/* Of probe coros N: N times for each reason, and twice for the first one. */
static void has_coroutines(long n)
{
	ck_assert_int_eq(count_pieces(1, "coroutine-wait", "chan receive"), n);
	ck_assert_int_eq(count_pieces(1, "coroutine-wait", "io READ"), n);
	/* All by one coroutine: but for the first they are a row, and made at
	 * once as long as that succeeds. */
	ck_assert_int_ge(count_pieces(1, "coroutine-wait", "io WRITE"), 1);
	ck_assert_int_le(count_pieces(1, "coroutine-wait", "io WRITE"), n);
	ck_assert_int_eq(count_pieces(1, "coroutine-wait", "sleep"), n + 2);
}

/* Timers expire while somebody else computes on that CPU, who did not do it. */
START_TEST(timers_wake_and_not_the_threads_that_they_interrupt)
{
	NEED_BPF();
	sh("taskset -c 0 sh -c 'while :; do :; done' & busy=$!; "
	   "taskset -c 0 ./urt record -o irq.pftrace -- tests/probe sleeps 100 "
	   "2>&1; kill $busy");
	ck_assert_msg(!sh("./urt report irq.pftrace"), "%s", text);
	ck_assert_ptr_nonnull(
		strstr(text, "clock_nanosleep, woken by a timer"));
	ck_assert_int_ne(sh("./urt report irq.pftrace | grep clock_nanosleep | "
			    "grep -q 'woken by sh'"),
			 0);
	sh("rm irq.pftrace");
}
END_TEST

START_TEST(a_timeline_has_each_wait_of_each_coroutine)
{
	struct found f;

	NEED_BPF();
	if (sh("tests/probe nops 1") == 77)
		SKIP("no io_uring here");
	setenv("URT_WORKERS", "1", 1);
	record("coros 100");
	unsetenv("URT_WORKERS");
	ck_assert_ptr_nonnull(strstr(text, " 0 of coroutines overwritten"));
	f = decode("rec.pftrace");
	is_sound(&f);
	has_coroutines(100);
	/* 100 by the function that they run, and the first one. */
	ck_assert_int_eq(count_pieces(1, "coroutine", "coro #"), 100);
	ck_assert_int_eq(count_pieces(1, "coroutine", NULL), 101);
	/* From the wait by way of the kernel: one flow each. */
	for (long i = 0; i < nr_pieces; i++)
		if (!strcmp(pieces[i].name, "submit READ"))
			ck_assert(flow_begun(pieces[i].flow, false));
	ck_assert_int_eq(sh("./urt report --json rec.pftrace"), 0);
	ck_assert_ptr_nonnull(
		strstr(text, "\"what\":\"io READ\",\"times\":100,"));
	ck_assert_ptr_nonnull(
		strstr(text, "\"what\":\"sleep\",\"times\":102,"));
	ck_assert_int_ge(number("coroutines", "count"), 401);
	ck_assert_int_eq(number("coroutines", "overwritten"), 0);
	ck_assert_int_eq(sh("./urt report rec.pftrace"), 0);
	ck_assert_ptr_nonnull(strstr(text, "Coroutines: the longest waits"));
}
END_TEST

/* Decimal places: how often each step of a flow was taken; 10000: others. */
static int step(const struct piece *p, uint64_t flow)
{
	if (p->flow_end == flow)
		return strcmp(p->category, "coroutine-run") ? 10000 : 1000;
	if (p->flow != flow)
		return 0;
	return !strcmp(p->name, "submit READ")	   ? 1
	       : !strcmp(p->name, "READ")	   ? 10
	       : !strcmp(p->name, "complete READ") ? 100
						   : 10000;
}

START_TEST(a_request_flows_from_a_wait_by_way_of_the_kernel)
{
	long waits = 0;

	NEED_BPF();
	if (sh("tests/probe nops 1") == 77)
		SKIP("no io_uring here");
	record("coros 20");
	decode("rec.pftrace");
	for (long i = 0; i < nr_pieces; i++) {
		int steps = 0;

		if (strcmp(pieces[i].name, "io READ"))
			continue;
		ck_assert_uint_ne(pieces[i].flow, 0);
		for (long j = i + 1; j < nr_pieces; j++)
			steps += step(&pieces[j], pieces[i].flow);
		ck_assert_int_eq(steps, 1111);
		waits++;
	}
	ck_assert_int_eq(waits, 20);
}
END_TEST

/* ---- requests of programs that set contexts ---- */

/* Steps of the first path; *own: the sum of those of depth 0. has: a step of this
 * depth, that says this, and takes as long at least. */
static bool path_has(int depth, const char *says, long long least_ns,
		     long long *own)
{
	const char *p = strstr(text, "\"path\":["), *end, *next;
	bool found = false;

	ck_assert_ptr_nonnull(p);
	end = strstr(p, "]");
	*own = 0;
	for (; (p = strstr(p, "{\"depth\":")) && p < end; p = next) {
		char one[512];
		int d = atoi(p + 9);
		long long ns = atoll(strstr(p, "\"ns\":") + 5);

		next = strstr(p, "}");
		snprintf(one, sizeof(one), "%.*s", (int)(next - p), p);
		*own += d ? 0 : ns;
		found |= d == depth && ns >= least_ns && strstr(one, says);
	}
	return found;
}

START_TEST(a_request_is_explained_step_by_step)
{
	long long longest, ns, own;
	struct found f;

	NEED_BPF();
	if (sh("tests/probe nops 1") == 77)
		SKIP("no io_uring here");
	ck_assert_int_eq(sh("./urt record -o rec.pftrace -- tests/probe "
			    "requests 6 2>rec.err"),
			 0);
	ck_assert_int_eq(sscanf(text, "longest %lld", &longest), 1);
	f = decode("rec.pftrace");
	is_sound(&f);
	ck_assert_int_eq(count_pieces(3, "request", "/even"), 3);
	ck_assert_int_eq(count_pieces(3, "request", "/odd"), 3);
	ck_assert_int_eq(count_pieces(3, "request-part", "/odd"), 3);
	ck_assert_int_eq(count_pieces(3, "request-end", NULL), 12);
	ck_assert_int_eq(sh("./urt report --json rec.pftrace"), 0);
	ck_assert_ptr_nonnull(
		strstr(text, "{\"route\":\"/even\",\"count\":3,"));
	ck_assert_ptr_nonnull(strstr(text, "{\"route\":\"/odd\",\"count\":3,"));
	ck_assert_int_eq(number(NULL, "requests_cut"), 0);
	ns = number("slowest", "ns");
	ck_assert_int_ge(ns, 14 * MS); /* 2 + 3 + 4 + 5, of which 9 are exact */
	ck_assert_int_le(ns, longest);
	/* Without a gap; and each wait has its cause below it. */
	ck_assert_msg(path_has(0, "\"what\":\"sleep\"", 2 * MS, &own), "%s",
		      text);
	ck_assert_int_eq(own, ns);
	ck_assert_int_eq(number("slowest", "running_ns") +
				 number("slowest", "ready_ns") +
				 number("slowest", "waiting_ns"),
			 ns);
	ck_assert_msg(path_has(0,
			       "\"what\":\"chan receive\",\"until\":\"helper #",
			       0, &own),
		      "%s", text);
	ck_assert_msg(path_has(1, "\"who\":\"helper #", 0, &own), "%s", text);
	ck_assert_msg(path_has(0, "\"what\":\"io READ\"", 0, &own), "%s", text);
	ck_assert_msg(path_has(1, "\"who\":\"READ\",\"what\":\"in the kernel\"",
			       0, &own),
		      "%s", text);
	/* It blocked its thread, while it was the one that ran there. */
	ck_assert_msg(path_has(0, "\"what\":\"running\"", 5 * MS, &own), "%s",
		      text);
	ck_assert_msg(path_has(1, "\"what\":\"wait: clock_nanosleep\"",
			       49 * MS / 10, &own),
		      "%s", text);
	ck_assert_ptr_nonnull(
		strstr(text, "\"trace_id\":\"000000000000000000000000000000"));
}
END_TEST

/* The recording ends in the middle of one. */
START_TEST(a_request_without_an_end_has_no_time)
{
	NEED_BPF();
	if (sh("tests/probe nops 1") == 77)
		SKIP("no io_uring here");
	ck_assert_int_eq(
		sh("rm -f stay.out; tests/probe requests 1000000 "
		   ">stay.out & pid=$!; ./urt record -p $pid "
		   "--duration 100 -o rec.pftrace 2>/dev/null; code=$?; "
		   "kill $pid; rm stay.out; exit $code"),
		0);
	decode("rec.pftrace");
	ck_assert_int_eq(sh("./urt report --json rec.pftrace"), 0);
	/* One may be cut by the end, and its time is not told: none is shorter. */
	ck_assert_int_le(number(NULL, "requests_cut"), 1);
	if (number("routes", "count") > 0)
		ck_assert_int_ge(number("routes", "p50_ns"), 14 * MS);
}
END_TEST

START_TEST(a_report_is_a_page_without_network)
{
	NEED_BPF();
	if (sh("tests/probe nops 1") == 77)
		SKIP("no io_uring here");
	record("requests 2");
	ck_assert_int_eq(sh("cp rec.pftrace '<b>.pftrace'; ./urt report --html "
			    "rec.html '<b>.pftrace' >rec.txt && cat rec.html"),
			 0);
	ck_assert_ptr_nonnull(strstr(text, "default-src 'none'"));
	ck_assert_ptr_nonnull(strstr(text, "\"file\":\"\\u003cb>.pftrace\""));
	ck_assert_ptr_nonnull(strstr(text, "\"what\":\"in the kernel\""));
	ck_assert_ptr_null(strstr(text, "<b>"));
	ck_assert_ptr_null(strstr(text, "http://"));
	ck_assert_ptr_null(strstr(text, "https://"));
	ck_assert_ptr_null(strstr(text, "@DATA@"));
	ck_assert_int_eq(
		sh("cat rec.txt; rm -f '<b>.pftrace' rec.html rec.txt"), 0);
	ck_assert_ptr_nonnull(strstr(text, "The path of the slowest one"));
	ck_assert_ptr_nonnull(strstr(text, "READ  in the kernel"));
	refuses("./urt report --html /no/such/page rec.pftrace",
		"cannot write");
}
END_TEST

START_TEST(a_sample_has_one_of_n_requests_and_no_others)
{
	struct found f;
	long all;

	NEED_BPF();
	if (sh("tests/probe nops 1") == 77)
		SKIP("no io_uring here");
	record("requests 9");
	decode("rec.pftrace");
	all = nr_pieces;
	ck_assert_int_eq(sh("./urt record --sample 3 -o rec.pftrace -- "
			    "tests/probe requests 9 2>&1 >/dev/null"),
			 0);
	f = decode("rec.pftrace");
	is_sound(&f);
	ck_assert_int_lt(nr_pieces, all);
	/* The 3rd, 6th and 9th, and what they started. */
	ck_assert_int_eq(count_pieces(3, "request", "/even"), 2);
	ck_assert_int_eq(count_pieces(3, "request", "/odd"), 1);
	ck_assert_int_eq(count_pieces(1, "coroutine", "request #"), 3);
	ck_assert_int_eq(count_pieces(1, "coroutine", "helper #"), 3);
	ck_assert_int_eq(count_pieces(1, "coroutine", NULL), 6);
	ck_assert_int_eq(count_pieces(3, "io_uring", "submit READ"), 3);
	ck_assert_int_eq(sh("./urt report --json rec.pftrace"), 0);
	ck_assert_int_ge(number("slowest", "ns"), 14 * MS);
	refuses("./urt record --sample 2 --coroutines 0 -- true",
		"--sample needs tracks");
}
END_TEST

START_TEST(a_running_program_is_told_to_trace_and_to_stop)
{
	struct found f;

	NEED_BPF();
	if (sh("tests/probe nops 1") == 77)
		SKIP("no io_uring here");
	ck_assert_int_eq(
		sh("rm -f spin1; URT_WORKERS=1 tests/probe spins 20000 1000 >spin1 &"
		   "pid=$!; until grep -qs spinning spin1; do :; done\n"
		   "./urt record -p $pid --duration 50 -o rec.pftrace 2>&1\n"
		   "code=$?; kill $pid; exit $code"),
		0);
	f = decode("rec.pftrace");
	is_sound(&f);
	ck_assert_int_gt(count_pieces(1, "coroutine-run", "spin"), 100);
	ck_assert_int_gt(count_pieces(1, "coroutine", NULL), 0);
}
END_TEST

START_TEST(events_that_were_overwritten_are_counted)
{
	struct found f;

	NEED_BPF();
	if (sh("tests/probe nops 1") == 77)
		SKIP("no io_uring here");
	/* A stopped recorder reads nothing; the program continues. */
	ck_assert_int_eq(
		sh("rm -f rec.pftrace spin1\n"
		   "./urt record -o rec.pftrace -- tests/probe spins 200 "
		   ">spin1 2>rec.err & t=$!\n"
		   "until grep -qs spinning spin1; do :; done\n"
		   "kill -STOP $t; sleep 0.3; kill -CONT $t; wait $t; code=$?\n"
		   "cat rec.err; exit $code"),
		0);
	ck_assert_ptr_null(strstr(text, " 0 of coroutines overwritten"));
	f = decode("rec.pftrace");
	is_sound(&f);
	ck_assert_int_eq(sh("./urt report --json rec.pftrace"), 0);
	ck_assert_int_gt(number("coroutines", "overwritten"), 0);
}
END_TEST

START_TEST(tracks_are_bounded_and_the_rest_is_counted)
{
	struct found f;
	long tracks = 0;

	NEED_BPF();
	if (sh("tests/probe nops 1") == 77)
		SKIP("no io_uring here");
	record("coros 0"); /* no coroutine but the first */
	ck_assert_int_eq(sh("./urt record --coroutines 10 -o rec.pftrace -- "
			    "tests/probe coros 100 2>&1"),
			 0);
	f = decode("rec.pftrace");
	is_sound(&f);
	for (long i = 0; i < nr_pieces; i++)
		if (!strcmp(pieces[i].category, "coroutine"))
			tracks += !known_of(pieces[i].track)->marked,
				known_of(pieces[i].track)->marked = true;
	ck_assert_int_eq(tracks, 10);
	ck_assert_int_eq(sh("./urt report --json rec.pftrace"), 0);
	ck_assert_int_gt(number("coroutines", "untracked"), 100);
	ck_assert_int_eq(sh("./urt record --coroutines 0 -o rec.pftrace -- "
			    "tests/probe coros 10 2>&1"),
			 0);
	ck_assert_ptr_null(strstr(text, "of coroutines"));
}
END_TEST

START_TEST(a_full_buffer_drops_and_says_how_many)
{
	const char *dropped;

	NEED_BPF();
	/* A stopped recorder reads nothing; the program continues all the
	 * same. */
	ck_assert_int_eq(
		sh("rm -f rec.pftrace; tests/probe hang >hang1 & pid=$!\n"
		   "until grep -q hanging hang1; do :; done\n"
		   "./urt record -a --buffer 1 -o rec.pftrace 2>rec.err & t=$!\n"
		   "until test -s rec.pftrace; do sleep 0.05; done\n"
		   "kill -STOP $t; tests/probe rounds 4 5000 >/dev/null\n"
		   "kill -CONT $t; kill -INT $t; wait $t; code=$?\n"
		   "kill $pid; cat rec.err; exit $code"),
		0);
	dropped = strstr(text, "MiB, ");
	ck_assert_ptr_nonnull(dropped);
	ck_assert_int_gt(atol(dropped + 5), 0);
	ck_assert_int_eq(sh("./urt report --json rec.pftrace"), 0);
	ck_assert_int_gt(number(NULL, "dropped"), 0);
}
END_TEST

/* ---- the flight recorder ---- */

START_TEST(last_holds_the_end_and_no_more)
{
	struct found f;
	int tries = 0;

	NEED_BPF();
	if (sh("tests/probe nops 1") == 77)
		SKIP("no io_uring here");
	/* Without a CPU, the program may do little in its last 30 ms. */
	do {
		ck_assert_int_eq(
			sh("./urt record --last 30ms -o last.pftrace -- "
			   "tests/probe rounds 2 2000 2>&1 >/dev/null"),
			0);
		ck_assert_msg(strstr(text, ", the last 0.0") != NULL, "%s",
			      text);
		f = decode("last.pftrace");
		is_sound(&f);
	} while (nr_pieces <= 10 && tries++ < 20);
	ck_assert_int_gt(nr_pieces, 10);
	ck_assert_uint_le(pieces[nr_pieces - 1].ns - pieces[0].ns, 30 * MS);
	/* All there was, if the time is long: as without the option. */
	ck_assert_int_eq(sh("./urt record --last 1m -o last.pftrace -- "
			    "tests/probe coros 100 2>&1 >/dev/null"),
			 0);
	f = decode("last.pftrace");
	is_sound(&f);
	has_coroutines(100);
	ck_assert_int_eq(count_pieces(1, "coroutine", "coro #"), 100);
}
END_TEST

START_TEST(last_is_bounded_by_memory_and_says_so)
{
	struct found f;

	NEED_BPF();
	ck_assert_int_eq(
		sh("./urt record --last 1m --memory 1 -o last.pftrace -- "
		   "tests/probe rounds 4 2500 2>&1 >/dev/null"),
		0);
	ck_assert_msg(strstr(text, "1 MiB (--memory) hold no more") != NULL,
		      "%s", text);
	f = decode("last.pftrace");
	is_sound(&f);
	/* Of 64 bytes each; an event is at most two slices' begins. */
	ck_assert_int_gt(f.begins, 1000);
	ck_assert_int_le(f.begins, 2 * (1 << 20) / 64);
}
END_TEST

START_TEST(last_is_written_by_a_signal_and_goes_on)
{
	struct found f;

	NEED_BPF();
	ck_assert_int_eq(
		sh("rm -f last.pftrace last.err go1\n"
		   "./urt record --last 1m -o last.pftrace -- sh -c 'until test "
		   "-e go1; do :; done; exec tests/probe sleeps 200' >/dev/null "
		   "2>last.err & t=$!\n"
		   "until test -e last.pftrace; do sleep 0.01; done\n"
		   "until grep -q MiB last.err; do kill -USR1 $t; sleep 0.1; done\n"
		   "cp last.pftrace first.pftrace; touch go1; wait $t"),
		0);
	f = decode("first.pftrace");
	is_sound(&f);
	ck_assert_int_eq(count_pieces(1, NULL, "wait: clock_nanosleep"), 0);
	f = decode("last.pftrace");
	is_sound(&f);
	ck_assert_int_ge(count_pieces(1, NULL, "wait: clock_nanosleep"), 190);
}
END_TEST

START_TEST(last_is_written_if_an_assertion_fails)
{
	NEED_BPF();
	ck_assert_int_eq(
		sh("./urt record --last 9s --if-fails -o last.pftrace -- ./urt "
		   "stat --assert 'switches < 100000' -- tests/probe sleeps 50 "
		   "2>&1 >/dev/null"),
		0);
	ck_assert_msg(strstr(text, "is left empty") != NULL, "%s", text);
	ck_assert_int_eq(sh("test -s last.pftrace"), 1);
	ck_assert_int_eq(
		sh("./urt record --last 9s --if-fails -o last.pftrace -- ./urt "
		   "stat --assert 'switches < 5' -- tests/probe sleeps 50 2>&1 "
		   ">/dev/null"),
		3);
	ck_assert_msg(decode("last.pftrace").whole, "%s", text);
	ck_assert_int_ge(count_pieces(1, NULL, "wait: clock_nanosleep"), 50);
	refuses("./urt record --if-fails -- true", "is for --last");
	refuses("./urt record --last never -- true", "--last");
	sh("rm -f last.pftrace first.pftrace last.err go1");
}
END_TEST

/* A thread's switch away and back, and its waking by a timer. */
START_TEST(a_switch_takes_at_most_40_bytes_of_the_file)
{
	long bytes;

	NEED_BPF();
	record("rounds 2 2000");
	sh("stat -c %%s rec.pftrace");
	bytes = atol(text);
	ck_assert(decode("rec.pftrace").whole);
	ck_assert_int_ge(count_pieces(1, "wait", NULL), 3000);
	ck_assert_int_le(bytes, 40 * count_pieces(1, "wait", NULL));
}
END_TEST

START_TEST(a_recording_ends_by_time_by_size_and_by_a_signal)
{
	NEED_BPF();
	ck_assert_int_eq(
		sh("./urt record -a --duration 200 -o rec.pftrace 2>&1"), 0);
	ck_assert(decode("rec.pftrace").whole);
	ck_assert_int_eq(sh("./urt record -o rec.pftrace --duration 200 -- "
			    "tests/probe hang 2>&1 >/dev/null"),
			 0);
	sh("timeout 90 ./urt record --max-size 1 -o rec.pftrace -- "
	   "tests/probe rounds 8 100000 2>&1 >/dev/null");
	ck_assert_ptr_nonnull(strstr(text, "--max-size"));
	ck_assert(decode("rec.pftrace").whole);
}
END_TEST

START_TEST(a_file_that_was_cut_is_read_to_there)
{
	NEED_BPF();
	record("sleeps 100");
	/* Packets are longer than a byte: of two places side by side, one at
	 * least is not the end of a packet. */
	ck_assert_int_eq(sh("for n in 1001 1002; do "
			    "head -c $n rec.pftrace >cut.pftrace && "
			    "./urt report --json cut.pftrace || exit 1; done"),
			 0);
	ck_assert_ptr_nonnull(strstr(text, "\"cut\":\"yes\""));
	ck_assert_int_eq(sh("./urt report --json cut.pftrace"), 0);
	ck_assert_int_gt(number(NULL, "packets"), 5);
}
END_TEST

START_TEST(record_says_what_it_cannot_record)
{
	refuses("./urt record", "give a command");
	refuses("./urt record -o /no/such -- true", "cannot write");
	refuses("./urt record -p 4194300", "no process");
	refuses("./urt record --coroutines many -- true", "--coroutines");
	refuses("./urt record --coroutines 100001 -- true", "--coroutines");
	refuses("./urt report /no/such", "cannot read");
	refuses("./urt report ./urt", "not a timeline");
	if (have_bpf())
		refuses_by(127, "./urt record -o rec.pftrace -- /no/such",
			   "cannot run");
	if (!access("/dev/full", W_OK) && have_bpf()) {
		ck_assert_int_eq(sh("./urt record -o /dev/full -- true 2>&1"),
				 1);
		ck_assert_ptr_nonnull(strstr(text, "cannot write all of"));
	}
}
END_TEST

Suite *record_suite(void)
{
	Suite *s = suite_create("record");
	TCase *t = tcase_create("record");

	tcase_set_timeout(t, 180);
	tcase_add_test(t, a_timeline_has_each_request_from_start_to_end);
	tcase_add_test(t, a_report_names_odd_waits);
	tcase_add_test(t, a_kernel_thread_waits_in_no_system_call);
	tcase_add_test(t, a_report_says_who_waited_on_what);
	tcase_add_test(t, timers_wake_and_not_the_threads_that_they_interrupt);
	tcase_add_test(t, a_timeline_has_each_wait_of_each_coroutine);
	tcase_add_test(t, a_request_flows_from_a_wait_by_way_of_the_kernel);
	tcase_add_test(t, a_request_is_explained_step_by_step);
	tcase_add_test(t, a_request_without_an_end_has_no_time);
	tcase_add_test(t, a_report_is_a_page_without_network);
	tcase_add_test(t, a_sample_has_one_of_n_requests_and_no_others);
	tcase_add_test(t, a_running_program_is_told_to_trace_and_to_stop);
	tcase_add_test(t, events_that_were_overwritten_are_counted);
	tcase_add_test(t, tracks_are_bounded_and_the_rest_is_counted);
	tcase_add_test(t, a_full_buffer_drops_and_says_how_many);
	tcase_add_test(t, last_holds_the_end_and_no_more);
	tcase_add_test(t, last_is_bounded_by_memory_and_says_so);
	tcase_add_test(t, last_is_written_by_a_signal_and_goes_on);
	tcase_add_test(t, last_is_written_if_an_assertion_fails);
	tcase_add_test(t, a_switch_takes_at_most_40_bytes_of_the_file);
	tcase_add_test(t, a_recording_ends_by_time_by_size_and_by_a_signal);
	tcase_add_test(t, a_file_that_was_cut_is_read_to_there);
	tcase_add_test(t, record_says_what_it_cannot_record);
	suite_add_tcase(s, t);
	return s;
}
