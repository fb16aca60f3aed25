// SPDX-License-Identifier: MIT
/* Printing the sums of a timeline; see report.h. */
#define _GNU_SOURCE
#include "report.h"
#include "timeline.h"
#include "../lib/tool.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool is_shown(const struct report_sum *s, enum report_kind kind)
{
	return s->n && s->kind == kind &&
	       (kind != REPORT_THREAD || strcmp(s->what, TIMELINE_RUNNING));
}

static void print_sums(const struct report *r, enum report_kind kind,
		       long lines)
{
	for (unsigned i = 0; i < REPORT_SUMS && lines; i++) {
		const struct report_sum *s = &r->sum[i];
		char what[REPORT_NAME + 16];

		if (!is_shown(s, kind))
			continue;
		snprintf(what, sizeof(what), "%s%s", s->what,
			 s->in_flight ? ", end not seen" : "");
		printf("  %-24s %-26s %9" PRIu64 " %12.3f %12.3f %12.3f",
		       s->track ? s->track->name : "", what, s->n, s->ns / 1e6,
		       s->ns / 1e6 / s->n, s->most_ns / 1e6);
		printf(kind == REPORT_CORO ? "  %s\n" : "\n", s->most_of);
		lines--;
	}
}

static void print_head(const char *title, const char *who)
{
	printf("\n%s\n  %-24s %-26s %9s %12s %12s %12s\n", title, who, "",
	       "times", "total ms", "mean ms", "longest ms");
}

static void print_stalls(const struct report *r, const struct report_stall *s,
			 long lines)
{
	for (int i = 0; i < REPORT_STALLS && i < lines && s[i].ns; i++)
		printf("  %12.3f ms at %10.6f s  %s  %s%s%s\n", s[i].ns / 1e6,
		       (s[i].at_ns - r->first_ns) / 1e9, s[i].who, s[i].what,
		       *s[i].by ? ", woken by " : "", s[i].by);
}

static void print_latency(const char *title, const struct histogram *h)
{
	printf("\n%s: %" PRIu64
	       " times, p50 %.1f us, p99 %.1f us, longest %.1f us\n",
	       title, h->count, histogram_percentile(h, 0.5) / 1e3,
	       histogram_percentile(h, 0.99) / 1e3, h->max / 1e3);
}

static bool any(const struct report *r, enum report_kind kind)
{
	for (unsigned i = 0; i < REPORT_SUMS; i++)
		if (is_shown(&r->sum[i], kind))
			return true;
	return false;
}

static void print_coroutines(const struct report *r, long lines)
{
	if (!any(r, REPORT_CORO) && !r->coro_latency.count)
		return;
	print_head("Coroutines: the objects they waited for", "");
	print_sums(r, REPORT_CORO, lines);
	puts("\nCoroutines: the longest waits");
	print_stalls(r, r->coro_stall, lines);
	print_latency("Coroutines, from being runnable to running",
		      &r->coro_latency);
	if (r->overwritten)
		printf("LOST: %" PRIu64 " events of coroutines were "
		       "overwritten before they were read\n",
		       r->overwritten);
	if (r->untracked)
		printf("%" PRIu64 " events of coroutines are not in these "
		       "tables, for want of tracks (record --coroutines N)\n",
		       r->untracked);
}

void report_print(const struct report *r, const char *path, long lines)
{
	printf("%s: %.3f s, %" PRIu64 " packets, %" PRIu64 " events dropped\n",
	       path, (r->last_ns - r->first_ns) / 1e9, r->packets, r->dropped);
	if (r->cut)
		puts("The file ends in the middle of a packet: the report covers it up to there.");
	print_head("Threads: the causes of their waits", "thread");
	print_sums(r, REPORT_THREAD, lines);
	puts("\nThe longest stalls");
	print_stalls(r, r->stall, lines);
	print_latency("From being woken to running", &r->latency);
	if (r->wakings_missing || r->runs_missing)
		printf("Waits without their wake-up in this file: %" PRIu64
		       ", without their end: %" PRIu64 "\n",
		       r->wakings_missing, r->runs_missing);
	if (any(r, REPORT_REQUEST)) {
		print_head("io_uring requests, from submission to completion",
			   "");
		print_sums(r, REPORT_REQUEST, lines);
	}
	if (r->completed_more)
		printf("%" PRIu64 " more completions, of multishot requests "
		       "or by messages of other rings\n",
		       r->completed_more);
	print_coroutines(r, lines);
	report_print_slow(r, lines);
}

static void json_sums(struct json *j, const struct report *r,
		      enum report_kind kind, const char *name)
{
	json_array(j, name);
	for (unsigned i = 0; i < REPORT_SUMS; i++) {
		const struct report_sum *s = &r->sum[i];

		if (!is_shown(s, kind))
			continue;
		json_object(j, NULL);
		if (s->track)
			json_string(j, "thread", s->track->name);
		json_string(j, "what", s->what);
		json_int(j, "times", s->n);
		json_int(j, "total_ns", s->ns);
		json_int(j, "longest_ns", s->most_ns);
		if (kind == REPORT_REQUEST)
			json_string(j, "ended", s->in_flight ? "no" : "yes");
		if (kind == REPORT_CORO)
			json_string(j, "longest_of", s->most_of);
		json_end_object(j);
	}
	json_end_array(j);
}

static void json_latency(struct json *j, const char *name,
			 const struct histogram *h)
{
	json_object(j, name);
	json_int(j, "count", h->count);
	json_int(j, "p50", histogram_percentile(h, 0.5));
	json_int(j, "p99", histogram_percentile(h, 0.99));
	json_int(j, "max", h->max);
	json_end_object(j);
}

void report_print_json(const struct report *r, const char *path, FILE *slices,
		       FILE *f)
{
	struct json j = { .out = f };

	json_object(&j, NULL);
	json_string(&j, "schema", "urt.report.v1");
	json_string(&j, "file", path);
	json_int(&j, "duration_ns", r->last_ns - r->first_ns);
	json_int(&j, "packets", r->packets);
	json_int(&j, "dropped", r->dropped);
	json_string(&j, "cut", r->cut ? "yes" : "no");
	json_sums(&j, r, REPORT_THREAD, "waits");
	json_sums(&j, r, REPORT_REQUEST, "requests");
	json_int(&j, "completed_more", r->completed_more);
	json_latency(&j, "wake_latency_ns", &r->latency);
	json_int(&j, "wakings_missing", r->wakings_missing);
	json_int(&j, "runs_missing", r->runs_missing);
	json_object(&j, "coroutines");
	json_sums(&j, r, REPORT_CORO, "waits");
	json_latency(&j, "wake_latency_ns", &r->coro_latency);
	json_int(&j, "overwritten", r->overwritten);
	json_int(&j, "untracked", r->untracked);
	json_end_object(&j);
	report_json_slow(&j, r);
	if (slices)
		report_json_slices(&j, r, slices);
	json_end_object(&j);
}
