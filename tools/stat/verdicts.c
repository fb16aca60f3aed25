// SPDX-License-Identifier: MIT
/*
 * Whether the assertions hold, as lines of text, as JSON, and as GitHub shows it:
 * annotations, which its runner reads from stderr as well as from stdout, and a
 * table of Markdown for the summary of the step.
 */
#define _GNU_SOURCE
#include "figures.h"
#include "../lib/text.h"
#include <math.h>
#include <string.h>

static const char *const kinds[] = { "holds", "failed", "skipped" };

struct stat_verdicts *stat_verdicts(struct stat_result *const *r, long runs)
{
	static struct stat_verdicts all;
	const struct stat_options *o = r[0]->options;

	all = (struct stat_verdicts){ .n = o->nr_asserts, .runs = runs };
	for (unsigned i = 0; i < all.n; i++) {
		struct stat_verdict *v = &all.v[i];

		for (long run = 0; run < runs; run++) {
			stat_assert_check(r[run], &o->asserts[i], v);
			v->run = run + 1;
			if (v->verdict == VERDICT_FAILED)
				break;
		}
		all.failed |= v->verdict == VERDICT_FAILED;
	}
	return &all;
}

/* "it is 2.1", "not measured: why", "there is no baseline yet: it is 2.1" */
static const char *finding(const struct stat_verdict *v, char text[400])
{
	if (isnan(v->value))
		snprintf(text, 400, "not measured: %s", v->why);
	else if (*v->why)
		snprintf(text, 400, "%s: it is %.6g", v->why, v->value);
	else if (v->of->relative)
		snprintf(text, 400, "it is %.6g, of the baseline %.6g",
			 v->value, v->was);
	else
		snprintf(text, 400, "it is %.6g", v->value);
	return text_clean(text);
}

void stat_print_verdicts(FILE *f, const struct stat_verdicts *all,
			 bool only_failed)
{
	char text[400];

	for (unsigned i = 0; i < all->n; i++) {
		const struct stat_verdict *v = &all->v[i];

		if (only_failed && v->verdict != VERDICT_FAILED)
			continue;
		fprintf(f, "urt: assertion %s: %s: %s", kinds[v->verdict],
			v->of->text, finding(v, text));
		if (all->runs > 1)
			fprintf(f, " (run %ld of %ld)", v->run, all->runs);
		fputc('\n', f);
	}
}

void stat_json_verdicts(struct json *j, const struct stat_verdicts *all)
{
	if (!all || !all->n) {
		json_null(j, "asserts");
		return;
	}
	json_array(j, "asserts");
	for (unsigned i = 0; i < all->n; i++) {
		const struct stat_verdict *v = &all->v[i];

		json_object(j, NULL);
		json_string(j, "assert", v->of->text);
		json_string(j, "verdict", kinds[v->verdict]);
		json_double(j, "value", v->value);
		json_double(j, "limit", *v->why ? NAN : v->limit);
		json_double(j, "baseline", v->was);
		json_string(j, "reason", *v->why ? v->why : NULL);
		json_end_object(j);
	}
	json_end_array(j);
}

/* ---- GitHub ---- */

/* Escaped as in workflow commands, which a line break would end. */
static void annotate(const struct stat_verdict *v, const char *when)
{
	char text[400];

	fputs("::error ", stderr);
	if (v->of->file)
		fprintf(stderr, "file=%s,line=%u,", v->of->file, v->of->line);
	fprintf(stderr, "title=urt::%s%s", when, *when ? ": " : "");
	for (const char *p = v->of->text; *p; p++)
		if (*p == '%')
			fputs("%25", stderr);
		else
			fputc(*p == '\n' || *p == '\r' ? ' ' : *p, stderr);
	fprintf(stderr, ": %s\n", finding(v, text));
}

/* "| 2.1 | 2 | +5.0 % |" */
static void cells(FILE *f, double now, double was)
{
	fprintf(f, isnan(now) ? " n/a |" : " %.4g |", now);
	fprintf(f, isnan(was) ? " - |" : " %.4g |", was);
	if (isnan(now) || isnan(was) || !was)
		fputs(" - |\n", f);
	else
		fprintf(f, " %+.1f %% |\n", 100 * (now - was) / was);
}

static void row_of_figure(FILE *f, const struct stat_result *r,
			  const char *name)
{
	const struct stat_options *o = r->options;
	double now, was = NAN, ops = 0;
	bool time = !strcmp(stat_figure_unit(name), "ns");
	char why[256];

	if (!stat_figure(r, name, &now, why))
		now = NAN;
	if (!stat_baseline_figure(o, name, &was))
		was = NAN;
	if (r->ops > 0) {
		now /= r->ops;
		was = stat_baseline_ops(o, &ops) ? was / ops : NAN;
	}
	fprintf(f, "| | %s%s%s |", name, r->ops > 0 ? "/op" : "",
		time ? ", us" : "");
	cells(f, time ? now / 1e3 : now, time ? was / 1e3 : was);
}

void stat_print_github(FILE *f, const struct stat_result *r,
		       const struct stat_verdicts *all)
{
	static const char *const by_bpf[] = { "switches",    "voluntary",
					      "involuntary", "syscalls",
					      "uring",	     "cpu",
					      NULL };
	static const char *const without[] = { "switches",
					       "syscalls",
					       "kernel.voluntary",
					       "kernel.reads",
					       "kernel.writes",
					       "cpu",
					       NULL };
	const char *const *shown = r->source == STAT_BPF ? by_bpf : without;
	const struct stat_options *o = r->options;
	const char *when = o->budget_when ? o->budget_when : "";

	for (unsigned i = 0; i < all->n; i++)
		if (all->v[i].verdict == VERDICT_FAILED)
			annotate(&all->v[i], when);
	if (!f)
		return;
	fprintf(f, "\n### urt stat%s%s (counted by %s)\n\n", *when ? ": " : "",
		when, stat_source_names[r->source]);
	fputs("| | | now | baseline | difference |\n"
	      "|---|---|--:|--:|--:|\n",
	      f);
	for (unsigned i = 0; i < all->n; i++) {
		fprintf(f, "| %s | `%s` |", kinds[all->v[i].verdict],
			all->v[i].of->text);
		cells(f, all->v[i].value, all->v[i].was);
	}
	for (; *shown; shown++)
		row_of_figure(f, r, *shown);
}
