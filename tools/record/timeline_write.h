/* SPDX-License-Identifier: MIT */
/* Writing packets of Perfetto's format, for all parts of a timeline. */
#ifndef URT_TIMELINE_WRITE_H
#define URT_TIMELINE_WRITE_H

#include "perfetto.pb-c.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <zlib.h>

#define TIMELINE_NOTES	3
#define TIMELINE_PACKET 4096	     /* bytes of one, at most */
#define TIMELINE_BLOCK	(400 * 1024) /* ... of those deflated together */
#define TIMELINE_NAMES	4096	     /* that have a number; a power of two */
#define TIMELINE_NAME	80	     /* bytes of such a name, with its end */

/* Perfetto's numbers. */
#define TIMELINE_BOOTTIME    6	/* a clock */
#define TIMELINE_INCREMENTAL 64 /* our own: since the packet before */

enum timeline_name_kind {
	TIMELINE_CATEGORY,
	TIMELINE_EVENT,
	TIMELINE_NOTE,
	TIMELINE_NAME_KINDS
};

struct timeline_file {
	FILE *f;
	int64_t size;	/* bytes written; -errno: writing failed */
	uint64_t flows; /* flows numbered so far */
	uint64_t ns;	/* of our clock; 0: it has not begun */
	z_stream deflate;
	/* Its number is its place + 1. */
	struct {
		bool used;
		enum timeline_name_kind kind;
		char text[TIMELINE_NAME];
	} name[TIMELINE_NAMES];
	uint8_t block[TIMELINE_BLOCK]; /* packets that are not written yet */
	size_t gathered;	       /* bytes of them */
};

/* False: out of memory. */
bool timeline_file_begin(struct timeline_file *, FILE *);
/* Writes what is not written yet. */
void timeline_file_end(struct timeline_file *);

struct timeline_note {
	const char *name;
	uint64_t value;
	const char *text; /* NULL: the value */
};

/* A slice's begin or end, or an instant. */
struct timeline_mark {
	Urt__TrackEvent__Type type;
	uint64_t ns, track;
	const char *name, *category;
	uint64_t flow, flow_end; /* 0: none */
	struct timeline_note note[TIMELINE_NOTES];
	unsigned notes;
};

void timeline_mark(struct timeline_file *, const struct timeline_mark *);
/* Sets has_uuid. */
void timeline_describe(struct timeline_file *, Urt__TrackDescriptor *);

/* Tracks by their numbers, which are small, as most packets have one: of threads
 * and processes; of lanes of requests, workers and coroutines by a number of the
 * caller's. */
enum timeline_track {
	TIMELINE_THREAD = 1,
	TIMELINE_PROCESS,
	TIMELINE_REQUESTS,
	TIMELINE_WORKER,
	TIMELINE_COROUTINE,
};

static inline uint64_t timeline_uuid(enum timeline_track kind, uint64_t number)
{
	return number << 3 | kind;
}

static inline uint64_t timeline_thread(uint32_t tid)
{
	return timeline_uuid(TIMELINE_THREAD, tid);
}

static inline uint64_t timeline_process(uint32_t pid)
{
	return timeline_uuid(TIMELINE_PROCESS, pid);
}

#endif
