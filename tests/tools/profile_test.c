// SPDX-License-Identifier: MIT
/*
 * `urt profile` on programs that say themselves what they did: the CPU time that
 * the kernel accounts, the waits that they made, the coroutines that they have.
 * Runs in the build directory.
 */
#define _GNU_SOURCE
#include "../../tools/lib/proc.h"
#include "../../tools/measure/demangle.h"
#include "../../tools/measure/modules.h"
#include "../../tools/measure/remote.h"
#include "../../tools/profile/profile.h"
#include "../../uring_rt/urt.h"
#include "../lib/test.h"
#include "../lib/tool_run.h"
#include "../lib/workers.h"
#include <fcntl.h>
#include <limits.h>
#include <linux/types.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "../../bpf/profile.h"
#undef errno

/* The sum of the folded stacks that begin with a and contain b and c, in us or
 * coroutines. */
static long long folded(const char *a, const char *b, const char *c)
{
	long long sum = 0;

	for (char *p = text, *end; (end = strchr(p, '\n')); p = end + 1) {
		*end = '\0';
		if (!strncmp(p, a, strlen(a)) && strstr(p, b) && strstr(p, c))
			sum += atoll(strrchr(p, ' ') + 1);
		*end = '\n';
	}
	return sum;
}

static int64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * (1000 * MS) + ts.tv_nsec;
}

static int to_child[2];
static _Atomic long *rounds; /* wake-ups by the child; shared with it */

/* Named, so that it is found in the stacks. */
static __attribute__((noinline, noclone)) void profile_test_spins(int64_t ns)
{
	int64_t end = clock_ns(CLOCK_THREAD_CPUTIME_ID) + ns;

	while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < end)
		for (volatile int i = 0; i < 100000; i++)
			;
}

static __attribute__((noinline, noclone)) void profile_test_waits(void)
{
	char c;

	if (read(to_child[0], &c, 1) != 1)
		_exit(1);
	__asm__ volatile("" ::: "memory");
}

static void *other_thread(void *arg)
{
	prctl(PR_SET_NAME, "waiting");
	for (;;)
		profile_test_waits();
	return NULL;
}

/* A child that uses 10 ms of CPU time, and then wakes a thread, again and again. */
static pid_t child_start(void)
{
	pthread_t t;
	pid_t pid;

	ck_assert_int_eq(pipe(to_child), 0);
	rounds = mmap(NULL, sizeof(*rounds), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(rounds, MAP_FAILED);
	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "working");
	if (pthread_create(&t, NULL, other_thread, NULL))
		_exit(1);
	for (;;) {
		profile_test_spins(10 * MS);
		++*rounds;
		if (write(to_child[1], "", 1) != 1)
			_exit(1);
	}
}

#define WINDOW_US 400000

/* Each thread's times on and off the CPU add up to the time that passed; those
 * on it to what the kernel has accounted. */
START_TEST(threads_are_where_they_are_known_to_be)
{
	long long on, off, waited, woken, cpu_us, passed_us;
	clockid_t clock;
	int64_t before, begin;
	long round;
	pid_t pid;

	NEED_BPF();
	pid = child_start();
	ck_assert_int_eq(clock_getcpuclockid(pid, &clock), 0);
	before = clock_ns(clock);
	begin = clock_ns(CLOCK_MONOTONIC);
	round = *rounds;
	ck_assert_int_eq(sh("./urt profile -F 999 -p %d --duration %d -o "
			    "profile.folded && cat profile.folded",
			    pid, WINDOW_US / 1000),
			 0);
	cpu_us = (clock_ns(clock) - before) / 1000;
	passed_us = (clock_ns(CLOCK_MONOTONIC) - begin) / 1000;
	round = *rounds - round;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	on = folded("on-cpu;", "", "");
	off = folded("off-cpu;working", "", "");
	ck_assert_msg(on <= cpu_us * 1.2, "%lld of %lld us: %.999s", on, cpu_us,
		      text);
	ck_assert_msg(folded("on-cpu;working;", "profile_test_spins", "") >
			      on * 0.8,
		      "%.999s", text);
	ck_assert_msg(on + off > WINDOW_US * 0.8 && on + off < passed_us * 1.2,
		      "%lld us on, %lld off of %lld: %.999s", on, off,
		      passed_us, text);
	waited = folded("off-cpu;waiting;", "", "");
	ck_assert_msg(waited > WINDOW_US * 0.9, "%lld us: %.999s", waited,
		      text);
	/* The last wait has not ended. On a busy machine, few have. */
	woken = folded("off-cpu;waiting;", "woken by", "");
	ck_assert_msg(folded("off-cpu;waiting;", "woken by working", "") >=
			      woken * 0.9,
		      "%.999s", text);
}
END_TEST

/* A child that runs this; returns once it has written to `ready`. */
static pid_t start(void (*run)(int ready))
{
	pid_t pid;
	int fds[2];
	char c;

	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		run(fds[1]);
	}
	ck_assert_int_eq(read(fds[0], &c, 1), 1);
	return pid;
}

/* ---- functions that are made at run time ---- */

#if defined(__x86_64__)
/* push %rbp; mov %rsp,%rbp; mov %rdi,%rcx; 1: dec %rcx; jnz 1b; pop %rbp; ret */
static const uint8_t made_spins[] = {
	0x55, 0x48, 0x89, 0xe5, 0x48, 0x89, 0xf9,
	0x48, 0xff, 0xc9, 0x75, 0xfb, 0x5d, 0xc3
};

static _Noreturn void run_made(int ready)
{
	uint8_t *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char path[64];
	FILE *f;

	prctl(PR_SET_NAME, "made");
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	f = fopen(path, "we");
	if (code == MAP_FAILED || !f)
		_exit(1);
	memcpy(code + 64, made_spins, sizeof(made_spins));
	/* A later line for the same address counts, as it does for perf. */
	fprintf(f, "%lx %zx replaced\n", (long)code + 64, sizeof(made_spins));
	fprintf(f, "%lx %zx made; at <run> time\nno line\n", (long)code + 64,
		sizeof(made_spins));
	fclose(f);
	if (write(ready, "", 1) != 1)
		_exit(1);
	for (;;)
		((void (*)(long))(void *)(code + 64))(1000000);
}

START_TEST(functions_made_at_run_time_have_the_names_of_the_perf_map)
{
	long long on;
	pid_t pid;

	NEED_BPF();
	pid = start(run_made);
	do { /* until it has got the CPU */
		ck_assert_int_eq(sh("./urt profile -F 999 -p %d --duration 200 "
				    "-o profile.folded && cat profile.folded",
				    pid),
				 0);
		on = folded("on-cpu;made;", "", "");
	} while (!on);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ck_assert_msg(folded("on-cpu;made;", ";made: at <run> time", "") >
			      on * 0.8,
		      "%.999s", text);
	ck_assert_ptr_null(strstr(text, "replaced"));
	sh("rm /tmp/perf-%d.map", pid);
}
END_TEST
#endif

START_TEST(commands_are_profiled_until_they_end)
{
	int64_t begin;
	long long off, wait;

	NEED_BPF();
	do { /* a BPF program that an interrupt interrupts misses the waking */
		begin = clock_ns(CLOCK_MONOTONIC);
		ck_assert_int_eq(sh("./urt profile -o profile.folded -- sh -c "
				    "'sleep 0.3; exit 7'; echo $?; "
				    "cat profile.folded"),
				 0);
		off = folded("off-cpu;sleep;", "nanosleep",
			     "woken by an interrupt");
		/* Its waiting for the other is not ended by an interrupt. */
		wait = folded("off-cpu;sh;", "", "woken by sleep");
	} while (!off || !wait);
	ck_assert_msg(!strncmp(text, "7\n", 2), "%.999s", text);
	ck_assert_msg(off >= 290000 &&
			      off < (clock_ns(CLOCK_MONOTONIC) - begin) / 1000,
		      "%lld: %.999s", off, text);
	ck_assert_msg(wait > 250000, "%.999s", text);
}
END_TEST

/* The last column but one of pprof's table, in ms, of a function. */
static double pprof_ms(const char *function)
{
	const char *at = strstr(text, function);
	double cum = -1;

	while (at && at > text && at[-1] != '\n')
		at--;
	if (at)
		sscanf(at, " %*s %*s %*s %lf", &cum);
	return cum;
}

/* The time after these words. */
static double pprof_time_ms(const char *words)
{
	const char *at = strstr(text, words);
	char unit[8] = "";
	double n = -1;

	if (at)
		sscanf(at + strlen(words), "%lf%7[a-z]", &n, unit);
	return strcmp(unit, "s") ? n : n * 1000;
}

START_TEST(pprof_reads_what_is_written_for_it)
{
	pid_t pid;

	NEED_BPF();
	/* Since Go 1.25, its first call compiles it, for a minute. */
	if (sh("timeout 10 go tool pprof -h 2>&1 | grep -q sample_index"))
		SKIP("go tool pprof is not installed, or not compiled yet");
	pid = child_start();
	ck_assert_int_eq(sh("./urt profile -F 999 -p %d --duration %d -o "
			    "profile.pb.gz 2>&1",
			    pid, WINDOW_US / 1000),
			 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ck_assert_msg(!sh("go tool pprof -unit ms -nodefraction 0 -top "
			  "profile.pb.gz 2>&1"),
		      "%s", text);
	ck_assert_ptr_nonnull(strstr(text, "Type: on-cpu"));
	ck_assert_msg(pprof_ms("profile_test_spins") >=
			      0.8 * pprof_time_ms("Total samples = "),
		      "%.2000s", text);
	ck_assert_int_eq(sh("go tool pprof -unit ms -nodefraction 0 -top "
			    "-sample_index=off-cpu -tagfocus=thread=waiting "
			    "profile.pb.gz 2>&1"),
			 0);
	/* Its read has no frame pointers, which hides the caller. */
	ck_assert_msg(pprof_ms("other_thread") > 0.7 * WINDOW_US / 1000 &&
			      pprof_ms("other_thread") <
				      1.5 * pprof_time_ms("Duration: "),
		      "%.2000s", text);
	sh("rm profile.pb.gz");
}
END_TEST

/* ---- coroutines ---- */

static int told;
static struct urt_chan *chan;

static __attribute__((noinline, noclone)) void profile_test_sleeps(void *arg)
{
	urt_sleep(3600 * 1000 * MS);
	__asm__ volatile("" ::: "memory");
}

static __attribute__((noinline, noclone)) void profile_test_receives(void *arg)
{
	long v;

	urt_chan_recv(chan, &v, URT_NEVER);
	__asm__ volatile("" ::: "memory");
}

static void population(void *arg)
{
	chan = urt_chan_new(sizeof(long), 0);
	for (int i = 0; i < 40; i++)
		urt_go(profile_test_sleeps, NULL);
	for (int i = 0; i < 20; i++)
		urt_go(profile_test_receives, NULL);
	/* 40, and our own. */
	for (int own = 0; counter(URT__STAT_PARKS_SLEEP) < 40u + own; own++)
		urt_sleep(MS);
	wait_for_count(URT__STAT_PARKS_CHAN, 20);
	if (write(told, "", 1) != 1)
		_exit(1);
	urt_sleep(3600 * 1000 * MS);
}

static _Noreturn void run_population(int ready)
{
	told = ready;
	_exit(urt_run(population, NULL));
}

START_TEST(coroutines_are_counted_with_reasons)
{
	pid_t pid;

	NEED_BPF();
	pid = start(run_population);
	ck_assert_int_eq(sh("./urt profile -p %d --duration 200 -o "
			    "profile.folded && cat profile.folded",
			    pid),
			 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ck_assert_int_eq(folded("coroutines;", "profile_test_sleeps", "[sleep"),
			 40);
	ck_assert_int_eq(folded("coroutines;", "profile_test_receives", "["),
			 20);
	ck_assert_int_eq(folded("coroutines;", "", ""), 61);
}
END_TEST

START_TEST(pages_hold_what_a_name_cannot_leave)
{
	NEED_BPF();
	/* One name is a command's, the other one a thread's. */
	ck_assert_int_eq(
		sh("ln -sf /bin/sleep '<b>;x'; ./urt profile -o "
		   "profile.html -- sh -c \"'./<b>;x' 0.05; : "
		   "'</script><b>'\"; rm -f '<b>;x'; cat profile.html"),
		0);
	ck_assert_ptr_nonnull(strstr(text, "off-cpu"));
	ck_assert_ptr_nonnull(strstr(text, "default-src 'none'"));
	ck_assert_ptr_null(strstr(text, "<b>"));
	ck_assert_ptr_nonnull(strstr(text, "\\u003cb\\u003e:x"));
	ck_assert_ptr_nonnull(strstr(text, "\\u003c/script\\u003e"));
	ck_assert_ptr_null(strstr(text, "http://"));
	ck_assert_ptr_null(strstr(text, "https://"));
	ck_assert_ptr_null(strstr(text, "@DATA@"));
}
END_TEST

/* "": it stays as it is. */
static const char *const mangled[][2] = {
	{ "_Z3foov", "foo" },
	{ "_ZL3fooi.constprop.0", "foo.constprop.0" },
	{ "_ZN4node2fsL14OpenFileHandleERKN2v820FunctionCallbackInfoINS1_5"
	  "ValueEEE",
	  "node::fs::OpenFileHandle" },
	{ "_ZThn56_N4node6crypto13DeriveBitsJobINS0_12PBKDF2TraitsEE16"
	  "DoThreadPoolWorkEv",
	  "node::crypto::DeriveBitsJob<...>::DoThreadPoolWork" },
	{ "_ZNSt6vectorIiSaIiEED2Ev", "std::vector<...>::~vector" },
	{ "_ZNSt8ios_base4InitC1Ev", "std::ios_base::Init::Init" },
	{ "_ZNK3foolsERKi", "foo::operator<<" },
	{ "_ZN3barcvbEv", "bar::operator type" },
	{ "_ZZN12_GLOBAL__N_13fooEiENKUlvE_clEv",
	  "(anonymous namespace)::foo::{lambda}::operator()" },
	{ "_ZN4core3fmt9Formatter3pad17h0123456789abcdefE",
	  "core::fmt::Formatter::pad" },
	{ "_ZN50_$LT$T$u20$as$u20$core..convert..Into$LT$U$GT$$GT$4into17h"
	  "0123456789abcdefE",
	  "<T as core::convert::Into<U>>::into" },
	{ "foo", "" },
	{ "_Z", "" },
	{ "_Z99999999999999999999foo", "" },
	{ "_ZN3fooILi5", "" },
	{ "_ZN3fooIXadL_Z3barvEEE3bazEv", "" },
};

START_TEST(names_of_cxx_and_rust_are_those_of_the_language)
{
	char name[64], deep[4096] = "_Z3fooI";

	for (unsigned i = 0; i < ARRAY_LEN(mangled); i++) {
		ck_assert_int_eq(demangle(mangled[i][0], name, sizeof(name)),
				 mangled[i][1][0] != '\0');
		ck_assert_str_eq(name, mangled[i][1]);
	}
	ck_assert(demangle("_ZN3foo3barEv", name, 6));
	ck_assert_str_eq(name, "foo::");
	memset(deep + strlen(deep), 'P', sizeof(deep) - 1 - strlen(deep));
	ck_assert(!demangle(deep, name, sizeof(name)));
}
END_TEST

/* As Node does: memory that is in no file, then a part of the program again. */
START_TEST(address_above_the_program_is_not_in_it)
{
	int exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), fds[2];
	struct modules *m;
	char *code, name[320];
	pid_t pid;

	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		code = mmap((char *)sbrk(0) + (1 << 30), 8192, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		mmap(code + 4096, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED, exe,
		     4096);
		if (write(fds[1], &code, sizeof(code)) != sizeof(code))
			_exit(1);
		for (;;)
			pause();
	}
	ck_assert_int_eq(read(fds[0], &code, sizeof(code)), sizeof(code));
	m = modules_open(pid);
	ck_assert_ptr_nonnull(m);
	modules_name(m, (uintptr_t)code, name, sizeof(name));
	modules_close(m);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ck_assert_msg(!strncmp(name, "0x", 2), "%s", name);
}
END_TEST

START_TEST(profile_says_what_it_needs)
{
	refuses("./urt profile", "give either a command");
	refuses("./urt profile -p 1 -- true", "give either a command");
	refuses("./urt profile -F 0 -- true", "not a number from 1");
	refuses("./urt profile -p 4194304", "no process has the PID");
	NEED_BPF();
	ck_assert_int_eq(sh("./urt profile -o profile.folded -- /no/such "
			    "2>&1"),
			 127);
	/* Once it handles SIGINT. */
	ck_assert_int_eq(sh("./urt profile -p $$ 2>&1 & urt=$!\n"
			    "until grep -q 'SigCgt:.*4003$' /proc/$urt/status; "
			    "do :; done; kill -INT $urt; wait $urt"),
			 0);
	ck_assert_ptr_nonnull(strstr(text, "off the CPU"));
}
END_TEST

/* libc's read may have a frame that is found by the frame pointer, which /proc does
 * not tell; its syscall has none. */
static __attribute__((noinline, noclone)) void profile_test_sleeps_on(int fd)
{
	char c;

	if (syscall(SYS_read, fd, &c, 1) != 1)
		_exit(1);
	__asm__ volatile(""); /* so it is no tail call */
}

static void sleep_all_the_time(int ready)
{
	int fds[2];

	prctl(PR_SET_NAME, "asleep");
	if (pipe(fds) || write(ready, "", 1) != 1)
		_exit(1);
	profile_test_sleeps_on(fds[0]);
}

#if defined(__x86_64__)
#define SLEEPER ";profile_test_sleeps_on;"
#else /* the return address is in a register, which /proc does not tell, either */
#define SLEEPER ";"
#endif

/* No event shows where. */
START_TEST(threads_that_sleep_all_the_time_have_a_stack)
{
	pid_t pid;

	NEED_BPF();
	pid = start(sleep_all_the_time);
	do
		ck_assert_int_eq(sh("cat /proc/%d/syscall", pid), 0);
	while (strncmp(text, "running", 7) == 0 || atol(text) != SYS_read);
	ck_assert_int_eq(sh("./urt profile -p %d --duration 100 -o "
			    "profile.folded && cat profile.folded",
			    pid),
			 0);
	ck_assert_msg(folded("off-cpu;asleep;", SLEEPER, ";[in read] ") > 90000,
		      "%s", text);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
END_TEST

/* ---- one number, several programs ---- */

static void exec_another(int ready)
{
	char c;

	if (write(ready, "", 1) != 1 || read(to_child[0], &c, 1) != 1)
		_exit(1);
	dup2(ready, STDOUT_FILENO);
	execl("tests/probe", "tests/probe", "hang", NULL);
	_exit(1);
}

static struct image image_of(pid_t pid)
{
	uint64_t end_code, start_stack;
	char stat[1024];

	ck_assert(remote_text(pid, "stat", stat, sizeof(stat)));
	ck_assert(proc_program(stat, &end_code, &start_stack));
	return (struct image){ pid, PROFILE_PROGRAM(start_stack, end_code) };
}

START_TEST(names_are_those_of_the_program_that_ran)
{
	struct names *names = names_new(), *late = names_new();
	uint64_t at = (uintptr_t)profile_test_spins;
	struct image before, after;
	char name[64];
	pid_t pid;

	ck_assert_int_eq(pipe(to_child), 0);
	pid = start(exec_another);
	before = image_of(pid);
	names_one(names, before, at, name, sizeof(name));
	ck_assert_str_eq(name, "profile_test_spins");
	/* All frames of one that was forked from it, and has ended. */
	for (int i = 0; i < 2; i++) {
		names_one(names, (struct image){ INT_MAX, before.program }, at,
			  name, sizeof(name));
		ck_assert_str_eq(name, "profile_test_spins");
	}
	ck_assert_int_eq(write(to_child[1], "", 1), 1);
	do
		after = image_of(pid);
	while (after.program == before.program ||
	       sh("grep -q tests/probe /proc/%d/maps", pid));
	after = image_of(pid);
	names_one(names, before, at, name, sizeof(name));
	ck_assert_str_eq(name, "profile_test_spins");
	names_one(names, after, at, name, sizeof(name));
	ck_assert_str_ne(name, "profile_test_spins");
	names_one(late, before, at, name, sizeof(name));
	ck_assert_int_eq(strncmp(name, "0x", 2), 0);
	names_free(names);
	names_free(late);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
END_TEST

START_TEST(process_with_the_number_of_another_is_counted)
{
	int code;

	NEED_BPF();
	code = sh("./urt profile -F 999 -o profile.folded -- tests/probe again "
		  "100");
	if (code == 77)
		SKIP("the number of a process cannot be chosen here");
	ck_assert_int_eq(code, 0);
	ck_assert_int_eq(sh("cat profile.folded"), 0);
	/* They sleep 20 ms at the end. */
	ck_assert_msg(folded("off-cpu;first;", "nanosleep", "") >= 900 &&
			      folded("off-cpu;second;", "nanosleep", "") >= 900,
		      "%.999s", text);
}
END_TEST

Suite *profile_suite(void)
{
	Suite *s = suite_create("profile");
	TCase *t = tcase_create("profile");

	tcase_add_test(t, threads_are_where_they_are_known_to_be);
#if defined(__x86_64__)
	tcase_add_test(
		t, functions_made_at_run_time_have_the_names_of_the_perf_map);
#endif
	tcase_add_test(t, threads_that_sleep_all_the_time_have_a_stack);
	tcase_add_test(t, pprof_reads_what_is_written_for_it);
	tcase_add_test(t, commands_are_profiled_until_they_end);
	tcase_add_test(t, coroutines_are_counted_with_reasons);
	tcase_add_test(t, pages_hold_what_a_name_cannot_leave);
	tcase_add_test(t, names_are_those_of_the_program_that_ran);
	tcase_add_test(t, process_with_the_number_of_another_is_counted);
	tcase_add_test(t, names_of_cxx_and_rust_are_those_of_the_language);
	tcase_add_test(t, address_above_the_program_is_not_in_it);
	tcase_add_test(t, profile_says_what_it_needs);
	suite_add_tcase(s, t);
	return s;
}
