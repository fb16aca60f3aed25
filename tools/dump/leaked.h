/* SPDX-License-Identifier: MIT */
/* Coroutines whose wait nothing can end; how they are found: leaked_search.c. */
#ifndef URT_LEAKED_H
#define URT_LEAKED_H

#include "../measure/coros.h"

struct leaked;
struct registers_reader;

/* Searches the program. registers is NULL if they cannot be read. Returns NULL if a
 * search is not possible; why then gives the reason in one line. */
struct leaked *leaked_find(struct coros *, pid_t, struct registers_reader *,
			   char *why, size_t size);
void leaked_free(struct leaked *);

/* Whether this coroutine is leaked and still in the wait that the search saw. */
bool leaked_has(const struct leaked *, const struct coro_seen *);

struct leaked_count {
	/* Coroutines: the leaked ones; those of them that are "maybe" leaked;
	 * others that may be leaked or not. */
	size_t leaked, maybe, untold;
	uint64_t bytes; /* memory searched */
	int64_t ns;	/* duration of all searches */
};
struct leaked_count leaked_count(const struct leaked *);

#endif
