// SPDX-License-Identifier: MIT
/*
 * `urt stat --by`: rows add up to the totals, and contexts have the counts that
 * a program, which counts itself, has made for them.
 */
#define _GNU_SOURCE
#include "../../uring_rt/base/announce.h"
#include "../../tools/measure/context_find.h"
#include "../../tools/measure/counter.h"
#include "../../uring_rt/urt.h"
#include "../lib/json_tree.h"
#include "../lib/test.h"
#include "../lib/tool_run.h"
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#undef errno

static long long sum_in(json_t *v, const char *name)
{
	long long n = json_integer_value(json_object_get(v, name));
	const char *key;
	json_t *child;
	size_t i;

	json_array_foreach(v, i, child) n += sum_in(child, name);
	json_object_foreach(v, key, child) n += sum_in(child, name);
	return n;
}

/* The sum of the members of that name over all rows. */
static long long sum(const char *name)
{
	json_t *by = member(document(), "by");

	ck_assert_msg(by != NULL, "no rows: %s", text);
	return sum_in(by, name);
}

/* The number "name" in part `in` of the row; -1: there is no such row. */
static long long of_row(const char *named, const char *in, const char *name)
{
	json_t *r = row("by", json_pack("{s:s}", "name", named));
	double n = value(member(r, in), name);

	return !r ? -1 : n == n ? n : 0;
}

static void adds_up(void)
{
	ck_assert_int_eq(sum("switches"), number("switches", "total"));
	ck_assert_int_eq(sum("syscalls"), number("syscalls", "total"));
	ck_assert_int_eq(sum("io_uring"), number("io_uring", "submitted"));
	ck_assert_int_eq(number(NULL, "drops"), 0);
}

START_TEST(rows_add_up_to_the_totals)
{
	static const char *const by[] = { "thread", "comm", "cgroup",
					  "context" };

	NEED_BPF();
	ck_assert_int_eq(
		sh("./urt stat --json --by %s -- sh -c 'examples/sieve 500 "
		   ">/dev/null; ls / | wc -l' 2>&1 >/dev/null",
		   by[_i]),
		0);
	adds_up();
}
END_TEST

/* Two loops that share a CPU: each waits for it while the other one runs. */
START_TEST(rows_tell_waits_for_a_cpu_and_page_faults)
{
	NEED_BPF();
	ck_assert_int_eq(
		sh("./urt stat --json --by comm -- taskset -c $(taskset -cp $$ "
		   "| sed 's/.*[:,-] *//') sh -c \"timeout 0.3 sh -c 'while :; "
		   "do :; done' & timeout 0.3 sh -c 'while :; do :; done'; "
		   "wait\" 2>&1"),
		0);
	ck_assert_msg(sum("run_queue_ns") >= 200 * MS, "%s", text);
	/* The two sides use different clocks. */
	ck_assert_int_le(sum("run_queue_ns"),
			 sum("off_cpu_ns") + sum("off_cpu_ns") / 20 + 10 * MS);
	if (!strstr(text, "\"user_page_faults\":null"))
		ck_assert_int_ge(sum("user_page_faults"), 100);
	adds_up();
}
END_TEST

/* ---- known work of each route ---- */

static int zero, ready_fd, go_fd;

static void calls(int n)
{
	while (n--)
		syscall(SYS_getppid);
}

static void reads(int n)
{
	char c[8];

	while (n--)
		ck_assert_int_eq(urt_read(zero, c, sizeof(c), URT_NEVER), 8);
}

/* Each time another request. */
static void set_route(const char *route)
{
	static _Atomic unsigned spans;
	struct urt_context ctx = { .trace_id = { 1 } };
	unsigned n = ++spans;

	memcpy(ctx.span_id, &n, sizeof(n));

	/* After another attribute, so that the key has to be searched. */
	urt_context_add(&ctx, urt_context_key("user"), "somebody");
	urt_context_add(&ctx, urt_context_key("http.route"), route);
	ck_assert_int_eq(urt_context_set(&ctx), 0);
}

static void helper(void *arg)
{
	reads(5);
	calls(7);
}

static void route_a(void *arg)
{
	set_route("/a");
	for (int i = 0; i < 20; i++) {
		reads(2);
		calls(10);
		urt_yield();
	}
	urt_join(urt_spawn(helper, NULL)); /* works for /a, too */
	urt_context_set(NULL);
}

static void route_b(void *arg)
{
	set_route("/b");
	for (int i = 0; i < 30; i++) {
		calls(10);
		urt_sleep(10000);
		reads(1);
	}
	set_route("/b/more");
	calls(1);
}

static void no_route(void *arg)
{
	reads(3);
	calls(100);
}

static void routes(void *arg)
{
	struct urt_coro *c[30];
	char go;

	set_route("/a"); /* announces the keys */
	urt_context_set(NULL);
	ck_assert_int_eq(write(ready_fd, "", 1), 1);
	ck_assert_int_eq(read(go_fd, &go, 1), 1);
	for (unsigned i = 0; i < ARRAY_LEN(c); i++)
		c[i] = urt_spawn(i % 3 == 0   ? route_a
				 : i % 3 == 1 ? route_b
					      : no_route,
				 NULL);
	for (unsigned i = 0; i < ARRAY_LEN(c); i++)
		urt_join(c[i]);
}

/* ---- known work of each request ---- */

#define KNOWN 100
#define MANY  200000
#define HELD  50
#define MOVED 100

extern __thread struct urt_context *otel_thread_ctx_v1;

static void show(struct urt_context *record)
{
	*(struct urt_context *volatile *)&otel_thread_ctx_v1 = record;
}

/* n calls in a request of that number. The record is a context that is not set, so that
 * nothing but this calls the kernel. */
static void request(struct urt_context *record, unsigned span, int n)
{
	show(NULL);
	memcpy(record->span_id, &span, sizeof(span));
	record->valid = 1;
	show(record);
	calls(n);
}

/* If there is another one. The process never comes back. */
static void change_cpu(struct urt_context *record)
{
	cpu_set_t others;

	show(NULL);
	CPU_ZERO(&others);
	sched_getaffinity(0, sizeof(others), &others);
	CPU_CLR(sched_getcpu(), &others);
	sched_setaffinity(0, sizeof(others), &others);
	show(record);
}

/* Answers calls that seccomp holds up. */
static void answer_calls(int listener)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		struct seccomp_notif call = { 0 };
		struct seccomp_notif_resp answer = { 0 };

		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call))
			_exit(1);
		answer.id = call.id;
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
	}
}

/* From now on, seccomp holds up getppid(1). */
static bool hold_up_calls(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, args)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { ARRAY_LEN(code), code };
	int listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			       SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter);

	if (listener >= 0 && !fork())
		answer_calls(listener);
	return listener >= 0;
}

/* Calls that wait before the kernel announces them, each after a call of the same number
 * for another route. */
static void held_calls(struct urt_context *held, struct urt_context *passed)
{
	show(NULL);
	if (!hold_up_calls())
		return;
	for (int i = 0; i < HELD; i++) {
		show(passed);
		syscall(SYS_getppid, 0);
		show(held);
		syscall(SYS_getppid, 1);
	}
}

static void put(struct urt_context *record, int key, const char *value)
{
	uint8_t *at = record->attrs + record->attrs_size;

	at[0] = key;
	at[1] = strlen(value);
	memcpy(at + 2, value, at[1]);
	record->attrs_size += 2 + at[1];
}

/* A call in each kind of record that a writer may make: with two values of the key, with
 * the key after 60 others, and with a value that ends after the record. */
static void odd_records(void)
{
	static struct urt_context twice, late, cut;

	twice.valid = late.valid = cut.valid = 1;
	put(&twice, 0, "/before");
	put(&twice, 0, "/after");
	for (int i = 0; i < 60; i++)
		put(&late, 1, "x");
	put(&late, 0, "/late");
	put(&cut, 0, "/whole");
	put(&cut, 0, "/cut");
	cut.attrs_size--;
	show(&twice);
	calls(1);
	show(&late);
	calls(1);
	show(&cut);
	calls(1);
}

static struct urt_context *moved;

/* One call in a context of that route. Only this reads the record. */
static void move(const char *route)
{
	moved->valid = 1;
	urt_context_add(moved, 0, route);
	show(moved);
	calls(1);
	show(NULL);
}

static void *page(void *at)
{
	return mmap(at, 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED : 0), -1, 0);
}

/* The same address has another page each time: a new one, one that was elsewhere, a
 * copy of one that a child has kept. */
static void moving_records(void)
{
	void *other;
	pid_t child;

	moved = page(NULL);
	for (int i = 0; i < MOVED; i++) {
		page(moved);
		move("/new");
		other = page(NULL);
		memset(other, 0, 4096);
		mremap(other, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, moved);
		move("/elsewhere");
		child = fork();
		if (!child) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			pause();
		}
		memset(moved, 0, sizeof(*moved));
		move("/copied");
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
}

/* Request i makes i calls, the last one on two CPUs; then come more requests than the tool
 * can hold, contexts that name no request, and some that lie. */
static void known_requests(void)
{
	static const char key[2][URT__CONTEXT_KEY_MAX + 1] = { "http.route",
							       "user" };
	static struct urt_context known, many, held, passed;
	static struct urt_context liar = { .attrs_size = 0xffff,
					   .attrs = { 1, 255 } };
	char go;

	ck_assert_int_eq(urt__announce(key, 2), 0);
	ck_assert_int_eq(write(ready_fd, "", 1), 1);
	ck_assert_int_eq(read(go_fd, &go, 1), 1);
	urt_context_add(&known, 0, "/known");
	urt_context_add(&many, 0, "/many");
	held.valid = passed.valid = 1;
	urt_context_add(&held, 0, "/held");
	urt_context_add(&passed, 0, "/passed");
	for (int i = 1; i < KNOWN; i++)
		request(&known, i, i);
	request(&known, KNOWN, KNOWN / 2);
	change_cpu(&known);
	calls(KNOWN - KNOWN / 2);
	for (int i = 1; i <= MANY; i++)
		request(&many, i, 1);
	request(&known, 0, 3);
	request(&liar, 1, 1);
	show((struct urt_context *)8);
	calls(1);
	odd_records();
	moving_records();
	held_calls(&held, &passed);
	show(NULL);
	_exit(0);
}

static void run_routes(unsigned workers)
{
	struct urt_options o = { .workers = workers };

	_exit(urt_run_with(routes, NULL, &o) ? 1 : 0);
}

/* It continues when the command of `urt stat` writes to the FIFO. workers: of a run of
 * routes; 0: requests without a run. */
static pid_t start(unsigned workers, const char *fifo)
{
	int fds[2];
	pid_t pid;
	char c;

	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		ready_fd = fds[1];
		go_fd = open(fifo, O_RDWR | O_CLOEXEC);
		zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
		if (workers)
			run_routes(workers);
		known_requests();
	}
	ck_assert_int_eq(read(fds[0], &c, 1), 1);
	close(fds[0]);
	close(fds[1]);
	return pid;
}

static void count(unsigned workers)
{
	char fifo[64];
	int status;
	pid_t pid;

	snprintf(fifo, sizeof(fifo), "/tmp/urt-by.%d", getpid());
	ck_assert_int_eq(sh("mkfifo %s", fifo), 0);
	pid = start(workers, fifo);
	ck_assert_int_eq(
		sh("./urt stat --json --by context -p %d -- sh -c 'echo >%s; "
		   "while kill -0 %d && ! grep -q ^State:.Z /proc/%d/status; "
		   "do sleep 0.02; done' 2>&1",
		   pid, fifo, pid, pid),
		0);
	unlink(fifo);
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
	adds_up();
}

/* A figure of the row's requests, such as "syscalls" and "max". */
static long long of_requests(const char *route, const char *what,
			     const char *figure)
{
	json_t *r = row("by", json_pack("{s:s}", "name", route));

	return value(member(member(r, "requests"), what), figure);
}

static long long requests_of(const char *route)
{
	json_t *r = row("by", json_pack("{s:s}", "name", route));

	return value(member(r, "requests"), "count");
}

/* Each event of the row is in one of its requests. */
static void requests_add_up(const char *route)
{
	static const char *const figures[] = { "switches", "syscalls",
					       "io_uring", "off_cpu_ns",
					       "run_queue_ns" };

	if (sum("events_in_no_request"))
		return;
	for (unsigned i = 0; i < ARRAY_LEN(figures); i++)
		ck_assert_int_eq(
			of_requests(route, figures[i], "sum"),
			value(row("by", json_pack("{s:s}", "name", route)),
			      figures[i]));
}

START_TEST(contexts_are_charged_with_what_they_did)
{
	NEED_BPF();
	count(1 + _i);
	ck_assert_int_eq(of_row("/a", "syscalls_by_name", "getppid"),
			 10 * (20 * 10 + 7));
	ck_assert_int_eq(of_row("/a", "io_uring_by_opcode", "READ"),
			 10 * (20 * 2 + 5));
	ck_assert_int_eq(of_row("/b", "syscalls_by_name", "getppid"),
			 10 * 30 * 10);
	ck_assert_int_eq(of_row("/b", "io_uring_by_opcode", "READ"), 10 * 30);
	ck_assert_int_eq(of_row("/b/more", "syscalls_by_name", "getppid"), 10);
	ck_assert_int_eq(of_row("none", "syscalls_by_name", "getppid"),
			 10 * 100);
	ck_assert_int_eq(of_row("none", "io_uring_by_opcode", "READ"), 10 * 3);
	/* A call for all requests belongs to none. */
	ck_assert_int_gt(of_row("shared", "syscalls_by_name", "io_uring_enter"),
			 0);
	ck_assert_int_eq(of_row("/a", "syscalls_by_name", "io_uring_enter"), 0);
	requests_add_up("/a");
	requests_add_up("/b");
	requests_add_up("/b/more");
	ck_assert_int_eq(requests_of("/a"), 10);
	ck_assert_int_eq(requests_of("/b"), 10);
	ck_assert_int_eq(requests_of("/b/more"), 10);
	if (!sum("events_in_no_request")) {
		ck_assert_int_eq(of_requests("/a", "io_uring", "p50"), 45);
		ck_assert_int_eq(of_requests("/a", "io_uring", "max"), 45);
	}
}
END_TEST

START_TEST(requests_differ_by_what_each_did)
{
	NEED_BPF();
	count(0);
	ck_assert_int_eq(requests_of("/known"), KNOWN);
	ck_assert_int_eq(of_requests("/known", "syscalls", "sum"),
			 KNOWN * (KNOWN + 1) / 2);
	ck_assert_int_eq(of_requests("/known", "syscalls", "p50"), KNOWN / 2);
	ck_assert_int_eq(of_requests("/known", "syscalls", "p99"), 99);
	ck_assert_int_eq(of_requests("/known", "syscalls", "max"), KNOWN);
	/* Those without a span are in the row, but in no request. */
	ck_assert_int_eq(of_row("/known", "syscalls_by_name", "getppid"),
			 KNOWN * (KNOWN + 1) / 2 + 3);
	/* An event that is lost may be a request's only one, or one of several:
	 * the wait for a CPU is known at the next switch, many requests later. */
	ck_assert_int_le(requests_of("/many") + sum("requests_missing"), MANY);
	ck_assert_int_ge(requests_of("/many") + sum("requests_missing") +
				 sum("events_in_no_request"),
			 MANY);
	ck_assert_int_eq(of_requests("/many", "syscalls", "max"), 1);
	ck_assert_int_eq(sum("requests_counted_twice"), 0);
	ck_assert_int_eq(of_row("/many", "syscalls_by_name", "getppid"), MANY);
}
END_TEST

START_TEST(context_is_the_last_whole_value_in_the_page_that_is_there_now)
{
	NEED_BPF();
	count(0);
	ck_assert_int_eq(of_row("/new", "syscalls_by_name", "getppid"), MOVED);
	ck_assert_int_eq(of_row("/elsewhere", "syscalls_by_name", "getppid"),
			 MOVED);
	ck_assert_int_eq(of_row("/copied", "syscalls_by_name", "getppid"),
			 MOVED);
	ck_assert_int_eq(of_row("/before", "syscalls_by_name", "getppid"), -1);
	ck_assert_int_eq(of_row("/after", "syscalls_by_name", "getppid"), 1);
	ck_assert_int_eq(of_row("/late", "syscalls_by_name", "getppid"), 1);
	ck_assert_int_eq(of_row("/whole", "syscalls_by_name", "getppid"), 1);
	ck_assert_int_eq(of_row("/cut", "syscalls_by_name", "getppid"), -1);
}
END_TEST

/* In each way in which code may reach a thread-local variable of its library. */
START_TEST(pointer_to_the_context_is_found_in_a_library)
{
#if defined(__x86_64__)
	static const char *const ways[] = { "-ftls-model=global-dynamic",
					    "-mtls-dialect=gnu2",
					    "-ftls-model=initial-exec",
					    "-ftls-model=local-dynamic" };
	long long from_thread, module, in_module;
	char why[256], name[64];
	struct urt_by_where w;
	bool found;
	FILE *f;
	int pid;

	if (sh("printf '__thread long other[5]; __thread void "
	       "*otel_thread_ctx_v1; void set(void *p) { other[1]++; "
	       "otel_thread_ctx_v1 = p; }' | cc -shared -fPIC %s -o tls.so "
	       "-x c - 2>&1",
	       ways[_i]))
		SKIP("no compiler here, or none that knows %s", ways[_i]);
	f = popen("exec tests/announcer ./tls.so", "re");
	ck_assert_int_eq(fscanf(f, "%d %lld %lld %lld", &pid, &from_thread,
				&module, &in_module),
			 4);
	found = context_find(pid, NULL, &w, name, sizeof(name), why,
			     sizeof(why));
	kill(pid, SIGKILL);
	pclose(f);
	unlink("tls.so");
	ck_assert_msg(found, "%s", why);
	if (w.module)
		ck_assert_int_eq(w.module, module);
	ck_assert_int_eq(w.offset, w.module ? in_module : from_thread);
#else
	SKIP("contexts are found on x86-64 only");
#endif
}
END_TEST

/* Why the programs cannot read through the kernel's map of memory; NULL: they can. */
static const char *no_map(void)
{
#if !defined(__x86_64__)
	return "contexts are only read on x86-64";
#endif
	if (sh("grep -qw bpf_rdonly_cast /proc/kallsyms"))
		return "this kernel has no bpf_rdonly_cast (6.2)";
	if (!sh("grep -q xen /sys/hypervisor/type 2>&1") ||
	    !sh("grep -qwE 'sev|sme' /proc/cpuinfo"))
		return "this machine may number pages otherwise";
	return NULL;
}

START_TEST(contexts_are_read_through_the_kernels_map_of_memory)
{
	struct counter_options by = { .by = URT_BY_CONTEXT };
	struct counter *c;
	char why[256];

	NEED_BPF();
	c = counter_open_with(&by, why, sizeof(why));
	ck_assert_msg(c, "%s", why);
	if (!counter_reads_map(c) && no_map())
		SKIP("%s", no_map());
	ck_assert(counter_reads_map(c));
	counter_close(c);
}
END_TEST

START_TEST(switch_in_a_call_that_seccomp_holds_up_has_the_callers_context)
{
	long long passed;
	json_t *held;

	NEED_BPF();
	count(0);
	passed = of_row("/passed", "syscalls_by_name", "getppid");
	if (passed < 0)
		SKIP("seccomp cannot be told to hold up calls here");
	ck_assert_int_eq(passed, HELD);
	held = row("by", json_pack("{s:s}", "name", "/held"));
	ck_assert_ptr_nonnull(held);
	ck_assert_int_ge(value(held, "voluntary"), HELD / 2);
}
END_TEST

/* Descendants, the same process after an exec, and with -a any process. The tool must
 * find each within the time of its work, so that time grows until it has.
 * If it finds none, the test's time limit ends this. */
START_TEST(contexts_of_every_counted_process_are_found)
{
	static const char *const options[] = { "", "-a" };
	int ms = 60;

	NEED_BPF();
	do {
		ck_assert_int_eq(
			sh("./urt stat --json --by context %s -- sh -c '"
			   "tests/probe route %d /a & "
			   "sh -c \"tests/probe route %d /b; true\" & "
			   "exec tests/probe route %d /c' 2>&1",
			   options[_i], ms, ms, ms),
			0);
		if (!_i)
			adds_up();
		if (ms < 2000)
			ms *= 2;
	} while (of_row("/a", "syscalls_by_name", "getppid") <= 0 ||
		 of_row("/b", "syscalls_by_name", "getppid") <= 0 ||
		 of_row("/c", "syscalls_by_name", "getppid") <= 0);
}
END_TEST

/* The longer it computes, the more samples; on a machine that gives it no CPU, there are
 * none at first. */
START_TEST(context_has_the_cpu_time_of_its_samples)
{
	json_t *a;

	NEED_BPF();
	for (int ms = 60;; ms *= 2) {
		ck_assert_int_eq(sh("./urt stat --json --by context -- "
				    "tests/probe route %d /a 2>&1",
				    ms),
				 0);
		a = row("by", json_pack("{s:s}", "name", "/a"));
		if (a && json_is_null(json_object_get(a, "on_cpu_ns")))
			SKIP("no perf events here");
		if (value(a, "on_cpu_ns") > 0)
			break;
	}
}
END_TEST

/* Its switches and page faults come by chance: the longer it computes, the more. */
START_TEST(figures_of_requests_that_are_not_counted_are_null)
{
	json_t *requests;
	int ms = 60;

	NEED_BPF();
	do {
		ck_assert_int_eq(sh("./urt stat --json --no-syscalls --by "
				    "context -- tests/probe route %d /a 2>&1",
				    ms),
				 0);
		requests = member(row("by", json_pack("{s:s}", "name", "/a")),
				  "requests");
		if (ms < 2000)
			ms *= 2;
	} while (!json_is_object(requests));
	ck_assert_msg(json_is_null(json_object_get(requests, "syscalls")), "%s",
		      text);
}
END_TEST

/* ---- how long calls take, and how they fail ---- */

/* The number "name" of a call in "latency"; -1: missing. */
static long long of_call(const char *call, const char *name)
{
	json_t *c = member(member(document(), "latency"), call);
	double n = value(c, name);

	return !c ? -1 : n == n ? n : 0;
}

/* strace -c: % time, seconds, usecs/call, calls, errors or nothing, name. */
START_TEST(calls_and_errors_are_those_that_strace_counts)
{
	static const char command[] = "cat /etc/passwd /nowhere/1 /nowhere/2";
	unsigned long calls, errors;
	unsigned compared = 0;
	char path[64], line[256], name[64];
	FILE *f;

	NEED_BPF();
	snprintf(path, sizeof(path), "/tmp/urt-strace.%d", getpid());
	if (sh("strace -c -o %s %s 2>&1", path, command) == 127)
		SKIP("no strace here");
	ck_assert_int_eq(sh("./urt stat --json --latency -o /dev/stdout -- %s "
			    "2>&1",
			    command),
			 1);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		errors = 0;
		if (sscanf(line, "%*f %*f %*u %lu %lu %63s", &calls, &errors,
			   name) != 3 &&
		    sscanf(line, "%*f %*f %*u %lu %63s", &calls, name) != 2)
			continue;
		if (!strcmp(name, "total") || !strcmp(name, "execve"))
			continue; /* the exec began before the program */
		ck_assert_msg(of_call(name, "returned") == (long long)calls,
			      "%s: %lld returned: %s", name,
			      of_call(name, "returned"), line);
		ck_assert_msg(of_call(name, "errors") == (long long)errors,
			      "%s: %lld errors: %s", name,
			      of_call(name, "errors"), line);
		compared++;
	}
	if (f)
		fclose(f);
	unlink(path);
	ck_assert_uint_gt(compared, 10);
	ck_assert_int_ge(of_call("openat", "ENOENT"), 2);
}
END_TEST

START_TEST(call_takes_as_long_as_it_waits)
{
	NEED_BPF();
	ck_assert_int_eq(sh("./urt stat --json --latency -- sleep 0.2 2>&1"),
			 0);
	ck_assert_int_eq(of_call("clock_nanosleep", "returned"), 1);
	ck_assert_int_ge(of_call("clock_nanosleep", "total_ns"), 200 * MS);
	ck_assert_int_eq(of_call("clock_nanosleep", "total_ns"),
			 of_call("clock_nanosleep", "max_ns"));
	ck_assert_int_eq(sh("./urt stat --errors -- cat /nowhere 2>&1"), 1);
	ck_assert_msg(strstr(text, "ENOENT") != NULL, "%s", text);
	refuses("./urt stat --errors -r 2 -- true", "take neither -r");
}
END_TEST

START_TEST(by_names_what_it_cannot_do)
{
	NEED_BPF();
	refuses("./urt stat --by route -- true",
		"expected one of thread, comm");
	refuses("./urt stat --by comm -r 2 -- true", "--by takes neither");
	ck_assert_int_eq(sh("./urt stat --by context -- true 2>&1"), 0);
	ck_assert_msg(strstr(text, "n/a  by context: ") != NULL, "%s", text);
	ck_assert_msg(strstr(text, "contexts of threads") != NULL, "%s", text);
	ck_assert_msg(!strstr(text, "off, ms"), "%s", text);
}
END_TEST

Suite *by_suite(void)
{
	Suite *s = suite_create("by");
	TCase *t = tcase_create("rows");

	tcase_add_loop_test(t, rows_add_up_to_the_totals, 0, 4);
	tcase_add_test(t, rows_tell_waits_for_a_cpu_and_page_faults);
	tcase_add_loop_test(t, contexts_are_charged_with_what_they_did, 0, 3);
	tcase_add_loop_test(t, pointer_to_the_context_is_found_in_a_library, 0,
			    4);
	tcase_add_test(t, requests_differ_by_what_each_did);
	tcase_add_test(t, contexts_are_read_through_the_kernels_map_of_memory);
	tcase_add_test(
		t,
		context_is_the_last_whole_value_in_the_page_that_is_there_now);
	tcase_add_test(
		t,
		switch_in_a_call_that_seccomp_holds_up_has_the_callers_context);
	tcase_add_loop_test(t, contexts_of_every_counted_process_are_found, 0,
			    2);
	tcase_add_test(t, context_has_the_cpu_time_of_its_samples);
	tcase_add_test(t, figures_of_requests_that_are_not_counted_are_null);
	tcase_add_test(t, by_names_what_it_cannot_do);
	suite_add_tcase(s, t);
	t = tcase_create("latency");
	tcase_add_test(t, calls_and_errors_are_those_that_strace_counts);
	tcase_add_test(t, call_takes_as_long_as_it_waits);
	suite_add_tcase(s, t);
	return s;
}
