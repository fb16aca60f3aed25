/* SPDX-License-Identifier: MIT */
/*
 * A timeline in Perfetto's format: events go in, packets of track events come
 * out (timeline.c); and reading such a file back (report.c).
 */
#ifndef URT_TIMELINE_H
#define URT_TIMELINE_H

#include <linux/types.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "record_bpf.h"

struct timeline;

/* Writes to f from now on; NULL: out of memory. */
struct timeline *timeline_new(FILE *f);

/* One event, in the order of the buffer. */
void timeline_event(struct timeline *, const struct urt_event *);

/*
 * Ends what is still open, at the time of the last event, and writes how many
 * events were dropped. Frees it; bytes written so far, or -1: writing failed.
 */
int64_t timeline_finish(struct timeline *, uint64_t dropped);

/* Bytes written so far, or -1: writing failed. */
int64_t timeline_size(const struct timeline *);

/* What is written into a slice or an instant, and read back. */
#define TIMELINE_RUNNING  "running"
#define TIMELINE_LATENCY  "wake_latency_ns"
#define TIMELINE_WOKEN_BY "woken_by"
#define TIMELINE_DROPPED  "dropped_events"

#endif
