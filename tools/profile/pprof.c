// SPDX-License-Identifier: MIT
/*
 * Writes the result of `urt profile` for pprof: a gzipped message of profile.proto
 * (github.com/google/pprof), which is encoded here. A message is a sequence of
 * fields, and repeated fields may come in any order. So each stack is written in
 * its turn, and each name when it is first used.
 *
 * A stack has a value for each kind: ns on the CPU, ns off the CPU, coroutines. Its
 * first frame is the thread's name, which becomes the label "thread" of the
 * sample; pprof -tagroot=thread makes it a frame again. Each function has exactly
 * one location, because folded stacks hold names and no addresses.
 */
#include "profile.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#define PLACES	  262144 /* of names; power of two */
#define NAMES_MAX (PLACES / 2)
#define SMALL	  32		   /* bytes of a message with few numbers */
#define LARGE	  (4 * FRAMES_MAX) /* ... of one with a whole stack */

/* Field numbers of profile.proto. */
enum {
	PROFILE_SAMPLE_TYPE = 1,
	PROFILE_SAMPLE = 2,
	PROFILE_LOCATION = 4,
	PROFILE_FUNCTION = 5,
	PROFILE_STRING = 6,
	PROFILE_TIME_NS = 9,
	PROFILE_DURATION_NS = 10,
	PROFILE_COMMENT = 13,
	PROFILE_DEFAULT_TYPE = 14,
	TYPE_TYPE = 1,
	TYPE_UNIT = 2,
	SAMPLE_LOCATIONS = 1,
	SAMPLE_VALUES = 2,
	SAMPLE_LABEL = 3,
	LABEL_KEY = 1,
	LABEL_TEXT = 2,
	LOCATION_ID = 1,
	LOCATION_LINE = 4,
	LINE_FUNCTION = 1,
	FUNCTION_ID = 1,
	FUNCTION_NAME = 2,
};

struct message {
	uint8_t *byte;
	size_t n, room;
};

#define MESSAGE(name, size)      \
	uint8_t name##_of[size]; \
	struct message name = { name##_of, 0, size }

struct name {
	char *text;
	bool is_function; /* a function and a location of this name are written */
};

struct pprof {
	gzFile f;
	bool failed;
	struct name name[NAMES_MAX]; /* by number; 0: "" */
	uint32_t place[PLACES];	     /* number, by a hash; 0: free */
	uint32_t n;
};

/* ---- the encoding ---- */

static void put_varint(struct message *m, uint64_t v)
{
	do {
		if (m->n == m->room)
			abort(); /* SMALL or LARGE is too small */
		m->byte[m->n++] = (v & 0x7f) | (v > 0x7f ? 0x80 : 0);
	} while (v >>= 7);
}

static void put_number(struct message *m, unsigned field, uint64_t v)
{
	put_varint(m, field << 3);
	put_varint(m, v);
}

static void put_bytes(struct message *m, unsigned field, const void *p,
		      size_t n)
{
	put_varint(m, field << 3 | 2);
	put_varint(m, n);
	if (n > m->room - m->n)
		abort();
	memcpy(m->byte + m->n, p, n);
	m->n += n;
}

/* Writes a field of the profile itself. */
static void write_field(struct pprof *p, unsigned field, const void *data,
			size_t n)
{
	MESSAGE(head, SMALL);

	put_varint(&head, field << 3 | 2);
	put_varint(&head, n);
	p->failed |= gzwrite(p->f, head.byte, head.n) != (int)head.n ||
		     (n && gzwrite(p->f, data, n) != (int)n);
}

static void write_message(struct pprof *p, unsigned field,
			  const struct message *m)
{
	write_field(p, field, m->byte, m->n);
}

static void write_number(struct pprof *p, unsigned field, uint64_t v)
{
	MESSAGE(m, SMALL);

	put_number(&m, field, v);
	p->failed |= gzwrite(p->f, m.byte, m.n) != (int)m.n;
}

/* ---- names ---- */

static uint32_t new_name(struct pprof *p, const char *text, size_t len)
{
	char *copy = p->n < NAMES_MAX ? strndup(text, len) : NULL;

	if (!copy) {
		p->failed = true;
		return 0;
	}
	p->name[p->n].text = copy;
	write_field(p, PROFILE_STRING, text, len);
	return p->n++;
}

/* The text's number in the table of strings. */
static uint32_t name_of(struct pprof *p, const char *text, size_t len)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
	uint32_t i;

	for (size_t k = 0; k < len; k++)
		h = (h ^ (unsigned char)text[k]) * UINT64_C(0x100000001b3);
	for (i = (h ^ h >> 32) % PLACES; p->place[i]; i = (i + 1) % PLACES) {
		const char *at = p->name[p->place[i]].text;

		if (!strncmp(at, text, len) && !at[len])
			return p->place[i];
	}
	return p->place[i] = new_name(p, text, len);
}

static uint32_t string(struct pprof *p, const char *text)
{
	return name_of(p, text, strlen(text));
}

/* A function's location. Name, function and location have the same number. */
static uint32_t location(struct pprof *p, const char *text, size_t len)
{
	uint32_t id = name_of(p, text, len);
	MESSAGE(function, SMALL);
	MESSAGE(line, SMALL);
	MESSAGE(m, SMALL);

	if (!id || p->name[id].is_function)
		return id;
	p->name[id].is_function = true;
	put_number(&function, FUNCTION_ID, id);
	put_number(&function, FUNCTION_NAME, id);
	write_message(p, PROFILE_FUNCTION, &function);
	put_number(&line, LINE_FUNCTION, id);
	put_number(&m, LOCATION_ID, id);
	put_bytes(&m, LOCATION_LINE, line.byte, line.n);
	write_message(p, PROFILE_LOCATION, &m);
	return id;
}

/* ---- samples ---- */

static void write_type(struct pprof *p, const char *type, const char *unit)
{
	MESSAGE(m, SMALL);

	put_number(&m, TYPE_TYPE, string(p, type));
	put_number(&m, TYPE_UNIT, string(p, unit));
	write_message(p, PROFILE_SAMPLE_TYPE, &m);
}

/* pprof expects the innermost frame first; in a fold it is the last. */
static void write_sample(struct pprof *p, enum fold_kind kind,
			 const char *frames, uint64_t value)
{
	MESSAGE(locations, LARGE);
	MESSAGE(label, SMALL);
	MESSAGE(m, LARGE + SMALL);
	size_t thread = strcspn(frames, ";"), end = strlen(frames), at;

	if (kind != FOLD_CORO && frames[thread]) {
		put_number(&label, LABEL_KEY, string(p, "thread"));
		put_number(&label, LABEL_TEXT, name_of(p, frames, thread));
		frames += thread + 1;
		end -= thread + 1;
	}
	for (bool more = true; more; end = at - 1) {
		for (at = end; at && frames[at - 1] != ';'; at--)
			;
		put_varint(&locations, location(p, frames + at, end - at));
		more = at;
	}
	put_bytes(&m, SAMPLE_LOCATIONS, locations.byte, locations.n);
	for (int k = 0; k < FOLD_KINDS; k++)
		put_number(&m, SAMPLE_VALUES, k == (int)kind ? value : 0);
	if (label.n)
		put_bytes(&m, SAMPLE_LABEL, label.byte, label.n);
	write_message(p, PROFILE_SAMPLE, &m);
}

static void write_kind(struct pprof *p, const struct profile *of,
		       enum fold_kind kind)
{
	uint64_t looks = kind == FOLD_CORO ? of->looks : 1;
	const struct fold *fold;
	size_t n;

	fold = folds_sorted(of->folds, kind, &n);
	for (size_t i = 0; i < n && looks; i++)
		write_sample(p, kind, fold[i].frames,
			     (fold[i].value + looks / 2) / looks);
	if (folds_other(of->folds, kind) && looks)
		write_sample(p, kind, "[other]",
			     folds_other(of->folds, kind) / looks);
}

static void write_profile(struct pprof *p, const struct profile *of)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	new_name(p, "", 0);
	write_type(p, "on-cpu", "nanoseconds");
	write_type(p, "off-cpu", "nanoseconds");
	write_type(p, "coroutines", "count");
	write_number(p, PROFILE_DEFAULT_TYPE, string(p, "on-cpu"));
	write_number(p, PROFILE_COMMENT, string(p, of->title));
	write_number(p, PROFILE_TIME_NS,
		     now.tv_sec * NS_PER_S + now.tv_nsec - of->wall_ns);
	write_number(p, PROFILE_DURATION_NS, of->wall_ns);
	for (int kind = 0; kind < FOLD_KINDS; kind++)
		write_kind(p, of, kind);
}

bool profile_print_pprof(FILE *f, const struct profile *of)
{
	struct pprof *p = calloc(1, sizeof(*p));
	int fd = p && !fflush(f) ? dup(fileno(f)) : -1;

	if (fd < 0 || !(p->f = gzdopen(fd, "wb"))) {
		if (fd >= 0)
			close(fd);
		free(p);
		return false;
	}
	write_profile(p, of);
	p->failed |= gzclose(p->f) != Z_OK;
	for (uint32_t i = 0; i < p->n; i++)
		free(p->name[i].text);
	fd = p->failed ? -1 : 0;
	free(p);
	return !fd;
}
