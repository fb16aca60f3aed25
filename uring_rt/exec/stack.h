/* SPDX-License-Identifier: MIT */
/* Stacks from one reserved mapping; how and why: stack.c. */
#ifndef URT_EXEC_STACK_H
#define URT_EXEC_STACK_H

#include "../base/base.h"

struct urt__stacks {
	char *base;    /* of the mapping */
	size_t stride; /* bytes from one stack to the next, guard included */
	size_t page;   /* bytes */
	size_t max;    /* stacks that the mapping has room for */

	uint32_t lock; /* over the rest */
	size_t used;   /* stacks [0, used) have been handed out before */
	void *free; /* tops of returned ones, linked through their last word */
	size_t nr_guards; /* guards made by mprotect: each costs two VMAs */
	size_t guard_budget;
	bool guard_madvise; /* MADV_GUARD_INSTALL works */
};

/*
 * Reserves room for max stacks of size usable bytes each, or for fewer where
 * the address space does not allow as many. -EINVAL, -ENOMEM.
 */
int urt__stacks_init(struct urt__stacks *, size_t size, size_t max,
		     bool guard_madvise);
void urt__stacks_destroy(struct urt__stacks *);

/*
 * The end (highest address, 64-byte aligned) of a stack; *lowest is its first
 * usable byte. NULL: max reached or no memory. From any thread.
 */
void *urt__stack_get(struct urt__stacks *, void **lowest);

/* Gives it back; what lies deeper than its last page returns to the kernel. */
void urt__stack_put(struct urt__stacks *, void *top);

/* Slot number i in [0, used): its end. */
void *urt__stack_top(const struct urt__stacks *, size_t i);

/*
 * Whether addr lies in the guard of a stack, and of which: for the handler of
 * SIGSEGV. Takes no lock.
 */
bool urt__stack_guard_hit(const struct urt__stacks *, const void *addr,
			  size_t *index);

#endif
