/* SPDX-License-Identifier: MIT */
/*
 * The timers of a processor; how they work: timers.c. Pure: no threads, no
 * kernel. One thread.
 *
 * A timer is a time and a word that names what waits. There is no delete: the
 * owner of the word asks, when it fires, whether anyone still waits for it
 * (and `live` is asked when there are suspiciously many).
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
	uint32_t sweep_at; /* len at which the dead are looked for */
	bool (*live)(uint64_t what);
	void (*fire)(uint64_t what);
	void (*soon)(uint64_t what); /* it will fire shortly: a prefetch */
};

/*
 * live: whether anyone still waits for it; fire: it is due (and out already;
 * may add timers); soon: it will be in a moment; may be NULL. All are called
 * with the word that was added.
 */
void urt__timers_init(struct urt__timers *, bool (*live)(uint64_t),
		      void (*fire)(uint64_t), void (*soon)(uint64_t));
void urt__timers_destroy(struct urt__timers *);

/* 0 or -ENOMEM. */
int urt__timers_add(struct urt__timers *, int64_t when_ns, uint64_t what);

/*
 * Takes out and fires all that are due at now_ns; returns how many. *late_ns (or NULL): is
 * set, if it is negative, to how late the first live one is, the latest of them.
 */
unsigned urt__timers_run(struct urt__timers *, int64_t now_ns,
			 int64_t *late_ns);

/* When the next one is due, dead or alive; INT64_MAX if there is none. */
int64_t urt__timers_next(const struct urt__timers *);

/* The same of the living; those before it that are dead are dropped. */
int64_t urt__timers_next_live(struct urt__timers *);

#endif
