/* SPDX-License-Identifier: MIT */
/* Coroutines that wait for ever; how they are found: leaked.c. */
#ifndef URT_LEAKED_H
#define URT_LEAKED_H

#include "../measure/coros.h"

struct leaked;
struct registers_reader;

/* Searches the program; registers: NULL: they cannot be read. NULL: it cannot search,
 * and why says so in a line. */
struct leaked *leaked_find(struct coros *, pid_t, struct registers_reader *,
			   char *why, size_t size);
void leaked_free(struct leaked *);

/* Whether this coroutine is one, and still waits as it did then. */
bool leaked_has(const struct leaked *, const struct coro_seen *);

/* How many coroutines are leaked, and how many of these only perhaps; of how many it
 * cannot be told; how much memory was searched, in how long. */
struct leaked_count {
	size_t leaked, maybe, untold;
	uint64_t bytes;
	int64_t ns;
};
struct leaked_count leaked_count(const struct leaked *);

#endif
