/* SPDX-License-Identifier: MIT */
/* Stacks of one size from one reserved mapping; how and why: stack.c. */
#ifndef URT_EXEC_STACK_H
#define URT_EXEC_STACK_H

#include "../base/base.h"

/* The tops of stacks with successive numbers; see stack.c. */
#define URT__STACK_COLOURS     16
#define URT__STACK_COLOUR_STEP 128 /* bytes */

struct urt__stacks {
	char *base;    /* of the mapping; NULL: not reserved yet */
	size_t stride; /* bytes from one stack to the next, guard included */
	size_t page;   /* bytes */
	size_t guard;  /* bytes at the low end of each that fault */
	size_t max;    /* stacks that the mapping has room for */

	size_t chunk; /* stacks that are opened at once */

	uint32_t lock;	  /* over the rest */
	size_t used;	  /* stacks [0, used) have been handed out before */
	size_t opened;	  /* stacks [0, opened) are usable, with their guards */
	size_t nr_guards; /* guards made by mprotect: each costs two VMAs */
	size_t guard_budget;
	bool guard_madvise; /* MADV_GUARD_INSTALL works */
	bool guard_many;    /* ... for many in one call */

	uint64_t *back;	   /* a bit for each that came back; NULL: none did */
	size_t nr_back;	   /* bits that are set */
	size_t back_first; /* words below are 0 */
};

/*
 * Reserves room for max stacks of size usable bytes each, or for fewer where
 * the address space does not allow as many. -EINVAL, -ENOMEM.
 */
int urt__stacks_init(struct urt__stacks *, size_t size, size_t max,
		     bool guard_madvise);
void urt__stacks_destroy(struct urt__stacks *);
/* In a forked child, which may run on one stack and read all others: gives up
 * the stacks that were never opened. */
void urt__stacks_forget(struct urt__stacks *);

/*
 * The end (highest address, 64-byte aligned) of a stack; *lowest is its first
 * usable byte. NULL: max reached or no memory. From any thread.
 */
void *urt__stack_get(struct urt__stacks *, void **lowest);

/* The opposite, of a stack's end: all its memory goes back to the kernel and
 * reads as zero. False: it could not be done, and the stack is still the
 * caller's. From any thread. */
bool urt__stack_put(struct urt__stacks *, void *top);

/* Returns to the kernel all pages deeper than URT__STACK_KEEP from the end. */
#define URT__STACK_KEEP (16 * 1024)
void urt__stack_trim(const struct urt__stacks *, void *top);

/* Number i in [0, used): its end; and back. */
void *urt__stack_top(const struct urt__stacks *, size_t i);
static inline size_t urt__stack_index(const struct urt__stacks *s,
				      const void *top)
{
	return ((const char *)top - 1 - s->base) / s->stride;
}

/* Whether addr lies in a stack; *index is then its number. Takes no lock. */
bool urt__stack_find(const struct urt__stacks *, const void *addr,
		     size_t *index, bool *in_guard);

#endif
