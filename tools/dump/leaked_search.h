/* SPDX-License-Identifier: MIT */
/* One search for leaked coroutines; how: leaked_search.c. */
#ifndef URT_LEAKED_SEARCH_H
#define URT_LEAKED_SEARCH_H

#include "../measure/coros.h"

struct leaked_coro {
	uint64_t block, lowest, sp, park, object;
	uint64_t timer; /* the word of its deadline */
	bool parked, is_select, is_join, alive, maybe;
	bool unknown; /* its object is in memory of which no blocks are known */
};

struct leaked_search {
	struct leaked_coro *coro; /* those that are leaked; to be freed */
	size_t n;
	size_t untold; /* not leaked as far as is known; their objects are in memory
			 * of which no blocks are known */
	uint64_t bytes; /* searched */
};

struct registers_reader;

/* NULL, or why it could not be made to its end. Without registers, each that is leaked
 * is so maybe. */
const char *leaked_search(struct coros *, pid_t, struct registers_reader *,
			  struct leaked_search *);

#endif
