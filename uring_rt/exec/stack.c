// SPDX-License-Identifier: MIT
/*
 * Stacks.
 *
 * A mapping for each stack would fail at vm.max_map_count (65,530) and cost
 * some 7 us. So one mapping is reserved for all stacks (base/memory.c), and
 * stack i is the i-th stretch of it. It is opened a chunk at a time, from the
 * low end. The kernel gives memory page by page as it is touched, so a
 * coroutine that needs little has one page.
 *
 *	base                                                     stride
 *	| guard      |  usable, grows down  <-  first frame | colour |
 *
 * Guard: 16 KiB that fault, so that a frame of that size cannot step over them,
 * and 64 KiB for stacks of 1 MiB and more and on aarch64, where compilers that
 * probe (-fstack-clash-protection) assume that much. A larger frame needs that
 * option, which touches every page of the frame. MADV_GUARD_INSTALL (Linux
 * 6.13) marks guards in the page table and leaves the mapping whole; the table
 * costs memory, which is why small stacks have small guards. Before 6.13
 * mprotect has to split the mapping, two VMAs a stack; a budget of half of
 * max_map_count keeps the process alive, and beyond it a stack has no guard of
 * its own: running over it reaches the last page of its neighbour's stretch.
 * Only the check of the stack pointer at each park (sched/) protects such a
 * stack.
 *
 * Colour: were all tops at the same distance from a page boundary, the hot
 * lines of all coroutines would share a few sets of the L1 cache. Each stack
 * therefore ends a multiple of 128 bytes below its stretch, by its index.
 *
 * Guards are made for a chunk of stacks at a time, by process_madvise(2) on
 * ourselves: 330 ns each instead of 1,000.
 *
 * Coming back. sched/ keeps the coroutines that have ended with their stacks,
 * whose control blocks it may still read. urt__stack_trim gives the pages that
 * a deep call has touched back to the kernel. A stack that was not needed for a
 * while comes back whole (urt__stack_put): then its memory, control block
 * included, is zero, and its number is handed out again before new numbers are.
 */
#define _GNU_SOURCE
#include "stack.h"
#include "../base/lock.h"
#include "../base/memory.h"
#include "../base/sys.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#define CHUNK	    64u		/* stacks that are opened at once */
#define CHUNK_SIZE  (16u << 20) /* but no more bytes than that, unless one is */
#define GUARD_SMALL (16 * 1024)
#define GUARD_LARGE (64 * 1024)
#define LARGE	    (1024 * 1024)

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

static size_t guard_size(size_t stack_size, size_t page)
{
	size_t n = stack_size >= LARGE ? GUARD_LARGE : GUARD_SMALL;

#ifdef __aarch64__
	n = GUARD_LARGE;
#endif
	return (n + page - 1) / page * page;
}

/* If the address space is limited, stacks leave half of it to the rest of the
 * program. */
static size_t fewer(size_t max, size_t stride)
{
	struct rlimit l;

	if (!getrlimit(RLIMIT_AS, &l) && l.rlim_cur != RLIM_INFINITY)
		while (max > 1 && max * stride > l.rlim_cur / 2)
			max /= 2;
	return max;
}

int urt__stacks_init(struct urt__stacks *s, size_t size, size_t max,
		     bool guard_madvise)
{
	void *map;
	int err = -ENOMEM;

	memset(s, 0, sizeof(*s));
	s->page = sysconf(_SC_PAGESIZE);
	if (!size || !max || size > SIZE_MAX / 4 / max)
		return -EINVAL;
	s->guard = guard_size(size, s->page);
	s->stride = (size + s->page - 1) / s->page * s->page + s->guard;
	for (max = fewer(max, s->stride); max; max /= 2) {
		err = urt__mem_reserve(&map, max * s->stride, URT__MEM_STACKS,
				       "uring_rt stacks");
		if (!err)
			break;
	}
	if (!max)
		return err;
	s->base = map;
	s->max = max;
	s->chunk = CHUNK_SIZE / s->stride;
	s->chunk = s->chunk > CHUNK ? CHUNK : s->chunk + !s->chunk;
	s->guard_madvise = guard_madvise;
	s->guard_many = guard_madvise;
	s->guard_budget = max_map_count() / 4;
	return 0;
}

void urt__stacks_destroy(struct urt__stacks *s)
{
	if (!s->base)
		return;
	munmap(s->base, s->max * s->stride);
	free(s->back);
	s->base = NULL;
}

void urt__stacks_forget(struct urt__stacks *s)
{
	size_t opened = s->opened * s->stride;

	if (!s->base)
		return;
	munmap(s->base + opened, s->max * s->stride - opened);
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

/* All n from number `opened` on at once; false: the kernel cannot. */
static bool guard_many(struct urt__stacks *s, size_t n)
{
	struct iovec v[CHUNK];
	int pidfd;

	if (!s->guard_many || !s->guard_madvise)
		return false;
	pidfd = urt__sys_pidfd(getpid());
	for (size_t i = 0; i < n; i++)
		v[i] = (struct iovec){ slot_at(s, s->opened + i), s->guard };
	s->guard_many =
		pidfd >= 0 &&
		urt__sys_process_madvise(pidfd, v, n, MADV_GUARD_INSTALL) ==
			(ssize_t)(n * s->guard);
	/* TSan would take close() for a race with a coroutine that still uses
	 * the number's last file. */
	if (pidfd >= 0)
		syscall(SYS_close, pidfd);
	return s->guard_many;
}

/* Makes the next chunk usable; some may be opened when this fails. */
static bool open_chunk(struct urt__stacks *s)
{
	size_t n = s->max - s->opened;

	if (n > s->chunk)
		n = s->chunk;
	if (urt__mem_open(slot_at(s, s->opened), n * s->stride))
		return false;
	if (!guard_many(s, n))
		for (size_t i = 0; i < n; i++)
			if (guard_one(s, slot_at(s, s->opened + i)))
				return false;
	if (urt__mem_lock(slot_at(s, s->opened), n * s->stride))
		return false;
	s->opened += n;
	return true;
}

/* The lowest number that came back, or -1. */
static ptrdiff_t take_back(struct urt__stacks *s)
{
	unsigned bit;

	if (!s->nr_back)
		return -1;
	while (!s->back[s->back_first])
		s->back_first++;
	s->nr_back--;
	bit = __builtin_ctzll(s->back[s->back_first]);
	s->back[s->back_first] &= s->back[s->back_first] - 1;
	return s->back_first * 64 + bit;
}

void *urt__stack_get(struct urt__stacks *s, void **lowest)
{
	void *top = NULL;
	ptrdiff_t i;

	urt__lock(&s->lock);
	i = take_back(s);
	if (i < 0 && s->used < s->max &&
	    (s->used < s->opened || open_chunk(s))) {
		i = s->used;
		__atomic_store_n(&s->used, s->used + 1, __ATOMIC_RELEASE);
	}
	if (i >= 0) {
		top = urt__stack_top(s, i);
		*lowest = slot_at(s, i) + s->guard;
	}
	urt__unlock(&s->lock);
	return top;
}

/* Makes the bitmap when the first stack comes back. */
static bool can_note(struct urt__stacks *s)
{
	uint64_t *fresh;
	bool has;

	urt__lock(&s->lock);
	has = s->back;
	urt__unlock(&s->lock);
	if (has)
		return true;
	fresh = urt__sys_zalloc((s->max + 63) / 64 * sizeof(*fresh));
	if (!fresh)
		return false;
	urt__lock(&s->lock);
	if (!s->back) {
		s->back = fresh;
		fresh = NULL;
	}
	urt__unlock(&s->lock);
	free(fresh);
	return true;
}

bool urt__stack_put(struct urt__stacks *s, void *top)
{
	size_t i = urt__stack_index(s, top);

	/* In this order: a stack that stays in use keeps what it holds. */
	if (!can_note(s) ||
	    urt__mem_drop(slot_at(s, i) + s->guard, s->stride - s->guard))
		return false;
	urt__lock(&s->lock);
	s->back[i / 64] |= UINT64_C(1) << i % 64;
	if (i / 64 < s->back_first)
		s->back_first = i / 64;
	s->nr_back++;
	urt__unlock(&s->lock);
	return true;
}

void urt__stack_trim(const struct urt__stacks *s, void *top)
{
	char *lowest = slot_at(s, urt__stack_index(s, top)) + s->guard;
	uintptr_t keep = ((uintptr_t)top - URT__STACK_KEEP) / s->page * s->page;

	if (keep > (uintptr_t)lowest)
		urt__mem_drop(lowest, keep - (uintptr_t)lowest);
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
