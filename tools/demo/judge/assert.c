// SPDX-License-Identifier: MIT
/*
 * --assert: conditions for a build. "1.entries_per_switch<0.001" compares a
 * figure of a claim, "3=holds" its verdict. An assertion about a figure that
 * could not be measured fails, and says so.
 */
#include "judge.h"
#include "../../lib/tool.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_ASSERT 3

static const struct demo_figure *find(const struct demo_claim *c,
				      const char *name)
{
	for (unsigned i = 0; i < c->nr_figures; i++)
		if (!strcmp(c->figure[i].name, name))
			return &c->figure[i];
	return NULL;
}

static int failed(const char *expr, const char *because)
{
	fail("assert failed: %s: %s", expr, because);
	return EXIT_ASSERT;
}

static bool compare(double a, const char *op, double b)
{
	if (!strcmp(op, "<"))
		return a < b;
	if (!strcmp(op, "<="))
		return a <= b;
	if (!strcmp(op, ">"))
		return a > b;
	return a >= b;
}

static int check_figure(const struct demo_claim *c, const char *expr,
			const char *name, const char *op, double limit)
{
	const struct demo_figure *f = find(c, name);
	char text[128];

	if (!f || isnan(f->value)) {
		return failed(expr, c->verdict == CLAIM_NOT_MEASURED
					    ? c->reason
					    : "no such figure");
	}
	if (compare(f->value, op, limit))
		return 0;
	snprintf(text, sizeof(text), "it is %g", f->value);
	return failed(expr, text);
}

static int check_verdict(const struct demo_claim *c, const char *expr,
			 const char *verdict)
{
	const char *is = demo_verdict_names[c->verdict];

	if (!strcmp(is, verdict))
		return 0;
	return failed(expr, c->verdict == CLAIM_NOT_MEASURED ? c->reason : is);
}

static int check(const struct demo *d, const char *expr)
{
	char name[64], op[3], verdict[32], rest;
	double limit;
	int id;

	if (sscanf(expr, "%d.%63[a-z0-9_]%2[<>=]%lf%c", &id, name, op, &limit,
		   &rest) == 4 &&
	    id >= 1 && id <= DEMO_CLAIMS && strcmp(op, "="))
		return check_figure(&d->claim[id - 1], expr, name, op, limit);
	if (sscanf(expr, "%d=%31[a-z ]%c", &id, verdict, &rest) == 2 &&
	    id >= 1 && id <= DEMO_CLAIMS)
		return check_verdict(&d->claim[id - 1], expr, verdict);
	return fail(
		"--assert: invalid \"%s\": expected CLAIM.FIGURE<NUMBER (or "
		"<=, >, >=; --json prints the figures) or CLAIM=holds",
		expr);
}

int demo_assert(const struct demo *d)
{
	int worst = 0;

	for (unsigned i = 0; i < d->options.nr_asserts; i++) {
		int result = check(d, d->options.assert[i]);

		if (result > worst)
			worst = result;
	}
	return worst;
}
