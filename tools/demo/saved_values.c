// SPDX-License-Identifier: MIT
/* Values of a document that anybody may have changed: each number is clamped to
 * its range. */
#define _GNU_SOURCE
#include "saved_values.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 1e15 /* of any number; doubles below have all integers */

/* The number of a member; 0: it is missing. */
int64_t saved_whole(const struct json_value *in, const char *name)
{
	double v = json_number(in, name);

	return isnan(v) ? 0 : llround(fmin(fmax(v, -MOST), MOST));
}

uint64_t saved_count(double v)
{
	return isnan(v) ? 0 : llround(fmin(fmax(v, 0), MOST));
}

/* The string of a member, or "". */
void saved_text(char *to, size_t size, const struct json_value *in,
		const char *name)
{
	const char *s = json_text(in, name);

	snprintf(to, size, "%s", s ? s : "");
}

const struct json_value *saved_first(const struct json_value *in,
				     const char *array)
{
	const struct json_value *v = json_member(in, array);

	return v && v->type == JSON_ARRAY ? v->child : NULL;
}

static unsigned saved_length(const struct json_value *in, const char *array)
{
	unsigned n = 0;

	for (const struct json_value *e = saved_first(in, array); e;
	     e = e->next)
		n++;
	return n;
}

/* Room for the elements of an array, zeroed. */
void *saved_room(const struct json_value *in, const char *array, size_t size)
{
	void *p = calloc(saved_length(in, array) + 1, size);

	if (!p)
		abort();
	return p;
}

unsigned saved_numbers(const struct json_value *in, const char *array,
		       double *to, unsigned most)
{
	unsigned n = 0;

	for (const struct json_value *e = saved_first(in, array); e && n < most;
	     e = e->next)
		if (e->type == JSON_NUMBER)
			to[n++] = e->number;
	return n;
}

int saved_named(const char *const *names, int n, const char *name)
{
	while (n-- && (!name || strcmp(names[n], name)))
		;
	return n;
}
