// SPDX-License-Identifier: MIT
/*
 * Printing requests by route, and the causes of the slowest ones: as text, as
 * members of the JSON document, and as a page, which is that document with a
 * script that draws it.
 */
#define _GNU_SOURCE
#include "report.h"
#include "../lib/embed.h"
#include "../lib/output.h"
#include "../lib/tool.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const state_names[] = { "running", "ready", "waiting" };

static double percent(uint64_t part, uint64_t of)
{
	return of ? 100.0 * part / of : 0;
}

static void print_routes(const struct report *r)
{
	printf("\nRequests\n  %-24s %9s %9s %9s %9s %9s %9s %9s %9s\n", "route",
	       "number", "mean ms", "p50 ms", "p99 ms", "max ms", "running",
	       "ready", "waiting");
	for (int i = 0; i < REPORT_ROUTES && *r->route[i].name; i++) {
		const struct report_route *p = &r->route[i];
		const struct histogram *h = &p->ns;

		printf("  %-24s %9" PRIu64 " %9.3f %9.3f %9.3f %9.3f", p->name,
		       h->count, h->sum / 1e6 / h->count,
		       histogram_percentile(h, 0.5) / 1e6,
		       histogram_percentile(h, 0.99) / 1e6, h->max / 1e6);
		for (int k = 0; k < REPORT_STATES; k++)
			printf(" %7.1f %%", percent(p->state_ns[k], h->sum));
		putchar('\n');
	}
	if (r->requests_cut)
		printf("  %" PRIu64 " more did not end in this file\n",
		       r->requests_cut);
}

static void print_step(const struct report_step *s)
{
	printf("  %10.3f %10.3f  %*s%s  %s%s%s\n", s->at_ns / 1e6, s->ns / 1e6,
	       2 * (int)s->depth, "", s->who, s->what, *s->by ? ", until " : "",
	       s->by);
}

static void print_slow(const struct report *r, long lines)
{
	puts("\nThe slowest requests");
	for (int i = 0; i < REPORT_SLOW && r->slow[i].ns; i++) {
		const struct report_request *q = &r->slow[i];

		printf("  %12.3f ms at %10.6f s  %s  %s%s%s\n", q->ns / 1e6,
		       (q->at_ns - r->first_ns) / 1e9, q->route, q->coro,
		       *q->trace_id ? "  trace " : "", q->trace_id);
	}
	printf("\nThe path of the slowest one (indented: the cause)\n"
	       "  %10s %10s\n",
	       "at ms", "ms");
	for (unsigned i = 0; i < r->slow[0].steps && i < lines; i++)
		print_step(&r->slow[0].step[i]);
	if (r->slow[0].steps > lines)
		printf("  and %ld more steps (-n)\n",
		       (long)r->slow[0].steps - lines);
}

void report_print_slow(const struct report *r, long lines)
{
	if (!*r->route[0].name) {
		puts("\nRequests: n/a: nothing in this file marks them. Programs "
		     "on uring_rt do, by their\ncontexts (urt_context_set in "
		     "urt.h). Of others, this file has the waits of threads;\n"
		     "`urt profile -p PID` prints their stacks, `urt dump -p "
		     "PID` the goroutines of a\nprogram in Go.");
		return;
	}
	print_routes(r);
	print_slow(r, lines);
}

/* ---- JSON ---- */

static void json_states(struct json *j, const uint64_t ns[REPORT_STATES])
{
	char name[32];

	for (int k = 0; k < REPORT_STATES; k++) {
		snprintf(name, sizeof(name), "%s_ns", state_names[k]);
		json_int(j, name, ns[k]);
	}
}

static void json_path(struct json *j, const struct report_request *q)
{
	json_array(j, "path");
	for (unsigned i = 0; i < q->steps; i++) {
		const struct report_step *s = &q->step[i];

		json_object(j, NULL);
		json_int(j, "depth", s->depth);
		json_int(j, "at_ns", s->at_ns);
		json_int(j, "ns", s->ns);
		json_string(j, "who", s->who);
		json_string(j, "what", s->what);
		json_string(j, "until", s->by);
		json_end_object(j);
	}
	json_end_array(j);
	json_int(j, "steps_left_out", q->steps_left_out);
}

void report_json_slow(struct json *j, const struct report *r)
{
	json_array(j, "routes");
	for (int i = 0; i < REPORT_ROUTES && *r->route[i].name; i++) {
		const struct histogram *h = &r->route[i].ns;

		json_object(j, NULL);
		json_string(j, "route", r->route[i].name);
		json_int(j, "count", h->count);
		json_double(j, "mean_ns", (double)h->sum / h->count);
		json_int(j, "p50_ns", histogram_percentile(h, 0.5));
		json_int(j, "p99_ns", histogram_percentile(h, 0.99));
		json_int(j, "max_ns", h->max);
		json_states(j, r->route[i].state_ns);
		json_end_object(j);
	}
	json_end_array(j);
	json_int(j, "requests_cut", r->requests_cut);
	json_array(j, "slowest");
	for (int i = 0; i < REPORT_SLOW && r->slow[i].ns; i++) {
		const struct report_request *q = &r->slow[i];

		json_object(j, NULL);
		json_string(j, "route", q->route);
		json_string(j, "coroutine", q->coro);
		json_string(j, "trace_id", q->trace_id);
		json_int(j, "at_ns", q->at_ns - r->first_ns);
		json_int(j, "ns", q->ns);
		json_states(j, q->state_ns);
		json_path(j, q);
		json_end_object(j);
	}
	json_end_array(j);
}

/* ---- the page ---- */

/* In JSON, '<' occurs in strings only; written in this way, no name can end the
 * script. */
static void put_json(FILE *f, const char *text)
{
	for (; *text; text++)
		if (*text == '<')
			fputs("\\u003c", f);
		else
			fputc(*text, f);
}

bool report_print_page(const struct report *r, const char *path,
		       const char *page)
{
	const char *rest;
	char *json = NULL;
	size_t size;
	FILE *memory = open_memstream(&json, &size), *f = NULL;
	bool ok = false;

	if (memory) {
		report_print_json(r, path, NULL, memory);
		ok = !fclose(memory) && (f = output_open(page));
	}
	if (f) {
		rest = embedded_begin(f, "record/report.html");
		put_json(f, json);
		fputs(rest, f);
		ok = !output_close(f, page);
	}
	free(json);
	return ok;
}
