/* SPDX-License-Identifier: MIT */
/* Walking a stack of another process; how: unwind.c. */
#ifndef URT_UNWIND_H
#define URT_UNWIND_H

#include "modules.h"
#include <stdbool.h>

#define UNWIND_FRAMES 64

struct unwind;

struct unwind *unwind_new(struct modules *);
void unwind_free(struct unwind *);

/* A copy of a stack, and the registers to begin with. */
struct unwind_stack {
	uint64_t from; /* address of the first byte there */
	const uint8_t *bytes;
	size_t size;
	uint64_t sp, fp, pc;
};

/*
 * The program counters, innermost first; how many. *whole: the last one is the
 * outermost function, and not where the way was lost.
 */
unsigned unwind(struct unwind *, const struct unwind_stack *,
		uint64_t pc[UNWIND_FRAMES], bool *whole);

#endif
