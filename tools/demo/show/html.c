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

static void cell(FILE *f, const char *format, double v)
{
	fputs("<td>", f);
	if (isnan(v))
		fputs("n/a", f);
	else
		fprintf(f, format, v);
	fputs("</td>", f);
}

static void begin_table(FILE *f, const char *const *heads)
{
	fputs("<div class=scroll><table><tr>", f);
	for (; *heads; heads++)
		fprintf(f, "<th>%s</th>", *heads);
	fputs("</tr>\n", f);
}

static void end_table(FILE *f)
{
	fputs("</table></div>\n", f);
}

static void outcome_row(FILE *f, const char *name, const struct demo_outcome *o)
{
	fprintf(f, "<tr><td>%s</td><td class=wrap colspan=9>%s: ", name,
		demo_status_names[o->status]);
	svg_text(f, o->reason);
	fputs("</td></tr>\n", f);
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

static void claims(FILE *f, const struct demo *d)
{
	static const char *const classes[] = { "good", "bad", "open" };

	fputs("<h2>Claims</h2><div class=grid>\n", f);
	for (int i = 0; i < DEMO_CLAIMS; i++) {
		const struct demo_claim *c = &d->claim[i];

		if (!demo_wants(d, i + 1))
			continue;
		fprintf(f, "<div class='card claim %s'><h3><span>%d. ",
			classes[c->verdict], c->id);
		svg_text(f, c->text);
		fprintf(f, "</span><span class=v>%s</span></h3>\n",
			demo_verdict_names[c->verdict]);
		if (*c->headline)
			paragraph(f, "headline", c->headline);
		if (c->verdict == CLAIM_NOT_MEASURED)
			paragraph(f, "", c->reason);
		if (*c->measured)
			paragraph(f, "", c->measured);
		fputs("</div>\n", f);
	}
	fputs("</div>\n", f);
}

/* ---- tables ---- */

static void unit_table(FILE *f, const struct demo *d)
{
	const struct demo_options *o = &d->options;
	fputs("<h2>Unit of scheduling, measured</h2>"
	      "<div class='card scroll'><table><tr><th></th>",
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
	fputs("</tr></table></div>\n", f);
}

static void row_cells(FILE *f, const struct demo_row *r)
{
	struct demo_per_request p = demo_per_request(r);

	fprintf(f, "<tr><td>%s</td><td>%s%.0f</td>", r->model->name,
		demo_load_was_limit(r) ? "&gt;" : "", ROW_MEDIAN(r, rps));
	cell(f, "%.0f %%", ROW_SPREAD(r, rps) * 100);
	cell(f, "%.2f", ROW_MEDIAN(r, p50_ns) / 1e6);
	cell(f, "%.2f", ROW_MEDIAN(r, p99_ns) / 1e6);
	cell(f, "%.4f", p.switches);
	cell(f, "%.3f", p.syscalls);
	cell(f, "%.2f", p.uring_ops);
	cell(f, "%.2f", p.user_switches);
	cell(f, "%.1f", ROW_MEDIAN(r, cpu_ns) / 1e3);
	fputs("</tr>\n", f);
}

static void rows(FILE *f, const struct demo *d)
{
	static const char *const heads[] = { "model",
					     "requests/s",
					     "+-",
					     "p50 ms",
					     "p99 ms",
					     "kernel switches",
					     "system calls",
					     "uring operations",
					     "user switches",
					     "CPU us",
					     NULL };
	const struct demo_row *last = NULL;
	char title[96];

	for (unsigned i = 0; i < d->nr_rows; i++) {
		const struct demo_row *r = &d->row[i];

		if (r->outcome.status == DEMO_NOT_RUN)
			continue;
		if (!last || !demo_same_table(last, r)) {
			if (last)
				end_table(f);
			fprintf(f, "<h3>%s</h3>", demo_row_title(r, title));
			begin_table(f, heads);
		}
		last = r;
		if (demo_ok(&r->outcome))
			row_cells(f, r);
		else
			outcome_row(f, r->model->name, &r->outcome);
	}
	if (last) {
		char *note = demo_user_note(d);

		end_table(f);
		fprintf(f,
			"<p class=soft>From kernel switches on: per request. "
			"&gt;: the load generator was the limit, the server can "
			"do more. User switches: %s.</p>\n",
			note);
		free(note);
	}
}

static void seconds(FILE *f, const struct demo *d)
{
	static const char *const heads[] = { "model", "urt load/s",
					     "wrk/s", "server's CPU us: load",
					     "wrk",   "generator's CPU %: load",
					     "wrk",   "the difference",
					     NULL };

	if (!d->nr_seconds)
		return;
	fputs("<h3>The same by a second load generator</h3>", f);
	begin_table(f, heads);
	for (unsigned i = 0; i < d->nr_seconds; i++) {
		const struct demo_second *m = &d->second[i];
		unsigned n = m->nr_rounds;
		char b[80];

		if (!demo_ok(&m->outcome) || !n) {
			outcome_row(f, m->model->name, &m->outcome);
			continue;
		}
		fprintf(f, "<tr><td>%s</td>", m->model->name);
		cell(f, "%.0f", demo_median_of(m->load.rps, n));
		cell(f, "%.0f", demo_median_of(m->wrk.rps, n));
		cell(f, "%.1f", demo_median_of(m->load.server_cpu_ns, n) / 1e3);
		cell(f, "%.1f", demo_median_of(m->wrk.server_cpu_ns, n) / 1e3);
		cell(f, "%.0f", demo_median_of(m->load.cpu, n) * 100);
		cell(f, "%.0f", demo_median_of(m->wrk.cpu, n) * 100);
		fprintf(f, "<td class=wrap>%s</td></tr>\n",
			demo_second_verdict(m, b));
	}
	end_table(f);
}

static void stalls(FILE *f, const struct demo *d)
{
	static const char *const heads[] = {
		"case",	     "model",
		"answers/s", "without a loop: p99 ms",
		"p99.9 ms",  "with one: p99 ms",
		"p99.9 ms",  NULL
	};

	if (!d->nr_stalls)
		return;
	fputs("<h3>Messages of which some carry a busy loop</h3>", f);
	begin_table(f, heads);
	for (unsigned i = 0; i < d->nr_stalls; i++) {
		const struct demo_stall *m = &d->stall[i];
		const struct histogram *of[] = { &m->plain, &m->loop };

		if (!demo_ok(&m->outcome) || !m->nr_rounds) {
			outcome_row(f, m->model->name, &m->outcome);
			continue;
		}
		fprintf(f, "<tr><td>%s</td><td>%s</td>",
			stall_cases[m->nth].name, m->model->name);
		cell(f, "%.0f", demo_median_of(m->rate, m->nr_rounds));
		for (unsigned k = 0; k < 2; k++) {
			cell(f, "%.2f", demo_ms(of[k], 0.99));
			cell(f, "%.2f", demo_ms(of[k], 0.999));
		}
		fputs("</tr>\n", f);
	}
	end_table(f);
}

static void holds(FILE *f, const struct demo *d)
{
	static const char *const heads[] = {
		"model",   "wanted",	"waiting",	   "answered",
		"threads", "connect s", "process KB each", "kernel KB each",
		"",	   NULL
	};

	if (!d->nr_holds)
		return;
	fputs("<h3>Requests that wait at the same time</h3>", f);
	begin_table(f, heads);
	for (unsigned i = 0; i < d->nr_holds; i++) {
		const struct demo_hold *h = &d->hold[i];

		if (!demo_ok(&h->outcome)) {
			outcome_row(f, h->model->name, &h->outcome);
			continue;
		}
		fprintf(f,
			"<tr><td>%s</td><td>%ld</td><td>%ld</td><td>%ld</td>"
			"<td>%ld</td>",
			h->model->name, h->wanted, h->waiting, h->answered,
			h->threads);
		cell(f, "%.2f", h->connect_ns / 1e9);
		cell(f, "%.2f", h->process_bytes / h->waiting / 1e3);
		cell(f, "%.2f", h->kernel_bytes / h->waiting / 1e3);
		fputs("<td class=wrap>", f);
		svg_text(f, h->limit);
		if (*h->limit && *h->memory_reason)
			fputs("; ", f);
		svg_text(f, h->memory_reason);
		fputs("</td></tr>\n", f);
	}
	end_table(f);
}

static void tables(FILE *f, const struct demo *d)
{
	fputs("<h2>All figures</h2><details class=card><summary>Tables</summary>"
	      "\n",
	      f);
	rows(f, d);
	seconds(f, d);
	holds(f, d);
	stalls(f, d);
	fputs("</details>\n", f);
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
	begin_table(f, heads);
	for (unsigned i = 0; i < BOUNDS; i++) {
		const struct demo_bound *b = &d->bound[i];

		fprintf(f, "<tr><td>%s</td><td>%s %g</td>", b->name,
			b->at_least ? "at least" : "at most", b->limit);
		cell(f, "%.4g", b->value);
		cell(f, "%.4g", b->low);
		cell(f, "%.4g", b->high);
		fprintf(f, "<td>%llu</td><td>%s</td><td>%s</td></tr>\n",
			(unsigned long long)b->samples, b->unit,
			demo_verdict_names[b->verdict]);
	}
	end_table(f);
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
	advice(f, d);
	tables(f, d);
	fputs("<p class=soft>Made by urt demo; report.md and report.json in the same folder have the same figures.</p>\n</main></body></html>\n",
	      f);
}
