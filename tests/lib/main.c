// SPDX-License-Identifier: MIT
/*
 * All suites in one program. CK_RUN_SUITE=name runs one, CK_FORK=no keeps a
 * test in this process for a debugger; URT_SEED=n repeats the random choices.
 */
#include "test.h"
#include <signal.h>
#include <time.h>
#include <unistd.h>

#if TSANITIZED
/* TSan does not see descriptors that the ring opens and closes, and reports a
 * new one as a race with the last of that number. */
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

void new_directory(char *path)
{
	strcpy(path + strlen(path) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(path));
}

int main(void)
{
	const char *only = getenv("CK_RUN_SUITE");
	SRunner *runner = srunner_create(NULL);
	int failed;

	/* urt must run commands as us, not as sudo's caller. */
	unsetenv("SUDO_UID");

	/* A shell ignores them for programs in the background. */
	signal(SIGHUP, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);

	/* For each test, in seconds, where its suite says no more: a limit
	 * finds tests that hang, and must be large enough for a busy
	 * machine. */
	setenv("CK_DEFAULT_TIMEOUT", "120", 0);

	if (only && !*only)
		unsetenv("CK_RUN_SUITE");
#define SUITE(name, also) srunner_add_suite(runner, name##_suite());
#include "suites.def"
#undef SUITE
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
