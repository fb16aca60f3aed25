// SPDX-License-Identifier: MIT
/* Reading and checking timelines; see timeline_decode.h. */
#include "timeline_decode.h"
#include "tool_run.h"
#include <zlib.h>

#define PIECES (1 << 20)
#define UUIDS  (1 << 16)
#define FLOWS  (1 << 20)
#define NAMES  4096 /* of each kind */
#define OWN    2    /* the track of the recorder's own events */

/* Perfetto's numbers. */
enum { BOOTTIME = 6, FIRST_OF_SEQUENCE = 64, LAST_OF_SEQUENCE = 127 };

/* What later packets of the sequence need. */
struct sequence {
	uint64_t ns;	/* of the incremental clock */
	uint64_t clock; /* of that, and of packets that name none */
	/* Categories and events. */
	char name[2][NAMES][64];
};

struct piece *pieces;
long nr_pieces;

static struct known tracks_known[UUIDS];
static uint64_t flows[FLOWS];
static struct sequence sequence;

static uint64_t varint(const uint8_t **p, const uint8_t *end)
{
	uint64_t v = 0;

	for (int shift = 0; *p < end && shift < 64; shift += 7) {
		uint8_t c = *(*p)++;

		v |= (uint64_t)(c & 0x7f) << shift;
		if (!(c & 0x80))
			break;
	}
	return v;
}

/* Reads one field and returns its number; *value, or *size bytes at *data. 0:
 * invalid. */
static unsigned field(const uint8_t **p, const uint8_t *end, uint64_t *value,
		      const uint8_t **data, size_t *size)
{
	uint64_t key = varint(p, end);

	*size = 0;
	switch (key & 7) {
	case 0:
		*value = varint(p, end);
		break;
	case 1:
		memcpy(value, *p, 8);
		*p += 8;
		break;
	case 2:
		*size = varint(p, end);
		*data = *p;
		*p += *size;
		break;
	default:
		return 0;
	}
	return *p <= end ? key >> 3 : 0;
}

struct known *known_of(uint64_t uuid)
{
	uint64_t at = uuid * UINT64_C(0x9e3779b97f4a7c15) >> 40;

	for (;; at++) {
		struct known *k = &tracks_known[at % UUIDS];

		if (!k->uuid)
			k->uuid = uuid;
		if (k->uuid == uuid)
			return k;
	}
}

bool flow_begun(uint64_t id, bool begin)
{
	uint64_t at = id * UINT64_C(0x9e3779b97f4a7c15) >> 40;

	for (;; at++) {
		uint64_t *f = &flows[at % FLOWS];

		if (*f == id)
			return true;
		if (*f)
			continue;
		if (begin)
			*f = id;
		return false;
	}
}

static void copy_text(char *to, size_t size, const uint8_t *data, size_t n)
{
	snprintf(to, size, "%.*s", (int)n, (const char *)data);
}

/* Names and numbers of them, of one kind. */
static void decode_names(const uint8_t *p, size_t size)
{
	const uint8_t *end = p + size, *data, *at, *word = NULL;
	uint64_t value, iid = 0;
	size_t n, word_size = 0;

	while (p < end) {
		unsigned kind = field(&p, end, &value, &data, &n);

		if (kind != 1 && kind != 2)
			continue;
		for (at = data; at < data + n;) {
			const uint8_t *found;
			size_t found_size;

			switch (field(&at, data + n, &value, &found,
				      &found_size)) {
			case 1:
				iid = value;
				break;
			case 2:
				word = found;
				word_size = found_size;
			}
		}
		ck_assert(iid && iid <= NAMES && word);
		/* A number stands for one name. */
		ck_assert_str_eq(sequence.name[kind - 1][iid - 1], "");
		copy_text(sequence.name[kind - 1][iid - 1], 64, word,
			  word_size);
	}
}

static void copy_name(char *to, size_t size, unsigned kind, uint64_t iid)
{
	ck_assert(iid && iid <= NAMES);
	ck_assert_str_ne(sequence.name[kind - 1][iid - 1], "");
	snprintf(to, size, "%s", sequence.name[kind - 1][iid - 1]);
}

static void decode_clocks(const uint8_t *p, size_t size)
{
	const uint8_t *end = p + size, *data, *at;
	uint64_t value, boot = 0;
	size_t n, rest;

	while (p < end) {
		uint64_t clock[4] = { 0 };

		if (field(&p, end, &value, &data, &n) != 1)
			continue;
		for (at = data; at < data + n;) {
			const uint8_t *unused;
			unsigned f =
				field(&at, data + n, &value, &unused, &rest);

			if (f <= 3)
				clock[f] = value;
		}
		if (clock[1] == BOOTTIME)
			boot = clock[2];
		if (!clock[3])
			continue;
		ck_assert_uint_ge(clock[1], FIRST_OF_SEQUENCE);
		ck_assert_uint_le(clock[1], LAST_OF_SEQUENCE);
		ck_assert_uint_eq(clock[2], boot);
		sequence.ns = clock[2];
	}
}

static void decode_event(const uint8_t *p, size_t size, struct piece *piece)
{
	const uint8_t *end = p + size, *data;
	uint64_t value;
	size_t n;

	while (p < end) {
		switch (field(&p, end, &value, &data, &n)) {
		case 0:
			ck_abort_msg("no field of an event");
			break;
		case 3:
			copy_name(piece->category, 32, 1, value);
			break;
		case 9:
			piece->type = value;
			break;
		case 10:
			copy_name(piece->name, 64, 2, value);
			break;
		case 11:
			piece->track = value;
			break;
		case 22:
			copy_text(piece->category, 32, data, n);
			break;
		case 23:
			copy_text(piece->name, 64, data, n);
			break;
		case 47:
			piece->flow = value;
			break;
		case 48:
			piece->flow_end = value;
			break;
		}
	}
}

static void decode_track(const uint8_t *p, size_t size)
{
	const uint8_t *end = p + size, *data;
	uint64_t value, uuid = 0, parent = 0;
	size_t n;

	while (p < end) {
		unsigned f = field(&p, end, &value, &data, &n);

		ck_assert_uint_ne(f, 0);
		if (f == 1)
			uuid = value;
		if (f == 5)
			parent = value;
	}
	known_of(uuid)->named = true;
	known_of(uuid)->parent = parent;
}

static void decode_packet(const uint8_t *p, size_t size, struct found *f);

/* Reads packets, each with its length before it, up to their end. */
static const uint8_t *decode_packets(const uint8_t *p, const uint8_t *end,
				     struct found *f)
{
	const uint8_t *data;
	uint64_t value;
	size_t n;

	while (p < end) {
		ck_assert_uint_eq(field(&p, end, &value, &data, &n), 1);
		decode_packet(data, n, f);
	}
	return p;
}

/* Perfetto's readers accept a packet of deflated ones up to 512 KiB. */
static void decode_deflated(const uint8_t *p, size_t size, struct found *f)
{
	static uint8_t buf[512 << 10];
	uLongf n = sizeof(buf);

	ck_assert_int_eq(uncompress(buf, &n, p, size), Z_OK);
	ck_assert_ptr_eq(decode_packets(buf, buf + n, f), buf + n);
}

static void decode_packet(const uint8_t *p, size_t size, struct found *f)
{
	struct piece piece = { .at = nr_pieces };
	const uint8_t *end = p + size, *data, *event = NULL;
	uint64_t value, clock = sequence.clock;
	size_t n, event_size = 0;

	while (p < end) {
		unsigned number_ = field(&p, end, &value, &data, &n);

		ck_assert_uint_ne(number_, 0);
		if (number_ == 6)
			decode_clocks(data, n);
		if (number_ == 8)
			piece.ns = value;
		if (number_ == 11) {
			event = data;
			event_size = n;
		}
		if (number_ == 12)
			decode_names(data, n);
		if (number_ == 58)
			clock = value;
		if (number_ == 59)
			ck_assert_uint_eq(field(&data, data + n,
						&sequence.clock, NULL, &n),
					  58);
		if (number_ == 60)
			decode_track(data, n);
		if (number_ == 50)
			decode_deflated(data, n, f);
		f->tracks += number_ == 60;
		f->packets += number_ == 8 || number_ == 60;
	}
	if (!event)
		return;
	if (clock != BOOTTIME) {
		ck_assert_uint_eq(clock, sequence.clock);
		ck_assert_uint_ne(sequence.ns, 0);
		piece.ns = sequence.ns += piece.ns;
	}
	decode_event(event, event_size, &piece);
	ck_assert_int_lt(nr_pieces, PIECES);
	pieces[nr_pieces++] = piece;
}

static int by_time(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	if (x->ns != y->ns)
		return x->ns < y->ns ? -1 : 1;
	return x->at < y->at ? -1 : 1;
}

static void check_slice(struct found *f, const struct piece *p)
{
	struct known *k = known_of(p->track);

	f->strangers +=
		p->track != OWN &&
		(!k->named || (k->parent && !known_of(k->parent)->named));
	if (p->type == 1) {
		ck_assert_int_lt(k->depth, NESTING);
		k->since[k->depth++] = p->ns;
	} else if (p->type == 2 && !k->depth) {
		f->not_nested++;
	} else if (p->type == 2) {
		f->backwards += p->ns < k->since[--k->depth];
	}
}

static void check(struct found *f)
{
	memset(flows, 0, sizeof(flows));
	qsort(pieces, nr_pieces, sizeof(*pieces), by_time);
	for (long i = 0; i < nr_pieces; i++) {
		const struct piece *p = &pieces[i];

		f->begins += p->type == 1;
		f->ends += p->type == 2;
		f->instants += p->type == 3;
		if (p->flow)
			f->flows += !flow_begun(p->flow, true);
		if (p->flow_end) {
			f->flow_ends++;
			f->unbound += !flow_begun(p->flow_end, false);
		}
		check_slice(f, p);
	}
	for (long i = 0; i < UUIDS; i++)
		f->left_open += tracks_known[i].depth;
}

struct found decode(const char *path)
{
	static uint8_t buf[64 << 20];
	struct found found = { 0 };
	const uint8_t *p = buf, *end;
	FILE *f = fopen(path, "r");

	ck_assert_ptr_nonnull(f);
	end = buf + fread(buf, 1, sizeof(buf), f);
	fclose(f);
	free(pieces);
	pieces = calloc(PIECES, sizeof(*pieces));
	ck_assert_ptr_nonnull(pieces);
	nr_pieces = 0;
	memset(tracks_known, 0, sizeof(tracks_known));
	memset(&sequence, 0, sizeof(sequence));
	p = decode_packets(p, end, &found);
	found.whole = p == end;
	check(&found);
	return found;
}

long count_pieces(int type, const char *category, const char *name)
{
	long n = 0;

	for (long i = 0; i < nr_pieces; i++)
		n += (int)pieces[i].type == type &&
		     (!category || !strcmp(pieces[i].category, category)) &&
		     (!name || !strncmp(pieces[i].name, name, strlen(name)));
	return n;
}

void is_sound(const struct found *f)
{
	ck_assert(f->whole);
	ck_assert_int_eq(f->strangers, 0);
	ck_assert_int_eq(f->not_nested, 0);
	ck_assert_int_eq(f->backwards, 0);
	ck_assert_int_eq(f->unbound, 0);
	ck_assert_int_eq(f->left_open, 0);
	ck_assert_int_eq(f->begins, f->ends);
}

void record(const char *args)
{
	ck_assert_int_eq(sh("./urt record -o rec.pftrace -- tests/probe %s "
			    "2>&1 >/dev/null",
			    args),
			 0);
	ck_assert_msg(strstr(text, " 0 events dropped"), "%s", text);
}

void has_coroutines(long n)
{
	ck_assert_int_eq(count_pieces(1, "coroutine-wait", "chan receive"), n);
	ck_assert_int_eq(count_pieces(1, "coroutine-wait", "io READ"), n);
	/* All by one coroutine: from the second on they are a row, and made at
	 * once as long as that succeeds; on a busy machine the first may be,
	 * too, since its worker seems to compute. */
	ck_assert_int_le(count_pieces(1, "coroutine-wait", "io WRITE"), n);
	ck_assert_int_ge(count_pieces(1, "coroutine-wait", "sleep"), n + 2);
}
