// SPDX-License-Identifier: MIT
/*
 * The result of `urt demo` for people. On a terminal of 80 columns, tables have
 * the most important columns; with more room, they have the others, too.
 */
#define _GNU_SOURCE
#include "print.h"
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

unsigned print_width(FILE *f)
{
	const char *columns = getenv("COLUMNS");
	struct winsize w = { 0 };

	if (columns && atoi(columns) > 0)
		return atoi(columns);
	if (fileno(f) >= 0 && !ioctl(fileno(f), TIOCGWINSZ, &w) && w.ws_col)
		return w.ws_col;
	return UINT_MAX;
}

bool print_narrow(FILE *f)
{
	return print_width(f) < PRINT_TABLE;
}

void print_hanging(FILE *f, const char *first, const char *indent,
		   const char *text)
{
	size_t width =
		print_width(f) < PRINT_TEXT ? print_width(f) : PRINT_TEXT;
	size_t room = width > strlen(indent) + 40 ? width - strlen(indent) : 40;

	for (; *text; first = indent) {
		size_t len = strlen(text);

		if (len > room) {
			len = room;
			while (len && text[len] != ' ')
				len--;
			if (!len)
				len = room;
		}
		fprintf(f, "%s%.*s\n", first, (int)len, text);
		text += len;
		text += *text == ' ';
	}
}

void print_folded(FILE *f, const char *indent, const char *text)
{
	print_hanging(f, indent, indent, text);
}

const char *print_cell(char buf[16], double v)
{
	if (isnan(v))
		return "n/a";
	if (v == 0)
		return "0";
	if (v < 0.001)
		snprintf(buf, 16, "<.001");
	else if (v < 9.9995)
		snprintf(buf, 16, "%.3f", v);
	else if (v < 99.95)
		snprintf(buf, 16, "%.1f", v);
	else
		snprintf(buf, 16, "%.0f", v);
	return buf;
}

void print_failed(FILE *f, int width, const struct model *m,
		  const struct demo_outcome *o)
{
	fprintf(f, "  %-*s %s: %s\n", width, m->name,
		demo_status_names[o->status], o->reason);
}

static void print_settings(FILE *f, const struct demo *d)
{
	char name[32], indent[32];

	fputs("Settings of the models:\n", f);
	snprintf(indent, sizeof(indent), "%17s", "");
	for (unsigned i = 0; i < d->options.nr_models; i++) {
		snprintf(name, sizeof(name), "  %-14s ",
			 d->options.model[i]->name);
		print_hanging(f, name, indent, d->settings[i]);
	}
}

static void print_conditions(FILE *f, const struct demo *d)
{
	const char *tls = NULL;
	char text[400];

	if (d->server_cpu >= 0)
		snprintf(text, sizeof(text),
			 "Servers run on CPU %d, the load generator and the "
			 "backend on CPU %d; keep-alive, the same socket "
			 "options and 4096 bytes of read buffer for all.",
			 d->server_cpu, d->load_cpu);
	else
		snprintf(text, sizeof(text),
			 "One CPU: servers and load share it.");
	print_folded(f, "", text);
	for (unsigned i = 0; i < d->options.nr_models; i++)
		if (model_is(d->options.model[i], MODEL_TLS))
			tls = d->options.model[i]->name;
	snprintf(text, sizeof(text),
		 "All models parse the same minimal HTTP/1.1 on plain TCP "
		 "sockets%s%s%s: models are compared, not HTTP libraries.",
		 tls ? ", " : "", tls ? tls : "", tls ? " over TLS" : "");
	print_folded(f, "", text);
	if (d->options.redis_port) {
		snprintf(text, sizeof(text),
			 "GET /wait asks Redis on port %d (%s): SET and GET of "
			 "a key, over %d connections that all clients of a "
			 "server share.",
			 d->options.redis_port,
			 d->redis_ours ? "started by the demo"
				       : "it was running",
			 BACKEND_POOL);
		print_folded(f, "", text);
	}
	snprintf(text, sizeof(text), "Counted by /proc only: %s",
		 d->why_no_bpf);
	print_folded(f, "",
		     d->counted ? "Counting by BPF slows each system call and "
				  "switch a little; the figures of GET include "
				  "it, no others do."
				: text);
}

static void print_host(FILE *f, const struct demo *d)
{
	const struct demo_host *h = &d->host;
	char versions[600], text[1200];

	fprintf(f, "\nuring_rt: one HTTP service in %u models of concurrency\n",
		d->options.nr_models);
	snprintf(text, sizeof(text), "%s, %ld CPUs (%s), %s, %.1f GB; %s",
		 h->kernel, h->cpus, h->cpu_model, h->hardware, h->memory / 1e9,
		 h->time);
	print_folded(f, "", text);
	print_folded(f, "", demo_versions(h, versions, sizeof(versions)));
	snprintf(text, sizeof(text), "Mitigations: %s", h->mitigations);
	print_folded(f, "", text);
	snprintf(text, sizeof(text),
		 "Limits: pid_max %ld, threads-max %ld, max_map_count %ld; "
		 "cgroup: cpu %s, memory %s, pids %s",
		 h->pid_max, h->threads_max, h->max_map_count, h->cgroup_cpu,
		 h->cgroup_memory, h->cgroup_pids);
	print_folded(f, "", text);
	print_conditions(f, d);
	print_settings(f, d);
}

/* ---- under load ---- */

/* p50, the spread and the threads, if there is room for them. */
static void print_row_head(FILE *f, const struct demo *d,
			   const struct demo_row *r)
{
	long rounds = r->nr_rounds ? (long)r->nr_rounds : d->options.rounds;
	bool narrow = print_narrow(f);
	char title[96];

	fprintf(f,
		"\n%s, closed loop, %ld round%s of %g s\n"
		"  %-11s %8s%s %7s | %44s%s\n"
		"  %-11s %8s%s %7s | %8s %8s %8s %8s %8s%s\n",
		demo_row_title(r, title), rounds, rounds == 1 ? "" : "s",
		d->options.seconds, "", "requests",
		narrow ? "" : "           p50", "p99", "per request          ",
		narrow ? "" : " |", "model", "/s",
		narrow ? "" : "   +-%      ms", "ms", "switches", "syscalls",
		"uring op", "user sw", "CPU us", narrow ? "" : " | threads");
}

static void print_row(FILE *f, const struct demo_row *r)
{
	struct demo_per_request p;
	char b[6][16], spread[16] = "", rps[24];

	if (!demo_ok(&r->outcome)) {
		print_failed(f, 11, r->model, &r->outcome);
		return;
	}
	p = demo_per_request(r);
	if (r->nr_rounds > 1)
		snprintf(spread, sizeof(spread), "%.0f",
			 ROW_SPREAD(r, rps) * 100);
	snprintf(rps, sizeof(rps), "%s%.0f", demo_load_was_limit(r) ? ">" : "",
		 ROW_MEDIAN(r, rps));
	fprintf(f, "  %-11s %8s", r->model->name, rps);
	if (!print_narrow(f))
		fprintf(f, " %5s %7.2f", spread, ROW_MEDIAN(r, p50_ns) / 1e6);
	fprintf(f, " %7.2f | %8s %8s %8s %8s %8s", ROW_MEDIAN(r, p99_ns) / 1e6,
		print_cell(b[0], p.switches), print_cell(b[1], p.syscalls),
		print_cell(b[2], p.uring_ops),
		print_cell(b[3], p.user_switches),
		print_cell(b[4], ROW_MEDIAN(r, cpu_ns) / 1e3));
	if (!print_narrow(f))
		fprintf(f, " | %7ld", r->threads);
	if (r->errors)
		fprintf(f, "  %llu errors", (unsigned long long)r->errors);
	fputc('\n', f);
}

static void print_rows(FILE *f, const struct demo *d)
{
	const struct demo_row *last = NULL;
	char *note, *notes;

	for (unsigned i = 0; i < d->nr_rows; i++) {
		const struct demo_row *r = &d->row[i];

		if (r->outcome.status == DEMO_NOT_RUN)
			continue;
		if (!last || !demo_same_table(last, r))
			print_row_head(f, d, r);
		print_row(f, r);
		last = r;
	}
	if (!last)
		return;
	note = demo_user_note(d);
	if (asprintf(&notes,
		     "switches: of threads, by the kernel. uring op: requests "
		     "to io_uring, which batching hides from the system calls. "
		     "user sw: %s. +-: the furthest round from the median. >: "
		     "the load generator was the limit: the server can do "
		     "more, and CPU us still compares the servers.",
		     note) < 0)
		abort();
	fputc('\n', f);
	print_folded(f, "  ", notes);
	free(notes);
	free(note);
}

static void print_ms(FILE *f, int digits, double ms)
{
	if (isnan(ms))
		fprintf(f, " %7s", "n/a");
	else
		fprintf(f, " %7.*f", digits, ms);
}

static void print_load(FILE *f, const struct demo_row *r)
{
	struct demo_per_request p = demo_per_request(r);
	const struct histogram *h = &r->latency;
	char b[5][16], name[16];

	fprintf(f, "  %-5s", demo_load_name(r->share, name));
	if (!print_narrow(f))
		fprintf(f, " %8.0f", r->rate ? r->rate : ROW_MEDIAN(r, rps));
	fprintf(f, " %8.0f |", ROW_MEDIAN(r, rps));
	if (!print_narrow(f))
		print_ms(f, 2, demo_ms(h, 0.5));
	print_ms(f, 2, demo_ms(h, 0.99));
	print_ms(f, 2, demo_ms(h, 0.999));
	if (!print_narrow(f))
		print_ms(f, 1, demo_ms(h, 1));
	fprintf(f, " | %7s %7s %7s %7s %7s", print_cell(b[0], p.switches),
		print_cell(b[1], p.syscalls), print_cell(b[2], p.uring_ops),
		print_cell(b[3], p.user_switches),
		print_cell(b[4], ROW_MEDIAN(r, cpu_ns) / 1e3));
	if (r->errors)
		fprintf(f, "  %llu errors", (unsigned long long)r->errors);
	fputc('\n', f);
}

static void print_model_loads(FILE *f, const struct demo *d,
			      const struct model *m)
{
	bool head = false;

	for (unsigned i = 0; i < d->options.loads->len; i++) {
		const struct demo_row *r = demo_load(d, m, i);

		if (r && !head)
			fprintf(f, "  %s\n", m->name);
		head |= r != NULL;
		if (r)
			print_load(f, r);
	}
	for (unsigned i = 0; i < d->nr_loads; i++) {
		const struct demo_row *r = &d->load[i];

		if (r->model != m || r->outcome.status == DEMO_NOT_RUN ||
		    demo_ok(&r->outcome))
			continue;
		fprintf(f, "  %s: %s: %s\n", m->name,
			demo_status_names[r->outcome.status],
			r->outcome.reason);
		break;
	}
}

static void print_rung_work(FILE *f, const struct demo_row *r)
{
	struct demo_per_request p = demo_per_request(r);
	char b[3][16];

	fprintf(f, " | %6s %6s %6s", print_cell(b[0], p.switches),
		print_cell(b[1], p.syscalls),
		print_cell(b[2], ROW_MEDIAN(r, cpu_ns) / 1e3));
}

static void print_ladder(FILE *f, const struct demo *d)
{
	struct demo_rung rung[RUNGS_MAX];
	unsigned n = demo_ladder(d, rung);
	char text[200], low[32];

	if (n < 2)
		return;
	fprintf(f, "\nWhat each step buys: GET /, %d connections\n",
		DEMO_LOADS_CONNS);
	snprintf(low, sizeof(low), "at %.0f/s", rung[0].low->rate);
	fprintf(f,
		"  %-14s %15s | %-20s | at full load\n"
		"  %-14s %8s %6s | %6s %6s %6s | %6s %6s %6s\n",
		"", "at full load", low, "model", "/s", "p99 ms", "switch",
		"calls", "CPU us", "switch", "calls", "CPU us");
	for (unsigned i = 0; i < n; i++) {
		const struct demo_row *full = rung[i].full;

		fprintf(f, "  %-14s %8.0f %6.2f", rung[i].model->name,
			ROW_MEDIAN(full, rps), demo_ms(&full->latency, 0.99));
		print_rung_work(f, rung[i].low);
		print_rung_work(f, full);
		fputc('\n', f);
	}
	for (unsigned i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "%s: %s", rung[i].model->name,
			 rung[i].model->step);
		print_folded(f, "  ", text);
	}
}

static void print_loads(FILE *f, const struct demo *d)
{
	bool any = false, narrow = print_narrow(f);
	char text[200];

	for (unsigned i = 0; i < d->nr_loads; i++)
		any |= d->load[i].outcome.status != DEMO_NOT_RUN;
	if (!any)
		return;
	fputc('\n', f);
	snprintf(text, sizeof(text),
		 "Kernel work by load: GET /, %d connections; idle to 90 %% "
		 "are open loops, latencies from when a request was due; full "
		 "is a closed loop",
		 DEMO_LOADS_CONNS);
	print_folded(f, "", text);
	fprintf(f,
		"  %-5s%s %8s |%s %7s %7s%s | %7s %7s %7s %7s %7s\n"
		"  %-5s%s %8s |%s %7s %7s%s | %39s\n",
		"load", narrow ? "" : "    due/s", "done/s",
		narrow ? "" : "     p50", "p99", "p99.9",
		narrow ? "" : "     max", "kernel", "system", "uring", "user",
		"CPU", "", narrow ? "" : "         ", "",
		narrow ? "" : "      ms", "ms", "ms", narrow ? "" : "      ms",
		"switch   calls     ops  switch us/req");
	for (unsigned i = 0; i < d->options.nr_models; i++)
		print_model_loads(f, d, d->options.model[i]);
	print_ladder(f, d);
}

void demo_print_part(FILE *f, const struct demo *d, enum demo_part part)
{
	static void (*const parts[DEMO_PARTS])(FILE *, const struct demo *) = {
		[PART_HOST] = print_host,
		[PART_LOADS] = print_loads,
		[PART_ROWS] = print_rows,
		[PART_SECOND] = print_seconds,
		[PART_HOLDS] = print_holds,
		[PART_BURSTS] = print_bursts,
		[PART_STALLS] = print_stalls,
		[PART_SCALES] = print_scales,
		[PART_CONCLUSIONS] = print_conclusions,
	};

	parts[part](f, d);
}
