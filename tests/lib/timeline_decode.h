/* SPDX-License-Identifier: MIT */
/*
 * Reading a timeline back, by the wire format and Perfetto's field numbers
 * only, and checking it as Perfetto's trace processor does: events in order of
 * time, those of one time in order of the file; then each slice that ends was
 * begun on the same track, ends within the one around it and not before its
 * begin; each track was described, below a process that was; each flow that
 * ends was begun before.
 */
#ifndef URT_TIMELINE_DECODE_H
#define URT_TIMELINE_DECODE_H

#include "test.h"

/* The contents of a file. */
struct found {
	long packets, begins, ends, instants, tracks, flows, flow_ends;
	/* Faults: each must be 0. */
	long strangers, not_nested, backwards, unbound, left_open;
	bool whole; /* ended at the end of a packet */
};

struct piece {
	uint64_t ns, type, track, flow, flow_end;
	long at; /* in the file */
	char name[64], category[32];
};

#define NESTING 8

/* A track: its number, the process below which it is, and its open slices. */
struct known {
	uint64_t uuid, parent, since[NESTING];
	int depth;
	bool named;
	bool marked; /* a test's own */
};

/* Reads a file and checks it; then `pieces` has its events, in order of time. */
struct found decode(const char *path);
extern struct piece *pieces;
extern long nr_pieces;

/* Whether the flow has begun; begins it. */
bool flow_begun(uint64_t id, bool begin);
struct known *known_of(uint64_t uuid);

/* The number of pieces of a type, a category and a beginning of a name; NULL: any. */
long count_pieces(int type, const char *category, const char *name);
void is_sound(const struct found *);

/* Records the probe to rec.pftrace; expects that no event was lost. */
void record(const char *args);
/* Expects the waits of `probe coros N`: N for each reason, and two more sleeps or,
 * on a slow machine, more. */
void has_coroutines(long n);

#endif
