// SPDX-License-Identifier: MIT
/*
 * The memory of a scenario: it lies at fixed addresses, and each execution begins
 * with it as the setup left it. Globals of the runtime and the scenarios are set
 * back, too: the Makefile renames their sections. Of stacks, only the ends are kept,
 * where control blocks lie; the rest is written before it is read.
 *
 * Most of this memory, such as the runtime's tables for all possible workers, is not
 * written after the setup. So its pages are protected then, and only pages that some
 * execution has written are set back.
 */
#include "explore_in.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HEAP_SIZE (16ul << 20)
#define STACKS	  8
#define NAMES	  128
#define REGIONS	  64
#define PAGE	  4096ul

extern char __start_urt_data[], __stop_urt_data[];
extern char __start_urt_bss[], __stop_urt_bss[];

static struct stacks {
	char *base;
	size_t size, stride, kept;
} stacks[STACKS];

static struct name {
	uintptr_t at;
	size_t size;
	char text[40];
} names[NAMES];

/* Memory that is set back, in whole pages, if they were written. */
static struct region {
	char *at, *kept;
	size_t size;
	size_t nr_written;
	uint32_t *written; /* numbers of pages */
} regions[REGIONS];
static unsigned nr_regions;
static uint32_t numbers[X_ARENA_SIZE / PAGE];

static size_t heap_used, heap_kept, stacks_used;
static unsigned nr_stacks, nr_names, names_kept;
static char *pristine_data, *pristine_bss; /* as the program was loaded */
static char *kept; /* the heap, the globals, the ends of stacks */

static void *map(void *at, size_t size, int flags)
{
	void *p = mmap(at, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1,
		       0);

	if (p == MAP_FAILED) {
		perror("explore: mmap");
		exit(1);
	}
	return p;
}

static size_t data_size(void)
{
	return __stop_urt_data - __start_urt_data;
}

static size_t bss_size(void)
{
	return __stop_urt_bss - __start_urt_bss;
}

/* ---- memory that is set back ------------------------------------------- */

static char *first_page(const struct region *r)
{
	return (char *)(((uintptr_t)r->at + PAGE - 1) & ~(PAGE - 1));
}

/* The end of the last whole page; never before the first. */
static char *end_of_pages(const struct region *r)
{
	char *end = (char *)((uintptr_t)(r->at + r->size) & ~(PAGE - 1));

	return end > first_page(r) ? end : first_page(r);
}

static void keep(char *memory, size_t size)
{
	static char *to;
	static uint32_t *number;
	struct region *r = &regions[nr_regions++];

	if (nr_regions == 1) {
		to = kept;
		number = numbers;
	}
	if (nr_regions == REGIONS)
		explore_fail("too many pieces of memory to keep");
	*r = (struct region){ memory, to, size, 0, number };
	memcpy(to, memory, size);
	to += size;
	number += size / PAGE;
	if (mprotect(first_page(r), end_of_pages(r) - first_page(r), PROT_READ))
		explore_fail("cannot protect memory");
}

/* Makes all memory writable, and keeps nothing. */
static void keep_nothing(void)
{
	for (struct region *r = regions; r < regions + nr_regions; r++)
		if (mprotect(first_page(r), end_of_pages(r) - first_page(r),
			     PROT_READ | PROT_WRITE))
			explore_fail("cannot unprotect memory");
	nr_regions = 0;
}

bool x_arena_written(void *addr)
{
	char *page = (char *)((uintptr_t)addr & ~(PAGE - 1));

	for (struct region *r = regions; r < regions + nr_regions; r++) {
		if (page < first_page(r) || page >= end_of_pages(r))
			continue;
		r->written[r->nr_written++] = (page - first_page(r)) / PAGE;
		return !mprotect(page, PAGE, PROT_READ | PROT_WRITE);
	}
	return false;
}

static void set_back(const struct region *r)
{
	size_t head = first_page(r) - r->at, size = r->size;
	size_t end = end_of_pages(r) - r->at;

	memcpy(r->at, r->kept, head < size ? head : size);
	for (size_t i = 0; i < r->nr_written; i++) {
		size_t at = head + r->written[i] * PAGE;

		memcpy(r->at + at, r->kept + at, PAGE);
	}
	if (end < size)
		memcpy(r->at + end, r->kept + end, size - end);
}

void x_arena_keep(void)
{
	keep_nothing();
	heap_kept = heap_used;
	names_kept = nr_names;
	keep(X_ARENA, heap_kept);
	keep(__start_urt_data, data_size());
	keep(__start_urt_bss, bss_size());
	for (struct stacks *s = stacks; s < stacks + nr_stacks; s++)
		for (size_t end = s->stride; s->kept && end <= s->size;
		     end += s->stride)
			keep(s->base + end - s->kept, s->kept);
}

void x_arena_restore(void)
{
	memset(X_ARENA + heap_kept, 0, heap_used - heap_kept);
	heap_used = heap_kept;
	nr_names = names_kept;
	for (unsigned i = 0; i < nr_regions; i++)
		set_back(&regions[i]);
}

/* ---- allocating -------------------------------------------------------- */

void x_arena_open(void)
{
	if (!kept) {
		map(X_ARENA, X_ARENA_SIZE, MAP_FIXED_NOREPLACE);
		kept = map(NULL, X_ARENA_SIZE, 0);
		pristine_data = map(NULL, data_size() + 1, 0);
		pristine_bss = map(NULL, bss_size() + 1, 0);
		memcpy(pristine_data, __start_urt_data, data_size());
		memcpy(pristine_bss, __start_urt_bss, bss_size());
	} else {
		keep_nothing();
		memset(X_ARENA, 0, heap_used);
		madvise(X_ARENA + HEAP_SIZE, X_ARENA_SIZE - HEAP_SIZE,
			MADV_DONTNEED);
		memcpy(__start_urt_data, pristine_data, data_size());
		memcpy(__start_urt_bss, pristine_bss, bss_size());
	}
	heap_used = heap_kept = stacks_used = 0;
	nr_stacks = nr_names = 0;
}

void *x_arena_alloc(size_t size, size_t align)
{
	char *p;

	heap_used = (heap_used + align - 1) & ~(align - 1);
	p = X_ARENA + heap_used;
	heap_used += (size + 15) & ~(size_t)15;
	if (heap_used > HEAP_SIZE)
		explore_fail("the arena is full");
	return p;
}

void *explore_alloc(size_t size)
{
	return x_arena_alloc(size, 64);
}

void *x_arena_stacks(size_t size, size_t stride, size_t keep)
{
	struct stacks *s = &stacks[nr_stacks++];

	size = (size + 4095) & ~4095ul;
	s->base = X_ARENA + HEAP_SIZE + stacks_used;
	s->size = size;
	s->stride = stride;
	s->kept = keep;
	stacks_used += size;
	if (nr_stacks > STACKS || HEAP_SIZE + stacks_used > X_ARENA_SIZE)
		explore_fail("the arena has no room for stacks");
	return s->base;
}

/* ---- names ------------------------------------------------------------- */

void explore_name(const void *at, size_t size, const char *format, ...)
{
	struct name *n = &names[nr_names];
	va_list ap;

	if (nr_names == NAMES)
		return;
	nr_names++;
	n->at = (uintptr_t)at;
	n->size = size;
	va_start(ap, format);
	vsnprintf(n->text, sizeof(n->text), format, ap);
	va_end(ap);
}

const char *x_arena_name(uintptr_t addr, char *buf, size_t size)
{
	const char *global = NULL;
	size_t offset = 0;

	for (unsigned i = nr_names; i-- > 0 && !global;)
		if (addr - names[i].at < names[i].size) {
			global = names[i].text;
			offset = addr - names[i].at;
		}
	if (!global)
		global = x_symbol(addr, &offset);
	if (!global)
		snprintf(buf, size, "%#lx", (unsigned long)addr);
	else if (offset)
		snprintf(buf, size, "%s+%zu", global, offset);
	else
		snprintf(buf, size, "%s", global);
	return buf;
}
