// SPDX-License-Identifier: MIT
/*
 * Reading a chunk of coroutines, in two calls: the blocks; then, for the parked
 * ones, their contexts, stacks and operations, and after these their park words
 * again.
 *
 * What a piece of memory costs is that the kernel finds its page, so few pieces
 * are read. A coroutine's stack and operation lie below its block. They make one
 * piece that ends with the park word, since the kernel copies a piece from its
 * beginning to its end. Contexts lie close to each other in the heap, so their
 * pages are read, each once.
 *
 * Addresses and sizes come from the program: any may be false.
 */
#define _GNU_SOURCE
#include "coros_read.h"
#include <stdlib.h>

#define STACK_MAX (16 * 1024) /* most bytes that are read of a stack */
#define NEAR	  4096 /* bytes from an operation to the park word, in one piece */
#define TAIL_MAX  (STACK_MAX + NEAR + CORO_BLOCK_MAX)
#define PAGE	  4096

bool coro_reader_open(struct coro_reader *c, pid_t pid,
		      const struct urt__outside *o)
{
	c->pid = pid;
	c->o = o;
	c->reading = calloc(CORO_CHUNK, sizeof(*c->reading));
	c->blocks = malloc((size_t)CORO_CHUNK * CORO_BLOCK_MAX);
	c->tails = malloc((size_t)CORO_CHUNK * TAIL_MAX);
	c->page_bytes = malloc((size_t)CORO_PAGES * PAGE);
	return c->reading && c->blocks && c->tails && c->page_bytes;
}

void coro_reader_close(struct coro_reader *c)
{
	free(c->reading);
	free(c->blocks);
	free(c->tails);
	free(c->page_bytes);
}

void coro_reader_set(struct coro_reader *c, unsigned i, uint64_t block,
		     uint32_t number)
{
	struct coro_reading *r = &c->reading[i];

	r->at = block;
	r->number = number;
	r->done = r->parked = r->lost = r->has_what = false;
	r->stack_size = r->context_size = 0;
	r->block = c->blocks + i * c->o->block_size;
	r->tail = c->tails + (size_t)i * TAIL_MAX;
	memset(r->block, 0, c->o->block_size);
}

static int add_piece(struct coro_reader *c, unsigned *k, uint64_t at, void *to,
		     size_t size)
{
	c->piece[*k] = (struct remote_piece){ at, to, size };
	return (*k)++;
}

static bool was_read(const struct coro_reader *c, int piece)
{
	return piece >= 0 && c->piece[piece].size;
}

static int read_blocks(struct coro_reader *c, unsigned n)
{
	unsigned k = 0;
	int err;

	for (unsigned i = 0; i < n; i++)
		if (!c->reading[i].done)
			c->reading[i].piece_block = add_piece(
				c, &k, c->reading[i].at, c->reading[i].block,
				c->o->block_size);
	err = remote_read_all(c->pid, c->piece, k);
	for (unsigned i = 0; i < n && !err; i++)
		if (!c->reading[i].done &&
		    !was_read(c, c->reading[i].piece_block))
			c->reading[i].done = c->reading[i].lost = true;
	return err;
}

static int by_address(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static unsigned add_page(struct coro_reader *c, unsigned m, uint64_t page)
{
	if (!m || c->page[m - 1] != page)
		c->page[m++] = page;
	return m;
}

/* The pages of all contexts; each once. They are the first pieces. */
static void add_pages(struct coro_reader *c, unsigned n, unsigned *k)
{
	unsigned m = 0;

	c->pages = 0;
	for (unsigned i = 0; i < n && c->contexts; i++) {
		uint64_t at = coro_word(&c->reading[i], c->o->block_context);

		if (c->reading[i].done || !at)
			continue;
		m = add_page(c, m, at / PAGE * PAGE);
		if (at % PAGE + CONTEXT_MAX > PAGE)
			m = add_page(c, m, at / PAGE * PAGE + PAGE);
	}
	qsort(c->page, m, sizeof(*c->page), by_address);
	for (unsigned i = 0; i < m; i++) {
		if (c->pages && c->page[c->pages - 1] == c->page[i])
			continue;
		c->page[c->pages] = c->page[i];
		add_piece(c, k, c->page[i], c->page_bytes + c->pages * PAGE,
			  PAGE);
		c->pages++;
	}
}

/* A record may end before its greatest size, and before the next page. */
static void take_context(struct coro_reader *c, struct coro_reading *r)
{
	uint64_t at = coro_word(r, c->o->block_context),
		 page = at / PAGE * PAGE;
	const uint64_t *found =
		bsearch(&page, c->page, c->pages, sizeof(page), by_address);
	unsigned i = found ? found - c->page : 0;
	size_t n;

	r->context_size = 0;
	if (!found || !at || !was_read(c, i))
		return;
	n = PAGE - at % PAGE;
	if (i + 1 < c->pages && c->page[i + 1] == page + PAGE &&
	    was_read(c, i + 1))
		n += PAGE;
	r->context_size = n < CONTEXT_MAX ? n : CONTEXT_MAX;
	memcpy(r->context, c->page_bytes + i * PAGE + at % PAGE,
	       r->context_size);
}

/* Data of a parked coroutine outside its block, and its park word after
 * them. */
static void add_pieces(struct coro_reader *c, struct coro_reading *r,
		       bool stacks, unsigned *k)
{
	uint64_t sp = coro_word(r, c->o->block_ctx),
		 end = r->at + c->o->block_park;
	uint64_t what = coro_word(r, c->o->block_op) + c->o->op_what;
	uint8_t *to = r->tail;

	r->piece_stack = r->piece_what = -1;
	r->stack_size = 0;
	r->low = end;
	if (stacks && sp < r->at) {
		r->stack_size = r->at - sp < STACK_MAX ? r->at - sp : STACK_MAX;
		if (sp + r->stack_size == r->at) {
			r->low = sp;
		} else {
			r->piece_stack = add_piece(c, k, sp, to, r->stack_size);
			to += STACK_MAX;
		}
	}
	if ((coro_word(r, c->o->block_park) & 3) == 2) {
		if (what < r->low && end - what <= NEAR)
			r->low = what;
		else if (what < r->low || what >= end)
			r->piece_what = add_piece(c, k, what, &r->what, 8);
	}
	r->stack = r->piece_stack < 0 ? to + (sp - r->low) : r->tail;
	r->piece_tail = add_piece(c, k, r->low, to, end + 8 - r->low);
}

/* The bytes of the tail from that address on. */
static const uint8_t *in_tail(const struct coro_reader *c,
			      const struct coro_reading *r, uint64_t at)
{
	return (uint8_t *)c->piece[r->piece_tail].to + (at - r->low);
}

/* After a pass that read it: keeps what describes the operation, and says
 * whether the coroutine was parked all the time. */
static bool finish(struct coro_reader *c, struct coro_reading *r)
{
	uint64_t what = coro_word(r, c->o->block_op) + c->o->op_what, park;

	if (!was_read(c, r->piece_tail))
		return false;
	memcpy(&park, in_tail(c, r, r->at + c->o->block_park), sizeof(park));
	r->has_what = (coro_word(r, c->o->block_park) & 3) == 2;
	if (r->has_what && r->piece_what < 0)
		memcpy(&r->what, in_tail(c, r, what), sizeof(r->what));
	else
		r->has_what &= was_read(c, r->piece_what);
	if (r->piece_stack >= 0 && !was_read(c, r->piece_stack))
		r->stack_size = 0;
	take_context(c, r);
	return park == coro_word(r, c->o->block_park);
}

int coro_read(struct coro_reader *c, unsigned n, bool stacks)
{
	unsigned k = 0, moved = 0;
	int err = read_blocks(c, n);

	for (unsigned i = 0; i < n && !err; i++) {
		struct coro_reading *r = &c->reading[i];

		r->parked = coro_is_parked(coro_word(r, c->o->block_park));
		r->done |= !r->parked;
	}
	if (!err)
		add_pages(c, n, &k);
	for (unsigned i = 0; i < n && !err; i++)
		if (!c->reading[i].done)
			add_pieces(c, &c->reading[i], stacks, &k);
	if (!err)
		err = remote_read_all(c->pid, c->piece, k);
	for (unsigned i = 0; i < n && !err; i++) {
		struct coro_reading *r = &c->reading[i];

		if (r->done)
			continue;
		r->done = finish(c, r);
		moved += !r->done;
	}
	return err ? err : (int)moved;
}
