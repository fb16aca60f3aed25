/* SPDX-License-Identifier: MIT */
/*
 * The scheduler's inside: workers, processors, park and ready. The protocol
 * is explained in sched.c.
 */
#ifndef URT_SCHED_SCHED_H
#define URT_SCHED_SCHED_H

#include "../base/lock.h"
#include "../base/stats.h"
#include "../exec/stack.h"
#include "../ring/ring.h"
#include "coro.h"
#include "runq.h"
#include "timers.h"

#define URT__BATCH 16

struct urt__worker;

/* Runs on the context that was switched to; see urt__park. */
typedef void urt__commit_fn(struct urt__worker *, void *arg);

/* The right to run coroutines: Go's P. Used by the worker that holds it. */
struct urt__proc {
	struct urt_coro *next; /* goes before the queue: the last one readied
	                          by a peer, which finds its data in cache */
	unsigned next_streak;  /* how often in a row `next` went first */
	unsigned tick;	       /* switches; every TICKS the loop looks round */

	bool shared; /* other workers may take from runq */

	/* Taken from a shared runq in one go, to pay for its CAS once. */
	unsigned batch_pos, batch_len;
	struct urt_coro *batch[URT__BATCH];

	struct urt_coro *free; /* ended coroutines with warm stacks */
	unsigned nr_free;
	uint64_t last_id; /* of the coroutines spawned here */

	struct urt__stats_slot *stats;
	struct urt__timers timers;
	struct urt__runq runq;
};

/* A thread and its ring: Go's M. */
struct urt__worker {
	struct urt_coro *current; /* NULL: the loop runs */
	struct urt__proc *proc;
	struct urt__stats_slot *stats;
	urt__commit_fn *commit; /* to be called after the switch; or NULL */
	void *commit_arg;
	struct urt__ctx loop; /* the loop, on the thread's own stack */
	struct urt__san loop_san;
	struct urt__san *left; /* of the context left by the last switch */
	int64_t now_ns;	       /* the clock when the loop last read it */
	int64_t next_enter_ns; /* when to enter the ring though there is work;
	                          0: not decided since the last sleep */
	bool *stop;	       /* the loop ends when true */
	struct urt__ring ring;
};

/* All of a run. One per process. */
struct urt__runtime {
	struct urt__stacks stacks;
	struct urt__stats_page *stats_page;
	int stats_fd;

	uint32_t global_lock; /* over the global queue */
	struct urt_coro *global_head, *global_tail;
	size_t global_len;

	/* Every coroutine is parked and nothing will come: start-up's report,
	 * which does not return. */
	void (*deadlock)(void);
};
extern struct urt__runtime urt__rt;

/* ---- the calling thread ---- */

extern __thread struct urt__worker *urt__tls_worker
	__attribute__((visibility("hidden"), tls_model("initial-exec")));

struct urt__worker *urt__worker_noinline(void);

/*
 * The calling thread's worker, or NULL. Read afresh each time: a compiler may
 * keep the address of a thread-local variable across a switch, after which it
 * is another thread's; it cannot keep what volatile assembly gives it.
 */
static inline struct urt__worker *urt__worker(void)
{
#if defined(__x86_64__) && !defined(URT__TSAN)
	struct urt__worker *w;

	__asm__ volatile("movq	urt__tls_worker@gottpoff(%%rip), %0\n\t"
			 "movq	%%fs:(%0), %0"
			 : "=&r"(w));
	return w;
#else
	return urt__worker_noinline();
#endif
}

/* The calling coroutine, or NULL. */
static inline struct urt_coro *urt__current(void)
{
	struct urt__worker *w = urt__worker();

	return w ? w->current : NULL;
}

/* ---- for the floors above ---- */

/*
 * Parks the calling coroutine until urt__ready. commit(worker, arg) runs
 * after its registers are saved, on the context that runs next: that is the
 * moment from which it may be readied, so commit publishes it: releases the
 * lock under which it was put on a list, or does the CAS that makes it
 * visible. NULL: it can be readied by this worker's loop only. May suspend.
 */
void urt__park(enum urt__reason, urt__commit_fn *commit, void *arg);

/* A commit: releases the lock (uint32_t *) arg. */
urt__commit_fn urt__commit_unlock;

/*
 * Makes a parked coroutine runnable, once for each park. _ready: it goes
 * before the queue, for a peer that just gave it something. _ready_last: at
 * the end of the queue, for completions and timers. On a worker's thread.
 */
void urt__ready(struct urt_coro *);
void urt__ready_last(struct urt_coro *);

/* A coroutine that will run fn(arg), runnable; NULL: -ENOMEM or too many. */
struct urt_coro *urt__spawn(struct urt__worker *, urt_fn *fn, void *arg,
			    bool detached);

/* Frees one that has ended and was waited for. */
void urt__coro_free(struct urt__worker *, struct urt_coro *);

/* ---- for start-up ---- */

int urt__worker_init(struct urt__worker *, struct urt__proc *,
		     struct urt__stats_slot *, unsigned ring_entries,
		     unsigned features);
void urt__worker_destroy(struct urt__worker *);

/* Runs coroutines on the calling thread until *w->stop. */
void urt__worker_loop(struct urt__worker *);

/* From a coroutine: the loop returns instead of running another one. */
void urt__stop(struct urt__worker *);

/* The control block on stack number i; its reason may be FREE. */
struct urt_coro *urt__coro_at(size_t i);

#endif
