// SPDX-License-Identifier: MIT
/* The result of `urt compare`: text, Markdown, JSON. */
#define _GNU_SOURCE
#include "compare.h"
#include <math.h>
#include <string.h>

#define NAME(side) ((char)('A' + (side)))

/* ---- one figure ---- */

/* The comparison in words. */
struct words {
	char a[32], b[32], shift[32], percent[32], interval[80];
	const char *unit, *remark;
};

static const char *number(double v, bool time, char buf[32])
{
	if (isinf(v))
		snprintf(buf, 32, "%s", v < 0 ? "-any" : "any");
	else
		snprintf(buf, 32, time ? "%.3f" : "%.6g", time ? v / 1e6 : v);
	return buf;
}

static void in_words(const struct comparison *c, struct words *w)
{
	bool time = !strcmp(stat_figure_unit(c->name), "ns");
	char low[32], high[32];

	number(c->a, time, w->a);
	number(c->b, time, w->b);
	number(c->shift, time, w->shift);
	*w->percent = '\0';
	if (c->a)
		snprintf(w->percent, sizeof(w->percent), "%+.1f %%",
			 100 * c->shift / c->a);
	snprintf(w->interval, sizeof(w->interval), "[%s .. %s]",
		 number(c->low, time, low), number(c->high, time, high));
	w->unit = time ? ", ms" : "";
	w->remark = c->sure			? ""
		    : c->a == c->b && !c->shift ? "no difference"
						: "not significant";
}

/* False: the figure is not printed. */
static bool shown(const struct runs *r, unsigned i, unsigned other, bool all,
		  struct words *w)
{
	struct comparison c;

	if ((!all && strchr(r->name[i], ':')) ||
	    !runs_compare(r, i, other, &c) || !(c.a || c.b || c.shift))
		return false;
	in_words(&c, w);
	return true;
}

static const char few[] = "With fewer than 4 runs no difference can be "
			  "significant: use -r 10";

/* ---- text ---- */

void compare_print_text(FILE *f, const struct runs *r, bool all)
{
	struct words w;

	fputc('\n', f);
	for (unsigned side = 0; side < r->sides; side++) {
		fprintf(f, " %c:", NAME(side));
		for (char **p = r->side[side].options.command; *p; p++)
			fprintf(f, " %s", *p);
		fputc('\n', f);
	}
	fprintf(f,
		" medians of %ld runs of each, in turn; the difference from A, "
		"at 95 %%\n",
		r->n);
	for (unsigned other = 1; other < r->sides; other++) {
		fprintf(f, "\n%13s%13c%13s\n", "A", NAME(other), "difference");
		for (unsigned i = 0; i < r->names; i++) {
			if (!shown(r, i, other, all, &w))
				continue;
			fprintf(f, "%13s%13s%13s %10s  %-22s  %s%s", w.a, w.b,
				w.shift, w.percent, w.interval, r->name[i],
				w.unit);
			if (*w.remark)
				fprintf(f, "  (%s)", w.remark);
			fputc('\n', f);
		}
	}
	if (r->n < 4)
		fprintf(f, "\n %s\n", few);
	fputc('\n', f);
}

/* ---- Markdown ---- */

static unsigned backticks(const char *s)
{
	unsigned most = 0, n;

	for (; *s; s += n + !n) {
		n = strspn(s, "`");
		most = n > most ? n : most;
	}
	return most;
}

/* A span of code ends at as many backticks as it began with. */
static void markdown_command(FILE *f, char **command)
{
	unsigned fence = 1;

	for (char **p = command; *p; p++)
		if (backticks(*p) >= fence)
			fence = backticks(*p) + 1;
	for (unsigned i = 0; i < fence; i++)
		fputc('`', f);
	if (fence > 1)
		fputc(' ', f);
	for (char **p = command; *p; p++) {
		if (p > command)
			fputc(' ', f);
		for (const char *c = *p; *c; c++)
			fputc(*c == '\n' || *c == '\r' ? ' ' : *c, f);
	}
	if (fence > 1)
		fputc(' ', f);
	for (unsigned i = 0; i < fence; i++)
		fputc('`', f);
}

void compare_print_markdown(FILE *f, const struct runs *r, bool all)
{
	struct words w;

	for (unsigned side = 0; side < r->sides; side++) {
		fprintf(f, "- %c: ", NAME(side));
		markdown_command(f, r->side[side].options.command);
		fputc('\n', f);
	}
	for (unsigned other = 1; other < r->sides; other++) {
		fprintf(f,
			"\n| median of %ld runs | A | %c | difference | | 95 %% "
			"interval | |\n|---|--:|--:|--:|--:|---|---|\n",
			r->n, NAME(other));
		for (unsigned i = 0; i < r->names; i++)
			if (shown(r, i, other, all, &w))
				fprintf(f,
					"| %s%s | %s | %s | %s | %s | %s | %s "
					"|\n",
					r->name[i], w.unit, w.a, w.b, w.shift,
					w.percent, w.interval, w.remark);
	}
	if (r->n < 4)
		fprintf(f, "\n%s.\n", few);
}

/* ---- JSON ---- */

static void json_command(struct json *j, const char *name, char **command)
{
	json_array(j, name);
	for (; *command; command++)
		json_string(j, NULL, *command);
	json_end_array(j);
}

static void json_figures(struct json *j, const struct runs *r, unsigned other)
{
	struct comparison c;

	json_object(j, "figures");
	for (unsigned i = 0; i < r->names; i++) {
		if (!runs_compare(r, i, other, &c)) {
			json_null(j, r->name[i]);
			continue;
		}
		json_object(j, c.name);
		json_double(j, "a", c.a);
		json_double(j, "b", c.b);
		json_double(j, "difference", c.shift);
		json_double(j, "low", c.low);
		json_double(j, "high", c.high);
		json_string(j, "significant", c.sure ? "yes" : "no");
		json_end_object(j);
	}
	json_end_object(j);
}

/* The first two commands are "a", "b" and "figures"; A and each further one, a
 * comparison of "more". */
void compare_print_json(FILE *f, const struct runs *r)
{
	struct json j = { .out = f };

	json_object(&j, NULL);
	json_string(&j, "schema", "urt.compare.v1");
	json_command(&j, "a", r->side[0].options.command);
	json_command(&j, "b", r->side[1].options.command);
	json_int(&j, "runs", r->n);
	json_figures(&j, r, 1);
	json_array(&j, "more");
	for (unsigned other = 2; other < r->sides; other++) {
		json_object(&j, NULL);
		json_command(&j, "b", r->side[other].options.command);
		json_figures(&j, r, other);
		json_end_object(&j);
	}
	json_end_array(&j);
	json_end_object(&j);
}
