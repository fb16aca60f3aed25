/* SPDX-License-Identifier: MIT */
/* One search for leaked coroutines; how: leaked_search.c. */
#ifndef URT_LEAKED_SEARCH_H
#define URT_LEAKED_SEARCH_H

#include "../measure/coros.h"

struct leaked_coro {
	uint64_t block, lowest, sp, park, object;
	uint64_t timer; /* the word of its deadline */
	bool parked, is_select, is_join, alive, maybe;
	bool unknown; /* its object is in memory whose blocks are unknown */
};

struct leaked_search {
	struct leaked_coro *coro; /* the leaked ones; the caller frees it */
	size_t n;
	size_t untold; /* coroutines that were reached, but whose objects are in
			* memory whose blocks are unknown */
	uint64_t bytes; /* searched */
};

struct registers_reader;

/* Returns NULL, or the reason why the search could not be completed. Without
 * registers, all leaked coroutines are "maybe" leaked. */
const char *leaked_search(struct coros *, pid_t, struct registers_reader *,
			  struct leaked_search *);

#endif
