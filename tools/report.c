// SPDX-License-Identifier: MIT
/*
 * urt report: what a timeline of `urt record` says, as text: who waited on
 * what, the longest stalls, how long threads waited for a CPU once they were
 * woken, and how long io_uring requests took. It reads the file as any reader
 * of Perfetto's format would, packet by packet, and holds sums only; a file
 * that ends in the middle of a packet is read up to there, and that is said.
 */
#define _GNU_SOURCE
#include "histogram.h"
#include "perfetto.pb-c.h"
#include "timeline.h"
#include "tool.h"
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TRACKS	 65536 /* powers of two */
#define SUMS	 65536
#define STALLS	 10
#define PACKET	 (1 << 20) /* larger ones are no packet of ours */
#define NAME_LEN 64

struct track {
	uint64_t uuid; /* 0: a free place */
	bool thread;   /* else a lane of requests */
	char name[NAME_LEN];
	char open[NAME_LEN]; /* the slice it is in; "": none */
	uint64_t since_ns;
};

/* All slices of one name on one track; requests: on all tracks. */
struct sum {
	const struct track *track; /* NULL: a kind of request */
	char what[NAME_LEN];	   /* "": a free place */
	uint64_t n, ns, most_ns;
};

struct stall {
	const struct track *track;
	char what[NAME_LEN], by[NAME_LEN];
	uint64_t at_ns, ns;
};

struct report {
	struct track track[TRACKS];
	struct sum sum[SUMS];
	struct stall stall[STALLS]; /* longest first */
	struct histogram latency;   /* woken until it runs, ns */
	uint64_t first_ns, last_ns, packets, dropped, left_out;
	bool cut; /* the file ends within a packet */
};

static const char usage_text[] =
	"usage: urt report [OPTIONS] [FILE]\n"
	"\n"
	"What a timeline of `urt record` says; FILE: default urt.pftrace.\n"
	"\n"
	"  -n, --lines N   of each table; default 20\n"
	"      --json      one JSON document (schema urt.report.v1)\n";

/* ---- tables ---- */

static struct track *track_of(struct report *r, uint64_t uuid)
{
	uint64_t at = uuid * UINT64_C(0x9e3779b97f4a7c15) >> 40;

	for (unsigned i = 0; i < TRACKS; i++) {
		struct track *t = &r->track[(at + i) % TRACKS];

		if (!t->uuid)
			t->uuid = uuid;
		if (t->uuid == uuid)
			return t;
	}
	r->left_out++;
	return NULL;
}

static struct sum *sum_of(struct report *r, const struct track *t,
			  const char *what)
{
	uint64_t at = t ? t->uuid : 0;

	for (const char *c = what; *c; c++)
		at = at * 31 + *c;
	for (unsigned i = 0; i < SUMS; i++) {
		struct sum *s = &r->sum[(at + i) % SUMS];

		if (!*s->what) {
			s->track = t;
			snprintf(s->what, NAME_LEN, "%s", what);
		}
		if (s->track == t && !strcmp(s->what, what))
			return s;
	}
	r->left_out++;
	return NULL;
}

/* ---- reading ---- */

static void describe(struct report *r, const Urt__TrackDescriptor *d)
{
	struct track *t = track_of(r, d->uuid);

	if (!t)
		return;
	t->thread = d->thread != NULL;
	if (d->thread)
		snprintf(t->name, NAME_LEN, "%.40s (%" PRId64 ")",
			 d->thread->thread_name ? d->thread->thread_name : "",
			 d->thread->tid);
	else if (d->name)
		snprintf(t->name, NAME_LEN, "%s", d->name);
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

static void keep_stall(struct report *r, const struct stall *s)
{
	int at = STALLS;

	while (at && r->stall[at - 1].ns < s->ns)
		at--;
	if (at == STALLS)
		return;
	memmove(&r->stall[at + 1], &r->stall[at],
		(STALLS - 1 - at) * sizeof(*s));
	r->stall[at] = *s;
}

/* next: the slice that begins as this one ends, or NULL. */
static void end_slice(struct report *r, struct track *t, uint64_t ns,
		      const Urt__TrackEvent *next)
{
	const Urt__DebugAnnotation *by =
		next ? note(next, TIMELINE_WOKEN_BY) : NULL;
	struct stall stall = { .track = t, .at_ns = t->since_ns };
	struct sum *s;

	if (!*t->open || ns < t->since_ns)
		return;
	stall.ns = ns - t->since_ns;
	snprintf(stall.what, NAME_LEN, "%s", t->open);
	snprintf(stall.by, NAME_LEN, "%s",
		 by && by->string_value ? by->string_value : "");
	if (t->thread && strcmp(t->open, TIMELINE_RUNNING))
		keep_stall(r, &stall);
	s = sum_of(r, t->thread ? t : NULL, t->open);
	*t->open = '\0';
	if (!s)
		return;
	s->n++;
	s->ns += stall.ns;
	if (stall.ns > s->most_ns)
		s->most_ns = stall.ns;
}

static void event(struct report *r, uint64_t ns, const Urt__TrackEvent *e,
		  const Urt__TrackEvent *next)
{
	struct track *t = track_of(r, e->track_uuid);
	const Urt__DebugAnnotation *n;

	if (!r->first_ns || ns < r->first_ns)
		r->first_ns = ns;
	if (ns > r->last_ns)
		r->last_ns = ns;
	if ((n = note(e, TIMELINE_DROPPED)))
		r->dropped += n->uint_value;
	if (!t)
		return;
	if (e->type == URT__TRACK_EVENT__TYPE__SLICE_END) {
		end_slice(r, t, ns, next);
	} else if (e->type == URT__TRACK_EVENT__TYPE__SLICE_BEGIN) {
		snprintf(t->open, NAME_LEN, "%s", e->name ? e->name : "?");
		t->since_ns = ns;
		if ((n = note(e, TIMELINE_LATENCY)))
			histogram_add(&r->latency, n->uint_value);
	}
}

/* The next packet, or NULL: the end. */
static Urt__TracePacket *next_packet(struct report *r, FILE *f)
{
	static uint8_t buf[PACKET];
	Urt__TracePacket *p;
	size_t size = 0;
	int c = getc(f), shift = 0;

	if (c == EOF)
		return NULL;
	r->cut = true;
	if (c != 0x0a)
		return NULL;
	do {
		c = getc(f);
		if (c == EOF || shift > 28)
			return NULL;
		size |= (size_t)(c & 0x7f) << shift;
		shift += 7;
	} while (c & 0x80);
	if (size > PACKET || fread(buf, 1, size, f) != size)
		return NULL;
	p = urt__trace_packet__unpack(NULL, size, buf);
	if (p)
		r->cut = false;
	return p;
}

/* A thread's slice ends where its next begins: one packet is looked ahead. */
static void read_all(struct report *r, FILE *f)
{
	Urt__TracePacket *p = next_packet(r, f), *next;

	for (; p; p = next) {
		const Urt__TrackEvent *then = NULL;

		next = next_packet(r, f);
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
}

/* ---- printing ---- */

static int longest_first(const void *a, const void *b)
{
	const struct sum *x = a, *y = b;

	return (x->ns < y->ns) - (x->ns > y->ns);
}

static bool is_wait(const struct sum *s)
{
	return *s->what && s->track && strcmp(s->what, TIMELINE_RUNNING);
}

static void print_sum(const struct sum *s, const char *who)
{
	printf("  %-24s %-26s %9" PRIu64 " %12.3f %12.3f %12.3f\n", who,
	       s->what, s->n, s->ns / 1e6, s->ns / 1e6 / s->n,
	       s->most_ns / 1e6);
}

static void print_sums(const struct report *r, bool waits, long lines)
{
	for (unsigned i = 0; i < SUMS && lines; i++) {
		const struct sum *s = &r->sum[i];

		if (!s->n || (waits ? !is_wait(s) : s->track != NULL))
			continue;
		print_sum(s, waits ? s->track->name : "");
		lines--;
	}
}

static void print_text(const struct report *r, const char *path, long lines)
{
	const struct histogram *h = &r->latency;

	printf("%s: %.3f s, %" PRIu64 " packets, %" PRIu64 " events dropped\n",
	       path, (r->last_ns - r->first_ns) / 1e9, r->packets, r->dropped);
	if (r->cut)
		puts("The file ends in the middle of a packet: what follows is "
		     "up to there.");
	printf("\nWho waited on what\n  %-24s %-26s %9s %12s %12s %12s\n",
	       "thread", "", "times", "total ms", "mean ms", "longest ms");
	print_sums(r, true, lines);
	puts("\nThe longest stalls");
	for (int i = 0; i < STALLS && r->stall[i].ns; i++)
		printf("  %12.3f ms at %10.6f s  %s  %s%s%s\n",
		       r->stall[i].ns / 1e6,
		       (r->stall[i].at_ns - r->first_ns) / 1e9,
		       r->stall[i].track->name, r->stall[i].what,
		       *r->stall[i].by ? ", woken by " : "", r->stall[i].by);
	printf("\nFrom being woken to running: %" PRIu64
	       " times, p50 %.1f us, p99 %.1f us, longest %.1f us\n",
	       h->count, histogram_percentile(h, 0.5) / 1e3,
	       histogram_percentile(h, 0.99) / 1e3, h->max / 1e3);
	printf("\nio_uring requests, from submission to completion\n");
	print_sums(r, false, lines);
}

static void json_sums(struct json *j, const struct report *r, bool waits)
{
	json_array(j, waits ? "waits" : "requests");
	for (unsigned i = 0; i < SUMS; i++) {
		const struct sum *s = &r->sum[i];

		if (!s->n || (waits ? !is_wait(s) : s->track != NULL))
			continue;
		json_object(j, NULL);
		if (waits)
			json_string(j, "thread", s->track->name);
		json_string(j, "what", s->what);
		json_int(j, "times", s->n);
		json_int(j, "total_ns", s->ns);
		json_int(j, "longest_ns", s->most_ns);
		json_end_object(j);
	}
	json_end_array(j);
}

static void print_json(const struct report *r)
{
	struct json j = { .out = stdout };

	json_object(&j, NULL);
	json_string(&j, "schema", "urt.report.v1");
	json_int(&j, "duration_ns", r->last_ns - r->first_ns);
	json_int(&j, "packets", r->packets);
	json_int(&j, "dropped", r->dropped);
	json_string(&j, "cut", r->cut ? "yes" : "no");
	json_sums(&j, r, true);
	json_sums(&j, r, false);
	json_object(&j, "wake_latency_ns");
	json_int(&j, "count", r->latency.count);
	json_int(&j, "p50", histogram_percentile(&r->latency, 0.5));
	json_int(&j, "p99", histogram_percentile(&r->latency, 0.99));
	json_int(&j, "max", r->latency.max);
	json_end_object(&j);
	json_end_object(&j);
}

int cmd_report(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "lines", required_argument, NULL, 'n' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	static struct report r;
	const char *path = "urt.pftrace";
	bool json = false;
	long lines = 20;
	FILE *f;
	int opt;

	while ((opt = getopt_long(argc, argv, "n:h", longs, NULL)) != -1) {
		if (opt == 'h') {
			fputs(usage_text, stdout);
			return 0;
		}
		if (opt == 'j')
			json = true;
		else if (opt != 'n')
			return fail("`urt report --help` lists the options");
		else if (!parse_number("-n", optarg, 1, SUMS, &lines))
			return EXIT_BAD;
	}
	if (optind < argc)
		path = argv[optind++];
	if (optind < argc)
		return fail("report: \"%s\" is too much", argv[optind]);
	f = fopen(path, "re");
	if (!f)
		return fail("cannot read %s: %s", path, strerror(errno));
	read_all(&r, f);
	fclose(f);
	if (!r.packets)
		return fail("%s is no timeline of urt record", path);
	qsort(r.sum, SUMS, sizeof(*r.sum), longest_first);
	if (json)
		print_json(&r);
	else
		print_text(&r, path, lines);
	return 0;
}
