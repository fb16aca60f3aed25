// SPDX-License-Identifier: MIT
/* The result as Markdown, as for $GITHUB_STEP_SUMMARY. */
#define _GNU_SOURCE
#include "show.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *cell(char buf[24], const char *format, double v)
{
	if (isnan(v))
		return "n/a";
	snprintf(buf, 24, format, v);
	return buf;
}

static void host(FILE *f, const struct demo *d)
{
	const struct demo_host *h = &d->host;
	char versions[600];

	fprintf(f,
		"\n## Machine and settings\n\n"
		"%s, %ld CPUs (%s), %s, %.1f GB, %s. %s. "
		"Mitigations: %s. pid_max %ld, threads-max %ld, max_map_count "
		"%ld; cgroup: cpu %s, memory %s, pids %s.\n",
		h->kernel, h->cpus, h->cpu_model, h->hardware, h->memory / 1e9,
		h->time, demo_versions(h, versions, sizeof(versions)),
		h->mitigations, h->pid_max, h->threads_max, h->max_map_count,
		h->cgroup_cpu, h->cgroup_memory, h->cgroup_pids);
	fputs("\n| model | settings |\n|---|---|\n", f);
	for (unsigned i = 0; i < d->options.nr_models; i++)
		fprintf(f, "| %s | %s |\n", d->options.model[i]->name,
			d->settings[i]);
	if (!d->counted)
		fprintf(f, "\nCounted by /proc only: %s\n", d->why_no_bpf);
}

static void evidence(FILE *f, const struct demo_evidence *e)
{
	if (!e->nr_rows)
		return;
	fputs("\n| |", f);
	for (unsigned k = 0; k < e->nr_columns; k++)
		fprintf(f, " %s |", e->column[k]);
	fputs("\n|---|", f);
	for (unsigned k = 0; k < e->nr_columns; k++)
		fputs("--:|", f);
	for (unsigned i = 0; i < e->nr_rows; i++) {
		fprintf(f, "\n| %s |", e->row[i].model->name);
		for (unsigned k = 0; k < e->nr_columns; k++)
			fprintf(f, " %s |",
				*e->row[i].cell[k] ? e->row[i].cell[k] : "n/a");
	}
	fputc('\n', f);
}

static void claims(FILE *f, const struct demo *d)
{
	fputs("\n## Claims\n\n| | claim | verdict |\n|---|---|---|\n", f);
	for (int i = 0; i < DEMO_CLAIMS; i++) {
		const struct demo_claim *c = &d->claim[i];

		fprintf(f, "| %d | %s | **%s** |\n", c->id, c->text,
			demo_verdict_names[c->verdict]);
	}
	for (int i = 0; i < DEMO_CLAIMS; i++) {
		const struct demo_claim *c = &d->claim[i];

		fprintf(f, "\n**%d.** %s%s%s\n", c->id,
			c->verdict == CLAIM_NOT_MEASURED ? c->reason : "",
			c->verdict == CLAIM_NOT_MEASURED && *c->measured ? ". "
									 : "",
			c->measured);
		evidence(f, &c->evidence);
	}
}

static void bounds(FILE *f, const struct demo *d)
{
	if (!demo_has_bounds(d))
		return;
	fputs("\n## Bounds of the model coroutine\n\n| figure | bound | "
	      "measured | from | to | of | unit | verdict |\n|---|---|--:|--:|"
	      "--:|--:|---|---|\n",
	      f);
	for (unsigned i = 0; i < BOUNDS; i++) {
		const struct demo_bound *b = &d->bound[i];
		char t[3][24];

		fprintf(f,
			"| %s | %s %g | %s | %s | %s | %llu | %s | **%s** |\n",
			b->name, b->at_least ? "at least" : "at most", b->limit,
			cell(t[0], "%.4g", b->value),
			cell(t[1], "%.4g", b->low), cell(t[2], "%.4g", b->high),
			(unsigned long long)b->samples, b->unit,
			demo_verdict_names[b->verdict]);
	}
}

static void row(FILE *f, const struct demo_row *r)
{
	struct demo_per_request p;
	char b[7][24];

	if (!demo_ok(&r->outcome)) {
		fprintf(f, "| %s | %s: %s | | | | | | | | |\n", r->model->name,
			demo_status_names[r->outcome.status],
			r->outcome.reason);
		return;
	}
	p = demo_per_request(r);
	fprintf(f,
		"| %s | %s%.0f | %s | %.2f | %.2f | %s | %s | %s | %s | %.1f "
		"|\n",
		r->model->name, demo_load_was_limit(r) ? "&gt;" : "",
		ROW_MEDIAN(r, rps),
		cell(b[0], "%.0f %%", ROW_SPREAD(r, rps) * 100),
		ROW_MEDIAN(r, p50_ns) / 1e6, ROW_MEDIAN(r, p99_ns) / 1e6,
		cell(b[1], "%.4f", p.switches), cell(b[2], "%.3f", p.syscalls),
		cell(b[3], "%.2f", p.uring_ops),
		cell(b[4], "%.2f", p.user_switches),
		ROW_MEDIAN(r, cpu_ns) / 1e3);
}

static void loads(FILE *f, const struct demo *d)
{
	bool head = false;

	for (unsigned m = 0; m < d->options.nr_models; m++) {
		for (unsigned i = 0; i < d->options.loads->len; i++) {
			const struct demo_row *r =
				demo_load(d, d->options.model[m], i);
			struct demo_per_request p;
			char b[8][24], name[16];

			if (!r)
				continue;
			if (!head)
				fprintf(f,
					"\n## Kernel work by load\n\n"
					"GET /, %d connections; full: closed "
					"loop, else open loop, by share of "
					"the model's full load (idle: %d/s); "
					"from *switches* on per request\n\n"
					"| model | load | done/s | p50 ms | "
					"p99 ms | p99.9 ms | max ms | switches "
					"| system calls | uring operations | "
					"user switches | CPU us |\n|---|--:|"
					"--:|--:|--:|--:|--:|--:|--:|--:|--:|"
					"--:|\n",
					DEMO_LOADS_CONNS, DEMO_IDLE_RATE);
			head = true;
			p = demo_per_request(r);
			fprintf(f,
				"| %s | %s | %.0f | %s | %s | %s | %s "
				"| %s | %s | %s | %s | %.1f |\n",
				r->model->name, demo_load_name(r->share, name),
				ROW_MEDIAN(r, rps),
				cell(b[4], "%.2f", demo_ms(&r->latency, 0.5)),
				cell(b[5], "%.2f", demo_ms(&r->latency, 0.99)),
				cell(b[6], "%.2f", demo_ms(&r->latency, 0.999)),
				cell(b[7], "%.1f", demo_ms(&r->latency, 1)),
				cell(b[0], "%.4f", p.switches),
				cell(b[1], "%.3f", p.syscalls),
				cell(b[2], "%.2f", p.uring_ops),
				cell(b[3], "%.2f", p.user_switches),
				ROW_MEDIAN(r, cpu_ns) / 1e3);
		}
	}
}

static void rows(FILE *f, const struct demo *d)
{
	const struct demo_row *last = NULL;
	char title[96];

	for (unsigned i = 0; i < d->nr_rows; i++) {
		const struct demo_row *r = &d->row[i];

		if (r->outcome.status == DEMO_NOT_RUN)
			continue;
		if (!last || !demo_same_table(last, r))
			fprintf(f,
				"\n## %s\n\n"
				"| model | requests/s | +- | p50 ms | p99 ms | "
				"kernel switches | system calls | uring "
				"operations | user switches | CPU us |\n"
				"|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
				demo_row_title(r, title));
		row(f, r);
		last = r;
	}
	if (last) {
		char *note = demo_user_note(d);

		fprintf(f,
			"\nFrom *kernel switches* on: per request. &gt;: the "
			"load generator was the limit. *User switches*: %s.\n",
			note);
		free(note);
	}
}

static void seconds(FILE *f, const struct demo *d)
{
	bool head = false;

	for (unsigned i = 0; i < d->nr_seconds; i++) {
		const struct demo_second *m = &d->second[i];
		unsigned n = m->nr_rounds;
		char b[80];

		if (!demo_ok(&m->outcome) || !n)
			continue;
		if (!head)
			fprintf(f,
				"\n## By a second load generator\n\n"
				"GET /, %ld connections, in alternating rounds, "
				"without counting\n\n"
				"| model | urt load/s | wrk/s | server's CPU us: "
				"urt load | wrk | generator's CPU %%: urt load | "
				"wrk | the difference |\n"
				"|---|--:|--:|--:|--:|--:|--:|---|\n",
				m->connections);
		head = true;
		fprintf(f,
			"| %s | %.0f | %.0f | %.1f | %.1f | %.0f | %.0f | %s |\n",
			m->model->name, demo_median_of(m->load.rps, n),
			demo_median_of(m->wrk.rps, n),
			demo_median_of(m->load.server_cpu_ns, n) / 1e3,
			demo_median_of(m->wrk.server_cpu_ns, n) / 1e3,
			demo_median_of(m->load.cpu, n) * 100,
			demo_median_of(m->wrk.cpu, n) * 100,
			demo_second_verdict(m, b));
	}
}

static void holds(FILE *f, const struct demo *d)
{
	bool head = false;

	for (unsigned i = 0; i < d->nr_holds; i++) {
		const struct demo_hold *h = &d->hold[i];
		char process[24], kernel[24];

		if (h->outcome.status == DEMO_NOT_RUN)
			continue;
		if (!head)
			fputs("\n## Requests that wait at the same time\n\n"
			      "| model | wanted | waiting | answered | threads "
			      "| connect s | process KB each | kernel KB each "
			      "| |\n"
			      "|---|--:|--:|--:|--:|--:|--:|--:|---|\n",
			      f);
		head = true;
		if (!demo_ok(&h->outcome)) {
			fprintf(f, "| %s | %ld | | | | | | | %s: %s |\n",
				h->model->name, h->wanted,
				demo_status_names[h->outcome.status],
				h->outcome.reason);
			continue;
		}
		fprintf(f,
			"| %s | %ld | %ld | %ld | %ld | %.2f | %s | %s | "
			"%s%s%s |\n",
			h->model->name, h->wanted, h->waiting, h->answered,
			h->threads, h->connect_ns / 1e9,
			cell(process, "%.2f",
			     h->process_bytes / h->waiting / 1e3),
			cell(kernel, "%.2f",
			     h->kernel_bytes / h->waiting / 1e3),
			h->limit, *h->limit && *h->memory_reason ? "; " : "",
			h->memory_reason);
	}
}

static void bursts(FILE *f, const struct demo *d)
{
	bool head = false;

	for (unsigned i = 0; i < d->nr_bursts; i++) {
		const struct demo_burst *b = &d->burst[i];
		const struct histogram *l = &b->latency;
		const struct demo_scale *m = demo_scale(d, b->model);
		char up[24];

		if (!demo_ok(&b->outcome))
			continue;
		if (!head)
			fputs("\n## CPU work\n\n"
			      "Light requests, 1000/s due, with a 200 ms burst of CPU each second on one CPU; and how many times as fast CPU-bound requests are on all CPUs.\n\n"
			      "| model | p50 ms | p99 ms | max ms | speed-up "
			      "|\n|---|--:|--:|--:|--:|\n",
			      f);
		head = true;
		fprintf(f, "| %s | %.2f | %.2f | %.1f | %s |\n", b->model->name,
			histogram_percentile(l, 0.5) / 1e6,
			histogram_percentile(l, 0.99) / 1e6, l->max / 1e6,
			cell(up, "%.2f", demo_speedup(m)));
	}
}

static void stalls(FILE *f, const struct demo *d)
{
	bool head = false;

	for (unsigned i = 0; i < d->nr_stalls; i++) {
		const struct demo_stall *m = &d->stall[i];
		char b[4][24];

		if (!demo_ok(&m->outcome) || !m->nr_rounds)
			continue;
		if (!head)
			fputs("\n## Messages of which some carry a busy loop\n\n"
			      "On one CPU, the load on another; in *stall-64-1ms*, loops of 1 ms ask for 64 % of the CPU.\n\n"
			      "| case | model | answers/s | without a loop: p99 ms | p99.9 ms | with one: p99 ms | p99.9 ms |\n"
			      "|---|---|--:|--:|--:|--:|--:|\n",
			      f);
		head = true;
		fprintf(f, "| %s | %s | %.0f | %s | %s | %s | %s |\n",
			stall_cases[m->nth].name, m->model->name,
			demo_median_of(m->rate, m->nr_rounds),
			cell(b[0], "%.2f", demo_ms(&m->plain, 0.99)),
			cell(b[1], "%.2f", demo_ms(&m->plain, 0.999)),
			cell(b[2], "%.2f", demo_ms(&m->loop, 0.99)),
			cell(b[3], "%.2f", demo_ms(&m->loop, 0.999)));
	}
}

static void table(FILE *f, const struct demo *d)
{
	const struct demo_options *o = &d->options;
	fputs("\n## Unit of scheduling\n\n| |", f);
	for (unsigned i = 0; i < o->nr_models; i++)
		fprintf(f, " %s |", o->model[i]->name);
	fputs("\n|---|", f);
	for (unsigned i = 0; i < o->nr_models; i++)
		fputs("--:|", f);
	for (unsigned row = 0; row < TABLE_ROWS; row++) {
		fprintf(f, "\n| %s |", d->table[row].name);
		for (unsigned i = 0; i < o->nr_models; i++) {
			const char *text = d->table[row].cell[i];

			fprintf(f, " %s |", *text == '<' ? "&lt;.001" : text);
		}
	}
	fputc('\n', f);
}

static void rung_work(FILE *f, const struct demo_row *r)
{
	struct demo_per_request p = demo_per_request(r);
	char b[3][24];

	fprintf(f, " %s | %s | %s |", cell(b[0], "%.3f", p.switches),
		cell(b[1], "%.3f", p.syscalls),
		cell(b[2], "%.1f", ROW_MEDIAN(r, cpu_ns) / 1e3));
}

static void ladder(FILE *f, const struct demo *d)
{
	struct demo_rung rung[RUNGS_MAX];
	unsigned n = demo_ladder(d, rung);
	char text[160];

	if (n < 2)
		return;
	fprintf(f, "\n## What each step buys\n\n%s\n\n|",
		demo_ladder_text(rung, text));
	for (const char *const *head = demo_ladder_heads; *head; head++)
		fprintf(f, " %s |", *head);
	fputs("\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n", f);
	for (unsigned i = 0; i < n; i++) {
		const struct demo_row *full = rung[i].full;

		fprintf(f, "| %s | %s | %s%.0f | %.2f |", rung[i].model->name,
			rung[i].model->step,
			demo_load_was_limit(full) ? "&gt;" : "",
			ROW_MEDIAN(full, rps), demo_ms(&full->latency, 0.99));
		rung_work(f, rung[i].low);
		rung_work(f, full);
		fputc('\n', f);
	}
}

static void choice(FILE *f, const struct demo *d)
{
	const struct demo_choice *c = &d->choice;

	if (!c->measured)
		return;
	fputs("\n## Node or Go?\n\n| |", f);
	for (unsigned m = 0; m < CHOICE_MODELS; m++)
		fprintf(f, " %s |", c->model[m]->name);
	fputs("\n|---|--:|--:|--:|--:|\n", f);
	for (unsigned i = 0; i < CHOICE_ROWS; i++) {
		const struct demo_choice_row *r = &c->row[i];

		fprintf(f, "| %s |", r->name);
		for (unsigned m = 0; m < CHOICE_MODELS; m++) {
			const char *bold = r->value[m] == r->best ? "**" : "";
			char b[24];

			fprintf(f, " %s%s%s |", bold,
				cell(b, "%.2f", r->value[m]), bold);
		}
		fputc('\n', f);
	}
	for (unsigned i = 0; i < CHOICE_CASES; i++)
		fprintf(f, "\n%s\n", c->sentence[i]);
}

void demo_print_markdown(FILE *f, const struct demo *d)
{
	fputs("# One HTTP service in several models of concurrency\n", f);
	choice(f, d);
	host(f, d);
	bounds(f, d);
	claims(f, d);
	table(f, d);
	ladder(f, d);
	loads(f, d);
	rows(f, d);
	seconds(f, d);
	holds(f, d);
	bursts(f, d);
	stalls(f, d);
	fputs("\n## When to pick which, by these figures\n", f);
	for (unsigned i = 0; i < ADVICE_PARTS; i++) {
		fprintf(f, "\n**%s.** %s\n", d->advice[i].name,
			d->advice[i].text);
	}
	fputc('\n', f);
	for (unsigned i = 0; i < d->nr_warnings; i++)
		fprintf(f, "- warning: %s\n", d->warning[i]);
	if (d->interrupted)
		fputs("\nInterrupted: these are the results so far.\n", f);
}
