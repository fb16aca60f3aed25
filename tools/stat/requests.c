// SPDX-License-Identifier: MIT
/*
 * How requests of a row differ: the BPF programs add up what each request does
 * (bpf/span.bpf.h), and this makes histograms of it. A request counts with all its
 * figures, also with those that are 0. So in each row the sum of a figure over the
 * requests is the figure of the row, less the events of records without a span id, if
 * no event was lost.
 *
 * A program chooses its routes, so only the first ROWS have histograms: up to 90 MiB.
 */
#define _GNU_SOURCE
#include "requests.h"
#include "../lib/histogram.h"
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#define ROWS 512

struct figures {
	struct histogram of[URT_OF_SPAN];
};

struct stat_requests {
	struct figures *row[ROWS]; /* from URT_BY_FIRST_ROW on */
	uint64_t left_out;	   /* requests of further rows */
	struct spans_lost lost;
};

static const struct {
	const char *text, *json;
	bool is_time;
} names[] = {
	[URT_OF_SWITCHES] = { "switches", "switches", false },
	[URT_OF_SYSCALLS] = { "system calls", "syscalls", false },
	[URT_OF_SUBMITTED] = { "io_uring", "io_uring", false },
	[URT_OF_FAULTS] = { "faults", "user_page_faults", false },
	[URT_OF_OFF_CPU] = { "off, ms", "off_cpu_ns", true },
	[URT_OF_RUN_DELAY] = { "for CPU, ms", "run_queue_ns", true },
};
static_assert(ARRAY_LEN(names) == URT_OF_SPAN, "each has a name");

struct stat_requests *stat_requests_new(void)
{
	return calloc(1, sizeof(struct stat_requests));
}

void stat_requests_free(struct stat_requests *r)
{
	for (unsigned i = 0; r && i < ROWS; i++)
		free(r->row[i]);
	free(r);
}

static void take(const struct urt_span *s, void *arg)
{
	struct stat_requests *r = arg;
	uint32_t i = s->row - URT_BY_FIRST_ROW;

	if (i < ROWS && !r->row[i])
		r->row[i] = calloc(1, sizeof(*r->row[i]));
	if (i >= ROWS || !r->row[i]) {
		r->left_out++;
		return;
	}
	for (unsigned k = 0; k < URT_OF_SPAN; k++)
		histogram_add(&r->row[i]->of[k], s->n[k]);
}

void stat_requests_take(struct stat_requests *r, struct counter *c, bool all)
{
	if (r && counter_spans(c, all, take, r))
		r->lost = counter_spans_lost(c);
}

/* NULL: it has no requests. */
static const struct figures *of_row(const struct stat_requests *r, uint32_t row)
{
	uint32_t i = row - URT_BY_FIRST_ROW;

	return r && i < ROWS ? r->row[i] : NULL;
}

static void print_figure(FILE *f, const struct histogram *h, bool is_time)
{
	const double p[] = { 0.5, 0.99, 1 };
	double unit = is_time ? 1e6 : 1;

	fprintf(f, "%10" PRIu64 " %12.*f", h->count, is_time ? 3 : 2,
		h->sum / unit / h->count);
	for (unsigned i = 0; i < ARRAY_LEN(p); i++)
		fprintf(f, " %12.*f", is_time ? 3 : 0,
			histogram_percentile(h, p[i]) / unit);
}

void stat_requests_print(FILE *f, const struct stat_requests *r, uint32_t row,
			 const char *name, const char *key, bool *headed)
{
	const struct figures *figures = of_row(r, row);

	for (unsigned k = 0; figures && k < URT_OF_SPAN; k++) {
		const struct histogram *h = &figures->of[k];

		if (!h->max)
			continue;
		if (!*headed)
			fprintf(f,
				"\n%10s %12s %12s %12s %12s  of each request, "
				"by %s\n",
				"requests", "mean", "p50", "p99", "max", key);
		*headed = true;
		print_figure(f, h, names[k].is_time);
		fprintf(f, "  %s: %s\n", name, names[k].text);
	}
}

void stat_requests_print_lost(FILE *f, const struct stat_requests *r)
{
	uint64_t missing = r ? r->left_out + r->lost.missing : 0;

	if (r && (missing || r->lost.again || r->lost.events))
		fprintf(f,
			"Requests: %" PRIu64 " are missing, %" PRIu64
			" or more count twice, and %" PRIu64
			" events are in none.\n",
			missing, r->lost.again, r->lost.events);
}

void stat_requests_json(struct json *j, const struct stat_requests *r,
			uint32_t row, const bool known[URT_OF_SPAN])
{
	const struct figures *figures = of_row(r, row);

	if (!figures) {
		json_null(j, "requests");
		return;
	}
	json_object(j, "requests");
	json_int(j, "count", figures->of[0].count);
	for (unsigned k = 0; k < URT_OF_SPAN; k++) {
		const struct histogram *h = &figures->of[k];

		if (!known[k]) {
			json_null(j, names[k].json);
			continue;
		}
		json_object(j, names[k].json);
		json_int(j, "sum", h->sum);
		json_double(j, "mean", (double)h->sum / h->count);
		json_int(j, "p50", histogram_percentile(h, 0.5));
		json_int(j, "p99", histogram_percentile(h, 0.99));
		json_int(j, "max", h->max);
		json_end_object(j);
	}
	json_end_object(j);
}

void stat_requests_json_lost(struct json *j, const struct stat_requests *r)
{
	json_int(j, "requests_missing", r ? r->left_out + r->lost.missing : 0);
	json_int(j, "requests_counted_twice", r ? r->lost.again : 0);
	json_int(j, "events_in_no_request", r ? r->lost.events : 0);
}
