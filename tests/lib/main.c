// SPDX-License-Identifier: MIT
/*
 * All suites in one program. CK_RUN_SUITE=name runs one, CK_FORK=no keeps a
 * test in this process for a debugger; URT_SEED=n repeats what chance chose.
 */
#include "test.h"
#include <signal.h>
#include <time.h>
#include <unistd.h>

#if TSANITIZED
/* TSan does not see descriptors that the ring opens and closes, and takes a new
 * one for a race with the last of that number. */
__attribute__((visibility("default"))) const char *
__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:urt__sys_mmap\n"
	       "race:^__interceptor_socket$\n"
	       "race:^__interceptor_socketpair$\n"
	       "race:^__interceptor_pipe2$\n"
	       "race:^__interceptor_open64$\n"
	       "race:^__interceptor_open$\n";
}
#endif

uint64_t seed(void)
{
	const char *s = getenv("URT_SEED");
	uint64_t n = s ? strtoull(s, NULL, 0)
		       : (uint64_t)time(NULL) * 1000003 + getpid();

	fprintf(stderr, "seed: URT_SEED=%llu\n", (unsigned long long)n);
	return n ? n : 1;
}

int main(void)
{
	const char *only = getenv("CK_RUN_SUITE");
	SRunner *runner = srunner_create(exec_suite());
	int failed;

	/* Commands that urt starts shall be ours, not those of sudo's caller. */
	unsetenv("SUDO_UID");

	/* A shell ignores them for what it runs in the background. */
	signal(SIGHUP, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);

	if (only && !*only)
		unsetenv("CK_RUN_SUITE");
	srunner_add_suite(runner, sched_parts_suite());
	srunner_add_suite(runner, ring_suite());
	srunner_add_suite(runner, sched_suite());
	srunner_add_suite(runner, wait_suite());
	srunner_add_suite(runner, sync_suite());
	srunner_add_suite(runner, context_suite());
	srunner_add_suite(runner, together_suite());
	srunner_add_suite(runner, blocking_suite());
	srunner_add_suite(runner, latency_suite());
	srunner_add_suite(runner, late_suite());
	srunner_add_suite(runner, files_suite());
	srunner_add_suite(runner, io_suite());
	srunner_add_suite(runner, net_suite());
	srunner_add_suite(runner, dial_suite());
	srunner_add_suite(runner, stream_suite());
	srunner_add_suite(runner, copy_suite());
	srunner_add_suite(runner, process_suite());
	srunner_add_suite(runner, signal_suite());
	srunner_add_suite(runner, examples_suite());
	srunner_add_suite(runner, guest_suite());
	srunner_add_suite(runner, workers_suite());
	srunner_add_suite(runner, bounds_suite());
	srunner_add_suite(runner, faults_suite());
	srunner_add_suite(runner, stress_suite());
	srunner_add_suite(runner, http_suite());
	srunner_add_suite(runner, tool_suite());
	srunner_add_suite(runner, conformance_suite());
	srunner_add_suite(runner, load_suite());
	srunner_add_suite(runner, demo_suite());
	srunner_add_suite(runner, stat_suite());
	srunner_add_suite(runner, by_suite());
	srunner_add_suite(runner, stat_options_suite());
	srunner_add_suite(runner, measure_suite());
	srunner_add_suite(runner, record_suite());
	srunner_add_suite(runner, trace_suite());
	srunner_add_suite(runner, hostile_suite());
	srunner_add_suite(runner, top_suite());
	srunner_add_suite(runner, dump_suite());
	srunner_add_suite(runner, doctor_suite());
	srunner_add_suite(runner, export_suite());
	srunner_add_suite(runner, budget_suite());
	srunner_add_suite(runner, packages_suite());
	srunner_add_suite(runner, bench_suite());
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
