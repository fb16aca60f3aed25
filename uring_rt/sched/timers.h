/* SPDX-License-Identifier: MIT */
/*
 * Timers: a heap with four children a node, ordered by time. Against a binary
 * heap it is half as deep and compares children that share a cache line. The
 * key lies in the heap itself, so that sifting does not touch the timers.
 * Pure: no threads, no kernel. One thread.
 */
#ifndef URT_SCHED_TIMERS_H
#define URT_SCHED_TIMERS_H

#include "../base/base.h"

struct urt__timer {
	void (*fire)(struct urt__timer *); /* it is out of the heap by then */
	uint32_t index;			   /* in the heap, from 1; 0: not in */
};

struct urt__timers {
	struct urt__timer_entry {
		int64_t when_ns;
		struct urt__timer *timer;
	} * heap; /* from index 1 */
	uint32_t len;
	uint32_t room;
};

void urt__timers_init(struct urt__timers *);
void urt__timers_destroy(struct urt__timers *);

/* 0 or -ENOMEM. The timer must not be in. */
int urt__timers_add(struct urt__timers *, struct urt__timer *, int64_t when_ns);

/* True if it was in, and so will not fire. */
bool urt__timers_del(struct urt__timers *, struct urt__timer *);

/* Takes out and fires all that are due at now_ns; returns how many. */
unsigned urt__timers_run(struct urt__timers *, int64_t now_ns);

/* When the next one is due; INT64_MAX if there is none. */
static inline int64_t urt__timers_next(const struct urt__timers *t)
{
	return t->len ? t->heap[1].when_ns : INT64_MAX;
}

#endif
