/* SPDX-License-Identifier: MIT */
/* Reading the blocks, stacks and contexts of some coroutines; a part of coros.c. */
#ifndef URT_COROS_READ_H
#define URT_COROS_READ_H

#include "../../uring_rt/base/outside.h"
#include "context.h"
#include "remote.h"
#include <string.h>

/* Coroutines that are read together: their memory, which is read twice, stays in
 * the CPU's cache. */
#define CORO_CHUNK     512
#define CORO_BLOCK_MAX 4096 /* bytes of a control block */
#define CORO_PAGES     (2 * CORO_CHUNK)

/* One coroutine while it is being read. */
struct coro_reading {
	uint64_t at; /* of its block */
	uint32_t number;
	uint8_t *block;
	uint8_t *tail; /* the memory from `low` to its park word; or its stack,
			  followed by that memory */
	uint64_t low;
	const uint8_t *stack; /* in tail */
	size_t stack_size;    /* bytes; 0: none was read */
	uint64_t what;	      /* of its operation */
	uint8_t context[CONTEXT_MAX];
	size_t context_size; /* 0: none was read */
	bool parked, done, lost, has_what;
	/* Its places in `piece`; -1: none. */
	int piece_block, piece_tail, piece_stack, piece_what;
};

struct coro_reader {
	pid_t pid;
	const struct urt__outside *o;
	bool contexts;			      /* are wanted */
	struct coro_reading *reading;	      /* CORO_CHUNK of them */
	uint8_t *blocks, *tails, *page_bytes; /* their memory */
	uint64_t page[CORO_PAGES]; /* addresses of pages of contexts */
	unsigned pages;
	struct remote_piece piece[CORO_PAGES + 3 * CORO_CHUNK]; /* of a call */
};

/* False: out of memory; close in either case. */
bool coro_reader_open(struct coro_reader *, pid_t, const struct urt__outside *);
void coro_reader_close(struct coro_reader *);

/* Number i of the next n is the coroutine whose block is at that address. */
void coro_reader_set(struct coro_reader *, unsigned i, uint64_t block,
		     uint32_t number);

/* One pass over the unfinished ones of the first n. Returns the number that
 * continued meanwhile, or -errno. */
int coro_read(struct coro_reader *, unsigned n, bool stacks);

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
