// SPDX-License-Identifier: MIT
/*
 * `urt record` and `urt report`: the file is read back by a decoder of our own
 * (timeline_decode.h) and by the command. Runs in the build directory.
 */
#define _GNU_SOURCE
#include "../lib/json_tree.h"
#include "../../tools/record/timeline.h"
#include "../lib/timeline_decode.h"
#include "../lib/tool_run.h"
#include "../../tools/record/kernel_events.h"
#include "../../tools/record/recent.h"

static bool begins(json_t *step, const char *name, const char *with)
{
	const char *is = json_string_value(json_object_get(step, name));

	return !with || (is && !strncmp(is, with, strlen(with)));
}

START_TEST(timeline_has_each_request_from_start_to_end)
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
	ck_assert_ptr_nonnull(row(
		NULL, json_pack("{s:s, s:i}", "what", "READ", "times", 100)));
	ck_assert_int_eq(number(NULL, "dropped"), 0);
}
END_TEST

/* 40,000 events in memory for 16,384: the oldest ones go to the file at once. */
START_TEST(timeline_is_whole_if_the_memory_is_small)
{
	struct found f;

	NEED_BPF();
	if (sh("tests/probe nops 1") == 77)
		SKIP("no io_uring here");
	ck_assert_int_eq(sh("./urt record --memory 1 -o rec.pftrace -- "
			    "tests/probe nops 20000 2>&1"),
			 0);
	ck_assert_msg(strstr(text, " 0 events dropped") != NULL, "%s", text);
	f = decode("rec.pftrace");
	is_sound(&f);
	ck_assert_int_eq(count_pieces(3, "io_uring", "submit NOP"), 20000);
	ck_assert_int_eq(count_pieces(3, "io_uring", "complete NOP"), 20000);
}
END_TEST

/* 32-bit calls, a thread that renames itself, a request that never ends. The program
 * outlives the recording, because its exit ends the request on Linux 6.1. */
START_TEST(report_names_odd_waits)
{
	struct found f;

	NEED_BPF();
	if (sh("tests/probe nops 1") == 77)
		SKIP("no io_uring here");
	ck_assert_int_eq(sh("rm -f odd; mkfifo odd; "
			    "./urt record -o rec.pftrace -- sh -c '"
			    "tests/probe odd-waits 5 >odd & echo $! >odd.pid; "
			    "read line <odd' 2>&1; code=$?; "
			    "kill $(cat odd.pid); rm odd odd.pid; exit $code"),
			 0);
	ck_assert_msg(strstr(text, " 0 events dropped"), "%s", text);
	f = decode("rec.pftrace");
	is_sound(&f);
	ck_assert_int_eq(count_pieces(3, "io_uring-more", NULL), 5);
	ck_assert_int_eq(sh("./urt report --json rec.pftrace"), 0);
	ck_assert_ptr_nonnull(strstr(text, "\"thread\":\"second ("));
	ck_assert_ptr_null(strstr(text, "\"thread\":\"first ("));
	ck_assert_ptr_nonnull(row(
		NULL, json_pack("{s:s, s:i}", "what", "POLL_ADD", "times", 1)));
	ck_assert_ptr_nonnull(row(NULL, json_pack("{s:s}", "ended", "no")));
	ck_assert_ptr_null(row(NULL, json_pack("{s:s}", "ended", "yes")));
	ck_assert_int_eq(number(NULL, "completed_more"), 5);
	if (sh("tests/probe calls32 1") == 77)
		SKIP("no 32-bit system calls here");
	ck_assert_int_eq(sh("./urt report --json rec.pftrace"), 0);
	ck_assert_ptr_nonnull(
		row(NULL, json_pack("{s:s, s:i}", "what", "wait: nanosleep",
				    "times", 5)));
	ck_assert_ptr_null(strstr(text, "wait: sync"));
}
END_TEST

/* Requests that are refused, that find no room for their completion, and that ask for
 * none. */
static const struct {
	const char *way, *what, *ended;
	int times, more;
} ends[] = {
	{ "unknown-flags", "NOP", "yes", 100, 0 },
	{ "unknown-opcode", "OP_200", "yes", 100, 0 },
	{ "overflow", "NOP", "yes", 100, 0 },
	{ "no-completion", "NOP", "no", 100, 0 },
	{ "message-to-full-ring", "MSG_RING", "yes", 100, 100 },
};

START_TEST(request_ends_with_its_completion)
{
	NEED_BPF();
	if (sh("./urt record -o rec.pftrace -- tests/rings %s 100 2>&1",
	       ends[_i].way) == 77)
		SKIP("this kernel lacks it");
	ck_assert_msg(strstr(text, " 0 events dropped"), "%s", text);
	ck_assert_int_eq(sh("./urt report --json rec.pftrace"), 0);
	ck_assert_ptr_nonnull(
		row(NULL,
		    json_pack("{s:s, s:s, s:i}", "what", ends[_i].what, "ended",
			      ends[_i].ended, "times", ends[_i].times)));
	ck_assert_int_eq(number(NULL, "completed_more"), ends[_i].more);
}
END_TEST

START_TEST(kernel_thread_waits_in_no_system_call)
{
	json_t *wait, *waits;
	bool found = false;
	size_t i;

	NEED_BPF();
	ck_assert_int_eq(
		sh("./urt record -a --duration 100 -o rec.pftrace 2>&1"), 0);
	ck_assert_int_eq(sh("./urt report --json rec.pftrace"), 0);
	waits = member(document(), "waits");
	json_array_foreach(waits, i, wait)
	{
		if (!begins(wait, "thread", "rcu_"))
			continue;
		found = true;
		ck_assert_msg(begins(wait, "what", "wait: in the kernel") ||
				      begins(wait, "what", "preempted"),
			      "%s", json_dumps(wait, 0));
	}
	if (!found)
		SKIP("no thread of RCU ran");
}
END_TEST

START_TEST(report_says_who_waited_on_what)
{
	json_t *sleeps;
	long times;

	NEED_BPF();
	record("sleeps 100");
	ck_assert_int_eq(sh("./urt report --json rec.pftrace"), 0);
	sleeps = row(NULL, json_pack("{s:s}", "what", "wait: clock_nanosleep"));
	ck_assert_ptr_nonnull(sleeps);
	/* On a slow machine, the time may be over before the thread sleeps. */
	times = value(sleeps, "times");
	ck_assert_int_ge(times, 10);
	ck_assert_int_ge(value(sleeps, "total_ns"), 5 * MS);
	/* Some kernels run no BPF programs while some threads are current, as a
	 * timer expires: see "Times" in bpf/count.bpf.c. */
	ck_assert_int_ge(number("wake_latency_ns", "count"), times / 2);
	/* Waits are accounted for, but those that a thread's end ends. */
	ck_assert_int_ge(number("wake_latency_ns", "count") +
				 number(NULL, "wakings_missing") +
				 number(NULL, "runs_missing"),
			 times * 9 / 10);
	ck_assert_int_eq(sh("./urt report rec.pftrace"), 0);
	ck_assert_ptr_nonnull(
		strstr(text, "Threads: the causes of their waits"));
	ck_assert_ptr_nonnull(strstr(text, "From being woken to running"));
}
END_TEST

/* Timers expire while another thread computes on that CPU, which did not wake the
 * sleeper. The report names who ended the ten longest waits, so the sleeps are long. */
START_TEST(timers_wake_and_not_the_threads_that_they_interrupt)
{
	NEED_BPF();
	sh("taskset -c 0 sh -c 'while :; do :; done' & busy=$!; "
	   "taskset -c 0 ./urt record -o irq.pftrace -- "
	   "sh -c 'sleep 0.2; sleep 0.2' 2>&1; kill $busy");
	ck_assert_msg(!sh("./urt report irq.pftrace"), "%s", text);
	ck_assert_ptr_nonnull(
		strstr(text, "clock_nanosleep, woken by a timer"));
	ck_assert_int_ne(sh("./urt report irq.pftrace | grep clock_nanosleep | "
			    "grep -q 'woken by sh'"),
			 0);
	sh("rm irq.pftrace");
}
END_TEST

START_TEST(timeline_has_each_wait_of_each_coroutine)
{
	json_t *sleeps;
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
	ck_assert_ptr_nonnull(row(NULL, json_pack("{s:s, s:i}", "what",
						  "io READ", "times", 100)));
	/* The first one sleeps twice, and again as long as the others are late. */
	sleeps = row(NULL, json_pack("{s:s}", "what", "sleep"));
	ck_assert_ptr_nonnull(sleeps);
	ck_assert_int_ge(value(sleeps, "times"), 102);
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

START_TEST(request_flows_from_a_wait_by_way_of_the_kernel)
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

/* A step of a path; NULL: anything. `who` and `until` are beginnings. */
struct step {
	int depth;
	const char *what, *who, *until;
	long long least_ns;
};

/* Whether the first path has such a step; *own: the sum of those of depth 0. */
static bool path_has(struct step want, long long *own)
{
	json_t *step, *path = member(document(), "path");
	bool found = false;
	size_t i;

	ck_assert_ptr_nonnull(path);
	*own = 0;
	json_array_foreach(path, i, step)
	{
		int depth = value(step, "depth");
		long long ns = value(step, "ns");

		*own += depth ? 0 : ns;
		found |= depth == want.depth && ns >= want.least_ns &&
			 begins(step, "what", want.what) &&
			 begins(step, "who", want.who) &&
			 begins(step, "until", want.until);
	}
	return found;
}

START_TEST(request_is_explained_step_by_step)
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
	ck_assert_ptr_nonnull(row(
		NULL, json_pack("{s:s, s:i}", "route", "/even", "count", 3)));
	ck_assert_ptr_nonnull(row(
		NULL, json_pack("{s:s, s:i}", "route", "/odd", "count", 3)));
	ck_assert_int_eq(number(NULL, "requests_cut"), 0);
	ns = number("slowest", "ns");
	ck_assert_int_ge(ns, 14 * MS); /* 2 + 3 + 4 + 5, of which 9 are exact */
	ck_assert_int_le(ns, longest);
	/* Without a gap; and each wait has its cause below it. */
	ck_assert_msg(path_has((struct step){ 0, .what = "sleep",
					      .least_ns = 2 * MS },
			       &own),
		      "%s", text);
	ck_assert_int_eq(own, ns);
	ck_assert_int_eq(number("slowest", "running_ns") +
				 number("slowest", "ready_ns") +
				 number("slowest", "waiting_ns"),
			 ns);
	ck_assert_msg(path_has((struct step){ .what = "chan receive",
					      .until = "helper #" },
			       &own),
		      "%s", text);
	ck_assert_msg(path_has((struct step){ 1, .who = "helper #" }, &own),
		      "%s", text);
	ck_assert_msg(path_has((struct step){ 0, .what = "io READ" }, &own),
		      "%s", text);
	ck_assert_msg(path_has((struct step){ 1, .what = "in the kernel",
					      .who = "READ" },
			       &own),
		      "%s", text);
	/* It blocked its thread, while it was the one that ran there. */
	ck_assert_msg(path_has((struct step){ 0, .what = "running",
					      .least_ns = 5 * MS },
			       &own),
		      "%s", text);
	ck_assert_msg(
		path_has((struct step){ 1, .what = "wait: clock_nanosleep",
					.least_ns = 49 * MS / 10 },
			 &own),
		"%s", text);
	ck_assert_ptr_nonnull(
		strstr(text, "\"trace_id\":\"000000000000000000000000000000"));
}
END_TEST

/* The recording ends in the middle of one. */
START_TEST(request_without_an_end_has_no_time)
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
	/* The end may cut one, whose time is then not printed: none is
	 * shorter. */
	ck_assert_int_le(number(NULL, "requests_cut"), 1);
	if (number("routes", "count") > 0)
		ck_assert_int_ge(number("routes", "p50_ns"), 14 * MS);
}
END_TEST

START_TEST(report_is_a_page_without_network)
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

START_TEST(sample_has_one_of_n_requests_and_no_others)
{
	struct found f;
	long all;

	NEED_BPF();
	if (sh("tests/probe nops 1") == 77)
		SKIP("no io_uring here");
	record("requests 9");
	decode("rec.pftrace");
	all = nr_pieces;
	ck_assert_msg(!sh("./urt record --sample 3 -o rec.pftrace -- "
			  "tests/probe requests 9 2>&1 >/dev/null"),
		      "%s", text);
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
		"--sample needs coroutines");
}
END_TEST

START_TEST(running_program_is_told_to_trace_and_to_stop)
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

/* ---- the flight recorder ---- */

START_TEST(thread_with_the_number_of_another_has_a_track_of_its_own)
{
	struct found f;
	int code;

	NEED_BPF();
	code = sh("./urt record -o rec.pftrace -- tests/probe again 1 2>&1");
	if (code == 77)
		SKIP("the number of a process cannot be chosen here");
	ck_assert_int_eq(code, 0);
	f = decode("rec.pftrace");
	is_sound(&f);
	ck_assert_int_eq(sh("./urt report --json rec.pftrace"), 0);
	ck_assert_ptr_nonnull(strstr(text, "\"thread\":\"first ("));
	ck_assert_ptr_nonnull(strstr(text, "\"thread\":\"second ("));
}
END_TEST

/* The kernel's programs do not see that time. */
START_TEST(time_namespace_does_not_hide_events)
{
	static const char *const ahead[] = { "-10", "100000" };
	struct found f;

	NEED_BPF();
	if (sh("unshare --time --boottime -10 --monotonic 9 true 2>&1"))
		SKIP("no time namespaces here");
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(sh("unshare --time --boottime %s --monotonic "
				    "100000 ./urt record -o rec.pftrace -- "
				    "tests/probe coros 5 2>&1",
				    ahead[i]),
				 0);
		f = decode("rec.pftrace");
		is_sound(&f);
		ck_assert_int_ge(count_pieces(1, "run", NULL), 2);
		has_coroutines(5);
		ck_assert_int_eq(sh("./urt report --json rec.pftrace"), 0);
		ck_assert_int_gt(number(NULL, "duration_ns"), 0);
	}
}
END_TEST

START_TEST(file_that_was_cut_is_read_to_there)
{
	NEED_BPF();
	record("sleeps 100");
	/* Packets are longer than a byte, so of two adjacent places, at least
	 * one is not the end of a packet. */
	ck_assert_int_eq(sh("n=$(($(wc -c <rec.pftrace) * 3 / 4)); "
			    "for n in $n $((n + 1)); do "
			    "head -c $n rec.pftrace >cut.pftrace && "
			    "./urt report --json cut.pftrace || exit 1; done"),
			 0);
	ck_assert_ptr_nonnull(row(NULL, json_pack("{s:s}", "cut", "yes")));
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

/* ---- the kernel's rings ---- */

#define BITS 2 /* of the number of places */

struct rings {
	struct urt_event event[2 << BITS];
	struct urt_event_ring shared[2];
	struct kernel_ring ring[2];
	struct kernel_events k;
};

/* As a BPF program does; ns 0: it has not yet filled its place. Returns the
 * place. */
static struct urt_event *put(struct rings *r, unsigned i, uint64_t ns)
{
	struct urt_event *e = r->ring[i].event;

	e += r->shared[i].head++ & ((1 << BITS) - 1);
	ck_assert_uint_eq(e->ns, 0);
	e->arg = ns;
	e->ns = ns;
	return e;
}

static void gives(struct rings *r, const char *expected)
{
	char got[64] = "";
	const struct urt_event *e;

	kernel_events_look(&r->k);
	while ((e = kernel_events_next(&r->k, UINT64_MAX)))
		snprintf(got + strlen(got), sizeof(got) - strlen(got),
			 "%llu:%u ", (unsigned long long)e->ns, e->arg);
	ck_assert_str_eq(got, expected);
}

START_TEST(rings_give_events_in_order_once_all_earlier_ones_are_there)
{
	static struct rings r;
	struct held *held = held_new(1 << 20, 0);
	struct urt_event *unfilled;

	r.ring[0].event = r.event;
	r.ring[1].event = r.event + (1 << BITS);
	r.k = (struct kernel_events){ .event = r.event,
				      .shared = r.shared,
				      .ring = r.ring,
				      .rings = 2,
				      .bits = BITS };
	kernel_events_hold(&r.k, held);
	put(&r, 0, 10);
	put(&r, 0, 30);
	put(&r, 0, 20); /* its writer was interrupted by that of 30 */
	put(&r, 1, 15);
	unfilled = put(&r, 1, 0);
	put(&r, 1, 26);
	gives(&r, "");
	unfilled->arg = unfilled->ns = 25;
	gives(&r, "10:10 15:15 20:20 25:25 26:26 30:30 ");
	/* The places are free; an event of the future waits. */
	ck_assert_uint_eq(r.shared[0].tail, 3);
	ck_assert_uint_eq(r.shared[1].tail, 3);
	for (unsigned i = 0; i < 3; i++)
		put(&r, 0, 40 + i);
	put(&r, 0, INT64_MAX);
	put(&r, 1, 41);
	gives(&r, "40:40 41:41 41:41 42:42 ");
	gives(&r, "");
	held_free(held);
}
END_TEST

START_TEST(looks_come_sooner_while_rings_fill)
{
	ck_assert_double_eq(recent_next_look(20, 20, 0), 20);
	ck_assert_double_eq(recent_next_look(20, 20, 0.2), 20);
	/* It was late, and the ring has been overwritten. */
	ck_assert_double_eq(recent_next_look(20, 24, 1), 6);
	ck_assert_double_eq(recent_next_look(6, 6, 0.5), 3);
	ck_assert_double_eq(recent_next_look(1, 1, 1), 1);
	/* A pause of the program. */
	ck_assert_double_eq(recent_next_look(3, 3, 0), 6);
}
END_TEST

/* ---- the memory between the rings and the timeline ---- */

struct any {
	int64_t ns;
	uint64_t word[4];
};

/* Words that are 0, that of the event before, or another; and some times are far
 * apart. */
static struct any any_event(int64_t n)
{
	struct any e = { .ns = n + n / 1000 * 20000000 };

	for (int i = 0; i < 4; i++)
		if (n % 5)
			e.word[i] = n % (i + 2)
					    ? n * UINT64_C(0x9e3779b97f4a7c15)
					    : UINT64_MAX - i;
	return e;
}

/* As many as there is room for, at most n, from that number on; how many. */
static unsigned hold(struct held_queue *q, int64_t from, unsigned n)
{
	unsigned done = 0;

	for (; done < n; done++) {
		struct any e = any_event(from + done);

		if (!held_put(q, &e))
			break;
	}
	return done;
}

/* Gives all, which are those from that number on; how many. */
static unsigned give(struct held_queue *q, int64_t from)
{
	const void *e;
	unsigned n = 0;

	for (; (e = held_next(q)); n++, held_given(q)) {
		struct any expected = any_event(from + n);

		ck_assert_mem_eq(e, &expected, sizeof(expected));
	}
	return n;
}

static_assert(sizeof(struct any) == HELD_EVENT, "an event");

START_TEST(full_memory_has_room_for_a_queue_that_has_no_events)
{
	struct held *h = held_new(1 << 20, 0);
	struct held_queue a = { 0 }, b = { 0 };
	unsigned n;

	held_begin(h, &a, 0);
	held_begin(h, &b, 0);
	n = hold(&a, 1, 1 << 20);
	ck_assert_uint_gt(n, (1 << 20) / HELD_EVENT);
	ck_assert_uint_lt(n, (1 << 20) / 8);
	ck_assert_uint_gt(hold(&b, 1, 1 << 20), 0);
	ck_assert_uint_eq(hold(&b, 1, 1), 0);
	ck_assert_uint_eq(give(&a, 1), n);
	/* The memory is free again. */
	ck_assert_uint_eq(hold(&a, 1, 1 << 20), n);
	held_free(h);
}
END_TEST

static unsigned forgotten;

static void count_forgotten(void *arg, const void *event)
{
	struct any expected = any_event(1 + forgotten++);

	ck_assert_mem_eq(event, &expected, sizeof(expected));
}

START_TEST(memory_keeps_the_last_events_and_knows_from_when_on)
{
	int64_t last_ns = any_event(105000).ns, keep_ns = any_event(95000).ns;
	struct held *h = held_new(1 << 20, keep_ns);
	struct held_queue a = { 0 }, b = { 0 };

	held_begin(h, &a, 0);
	held_begin(h, &b, 3 * last_ns); /* its clock is behind by that */
	a.forgotten = count_forgotten;
	ck_assert_uint_eq(hold(&a, 1, 5000), 5000);
	held_forget(h);
	ck_assert_uint_eq(forgotten, 0);
	ck_assert_uint_eq(give(&a, 1), 5000);
	held_again(h);
	ck_assert_uint_eq(give(&a, 1), 5000); /* they are kept */
	ck_assert(!held_is_short(h));

	/* Without room, the oldest ones go. */
	ck_assert_uint_eq(hold(&a, 5001, 100000), 100000);
	ck_assert_uint_gt(forgotten, 0);
	ck_assert(held_is_short(h));
	held_again(h);
	ck_assert_uint_eq(give(&a, forgotten + 1), 105000 - forgotten);
	ck_assert_int_eq(held_from(h), any_event(forgotten).ns + 1);

	/* By age, the other queue's time counts. */
	ck_assert_uint_eq(hold(&b, 1, 1), 1);
	held_forget(h);
	ck_assert_uint_eq(forgotten, 105000);
	held_again(h);
	ck_assert_uint_eq(give(&a, 1), 0);
	ck_assert_uint_eq(give(&b, 1), 1);
	ck_assert_int_eq(held_newest(h), 3 * last_ns + 1);
	ck_assert_int_eq(held_from(h), 3 * last_ns + 1 - keep_ns);
	held_free(h);
}
END_TEST

/* The waker finds the thread asleep that is still leaving its CPU; or the thread goes
 * on, and is preempted later. */
START_TEST(thread_is_woken_while_it_leaves_the_cpu)
{
	static const struct urt_event events[] = {
		{ 1000, URT_EV_THREAD, 0, 0, 7, 8, { "waker" } },
		{ 1001, URT_EV_THREAD, 0, 0, 7, 7, { "sleeper" } },
		{ 2000, URT_EV_IN, 0, 0, 7, 7, { "sleeper" } },
		{ 3000, URT_EV_WAKE, 0, 8, 7, 7, { "waker" } },
		{ 3010, URT_EV_OUT, URT_EV_VOLUNTARY, 0, 7, 7, { "sleeper" } },
		{ 3050, URT_EV_IN, 0, 0, 7, 7, { "sleeper" } },
		{ 4000, URT_EV_WAKE, 0, 8, 7, 7, { "waker" } },
		{ 5000, URT_EV_OUT, 0, 0, 7, 7, { "sleeper" } },
		{ 5070, URT_EV_IN, 0, 0, 7, 7, { "sleeper" } },
	};
	struct timeline *t;
	struct found found;
	FILE *f = fopen("woken.pftrace", "w");

	ck_assert_ptr_nonnull(f);
	t = timeline_new(f, 1, 0);
	ck_assert_ptr_nonnull(t);
	for (unsigned i = 0; i < ARRAY_LEN(events); i++)
		timeline_event(t, &events[i]);
	ck_assert_int_gt(timeline_finish(t, &(struct timeline_lost){ 0 }), 0);
	ck_assert_int_eq(fclose(f), 0);
	found = decode("woken.pftrace");
	is_sound(&found);
	ck_assert_int_eq(found.flow_ends, 1);
	ck_assert_int_eq(sh("./urt report --json woken.pftrace"), 0);
	ck_assert_int_eq(number("wake_latency_ns", "count"), 2);
	ck_assert_int_eq(number("wake_latency_ns", "max"), 70);
	ck_assert_int_eq(number(NULL, "wakings_missing"), 0);
	ck_assert_int_eq(sh("./urt report woken.pftrace; rm woken.pftrace"), 0);
	ck_assert_ptr_nonnull(strstr(text, "wait: read, woken by waker (8)"));
}
END_TEST

Suite *record_suite(void)
{
	Suite *s = suite_create("record");
	TCase *t = tcase_create("record");

	tcase_set_timeout(t, 180);
	tcase_add_test(t, timeline_has_each_request_from_start_to_end);
	tcase_add_test(t, timeline_is_whole_if_the_memory_is_small);
	tcase_add_test(t, report_names_odd_waits);
	tcase_add_loop_test(t, request_ends_with_its_completion, 0,
			    ARRAY_LEN(ends));
	tcase_add_test(t, kernel_thread_waits_in_no_system_call);
	tcase_add_test(t, report_says_who_waited_on_what);
	tcase_add_test(t, thread_is_woken_while_it_leaves_the_cpu);
	tcase_add_test(t, timers_wake_and_not_the_threads_that_they_interrupt);
	tcase_add_test(t, timeline_has_each_wait_of_each_coroutine);
	tcase_add_test(t, request_flows_from_a_wait_by_way_of_the_kernel);
	tcase_add_test(t, request_is_explained_step_by_step);
	tcase_add_test(t, request_without_an_end_has_no_time);
	tcase_add_test(t, report_is_a_page_without_network);
	tcase_add_test(t, sample_has_one_of_n_requests_and_no_others);
	tcase_add_test(t, running_program_is_told_to_trace_and_to_stop);
	tcase_add_test(
		t, thread_with_the_number_of_another_has_a_track_of_its_own);
	tcase_add_test(t, time_namespace_does_not_hide_events);
	tcase_add_test(t, file_that_was_cut_is_read_to_there);
	tcase_add_test(t, record_says_what_it_cannot_record);
	tcase_add_test(
		t, rings_give_events_in_order_once_all_earlier_ones_are_there);
	tcase_add_test(t, looks_come_sooner_while_rings_fill);
	tcase_add_test(t, full_memory_has_room_for_a_queue_that_has_no_events);
	tcase_add_test(t, memory_keeps_the_last_events_and_knows_from_when_on);
	suite_add_tcase(s, t);
	return s;
}
