// SPDX-License-Identifier: MIT
/*
 * Budgets: `urt stat --assert 'switches/op < 0.1'`.
 *
 *	assertion = term comparison number [unit]
 *	term      = figure [ "/" ( "op" | figure ) ]
 *	comparison= "<" | "<=" | ">" | ">=" | "==" | "!="
 *	unit      = "ns" | "us" | "ms" | "s" | "k" | "M" | "%" | "x"
 *
 * The unit x means times the same term of the baseline. An unavailable figure
 * fails its assertion, with the reason: a budget that was not checked is not
 * kept. Only a baseline that does not exist yet fails nothing; urt says so.
 */
#define _GNU_SOURCE
#include "options.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct assertion {
	char figure[64];
	char per[64]; /* "op", a figure, or "" */
	char comparison[3];
	double limit;
	bool times_baseline; /* limit is a factor */
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
	a->times_baseline = !strcmp(unit, "x");
	if (*skip(p + n) ||
	    (!a->times_baseline && !parse_unit(unit, &a->limit)))
		return "after the number comes a unit: ns us ms s k M % x";
	return NULL;
}

static bool add(struct stat_options *o, char *text, const char *file,
		unsigned line)
{
	struct assertion a;
	const char *wrong = parse(text, &a);

	if (o->nr_asserts == STAT_ASSERTS_MAX)
		return !fail("--assert: at most %d", STAT_ASSERTS_MAX);
	if (wrong && file)
		return !fail("%s, line %u: '%s': %s", file, line, text, wrong);
	if (wrong)
		return !fail("--assert '%s': %s", text, wrong);
	o->asserts[o->nr_asserts++] =
		(struct stat_assert){ text, file, line, a.times_baseline };
	return true;
}

bool stat_take_assert(void *to, char *text)
{
	return add(to, text, NULL, 0);
}

/* A line of a budget, which may begin with the load to which it applies. */
static bool add_line(struct stat_options *o, char *text, const char *when,
		     unsigned line)
{
	size_t n;

	text[strcspn(text, "#\n")] = '\0';
	text = (char *)skip(text);
	for (n = strlen(text); n && isspace((unsigned char)text[n - 1]); n--)
		text[n - 1] = '\0';
	if (!*text)
		return true;
	n = strcspn(text, " \t");
	if (*when && (n != strlen(when) || strncmp(text, when, n)))
		return true;
	text = strdup(*when ? skip(text + n) : text);
	return text && add(o, text, o->budget, line);
}

bool stat_take_budget(void *to, char *path)
{
	struct stat_options *o = to;
	char *when = strrchr(path, ':'), *line = NULL;
	unsigned before = o->nr_asserts;
	size_t size = 0;
	bool fine = true;
	ssize_t len;
	FILE *f;

	if (when)
		*when++ = '\0';
	o->budget = path;
	o->budget_when = when ? when : "";
	f = fopen(path, "re");
	if (!f)
		return !fail("--budget: cannot read %s: %s", path,
			     strerror(errno));
	for (unsigned n = 1; fine && (len = getline(&line, &size, f)) > 0; n++)
		fine = strlen(line) == (size_t)len
			       ? add_line(o, line, o->budget_when, n)
			       : !fail("%s, line %u: a NUL byte", path, n);
	free(line);
	fclose(f);
	if (fine && o->nr_asserts == before)
		return !fail("--budget: %s has no line%s%s", path,
			     when ? " that begins with " : "", o->budget_when);
	return fine;
}

void stat_assert_figures(const struct stat_options *o, option_word *f,
			 void *arg)
{
	struct assertion a;

	for (unsigned i = 0; i < o->nr_asserts; i++) {
		parse(o->asserts[i].text, &a);
		f(a.figure, arg);
		if (*a.per && strcmp(a.per, "op"))
			f(a.per, arg);
	}
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

/* The same for the baseline. */
static bool baseline(const struct stat_options *o, const struct assertion *a,
		     double *value)
{
	double by = 1;

	if (!stat_baseline_figure(o, a->figure, value))
		return false;
	if (!strcmp(a->per, "op"))
		stat_baseline_ops(o, &by);
	else if (*a->per)
		stat_baseline_figure(o, a->per, &by);
	*value = by ? *value / by : NAN;
	return !isnan(*value);
}

/* NULL, or why it is not measured. */
static const char *measure(const struct stat_result *r,
			   const struct assertion *a, double *value,
			   char why[256])
{
	double by;

	if (!stat_figure(r, a->figure, value, why) ||
	    !divisor(r, a->per, &by, why))
		return why;
	if (!by) {
		snprintf(why, 256, "%s is 0", a->per);
		return why;
	}
	*value /= by;
	return NULL;
}

void stat_assert_check(const struct stat_result *r,
		       const struct stat_assert *text, struct stat_verdict *v)
{
	const struct stat_options *o = r->options;
	struct assertion a;
	bool known;

	parse(text->text, &a);
	*v = (struct stat_verdict){ .of = text, .verdict = VERDICT_FAILED };
	known = baseline(o, &a, &v->was);
	v->was = known ? v->was : NAN;
	v->value = NAN;
	if (measure(r, &a, &v->value, v->why)) {
		v->value = NAN;
		return;
	}
	*v->why = '\0';
	v->limit = a.times_baseline ? a.limit * v->was : a.limit;
	if (a.times_baseline && !known) {
		snprintf(v->why, sizeof(v->why),
			 o->baseline ? "the baseline has no such figure"
				     : "there is no baseline yet");
		if (!o->baseline)
			v->verdict = VERDICT_SKIPPED;
		return;
	}
	if (compare(v->value, a.comparison, v->limit))
		v->verdict = VERDICT_HOLDS;
}
