// SPDX-License-Identifier: MIT
/*
 * Reading a chunk of coroutines.
 *
 * What a piece of memory costs is that the kernel finds its page, so few pieces
 * are read: two of a parked coroutine, its block and its tail. The tail ends with the
 * park word, which is thereby read again, and begins below the block, where its
 * operation and its stack lie, since the kernel copies a piece from its beginning to its
 * end. Where it must begin is known only when the block was read; but it is about the
 * same for all coroutines of a program, so it is guessed from the chunk before, and one
 * question gets both pieces. It does not go beyond the page of the block, of which
 * alone we know that the program has touched it.
 *
 * A second question gets the tails of those for whom the guess was too short, or that
 * have a context: contexts must be read before the park word is read again. They lie
 * close to each other in the heap, so their pages are read, each once. If most of a
 * chunk needed it, the first question for the next chunk asks for blocks only.
 *
 * While a child process reads the first question for a chunk, the chunk before is told
 * to the caller (remote.c).
 *
 * Addresses and sizes come from the program: any may be false.
 */
#define _GNU_SOURCE
#include "coros_read.h"
#include <stdlib.h>

#define TRIES	  4
#define STACK_MAX (16 * 1024) /* most bytes that are read of a stack */
#define NEAR	  4096 /* bytes from an operation to the park word, in one piece */
#define TAIL_MAX \
	(STACK_MAX + NEAR + CORO_BLOCK_MAX + 64) /* not all in one cache set */
#define PAGE	    4096
#define CHUNK_BYTES (TRIES * CORO_CHUNK * (2 * CORO_BLOCK_MAX + CORO_BELOW_MAX))

bool coro_reader_open(struct coro_reader *c, pid_t pid,
		      const struct urt__outside *o)
{
	bool all = true;

	c->pid = pid;
	c->o = o;
	for (int i = 0; i < 2; i++) {
		struct coro_chunk *ch = &c->chunk[i];

		ch->reading = calloc(CORO_CHUNK, sizeof(*ch->reading));
		ch->bytes = malloc(CHUNK_BYTES);
		all &= ch->reading && ch->bytes;
	}
	c->tails = malloc((size_t)CORO_CHUNK * TAIL_MAX);
	c->context_bytes = malloc((size_t)CORO_CHUNK * CONTEXT_MAX);
	c->page_bytes = malloc((size_t)CORO_PAGES * PAGE);
	return all && c->tails && c->context_bytes && c->page_bytes;
}

void coro_reader_close(struct coro_reader *c)
{
	remote_end();
	for (int i = 0; i < 2; i++) {
		free(c->chunk[i].reading);
		free(c->chunk[i].bytes);
	}
	free(c->tails);
	free(c->context_bytes);
	free(c->page_bytes);
}

void coro_chunk_add(struct coro_chunk *ch, uint64_t block, uint32_t number)
{
	ch->reading[ch->n++] =
		(struct coro_reading){ .at = block, .number = number };
}

static int add_piece(struct remote_piece *all, unsigned *k, uint64_t at,
		     void *to, size_t size)
{
	all[*k] = (struct remote_piece){ at, to, size };
	return (*k)++;
}

/* ---- the first question ---- */

/* The end of the tail: that of the park word. */
static uint64_t tail_end(const struct coro_reader *c,
			 const struct coro_reading *r)
{
	return r->at + c->o->block_park + 8;
}

/* Whether the registers lie before the park word: then the first question may have read
 * them before a wait that it saw, so they are read again, too. */
static bool registers_first(const struct coro_reader *c)
{
	return c->o->block_ctx + 24 <= c->o->block_park;
}

/* The least tail begins here. */
static uint64_t tail_top(const struct coro_reader *c,
			 const struct coro_reading *r)
{
	return r->at +
	       (registers_first(c) ? c->o->block_ctx : c->o->block_park);
}

/* Writes it, for the unfinished ones. Returns the number of its pieces. */
static unsigned ask_blocks(struct coro_reader *c, struct coro_chunk *ch)
{
	unsigned k = 0;

	for (unsigned i = 0; i < ch->n; i++) {
		struct coro_reading *r = &ch->reading[i];
		uint64_t page = r->at / PAGE * PAGE;

		if (r->done)
			continue;
		r->block = ch->to;
		r->piece_tail = -1;
		r->piece_block = add_piece(ch->piece, &k, r->at, ch->to,
					   c->o->block_size);
		ch->to += c->o->block_size;
		if (c->twice)
			continue;
		r->low = tail_top(c, r) - c->below;
		if (r->low < page)
			r->low = page;
		r->tail = ch->to;
		r->piece_tail = add_piece(ch->piece, &k, r->low, ch->to,
					  tail_end(c, r) - r->low);
		ch->to += tail_end(c, r) - r->low;
	}
	return k;
}

/* ---- the second question: contexts ---- */

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

static uint64_t context_of(const struct coro_reader *c,
			   const struct coro_reading *r)
{
	return c->contexts ? coro_word(r, c->o->block_context) : 0;
}

/* The pages of the contexts of n coroutines; each once. They are the first pieces. */
static void add_pages(struct coro_reader *c, const struct coro_chunk *ch,
		      const unsigned *which, unsigned n, unsigned *k)
{
	unsigned m = 0;

	c->pages = 0;
	for (unsigned i = 0; i < n; i++) {
		uint64_t at = context_of(c, &ch->reading[which[i]]);

		if (!at)
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
		add_piece(c->piece, k, c->page[i],
			  c->page_bytes + c->pages * PAGE, PAGE);
		c->pages++;
	}
}

/* A record may end before its greatest size, and before the next page. */
static void take_context(struct coro_reader *c, struct coro_reading *r,
			 uint8_t *to)
{
	uint64_t at = context_of(c, r), page = at / PAGE * PAGE;
	const uint64_t *found =
		at ? bsearch(&page, c->page, c->pages, sizeof(page), by_address)
		   : NULL;
	unsigned i = found ? found - c->page : 0;
	size_t n;

	r->context_size = 0;
	if (!found || !c->piece[i].size)
		return;
	n = PAGE - at % PAGE;
	if (i + 1 < c->pages && c->page[i + 1] == page + PAGE &&
	    c->piece[i + 1].size)
		n += PAGE;
	r->context_size = n < CONTEXT_MAX ? n : CONTEXT_MAX;
	r->context = to;
	memcpy(to, c->page_bytes + i * PAGE + at % PAGE, r->context_size);
}

/* ---- the second question: tails ---- */

static bool waits_for_operation(const struct coro_reader *c,
				const struct coro_reading *r)
{
	return (coro_word(r, c->o->block_park) & 3) == 2;
}

static uint64_t what_of(const struct coro_reader *c,
			const struct coro_reading *r)
{
	return coro_word(r, c->o->block_op) + c->o->op_what;
}

/* What is needed of a parked coroutine outside its block. */
struct need {
	uint64_t low; /* of the tail */
	uint64_t sp;
	size_t stack;		      /* bytes; 0: none */
	bool stack_apart, what_apart; /* not in the tail */
};

static struct need need_of(const struct coro_reader *c,
			   const struct coro_reading *r)
{
	uint64_t end = tail_end(c, r), what = what_of(c, r);
	struct need n = { .low = tail_top(c, r),
			  .sp = coro_word(r, c->o->block_ctx) };

	if (c->stacks && n.sp < r->at) {
		n.stack = r->at - n.sp < STACK_MAX ? r->at - n.sp : STACK_MAX;
		n.stack_apart = n.sp + n.stack != r->at;
		n.low = n.stack_apart ? n.low : n.sp;
	}
	if (!waits_for_operation(c, r))
		return n;
	if (what < n.low && end - what <= NEAR)
		n.low = what;
	n.what_apart = what < n.low || what > end - 8;
	return n;
}

static void add_pieces(struct coro_reader *c, struct coro_reading *r,
		       const struct need *n, uint8_t *to, unsigned *k)
{
	r->piece_stack = r->piece_what = -1;
	if (n->stack_apart) {
		r->piece_stack = add_piece(c->piece, k, n->sp, to, n->stack);
		r->stack = to;
		to += STACK_MAX;
	}
	if (n->what_apart)
		r->piece_what =
			add_piece(c->piece, k, what_of(c, r), &r->what, 8);
	r->low = n->low;
	r->tail = to;
	r->piece_tail =
		add_piece(c->piece, k, r->low, to, tail_end(c, r) - r->low);
}

/* ---- both ---- */

static bool was_read(const struct remote_piece *all, int piece)
{
	return piece >= 0 && all[piece].size;
}

/* Whether the tail has the same bytes as the block. */
static bool is_same(const struct coro_reading *r, unsigned offset, size_t n)
{
	return !memcmp(r->tail + (r->at + offset - r->low), r->block + offset,
		       n);
}

/* Takes the stack and the operation. False: it was not parked all the time. */
static bool take(struct coro_reader *c, struct coro_reading *r,
		 const struct remote_piece *all, const struct need *n)
{
	if (!was_read(all, r->piece_tail))
		return false;
	r->stack_size = n->stack;
	if (n->stack && !n->stack_apart)
		r->stack = r->tail + (n->sp - r->low);
	else if (n->stack && !was_read(all, r->piece_stack))
		r->stack_size = 0;
	r->has_what = waits_for_operation(c, r);
	if (n->what_apart)
		r->has_what &= was_read(all, r->piece_what);
	else if (r->has_what)
		memcpy(&r->what, r->tail + (what_of(c, r) - r->low),
		       sizeof(r->what));
	return is_same(r, c->o->block_park, 8) &&
	       (!registers_first(c) || is_same(r, c->o->block_ctx, 24));
}

/* What the next chunk will probably need. */
struct guess {
	unsigned parked, twice; /* number of coroutines */
	unsigned below;		/* bytes */
};

/* Whether the first question was enough for r. */
static bool was_enough(const struct coro_reader *c,
		       const struct coro_reading *r, const struct need *n,
		       struct guess *g)
{
	uint64_t below = tail_top(c, r) - n->low;

	g->parked++;
	if (context_of(c, r) || n->stack_apart || n->what_apart ||
	    below > CORO_BELOW_MAX) {
		g->twice++;
		return false;
	}
	g->below = g->below < below ? below : g->below;
	return r->piece_tail >= 0 && n->low >= r->low;
}

/* Sorts out the answer to the first question. `need` and `more` are those of the
 * coroutines that need a second one. Returns the number that continued meanwhile. */
static unsigned take_blocks(struct coro_reader *c, struct coro_chunk *ch,
			    struct need *need, unsigned *more, unsigned *m,
			    struct guess *g)
{
	unsigned moved = 0;

	for (unsigned i = 0; i < ch->n; i++) {
		struct coro_reading *r = &ch->reading[i];
		struct need n;

		if (r->done)
			continue;
		r->lost = !was_read(ch->piece, r->piece_block);
		r->parked = !r->lost &&
			    coro_is_parked(coro_word(r, c->o->block_park));
		r->done = !r->parked;
		if (r->done)
			continue;
		n = need_of(c, r);
		if (was_enough(c, r, &n, g)) {
			r->done = take(c, r, ch->piece, &n);
			moved += !r->done;
		} else {
			need[*m] = n;
			more[(*m)++] = i;
		}
	}
	return moved;
}

/* Returns the number that continued meanwhile, or -errno. */
static int second_question(struct coro_reader *c, struct coro_chunk *ch,
			   const struct need *need, const unsigned *more,
			   unsigned m)
{
	unsigned k = 0, moved = 0;
	int err;

	add_pages(c, ch, more, m, &k);
	for (unsigned i = 0; i < m; i++)
		add_pieces(c, &ch->reading[more[i]], &need[i],
			   c->tails + (size_t)more[i] * TAIL_MAX, &k);
	err = remote_read_all(c->pid, c->piece, k);
	if (err)
		return err;
	for (unsigned i = 0; i < m; i++) {
		struct coro_reading *r = &ch->reading[more[i]];

		take_context(c, r,
			     c->context_bytes + (size_t)more[i] * CONTEXT_MAX);
		r->done = take(c, r, c->piece, &need[i]);
		moved += !r->done;
	}
	return moved;
}

/* Returns the number that continued meanwhile, or -errno. */
static int take_all(struct coro_reader *c, struct coro_chunk *ch)
{
	static struct need need[CORO_CHUNK];
	static unsigned more[CORO_CHUNK];
	struct guess g = { 0 };
	unsigned m = 0, moved = take_blocks(c, ch, need, more, &m, &g);
	int more_moved = m ? second_question(c, ch, need, more, m) : 0;

	if (g.parked) {
		c->below = g.below;
		c->twice = g.twice > g.parked / 2;
	}
	return more_moved < 0 ? more_moved : (int)moved + more_moved;
}

int coro_begin(struct coro_reader *c, struct coro_chunk *ch)
{
	ch->to = ch->bytes;
	return remote_begin(c->pid, ch->piece, ask_blocks(c, ch));
}

int coro_finish(struct coro_reader *c, struct coro_chunk *ch, uint64_t *again)
{
	int moved = take_all(c, ch), err = 0;

	for (int i = 1; i < TRIES && moved > 0 && !err; i++) {
		*again += moved;
		err = remote_read_all(c->pid, ch->piece, ask_blocks(c, ch));
		moved = err ? err : take_all(c, ch);
	}
	if (moved > 0)
		*again += moved;
	return moved < 0 ? moved : 0;
}
