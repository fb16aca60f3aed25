// SPDX-License-Identifier: MIT
/*
 * The messages are encoded by protobuf-c from perfetto.proto. A file of them is
 * only a sequence of packets, each with its length before it, so a file that
 * ends early can be read up to its end.
 *
 * A switch is up to nine packets, so they are small. A packet's time is the time
 * since the packet before it, by a clock of our own, which a snapshot at the begin
 * ties to CLOCK_BOOTTIME. A packet that is earlier than the one before has its
 * time by CLOCK_BOOTTIME. A name is written once, with a number, for as long as the
 * table has room; later packets have the number.
 *
 * Packets are gathered and written as one packet that holds them deflated, as
 * Perfetto's own recorder does; its readers want such a packet to be smaller
 * than 512 KiB. Deflating is most of the work: level 5 took as long for these
 * small packets as level 1 for packets with whole times and names.
 */
#include "timeline_write.h"
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define SEQUENCE 1
#define LEVEL	 5 /* zlib's */

/* Perfetto's sequence_flags. */
#define CLEARED 1 /* numbers of names and the clock's begin come from here on */
#define NEEDED	2 /* ... and are needed for this packet */

/* The names that one packet brings. */
struct new_names {
	Urt__InternedData data;
	Urt__InternedName name[2 + TIMELINE_NOTES];
	Urt__InternedName *of[TIMELINE_NAME_KINDS][TIMELINE_NOTES];
	unsigned n, count[TIMELINE_NAME_KINDS];
};

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
		t->size = -errno;
}

bool timeline_file_begin(struct timeline_file *t, FILE *f)
{
	memset(t, 0, sizeof(*t));
	t->f = f;
	return deflateInit(&t->deflate, LEVEL) == Z_OK;
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
		t->size = -EIO;
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
	if (fflush(t->f) && t->size >= 0)
		t->size = -errno;
}

static void write_packet(struct timeline_file *t, Urt__TracePacket *p)
{
	uint8_t head[8] = { 0x0a }; /* field 1 of the trace: a packet */
	size_t n, head_size;

	p->has_trusted_packet_sequence_id = true;
	p->trusted_packet_sequence_id = SEQUENCE;
	n = urt__trace_packet__get_packed_size(p);
	if (n > TIMELINE_PACKET)
		return;
	head_size = 1 + put_length(head + 1, n);
	if (t->gathered + head_size + n > TIMELINE_BLOCK)
		write_block(t);
	memcpy(t->block + t->gathered, head, head_size);
	urt__trace_packet__pack(p, t->block + t->gathered + head_size);
	t->gathered += head_size + n;
}

/* ---- names ---- */

static void bring(struct new_names *f, enum timeline_name_kind kind,
		  uint64_t number, const char *name)
{
	Urt__InternedName *i = &f->name[f->n++];

	urt__interned_name__init(i);
	i->has_iid = true;
	i->iid = number;
	i->name = (char *)name;
	f->of[kind][f->count[kind]++] = i;
}

/* The number of a name; 0: it has none. */
static uint64_t number_of(struct timeline_file *t, struct new_names *f,
			  enum timeline_name_kind kind, const char *name)
{
	uint32_t h = UINT32_C(0x811c9dc5) ^ kind; /* FNV-1a */

	for (const char *c = name; *c; c++)
		h = (h ^ (unsigned char)*c) * UINT32_C(0x01000193);
	for (unsigned i = 0; i < 8; i++) {
		uint32_t at = ((h ^ h >> 16) + i) % TIMELINE_NAMES;

		if (t->name[at].used && (t->name[at].kind != kind ||
					 strcmp(t->name[at].text, name)))
			continue;
		if (!t->name[at].used) {
			if (strlen(name) >= TIMELINE_NAME)
				return 0;
			t->name[at].used = true;
			t->name[at].kind = kind;
			strcpy(t->name[at].text, name);
			bring(f, kind, at + 1, name);
		}
		return at + 1;
	}
	return 0;
}

/* The packet's names; or NULL, if it brings none. */
static Urt__InternedData *data_of(struct new_names *f)
{
	urt__interned_data__init(&f->data);
	f->data.event_categories = f->of[TIMELINE_CATEGORY];
	f->data.n_event_categories = f->count[TIMELINE_CATEGORY];
	f->data.event_names = f->of[TIMELINE_EVENT];
	f->data.n_event_names = f->count[TIMELINE_EVENT];
	f->data.debug_annotation_names = f->of[TIMELINE_NOTE];
	f->data.n_debug_annotation_names = f->count[TIMELINE_NOTE];
	return f->n ? &f->data : NULL;
}

/* ---- times ---- */

static void begin_clock(struct timeline_file *t, uint64_t ns)
{
	Urt__TracePacket p = URT__TRACE_PACKET__INIT;
	Urt__TracePacketDefaults defaults = URT__TRACE_PACKET_DEFAULTS__INIT;
	Urt__ClockSnapshot snapshot = URT__CLOCK_SNAPSHOT__INIT;
	Urt__Clock boot = URT__CLOCK__INIT, own;
	Urt__Clock *clocks[] = { &boot, &own };

	boot.has_clock_id = boot.has_timestamp = true;
	boot.clock_id = TIMELINE_BOOTTIME;
	boot.timestamp = ns;
	own = boot;
	own.clock_id = TIMELINE_INCREMENTAL;
	own.has_is_incremental = own.is_incremental = true;
	snapshot.clocks = clocks;
	snapshot.n_clocks = 2;
	snapshot.has_primary_trace_clock = true;
	snapshot.primary_trace_clock = TIMELINE_BOOTTIME;
	defaults.has_timestamp_clock_id = true;
	defaults.timestamp_clock_id = TIMELINE_INCREMENTAL;
	p.has_sequence_flags = true;
	p.sequence_flags = CLEARED;
	p.clock_snapshot = &snapshot;
	p.trace_packet_defaults = &defaults;
	write_packet(t, &p);
	t->ns = ns;
}

static void set_time(struct timeline_file *t, Urt__TracePacket *p, uint64_t ns)
{
	p->has_timestamp = true;
	if (ns >= t->ns) {
		p->timestamp = ns - t->ns;
		t->ns = ns;
	} else {
		p->timestamp = ns;
		p->has_timestamp_clock_id = true;
		p->timestamp_clock_id = TIMELINE_BOOTTIME;
	}
}

/* ---- packets ---- */

void timeline_mark(struct timeline_file *t, const struct timeline_mark *m)
{
	Urt__TracePacket p = URT__TRACE_PACKET__INIT;
	Urt__TrackEvent e = URT__TRACK_EVENT__INIT;
	Urt__DebugAnnotation note[TIMELINE_NOTES], *notes[TIMELINE_NOTES];
	struct new_names names = { .n = 0 };
	uint64_t flow = m->flow, flow_end = m->flow_end, number;
	char *category = (char *)m->category;

	if (!t->ns)
		begin_clock(t, m->ns);

	for (unsigned i = 0; i < m->notes; i++) {
		urt__debug_annotation__init(&note[i]);
		note[i].name_iid =
			number_of(t, &names, TIMELINE_NOTE, m->note[i].name);
		note[i].has_name_iid = note[i].name_iid != 0;
		if (!note[i].has_name_iid)
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
	e.name_iid =
		m->name ? number_of(t, &names, TIMELINE_EVENT, m->name) : 0;
	e.has_name_iid = e.name_iid != 0;
	if (!e.has_name_iid)
		e.name = (char *)m->name;
	number = category ? number_of(t, &names, TIMELINE_CATEGORY, category)
			  : 0;
	e.category_iids = &number;
	e.n_category_iids = number != 0;
	e.categories = &category;
	e.n_categories = category && !number;
	e.flow_ids = &flow;
	e.n_flow_ids = flow != 0;
	e.terminating_flow_ids = &flow_end;
	e.n_terminating_flow_ids = flow_end != 0;
	set_time(t, &p, m->ns);
	p.has_sequence_flags = true;
	p.sequence_flags = NEEDED;
	p.track_event = &e;
	p.interned_data = data_of(&names);
	write_packet(t, &p);
}

void timeline_describe(struct timeline_file *t, Urt__TrackDescriptor *d)
{
	Urt__TracePacket p = URT__TRACE_PACKET__INIT;

	d->has_uuid = true;
	p.track_descriptor = d;
	write_packet(t, &p);
}
