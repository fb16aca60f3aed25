// SPDX-License-Identifier: MIT
/*
 * The changes from an earlier result to another one: of the machine and its
 * software, of the settings, of the verdicts, and of each figure by its rounds.
 *
 * A figure has changed if the interval of its shift (lib/shift.h) excludes 0,
 * at the confidence that its number of rounds allows: 90 % with three rounds on
 * each side, 95 % with four or more. A figure of one sample has no confidence
 * and is listed apart, if it differs much. Among hundreds of figures, some
 * change by chance, so their expected number is printed. The interval covers
 * the spread between the rounds of a run. It does not cover a whole run that
 * was slow: to find that out, run the old program again.
 */
#define _GNU_SOURCE
#include "changes.h"
#include "../lib/shift.h"
#include "../lib/text.h"
#include "../lib/tool.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES_MAX 64
#define KEYS_MAX    4
#define FIGURES_MAX 9
#define LEAST_SURE  0.9 /* confidence, for a figure to count as changed */
#define MUCH	    0.1 /* of a figure without confidence */

/* One figure of an element, and the place of its samples: the array `samples`,
 * as numbers or as the member `field` of its objects; or, if `samples` is an
 * object or NULL, one sample, the member `field`. */
struct figure {
	const char *name;
	const char *samples, *field;
	const char *by; /* the member by which it is divided; NULL: none */
};

#define OF_ROUNDS                                                \
	{ "requests/s", "rounds", "rps", NULL },                 \
		{ "p50 ns", "rounds", "p50_ns", NULL },          \
		{ "p99 ns", "rounds", "p99_ns", NULL },          \
		{ "CPU ns", "rounds", "cpu_ns", NULL },          \
		{ "switches", "rounds", "switches", NULL },      \
		{ "syscalls", "rounds", "syscalls", NULL },      \
		{ "uring ops", "rounds", "uring_ops", NULL },    \
	{                                                        \
		"user switches", "rounds", "user_switches", NULL \
	}

/* The arrays of a document, and the members that tell their elements apart. */
static const struct section {
	const char *array, *title;
	const char *key[KEYS_MAX];
	struct figure figure[FIGURES_MAX];
} sections[] = {
	{ "models",
	  "",
	  { "model", "path", "connections", "requests_per_connection" },
	  { OF_ROUNDS } },
	{ "by_load", "by load: ", { "model", "share" }, { OF_ROUNDS } },
	{ "waiting",
	  "waiting: ",
	  { "model", "wanted" },
	  { { "requests", NULL, "waiting", NULL },
	    { "threads", NULL, "threads", NULL },
	    { "process bytes each", NULL, "process_bytes", "waiting" },
	    { "kernel bytes each", NULL, "kernel_bytes", "waiting" },
	    { "ns to connect, each", NULL, "connect_ns", "waiting" } } },
	{ "bursts",
	  "beside bursts: ",
	  { "model" },
	  { { "p50 ns", "latency_ns", "p50", NULL },
	    { "p99 ns", "latency_ns", "p99", NULL },
	    { "max ns", "latency_ns", "max", NULL } } },
	{ "scaling",
	  "CPU work: ",
	  { "model" },
	  { { "requests/s on one CPU", "one_cpu_rps", NULL, NULL },
	    { "requests/s on all CPUs", "all_cpus_rps", NULL, NULL } } },
	{ "units",
	  "suspended: ",
	  { "unit" },
	  { { "ns to create, each", NULL, "create_ns", "count" },
	    { "process bytes each", NULL, "process_bytes", "count" },
	    { "kernel bytes each", NULL, "kernel_bytes", "count" } } },
};

struct change {
	char name[160];
	struct shift s;
	bool one; /* only one sample, on at least one side */
};

struct changes {
	struct change *all; /* those to be printed */
	unsigned n;
	unsigned compared; /* figures of several samples */
	double by_chance;  /* of those, number expected to differ by chance */
	unsigned too_few;  /* figures whose rounds allow no verdict */
};

/* ---- the same figure in both ---- */

static bool same(const struct json_value *a, const struct json_value *b)
{
	if (!a || !b || a->type != b->type)
		return a == b;
	return a->type == JSON_STRING ? !strcmp(a->string, b->string)
				      : a->number == b->number;
}

static const struct json_value *counterpart(const struct section *section,
					    const struct json_value *in,
					    const struct json_value *of)
{
	const struct json_value *array = json_member(in, section->array);
	const struct json_value *e = array ? array->child : NULL;

	for (; e; e = e->next) {
		bool all = true;

		for (unsigned i = 0; i < KEYS_MAX && section->key[i]; i++)
			all &= same(json_member(e, section->key[i]),
				    json_member(of, section->key[i]));
		if (all)
			break;
	}
	return e;
}

/* Reads the samples, without missing ones, and returns their number. */
static unsigned samples(const struct json_value *element,
			const struct figure *figure, double to[SAMPLES_MAX])
{
	const struct json_value *in =
		figure->samples ? json_member(element, figure->samples)
				: element;
	double by = figure->by ? json_number(element, figure->by) : 1;
	unsigned n = 0;

	if (in && in->type == JSON_OBJECT) {
		to[n] = json_number(in, figure->field) / by;
		return !isnan(to[n]);
	}
	for (in = in ? in->child : NULL; in && n < SAMPLES_MAX; in = in->next) {
		to[n] = figure->field ? json_number(in, figure->field)
			: in->type == JSON_NUMBER ? in->number
						  : NAN;
		n += !isnan(to[n]);
	}
	return n;
}

static void name_it(struct change *c, const struct section *section,
		    const struct json_value *element, const char *figure)
{
	size_t size = sizeof(c->name), len;

	len = snprintf(c->name, size, "%s", section->title);
	for (unsigned i = 0; i < KEYS_MAX && section->key[i]; i++) {
		const struct json_value *v =
			json_member(element, section->key[i]);
		const char *comma = i ? ", " : "";

		if (len < size && v && v->type == JSON_STRING)
			len += snprintf(c->name + len, size - len, "%s%s",
					comma, v->string);
		else if (len < size && v && v->type == JSON_NUMBER)
			len += snprintf(c->name + len, size - len, "%s%s %g",
					comma, section->key[i], v->number);
	}
	if (len < size)
		snprintf(c->name + len, size - len, ": %s", figure);
	for (char *p = c->name; *p; p++)
		if (*p == '_')
			*p = ' ';
	text_clean(c->name);
}

static bool differs_much(const struct shift *s)
{
	return fabs(s->b - s->a) > MUCH * fabs(s->a);
}

/* Adds the change, if it should be printed. */
static void add(struct changes *all, struct change *c, const double *a,
		unsigned na, const double *b, unsigned nb)
{
	if (!na || !nb)
		return;
	c->s = shift_of(a, na, b, nb);
	c->one = na == 1 || nb == 1;
	if (!c->one && c->s.confidence < LEAST_SURE) {
		all->too_few++;
		return;
	}
	if (!c->one) {
		all->compared++;
		all->by_chance += 1 - c->s.confidence;
	}
	if (c->one ? !differs_much(&c->s) : !shift_is_off(&c->s))
		return;
	all->all = realloc(all->all, (all->n + 1) * sizeof(*c));
	if (!all->all)
		abort();
	all->all[all->n++] = *c;
}

static void add_section(struct changes *all, const struct section *section,
			const struct json_value *old,
			const struct json_value *new)
{
	const struct json_value *array = json_member(new, section->array);
	const struct json_value *e = array ? array->child : NULL, *before;
	double a[SAMPLES_MAX], b[SAMPLES_MAX];
	struct change c;

	for (; e; e = e->next) {
		before = counterpart(section, old, e);
		for (unsigned i = 0;
		     before && i < FIGURES_MAX && section->figure[i].name;
		     i++) {
			const struct figure *f = &section->figure[i];

			name_it(&c, section, e, f->name);
			add(all, &c, a, samples(before, f, a), b,
			    samples(e, f, b));
		}
	}
}

static void add_switches(struct changes *all, const struct json_value *old,
			 const struct json_value *new)
{
	const struct json_value *e = json_member(new, "switch_ns");

	old = json_member(old, "switch_ns");
	new = e;
	for (e = e ? e->child : NULL; e; e = e->next) {
		const struct figure f = { "", e->name, NULL, NULL };
		double a[SAMPLES_MAX], b[SAMPLES_MAX];
		struct change c;

		snprintf(c.name, sizeof(c.name), "a switch: %s, ns", e->name);
		text_clean(c.name);
		add(all, &c, a, samples(old, &f, a), b, samples(new, &f, b));
	}
}

/* ---- printing ---- */

static void print_value(FILE *f, const struct json_value *v)
{
	char text[512];

	if (v && v->type == JSON_NUMBER)
		snprintf(text, sizeof(text), "%.15g", v->number);
	else
		snprintf(text, sizeof(text), "%s",
			 v && v->string ? v->string : "none");
	fputs(text_clean(text), f);
}

/* Prints the members that differ, and those of their objects. */
static void print_members(FILE *f, const struct json_value *old,
			  const struct json_value *new)
{
	const struct json_value *v =
		new &&new->type == JSON_OBJECT ? new->child : NULL;

	for (; v; v = v->next) {
		const struct json_value *before = json_member(old, v->name);

		if (v->type == JSON_OBJECT) {
			print_members(f, before, v);
		} else if (v->type != JSON_ARRAY && strcmp(v->name, "time") &&
			   !same(before, v)) {
			fprintf(f, "  %s: ", v->name);
			print_value(f, before);
			fputs(" -> ", f);
			print_value(f, v);
			fputc('\n', f);
		}
	}
}

static void print_verdicts(FILE *f, const struct json_value *old,
			   const struct json_value *new)
{
	static const struct section claims = { .array = "claims",
					       .key = { "id" } };
	const struct json_value *e = json_member(new, "claims"), *before;

	for (e = e ? e->child : NULL; e; e = e->next) {
		before = json_member(counterpart(&claims, old, e), "verdict");
		if (!before || same(before, json_member(e, "verdict")))
			continue;
		fprintf(f, "  claim %g: ", json_number(e, "id"));
		print_value(f, before);
		fputs(" -> ", f);
		print_value(f, json_member(e, "verdict"));
		fputc('\n', f);
	}
}

static const char *percent(char buf[24], double v, double of)
{
	if (of)
		snprintf(buf, 24, "%+.1f", 100 * v / of);
	else
		snprintf(buf, 24, "n/a");
	return buf;
}

static void print_changes(FILE *f, const struct changes *all, bool one)
{
	unsigned n = 0;

	for (unsigned i = 0; i < all->n; i++)
		n += all->all[i].one == one;
	if (one && n)
		fprintf(f,
			"\n%u of one sample each, so without confidence, "
			"differ by more than %.0f %%\n",
			n, MUCH * 100);
	if (!one)
		fprintf(f, "\n%u of %u figures differ; %.0f would by chance\n",
			n, all->compared, all->by_chance);
	if (n)
		fprintf(f, "  %10s %10s %8s %18s\n", "old", "new", "%",
			one ? "" : "at least .. most");
	for (unsigned i = 0; i < all->n; i++) {
		const struct change *c = &all->all[i];
		char by[24], low[24], high[24], interval[56] = "";

		if (c->one != one)
			continue;
		if (!one)
			snprintf(interval, sizeof(interval), "%s .. %s",
				 percent(low, c->s.low, c->s.a),
				 percent(high, c->s.high, c->s.a));
		fprintf(f, "  %10.5g %10.5g %8s %18s  %s\n", c->s.a, c->s.b,
			percent(by, c->s.shift, c->s.a), interval, c->name);
	}
}

void demo_print_changes(FILE *f, const struct demo_document *old_result,
			const struct demo_document *new_result)
{
	const struct json_value *old = old_result->tree,
				*new = new_result->tree;
	struct changes all = { 0 };

	fputs("\nChanges since ", f);
	print_value(f, json_member(json_member(old, "host"), "time"));
	fputc('\n', f);
	print_members(f, json_member(old, "host"), json_member(new, "host"));
	print_members(f, json_member(old, "settings"),
		      json_member(new, "settings"));
	print_verdicts(f, old, new);
	for (unsigned i = 0; i < ARRAY_LEN(sections); i++)
		add_section(&all, &sections[i], old, new);
	add_switches(&all, old, new);
	print_changes(f, &all, false);
	print_changes(f, &all, true);
	if (all.too_few)
		fprintf(f,
			"\nToo few rounds for a verdict: %u of the figures; three "
			"rounds of each result are needed (--rounds)\n",
			all.too_few);
	fputs("\nThe confidence is 90 % with three rounds of each result, 95 "
	      "% with four or more. It is that of\nthe rounds: a whole run "
	      "that was slow looks like a change, so run the old one again, "
	      "too.\n",
	      f);
	free(all.all);
}
