// SPDX-License-Identifier: MIT
/*
 * A timeline is a sequence of packets, each with its length before it. A packet
 * may hold others, deflated; those hold no deflated ones in turn. A file may
 * come from any user, and may end anywhere: lengths and inflated sizes are
 * bounded, and in a file that is cut, the packets before the cut are read.
 *
 * Packets come out with whole times and names (timeline_write.c).
 */
#include "timeline_read.h"
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define PACKET_MAX (1 << 20) /* larger ones are not our packets */
#define BLOCK_MAX  (8 << 20) /* ... once they are inflated */

bool timeline_reader_open(struct timeline_reader *r, FILE *f)
{
	*r = (struct timeline_reader){ .f = f, .packet = malloc(PACKET_MAX) };
	r->name = calloc(TIMELINE_NAMES, sizeof(*r->name));
	return r->packet && r->name;
}

void timeline_reader_close(struct timeline_reader *r)
{
	free(r->packet);
	free(r->block);
	free(r->name);
}

/* Reads the varint at p, before end. Returns its length in bytes; 0: no varint
 * ends there. */
static size_t varint(const uint8_t *p, const uint8_t *end, size_t *value)
{
	*value = 0;
	for (size_t i = 0; p + i < end && i < 5; i++) {
		*value |= (size_t)(p[i] & 0x7f) << 7 * i;
		if (!(p[i] & 0x80))
			return i + 1;
	}
	return 0;
}

/* Inflates the packets in the n bytes that were read of a packet; false: it has
 * none. */
static bool inflate_block(struct timeline_reader *r, size_t n)
{
	z_stream z = { 0 };
	size_t size, head;
	int err;

	if (n < 3 || r->packet[0] != 0x92 || r->packet[1] != 0x03 ||
	    !(head = varint(r->packet + 2, r->packet + n, &size)))
		return false;
	if (!r->block)
		r->block = malloc(BLOCK_MAX);
	r->block_size = r->at = 0;
	z.next_in = r->packet + 2 + head;
	z.avail_in = n - 2 - head;
	z.next_out = r->block;
	z.avail_out = BLOCK_MAX;
	if (!r->block || inflateInit(&z) != Z_OK)
		return true;
	err = inflate(&z, Z_SYNC_FLUSH);
	r->cut |= err != Z_STREAM_END;
	r->block_size = BLOCK_MAX - z.avail_out;
	inflateEnd(&z);
	return true;
}

static Urt__TracePacket *next_of_block(struct timeline_reader *r)
{
	const uint8_t *p = r->block + r->at, *end = r->block + r->block_size;
	Urt__TracePacket *packet = NULL;
	size_t size, head;

	if (*p == 0x0a && (head = varint(p + 1, end, &size)) &&
	    size <= (size_t)(end - p - 1 - head)) {
		packet = urt__trace_packet__unpack(NULL, size, p + 1 + head);
		r->at += 1 + head + size;
	}
	if (!packet) {
		r->cut = true;
		r->at = r->block_size;
	}
	return packet;
}

/* Reads the next packet of the file into r->packet. Returns its length, or that
 * of the rest if it is cut; -1: there is none. */
static long read_packet(struct timeline_reader *r)
{
	size_t size = 0, n;
	int c = getc(r->f), shift = 0;

	if (c == EOF)
		return -1;
	r->cut = true;
	if (c != 0x0a)
		return -1;
	do {
		c = getc(r->f);
		if (c == EOF || shift > 28)
			return -1;
		size |= (size_t)(c & 0x7f) << shift;
		shift += 7;
	} while (c & 0x80);
	if (size > PACKET_MAX)
		return -1;
	n = fread(r->packet, 1, size, r->f);
	r->cut = n != size;
	return n;
}

/* ---- names and times ---- */

static void keep_names(struct timeline_reader *r, Urt__InternedName **names,
		       size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (names[i]->name && names[i]->iid - 1 < TIMELINE_NAMES)
			snprintf(r->name[names[i]->iid - 1], TIMELINE_NAME,
				 "%s", names[i]->name);
}

/* In memory of its own; NULL: there is no such name. */
static char *name_of(const struct timeline_reader *r, uint64_t number)
{
	return number - 1 < TIMELINE_NAMES ? strdup(r->name[number - 1]) : NULL;
}

static void fill_names(const struct timeline_reader *r, Urt__TrackEvent *e)
{
	if (!e->name && e->has_name_iid)
		e->name = name_of(r, e->name_iid);
	for (size_t i = 0; i < e->n_debug_annotations; i++) {
		Urt__DebugAnnotation *a = e->debug_annotations[i];

		if (!a->name && a->has_name_iid)
			a->name = name_of(r, a->name_iid);
	}
	if (e->n_categories || !e->n_category_iids)
		return;
	e->categories = malloc(sizeof(*e->categories));
	if (e->categories &&
	    (e->categories[0] = name_of(r, e->category_iids[0])))
		e->n_categories = 1;
}

static void set_clock(struct timeline_reader *r, const Urt__ClockSnapshot *s)
{
	for (size_t i = 0; i < s->n_clocks; i++)
		if (s->clocks[i]->clock_id == TIMELINE_INCREMENTAL)
			r->ns = s->clocks[i]->timestamp;
}

static Urt__TracePacket *whole(struct timeline_reader *r, Urt__TracePacket *p)
{
	const Urt__InternedData *d = p->interned_data;

	if (p->clock_snapshot)
		set_clock(r, p->clock_snapshot);
	if (p->trace_packet_defaults)
		r->clock = p->trace_packet_defaults->timestamp_clock_id;
	if (d) {
		keep_names(r, d->event_categories, d->n_event_categories);
		keep_names(r, d->event_names, d->n_event_names);
		keep_names(r, d->debug_annotation_names,
			   d->n_debug_annotation_names);
	}
	if (p->has_timestamp &&
	    (p->has_timestamp_clock_id ? p->timestamp_clock_id : r->clock) ==
		    TIMELINE_INCREMENTAL)
		p->timestamp = r->ns += p->timestamp;
	if (p->track_event)
		fill_names(r, p->track_event);
	return p;
}

Urt__TracePacket *timeline_next(struct timeline_reader *r)
{
	Urt__TracePacket *p = NULL;
	long n;

	while (!p) {
		if (r->at < r->block_size) {
			p = next_of_block(r);
			if (!p)
				return NULL;
			continue;
		}
		if (r->cut || (n = read_packet(r)) < 0)
			return NULL;
		if (inflate_block(r, n))
			continue;
		p = r->cut ? NULL
			   : urt__trace_packet__unpack(NULL, n, r->packet);
		r->cut |= !p;
		if (!p)
			return NULL;
	}
	return whole(r, p);
}
