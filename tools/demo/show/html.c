// SPDX-License-Identifier: MIT
/*
 * The result as one page without scripts or network access, light or dark like
 * the reader's system, for phones and desktops. The most important part comes
 * first: the claims and their verdicts.
 */
#define _GNU_SOURCE
#include "html.h"
#include "../../lib/embed.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- small things ---- */

static void paragraph(FILE *f, const char *class, const char *text)
{
	fprintf(f, "<p class='%s'>", class);
	svg_text(f, text);
	fputs("</p>\n", f);
}

/* ---- the head of it ---- */

static void host(FILE *f, const struct demo *d)
{
	const struct demo_host *h = &d->host;
	char text[2400], versions[600];

	snprintf(text, sizeof(text), "%s, %ld CPUs (%s), %s, %.1f GB; %s. %s.",
		 h->kernel, h->cpus, h->cpu_model, h->hardware, h->memory / 1e9,
		 h->time, demo_versions(h, versions, sizeof(versions)));
	paragraph(f, "soft", text);
	snprintf(
		text, sizeof(text),
		"%s Servers on CPU %d, load generator and backend on CPU %d; "
		"the same socket options, read buffers and request parsing in "
		"every model. pid_max %ld, threads-max %ld, max_map_count %ld; "
		"cgroup limits: cpu %s, memory %s, pids %s. Mitigations: %s.",
		d->counted ? "Counted by eBPF." : d->why_no_bpf, d->server_cpu,
		d->load_cpu, h->pid_max, h->threads_max, h->max_map_count,
		h->cgroup_cpu, h->cgroup_memory, h->cgroup_pids,
		h->mitigations);
	fputs("<details><summary class=soft>Conditions, and the settings of each model</summary>",
	      f);
	paragraph(f, "soft", text);
	fputs("<table class=settings>", f);
	for (unsigned i = 0; i < d->options.nr_models; i++) {
		fprintf(f, "<tr><td>%s</td><td class=wrap>",
			d->options.model[i]->name);
		svg_text(f, d->settings[i]);
		fputs("</td></tr>\n", f);
	}
	fputs("</table>\n", f);
	for (unsigned i = 0; i < d->nr_warnings; i++)
		fprintf(f, "<p class=soft>Warning: %s</p>\n", d->warning[i]);
	if (!isnan(d->most_load_cpu))
		fprintf(f,
			"<p class=soft>The load generator took at most %.0f %% "
			"of its CPU.</p>\n",
			d->most_load_cpu * 100);
	fputs("</details>\n", f);
}

static void evidence(FILE *f, const struct demo_evidence *e)
{
	if (!e->nr_rows)
		return;
	fputs("<div class=scroll><table class=evidence><tr><th></th>", f);
	for (unsigned k = 0; k < e->nr_columns; k++)
		fprintf(f, "<th>%s</th>", e->column[k]);
	for (unsigned i = 0; i < e->nr_rows; i++) {
		const char *name = e->row[i].model->name;

		fprintf(f, "</tr>\n<tr><td><i class=m-%s></i>%s</td>", name,
			name);
		for (unsigned k = 0; k < e->nr_columns; k++) {
			fputs("<td>", f);
			svg_text(f, *e->row[i].cell[k] ? e->row[i].cell[k]
						       : "n/a");
			fputs("</td>", f);
		}
	}
	fputs("</tr></table></div>\n", f);
}

/* Tables of more characters in a row do not fit in half of the page. */
#define HALF 40

static bool is_wide(const struct demo_evidence *e)
{
	size_t width = 0;

	for (unsigned k = 0; e->nr_rows && k < e->nr_columns; k++)
		width += strlen(e->row[0].cell[k]) + 2;
	return width > HALF;
}

static void claims(FILE *f, const struct demo *d)
{
	static const char *const classes[] = { "good", "bad", "open" };

	fputs("<h2>Claims</h2><div class=grid>\n", f);
	for (int i = 0; i < DEMO_CLAIMS; i++) {
		const struct demo_claim *c = &d->claim[i];

		if (!demo_wants(d, i + 1))
			continue;
		fprintf(f, "<div class='card claim %s%s'><h3><span>%d. ",
			classes[c->verdict],
			is_wide(&c->evidence) ? " wide" : "", c->id);
		svg_text(f, c->text);
		fprintf(f, "</span><span class=v>%s</span></h3>\n",
			demo_verdict_names[c->verdict]);
		if (*c->headline)
			paragraph(f, "headline", c->headline);
		if (c->verdict == CLAIM_NOT_MEASURED)
			paragraph(f, "", c->reason);
		if (*c->measured)
			paragraph(f, "", c->measured);
		evidence(f, &c->evidence);
		fputs("</div>\n", f);
	}
	fputs("</div>\n", f);
}

/* ---- tables ---- */

static void unit_table(FILE *f, const struct demo *d)
{
	const struct demo_options *o = &d->options;
	fputs("<h2>Unit of scheduling, measured</h2>"
	      "<div class=card><div class=scroll><table><tr><th></th>",
	      f);
	for (unsigned i = 0; i < o->nr_models; i++)
		fprintf(f, "<th>%s</th>", o->model[i]->name);
	for (unsigned row = 0; row < TABLE_ROWS; row++) {
		fprintf(f, "</tr>\n<tr><td>%s</td>", d->table[row].name);
		for (unsigned i = 0; i < o->nr_models; i++) {
			fputs("<td>", f);
			svg_text(f, d->table[row].cell[i]);
			fputs("</td>", f);
		}
	}
	fputs("</tr></table></div></div>\n", f);
}

static void rung_cells(FILE *f, const struct demo_row *r)
{
	struct demo_per_request p = demo_per_request(r);

	html_cell(f, "%.3f", p.switches);
	html_cell(f, "%.3f", p.syscalls);
	html_cell(f, "%.1f", ROW_MEDIAN(r, cpu_ns) / 1e3);
}

static void ladder(FILE *f, const struct demo *d)
{
	struct demo_rung rung[RUNGS_MAX];
	unsigned n = demo_ladder(d, rung);
	char text[160];

	if (n < 2)
		return;
	fprintf(f,
		"<h2>What each step buys</h2><p class=soft>%s</p>"
		"<div class=card>",
		demo_ladder_text(rung, text));
	html_begin_table(f, demo_ladder_heads);
	for (unsigned i = 0; i < n; i++) {
		const struct demo_row *full = rung[i].full;

		fprintf(f, "<tr><td>%s</td><td class=wrap>%s</td>",
			rung[i].model->name, rung[i].model->step);
		html_cell(f, demo_load_was_limit(full) ? "&gt;%.0f" : "%.0f",
			  ROW_MEDIAN(full, rps));
		html_cell(f, "%.2f", demo_ms(&full->latency, 0.99));
		rung_cells(f, rung[i].low);
		rung_cells(f, full);
		fputs("</tr>\n", f);
	}
	html_end_table(f);
	fputs("</div>\n", f);
}

static void advice(FILE *f, const struct demo *d)
{
	fputs("<h2>When to pick which, by these figures</h2>"
	      "<div class=grid3>\n",
	      f);
	for (unsigned i = 0; i < ADVICE_PARTS; i++) {
		fprintf(f, "<div class=card><h3>%s</h3>", d->advice[i].name);
		paragraph(f, "soft", d->advice[i].text);
		fputs("</div>\n", f);
	}
	fputs("</div>\n", f);
}

static void choice(FILE *f, const struct demo *d)
{
	const struct demo_choice *c = &d->choice;

	if (!c->measured)
		return;
	fputs("<h2>Node or Go?</h2><div class='card choice'><div class=scroll>"
	      "<table><tr><th></th>",
	      f);
	for (unsigned m = 0; m < CHOICE_MODELS; m++)
		fprintf(f, "<th><i class=m-%s></i>%s</th>", c->model[m]->name,
			c->model[m]->name);
	fputs("</tr>\n", f);
	for (unsigned i = 0; i < CHOICE_ROWS; i++) {
		const struct demo_choice_row *r = &c->row[i];

		fprintf(f, "<tr><td>%s (%s is better)</td>", r->name,
			r->more_is_better ? "more" : "less");
		for (unsigned m = 0; m < CHOICE_MODELS; m++) {
			fputs(r->value[m] == r->best ? "<td class=best>"
						     : "<td>",
			      f);
			if (isnan(r->value[m]))
				fputs("n/a</td>", f);
			else
				fprintf(f, "%.*f</td>",
					r->value[m] < 10 ? 2 : 1, r->value[m]);
		}
		fputs("</tr>\n", f);
	}
	fputs("</table></div>", f);
	for (unsigned i = 0; i < CHOICE_CASES; i++)
		paragraph(f, "", c->sentence[i]);
	fputs("</div>\n", f);
}

static void bounds(FILE *f, const struct demo *d)
{
	static const char *const heads[] = { "figure", "bound",	  "measured",
					     "from",   "to",	  "of",
					     "unit",   "verdict", NULL };

	if (!demo_has_bounds(d))
		return;
	fputs("<h2>Bounds of the model coroutine</h2><div class=card>", f);
	html_begin_table(f, heads);
	for (unsigned i = 0; i < BOUNDS; i++) {
		const struct demo_bound *b = &d->bound[i];

		fprintf(f, "<tr><td>%s</td><td>%s %g</td>", b->name,
			b->at_least ? "at least" : "at most", b->limit);
		html_cell(f, "%.4g", b->value);
		html_cell(f, "%.4g", b->low);
		html_cell(f, "%.4g", b->high);
		fprintf(f, "<td>%llu</td><td>%s</td><td>%s</td></tr>\n",
			(unsigned long long)b->samples, b->unit,
			demo_verdict_names[b->verdict]);
	}
	html_end_table(f);
	fputs("</div>\n", f);
}

static void colour(FILE *f, const struct model *m)
{
	static const char *const lines[] = {
		[LINE_PLAIN] = NULL,
		[LINE_DASHED] = "stroke-dasharray:6 4",
		[LINE_BOLD] = "stroke-width:3.4",
	};

	fprintf(f,
		".m-%s{--c:%s}@media(prefers-color-scheme:dark){.m-%s{--c:%s}}\n",
		m->name, m->light, m->name, m->dark);
	if (lines[m->line])
		fprintf(f, ".line.m-%s{%s}\n", m->name, lines[m->line]);
}

/* Of all models, since units of scheduling are also measured without their
 * models. */
void html_colours(FILE *f, const struct demo *d)
{
	for (unsigned i = 0; i < nr_models; i++)
		colour(f, &models[i]);
	for (unsigned i = 0; i < d->options.nr_models; i++)
		if (d->options.model[i]->command)
			colour(f, d->options.model[i]);
}

void demo_print_html(FILE *f, const struct demo *d)
{
	fputs("<!doctype html>\n<html lang=en><head><meta charset=utf-8>\n"
	      "<meta name=viewport content='width=device-width,"
	      "initial-scale=1'>\n<title>urt demo</title>\n"
	      "<style>",
	      f);
	fputs(embedded("demo/show/page.css")->text, f);
	html_colours(f, d);
	fprintf(f,
		"</style></head><body><main>\n"
		"<h1>The cost of a waiting request, and of switching</h1>\n"
		"<p>One HTTP service in %u models of concurrency, measured on "
		"this machine: threads, event loops, coroutines on io_uring, "
		"Node and Go.</p>\n",
		d->options.nr_models);
	host(f, d);
	if (d->interrupted)
		paragraph(f, "soft",
			  "Interrupted: these are the results so far.");
	choice(f, d);
	bounds(f, d);
	claims(f, d);
	html_charts(f, d);
	html_timelines(f, d);
	html_anatomy(f, d);
	unit_table(f, d);
	ladder(f, d);
	advice(f, d);
	html_tables(f, d);
	fputs("<p class=soft>Made by urt demo; report.md and report.json in the same folder have the same figures.</p>\n</main></body></html>\n",
	      f);
}
