/* SPDX-License-Identifier: MIT */
/* Shared by the suites. Tests are named as sentences that must be true. */
#ifndef URT_TEST_H
#define URT_TEST_H

#include <check.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SUITE(name, also) Suite *name##_suite(void);
#include "suites.def"
#undef SUITE

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MS	     INT64_C(1000000)

/* Prints the reason visibly; the test then returns. */
#define SKIP(...)                                       \
	do {                                            \
		fprintf(stderr, "SKIP %s: ", __func__); \
		fprintf(stderr, __VA_ARGS__);           \
		fputc('\n', stderr);                    \
		return;                                 \
	} while (0)

/* A repeatable source of chance: xorshift64* (Vigna, 2016). Not 0. */
static inline uint64_t rnd(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545f4914f6cdd1d);
}

/* URT_SEED, or one of the clock; printed, so that a failure can be repeated. */
uint64_t seed(void);

/* Makes a directory; the last six characters of its path are chosen anew. */
void new_directory(char *path);

/* Whether this build runs under ASan or TSan: slower, other memory. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif
#if defined(__SANITIZE_THREAD__)
#define TSANITIZED 1
#else
#define TSANITIZED 0
#endif

/* The factor by which the machine, an emulator, is slower than usual. */
static inline int slower(void)
{
	const char *s = getenv("CK_TIMEOUT_MULTIPLIER");

	return s ? atoi(s) : 1;
}

/*
 * The file under a number that stays free once it is closed: the runtime's
 * monitor opens files of /proc for a moment, and gets the lowest number.
 */
static inline int under_a_high_number(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, 500);

	ck_assert_int_ge(high, 500);
	close(fd);
	return high;
}

/* n, or less where everything takes ten times as long. */
#define FEWER(n) (SANITIZED ? (n) / 10 : (n))

/*
 * A test whose body runs as the first coroutine, on one worker, so that it may
 * rely on an order and use plain variables; needs urt.h.
 */
#define CORO_TEST(name)                                                    \
	static void name##_body(void *arg);                                \
	START_TEST(name)                                                   \
	{                                                                  \
		struct urt_options name##_options = { .workers = 1 };      \
                                                                           \
		ck_assert_msg(                                             \
			!urt_run_with(name##_body, NULL, &name##_options), \
			"%s", urt_why());                                  \
	}                                                                  \
	END_TEST                                                           \
	static void name##_body(void *arg)

#endif
