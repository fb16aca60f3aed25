/* SPDX-License-Identifier: MIT */
/*
 * Small programs, one for each purpose of the runtime, that count the errors of
 * their own calls. Each returns 0, or an error that a call returned and that is
 * counted in `fault_errors`; lost data aborts.
 */
#ifndef URT_TEST_FAULTS_H
#define URT_TEST_FAULTS_H

#include "../../uring_rt/urt.h"
#include "test.h"
#include <stdatomic.h>

struct program {
	const char *name;
	int (*run)(void);
	const char *features; /* URT_FEATURES */
};

extern const struct program fault_programs[];
extern const unsigned fault_programs_nr;
extern const struct program fault_copy;
extern atomic_int fault_errors; /* that the program's calls have returned */

/* The directory and the file that the programs use. */
void fault_setup(void);
void fault_teardown(void);

/* A program's handling of errors: it returns the first. */
#define TRY(call)                                           \
	({                                                  \
		int64_t try_ret = (call);                   \
                                                            \
		if (try_ret < 0) {                          \
			atomic_fetch_add(&fault_errors, 1); \
			return try_ret;                     \
		}                                           \
		try_ret;                                    \
	})

static const int64_t never = URT_NEVER;

int fault_write_all(int fd, const char *buf, size_t len);
/* Programs of faults_net.c. */
int fault_echo(void);
int fault_echo_lent(void);
int fault_lines(void);

/* A condition that must not hold, whichever call failed. */
#define NEVER(what)                                                     \
	do {                                                            \
		if (what) {                                             \
			fprintf(stderr, "%s:%d: " #what "\n", __func__, \
				__LINE__);                              \
			abort();                                        \
		}                                                       \
	} while (0)

#endif
