/* SPDX-License-Identifier: MIT */
/* Shared by the suites of net/. */
#ifndef URT_TEST_NET_H
#define URT_TEST_NET_H

#include "../../uring_rt/urt.h"
#include "test.h"
#include <dirent.h>
#include <string.h>
#include <unistd.h>

static const int64_t never = URT_NEVER;

/* A test whose body is the first coroutine, on the default number of workers,
 * which URT_WORKERS sets. It checks that no descriptor is left. */
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

/* The number of open descriptors of the program itself: a run has rings for spare
 * threads, which come and go. Its threads also have others open for a moment (a file
 * in /proc, a pidfd), so the least of a few counts is the number. */
int open_descriptors(void);

#endif
