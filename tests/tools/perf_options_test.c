// SPDX-License-Identifier: MIT
/*
 * The options of `urt stat` that users of perf stat know: each works, or the
 * error says what to use instead. Runs in the build directory.
 */
#define _GNU_SOURCE
#include "../lib/cgroups.h"
#include "../lib/json_tree.h"
#include "../lib/stat_run.h"
#include <linux/sched.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define CALL "sched_get_priority_max"

static const struct {
	const char *typed, *says; /* says NULL: it works */
} known[] = {
	{ "-i -B -e cs,faults,task-clock,syscalls:sys_enter_read -- true",
	  NULL },
	{ "-C 0 -A --pre true --post true -- true", NULL },
	{ "-e cycles -- true", "perf stat -e cycles" },
	{ "-e r01c2 -- true", "perf stat -e" },
	{ "-e nonsense -- true", "urt stat --list" },
	{ "-C 4095 -- true", "not a number from 0" },
	{ "-d -- true", "perf stat -d" },
	{ "--detailed -- true", "--latency" },
	{ "-v -- true", "URT_BPF_LOG=1" },
	{ "-n -- true", NULL },
	{ "--no-big-num -- true", "--json" },
	{ "-j -- true", "use --json" },
	{ "-M tma -- true", "perf stat -M" },
	{ "-M", "needs an argument" },
	{ "--log-fd 3 -- true", "/dev/fd/N" },
	{ "--per-core -- true", "-A" },
	{ "--summary -- true", "take -I" },
	{ "-I 10 --interval-count 1 --summary -- true", NULL },
	{ "--table -- true", "takes -r" },
	{ "--pre false -- true", "\"false\" failed" },
	{ "--post false -- true", "\"false\" failed" },
	{ "--pre true -a", "a command after --" },
	{ "--append -- true", "takes -o FILE" },
	{ "--no-inherit -a", "takes a command" },
	{ "-t 1 -p 1", "give either -p or -t" },
	{ "-t 4194304", "no thread has the TID" },
	{ "--children -- true", "takes -p" },
	{ "-A --by comm -- true", "give only one of" },
	{ "--for-each-cgroup / -- true", NULL },
};

START_TEST(options_of_perf_stat_work_or_say_what_to_use)
{
	int code;

	NEED_BPF();
	for (unsigned i = 0; i < ARRAY_LEN(known); i++) {
		code = sh("./urt stat %s 2>&1", known[i].typed);
		ck_assert_msg(code == !!known[i].says, "%s: %d: %s",
			      known[i].typed, code, text);
		ck_assert_msg(!known[i].says || strstr(text, known[i].says),
			      "%s: %s", known[i].typed, text);
	}
}
END_TEST

START_TEST(options_of_one_command_are_named_by_the_others)
{
	refuses("./urt stat --duration 1s -- true", "use --timeout MS");
	refuses("./urt profile --timeout 1s -- true", "use --duration MS");
	refuses("./urt record --timeout 1s -- true", "use --duration MS");
	refuses("./urt profile -g -- true", "always followed");
	refuses("./urt profile --call-graph dwarf -- true", "frame pointers");
	refuses("./urt profile -a", "-p PID");
}
END_TEST

/* ---- printing ---- */

START_TEST(events_are_the_only_figures_printed)
{
	struct rusage u;
	long faults;
	int status;
	pid_t pid;

	NEED_BPF();
	ck_assert_int_eq(sh("./urt stat -x , -e syscalls:sys_enter_" CALL
			    ",context-switches -- tests/probe calls 500 2>&1 "
			    ">/dev/null | tee perf.txt; wc -l <perf.txt"),
			 0);
	ck_assert_ptr_nonnull(strstr(text, "500,,syscalls:" CALL ",bpf,\n"));
	ck_assert_ptr_nonnull(strstr(text, ",switches,bpf,\n2\n"));
	stat_ok("-e page-faults,syscalls:" CALL, "calls 500");
	ck_assert_int_eq(number("figures", "syscalls:" CALL), 500);
	faults = number("figures", "page-faults");
	pid = fork();
	if (!pid) {
		close(1);
		execl("tests/probe", "probe", "calls", "500", NULL);
		_exit(127);
	}
	ck_assert_int_eq(wait4(pid, &status, 0, &u), pid);
	/* Its counter begins at fork; perf's at the exec. */
	ck_assert_msg(faults > 10 && faults <= u.ru_minflt + u.ru_majflt + 10,
		      "%ld faults, by getrusage %ld", faults, u.ru_minflt);
}
END_TEST

START_TEST(null_counts_nothing_but_time)
{
	ck_assert_int_eq(sh("./urt stat -n -- sleep 0.1 2>&1"), 0);
	ck_assert_ptr_null(strstr(text, "switches"));
	ck_assert_ptr_nonnull(strstr(text, "s elapsed"));
	ck_assert_int_eq(sh("./urt stat -n --json -- sleep 0.1 2>&1"), 0);
	ck_assert_int_ge(number("figures", "wall"), 100 * MS);
}
END_TEST

START_TEST(intervals_end_after_their_number_with_a_summary)
{
	long lines = 0;
	char *p;

	NEED_BPF();
	ck_assert_int_eq(
		sh("./urt stat -I 20 --interval-count 3 --summary -x , "
		   "-e syscalls -o perf.txt -- tests/probe hang "
		   ">/dev/null; cat perf.txt"),
		0);
	for (p = text; (p = strchr(p, '\n')); p++)
		lines++;
	ck_assert_msg(lines == 4, "%s", text);
	ck_assert_ptr_nonnull(strstr(text, "\nsummary,"));
}
END_TEST

/* root would refuse another user's file; the caller could append to this one
 * without sudo. */
START_TEST(root_appends_to_a_file_of_the_one_that_called_sudo)
{
	static const char append[] =
		"./urt stat --no-bpf --append -o perf.txt -- true";

	if (geteuid())
		SKIP("needs root");
	ck_assert_int_eq(sh("echo mine >perf.txt && chown 5000 perf.txt"), 0);
	refuses(append, "a regular file of this user's");
	ck_assert_int_eq(sh("SUDO_UID=5001 %s 2>&1", append), 1);
	ck_assert_int_eq(sh("SUDO_UID=5000 %s 2>&1", append), 0);
	/* A file with another name may be anything that the caller could link
	 * to. */
	ck_assert_int_eq(
		sh("ln perf.txt perf.link && SUDO_UID=5000 %s 2>&1", append),
		1);
	ck_assert_int_eq(sh("stat -c %%u perf.txt && head -n 1 perf.txt && "
			    "grep -c 'urt stat: true' perf.txt; "
			    "rm -f perf.txt perf.link"),
			 0);
	ck_assert_str_eq(text, "5000\nmine\n1\n");
}
END_TEST

START_TEST(results_are_appended_to_a_file_and_not_to_a_link)
{
	NEED_BPF();
	ck_assert_int_eq(sh("rm -f perf.txt; for i in 1 2; do ./urt stat "
			    "--append -o perf.txt -- true; done; "
			    "grep -c elapsed perf.txt"),
			 0);
	ck_assert_str_eq(text, "2\n");
	ck_assert_int_eq(sh("ln -sf perf.txt perf.link"), 0);
	refuses("./urt stat --append -o perf.link -- true", "a link");
	ck_assert_int_eq(sh("rm perf.link; ln perf.txt perf.link"), 0);
	refuses("./urt stat --append -o perf.link -- true", "one name");
	ck_assert_int_eq(sh("rm perf.link"), 0);
}
END_TEST

START_TEST(runs_are_listed_and_surrounded_by_commands)
{
	NEED_BPF();
	ck_assert_int_eq(sh("./urt stat -r 2 --table --pre 'echo pre' --post "
			    "'echo post' -o perf.txt -- echo run"),
			 0);
	ck_assert_str_eq(text, "pre\nrun\npost\npre\nrun\npost\n");
	ck_assert_int_eq(sh("grep -A9 'each run' perf.txt | grep -c ' s ('"),
			 0);
	ck_assert_str_eq(text, "2\n");
	ck_assert_int_eq(sh("./urt stat -x , -e syscalls:" CALL " --pre "
			    "'tests/probe calls 70' --post 'tests/probe calls "
			    "70' -- tests/probe calls 500 2>&1 >/dev/null"),
			 0);
	ck_assert_str_eq(text, "500,,syscalls:" CALL ",bpf,\n");
}
END_TEST

/* ---- counting ---- */

START_TEST(started_processes_are_not_counted_if_not_wanted)
{
	static const char command[] =
		"./urt stat %s -x , -e syscalls:" CALL " -- sh -c "
		"'tests/probe calls 300; true' 2>&1 >/dev/null";

	NEED_BPF();
	ck_assert_int_eq(sh(command, ""), 0);
	ck_assert_str_eq(text, "300,,syscalls:" CALL ",bpf,\n");
	ck_assert_int_eq(sh(command, "-i"), 0);
	ck_assert_str_eq(text, "0,,syscalls:" CALL ",bpf,\n");
}
END_TEST

/* Runs work while `urt stat OPTIONS` counts; the document is in text. */
static void while_counted(const char *options, void (*work)(void))
{
	ck_assert_int_eq(
		sh("mkfifo ctl.fifo ack.fifo; ./urt stat %s --json -o "
		   "perf.json --control fifo:ctl.fifo,ack.fifo </dev/null "
		   ">/dev/null 2>perf.err & echo $! >perf.pid; echo ping "
		   ">ctl.fifo; read answer <ack.fifo",
		   options),
		0);
	work();
	ck_assert_int_eq(
		/* It may have ended with the program that it counts; then
		 * nobody listens. */
		sh("echo stop | dd of=ctl.fifo oflag=nonblock conv=notrunc "
		   "status=none 2>/dev/null; tail -s 0.05 --pid=$(cat "
		   "perf.pid) -f /dev/null; rm -f ctl.fifo ack.fifo; cat "
		   "perf.json perf.err"),
		0);
}

static void calls(long n)
{
	for (long i = 0; i < n; i++)
		syscall(SYS_sched_get_priority_max, SCHED_OTHER);
}

static pid_t other_tid;
static int other_in[2], other_out[2];

static void *other_thread(void *arg)
{
	char c;

	other_tid = gettid();
	ck_assert_int_eq(write(other_out[1], "", 1), 1);
	ck_assert_int_eq(read(other_in[0], &c, 1), 1);
	calls(500);
	ck_assert_int_eq(write(other_out[1], "", 1), 1);
	ck_assert_int_eq(read(other_in[0], &c, 1), 1);
	return NULL;
}

static void both_call(void)
{
	char c;

	calls(300);
	ck_assert_int_eq(write(other_in[1], "", 1), 1);
	ck_assert_int_eq(read(other_out[0], &c, 1), 1);
}

START_TEST(threads_are_counted_alone)
{
	pthread_t t;
	char options[64], c;

	NEED_BPF();
	ck_assert_int_eq(pipe(other_in) | pipe(other_out), 0);
	ck_assert_int_eq(pthread_create(&t, NULL, other_thread, NULL), 0);
	ck_assert_int_eq(read(other_out[0], &c, 1), 1);
	snprintf(options, sizeof(options), "-t %d", other_tid);
	while_counted(options, both_call);
	ck_assert_int_eq(number("by_name", CALL), 500);
	ck_assert_int_eq(number("threads", "app"), 1);
	ck_assert_int_eq(write(other_in[1], "", 1), 1);
	pthread_join(t, NULL);
}
END_TEST

static pid_t family[2]; /* a process and its child, which hangs */

static void family_start(void)
{
	int out[2], ids[2];
	char line[16];

	ck_assert_int_eq(pipe2(out, O_CLOEXEC) | pipe2(ids, O_CLOEXEC), 0);
	family[0] = fork();
	if (!family[0]) {
		family[1] = fork();
		if (!family[1]) {
			dup2(out[1], 1);
			execl("tests/probe", "probe", "hang", NULL);
			_exit(127);
		}
		if (write(ids[1], &family[1], sizeof(pid_t)) > 0)
			waitpid(family[1], NULL, 0);
		_exit(0);
	}
	ck_assert_int_eq(read(ids[0], &family[1], sizeof(pid_t)),
			 sizeof(pid_t));
	ck_assert_int_gt(read(out[0], line, sizeof(line)), 0); /* it hangs */
	close(out[0]);
	close(out[1]);
	close(ids[0]);
	close(ids[1]);
}

static void family_ends(void)
{
	kill(family[1], SIGUSR1);
	ck_assert_int_eq(waitpid(family[0], NULL, 0), family[0]);
}

START_TEST(children_that_are_there_are_counted_if_wanted)
{
	char options[64];

	NEED_BPF();
	for (int wanted = 0; wanted < 2; wanted++) {
		family_start();
		snprintf(options, sizeof(options), "-p %d %s", family[0],
			 wanted ? "--children" : "");
		while_counted(options, family_ends);
		ck_assert_msg(number("by_name", "exit_group") == 1 + wanted &&
				      number("threads", "app") == 1 + wanted,
			      "%d: %s", wanted, text);
	}
	/* The shell's child is urt. */
	ck_assert_int_eq(sh("./urt stat --no-bpf -p $$ --timeout 1 2>&1; true"),
			 0);
	ck_assert_msg(strstr(text, "not counted (--children)") != NULL, "%s",
		      text);
}
END_TEST

static pid_t given, heir; /* the second gets the first one's number */
static int heir_done[2];

/* A child with that number; < 0: not possible. */
static pid_t fork_numbered(pid_t number)
{
	struct clone_args a = { .exit_signal = SIGCHLD,
				.set_tid = (uintptr_t)&number,
				.set_tid_size = 1 };

	return syscall(SYS_clone3, &a, sizeof(a));
}

static void heir_works(void)
{
	calls(300);
	for (int i = 0; i < 3; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
	(void)!write(heir_done[1], "", 1);
	for (;;)
		pause();
}

/* urt does not notice the end before another process has the number. */
static void number_gets_an_heir(void)
{
	char c;

	ck_assert_int_eq(sh("kill -STOP $(cat perf.pid); until grep -q "
			    "'State:.T' /proc/$(cat perf.pid)/status; do :; "
			    "done"),
			 0);
	kill(given, SIGKILL);
	ck_assert_int_eq(waitpid(given, NULL, 0), given);
	heir = fork_numbered(given);
	if (!heir)
		heir_works();
	if (heir > 0)
		ck_assert_int_eq(read(heir_done[0], &c, 1), 1);
	ck_assert_int_eq(sh("kill -CONT $(cat perf.pid)"), 0);
}

START_TEST(process_that_gets_the_number_of_an_ended_one_is_not_counted)
{
	char options[64];

	NEED_BPF();
	for (int bpf = 0; bpf < 2; bpf++) {
		ck_assert_int_eq(pipe(heir_done), 0);
		given = fork();
		if (!given)
			for (;;)
				pause();
		ck_assert_int_eq(sh("until grep -q 'State:.S' /proc/%d/status; "
				    "do :; done",
				    given),
				 0);
		snprintf(options, sizeof(options), "-p %d %s", given,
			 bpf ? "" : "--no-bpf --no-perf");
		while_counted(options, number_gets_an_heir);
		if (heir < 0)
			SKIP("no process can be given a number here");
		kill(heir, SIGKILL);
		ck_assert_int_eq(waitpid(heir, NULL, 0), heir);
		ck_assert_msg(strstr(text, "\"cpu_ns\":null") != NULL, "%s",
			      text);
		if (bpf)
			ck_assert_msg(number("threads", "app") == 1, "%s",
				      text);
		else
			ck_assert_msg(number("kernel", "nvcsw") == 0, "%s",
				      text);
	}
}
END_TEST

/* On CPU 0, 300 calls; on CPU 1, 500. */
static void on_two_cpus(void)
{
	cpu_set_t set, old;

	sched_getaffinity(0, sizeof(old), &old);
	for (int cpu = 0; cpu < 2; cpu++) {
		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		ck_assert_int_eq(sched_setaffinity(0, sizeof(set), &set), 0);
		calls(cpu ? 500 : 300);
	}
	sched_setaffinity(0, sizeof(old), &old);
}

/* The calls in the row of that name. */
static long calls_of(const char *name, const char *call)
{
	return value(row(NULL, json_pack("{s:s}", "name", name)), call);
}

START_TEST(cpus_are_counted_alone_or_one_by_one)
{
	char options[64];

	NEED_BPF();
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP("one CPU");
	snprintf(options, sizeof(options), "-p %d -C 1", getpid());
	while_counted(options, on_two_cpus);
	ck_assert_int_eq(number("by_name", CALL), 500);
	ck_assert_ptr_nonnull(strstr(text, "\"cpus\":[1]"));
	whole_host();
	ck_assert_int_eq(sh("./urt stat -A --json -- sh -c '"
			    "taskset -c 0 tests/probe rare 300; "
			    "taskset -c 1 tests/probe rare 500' 2>&1 "
			    ">/dev/null"),
			 0);
	ck_assert_int_eq(number("by_name", RARE_CALL), 800);
	ck_assert_msg(calls_of("CPU 0", RARE_CALL) == 300, "%s", text);
	ck_assert_msg(calls_of("CPU 1", RARE_CALL) == 500, "%s", text);
}
END_TEST

START_TEST(cgroups_and_units_are_counted_one_by_one)
{
	static const char command[] =
		"./urt stat --json %s -o perf.json -- sh -c 'echo $$ "
		">%s/below/cgroup.procs; exec tests/probe calls 700' "
		">/dev/null; cat perf.json";
	char group[96], options[128];

	NEED_BPF();
	if (!have_cgroups())
		SKIP("no cgroup (v2) can be made here");
	snprintf(group, sizeof(group), "%s/urt%d.service", cgroup_mount,
		 getpid());
	if (sh("mkdir %s %s/below 2>/dev/null", group, group))
		SKIP("no cgroup (v2) can be made here");
	snprintf(options, sizeof(options),
		 "--for-each-cgroup none,urt%d.service", getpid());
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(sh(command, i ? "--by unit" : options, group),
				 0);
		ck_assert_msg(calls_of(strrchr(group, '/') + 1, CALL) == 700,
			      "%.1000s", text);
		ck_assert_msg(
			i || row(NULL, json_pack("{s:s}", "name", "others")),
			"%s", text);
	}
	/* It is empty a moment after the last of it was waited for. */
	ck_assert_int_eq(sh("until rmdir %s/below %s 2>/dev/null; do :; done",
			    group, group),
			 0);
}
END_TEST

Suite *perf_options_suite(void)
{
	Suite *s = suite_create("perf_options");
	TCase *t = tcase_create("perf_options");

	tcase_set_timeout(t, 240); /* 29 runs, on a busy machine */
	tcase_add_test(t, options_of_perf_stat_work_or_say_what_to_use);
	tcase_add_test(t, options_of_one_command_are_named_by_the_others);
	tcase_add_test(t, events_are_the_only_figures_printed);
	tcase_add_test(t, null_counts_nothing_but_time);
	tcase_add_test(t, intervals_end_after_their_number_with_a_summary);
	tcase_add_test(t, results_are_appended_to_a_file_and_not_to_a_link);
	tcase_add_test(t, root_appends_to_a_file_of_the_one_that_called_sudo);
	tcase_add_test(t, runs_are_listed_and_surrounded_by_commands);
	tcase_add_test(t, started_processes_are_not_counted_if_not_wanted);
	tcase_add_test(t, threads_are_counted_alone);
	tcase_add_test(t, children_that_are_there_are_counted_if_wanted);
	tcase_add_test(
		t, process_that_gets_the_number_of_an_ended_one_is_not_counted);
	tcase_add_test(t, cpus_are_counted_alone_or_one_by_one);
	tcase_add_test(t, cgroups_and_units_are_counted_one_by_one);
	suite_add_tcase(s, t);
	return s;
}
