/* SPDX-License-Identifier: MIT */
/* What the suites of floor 6 share. */
#ifndef URT_TEST_NET_H
#define URT_TEST_NET_H

#include "../../uring_rt/urt.h"
#include "test.h"
#include <dirent.h>
#include <string.h>
#include <unistd.h>

static const int64_t never = URT_NEVER;

/* A test whose body is the first coroutine, on as many workers as there are
 * by default: URT_WORKERS says how many. No descriptor is left. */
#define RUN_TEST(name)                                                       \
	static void name##_body(void *arg);                                  \
	START_TEST(name)                                                     \
	{                                                                    \
		int name##_open = open_descriptors();                        \
                                                                             \
		ck_assert_msg(!urt_run(name##_body, NULL), "%s", urt_why()); \
		ck_assert_int_eq(open_descriptors(), name##_open);           \
	}                                                                    \
	END_TEST                                                             \
	static void name##_body(void *arg)

/* Those of the program: a run has rings for spare threads, which come and go. */
static inline int open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;
	char what[64];
	ssize_t len;
	int n = 0;

	ck_assert_ptr_nonnull(d);
	while ((e = readdir(d))) {
		len = readlinkat(dirfd(d), e->d_name, what, sizeof(what) - 1);
		what[len < 0 ? 0 : len] = '\0';
		n += strcmp(what, "anon_inode:[io_uring]") &&
		     strcmp(what, "anon_inode:[eventfd]");
	}
	closedir(d);
	return n;
}

#endif
