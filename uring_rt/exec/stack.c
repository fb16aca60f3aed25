// SPDX-License-Identifier: MIT
/*
 * Stacks.
 *
 * A mapping for each stack dies at vm.max_map_count (65,530) and costs some
 * 7 us; so one mapping is reserved for all of them and stack i is simply
 * the i-th stretch of it. The kernel gives memory page by page as it is
 * touched, so a coroutine that needs little has one page.
 *
 *	base                                                     stride
 *	| guard page |  usable, grows down  <-  first frame | colour |
 *
 * Guard: a page that faults. MADV_GUARD_INSTALL (Linux 6.13) marks it in the
 * page table and leaves the mapping whole. Before that mprotect has to split
 * it, two VMAs a stack; a budget of half of max_map_count keeps the process
 * alive, and beyond it a stack has no guard of its own: running over it
 * reaches the last page of its neighbour's stretch. There the check of the
 * stack pointer at each park (sched/) is what is left.
 *
 * Colour: were all tops at the same distance from a page boundary, the hot
 * lines of all coroutines would share a few sets of the L1 cache. Each stack
 * therefore ends a multiple of 128 bytes below its stretch, by its index.
 *
 * Returned stacks are kept in a list, newest first. Pages below the top one
 * are given back to the kernel then, so one deep call does not cost memory
 * for ever. (Warm reuse, without a system call, is the business of the
 * processor's own cache in sched/, which keeps what it holds as it is.)
 *
 * Invariant: a stack is with its user or on the list, never both; `used`
 * only grows. All under the lock, which is never held across a system call
 * but those that make a guard for the first time.
 */
#define _GNU_SOURCE
#include "stack.h"
#include "../base/lock.h"
#include "../base/sys.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#define COLOURS	    16
#define COLOUR_STEP 128

static size_t max_map_count(void)
{
	FILE *f = fopen("/proc/sys/vm/max_map_count", "re");
	size_t n = 65530;

	if (f) {
		if (fscanf(f, "%zu", &n) != 1)
			n = 65530;
		fclose(f);
	}
	return n;
}

int urt__stacks_init(struct urt__stacks *s, size_t size, size_t max,
		     bool guard_madvise)
{
	void *map;
	int err;

	memset(s, 0, sizeof(*s));
	s->page = sysconf(_SC_PAGESIZE);
	if (!size || !max || size > SIZE_MAX / 4 / max)
		return -EINVAL;
	s->stride = (size + s->page - 1) / s->page * s->page + s->page;
	for (; max; max /= 2) {
		err = urt__sys_mmap(
			&map, max * s->stride, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK,
			-1, 0);
		if (!err)
			break;
	}
	if (!max)
		return err;
	s->base = map;
	s->max = max;
	/* A huge page under a stack would cost 2 MiB for a few bytes. */
	urt__sys_madvise(map, max * s->stride, MADV_NOHUGEPAGE);
	s->guard_madvise = guard_madvise;
	s->guard_budget = max_map_count() / 4;
	return 0;
}

void urt__stacks_destroy(struct urt__stacks *s)
{
	munmap(s->base, s->max * s->stride);
}

void *urt__stack_top(const struct urt__stacks *s, size_t i)
{
	return s->base + (i + 1) * s->stride - i % COLOURS * COLOUR_STEP;
}

static char *slot_base(const struct urt__stacks *s, const void *top)
{
	size_t i = ((const char *)top - 1 - s->base) / s->stride;

	return s->base + i * s->stride;
}

static int guard_install(struct urt__stacks *s, char *page)
{
	int err;

	if (s->guard_madvise) {
		err = urt__sys_madvise(page, s->page, MADV_GUARD_INSTALL);
		if (err != -EINVAL)
			return err;
		s->guard_madvise = false;
	}
	if (s->nr_guards >= s->guard_budget)
		return 0;
	err = urt__sys_mprotect(page, s->page, PROT_NONE);
	if (!err)
		s->nr_guards++;
	if (err == -ENOMEM) { /* the process has many mappings of its own */
		s->guard_budget = 0;
		err = 0;
	}
	return err;
}

void *urt__stack_get(struct urt__stacks *s, void **lowest)
{
	void *top;

	urt__lock(&s->lock);
	top = s->free;
	if (top) {
		s->free = ((void **)top)[-1];
	} else if (s->used < s->max) {
		top = urt__stack_top(s, s->used);
		if (guard_install(s, slot_base(s, top)))
			top = NULL;
		else
			__atomic_store_n(&s->used, s->used + 1,
					 __ATOMIC_RELEASE);
	}
	urt__unlock(&s->lock);
	if (top)
		*lowest = slot_base(s, top) + s->page;
	return top;
}

void urt__stack_put(struct urt__stacks *s, void *top)
{
	char *lowest = slot_base(s, top) + s->page;
	size_t keep_from = ((uintptr_t)top - 1) / s->page * s->page;

	urt__sys_madvise(lowest, keep_from - (uintptr_t)lowest, MADV_DONTNEED);
	urt__lock(&s->lock);
	((void **)top)[-1] = s->free;
	s->free = top;
	urt__unlock(&s->lock);
}

bool urt__stack_guard_hit(const struct urt__stacks *s, const void *addr,
			  size_t *index)
{
	size_t off = (const char *)addr - s->base;

	if ((const char *)addr < s->base || off >= s->max * s->stride)
		return false;
	*index = off / s->stride;
	return off % s->stride < s->page;
}
