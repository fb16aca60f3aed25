/* SPDX-License-Identifier: MIT */
/*
 * The timers of a processor; how they work: timers.c. Pure: no threads, no
 * kernel. One thread.
 *
 * A timer is a time and a word that names the waiter. There is no delete: when
 * the timer fires, the owner of the word checks whether the waiter still waits.
 * `live` tells that earlier, when there are suspiciously many timers.
 */
#ifndef URT_SCHED_TIMERS_H
#define URT_SCHED_TIMERS_H

#include "../base/base.h"

#define URT__LANES 4

struct urt__timer {
	int64_t when_ns;
	uint64_t what; /* the owner's word */
};

/* Timers in the order in which they are due: a queue in a ring. */
struct urt__lane {
	struct urt__timer *ring;
	uint32_t head, len; /* timers; head is the earliest */
	uint32_t room;	    /* power of two, or 0 */
};

struct urt__timers {
	struct urt__lane lane[URT__LANES];
	struct urt__timer *heap; /* from index 1; a 4-ary heap */
	void *heap_memory;	 /* as allocated */
	uint32_t heap_len, heap_room;
	uint32_t len;	   /* of all */
	uint32_t sweep_at; /* len at which dead timers are removed */
	bool (*live)(uint64_t what);
	void (*fire)(uint64_t what);
	void (*soon)(uint64_t what); /* it will fire shortly: a prefetch */
};

/*
 * live: whether anyone still waits for the timer; fire: it is due, and already
 * taken out; may add timers; soon: it will fire shortly; may be NULL. All are
 * called with the word that was added.
 */
void urt__timers_init(struct urt__timers *, bool (*live)(uint64_t),
		      void (*fire)(uint64_t), void (*soon)(uint64_t));
void urt__timers_destroy(struct urt__timers *);

/* 0 or -ENOMEM. */
int urt__timers_add(struct urt__timers *, int64_t when_ns, uint64_t what);

/*
 * Takes out and fires all timers that are due at now_ns; returns how many.
 * late_ns may be NULL; if *late_ns is negative, it is set to the delay of the
 * first live one, which is the longest.
 */
unsigned urt__timers_run(struct urt__timers *, int64_t now_ns,
			 int64_t *late_ns);

/* When the next timer is due, dead or alive; INT64_MAX: there is none. */
int64_t urt__timers_next(const struct urt__timers *);

/* The same for live timers; drops dead ones before it. */
int64_t urt__timers_next_live(struct urt__timers *);

#endif
