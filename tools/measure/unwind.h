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

/* A copy of a stack, and the registers of its innermost frame. */
struct unwind_stack {
	uint64_t from; /* address of the first byte there */
	const uint8_t *bytes;
	size_t size;
	uint64_t sp, fp, pc;
};

/*
 * The program counters, innermost first; returns their number. *whole: the last
 * one is in the outermost function; else the rest was not found.
 */
unsigned unwind(struct unwind *, const struct unwind_stack *,
		uint64_t pc[UNWIND_FRAMES], bool *whole);

#endif
