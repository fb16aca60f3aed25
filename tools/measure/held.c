// SPDX-License-Identifier: MIT
/*
 * Queues of events in blocks of one memory; see held.h.
 *
 * While a program is recorded, its events are only copied: the CPU time for
 * more would be missed by the program. To put them in one order, and to encode
 * them, takes twenty times as long, and is done when they are given.
 *
 * Most of the cost of a copy is that of memory which was never used. So a block
 * that was given is used again, the last one first, and events are packed: a word
 * with the time since the event before, the lower half of the second word, and for
 * the upper half and each other word, whether it is that of the event before, or
 * 0, or follows. A block begins with a whole event, so it can be read alone.
 *
 * With keep_ns, nothing is given before it is asked for. Then the blocks whose
 * events are all too old are forgotten, or if there is no room, the one with the
 * oldest last event. held_from() is the time of the youngest forgotten event:
 * older events may be missing.
 *
 * A queue of which nothing waits to be given gets a block even if the memory is
 * full, because no event of another queue can be given before its own are known.
 */
#define _GNU_SOURCE
#include "held.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BLOCK (16u << 10) /* bytes */

struct held_block {
	struct held_block *next;
	int64_t last_ns; /* of its last event, by the first queue's clock */
	unsigned words;
	bool allocated; /* not of the memory */
	uint64_t word[];
};

#define WORDS ((BLOCK - sizeof(struct held_block)) / 8) /* of one */

struct held {
	char *memory;
	size_t blocks, fresh; /* the first one that was never used */
	size_t used;
	struct held_block *free;
	struct held_queue *queues;
	int64_t keep_ns, newest_ns;
	int64_t from_ns;  /* of the last event that was forgotten */
	int64_t short_ns; /* ... for lack of room */
};

/* ---- packing ---- */

enum { SAME, ZERO, FOLLOWS, WHOLE };

#define TIME	   32 /* bits of the first word: 24 of the time ... */
#define CODE(i)	   (54 + 2 * (i)) /* ... and two for each other word, from 1 */
#define PACKED_MAX (1 + HELD_WORDS)

/* One of the words, number n of the packed ones if it follows; its code, in
 * place. Without branches, as they could not be predicted. */
static inline uint64_t pack_word(unsigned i, uint64_t word, uint64_t before,
				 uint64_t *to, unsigned *n)
{
	uint64_t follows = (word != 0) & (word != before);

	to[*n] = word;
	*n += follows;
	return (follows * FOLLOWS | (word != before && !follows) * ZERO)
	       << CODE(i);
}

/* Returns the number of words. */
static inline unsigned pack(uint64_t *to, const uint64_t *before,
			    const uint64_t *e)
{
	uint64_t ns = e[0] - before[0];
	uint64_t head = (uint32_t)e[1] | ns << TIME;
	unsigned n = 1;

	if (ns >> (CODE(1) - TIME)) {
		to[0] = (uint64_t)WHOLE << CODE(1);
		memcpy(to + 1, e, HELD_EVENT);
		return PACKED_MAX;
	}
	head |= pack_word(1, e[1] >> 32, before[1] >> 32, to, &n);
	head |= pack_word(2, e[2], before[2], to, &n);
	head |= pack_word(3, e[3], before[3], to, &n);
	head |= pack_word(4, e[4], before[4], to, &n);
	to[0] = head;
	return n;
}

static inline uint64_t unpack_word(unsigned i, uint64_t before,
				   const uint64_t *from, unsigned *n)
{
	unsigned code = from[0] >> CODE(i) & 3;

	if (code == SAME)
		return before;
	return code == FOLLOWS ? from[(*n)++] : 0;
}

/* e is the event before, and becomes that one. Returns the number of words. */
static unsigned unpack(const uint64_t *from, uint64_t *e)
{
	uint64_t ns = from[0] << (64 - CODE(1)) >> (64 - CODE(1) + TIME);
	unsigned n = 1;

	if ((from[0] >> CODE(1) & 3) == WHOLE) {
		memcpy(e, from + 1, HELD_EVENT);
		return PACKED_MAX;
	}
	e[0] += ns;
	e[1] = unpack_word(1, e[1] >> 32, from, &n) << 32 | (uint32_t)from[0];
	e[2] = unpack_word(2, e[2], from, &n);
	e[3] = unpack_word(3, e[3], from, &n);
	e[4] = unpack_word(4, e[4], from, &n);
	return n;
}

/* ---- blocks ---- */

struct held *held_new(size_t bytes, int64_t keep_ns)
{
	struct held *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->keep_ns = keep_ns;
	h->blocks = bytes / BLOCK;
	/* Pages that are never used take no memory. */
	h->memory = mmap(NULL, h->blocks * BLOCK, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (h->memory == MAP_FAILED) {
		free(h);
		return NULL;
	}
	/* A child, as remote.c has one, needs no copy of the pages' tables. */
	madvise(h->memory, h->blocks * BLOCK, MADV_DONTFORK);
	return h;
}

void held_free(struct held *h)
{
	if (!h)
		return;
	while (h->queues)
		held_end(h->queues);
	munmap(h->memory, h->blocks * BLOCK);
	free(h);
}

void held_begin(struct held *h, struct held_queue *q, int64_t ahead_ns)
{
	q->held = h;
	q->ahead_ns = ahead_ns;
	q->others = h->queues;
	h->queues = q;
}

static struct held_block *block_take(struct held *h)
{
	struct held_block *b = h->free;

	if (b)
		h->free = b->next;
	else if (h->fresh < h->blocks)
		b = (struct held_block *)(h->memory + BLOCK * h->fresh++);
	else
		return NULL;
	h->used++;
	b->allocated = false;
	return b;
}

/* The next event to give is the first one of that block. */
static void read_from(struct held_queue *q, struct held_block *b)
{
	q->at = b;
	q->pos = 0;
	q->unpacked = false;
	memset(q->next, 0, sizeof(q->next));
}

static void write_to(struct held_queue *q, struct held_block *b)
{
	b->next = NULL;
	b->words = 0;
	memset(q->put, 0, sizeof(q->put));
}

/* The first block of a queue is given, or forgotten. */
static void block_drop(struct held_queue *q)
{
	struct held_block *b = q->first;

	if (q->at == b)
		read_from(q, b->next);
	q->first = b->next;
	if (!q->first)
		q->last = NULL;
	if (b->allocated) {
		free(b);
		return;
	}
	b->next = q->held->free;
	q->held->free = b;
	q->held->used--;
}

void held_end(struct held_queue *q)
{
	struct held_queue **to;

	if (!q->held)
		return;
	for (to = &q->held->queues; *to != q; to = &(*to)->others)
		;
	*to = q->others;
	while (q->first)
		block_drop(q);
	q->held = NULL;
}

static void forget_first(struct held_queue *q)
{
	const struct held_block *b = q->first;
	uint64_t event[HELD_WORDS] = { 0 };

	if (b->last_ns > q->held->from_ns)
		q->held->from_ns = b->last_ns;
	for (unsigned i = 0; q->forgotten && i < b->words;) {
		i += unpack(b->word + i, event);
		q->forgotten(q->arg, event);
	}
	block_drop(q);
}

static void forget_oldest(struct held *h)
{
	struct held_queue *oldest = NULL;

	for (struct held_queue *q = h->queues; q; q = q->others)
		if (q->first && !q->first->allocated &&
		    (!oldest || q->first->last_ns < oldest->first->last_ns))
			oldest = q;
	if (!oldest)
		return;
	h->short_ns = oldest->first->last_ns;
	forget_first(oldest);
}

static bool block_add(struct held_queue *q)
{
	struct held *h = q->held;
	struct held_block *b = block_take(h);

	if (!b && h->keep_ns) {
		forget_oldest(h);
		b = block_take(h);
	}
	if (!b && !held_next(q)) {
		b = malloc(BLOCK);
		if (b)
			b->allocated = true;
	}
	if (!b)
		return false;
	write_to(q, b);
	*(q->last ? &q->last->next : &q->first) = b;
	q->last = b;
	if (!q->at)
		read_from(q, b);
	return true;
}

/* ---- events ---- */

bool held_put(struct held_queue *q, const void *event)
{
	uint64_t e[HELD_WORDS];
	struct held_block *b = q->last;

	if (!b || b->words + PACKED_MAX > WORDS) {
		if (!block_add(q))
			return false;
		b = q->last;
	}
	memcpy(e, event, sizeof(e));
	b->words += pack(b->word + b->words, q->put, e);
	memcpy(q->put, e, sizeof(e));
	b->last_ns = (int64_t)e[0] + q->ahead_ns;
	if (b->last_ns > q->held->newest_ns)
		q->held->newest_ns = b->last_ns;
	return true;
}

const void *held_next(struct held_queue *q)
{
	if (q->unpacked)
		return q->next;
	if (q->at && q->pos == q->at->words && q->at->next)
		read_from(q, q->at->next);
	if (!q->at || q->pos == q->at->words)
		return NULL;
	q->pos += unpack(q->at->word + q->pos, q->next);
	q->unpacked = true;
	return q->next;
}

void held_given(struct held_queue *q)
{
	q->unpacked = false;
	if (q->held->keep_ns || q->pos < q->at->words)
		return;
	if (q->at != q->last) {
		block_drop(q);
	} else {
		write_to(q, q->at);
		read_from(q, q->at);
	}
}

void held_again(struct held *h)
{
	for (struct held_queue *q = h->queues; q; q = q->others)
		read_from(q, q->first);
}

void held_forget(struct held *h)
{
	int64_t before_ns = h->newest_ns - h->keep_ns;

	for (struct held_queue *q = h->queues; q; q = q->others)
		while (q->first && q->first->last_ns < before_ns)
			forget_first(q);
}

/* ---- figures ---- */

bool held_keeps(const struct held *h)
{
	return h->keep_ns;
}

double held_used(const struct held *h)
{
	return (double)h->used / h->blocks;
}

int64_t held_newest(const struct held *h)
{
	return h->newest_ns;
}

int64_t held_from(const struct held *h)
{
	int64_t wanted = h->newest_ns - h->keep_ns;

	if (!h->keep_ns)
		return 0;
	return h->from_ns > wanted ? h->from_ns + 1 : wanted;
}

bool held_is_short(const struct held *h)
{
	return h->short_ns && h->short_ns >= h->newest_ns - h->keep_ns;
}
