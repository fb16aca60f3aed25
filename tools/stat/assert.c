// SPDX-License-Identifier: MIT
/*
 * Budgets: `urt stat --assert 'switches/op < 0.1'`.
 *
 *	assertion = term comparison number [unit]
 *	term      = figure [ "/" ( "op" | figure ) ]
 *	comparison= "<" | "<=" | ">" | ">=" | "==" | "!="
 *	unit      = "ns" | "us" | "ms" | "s" | "k" | "M" | "%"
 *
 * A figure that was not available fails its assertion, with the reason: a
 * budget that was not checked is not kept.
 */
#include "stat.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct assertion {
	char figure[64];
	char per[64]; /* "op", a figure, or "" */
	char comparison[3];
	double limit;
};

static const struct {
	const char *name;
	double factor;
} units[] = {
	{ "", 1 },    { "ns", 1 },  { "us", 1e3 }, { "ms", 1e6 },
	{ "s", 1e9 }, { "k", 1e3 }, { "M", 1e6 },  { "%", 0.01 },
};

static const char *skip(const char *p)
{
	while (isspace((unsigned char)*p))
		p++;
	return p;
}

static const char *word(const char *p, char out[64])
{
	size_t n = 0;

	for (p = skip(p);
	     isalnum((unsigned char)*p) || (*p && strchr("-_.:", *p)); p++)
		if (n < 63)
			out[n++] = *p;
	out[n] = '\0';
	return skip(p);
}

static bool parse_unit(const char *p, double *limit)
{
	for (unsigned i = 0; i < ARRAY_LEN(units); i++)
		if (!strcmp(p, units[i].name)) {
			*limit *= units[i].factor;
			return true;
		}
	return false;
}

static bool is_comparison(const char *text)
{
	static const char *const all[] = { "<", "<=", ">", ">=", "==", "!=" };

	for (unsigned i = 0; i < ARRAY_LEN(all); i++)
		if (!strcmp(text, all[i]))
			return true;
	return false;
}

/* An error text, or NULL. */
static const char *parse(const char *text, struct assertion *a)
{
	char unit[64], *end;
	const char *p = word(text, a->figure);
	size_t n;

	a->per[0] = '\0';
	if (!stat_figure_exists(a->figure))
		return "it begins with no figure (`urt stat --list` names them)";
	if (*p == '/') {
		p = word(p + 1, a->per);
		if (strcmp(a->per, "op") && !stat_figure_exists(a->per))
			return "after / comes \"op\" or a figure";
	}
	n = strspn(p, "<>=!");
	snprintf(a->comparison, sizeof(a->comparison), "%.*s", (int)n, p);
	if (n > 2 || !is_comparison(a->comparison))
		return "after the figure comes one of < <= > >= == !=";
	a->limit = strtod(p + n, &end);
	if (end == p + n)
		return "after the comparison comes a number";
	p = skip(end);
	n = strcspn(p, " \t");
	snprintf(unit, sizeof(unit), "%.*s", (int)n, p);
	if (*skip(p + n) || !parse_unit(unit, &a->limit))
		return "after the number comes a unit: ns us ms s k M %";
	return NULL;
}

bool stat_assert_valid(const char *text)
{
	struct assertion a;
	const char *wrong = parse(text, &a);

	if (wrong)
		fail("--assert '%s': %s", text, wrong);
	return !wrong;
}

static bool compare(double value, const char *how, double limit)
{
	if (!strcmp(how, "<"))
		return value < limit;
	if (!strcmp(how, "<="))
		return value <= limit;
	if (!strcmp(how, ">"))
		return value > limit;
	if (!strcmp(how, ">="))
		return value >= limit;
	if (!strcmp(how, "=="))
		return value == limit;
	return value != limit;
}

static bool divisor(const struct stat_result *r, const char *per, double *by,
		    char why[256])
{
	*by = 1;
	if (!*per)
		return true;
	if (strcmp(per, "op"))
		return stat_figure(r, per, by, why);
	*by = r->ops;
	snprintf(why, 256, "the number of operations is not known (--ops)");
	return r->ops > 0;
}

bool stat_assert_holds(const struct stat_result *r, const char *text, FILE *out)
{
	struct assertion a;
	double value = 0, by;
	char why[256];

	if (parse(text, &a))
		return false;
	if (!stat_figure(r, a.figure, &value, why) ||
	    !divisor(r, a.per, &by, why)) {
		fprintf(out, "urt: assertion failed: %s: not measured: %s\n",
			text, why);
		return false;
	}
	if (by == 0 || compare(value / by, a.comparison, a.limit)) {
		if (by != 0)
			return true;
		fprintf(out, "urt: assertion failed: %s: %s is 0\n", text,
			a.per);
		return false;
	}
	fprintf(out, "urt: assertion failed: %s: it is %.6g\n", text,
		value / by);
	return false;
}
