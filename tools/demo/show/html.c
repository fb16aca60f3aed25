// SPDX-License-Identifier: MIT
/*
 * The result as one page that needs nothing else: no script, no network, light
 * or dark as the reader's system is, as wide as a phone or a desktop. What is
 * first on it is what one would show first: the claims and their verdicts.
 */
#define _GNU_SOURCE
#include "html.h"
#include "../judge/warn.h"
#include <math.h>
#include <string.h>

static const char style[] =
	":root{color-scheme:light dark;--bg:#fbfbf9;--card:#fff;--ink:#1d2125;"
	"--soft:#5d666f;--line:#dfe2e0;--good:#0b7a4b;--bad:#b3261e;"
	"--open:#6b7076;--thread:#c8500a;--epoll:#1f62b0;--uring:#4aa7e0;"
	"--coroutine:#0b8f63;--node:#b0549b;--workers:#7a5bc9;--go:#c99600}\n"
	"@media(prefers-color-scheme:dark){:root{--bg:#14171a;--card:#1c2024;"
	"--ink:#e8eaec;--soft:#a2abb3;--line:#32383e;--good:#4fcf98;"
	"--bad:#ff8a80;--open:#a2abb3;--thread:#ff9552;--epoll:#5fa0f0;"
	"--uring:#8fd0ff;--coroutine:#3fd6a0;--node:#e58fd2;--workers:#b49cff;"
	"--go:#ffd04d}}\n"
	"*{box-sizing:border-box}"
	"body{margin:0;background:var(--bg);color:var(--ink);"
	"font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',"
	"sans-serif}"
	"main{max-width:1120px;margin:0 auto;padding:24px 16px 64px}"
	"h1{font-size:clamp(1.5rem,4.5vw,2.3rem);line-height:1.15;"
	"margin:.4em 0 .3em;letter-spacing:-.01em}"
	"h2{font-size:1.3rem;margin:2.2em 0 .6em}"
	"h3{font-size:1rem;margin:0 0 .2em}"
	"p{margin:.4em 0}"
	".soft{color:var(--soft);font-size:.9rem}"
	".grid{display:grid;gap:16px;"
	"grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr))}"
	".grid3{display:grid;gap:16px;"
	"grid-template-columns:repeat(auto-fill,minmax(min(100%,320px),1fr))}"
	".card{background:var(--card);border:1px solid var(--line);"
	"border-radius:10px;padding:14px 16px;min-width:0}"
	".claim{border-left:5px solid var(--open)}"
	".claim.good{border-left-color:var(--good)}"
	".claim.bad{border-left-color:var(--bad)}"
	".claim h3{display:flex;gap:10px;align-items:baseline;"
	"justify-content:space-between;line-height:1.35}"
	".claim p,.claim ul{font-size:.87rem;color:var(--soft);"
	"overflow-wrap:anywhere}"
	".v{font-size:.8rem;font-weight:700;white-space:nowrap;"
	"color:var(--open)}"
	".good .v{color:var(--good)}.bad .v{color:var(--bad)}"
	"svg{width:100%;height:auto;display:block;max-width:640px;margin:0 auto}"
	"svg text{font-size:12px;fill:var(--soft)}"
	"svg text.name,svg text.strong{fill:var(--ink)}"
	"svg text.strong{font-weight:700}"
	"svg text.label{font-size:12px}"
	".grid-line,path.grid{stroke:var(--line);fill:none}"
	".line{fill:none;stroke-width:2.2;stroke-linejoin:round}"
	".dot{stroke:none}.pale{opacity:.45}"
	".box{fill:none;stroke:var(--line);stroke-width:1.2}"
	".m-thread{--c:var(--thread)}.m-epoll{--c:var(--epoll)}"
	".m-uring-loop{--c:var(--uring)}.m-coroutine{--c:var(--coroutine)}"
	".m-node{--c:var(--node)}.m-node-workers{--c:var(--workers)}"
	".m-go{--c:var(--go)}"
	".line{stroke:var(--c)}.dot,.bar,.fill{fill:var(--c)}"
	".line.m-uring-loop,.line.m-node-workers{stroke-dasharray:6 4}"
	".line.m-coroutine{stroke-width:3.4}"
	".legend{display:flex;flex-wrap:wrap;gap:4px 14px;font-size:.85rem;"
	"margin-top:6px}"
	".legend i{display:inline-block;width:12px;height:12px;"
	"border-radius:3px;background:var(--c);margin-right:5px;"
	"vertical-align:-1px}"
	".scroll{overflow-x:auto;-webkit-overflow-scrolling:touch}"
	"table{border-collapse:collapse;font-size:.87rem;width:100%;"
	"font-variant-numeric:tabular-nums}"
	"th,td{padding:5px 9px;text-align:right;white-space:nowrap;"
	"border-bottom:1px solid var(--line)}"
	"th:first-child,td:first-child{text-align:left;white-space:normal;"
	"min-width:9em}"
	"td.wrap{white-space:normal;text-align:left;min-width:15em}"
	"th{color:var(--soft);font-weight:600}"
	"summary{cursor:pointer;padding:6px 0;font-weight:600}";

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
	char text[2400];

	snprintf(text, sizeof(text),
		 "%s, %ld CPUs (%s), %s, %.1f GB; %s. Node %s; %s.", h->kernel,
		 h->cpus, h->cpu_model, h->hardware, h->memory / 1e9, h->time,
		 *h->node ? h->node : "not installed",
		 *h->go ? h->go : "Go not installed");
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
	fputs("<details><summary class=soft>Conditions</summary>", f);
	paragraph(f, "soft", text);
	demo_warnings(f, d, "<p class=soft>Warning: ", "</p>\n");
	if (!isnan(demo_load_cpu(d)))
		fprintf(f,
			"<p class=soft>The load generator took at most %.0f %% "
			"of its CPU.</p>\n",
			demo_load_cpu(d) * 100);
	fputs("</details>\n", f);
}

static void claims(FILE *f, const struct demo *d)
{
	static const char *const classes[] = { "good", "bad", "open" };

	fputs("<h2>Claims</h2><div class=grid>\n", f);
	for (int i = 0; i < DEMO_CLAIMS; i++) {
		const struct demo_claim *c = &d->claim[i];

		fprintf(f, "<div class='card claim %s'><h3><span>%d. ",
			classes[c->verdict], c->id);
		svg_text(f, c->text);
		fprintf(f, "</span><span class=v>%s</span></h3>\n",
			demo_verdict_names[c->verdict]);
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
	char text[64];

	fputs("<h2>Unit of scheduling, measured</h2>"
	      "<div class='card scroll'><table><tr><th></th>",
	      f);
	for (unsigned i = 0; i < o->nr_models; i++)
		fprintf(f, "<th>%s</th>", o->model[i]->name);
	for (unsigned row = 0; row < TABLE_ROWS; row++) {
		fprintf(f, "</tr>\n<tr><td>%s</td>", demo_table_names[row]);
		for (unsigned i = 0; i < o->nr_models; i++) {
			demo_table_cell(d, row, o->model[i]->name, text,
					sizeof(text));
			fputs("<td>", f);
			svg_text(f, text);
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

	for (unsigned i = 0; i < d->nr_rows; i++) {
		const struct demo_row *r = &d->row[i];

		if (r->outcome.status == DEMO_NOT_RUN)
			continue;
		if (!last || strcmp(last->path, r->path) ||
		    last->connections != r->connections) {
			if (last)
				end_table(f);
			fprintf(f, "<h3>GET %s, %ld connections</h3>", r->path,
				r->connections);
			begin_table(f, heads);
		}
		last = r;
		if (demo_ok(&r->outcome))
			row_cells(f, r);
		else
			outcome_row(f, r->model->name, &r->outcome);
	}
	if (last) {
		end_table(f);
		fprintf(f,
			"<p class=soft>From kernel switches on: per request. "
			"&gt;: the load generator was the limit, the server can "
			"do more. User switches: %s.</p>\n",
			demo_user_note);
	}
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
	holds(f, d);
	fputs("</details>\n", f);
}

static void advice(FILE *f, const struct demo *d)
{
	char text[1500];

	fputs("<h2>When to pick which, by these figures</h2>"
	      "<div class=grid3>\n",
	      f);
	for (unsigned i = 0; i < ADVICE_PARTS; i++) {
		fprintf(f, "<div class=card><h3>%s</h3>", demo_advice_names[i]);
		demo_advice(d, i, text, sizeof(text));
		paragraph(f, "soft", text);
		fputs("</div>\n", f);
	}
	fputs("</div>\n", f);
}

void demo_print_html(FILE *f, const struct demo *d)
{
	fprintf(f,
		"<!doctype html>\n<html lang=en><head><meta charset=utf-8>\n"
		"<meta name=viewport content='width=device-width,"
		"initial-scale=1'>\n<title>urt demo</title>\n"
		"<style>%s</style></head><body><main>\n"
		"<h1>What a waiting request costs, and who switches</h1>\n"
		"<p>One HTTP service in %u models of concurrency, measured on "
		"this machine: threads, event loops, coroutines on io_uring, "
		"Node and Go.</p>\n",
		style, d->options.nr_models);
	host(f, d);
	if (d->interrupted)
		paragraph(f, "soft",
			  "Interrupted: this is what was measured until then.");
	claims(f, d);
	html_charts(f, d);
	html_anatomy(f, d);
	unit_table(f, d);
	advice(f, d);
	tables(f, d);
	fputs("<p class=soft>Made by urt demo; the same as report.md and "
	      "report.json beside it.</p>\n</main></body></html>\n",
	      f);
}
