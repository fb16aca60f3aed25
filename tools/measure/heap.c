// SPDX-License-Identifier: MIT
/*
 * Memory of a process for a search of pointers.
 *
 * glibc writes the size of each block in front of it, so its heaps can be walked
 * from block to block: [heap]; the arenas of threads, whose heaps begin at multiples
 * of 64 MiB with a header that holds their size; and large blocks with a mapping of
 * their own. A walk counts only if it ends exactly where the heap ends, or at the marks
 * that glibc writes where it leaves a heap for another. The place of an arena's first
 * block depends on the version of glibc, so each possible place is tried. The last
 * block of a heap is memory that glibc has not handed out. A flag in the next block
 * says whether a block is free. Free blocks in glibc's caches look used, which hides
 * leaks but invents none.
 *
 * The head of a block lies in the last 8 bytes that the block before it may use. So
 * glibc's own pointers to heads of free blocks are left out, because they would look
 * like the program's pointers into used ones. Threads' arenas have them below their
 * first block; the main arena, in a record in glibc's data.
 *
 * A heap is often several mappings: memory that a forked child adds is a mapping of its
 * own, and huge pages, NUMA policies and locked memory split heaps, too. So
 * neighbouring mappings of one kind are one range here.
 *
 * AddressSanitizer's allocator: heap_asan.c.
 *
 * All other writable memory is searched as a whole. Anonymous memory may belong to
 * another allocator, unless it lies directly above a file's private data, as a
 * program's zeroed globals do.
 *
 * A program may write anything here. So walks are bounded by the mapping and by time,
 * the number of blocks is limited, and a search reads no pages that were never touched.
 */
#define _GNU_SOURCE
#include "heap.h"
#include "../lib/proc.h"
#include "../lib/tool.h"
#include "heap_asan.h"
#include "reader.h"
#include "remote.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SPANS_MAX   131072
#define BLOCKS_MAX  (8u << 20)
#define ARENA	    (UINT64_C(64) << 20) /* alignment of arenas */
#define ARENA_HEAD  8192		 /* most bytes before its first block */
#define PAGE	    4096		 /* the smallest page of a pagemap */
#define PIECE	    (256 * 1024)
#define GUARD	    (UINT64_C(1) << 58) /* of a page in pagemap */
#define CHUNK_FLAGS 7
#define IN_USE	    1 /* the block before is */
#define MAPPED	    2
#define LEAST	    32	/* bytes of the smallest block */
#define BINS	    127 /* of an arena; each is the two ends of a list */
#define FAST_BINS   80	/* bytes before `top` in an arena's record */
#define WALKS_MAX   (10 * NS_PER_S)
#define STACK_MAX   (UINT64_C(1) << 30)

/* ---- reading ---- */

/* Sets is[i] if page i of the n pages at the address was ever touched. */
static void touched(const struct heap *h, uint64_t from, size_t n, bool *is)
{
	static uint64_t entry[PIECE / PAGE];
	size_t page = sysconf(_SC_PAGESIZE);
	size_t want = n * sizeof(*entry);

	if (remote_pread(h->pid, "pagemap", entry, want,
			 from / page * sizeof(*entry)) != (ssize_t)want) {
		memset(is, true, n);
		return;
	}
	for (size_t i = 0; i < n; i++) /* present, or swapped out */
		is[i] = entry[i] >> 62;
}

/* PAGEMAP_SCAN of Linux 6.7, which older headers lack. */
struct scan {
	uint64_t size, flags, from, to, end, region, regions, pages;
	uint64_t inverted, all, any, told;
};
#define SCAN	  _IOWR('f', 16, struct scan)
#define IN_MEMORY 8
#define IN_SWAP	  16

/* Answers the range that was found, if any. */
static ssize_t scan(pid_t pid, const void *question, void *answer,
		    struct reader_fds *fds)
{
	struct scan s = *(const struct scan *)question;
	char path[64];
	int fd, n;

	(void)fds;
	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	s.region = (uintptr_t)answer;
	n = ioctl(fd, SCAN, &s);
	close(fd);
	return n;
}

/* The first page, from `from` on, that was ever touched: in the shadow of a sanitizer,
 * terabytes lie between two such pages. */
static uint64_t next_touched(const struct heap *h, uint64_t from, uint64_t to)
{
	const void *found; /* from, to, which */
	struct scan s = { .size = sizeof(s),
			  .from = from,
			  .to = to,
			  .regions = 1,
			  .pages = 1,
			  .any = IN_MEMORY | IN_SWAP,
			  .told = IN_MEMORY | IN_SWAP };
	ssize_t n = reader_ask(h->pid, scan, &s, sizeof(s), &found, NULL);

	return n < 0 ? from : n ? *(const uint64_t *)found : to;
}

/* Reads up to *stop, or only to the end of the first page. False: the first page cannot
 * be read. */
static bool read_some(const struct heap *h, uint64_t at, uint64_t *stop,
		      uint64_t *buf)
{
	uint64_t page = sysconf(_SC_PAGESIZE), next = (at / page + 1) * page;

	if (remote_read(h->pid, at, buf, *stop - at))
		return true;
	*stop = *stop < next ? *stop : next;
	return remote_read(h->pid, at, buf, *stop - at);
}

bool heap_read(const struct heap *h, uint64_t from, uint64_t to, heap_words *f,
	       void *arg)
{
	static uint64_t buf[PIECE / sizeof(uint64_t)];
	size_t page = sysconf(_SC_PAGESIZE);
	bool is[PIECE / PAGE];

	from = (from + 7) & ~UINT64_C(7);
	while (from < to) {
		uint64_t end = (from & ~(uint64_t)(page - 1)) + PIECE, at;

		end = end < to ? end : to;
		if (now_ns() > h->end_ns)
			return false;
		touched(h, from, (end - 1) / page - from / page + 1, is);
		if (!memchr(is, true, (end - 1) / page - from / page + 1)) {
			end = (end - 1) / page * page + page;
			from = next_touched(h, end, to);
			continue;
		}
		for (at = from; at < end;) {
			size_t first = from / page;
			uint64_t stop = at;

			while (stop < end && is[stop / page - first])
				stop = (stop / page + 1) * page;
			stop = stop < end ? stop : end;
			if (stop > at && !read_some(h, at, &stop, buf))
				stop = at;
			if (stop > at && !f(buf, (stop - at) / 8, at, arg))
				return false;
			at = stop > at ? stop : (at / page + 1) * page;
		}
		from = end;
	}
	return true;
}

uint64_t heap_guard_below(const struct heap *h, uint64_t from, uint64_t address)
{
	static uint64_t entry[PIECE / PAGE];
	size_t page = sysconf(_SC_PAGESIZE), n;

	if (address > STACK_MAX && from < address - STACK_MAX)
		from = address - STACK_MAX;
	from /= page;
	address /= page;
	for (; address > from; address -= n) {
		n = address - from < ARRAY_LEN(entry) ? address - from
						      : ARRAY_LEN(entry);
		if (remote_pread(h->pid, "pagemap", entry, n * sizeof(*entry),
				 (address - n) * sizeof(*entry)) !=
		    (ssize_t)(n * sizeof(*entry)))
			return 0;
		for (size_t i = n; i; i--)
			if (entry[i - 1] & GUARD)
				return (address - n + i) * page;
	}
	return 0;
}

/* ---- walking a heap ---- */

struct heap_piece {
	uint64_t from, to; /* what buf holds */
	uint64_t buf[PIECE / sizeof(uint64_t)];
};

const uint64_t *heap_words_at(const struct heap *h, uint64_t at, size_t n,
			      uint64_t end)
{
	struct heap_piece *p = h->piece;

	if (at % 8 || at + 8 * n > end)
		return NULL;
	if (at < p->from || at + 8 * n > p->to) {
		if (now_ns() > h->end_ns)
			return NULL;
		p->from = at;
		p->to = end - at < PIECE ? end : at + PIECE;
		if (!remote_read(h->pid, at, p->buf, p->to - at)) {
			p->to = p->from;
			return NULL;
		}
	}
	return p->buf + (at - p->from) / 8;
}

void heap_forget_words(const struct heap *h)
{
	h->piece->from = h->piece->to = 0;
}

/* The size and the flags of the block at an address. */
static uint64_t size_at(const struct heap *h, uint64_t at, uint64_t end)
{
	const uint64_t *word = heap_words_at(h, at, 2, end);

	return word ? word[1] : 0;
}

/* The array of n elements with room for one more; its size doubles at 1, 2, 4, ...
 * NULL: no memory, and the array is unchanged. */
static void *one_more(void *array, size_t n, size_t size)
{
	if (n & (n - 1))
		return array;
	return realloc(array, (n ? 2 * n : 1) * size);
}

bool heap_add_block(struct heap *h, uint64_t from, uint64_t to)
{
	struct heap_block *more;

	if (h->blocks == BLOCKS_MAX)
		return false;
	more = one_more(h->block, h->blocks, sizeof(*more));
	if (!more)
		return false;
	h->block = more;
	h->block[h->blocks++] = (struct heap_block){ from, to };
	return true;
}

/* When glibc continues in another heap, it ends the old one with a block of 16 bytes,
 * and one of 0 or 16. */
static bool is_mark(const struct heap *h, uint64_t at, uint64_t end)
{
	uint64_t next = size_at(h, at + 16, end);

	return size_at(h, at, end) == (16 | IN_USE) &&
	       (next == IN_USE || next == (16 | IN_USE));
}

/* Adds the blocks from `at` to exactly `end`, or to marks before it. Returns the
 * address where the walk ended; 0: this is no such heap, and no block is added. */
static uint64_t walk(struct heap *h, uint64_t at, uint64_t end, bool mapped)
{
	size_t before = h->blocks;

	while (at < end) {
		uint64_t word = size_at(h, at, end), next;
		uint64_t size = word & ~(uint64_t)CHUNK_FLAGS;

		if (size < LEAST || size % 16 || size > end - at ||
		    !!(word & MAPPED) != mapped)
			break;
		next = at + size;
		if (mapped ? !heap_add_block(h, at + 16, next)
			   : next < end && size_at(h, next, end) & IN_USE &&
				     !heap_add_block(h, at + 16, next + 8))
			break;
		h->last = at;
		at = next;
	}
	if (at == end || (!mapped && is_mark(h, at, end)))
		return at;
	h->blocks = before;
	return 0;
}

/* Whether an arena's record (glibc's struct malloc_state) has `top` at the address: then
 * most of its bins, which begin 16 bytes above, are empty, and so point to themselves,
 * as if they were blocks. */
static bool is_arena(const struct heap *h, uint64_t at)
{
	uint64_t bin[BINS][2];
	unsigned empty = 0;

	if (!remote_read(h->pid, at + 16, bin, sizeof(bin)))
		return false;
	for (unsigned i = 0; i < BINS; i++)
		empty += bin[i][0] == at + 16 * i && bin[i][1] == bin[i][0];
	return empty > BINS / 2;
}

struct find_arena {
	const struct heap *heap;
	uint64_t at; /* of `top` in its record; 0: not found */
};

static bool find_arena(const uint64_t *word, size_t n, uint64_t at, void *arg)
{
	struct find_arena *f = arg;

	for (size_t i = 0; i < n && !f->at; i++)
		if (word[i] == f->heap->top && is_arena(f->heap, at + 8 * i))
			f->at = at + 8 * i;
	return !f->at;
}

/* Leaves out the pointers of the main arena. */
static void exclude_arena(struct heap *h)
{
	struct find_arena f = { h, 0 };

	for (size_t i = 0; h->top && i < h->spans && !f.at; i++)
		if (h->span[i].data)
			heap_read(h, h->span[i].from, h->span[i].to, find_arena,
				  &f);
	if (f.at)
		heap_exclude(h, f.at - FAST_BINS, f.at + 16 + 16 * BINS);
}

/* Walks the heap of an arena that begins at `from`; returns its end, or 0. */
static uint64_t walk_arena(struct heap *h, uint64_t from, uint64_t to)
{
	uint64_t head[3]; /* its arena, the heap before, bytes */
	uint64_t end, ended = 0;
	bool is;

	/* Before Linux 6.7, none of the pages that are tried may exist: reading
	 * them would give the program page tables. */
	touched(h, from, 1, &is);
	if (!is || !remote_read(h->pid, from, head, sizeof(head)) ||
	    head[2] > to - from || head[2] < 4096)
		return 0;
	end = from + head[2];
	for (uint64_t at = from + 32;
	     !ended && at < from + ARENA_HEAD && at < end; at += 16)
		if (size_at(h, at, end) & IN_USE)
			ended = walk(h, at, end, false);
	return ended;
}

/* ---- mappings ---- */

static bool add_span(struct heap *h, const struct heap_span *s)
{
	struct heap_span *more;

	if (s->from >= s->to || h->spans == SPANS_MAX)
		return h->spans < SPANS_MAX;
	more = one_more(h->span, h->spans, sizeof(*more));
	if (!more)
		return false;
	h->span = more;
	h->span[h->spans++] = *s;
	return true;
}

/* A range of memory: neighbouring mappings of one kind. */
struct range {
	uint64_t from, to;
	enum kind {
		SKIPPED, /* cannot be read, or holds no pointers to objects */
		MAIN,	 /* [heap] */
		NAMELESS,
		OTHER,
	} kind;
	bool access;		      /* its memory can be read */
	bool file_data;		      /* a file's private data */
	bool above_file, above_guard; /* directly above one; below the first
					 thread's stack, the kernel keeps a gap */
};

/* Shared memory lies in /dev, too, but is no device. */
static bool is_device(const char *path)
{
	return !strncmp(path, "/dev/", 5) && strncmp(path, "/dev/zero", 9) &&
	       strncmp(path, "/dev/shm/", 9) &&
	       strncmp(path, "/dev/hugepages/", 15);
}

static enum kind kind_of(const char *rights, const char *path)
{
	bool nameless = !*path || !strncmp(path, "[anon:", 6);

	if (rights[0] != 'r' || (rights[1] != 'w' && !nameless) ||
	    strstr(path, "[io_uring]") || !strncmp(path, "[v", 2) ||
	    !strncmp(path, "/memfd:urt-", 11) || is_device(path))
		return SKIPPED;
	if (!strcmp(path, "[heap]"))
		return MAIN;
	return nameless ? NAMELESS : OTHER;
}

/* Where the next arena's heap may begin: a head was written, so its page was touched. */
static uint64_t next_head(const struct heap *h, uint64_t at, uint64_t to)
{
	uint64_t page = 0;

	while (at < to && page != at && now_ns() < h->end_ns) {
		page = next_touched(h, at, to);
		at = (page + ARENA - 1) & ~(ARENA - 1);
	}
	return page == at ? at : to;
}

/* Other memory may lie below and above an arena and its heaps. */
static bool take_nameless(struct heap *h, const struct range *r)
{
	struct heap_span s = { r->from, r->to, !r->above_file, r->above_guard,
			       false };
	uint64_t at = (s.from + ARENA - 1) & ~(ARENA - 1);

	if (heap_asan_walk(h, r->from, r->to))
		return true;
	for (; (at = next_head(h, at, r->to)) < r->to; at += ARENA) {
		uint64_t ended = walk_arena(h, at, r->to);
		struct heap_span below = s;

		if (!ended)
			continue;
		below.to = at;
		if (!add_span(h, &below))
			return false;
		s = (struct heap_span){ ended, r->to, true, false, false };
	}
	if (s.from == r->from && s.unknown && !s.guarded &&
	    walk(h, s.from, s.to, true))
		return true;
	return add_span(h, &s);
}

static bool take_range(struct heap *h, const struct range *r)
{
	struct heap_span s = { r->from, r->to, r->kind == MAIN, r->above_guard,
			       r->file_data };

	if (r->kind == SKIPPED)
		return true;
	if (r->kind == NAMELESS)
		return take_nameless(h, r);
	if (r->kind == MAIN) {
		uint64_t ended = walk(h, s.from, s.to, false);

		h->top = ended ? h->last : 0;
		s.from = ended ? ended : s.from;
	}
	return add_span(h, &s);
}

/* Takes one line of maps. It extends the last range, or completes that range and begins
 * a new one. */
static bool take_line(struct heap *h, const char *line, struct range *last)
{
	struct range r = { 0 };
	char rights[8];
	const char *path;
	bool follows, ok;
	int at = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %*s %*s %*s %n", &r.from,
		   &r.to, rights, &at) < 3 ||
	    !at)
		return true;
	path = line + at;
	follows = last->to == r.from;
	r.kind = kind_of(rights, path);
	if (r.kind == NAMELESS && heap_asan_shadow(h, r.from, r.to))
		r.kind = SKIPPED;
	if (r.kind == NAMELESS && follows && !last->access)
		heap_asan_above_none(h, last->from, r.from);
	r.access = rights[0] == 'r';
	r.file_data = *path == '/' && rights[3] == 'p';
	r.above_file = follows && last->file_data;
	r.above_guard = (follows && !last->access) || !strcmp(path, "[stack]");
	if (follows && r.kind == last->kind &&
	    (r.kind == MAIN || r.kind == NAMELESS)) {
		last->to = r.to;
		return true;
	}
	ok = take_range(h, last);
	*last = r;
	return ok;
}

struct heap *heap_open(pid_t pid)
{
	struct heap *h = calloc(1, sizeof(*h));
	struct range last = { 0 };
	char line[4400];
	bool ok = true;
	FILE *f;

	if (h)
		h->piece = calloc(1, sizeof(*h->piece));
	f = h && h->piece ? remote_file(pid, "maps") : NULL;
	if (!f) {
		free(h ? h->piece : NULL);
		free(h);
		return NULL;
	}
	h->pid = pid;
	h->end_ns = now_ns() + WALKS_MAX;
	while (ok && proc_next_line(f, line, sizeof(line)))
		ok = take_line(h, line, &last);
	ok = ok && take_range(h, &last);
	fclose(f);
	if (ok) {
		exclude_arena(h);
		return h;
	}
	heap_close(h);
	return NULL;
}

void heap_close(struct heap *h)
{
	if (!h)
		return;
	free(h->piece);
	free(h->span);
	free(h->block);
	free(h);
}

void heap_exclude(struct heap *h, uint64_t from, uint64_t to)
{
	size_t n = h->spans;

	for (size_t i = 0; i < n; i++) {
		struct heap_span above = h->span[i];

		if (from >= above.to || to <= above.from)
			continue;
		if (to < above.to) {
			above.from = to;
			above.guarded = false;
			if (!add_span(h, &above))
				return;
		}
		h->span[i].to = from > h->span[i].from ? from : h->span[i].from;
	}
}

ssize_t heap_block_at(const struct heap *h, uint64_t address)
{
	size_t low = 0, high = h->blocks;

	while (low < high) { /* the last block that begins at or before it */
		size_t mid = (low + high) / 2;

		if (h->block[mid].from <= address)
			low = mid + 1;
		else
			high = mid;
	}
	return low && address < h->block[low - 1].to ? (ssize_t)low - 1 : -1;
}

struct heap_span *heap_span_at(const struct heap *h, uint64_t address)
{
	for (size_t i = 0; i < h->spans; i++)
		if (address >= h->span[i].from && address < h->span[i].to)
			return &h->span[i];
	return NULL;
}
