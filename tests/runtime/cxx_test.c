// SPDX-License-Identifier: MIT
/* The runtime in C++ programs: tests/runtime/cxx.cpp has the programs. */
#define _GNU_SOURCE
#include "../lib/test.h"
#include <sys/resource.h>
#include <sys/wait.h>

#define CXX "tests/cxx"

static const char *const cxx_checks[] = {
	"yield",     "sleep",	   "channel", "select",	  "mutex",
	"semaphore", "condition",  "join",    "scope",	  "read",
	"pool",	     "preemption", "travel",  "in_catch", "thread_local",
};

/* Its status as of waitpid. */
static int run_cxx(const char *check, int workers)
{
	char n[16];
	char *argv[] = { (char *)CXX, (char *)check, n, NULL };
	int status;
	pid_t pid;

	snprintf(n, sizeof(n), "%d", workers);
	pid = fork();
	if (!pid) {
		struct rlimit no_core = { 0, 0 };

		setrlimit(RLIMIT_CORE, &no_core);
		if (!strcmp(check, "not_caught"))
			fclose(stderr), close(2);
		execv(argv[0], argv);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

START_TEST(exceptions_belong_to_their_coroutine)
{
	const char *check = cxx_checks[_i];

	if (access(CXX, X_OK))
		SKIP("no C++ compiler was there");
	for (int workers = 1; workers <= 4; workers *= 2) {
		int status = run_cxx(check, workers);

		ck_assert_msg(!status, "cxx %s %d: status %x", check, workers,
			      status);
	}
}
END_TEST

START_TEST(exception_that_leaves_its_coroutine_terminates)
{
	int status;

	if (access(CXX, X_OK))
		SKIP("no C++ compiler was there");
	status = run_cxx("not_caught", 2);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
		      "status %x", status);
}
END_TEST

Suite *cxx_suite(void)
{
	Suite *s = suite_create("cxx");
	TCase *t = tcase_create("cxx");

	tcase_add_loop_test(t, exceptions_belong_to_their_coroutine, 0,
			    ARRAY_LEN(cxx_checks));
	tcase_add_test(t, exception_that_leaves_its_coroutine_terminates);
	suite_add_tcase(s, t);
	return s;
}
