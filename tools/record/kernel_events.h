/* SPDX-License-Identifier: MIT */
/* The events of bpf/record.bpf.c, in the order of time. */
#ifndef URT_KERNEL_EVENTS_H
#define URT_KERNEL_EVENTS_H

#include <linux/types.h>
#include "../../bpf/record.h"
#include "../measure/held.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A ring as this reader sees it. */
struct kernel_ring {
	struct urt_event *event; /* its places */
	uint64_t tail;		 /* the number of the next event to copy */
	uint64_t
		filled; /* events before this number are filled, and in order */
	struct held_queue queue; /* those that were copied */
	uint64_t copied_ns;	 /* of the last one */
};

struct kernel_events {
	struct record_bpf *bpf;
	struct bpf_link *link[32]; /* one for each program */
	unsigned links;
	struct urt_event *event; /* the places of all rings */
	struct urt_event_ring *shared;
	struct kernel_ring *ring;
	unsigned rings, bits;	   /* of them: 1 << bits places */
	struct kernel_ring *first; /* has the earliest event; NULL: not known */
	uint64_t second_ns;	   /* of the earliest event of the others */
	uint64_t moment_ns;
	struct urt_event given; /* the last one */
};

/* Loads and attaches the programs, with rings of this size in all. The events are
 * held there until they are given. 0 or -errno;
 * close in either case. */
int kernel_events_open(struct kernel_events *, struct held *, long buffer_mb);
/* The rings' queues begin; kernel_events_open has done that. */
void kernel_events_hold(struct kernel_events *, struct held *);
/* The memory must still be there. */
void kernel_events_close(struct kernel_events *);

/* Records the existing threads of a process, or of all; or a process from its
 * next exec on. */
int kernel_events_running(struct kernel_events *, long pid, bool all);
void kernel_events_starting(struct kernel_events *, pid_t);

/* The clock of the events: CLOCK_BOOTTIME of the initial time namespace, ns. */
int64_t kernel_events_now(void);

/* Looks for events: until the next call, kernel_events_next gives those from before
 * this moment. Returns the largest share of a ring that was in use; 1, too, if the
 * memory is full, so that events should be given before the next call. */
double kernel_events_look(struct kernel_events *);
/* The time of that call, or until which all were copied, by the clock of the
 * events. */
uint64_t kernel_events_moment(const struct kernel_events *);
/* From now on, those events are given again that are kept. */
void kernel_events_again(struct kernel_events *);
/* The time of the next event, if that is before ns; or ns. */
uint64_t kernel_events_next_ns(struct kernel_events *, uint64_t ns);
/* The next event in the order of time, if it is from before ns; or NULL. It is
 * valid until the next call. */
const struct urt_event *kernel_events_next(struct kernel_events *, uint64_t ns);

/* The events that found a ring full. */
uint64_t kernel_events_dropped(const struct kernel_events *);

#endif
