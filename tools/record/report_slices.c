// SPDX-License-Identifier: MIT
/*
 * All slices of a timeline as JSON, for programs that draw a part of it. The file
 * is read once more, since the sums keep no slice.
 */
#include "report.h"
#include "../lib/tool.h"
#include <stdlib.h>

struct slices {
	struct json *to;
	uint64_t first_ns;
};

static const char *kind(const struct report_track *t)
{
	if (t->thread)
		return "thread";
	return t->state < REPORT_STATES ? "coroutine" : "io_uring";
}

static void one(void *arg, const struct report_track *t, uint64_t to,
		const char *by)
{
	struct slices *s = arg;

	json_object(s->to, NULL);
	json_string(s->to, "track", t->name);
	json_string(s->to, "kind", kind(t));
	json_string(s->to, "what", t->open);
	json_int(s->to, "at_ns", t->since_ns - s->first_ns);
	json_int(s->to, "ns", to - t->since_ns);
	if (by)
		json_string(s->to, "until", by);
	json_end_object(s->to);
}

void report_json_slices(struct json *j, const struct report *r, FILE *f)
{
	struct slices s = { j, r->first_ns };
	struct report *again = calloc(1, sizeof(*again));

	json_array(j, "slices");
	if (again && !fseek(f, 0, SEEK_SET)) {
		again->on_slice = one;
		again->on_slice_arg = &s;
		report_read(again, f);
	}
	free(again);
	json_end_array(j);
}
