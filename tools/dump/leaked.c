// SPDX-License-Identifier: MIT
/*
 * The leaked coroutines that two searches (leaked_search.c) agree on: the program
 * continues during a search, and one search may miss a pointer that moves.
 */
#include "leaked.h"
#include "../lib/tool.h"
#include "leaked_search.h"
#include <stdlib.h>

struct leaked {
	struct leaked_coro *coro; /* by block */
	size_t n;
	struct leaked_count count;
};

static int by_block(const void *a, const void *b)
{
	const struct leaked_coro *x = a, *y = b;

	return (x->block > y->block) - (x->block < y->block);
}

static const struct leaked_coro *find(const struct leaked *l, uint64_t block,
				      uint64_t park)
{
	struct leaked_coro key = { .block = block };
	const struct leaked_coro *c =
		l->n ? bsearch(&key, l->coro, l->n, sizeof(*l->coro), by_block)
		     : NULL;

	return c && c->park == park ? c : NULL;
}

/* Keeps the coroutines that were leaked in the search before, too; after the first
 * search, all. */
static void keep(struct leaked *l, struct leaked_search *s, bool first)
{
	size_t n = 0;

	l->count.maybe = 0;
	for (size_t i = 0; i < s->n; i++) {
		struct leaked_coro *c = &s->coro[i];

		if (!first && !find(l, c->block, c->park))
			continue;
		l->count.maybe += c->maybe;
		s->coro[n++] = *c;
	}
	free(l->coro);
	l->coro = s->coro;
	s->coro = NULL;
	l->n = l->count.leaked = n;
	l->count.untold = s->untold;
	l->count.bytes = s->bytes;
	if (n)
		qsort(l->coro, n, sizeof(*l->coro), by_block);
}

struct leaked *leaked_find(struct coros *c, pid_t pid,
			   struct registers_reader *registers, char *why,
			   size_t size)
{
	struct leaked *l = calloc(1, sizeof(*l));
	const char *bad = l ? NULL : "out of memory";
	int64_t begin = now_ns();

	for (int i = 0; i < 2 && !bad && (!i || l->n); i++) {
		struct leaked_search s = { 0 };

		bad = leaked_search(c, pid, registers, &s);
		if (!bad)
			keep(l, &s, !i);
		free(s.coro);
	}
	if (bad) {
		snprintf(why, size, "--leaked: process %d: %s", pid, bad);
		leaked_free(l);
		return NULL;
	}
	l->count.ns = now_ns() - begin;
	return l;
}

void leaked_free(struct leaked *l)
{
	if (l)
		free(l->coro);
	free(l);
}

bool leaked_has(const struct leaked *l, const struct coro_seen *s)
{
	return find(l, s->block, s->park);
}

struct leaked_count leaked_count(const struct leaked *l)
{
	return l->count;
}
