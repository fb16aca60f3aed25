// SPDX-License-Identifier: MIT
/*
 * The tracks lie in an array of fixed size, found by a hash of run and
 * coroutine, chained. Free ones are a stack, so that the last one used is used
 * next and few tracks are drawn. A free one of another process becomes a new
 * track, since a track stays below its process.
 *
 * Time never goes back on a track: last_ns.
 *
 * A request is a stretch of a life in which the coroutine has one context. Each
 * has a number; coroutines that are started in it inherit it. If one in N is
 * drawn, all other lanes are hidden: known, but not written. The program chooses them
 * (base/trace.h); if it is older, or another tool reads all its events, requests are
 * counted here.
 */
#define _GNU_SOURCE
#include "timeline_lane.h"
#include "timeline.h"
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

bool lanes_init(struct lanes *t, struct timeline_file *out, unsigned n,
		unsigned sample)
{
	*t = (struct lanes){ .out = out, .free = NONE, .sample = sample };
	if (!n)
		return true;
	for (t->buckets = 1; t->buckets < n;)
		t->buckets *= 2;
	t->lane = calloc(n, sizeof(*t->lane));
	t->bucket = malloc(t->buckets * sizeof(*t->bucket));
	if (!t->lane || !t->bucket) {
		lanes_destroy(t);
		return false;
	}
	memset(t->bucket, 0xff, t->buckets * sizeof(*t->bucket));
	for (t->n = n; n--; t->free = n)
		t->lane[n].next = t->free;
	return true;
}

void lanes_destroy(struct lanes *t)
{
	free(t->lane);
	free(t->bucket);
}

static uint32_t *bucket_of(const struct lanes *t, unsigned run, uint64_t coro)
{
	uint64_t h =
		(coro + ((uint64_t)run << 32)) * UINT64_C(0x9e3779b97f4a7c15);

	return &t->bucket[(h >> 32) & (t->buckets - 1)];
}

struct lane *lane_find(const struct lanes *t, unsigned run, uint64_t coro)
{
	uint32_t i = t->n ? *bucket_of(t, run, coro) : NONE;

	while (i != NONE && (t->lane[i].coro != coro || t->lane[i].run != run))
		i = t->lane[i].next;
	return i == NONE ? NULL : &t->lane[i];
}

static void name_track(struct lanes *t, struct lane *l, pid_t pid)
{
	Urt__TrackDescriptor d = URT__TRACK_DESCRIPTOR__INIT;

	l->uuid = timeline_uuid(TIMELINE_COROUTINE, ++t->uuids);
	l->last_ns = 0;
	d.uuid = l->uuid;
	d.name = "coroutines";
	d.has_parent_uuid = true;
	d.parent_uuid = timeline_process(pid);
	timeline_describe(t->out, &d);
}

/* Draws its life from now on. */
static void show(struct lanes *t, struct lane *l, uint64_t ns)
{
	struct timeline_mark m = { .type = URT__TRACK_EVENT__TYPE__SLICE_BEGIN,
				   .category = TIMELINE_LIFE,
				   .track = l->uuid,
				   .name = l->name };

	m.ns = l->last_ns = ns > l->last_ns ? ns : l->last_ns;
	timeline_mark(t->out, &m);
	l->hidden = false;
}

struct lane *lane_begin(struct lanes *t, unsigned run, pid_t pid, uint64_t coro,
			const char *name, uint64_t ns)
{
	uint32_t *bucket;
	struct lane *l;

	if (t->free == NONE) {
		t->missed += t->n > 0;
		return NULL;
	}
	l = &t->lane[t->free];
	t->free = l->next;
	if (!l->uuid || l->run != run)
		name_track(t, l, pid);
	*l = (struct lane){ .coro = coro,
			    .run = run,
			    .uuid = l->uuid,
			    .hidden = true,
			    .last_ns = ns > l->last_ns ? ns : l->last_ns };
	bucket = bucket_of(t, run, coro);
	l->next = *bucket;
	*bucket = l - t->lane;
	snprintf(l->name, LANE_NAME_LEN, "%s", name);
	if (!t->sample)
		show(t, l, ns);
	return l;
}

static void end_on(struct lanes *t, struct lane *l, uint64_t ns)
{
	struct timeline_mark m = { .type = URT__TRACK_EVENT__TYPE__SLICE_END,
				   .track = l->uuid };

	if (ns > l->last_ns)
		l->last_ns = ns;
	m.ns = l->last_ns;
	timeline_mark(t->out, &m);
}

/* Stops drawing its life. */
static void hide(struct lanes *t, struct lane *l, uint64_t ns)
{
	if (l->hidden)
		return;
	if (l->open)
		end_on(t, l, ns);
	end_on(t, l, ns);
	l->open = false;
	l->hidden = true;
}

void lane_end(struct lanes *t, struct lane *l, uint64_t ns)
{
	uint32_t *at = bucket_of(t, l->run, l->coro);

	lane_request_end(t, l, ns);
	hide(t, l, ns);
	while (*at != l - t->lane)
		at = &t->lane[*at].next;
	*at = l->next;
	l->coro = 0;
	l->next = t->free;
	t->free = l - t->lane;
}

void lanes_end(struct lanes *t, unsigned run, uint64_t ns)
{
	for (uint32_t i = 0; i < t->n; i++) {
		if (!t->lane[i].coro || t->lane[i].run != run)
			continue;
		t->lane[i].request = 0; /* its end was not seen */
		lane_end(t, &t->lane[i], ns);
	}
}

void lane_slice(struct lanes *t, struct lane *l, struct timeline_mark *m)
{
	if (l->open)
		end_on(t, l, m->ns);
	if (m->ns > l->last_ns)
		l->last_ns = m->ns;
	if (l->hidden)
		return;
	m->type = URT__TRACK_EVENT__TYPE__SLICE_BEGIN;
	m->ns = l->last_ns;
	m->track = l->uuid;
	timeline_mark(t->out, m);
	l->open = true;
}

/* ---- requests ---- */

static void request_mark(struct lanes *t, struct lane *l, const char *category,
			 const char *name, uint64_t ns)
{
	struct timeline_mark m = { .type = URT__TRACK_EVENT__TYPE__INSTANT,
				   .category = category,
				   .track = l->uuid,
				   .name = name };

	m.ns = l->last_ns = ns > l->last_ns ? ns : l->last_ns;
	m.note[m.notes++] = (struct timeline_note){ TIMELINE_REQUEST_NUMBER,
						    l->request, NULL };
	if (strspn(l->trace_id, "0") < 32)
		m.note[m.notes++] = (struct timeline_note){ TIMELINE_TRACE_ID,
							    0, l->trace_id };
	timeline_mark(t->out, &m);
}

void lane_request_end(struct lanes *t, struct lane *l, uint64_t ns)
{
	if (l->request && !l->hidden)
		request_mark(t, l, TIMELINE_REQUEST_END, "request ends", ns);
	l->request = 0;
	if (t->sample)
		hide(t, l, ns);
}

bool lane_request_begin(struct lanes *t, struct lane *l,
			const struct lane *from, bool chosen,
			const uint8_t trace_id[16], uint64_t ns)
{
	char hex[33];

	for (unsigned i = 0; i < 16; i++)
		sprintf(hex + 2 * i, "%02x", trace_id[i]);
	/* The same request again, of which more is known by now. */
	if (!from && l->request && l->own && strspn(hex, "0") < 32 &&
	    !strcmp(l->trace_id, hex))
		return false;
	lane_request_end(t, l, ns);
	l->request = from ? from->request : ++t->requests;
	l->own = !from;
	memcpy(l->trace_id, hex, sizeof(hex));
	if (!t->sample || !l->request || (!chosen && l->request % t->sample))
		return false;
	show(t, l, ns);
	return true;
}

void lane_request_named(struct lanes *t, struct lane *l, const char *route,
			uint64_t ns)
{
	if (l->request && !l->hidden)
		request_mark(t, l,
			     l->own ? TIMELINE_REQUEST : TIMELINE_REQUEST_PART,
			     *route ? route : "request", ns);
}
