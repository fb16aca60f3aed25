/* SPDX-License-Identifier: MIT */
/* Reading the blocks, stacks and contexts of some coroutines; a part of coros.c. */
#ifndef URT_COROS_READ_H
#define URT_COROS_READ_H

#include "../../uring_rt/base/outside.h"
#include "context.h"
#include "remote.h"
#include <string.h>

/* Coroutines that are read together, with two pieces each in one call. */
#define CORO_CHUNK     512
#define CORO_BLOCK_MAX 4096 /* bytes of a control block */
#define CORO_PAGES     (2 * CORO_CHUNK)
#define CORO_BELOW_MAX 1024

/* One coroutine while it is being read. */
struct coro_reading {
	uint64_t at; /* of its block */
	uint32_t number;
	uint8_t *block;
	uint64_t low;  /* the tail is the memory from there to its park word */
	uint8_t *tail; /* ... here; NULL: was not read */
	const uint8_t *stack;
	size_t stack_size; /* bytes; 0: none was read */
	uint64_t what;	   /* of its operation */
	const uint8_t *context;
	size_t context_size; /* 0: none was read */
	bool parked, done, lost, has_what;
	/* Its places in `piece`; -1: none. */
	int piece_block, piece_tail, piece_stack, piece_what;
};

/* Coroutines of one question. */
struct coro_chunk {
	unsigned n;
	struct coro_reading *reading; /* CORO_CHUNK of them */
	uint8_t *bytes, *to; /* their blocks and tails; the next one's */
	struct remote_piece piece[2 * CORO_CHUNK];
};

struct coro_reader {
	pid_t pid;
	const struct urt__outside *o;
	bool contexts, stacks; /* are wanted */
	struct coro_chunk chunk[2];
	/* The first question asks for a tail that begins this far below the
	 * block, as most of the chunk before needed; `twice`: for none, as most
	 * of these needed more. */
	unsigned below;
	bool twice;

	/* The second question, of one chunk at a time. */
	uint8_t *tails, *context_bytes, *page_bytes;
	uint64_t page[CORO_PAGES]; /* addresses of pages of contexts */
	unsigned pages;
	struct remote_piece piece[CORO_PAGES + 3 * CORO_CHUNK];
};

/* False: out of memory; close in either case. */
bool coro_reader_open(struct coro_reader *, pid_t, const struct urt__outside *);
void coro_reader_close(struct coro_reader *);

/* The next coroutine of a chunk is the one whose block is at that address. */
void coro_chunk_add(struct coro_chunk *, uint64_t block, uint32_t number);

/*
 * Begins to read a chunk; it and the one begun before must be different ones, and the
 * latter is then complete as after remote_begin. Returns 0 or -errno of that one.
 */
int coro_begin(struct coro_reader *, struct coro_chunk *);

/* Completes a chunk whose first question is answered: reads what else is needed, and
 * reads anew, in a few tries, the coroutines that have continued meanwhile, whose number
 * is added to *again. 0 or -errno. */
int coro_finish(struct coro_reader *, struct coro_chunk *, uint64_t *again);

static inline uint64_t coro_word(const struct coro_reading *r, unsigned offset)
{
	uint64_t v;

	memcpy(&v, r->block + offset, sizeof(v));
	return v;
}

static inline bool coro_is_parked(uint64_t park)
{
	return park & 3;
}

#endif
