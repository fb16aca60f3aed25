// SPDX-License-Identifier: MIT
/*
 * The messages are encoded by protobuf-c from perfetto.proto. A file of them is
 * only a sequence of packets, each with its length before it, so a file that
 * ends early can be read up to its end.
 *
 * A switch is some five packets, which mostly repeat earlier names. So packets
 * are gathered and written as one packet that holds them deflated, as
 * Perfetto's own recorder does; its readers want such a packet to be smaller
 * than 512 KiB.
 */
#include "timeline_write.h"
#include <stdbool.h>
#include <string.h>

#define SEQUENCE 1

/* A length, as a varint. Bytes written. */
static size_t put_length(uint8_t *to, size_t n)
{
	size_t size = 0;

	for (; n > 0x7f; n >>= 7)
		to[size++] = n | 0x80;
	to[size++] = n;
	return size;
}

static void put(struct timeline_file *t, const void *data, size_t size)
{
	if (t->size < 0)
		return;
	if (fwrite(data, 1, size, t->f) == size)
		t->size += size;
	else
		t->size = -1;
}

bool timeline_file_begin(struct timeline_file *t, FILE *f)
{
	*t = (struct timeline_file){ .f = f };
	return deflateInit(&t->deflate, Z_BEST_SPEED) == Z_OK;
}

static void write_block(struct timeline_file *t)
{
	/* zlib's bound: incompressible data grow by little. */
	static uint8_t deflated[TIMELINE_BLOCK + TIMELINE_BLOCK / 64 + 64];
	uint8_t field[8] = { 0x92, 0x03 }; /* 50: compressed packets */
	uint8_t head[8] = { 0x0a };
	size_t n, field_size;

	if (!t->gathered)
		return;
	deflateReset(&t->deflate);
	t->deflate.next_in = t->block;
	t->deflate.avail_in = t->gathered;
	t->deflate.next_out = deflated;
	t->deflate.avail_out = sizeof(deflated);
	if (deflate(&t->deflate, Z_FINISH) != Z_STREAM_END)
		t->size = -1;
	n = sizeof(deflated) - t->deflate.avail_out;
	field_size = 2 + put_length(field + 2, n);
	put(t, head, 1 + put_length(head + 1, field_size + n));
	put(t, field, field_size);
	put(t, deflated, n);
	t->gathered = 0;
}

void timeline_file_end(struct timeline_file *t)
{
	write_block(t);
	deflateEnd(&t->deflate);
	if (fflush(t->f))
		t->size = -1;
}

static void write_packet(struct timeline_file *t, Urt__TracePacket *p)
{
	size_t n = urt__trace_packet__get_packed_size(p);
	uint8_t head[8] = { 0x0a }; /* field 1 of the trace: a packet */
	size_t head_size = 1 + put_length(head + 1, n);

	if (n > TIMELINE_PACKET)
		return;
	if (t->gathered + head_size + n > TIMELINE_BLOCK)
		write_block(t);
	memcpy(t->block + t->gathered, head, head_size);
	urt__trace_packet__pack(p, t->block + t->gathered + head_size);
	t->gathered += head_size + n;
}

void timeline_mark(struct timeline_file *t, const struct timeline_mark *m)
{
	Urt__TracePacket p = URT__TRACE_PACKET__INIT;
	Urt__TrackEvent e = URT__TRACK_EVENT__INIT;
	Urt__DebugAnnotation note[TIMELINE_NOTES], *notes[TIMELINE_NOTES];
	uint64_t flow = m->flow, flow_end = m->flow_end;
	char *category = (char *)m->category;

	for (unsigned i = 0; i < m->notes; i++) {
		urt__debug_annotation__init(&note[i]);
		note[i].name = (char *)m->note[i].name;
		note[i].string_value = (char *)m->note[i].text;
		note[i].has_uint_value = !m->note[i].text;
		note[i].uint_value = m->note[i].value;
		notes[i] = &note[i];
	}
	e.debug_annotations = notes;
	e.n_debug_annotations = m->notes;
	e.has_type = e.has_track_uuid = true;
	e.type = m->type;
	e.track_uuid = m->track;
	e.name = (char *)m->name;
	e.categories = &category;
	e.n_categories = category != NULL;
	e.flow_ids = &flow;
	e.n_flow_ids = flow != 0;
	e.terminating_flow_ids = &flow_end;
	e.n_terminating_flow_ids = flow_end != 0;
	p.has_timestamp = p.has_trusted_packet_sequence_id = true;
	p.timestamp = m->ns;
	p.trusted_packet_sequence_id = SEQUENCE;
	p.track_event = &e;
	write_packet(t, &p);
}

void timeline_describe(struct timeline_file *t, Urt__TrackDescriptor *d)
{
	Urt__TracePacket p = URT__TRACE_PACKET__INIT;

	d->has_uuid = true;
	p.has_trusted_packet_sequence_id = true;
	p.trusted_packet_sequence_id = SEQUENCE;
	p.track_descriptor = d;
	write_packet(t, &p);
}
