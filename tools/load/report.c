// SPDX-License-Identifier: MIT
/* Showing what `urt load` measured: text, JSON, HdrHistogram's format. */
#define _GNU_SOURCE
#include "report.h"
#include "../lib/output.h"
#include "../lib/tool.h"
#include <math.h>
#include <string.h>

/* Above this share of a CPU, a generator counts as the limit. */
#define BUSY 0.95

static const struct {
	const char *name; /* in JSON */
	double share;	  /* of the requests */
} percentiles[] = {
	{ "p50", 0.5 },	   { "p90", 0.9 },	{ "p99", 0.99 },
	{ "p999", 0.999 }, { "p9999", 0.9999 },
};

static double ratio(double a, double b)
{
	return b > 0 ? a / b : 0;
}

/* Those that were answered. */
static uint64_t requests(const struct load_result *r)
{
	return r->sum.latency.count - r->sum.charged;
}

/* One bar per row of the histogram, which is a power of two. */
static void print_histogram(const struct histogram *h)
{
	for (unsigned row = 6; row < HISTOGRAM_ROWS; row++) {
		uint64_t n = 0;
		int width;

		for (unsigned i = 0; i < HISTOGRAM_PARTS; i++)
			n += h->part[row * HISTOGRAM_PARTS + i];
		if (!n)
			continue;
		width = n * 40 / h->count;
		printf("%12.1f us to %10.1f us %10llu %.*s\n",
		       (64ull << (row - 1)) / 1e3, (64ull << row) / 1e3,
		       (unsigned long long)n, width ? width : 1,
		       "########################################");
	}
}

/* A latency; without any answer, there is none. */
static void print_us(const struct histogram *h, double ns, const char *what)
{
	if (h->count)
		printf("%12.1f us %s\n", ns / 1e3, what);
	else
		printf("%12s us %s\n", "n/a", what);
}

static void print_latency(const struct histogram *h)
{
	char what[24];

	for (unsigned i = 0; i < ARRAY_LEN(percentiles); i++) {
		snprintf(what, sizeof(what), "at %g %%",
			 percentiles[i].share * 100);
		print_us(h, histogram_percentile(h, percentiles[i].share),
			 what);
	}
	print_us(h, h->max, "at most");
	print_histogram(h);
}

static void print_loop(const struct load_result *r)
{
	const struct load_shared *s = &r->sum;

	if (!r->load.rate) {
		puts("closed loop: latencies of a server loaded to its limit; "
		     "stalls hold the load back");
		return;
	}
	printf("open loop, %g requests/s due; latencies from when a request "
	       "was due\n(coordinated omission corrected)\n",
	       r->load.rate);
	if (s->late_count)
		printf("%12.1f us late on average was the generator itself, "
		       "%.1f us at most\n",
		       s->late_sum_ns / 1e3 / s->late_count,
		       s->late_max_ns / 1e3);
}

void load_print_text(const struct load_result *r)
{
	const struct load_shared *s = &r->sum;

	print_loop(r);
	if (*s->tls)
		printf("%s; certificates were not verified\n", s->tls);
	printf("%12.0f requests/s\n", ratio(requests(r), r->wall));
	printf("%12llu requests, %llu errors, in %.2f s, %ld connections\n",
	       (unsigned long long)requests(r), (unsigned long long)s->errors,
	       r->wall, r->load.connections);
	print_latency(&s->latency);
	printf("%11.0f%% of a CPU for %s\n", r->cpu * 100,
	       r->threads > 1 ? "the busiest generator" : "the generator");
	if (r->interrupted)
		puts("interrupted: these are the results so far");
}

void load_warn(const struct load_result *r)
{
	const struct load_shared *s = &r->sum;

	if (r->cpu > BUSY)
		fprintf(stderr,
			"urt: warning: the generator used all of its CPU: the "
			"server may be faster than this; try more "
			"--threads\n");
	if (s->unanswered > s->latency.count / 100 + 1)
		fprintf(stderr,
			"urt: warning: %llu requests were due but not answered "
			"at the end: the server is slower than the rate; their latencies are the time that they have waited so far\n",
			(unsigned long long)s->unanswered);
	if (s->no_length)
		fprintf(stderr, "urt: warning: answers without Content-Length "
				"cannot be read\n");
	if (r->gave_up)
		fprintf(stderr, "urt: warning: the server stopped answering; "
				"the figures end there "
				"(--timeout)\n");
}

/* ---- JSON ---- */

static void json_latency(struct json *j, const struct histogram *h)
{
	json_object(j, "latency_ns");
	for (unsigned i = 0; i < ARRAY_LEN(percentiles); i++)
		json_int_or_null(j, percentiles[i].name,
				 histogram_percentile(h, percentiles[i].share),
				 h->count);
	json_int_or_null(j, "max", h->max, h->count);
	json_double(j, "mean", h->count ? h->sum / (double)h->count : NAN);
	json_end_object(j);
	json_array(j, "histogram");
	for (unsigned i = 0; i < HISTOGRAM_ROWS * HISTOGRAM_PARTS; i++) {
		if (!h->part[i])
			continue;
		json_object(j, NULL);
		json_int(j, "up_to_ns", histogram_upper(i));
		json_int(j, "count", h->part[i]);
		json_end_object(j);
	}
	json_end_array(j);
}

static void json_late(struct json *j, const struct load_shared *s)
{
	if (!s->late_count) {
		json_null(j, "late_ns");
		return;
	}
	json_object(j, "late_ns");
	json_double(j, "mean", ratio(s->late_sum_ns, s->late_count));
	json_int(j, "max", s->late_max_ns);
	json_end_object(j);
}

void load_print_json(const struct load_result *r)
{
	const struct load_shared *s = &r->sum;
	struct json j = { .out = stdout };

	json_object(&j, NULL);
	json_string(&j, "schema", "urt.load.v1");
	json_int(&j, "requests", requests(r));
	json_int(&j, "answered", s->completed);
	json_int(&j, "errors", s->errors);
	json_int(&j, "wall_ns", r->wall * 1e9);
	json_double(&j, "rps", ratio(requests(r), r->wall));
	json_string(&j, "loop", r->load.rate ? "open" : "closed");
	json_double(&j, "rate", r->load.rate ? r->load.rate : NAN);
	json_int(&j, "connections", r->load.connections);
	json_int(&j, "threads", r->threads);
	json_string(&j, "tls", *s->tls ? s->tls : NULL);
	json_int(&j, "connect_ns", r->connect_ns);
	json_int(&j, "unanswered", s->unanswered);
	json_late(&j, s);
	json_double(&j, "generator_cpu", r->cpu);
	json_string(&j, "interrupted", r->interrupted ? "yes" : "no");
	json_latency(&j, &s->latency);
	json_end_object(&j);
}

/* ---- HdrHistogram ---- */

#define TICKS_PER_HALF 5 /* lines for each halving of the rest */

static double deviation_ms(const struct histogram *h, double mean)
{
	double sum = 0;

	for (unsigned i = 0; i < HISTOGRAM_ROWS * HISTOGRAM_PARTS; i++) {
		double d = histogram_upper(i) / 1e6 - mean;

		sum += h->part[i] * d * d;
	}
	return sqrt(ratio(sum, h->count));
}

/* The number of values that are at most v. */
static uint64_t count_up_to(const struct histogram *h, uint64_t v)
{
	uint64_t n = 0;

	for (unsigned i = 0; i <= histogram_index(v); i++)
		n += h->part[i];
	return n;
}

static void print_hdr(FILE *f, const struct histogram *h)
{
	double mean = ratio(h->sum, h->count) / 1e6, p = 0;

	fprintf(f, "%12s %14s %10s %14s\n\n", "Value", "Percentile",
		"TotalCount", "1/(1-Percentile)");
	for (; h->count; p += (1 - p) / (2 * TICKS_PER_HALF)) {
		uint64_t v = histogram_percentile(h, p);
		uint64_t n = count_up_to(h, v);

		if (n >= h->count)
			break;
		fprintf(f, "%12.3f %2.12f %10llu %14.2f\n", v / 1e6, p,
			(unsigned long long)n, 1 / (1 - p));
	}
	fprintf(f, "%12.3f %2.12f %10llu\n", h->max / 1e6, 1.0,
		(unsigned long long)h->count);
	fprintf(f, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", mean,
		deviation_ms(h, mean));
	fprintf(f, "#[Max     = %12.3f, Total count    = %12llu]\n",
		h->max / 1e6, (unsigned long long)h->count);
	fprintf(f, "#[Buckets = %12d, SubBuckets     = %12d]\n", HISTOGRAM_ROWS,
		HISTOGRAM_PARTS);
}

int load_write_hdr(const char *path, const struct histogram *h)
{
	FILE *f = output_open(path);

	if (!f)
		return EXIT_BAD;
	print_hdr(f, h);
	return output_close(f, path);
}
