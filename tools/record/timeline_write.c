// SPDX-License-Identifier: MIT
/*
 * The messages are encoded by protobuf-c from perfetto.proto. A file of them is
 * only a sequence of packets, each with its length before it, so one that ends
 * early can be read to there.
 */
#include "timeline_write.h"
#include <stdbool.h>

#define SEQUENCE 1

static void write_packet(struct timeline_file *t, Urt__TracePacket *p)
{
	static uint8_t buf[4096];
	size_t n = urt__trace_packet__get_packed_size(p), head = 0;
	uint8_t prefix[8];

	if (n > sizeof(buf) || t->size < 0)
		return;
	urt__trace_packet__pack(p, buf);
	prefix[head++] = 0x0a; /* field 1 of the trace: a packet */
	for (size_t left = n; head < 7; left >>= 7) {
		prefix[head++] = (left & 0x7f) | (left > 0x7f ? 0x80 : 0);
		if (left <= 0x7f)
			break;
	}
	if (fwrite(prefix, 1, head, t->f) != head ||
	    fwrite(buf, 1, n, t->f) != n)
		t->size = -1;
	else
		t->size += head + n;
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
