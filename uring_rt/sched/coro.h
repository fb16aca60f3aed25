/* SPDX-License-Identifier: MIT */
/* The coroutine's control block; it lies at the top of its own stack. */
#ifndef URT_SCHED_CORO_H
#define URT_SCHED_CORO_H

#include "../base/san.h"
#include "../exec/context.h"
#include "../urt.h"

/* What a coroutine is doing. X(symbol, name in reports, counter) */
#define URT__REASONS(X)                          \
	X(FREE, "free", PARKS)                   \
	X(RUNNABLE, "runnable", PARKS)           \
	X(IO, "io", PARKS_IO)                    \
	X(SLEEP, "sleep", PARKS_SLEEP)           \
	X(CHAN_SEND, "chan send", PARKS_CHAN)    \
	X(CHAN_RECV, "chan receive", PARKS_CHAN) \
	X(MUTEX, "mutex", PARKS_LOCK)            \
	X(WAITGROUP, "wait group", PARKS_LOCK)   \
	X(JOIN, "join", PARKS_JOIN)              \
	X(DEAD, "ended, not joined", PARKS)

enum urt__reason {
#define X(symbol, name, counter) URT__R_##symbol,
	URT__REASONS(X)
#undef X
};

struct urt__wait;

struct urt_coro {
	URT__ALIGNED struct urt__ctx ctx; /* where it goes on, unless running */
	struct urt_coro *link; /* in the queue or free list it is in */
	urt_fn *fn;
	void *arg;

	/*
	 * Who waits for the end: NULL, a parked coroutine, or URT__DONE once
	 * it has ended and left its stack. Set by CAS from NULL (joiner) and
	 * by exchange to URT__DONE (the end), so exactly one side sees the
	 * other.
	 */
	struct urt_coro *_Atomic joiner;

	struct urt__wait *wait; /* what urt_cancel has to end; NULL: nothing */
	uint64_t id;
	void *stack_lowest; /* first usable byte */
	uint8_t reason;	    /* enum urt__reason */
	bool detached;	    /* freed when it ends; nobody joins it */
	bool cancelled;
	struct urt__san san;
};

#define URT__DONE ((struct urt_coro *)1)

#endif
