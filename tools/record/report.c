// SPDX-License-Identifier: MIT
/*
 * urt report summarises a timeline of `urt record` as text: the causes of each
 * thread's waits, the longest stalls, how long threads waited for a CPU once
 * they were woken, how long io_uring requests took, and the same for
 * coroutines. It reads the file as any reader of Perfetto's format would,
 * packet by packet, and holds sums only; a file that ends in the middle of a
 * packet is read up to there, and a message says so. The slowest requests of a
 * program that sets contexts are explained step by step (report_path.c), for
 * which the file is read again.
 */
#define _GNU_SOURCE
#include "report.h"
#include "timeline.h"
#include "timeline_read.h"
#include "../lib/text.h"
#include "../lib/options.h"
#include "../lib/tool.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- tables ---- */

/* Places that are tried: a full table would be searched for each packet. */
#define TRIES 256

static struct report_track *track_of(struct report *r, uint64_t uuid)
{
	uint64_t at = uuid * UINT64_C(0x9e3779b97f4a7c15) >> 40;

	for (unsigned i = 0; i < TRIES; i++) {
		struct report_track *t = &r->track[(at + i) % REPORT_TRACKS];

		if (!t->uuid)
			t->uuid = uuid;
		if (t->uuid == uuid)
			return t;
	}
	r->left_out++;
	return NULL;
}

static struct report_sum *sum_of(struct report *r, const struct report_track *t,
				 bool in_flight)
{
	const struct report_track *own = t->kind == REPORT_THREAD ? t : NULL;
	uint64_t at = (own ? own->uuid : t->kind) + in_flight;

	for (const char *c = t->open; *c; c++)
		at = at * 31 + *c;
	for (unsigned i = 0; i < TRIES; i++) {
		struct report_sum *s = &r->sum[(at + i) % REPORT_SUMS];

		if (!*s->what) {
			s->kind = t->kind;
			s->track = own;
			s->in_flight = in_flight;
			snprintf(s->what, REPORT_NAME, "%s", t->open);
		}
		if (s->kind == t->kind && s->track == own &&
		    s->in_flight == in_flight && !strcmp(s->what, t->open))
			return s;
	}
	r->left_out++;
	return NULL;
}

/* ---- reading ---- */

/* A file may come from any user. */
static void keep_name(char to[REPORT_NAME], const char *name)
{
	text_copy(to, REPORT_NAME, name, REPORT_NAME - 1);
}

static void describe(struct report *r, const Urt__TrackDescriptor *d)
{
	struct report_track *t = track_of(r, d->uuid);

	if (!t)
		return;
	t->thread = d->thread != NULL;
	t->parent = d->parent_uuid;
	if (d->thread)
		snprintf(t->name, REPORT_NAME, "%.40s (%" PRId64 ")",
			 d->thread->thread_name ? d->thread->thread_name : "",
			 d->thread->tid);
	else if (d->name)
		keep_name(t->name, d->name);
	text_clean(t->name);
}

static const Urt__DebugAnnotation *note(const Urt__TrackEvent *e,
					const char *name)
{
	for (size_t i = 0; i < e->n_debug_annotations; i++)
		if (e->debug_annotations[i]->name &&
		    !strcmp(e->debug_annotations[i]->name, name))
			return e->debug_annotations[i];
	return NULL;
}

static uint64_t value(const Urt__TrackEvent *e, const char *name)
{
	const Urt__DebugAnnotation *n = note(e, name);

	return n ? n->uint_value : 0;
}

static bool is(const Urt__TrackEvent *e, const char *category)
{
	return e->n_categories && !strcmp(e->categories[0], category);
}

static void keep_stall(struct report_stall *list, const struct report_stall *s)
{
	int at = REPORT_STALLS;

	while (at && list[at - 1].ns < s->ns)
		at--;
	if (at == REPORT_STALLS)
		return;
	memmove(&list[at + 1], &list[at],
		(REPORT_STALLS - 1 - at) * sizeof(*s));
	list[at] = *s;
}

/* by: the thread that ended it, or NULL. */
static void keep_wait(struct report *r, const struct report_track *t,
		      uint64_t ns, const char *by)
{
	struct report_stall s = { .at_ns = t->since_ns,
				  .ns = ns - t->since_ns };

	if (!strcmp(t->open, TIMELINE_RUNNING))
		return;
	snprintf(s.who, REPORT_NAME, "%s", t->name);
	snprintf(s.what, REPORT_NAME, "%s", t->open);
	keep_name(s.by, by ? by : "");
	keep_stall(t->kind == REPORT_THREAD ? r->stall : r->coro_stall, &s);
}

/* e: its end. next: the slice that begins as this one ends, or NULL. */
static void end_slice(struct report *r, struct report_track *t, uint64_t ns,
		      const Urt__TrackEvent *e, const Urt__TrackEvent *next)
{
	const Urt__DebugAnnotation *by =
		next ? note(next, TIMELINE_WOKEN_BY) : NULL;
	struct report_sum *s;

	if (!*t->open || ns < t->since_ns)
		return;
	t->waited =
		t->kind == REPORT_THREAD && strcmp(t->open, TIMELINE_RUNNING);
	report_request_slice(t, ns);
	if (t->state == REPORT_READY && next && is(next, TIMELINE_CORO_RUN))
		histogram_add(&r->coro_latency, ns - t->since_ns);
	if (r->on_slice)
		r->on_slice(r->on_slice_arg, t, ns,
			    by ? by->string_value : NULL);
	if (t->kind == REPORT_THREAD || t->kind == REPORT_CORO)
		keep_wait(r, t, ns, by ? by->string_value : NULL);
	s = t->kind == REPORT_OTHER ? NULL
				    : sum_of(r, t, note(e, TIMELINE_IN_FLIGHT));
	*t->open = '\0';
	if (!s)
		return;
	s->n++;
	s->ns += ns - t->since_ns;
	if (ns - t->since_ns > s->most_ns) {
		s->most_ns = ns - t->since_ns;
		snprintf(s->most_of, REPORT_NAME, "%s", t->name);
	}
}

static void begin_slice(struct report *r, struct report_track *t, uint64_t ns,
			const Urt__TrackEvent *e)
{
	const char *name = e->name ? e->name : "?";
	bool runs = is(e, TIMELINE_CORO_RUN);

	if (is(e, TIMELINE_LIFE)) {
		keep_name(t->name, name);
		return;
	}
	keep_name(t->open, name);
	t->since_ns = ns;
	t->flow = e->n_flow_ids ? e->flow_ids[0] : 0;
	t->worker = value(e, "worker");
	t->state = is(e, TIMELINE_CORO_WAIT)  ? REPORT_WAITS
		   : runs		      ? REPORT_RUNS
		   : is(e, TIMELINE_RUNNABLE) ? REPORT_READY
					      : REPORT_STATES;
	if (is(e, TIMELINE_CORO_WAIT))
		t->kind = REPORT_CORO;
	else if (runs || is(e, TIMELINE_RUNNABLE))
		t->kind = REPORT_OTHER;
	else
		t->kind = t->thread ? REPORT_THREAD : REPORT_REQUEST;
	if (t->waited && strcmp(name, TIMELINE_RUNNING))
		r->runs_missing++;
	else if (t->waited && !note(e, TIMELINE_LATENCY))
		r->wakings_missing++;
	t->waited = false;
	if (t->kind == REPORT_THREAD && note(e, TIMELINE_LATENCY))
		histogram_add(&r->latency, value(e, TIMELINE_LATENCY));
}

static void event(struct report *r, uint64_t ns, const Urt__TrackEvent *e,
		  const Urt__TrackEvent *next)
{
	struct report_track *t = track_of(r, e->track_uuid);
	const Urt__DebugAnnotation *trace = note(e, TIMELINE_TRACE_ID);

	if (!r->first_ns || ns < r->first_ns)
		r->first_ns = ns;
	if (ns > r->last_ns)
		r->last_ns = ns;
	r->dropped += value(e, TIMELINE_DROPPED);
	r->overwritten += value(e, TIMELINE_OVERWRITTEN);
	r->untracked += value(e, TIMELINE_UNTRACKED);
	if (!t)
		return;
	if (e->type == URT__TRACK_EVENT__TYPE__SLICE_END)
		end_slice(r, t, ns, e, next);
	else if (e->type == URT__TRACK_EVENT__TYPE__SLICE_BEGIN)
		begin_slice(r, t, ns, e);
	else if (is(e, TIMELINE_MORE))
		r->completed_more++;
	else if (is(e, TIMELINE_REQUEST))
		report_request_begins(
			r, t, ns, value(e, TIMELINE_REQUEST_NUMBER),
			e->name ? e->name : "",
			trace && trace->string_value ? trace->string_value
						     : "");
	else if (is(e, TIMELINE_REQUEST_END))
		report_request_ends(r, t, ns,
				    value(e, TIMELINE_REQUEST_NUMBER));
}

/* A thread's slice ends where its next one begins: this looks one packet
 * ahead. */
void report_read(struct report *r, FILE *f)
{
	struct timeline_reader from;
	Urt__TracePacket *p, *next;

	p = timeline_reader_open(&from, f) ? timeline_next(&from) : NULL;
	for (; p; p = next) {
		const Urt__TrackEvent *then = NULL;

		next = timeline_next(&from);
		r->packets++;
		if (next && next->track_event && p->track_event &&
		    next->track_event->track_uuid == p->track_event->track_uuid)
			then = next->track_event;
		if (p->track_descriptor)
			describe(r, p->track_descriptor);
		if (p->track_event)
			event(r, p->timestamp, p->track_event, then);
		urt__trace_packet__free_unpacked(p, NULL);
	}
	r->cut = from.cut;
	timeline_reader_close(&from);
	report_requests_free(r);
}

/* ---- the command ---- */

static int longest_first(const void *a, const void *b)
{
	const struct report_sum *x = a, *y = b;

	return (x->ns < y->ns) - (x->ns > y->ns);
}

struct choice {
	bool json, slices;
	const char *page;
	long lines;
};

#define TO(field) OPTION_TO(struct choice, field)

static const struct option_row rows[] = {
	{ .letter = 'n',
	  .name = "lines",
	  .argument = "N",
	  .kind = OPTION_NUMBER,
	  TO(lines),
	  .min = 1,
	  .max = REPORT_SUMS,
	  .text = "Print N lines of each table; default 20." },
	{ OPTION_JSON("urt.report.v1"), TO(json) },
	{ .name = "slices",
	  .kind = OPTION_FLAG,
	  TO(slices),
	  .text = "Print one JSON document, as --json, with each slice of each thread, coroutine and io_uring request." },
	{ .name = "html",
	  .argument = "PAGE",
	  .kind = OPTION_TEXT,
	  TO(page),
	  .text = "Also write one page, which needs no network, to the file PAGE: requests by route, and the critical paths of the slowest ones." },
};

const struct command command_report = {
	.name = "report",
	.run = cmd_report,
	.what = "summarise a timeline as text",
	.usage = "[OPTIONS] [FILE]",
	.about =
		"Summarises a timeline of `urt record`. FILE defaults to urt.pftrace.",
	OPTIONS(rows),
};

int cmd_report(int argc, char **argv)
{
	static struct report r;
	struct choice c = { .lines = 20 };
	const char *path = "urt.pftrace";
	int first = options_parse(&command_report, argc, argv, &c);
	FILE *f;

	if (first < 0)
		return EXIT_BAD;
	if (first < argc)
		path = argv[first++];
	if (first < argc)
		return fail("report: unexpected argument \"%s\"", argv[first]);
	f = fopen(path, "re");
	if (!f)
		return fail("cannot read %s: %s", path, strerror(errno));
	report_read(&r, f);
	if (r.packets)
		report_paths(&r, f);
	if (!r.packets) {
		fclose(f);
		return fail(
			"%s is not a timeline: give a file that `urt record` wrote",
			path);
	}
	qsort(r.sum, REPORT_SUMS, sizeof(*r.sum), longest_first);
	if (c.json || c.slices)
		report_print_json(&r, path, c.slices ? f : NULL, stdout);
	else
		report_print(&r, path, c.lines);
	fclose(f);
	if (c.page && !report_print_page(&r, path, c.page))
		return EXIT_BAD;
	return 0;
}
