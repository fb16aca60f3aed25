// SPDX-License-Identifier: MIT
/* Grouping coroutines by state, reason, operation, context, stack, and the code
 * that started them, if it is known. */
#include "groups.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLACES	   131072 /* power of two */
#define GROUPS_MAX 65536

struct groups {
	struct group *place[PLACES], *sorted[GROUPS_MAX];
	size_t n;
	uint64_t other;
};

struct groups *groups_new(void)
{
	return calloc(1, sizeof(struct groups));
}

void groups_free(struct groups *g)
{
	for (size_t i = 0; g && i < g->n; i++) {
		free(g->sorted[i]->pc);
		free(g->sorted[i]);
	}
	free(g);
}

/* FNV-1a, by words. */
static uint64_t mix(uint64_t hash, uint64_t v)
{
	return (hash ^ v) * UINT64_C(0x100000001b3);
}

/* The innermost frame is the switch, of which the compiler has made several
 * copies. */
static unsigned first_frame(const struct coro_seen *s)
{
	return s->frames > 1;
}

static uint64_t hash_of(const struct coro_seen *s, const char *context)
{
	uint64_t h = mix(UINT64_C(0xcbf29ce484222325), s->state);

	h = mix(h, (unsigned)s->opcode);
	h = mix(h, s->created);
	for (const char *p = s->reason; *p; p++)
		h = mix(h, *p);
	for (const char *p = context; *p; p++)
		h = mix(h, *p);
	for (unsigned i = first_frame(s); i < s->frames; i++)
		h = mix(h, s->pc[i]);
	if (!s->frames) /* only its start is known */
		h = mix(h, s->fn);
	return h ^ h >> 32;
}

static bool is_same(const struct group *g, const struct coro_seen *s,
		    uint64_t hash, const char *context)
{
	return g->hash == hash && g->state == s->state &&
	       g->opcode == s->opcode && g->frames == s->frames &&
	       g->created == s->created && !strcmp(g->reason, s->reason) &&
	       !strcmp(g->context, context) && (s->frames || g->fn == s->fn) &&
	       !memcmp(g->pc + first_frame(s), s->pc + first_frame(s),
		       (s->frames - first_frame(s)) * sizeof(*s->pc));
}

static struct group *make(struct groups *all, const struct coro_seen *s,
			  uint64_t hash, const char *context)
{
	struct group *g = all->n < GROUPS_MAX ? calloc(1, sizeof(*g)) : NULL;

	if (!g)
		return NULL;
	g->pc = malloc(s->frames * sizeof(*s->pc) + 1);
	if (!g->pc) {
		free(g);
		return NULL;
	}
	memcpy(g->pc, s->pc, s->frames * sizeof(*s->pc));
	g->hash = hash;
	g->state = s->state;
	g->opcode = s->opcode;
	g->frames = s->frames;
	g->whole = s->whole;
	g->fn = s->fn;
	g->created = s->created;
	snprintf(g->reason, sizeof(g->reason), "%s", s->reason);
	snprintf(g->context, sizeof(g->context), "%s", context);
	all->sorted[all->n++] = g;
	return g;
}

void groups_add(struct groups *all, const struct coro_seen *s,
		const char *context)
{
	uint64_t hash = hash_of(s, context);
	size_t i = hash % PLACES;
	struct group *g;

	while (all->place[i] && !is_same(all->place[i], s, hash, context))
		i = (i + 1) % PLACES;
	if (!all->place[i])
		all->place[i] = make(all, s, hash, context);
	g = all->place[i];
	if (!g) {
		all->other++;
		return;
	}
	if (g->n < GROUP_IDS)
		g->id[g->n] = s->id;
	g->n++;
	g->changed += s->changed;
	if (s->wait_ns < 0)
		return;
	if (!g->waiting++ || s->wait_ns < g->least_ns)
		g->least_ns = s->wait_ns;
	if (s->wait_ns > g->most_ns)
		g->most_ns = s->wait_ns;
	g->sum_ns += s->wait_ns;
}

static int largest_first(const void *a, const void *b)
{
	const struct group *x = *(struct group *const *)a;
	const struct group *y = *(struct group *const *)b;

	if (x->n != y->n)
		return x->n < y->n ? 1 : -1;
	return (x->id[0] > y->id[0]) - (x->id[0] < y->id[0]);
}

struct group **groups_sorted(struct groups *all, size_t *n)
{
	qsort(all->sorted, all->n, sizeof(*all->sorted), largest_first);
	*n = all->n;
	return all->sorted;
}

uint64_t groups_other(const struct groups *all)
{
	return all->other;
}
