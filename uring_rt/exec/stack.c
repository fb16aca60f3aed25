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
 *	| guard      |  usable, grows down  <-  first frame | colour |
 *
 * Guard: 16 KiB that fault, so that a frame of that size cannot step over them
 * (what is larger needs -fstack-clash-protection). MADV_GUARD_INSTALL (Linux 6.13) marks it in the
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
 * Guards are made for AHEAD stacks at a time, by process_madvise(2) on
 * ourselves: 330 ns each instead of 1,000.
 *
 * A stack is handed out once and never comes back: sched/ keeps the coroutines
 * that have ended, with their stacks. Their control blocks, in the last page,
 * must stay readable (sched/coro.h); what a deep call has touched below is
 * given back to the kernel by urt__stack_trim.
 */
#define _GNU_SOURCE
#include "stack.h"
#include "../base/lock.h"
#include "../base/sys.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#define AHEAD	   64
#define GUARD_SIZE (16 * 1024)

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
	s->guard = (GUARD_SIZE + s->page - 1) / s->page * s->page;
	s->stride = (size + s->page - 1) / s->page * s->page + s->guard;
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
	s->pidfd = guard_madvise ? urt__sys_pidfd(getpid()) : -1;
	s->guard_budget = max_map_count() / 4;
	return 0;
}

void urt__stacks_destroy(struct urt__stacks *s)
{
	if (!s->base)
		return;
	munmap(s->base, s->max * s->stride);
	if (s->pidfd >= 0)
		close(s->pidfd);
	s->base = NULL;
}

void *urt__stack_top(const struct urt__stacks *s, size_t i)
{
	return s->base + (i + 1) * s->stride -
	       i % URT__STACK_COLOURS * URT__STACK_COLOUR_STEP;
}

static char *slot_at(const struct urt__stacks *s, size_t i)
{
	return s->base + i * s->stride;
}

static int guard_one(struct urt__stacks *s, char *guard)
{
	int err;

	if (s->guard_madvise) {
		err = urt__sys_madvise(guard, s->guard, MADV_GUARD_INSTALL);
		if (err != -EINVAL)
			return err;
		s->guard_madvise = false;
	}
	if (s->nr_guards >= s->guard_budget)
		return 0;
	err = urt__sys_mprotect(guard, s->guard, PROT_NONE);
	if (!err)
		s->nr_guards++;
	if (err == -ENOMEM) { /* the process has many mappings of its own */
		s->guard_budget = 0;
		err = 0;
	}
	return err;
}

/* The next AHEAD at once; false where that cannot be done. */
static bool guard_many(struct urt__stacks *s)
{
	struct iovec v[AHEAD];
	size_t n = s->max - s->guarded;

	if (s->pidfd < 0 || !s->guard_madvise)
		return false;
	if (n > AHEAD)
		n = AHEAD;
	for (size_t i = 0; i < n; i++)
		v[i] = (struct iovec){ slot_at(s, s->guarded + i), s->guard };
	if (urt__sys_process_madvise(s->pidfd, v, n, MADV_GUARD_INSTALL) !=
	    (ssize_t)(n * s->guard)) {
		close(s->pidfd);
		s->pidfd = -1;
		return false;
	}
	s->guarded += n;
	return true;
}

/* Whether stack number `used` has its guard now. */
static bool guard_next(struct urt__stacks *s)
{
	if (s->used < s->guarded || guard_many(s))
		return true;
	if (guard_one(s, slot_at(s, s->used)))
		return false;
	s->guarded = s->used + 1;
	return true;
}

void *urt__stack_get(struct urt__stacks *s, void **lowest)
{
	void *top = NULL;

	urt__lock(&s->lock);
	if (s->used < s->max && guard_next(s)) {
		top = urt__stack_top(s, s->used);
		*lowest = slot_at(s, s->used) + s->guard;
		__atomic_store_n(&s->used, s->used + 1, __ATOMIC_RELEASE);
	}
	urt__unlock(&s->lock);
	return top;
}

void urt__stack_trim(const struct urt__stacks *s, void *top)
{
	char *lowest = slot_at(s, urt__stack_index(s, top)) + s->guard;
	uintptr_t keep = ((uintptr_t)top - URT__STACK_KEEP) / s->page * s->page;

	if (keep > (uintptr_t)lowest)
		urt__sys_madvise(lowest, keep - (uintptr_t)lowest,
				 MADV_DONTNEED);
}

bool urt__stack_find(const struct urt__stacks *s, const void *addr,
		     size_t *index, bool *in_guard)
{
	size_t off = (const char *)addr - s->base;

	if (!s->base || (const char *)addr < s->base ||
	    off >= s->max * s->stride)
		return false;
	*index = off / s->stride;
	*in_guard = off % s->stride < s->guard;
	return true;
}
