// SPDX-License-Identifier: MIT
/* The tables of the page: all figures. */
#define _GNU_SOURCE
#include "html.h"
#include <math.h>
#include <stdlib.h>

void html_cell(FILE *f, const char *format, double v)
{
	fputs("<td>", f);
	if (isnan(v))
		fputs("n/a", f);
	else
		fprintf(f, format, v);
	fputs("</td>", f);
}

void html_begin_table(FILE *f, const char *const *heads)
{
	fputs("<div class=scroll><table><tr>", f);
	for (; *heads; heads++)
		fprintf(f, "<th>%s</th>", *heads);
	fputs("</tr>\n", f);
}

void html_end_table(FILE *f)
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

/* The columns from kernel switches on: per request. */
static void work_cells(FILE *f, const struct demo_row *r)
{
	struct demo_per_request p = demo_per_request(r);

	html_cell(f, "%.4f", p.switches);
	html_cell(f, "%.3f", p.syscalls);
	html_cell(f, "%.2f", p.uring_ops);
	html_cell(f, "%.2f", p.user_switches);
	html_cell(f, "%.1f", ROW_MEDIAN(r, cpu_ns) / 1e3);
}

static void load_cells(FILE *f, const struct demo_row *r)
{
	char name[16];

	fprintf(f, "<tr><td>%s</td><td>%s</td>", r->model->name,
		demo_load_name(r->share, name));
	html_cell(f, "%.0f", r->rate ? r->rate : ROW_MEDIAN(r, rps));
	html_cell(f, "%.0f", ROW_MEDIAN(r, rps));
	html_cell(f, "%.2f", demo_ms(&r->latency, 0.5));
	html_cell(f, "%.2f", demo_ms(&r->latency, 0.99));
	html_cell(f, "%.2f", demo_ms(&r->latency, 0.999));
	html_cell(f, "%.1f", demo_ms(&r->latency, 1));
	work_cells(f, r);
	fputs("</tr>\n", f);
}

static void loads(FILE *f, const struct demo *d)
{
	static const char *const heads[] = { "model",
					     "load",
					     "due/s",
					     "done/s",
					     "p50 ms",
					     "p99 ms",
					     "p99.9 ms",
					     "max ms",
					     "kernel switches",
					     "system calls",
					     "uring operations",
					     "user switches",
					     "CPU us",
					     NULL };
	bool any = false;

	for (unsigned m = 0; m < d->options.nr_models; m++) {
		for (unsigned i = 0; i < d->options.loads->len; i++) {
			const struct demo_row *r =
				demo_load(d, d->options.model[m], i);

			if (!r)
				continue;
			if (!any) {
				fprintf(f,
					"<h3>Kernel work by load: GET /, %d "
					"connections, closed loop at full load, "
					"else open loop</h3>",
					DEMO_LOADS_CONNS);
				html_begin_table(f, heads);
			}
			any = true;
			load_cells(f, r);
		}
	}
	if (any)
		html_end_table(f);
}

static void row_cells(FILE *f, const struct demo_row *r)
{
	fprintf(f, "<tr><td>%s</td><td>%s%.0f</td>", r->model->name,
		demo_load_was_limit(r) ? "&gt;" : "", ROW_MEDIAN(r, rps));
	html_cell(f, "%.0f %%", ROW_SPREAD(r, rps) * 100);
	html_cell(f, "%.2f", ROW_MEDIAN(r, p50_ns) / 1e6);
	html_cell(f, "%.2f", ROW_MEDIAN(r, p99_ns) / 1e6);
	work_cells(f, r);
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
				html_end_table(f);
			fprintf(f, "<h3>%s</h3>", demo_row_title(r, title));
			html_begin_table(f, heads);
		}
		last = r;
		if (demo_ok(&r->outcome))
			row_cells(f, r);
		else
			outcome_row(f, r->model->name, &r->outcome);
	}
	if (last) {
		char *note = demo_user_note(d);

		html_end_table(f);
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
	html_begin_table(f, heads);
	for (unsigned i = 0; i < d->nr_seconds; i++) {
		const struct demo_second *m = &d->second[i];
		unsigned n = m->nr_rounds;
		char b[80];

		if (!demo_ok(&m->outcome) || !n) {
			outcome_row(f, m->model->name, &m->outcome);
			continue;
		}
		fprintf(f, "<tr><td>%s</td>", m->model->name);
		html_cell(f, "%.0f", demo_median_of(m->load.rps, n));
		html_cell(f, "%.0f", demo_median_of(m->wrk.rps, n));
		html_cell(f, "%.1f",
			  demo_median_of(m->load.server_cpu_ns, n) / 1e3);
		html_cell(f, "%.1f",
			  demo_median_of(m->wrk.server_cpu_ns, n) / 1e3);
		html_cell(f, "%.0f", demo_median_of(m->load.cpu, n) * 100);
		html_cell(f, "%.0f", demo_median_of(m->wrk.cpu, n) * 100);
		fprintf(f, "<td class=wrap>%s</td></tr>\n",
			demo_second_verdict(m, b));
	}
	html_end_table(f);
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
	html_begin_table(f, heads);
	for (unsigned i = 0; i < d->nr_stalls; i++) {
		const struct demo_stall *m = &d->stall[i];
		const struct histogram *of[] = { &m->plain, &m->loop };

		if (!demo_ok(&m->outcome) || !m->nr_rounds) {
			outcome_row(f, m->model->name, &m->outcome);
			continue;
		}
		fprintf(f, "<tr><td>%s</td><td>%s</td>",
			stall_cases[m->nth].name, m->model->name);
		html_cell(f, "%.0f", demo_median_of(m->rate, m->nr_rounds));
		for (unsigned k = 0; k < 2; k++) {
			html_cell(f, "%.2f", demo_ms(of[k], 0.99));
			html_cell(f, "%.2f", demo_ms(of[k], 0.999));
		}
		fputs("</tr>\n", f);
	}
	html_end_table(f);
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
	html_begin_table(f, heads);
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
		html_cell(f, "%.2f", h->connect_ns / 1e9);
		html_cell(f, "%.2f", h->process_bytes / h->waiting / 1e3);
		html_cell(f, "%.2f", h->kernel_bytes / h->waiting / 1e3);
		fputs("<td class=wrap>", f);
		svg_text(f, h->limit);
		if (*h->limit && *h->memory_reason)
			fputs("; ", f);
		svg_text(f, h->memory_reason);
		fputs("</td></tr>\n", f);
	}
	html_end_table(f);
}

static void bursts(FILE *f, const struct demo *d)
{
	static const char *const heads[] = { "model",  "p50 ms",   "p99 ms",
					     "max ms", "speed-up", NULL };

	if (!d->nr_bursts)
		return;
	fputs("<h3>Light requests during CPU bursts, and the speed-up of CPU work on all CPUs</h3>",
	      f);
	html_begin_table(f, heads);
	for (unsigned i = 0; i < d->nr_bursts; i++) {
		const struct demo_burst *b = &d->burst[i];

		if (!demo_ok(&b->outcome)) {
			outcome_row(f, b->model->name, &b->outcome);
			continue;
		}
		fprintf(f, "<tr><td>%s</td>", b->model->name);
		html_cell(f, "%.2f", demo_ms(&b->latency, 0.5));
		html_cell(f, "%.2f", demo_ms(&b->latency, 0.99));
		html_cell(f, "%.1f", b->latency.max / 1e6);
		html_cell(f, "%.2f", demo_speedup(demo_scale(d, b->model)));
		fputs("</tr>\n", f);
	}
	html_end_table(f);
}

void html_tables(FILE *f, const struct demo *d)
{
	fputs("<h2>All figures</h2><details class=card><summary>Tables</summary>"
	      "\n",
	      f);
	loads(f, d);
	rows(f, d);
	seconds(f, d);
	holds(f, d);
	bursts(f, d);
	stalls(f, d);
	fputs("</details>\n", f);
}
