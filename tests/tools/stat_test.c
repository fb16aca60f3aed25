// SPDX-License-Identifier: MIT
/*
 * `urt stat` against independent sources: the kernel's own counters of each
 * thread, programs whose demands are known (tests/probe), getrusage. Runs in the
 * build directory.
 */
#define _GNU_SOURCE
#include "../lib/json_tree.h"
#include "../lib/stat_run.h"
#include "../lib/test.h"
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- exactness ---- */

/* voluntary + involuntary of the thread tid of the list; -1: not there. */
static long long thread_switches(json_t *list, long tid)
{
	size_t i;
	json_t *t;

	json_array_foreach(list, i, t)
	{
		if (json_integer_value(json_object_get(t, "tid")) == tid)
			return value(t, "voluntary") + value(t, "involuntary");
	}
	return -1;
}

static void threads_agree_with_the_kernel(int threads, int each)
{
	char args[64], line[64];
	long long sum = 0, total;
	int compared = 0;
	json_t *list;
	FILE *kernels;

	snprintf(args, sizeof(args), "rounds %d %d", threads, each);
	stat_ok("--per-thread", args);
	kernel_agrees();
	total = number("switches", "total");
	list = member(document(), "thread_list");
	kernels = fopen("probe2.out", "r");
	ck_assert_ptr_nonnull(kernels);
	while (fgets(line, sizeof(line), kernels)) {
		long tid, kernel;
		long long ours;

		ck_assert_int_eq(sscanf(line, "%ld %ld", &tid, &kernel), 2);
		ours = thread_switches(list, tid);
		/* Those of its own end come after its look. */
		ck_assert_msg(ours > kernel,
			      "thread %ld: the kernel %ld, urt %lld", tid,
			      kernel, ours);
		sum += ours;
		compared++;
	}
	fclose(kernels);
	ck_assert_int_le(sum, total);
	ck_assert_int_eq(compared, threads);
}

START_TEST(switches_of_each_thread_are_the_kernels)
{
	static const int threads[] = { 1, 10, 1000 };

	NEED_BPF();
	threads_agree_with_the_kernel(threads[_i], 20);
}
END_TEST

START_TEST(threads_of_microseconds_are_all_counted)
{
	NEED_BPF();
	stat_ok("", "threads 2000");
	ck_assert_int_eq(number("by_name", "sched_get_priority_max"), 20000);
	if (!SANITIZED)
		ck_assert_int_eq(number("threads", "app"), 2001);
	kernel_agrees();
}
END_TEST

START_TEST(storm_of_forks_is_counted_whole)
{
	NEED_BPF();
	stat_ok("", "storm 100");
	ck_assert_int_eq(number("by_name", "sched_get_priority_max"), 3000);
	if (!SANITIZED)
		ck_assert_int_eq(number("threads", "app"), 301);
	kernel_agrees();
}
END_TEST

START_TEST(programs_that_are_executed_are_followed)
{
	NEED_BPF();
	stat_ok("", "execs 20");
	ck_assert_int_eq(number("by_name", "execve"), 21);
	kernel_agrees();
}
END_TEST

START_TEST(system_calls_of_32_bits_have_their_own_table)
{
	NEED_BPF();
	if (sh("tests/probe calls32 1") == 77)
		SKIP("this kernel runs no 32-bit system calls");
	stat_ok("", "calls32 1000");
	ck_assert_int_eq(number("by_name_32", "getppid"), 1001);
	/* A sanitizer asks once for each process. */
	ck_assert_int_le(number("by_name", "getppid"), SANITIZED ? 10 : -1);
}
END_TEST

START_TEST(million_system_calls_are_counted_to_one)
{
	NEED_BPF();
	stat_ok("", "calls 1000000");
	ck_assert_int_eq(number("by_name", "sched_get_priority_max"), 1000000);
}
END_TEST

/* ---- causes ---- */

static long long causes(void)
{
	static const char *const all[] = { "syscall", "page_fault",
					   "preemption", "exit", "other" };
	long long n = 0;

	for (unsigned i = 0; i < ARRAY_LEN(all); i++)
		n += number("by_cause", all[i]);
	return n;
}

START_TEST(wait_for_pages_is_a_cause)
{
	long major, waits;

	NEED_BPF();
	ck_assert_int_eq(sh("dd if=/dev/urandom of=faults.bin bs=1M count=2 "
			    "2>/dev/null"),
			 0);
	stat_ok("", "faults faults.bin");
	ck_assert_int_eq(causes(), number("switches", "total"));
	major = number("by_cause", "page_fault");
	waits = number("kernel", "nvcsw");
	ck_assert_int_eq(sh("cat probe2.out; rm faults.bin"), 0);
	if (atol(text) < 100)
		SKIP("this file system keeps pages in memory");
	if (waits < atol(text) / 2)
		SKIP("this disk answers before the fault waits");
	/* A page may arrive before the thread waits; one fault may wait
	 * twice. */
	ck_assert_msg(major >= atol(text) / 2 && major <= 2 * atol(text),
		      "the kernel %s, urt %ld", text, major);
}
END_TEST

START_TEST(preemption_is_a_cause)
{
	NEED_BPF();
	stat_ok("", "preempted 100");
	ck_assert_int_eq(causes(), number("switches", "total"));
	ck_assert_int_eq(number("by_cause", "preemption"),
			 number("kernel", "nivcsw"));
	ck_assert_int_ge(number("by_cause", "preemption"), 5);
}
END_TEST

START_TEST(wait_in_a_system_call_is_a_cause)
{
	NEED_BPF();
	stat_ok("", "sleeps 100");
	ck_assert_int_eq(causes(), number("switches", "total"));
	ck_assert_int_ge(number("by_cause", "syscall"), 90);
	ck_assert_int_ge(number("by_cause", "exit"), 1);
}
END_TEST

/* ---- io_uring ---- */

START_TEST(operations_tell_how_they_were_completed)
{
	NEED_BPF();
	if (sh("tests/probe nops 1") == 77)
		SKIP("no io_uring here");
	stat_ok("", "nops 100");
	ck_assert_int_eq(number("io_uring", "inline"), 100);
	ck_assert_int_eq(number("io_uring", "polled"), 0);
	ck_assert_int_eq(number("io_uring", "punted"), 0);
	stat_ok("", "polls 100");
	ck_assert_int_eq(number("io_uring", "submitted"), 100);
	ck_assert_int_eq(number("io_uring", "completed"), 100);
	ck_assert_int_eq(number("polled_by_opcode", "READ"), 100);
	ck_assert_int_eq(number("io_uring", "inline"), 0);
	stat_ok("", "punts 100");
	ck_assert_int_eq(number("punted_by_opcode", "READ"), 100);
	ck_assert_int_eq(number("io_uring", "inline"), 0);
	ck_assert_int_eq(number("io_uring", "completed"), 100);
	ck_assert_int_ge(number("threads", "iou_wrk"), 1);
	ck_assert_int_ge(number("by_class", "iou_wrk"), 1);
	kernel_agrees();
}
END_TEST

/* The program prints its own counts of requests, refusals and completions. */
static const char *const ways[] = {
	"unknown-opcode",
	"unknown-flags",
	"refused-in-a-chain",
	"chain",
	"no-completion",
	"overflow",
	"overflow-single",
	"fixed-buffer",
	"worker",
	"cancelled",
	"updated",
	"timed-out",
	"message",
	"message-to-full-ring",
	"sqpoll",
};

static void counts_are_the_programs(const char *way, const char *options)
{
	long asked, refused, completed;
	int code = sh("rm -f rings.json; "
		      "./urt stat --json -o rings.json %s -- tests/rings %s "
		      "300 2>rings.err; code=$?; cat rings.err >&2; exit $code",
		      options, way);

	if (code == 77)
		SKIP("this kernel lacks it");
	ck_assert_int_eq(code, 0);
	ck_assert_int_eq(
		sscanf(text, "%ld %ld %ld", &asked, &refused, &completed), 3);
	ck_assert_int_eq(sh("cat rings.json; rm rings.json rings.err"), 0);
	if (row(NULL, json_pack("{s:n}", "io_uring")))
		SKIP("no perf events of tracepoints here");
	ck_assert_int_eq(number("io_uring", "submitted"), asked);
	ck_assert_int_eq(number("io_uring", "refused"), refused);
	ck_assert_int_eq(number("io_uring", "completed"), completed);
}

START_TEST(requests_and_completions_are_those_that_the_program_counts)
{
	json_t *ops, *of;
	const char *op;
	long long n = 0;

	NEED_BPF();
	counts_are_the_programs(ways[_i], "--by thread");
	ops = member(document(), "by_opcode");
	json_object_foreach(ops, op, of) n += json_integer_value(of);
	ck_assert_int_eq(n, number("io_uring", "submitted"));
}
END_TEST

START_TEST(perf_events_count_the_same_requests)
{
	if (sh("./urt stat --no-bpf -- true 2>&1") ||
	    !strstr(text, "(source: perf)"))
		SKIP("no perf events here");
	counts_are_the_programs(ways[_i], "--no-bpf");
}
END_TEST

START_TEST(times_are_counted_once_for_each_switch)
{
	long long n = 0;
	json_t *from, *count;
	const char *ns;

	NEED_BPF();
	stat_ok("--times", "sleeps 100");
	from = member(document(), "off_cpu_from_ns");
	ck_assert_ptr_nonnull(from);
	json_object_foreach(from, ns, count) n += json_integer_value(count);
	/* All waits except a thread's last end when it runs again; the output
	 * names missing ones. A sanitizer looks for leaks from a thread of its
	 * own. */
	n = number("switches", "total") - number("times", "missing") - n;
	ck_assert_int_ge(n, 1);
	ck_assert_int_le(n, 1 + SANITIZED);
	ck_assert_int_lt(number("times", "missing"), 50);
}
END_TEST

Suite *stat_suite(void)
{
	Suite *s = suite_create("stat");
	TCase *t = tcase_create("exact");

	tcase_add_loop_test(t, switches_of_each_thread_are_the_kernels, 0, 3);
	tcase_add_test(t, threads_of_microseconds_are_all_counted);
	tcase_add_test(t, storm_of_forks_is_counted_whole);
	tcase_add_test(t, programs_that_are_executed_are_followed);
	tcase_add_test(t, system_calls_of_32_bits_have_their_own_table);
	tcase_add_test(t, million_system_calls_are_counted_to_one);
	tcase_add_test(t, wait_for_pages_is_a_cause);
	tcase_add_test(t, preemption_is_a_cause);
	tcase_add_test(t, wait_in_a_system_call_is_a_cause);
	tcase_add_test(t, operations_tell_how_they_were_completed);
	tcase_add_loop_test(
		t, requests_and_completions_are_those_that_the_program_counts,
		0, ARRAY_LEN(ways));
	tcase_add_loop_test(t, perf_events_count_the_same_requests, 0,
			    ARRAY_LEN(ways));
	tcase_add_test(t, times_are_counted_once_for_each_switch);
	suite_add_tcase(s, t);
	return s;
}
