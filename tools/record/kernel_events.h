/* SPDX-License-Identifier: MIT */
/* The events of bpf/record.bpf.c, as they come out of its ring buffer. */
#ifndef URT_KERNEL_EVENTS_H
#define URT_KERNEL_EVENTS_H

#include <linux/types.h>
#include "record.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct kernel_events {
	struct record_bpf *bpf;
	struct bpf_link *link[24]; /* one for each program */
	unsigned links;
	struct ring_buffer *ring;
	struct urt_event *event; /* taken out of the ring */
	unsigned n, max;
};

/* Loads and attaches the programs, with a ring buffer of this size. 0 or -errno;
 * close in either case. */
int kernel_events_open(struct kernel_events *, long buffer_mb);
void kernel_events_close(struct kernel_events *);

/* Records the existing threads of a process, or of all; or a process from its
 * next exec on. */
int kernel_events_running(struct kernel_events *, long pid, bool all);
void kernel_events_starting(struct kernel_events *, pid_t);

/* Takes the present events; false: there may be more already. The other one
 * drops the first n. */
bool kernel_events_take(struct kernel_events *);
void kernel_events_done(struct kernel_events *, unsigned n);

/* The events that found the ring buffer full. */
uint64_t kernel_events_dropped(const struct kernel_events *);

#endif
