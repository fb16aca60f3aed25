// SPDX-License-Identifier: MIT
/*
 * Folded stacks, added up. Their number is bounded: the values of stacks that find
 * no room go into one separate sum.
 */
#include "profile.h"
#include <stdlib.h>
#include <string.h>

#define PLACES	  131072 /* of each kind; power of two */
#define FOLDS_MAX 65536
#define BYTES_MAX (UINT64_C(128) << 20) /* of all frames */

struct kind {
	struct fold fold[FOLDS_MAX];
	uint32_t place[PLACES]; /* index + 1; 0: free */
	size_t n;
	uint64_t sum, other;
};

struct folds {
	struct kind kind[FOLD_KINDS];
	uint64_t bytes;
};

struct folds *folds_new(void)
{
	return calloc(1, sizeof(struct folds));
}

void folds_free(struct folds *f)
{
	for (int k = 0; f && k < FOLD_KINDS; k++)
		for (size_t i = 0; i < f->kind[k].n; i++)
			free(f->kind[k].fold[i].frames);
	free(f);
}

/* FNV-1a */
static uint64_t hash_of(const char *s)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
	return h ^ h >> 32;
}

static struct fold *make(struct folds *f, struct kind *k, const char *frames)
{
	size_t bytes = strlen(frames) + 1;
	char *copy = k->n < FOLDS_MAX && f->bytes + bytes <= BYTES_MAX
			     ? strdup(frames)
			     : NULL;

	if (!copy)
		return NULL;
	f->bytes += bytes;
	k->fold[k->n] = (struct fold){ copy, 0 };
	return &k->fold[k->n++];
}

void folds_add(struct folds *f, enum fold_kind kind, const char *frames,
	       uint64_t value)
{
	struct kind *k = &f->kind[kind];
	size_t i = hash_of(frames) % PLACES;
	struct fold *at;

	while (k->place[i] && strcmp(k->fold[k->place[i] - 1].frames, frames))
		i = (i + 1) % PLACES;
	at = k->place[i] ? &k->fold[k->place[i] - 1] : make(f, k, frames);
	if (at) {
		k->place[i] = at - k->fold + 1;
		at->value += value;
	} else {
		k->other += value;
	}
	k->sum += value;
}

static int largest_first(const void *a, const void *b)
{
	const struct fold *x = a, *y = b;

	if (x->value != y->value)
		return x->value < y->value ? 1 : -1;
	return strcmp(x->frames, y->frames);
}

const struct fold *folds_sorted(struct folds *f, enum fold_kind kind, size_t *n)
{
	struct kind *k = &f->kind[kind];

	qsort(k->fold, k->n, sizeof(*k->fold), largest_first);
	memset(k->place, 0, sizeof(k->place)); /* nothing is added after this */
	*n = k->n;
	return k->fold;
}

uint64_t folds_sum(const struct folds *f, enum fold_kind kind)
{
	return f->kind[kind].sum;
}

uint64_t folds_other(const struct folds *f, enum fold_kind kind)
{
	return f->kind[kind].other;
}
