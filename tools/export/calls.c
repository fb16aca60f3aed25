// SPDX-License-Identifier: MIT
/*
 * Names of system calls are admitted once, the most frequent first, and then
 * keep their places; the other calls of a label are "other". A name is admitted
 * at the first read that sees it or never, so no count leaves "other" again.
 */
#include "metrics.h"
#include "../lib/tool.h"
#include <stdlib.h>
#include <string.h>

unsigned call_names_place(const struct call_names *c, uint32_t nr)
{
	for (unsigned i = 0; i < c->n; i++)
		if (c->nr[i] == nr)
			return i;
	return EXPORT_NAMES_MAX;
}

static void admit(struct call_names *c, uint32_t nr)
{
	char buf[32], *name = c->name[c->n];

	if (nr & EXPORT_CALL_32)
		snprintf(name, sizeof(*c->name), "%.24s_32",
			 syscall_name_32(nr & ~EXPORT_CALL_32, buf));
	else
		snprintf(name, sizeof(*c->name), "%.31s",
			 syscall_name(nr, buf));
	c->nr[c->n++] = nr;
}

/* By number; then the most frequent first. */
static int by_number(const void *a, const void *b)
{
	const struct call_read *x = a, *y = b;

	return (x->key.nr > y->key.nr) - (x->key.nr < y->key.nr);
}

static int by_count(const void *a, const void *b)
{
	const struct call_read *x = a, *y = b;

	return (x->n < y->n) - (x->n > y->n);
}

void call_names_admit(struct call_names *c, unsigned max,
		      const struct call_read *calls, unsigned n)
{
	static struct call_read total[EXPORT_CALLS_MAX];
	unsigned kinds = 0;

	if (c->n == max)
		return;
	memcpy(total, calls, n * sizeof(*total));
	qsort(total, n, sizeof(*total), by_number);
	for (unsigned i = 0; i < n; i++) {
		if (kinds && total[kinds - 1].key.nr == total[i].key.nr)
			total[kinds - 1].n += total[i].n;
		else
			total[kinds++] = total[i];
	}
	qsort(total, kinds, sizeof(*total), by_count);
	for (unsigned i = 0; i < kinds && c->n < max; i++)
		if (call_names_place(c, total[i].key.nr) == EXPORT_NAMES_MAX)
			admit(c, total[i].key.nr);
}
