// SPDX-License-Identifier: MIT
/*
 * urt sim: what it finds, that it repeats, and what it says. The programs are those of
 * tests/sim and an example.
 */
#define _GNU_SOURCE
#include "../lib/tool_run.h"

/* ---- what it finds ------------------------------------------------------ */

/* The name with that number of those that the program lists, or NULL. */
static const char *listed(const char *program, int i)
{
	static char name[64];
	char *p = text;

	sh("%s", program);
	while (i-- && (p = strchr(p, '\n')))
		p++;
	if (!p || sscanf(p, "%63s", name) != 1)
		return NULL;
	return name;
}

START_TEST(simulator_finds_each_kind_of_fault_and_none_in_what_is_repaired)
{
	const char *name = listed("tests/servers", _i);

	ck_assert_ptr_nonnull(name);
	ck_assert_int_eq(
		sh("./urt sim --seeds 1..300 -- tests/servers %s 2>&1", name),
		1);
	ck_assert_msg(strstr(text, " failed: "), "%s", text);
	ck_assert_msg(
		sh("./urt sim --seeds 1..60 -- tests/servers %s repaired 2>&1",
		   name) == 0,
		"%s", text);
}
END_TEST

START_TEST(simulator_reports_a_hang_with_its_seed_and_coroutines)
{
	ck_assert_int_eq(
		sh("./urt sim --seeds 5 -- tests/servers silence 2>&1"), 1);
	ck_assert_ptr_nonnull(strstr(text, "seed 5: a hang"));
	ck_assert_ptr_nonnull(strstr(text, "failed: it hung"));
	ck_assert_ptr_nonnull(strstr(text, "(silence) [io]"));
	ck_assert_ptr_nonnull(strstr(text, "urt sim --seeds 5 -- tests/"));
}
END_TEST

/* The monitor wakes for nothing, also where threads are left that cannot end. */
START_TEST(simulator_reports_a_hang_of_workers_that_were_replaced)
{
	for (int seed = 1; seed < 12; seed++) {
		sh("./urt sim --seeds %d --timeout 2 --faults block=30%% -- "
		   "tests/servers silences 2>&1",
		   seed);
		ck_assert_msg(strstr(text, "failed: it hung"), "%s", text);
	}
}
END_TEST

START_TEST(simulator_reports_a_hang_of_a_program_that_takes_the_signal)
{
	ck_assert_int_eq(sh("./urt sim --seeds 5 -- tests/servers deaf 2>&1"),
			 1);
	ck_assert_ptr_nonnull(strstr(text, "failed: it hung"));
}
END_TEST

/* The line that repeats a failure, run again. */
static int repeat(char *line)
{
	char *end = strchr(line, '\n'), command[512];

	ck_assert_ptr_nonnull(end);
	snprintf(command, sizeof(command), "./%.*s 2>&1", (int)(end - line),
		 line);
	return sh("%s", command);
}

START_TEST(simulator_shrinks_a_failure_to_a_command_that_repeats_it)
{
	char *line;

	ck_assert_int_eq(sh("./urt sim --seeds 1..20 --faults net=5 -- "
			    "tests/servers talk 2>&1"),
			 1);
	line = strstr(text, "urt sim --seeds 1 ");
	ck_assert_ptr_nonnull(line);
	ck_assert_ptr_nonnull(strstr(line, "--switches 0 --most-faults "));
	ck_assert_int_eq(repeat(line), 1);
	ck_assert_ptr_nonnull(strstr(text, "connection reset"));
}
END_TEST

START_TEST(simulator_prints_a_command_that_a_shell_reads_as_it_was)
{
	ck_assert_int_eq(
		sh("./urt sim --seeds 1..2 -- sh -c 'exit $#' \"it's\" "
		   "'' 'a b' 2>&1"),
		1);
	ck_assert_ptr_nonnull(
		strstr(text, " -- sh -c 'exit $#' 'it'\\''s' '' 'a b'\n"));
}
END_TEST

/* ---- what the seed decides ---------------------------------------------- */

START_TEST(simulator_repeats_a_run_byte_for_byte)
{
	static const char *const programs[] = {
		"tests/random",
		"examples/tickets",
		"tests/servers leak repaired",
	};

	for (int seed = 1; seed < 5; seed++) {
		for (int i = 0; i < 2; i++)
			sh("./urt sim --seeds %d --trace sim.%d --faults "
			   "net=1%%,enter=1%%,block=1%% -- %s 2>&1",
			   seed, i, programs[_i]);
		ck_assert_msg(!sh("cmp sim.0 sim.1 2>&1"), "seed %d: %s", seed,
			      text);
		ck_assert_int_eq(sh("test $(wc -l <sim.0) -gt 20"), 0);
	}
	sh("./urt sim --seeds 9 --trace sim.1 -- %s 2>&1", programs[_i]);
	ck_assert_int_eq(sh("cmp -s sim.0 sim.1"), 1);
	sh("rm sim.0 sim.1");
}
END_TEST

START_TEST(simulator_tries_seed_0_where_it_is_asked_to)
{
	ck_assert_int_eq(sh("./urt sim --seeds 0 --json -o /dev/stdout -- "
			    "tests/servers talk"),
			 0);
	ck_assert_int_eq(number(NULL, "first_seed"), 0);
	ck_assert_int_eq(number(NULL, "seeds"), 1);
}
END_TEST

START_TEST(simulated_sleep_costs_no_time)
{
	ck_assert_int_eq(sh("./urt sim --seeds 1..2 --json -o /dev/stdout -- "
			    "tests/servers hour"),
			 0);
	ck_assert_int_ge(number(NULL, "simulated_ns"), 2 * 3600 * 1000000000LL);
	ck_assert_int_lt(number(NULL, "wall_ns"),
			 number(NULL, "simulated_ns") / 100);
}
END_TEST

/* ---- the network --------------------------------------------------------- */

START_TEST(simulated_network_breaks_connections_where_it_is_asked_to)
{
	ck_assert_int_eq(
		sh("./urt sim --seeds 1..30 -- tests/servers talk 2>&1"), 0);
	ck_assert_int_eq(sh("./urt sim --seeds 1..30 --faults net=20%% -- "
			    "tests/servers talk 2>&1"),
			 1);
	ck_assert_ptr_nonnull(strstr(text, "connection reset"));
}
END_TEST

START_TEST(simulated_partition_ends_and_what_was_sent_arrives)
{
	long long without;

	ck_assert_int_eq(sh("./urt sim --seeds 1..20 --json -o /dev/stdout -- "
			    "tests/servers talk"),
			 0);
	without = number(NULL, "simulated_ns");
	ck_assert_int_eq(sh("./urt sim --seeds 1..20 --json -o /dev/stdout "
			    "--faults partition=3 -- tests/servers talk"),
			 0);
	ck_assert_int_gt(number(NULL, "simulated_ns"), 2 * without);
}
END_TEST

/* A connection that cannot be made now, and by nothing that happens meanwhile. */
START_TEST(simulated_partition_is_no_hang_of_those_that_connect)
{
	ck_assert_msg(sh("./urt sim --seeds 1..60 --faults partition=20%% -- "
			 "tests/servers redial 2>&1") == 0,
		      "%s", text);
}
END_TEST

START_TEST(simulated_disk_fails_to_sync_where_it_is_asked_to)
{
	ck_assert_int_eq(sh("./urt sim --seeds 1 --faults file=2 -- "
			    "tests/servers sync 2>&1"),
			 1);
	ck_assert_ptr_nonnull(strstr(text, "cannot sync"));
}
END_TEST

START_TEST(example_sells_each_ticket_once_whatever_breaks)
{
	ck_assert_msg(sh("./urt sim --seeds 1..100 --faults "
			 "net=1%%,partition=0.1%%,enter=1%% -- "
			 "examples/tickets 2>&1") == 0,
		      "%s", text);
}
END_TEST

/* ---- the runtime itself --------------------------------------------------- */

START_TEST(runtime_loses_nothing_in_a_simulation)
{
	const char *s = getenv("URT_SIM_SECONDS");

	ck_assert_msg(sh("./urt sim --seeds %llu..18000000000000000000 --time "
			 "%s --faults enter=1%%,block=1%% -- "
			 "tests/random 2>&1",
			 (unsigned long long)seed() % 1000000000,
			 s ? s : "3") == 0,
		      "%s", text);
}
END_TEST

/* ---- what it says --------------------------------------------------------- */

START_TEST(simulator_names_what_it_does_not_simulate)
{
	static const struct {
		const char *program, *said;
	} cases[] = {
		{ "runs_a_command", "system" },
		{ "forks", "fork" },
		{ "forks", "waitpid" },
		{ "spawns", "posix_spawnp" },
		{ "selects", "select" },
		{ "awaits_signal", "sigwait" },
		{ "calls_directly", "syscall(SYS_clock_nanosleep)" },
		{ "uses_timerfd", "timerfd_create" },
		{ "uses_timer", "timer_create" },
		{ "resolves", "getaddrinfo" },
		{ "opens_raw_socket", "a raw socket" },
		{ "requeues_futex", "this futex operation" },
		{ "selects_with_mask", "pselect" },
		{ "awaits_signal_until", "sigtimedwait" },
		{ "sets_alarm", "alarm" },
		{ "reads_a_command", "popen" },
		{ "waits_for_any_child", "wait" },
		{ "starts_c11_thread", "thrd_create" },
		{ "asks_for_host", "gethostbyname" },
		{ "begins_by_vfork", "fork" },
		{ "becomes_another", "execvp" },
		{ "sleeps_as_c11_has_it", "thrd_sleep" },
		{ "reads_eventfd", "eventfd_read" },
		{ "moves_bytes", "splice" },
		{ "locks_a_file", "flock" },
		{ "locks_a_part_of_a_file", "fcntl(F_SETLKW)" },
		{ "opens_random_device", "/dev/urandom" },
		{ "opens_random_device_itself", "/dev/random" },
	};
	char said[128];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		sh("./urt sim --seeds 1 -- tests/unsimulated %s 2>&1",
		   cases[i].program);
		snprintf(said, sizeof(said), "urt sim: %s is not simulated",
			 cases[i].said);
		ck_assert_msg(strstr(text, said), "%s: %s", cases[i].program,
			      text);
	}
}
END_TEST

/* Of a sweep, the output of runs that pass is not shown. */
START_TEST(sweep_names_what_its_runs_used_that_is_not_simulated)
{
	ck_assert_int_eq(
		sh("./urt sim --seeds 1..3 -- tests/unsimulated forks 2>&1"),
		0);
	ck_assert_msg(strstr(text, " Not simulated") &&
			      strstr(text, ": fork, waitpid\n"),
		      "%s", text);
	ck_assert_int_eq(sh("./urt sim --seeds 1..3 --json -o /dev/stdout -- "
			    "tests/unsimulated selects"),
			 0);
	ck_assert_msg(strstr(text, "\"select\""), "%s", text);
	ck_assert_int_eq(sh("./urt sim --seeds 1..3 -- true 2>&1"), 0);
	ck_assert_ptr_nonnull(strstr(text, "began no run of the runtime"));
}
END_TEST

#define THINGS 16

/* A child process is real, and when it answers is not in the seed. */
START_TEST(simulator_simulates_what_other_programs_use)
{
	const char *name = listed("tests/simulated", _i);
	bool repeats = name && strcmp(name, "child_processes");

	ck_assert_ptr_nonnull(name);
	ck_assert_ptr_null(listed("tests/simulated", THINGS));
	name = listed("tests/simulated", _i);
	ck_assert_msg(
		!sh("./urt sim --seeds 1..5 -- tests/simulated %s 2>&1", name),
		"%s", text);
	for (int i = 0; repeats && i < 2; i++)
		ck_assert_msg(!sh("./urt sim --seeds 3 --trace sim.%s.%d -- "
				  "tests/simulated %s 2>&1",
				  name, i, name),
			      "%s", text);
	ck_assert(!repeats || !sh("cmp sim.%s.0 sim.%s.1 2>&1", name, name));
	sh("rm -f sim.%s.?", name);
}
END_TEST

START_TEST(simulator_refuses_what_it_cannot_do)
{
	refuses("./urt sim --seeds 1..2", "give a command");
	refuses("./urt sim --seeds 5..4 -- true", "A..B");
	refuses("./urt sim --faults nett=1%% -- true", "NAME=P%");
	refuses("./urt sim --faults net=101% -- true", "0 to 100");
	refuses("./urt sim --faults net=-1 -- true", "1, 2, ...");
	refuses("./urt sim --faults net=0.5 -- true", "1, 2, ...");
	refuses("./urt sim --trace x -- true", "one seed");
	refuses_by(127, "./urt sim --seeds 1 -- /no/such", "cannot run");
	refuses_by(127, "./urt sim -- /no/such", "cannot run");
	if (!sh("echo 'int main(void) { return 0; }' | ${CC:-cc} -static -x c - "
		"-o sim.static 2>/dev/null")) {
		refuses("./urt sim -- ./sim.static", "link it with libc.so");
		sh("rm sim.static");
	}
}
END_TEST

/* Stopped when a run has begun, for longer than --timeout. */
START_TEST(simulator_that_was_stopped_calls_no_run_late)
{
	ck_assert_msg(
		sh("setsid ./urt sim --time 3s --timeout 2 -- tests/servers "
		   "leak repaired 2>&1 & p=$!; "
		   "until grep -q . /proc/$p/task/$p/children; do :; done; "
		   "kill -STOP -$p; sleep 2.5; kill -CONT -$p; wait $p") == 0,
		"%s", text);
}
END_TEST

/* A stopped run stands for one that gets no CPU. */
START_TEST(run_that_cannot_go_on_is_not_late)
{
	ck_assert_msg(
		sh("child() { c=; read -r c _ </proc/$1/task/$1/children; [ $c ]; }; "
		   "./urt sim --seeds 1 --timeout 1 -- sh -c 'i=0; while [ $i "
		   "-lt 300000 ]; do i=$((i + 1)); done' 2>&1 & while kill -0 "
		   "$! && ! { child $! && child $c; }; do :; done 2>/dev/null; "
		   "kill -STOP $c; sleep 2; kill -CONT $c; wait $!") == 0,
		"%s", text);
}
END_TEST

START_TEST(run_that_is_late_tells_where_its_threads_are)
{
	sh("mkfifo sim.fifo");
	ck_assert_int_eq(
		sh("./urt sim --seeds 1 --timeout 1 -- cat sim.fifo 2>&1"), 1);
	ck_assert_msg(strstr(text, ": state S"), "%s", text);
	ck_assert_msg(strstr(text, "longer than --timeout"), "%s", text);
	sh("rm sim.fifo");
}
END_TEST

/* The program that waits for its next run, most of the time. */
START_TEST(simulator_names_the_signal_that_ended_its_program)
{
	ck_assert(sh("./urt sim --time 5s -j 1 -- tests/servers leak repaired "
		     "2>&1 & until kill -KILL $(cat /proc/$!/task/$!/children) "
		     "2>/dev/null; do :; done; wait $!"));
	ck_assert_msg(strstr(text, "died of SIGKILL"), "%s", text);
	ck_assert_msg(!strstr(text, "--timeout"), "%s", text);
}
END_TEST

START_TEST(simulator_writes_the_library_for_a_debugger)
{
	ck_assert_int_eq(sh("./urt sim --library sim.so"), 0);
	ck_assert_int_eq(sh("URT_SIM=3 LD_PRELOAD=./sim.so tests/servers talk "
			    "2>&1"),
			 0);
	sh("rm sim.so");
}
END_TEST

/* A sanitizer's library and the simulator's each want to be the first. */
START_TEST(simulator_refuses_sanitized_programs)
{
	SKIP("programs with sanitizers are not simulated");
}
END_TEST

Suite *sim_suite(void)
{
	Suite *s = suite_create("sim");
	TCase *t = tcase_create("sim");

	tcase_set_timeout(t, 300);
	suite_add_tcase(s, t);
	if (SANITIZED) {
		tcase_add_test(t, simulator_refuses_sanitized_programs);
		return s;
	}
	tcase_add_loop_test(
		t,
		simulator_finds_each_kind_of_fault_and_none_in_what_is_repaired,
		0, 11);
	tcase_add_test(t,
		       simulator_reports_a_hang_with_its_seed_and_coroutines);
	tcase_add_test(t,
		       simulator_reports_a_hang_of_workers_that_were_replaced);
	tcase_add_test(
		t, simulator_reports_a_hang_of_a_program_that_takes_the_signal);
	tcase_add_test(t,
		       simulator_prints_a_command_that_a_shell_reads_as_it_was);
	tcase_add_test(
		t, simulator_shrinks_a_failure_to_a_command_that_repeats_it);
	tcase_add_loop_test(t, simulator_repeats_a_run_byte_for_byte, 0, 3);
	tcase_add_test(t, simulator_tries_seed_0_where_it_is_asked_to);
	tcase_add_test(t, simulated_sleep_costs_no_time);
	tcase_add_test(
		t, simulated_network_breaks_connections_where_it_is_asked_to);
	tcase_add_test(t, simulated_partition_ends_and_what_was_sent_arrives);
	tcase_add_test(t, simulated_partition_is_no_hang_of_those_that_connect);
	tcase_add_test(t, simulated_disk_fails_to_sync_where_it_is_asked_to);
	tcase_add_test(t, example_sells_each_ticket_once_whatever_breaks);
	tcase_add_test(t, runtime_loses_nothing_in_a_simulation);
	tcase_add_test(t, simulator_names_what_it_does_not_simulate);
	tcase_add_test(t, sweep_names_what_its_runs_used_that_is_not_simulated);
	tcase_add_loop_test(t, simulator_simulates_what_other_programs_use, 0,
			    THINGS);
	tcase_add_test(t, simulator_refuses_what_it_cannot_do);
	tcase_add_test(t, simulator_that_was_stopped_calls_no_run_late);
	tcase_add_test(t, run_that_cannot_go_on_is_not_late);
	tcase_add_test(t, run_that_is_late_tells_where_its_threads_are);
	tcase_add_test(t, simulator_names_the_signal_that_ended_its_program);
	tcase_add_test(t, simulator_writes_the_library_for_a_debugger);
	return s;
}
