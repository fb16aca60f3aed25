/* SPDX-License-Identifier: MIT */
/*
 * The scheduler's inside: workers, processors, park and ready. sched.c explains
 * switch, park and ready; idle.c, which workers run.
 */
#ifndef URT_SCHED_SCHED_H
#define URT_SCHED_SCHED_H

#include "../base/lock.h"
#include "../base/stats.h"
#include "../base/trace.h"
#include "../exec/stack.h"
#include "../ring/ring.h"
#include "coro.h"
#include "runq.h"
#include "timers.h"
#include <signal.h>

#define URT__BATCH	 16
#define URT__FRESH	 64 /* power of two */
#define URT__PROCS_MAX	 256
#define URT__SPARES_MAX	 10000 /* further threads; as many as Go's */
#define URT__SLOTS_MAX	 64 /* ... with a slot and a trace ring of their own */
#define URT__SPARE_RING	 32 /* entries of a spare's ring, at most */
#define URT__WORKERS_MAX (URT__PROCS_MAX + URT__SPARES_MAX)
#define URT__HOG_TURN_NS \
	2000000	       /* others run between a preempted one's turns */
#define URT__CLASSES 8 /* of stack sizes; 0 is the run's own size */

/* Runs on the context that was switched to; see urt__park. */
typedef void urt__commit_fn(struct urt__worker *, void *arg);

/* The right to run coroutines: Go's P. Used by the worker that holds it. */
struct urt__proc {
	struct urt_coro *next; /* runs before the queue: the last one that a
				  peer readied, whose data is in the cache */
	unsigned next_streak;  /* how often in a row `next` went first */
	unsigned tick;	       /* switches; every TICKS the loop looks round */
	unsigned looks;	       /* by the loop for something to run */
	unsigned due_left; /* how many of `fresh`, the newest, timers readied */
	bool crowd;	   /* more coroutines have started here at a time
			      than stay in the L1 cache */
	bool passed;	   /* it went to a worker that waited for one: next,
			      the queue has its turn, unless it is empty */
	int64_t hogged_ns; /* when a preempted coroutine last ran here */
	int64_t oldest_ns; /* when the oldest in the queue last went first,
			      where others are slow */
	int64_t waited_ns; /* since when work has waited here; 0: none waits */
	_Atomic bool overdue; /* work has waited for long: others may take
				 it. Set by the owner and the monitor, reset
				 by the owner */

	/* Coroutines that have never run: the newest goes first, so that a
	 * tree of them is walked depth first and few stacks are in use. A
	 * ring; the oldest is at fresh_oldest. */
	struct urt_coro *fresh[URT__FRESH];
	unsigned fresh_oldest, fresh_len;

	/* Taken from a shared runq in one go, to pay for its CAS once. */
	unsigned batch_pos, batch_len;
	struct urt_coro *batch[URT__BATCH];

	/* Ended coroutines with warm stacks: the magazine in use, and a full
	 * one or NULL. */
	struct urt_coro *free, *full;
	unsigned nr_free;
	unsigned trim_in; /* frees until a stack is trimmed that was not seen
			    deep */
	uint64_t last_id; /* of the coroutines spawned here */

	/* See probe.c: the coroutine that is followed, or NULL; rounds until
	 * the next look; rounds that the coroutine has waited; readies to pass
	 * over. */
	struct urt_coro *_Atomic probe;
	unsigned probe_in, probe_rounds, probe_skip;

	struct urt__timers timers;
	struct urt__runq runq;
};

/* Whether the worker has a processor, and which of idle.c's lists it is on. */
enum urt__worker_state {
	URT__W_RUNNING,	  /* has a processor */
	URT__W_SLEEPING,  /* has a processor, asleep in its ring; idle list */
	URT__W_SPARE,	  /* has none, asleep in its ring; spare list */
	URT__W_WAITING,	  /* has none, wants one; waiting list */
	URT__W_PREEMPTED, /* the same, but others go first; preempted list */
	URT__W_DETACHED,  /* lost it, outside the runtime or in the kernel */
	URT__W_GONE,	  /* has no thread; vacant list, until the run stops */
};

/* Extra work of a switch on this worker: one bit for each reader or feature
 * that needs it. */
#define URT__TELL_EVENTS  1u /* write to the trace rings; see urt__trace_look */
#define URT__TELL_CONTEXT 2u /* set otel_thread_ctx_v1; see context.c */
#define URT__TELL_CXX	  4u /* swap the exceptions of C++; exceptions.c */
#define URT__TELL_ARMED	  8u /* follow one that becomes runnable; probe.c */
#define URT__TELL_FOLLOW  16u /* one in the queue is followed: await its run */
#define URT__TELL_CHECK	  32u /* URT_DEBUG=check: call watch/check.c */
#define URT__TELL_READY	  (URT__TELL_EVENTS | URT__TELL_ARMED)

/* The request to SIGURG's handler, and the handler's progress
 * (watch/preempt.c). */
enum urt__freeze { URT__FREEZE = 1, URT__FREEZING, URT__FROZEN };

/* How long a worker's coroutines run between two switches, unless it sleeps. */
enum urt__pace {
	URT__QUICK,
	URT__SLOW,	/* TICKS switches take over half a millisecond */
	URT__COMPUTING, /* so long that batches of system calls save nothing */
};

/* A thread and its ring: Go's M. */
struct urt__worker {
	URT__ALIGNED struct urt__word word;
	struct urt_coro *current; /* NULL: the loop runs. Its thread writes
				     it, atomically for the monitor */
	struct urt__proc *proc;	  /* NULL: none. Its own thread; others only
				     while they keep the worker out
				     (handoff.c), or under idle_lock while it
				     is listed */
	struct urt__stats_slot *stats; /* in the page, or own_stats */

	struct urt_coro *parked; /* the one that left: its state is still to
				    be set */
	uint32_t park_state;	 /* ... to WAITING, IO or JOB */
	uint32_t tracing;	 /* URT__TELL_*; by atomic changes of a bit */
	uint64_t park_word;	 /* the park word that was set; for the
				    commit */
	urt__commit_fn *commit;	 /* called after the switch; or NULL */
	void *commit_arg;
	struct urt__san *left; /* of the context left by the last switch */

	struct urt__exceptions *exceptions; /* C++'s, of the thread; or NULL */
	struct urt__exceptions loop_exceptions; /* the loop's, while a
						   coroutine runs */

	struct urt__ctx loop; /* the loop, on the thread's own stack */
	struct urt__san loop_san;
	int64_t now_ns;	       /* the clock when the loop last read it */
	int64_t next_enter_ns; /* when to enter the ring despite other work;
				  0: not decided since the last sleep */
	uint32_t random;       /* xorshift: where stealing begins */
	bool due;	       /* timers are firing: the readied go first */
	bool relieved;	       /* its taker (handoff.c) has fired its timers */

	_Atomic bool hogging;	   /* its coroutine has used up a slice */
	_Atomic uint64_t yield_at; /* its switches when the coroutine was
				      asked to yield */
	_Atomic uint8_t pace;	   /* enum urt__pace: the monitor's estimate */

	uint64_t trace_left;	/* id of the one that the last traced
					 switch left */
	unsigned trace_skipped; /* events that no tool wants */
	uint32_t trace_reap;	/* the reap to whose operations the last event
				belongs, or 0; and its time */
	int64_t trace_reap_ns;
	struct urt_context **context; /* its thread's otel_thread_ctx_v1 */

	struct urt_coro *_Atomic inbox; /* operations on this ring to cancel */
	bool registered; /* its ring has the run's files and buffers */
	struct urt__lending *lending; /* wait/lend.c's; NULL: none yet */

	URT__ALIGNED uint32_t handoff_lock; /* taking proc from outside */
	_Atomic uint8_t state;		    /* enum urt__worker_state */
	bool hopeless; /* asleep with no operation and no timer; idle_lock */
	_Atomic bool retire; /* a spare that is not needed: its thread ends */
	_Atomic int64_t until_ns; /* when it sleeps with its processor: when
				     its next timer is due */
	struct urt__worker *list_next, *list_prev; /* idle_lock */

	/* Of a worker without a slot in the page, two: its counts, and the part
	 * of them that was added to the last slot, which idle_lock guards. */
	struct urt__stats_slot *own_stats;

	/* When the thread that this one replaces went to sleep, as the kernel
	 * reported; 0: no report. idle_lock. */
	int64_t told_ns;

	unsigned index;			/* in urt__rt.worker */
	_Atomic int tid;		/* of its thread; 0: it has none */
	_Atomic int64_t astray_ns;	/* when it was last found computing for
					   longer than its slice, or without a
					   processor; watch/nap.c */
	_Atomic uint64_t preempt;	/* the signal should stop the
					   coroutine if this is the number of
					   switches, plus one; 0: never */
	_Atomic bool stalled;		/* the signal should print a
					   backtrace */
	int64_t napped_cpu_ns;		/* its CPU time at its last nap */
	_Atomic uint32_t parked_signal; /* stop the world: enum urt__freeze;
					   naps wait for it */
	void *signal_stack;
	stack_t old_signal_stack;
	struct urt__ring ring;
};

struct urt__worker_list {
	struct urt__worker *head, *tail;
	_Atomic unsigned len; /* also read without the lock */
};

/* Whether the monitor looks by itself; see watch/pause.c. */
enum urt__monitor_sleep {
	URT__M_LOOKS,  /* soon */
	URT__M_SLEEPS, /* not until a worker wakes */
	URT__M_DOZES,  /* when its timer ends; workers that wake put that off */
};

/* A coroutine that a thread without a processor posts to be started; see
 * urt__post. */
struct urt__post {
	struct urt__post *next;
	urt_fn *fn;
	void *arg;
	void (*failed)(struct urt__post *); /* too many, or no memory */
};

/* Ended coroutines of one stack size; see pool.c. */
struct urt__pool {
	struct urt_coro *first; /* linked by scope_next */
	size_t n;		/* entries: magazines of class 0, else ones */
	size_t least;		/* the smallest n since the period began */
	size_t spare;		/* entries that are to go in this period */
};

/* All of a run. One per process. */
struct urt__runtime {
	struct urt__stacks stacks[URT__CLASSES];
	size_t stack_size[URT__CLASSES];
	size_t max_coroutines;
	struct urt__stats_page *stats_page;
	int stats_fd;
	struct urt__trace_page *trace;
	int trace_fd;	   /* -1: none */
	unsigned features; /* that rings may use */
	uint64_t ops;	   /* bit for each opcode that the kernel has */
	unsigned ring_entries;
	/* Registered with every ring; copied from the options. */
	int *files;
	unsigned nr_files;
	struct iovec *buffers;
	unsigned nr_buffers;

	struct urt__proc *proc[URT__PROCS_MAX];
	unsigned nr_procs;
	struct urt__worker *_Atomic worker[URT__WORKERS_MAX];
	_Atomic unsigned nr_workers; /* grows only */
	/* Whether the monitor need not look at the worker: it has lost its
	 * processor, and there is nothing to do for its ring. Set under its
	 * handoff_lock, reset by anyone; an array, since thousands may be
	 * blocked, and each worker lies on a page of its own. */
	_Atomic bool quiet[URT__WORKERS_MAX];
	_Atomic bool stop;	   /* the loops end */
	_Atomic unsigned spinning; /* workers that look for work to steal */
	bool membarrier;	   /* the asymmetric fence is available */

	uint32_t global_lock; /* over the global queue and the posts */
	struct urt_coro *global_head, *global_tail;
	_Atomic size_t global_len; /* coroutines and posts */
	struct urt__post *post_head, *post_tail;

	uint32_t idle_lock; /* over the lists, and state and proc of those on
			       them */
	struct urt__worker_list idle, spare, waiting, preempted, vacant;
	uint64_t epoch; /* wakings so far; idle_lock */

	/* pool_lock: over the pools, and over reserving a size class. */
	uint32_t pool_lock;
	struct urt__pool pool[URT__CLASSES];
	_Atomic uint64_t seq_floor; /* new blocks number their waits from it */
	struct urt_coro *kept;	    /* pool.c's, on the helper's thread */
	unsigned nr_kept;

	_Atomic unsigned blocking; /* calls on the thread pool */

	_Atomic bool contexts; /* a coroutine has had a context; context.c */

	_Atomic bool doubt; /* a deadlock, unless a plain thread wakes a
			       coroutine */

	_Atomic uint32_t monitor_asleep; /* enum urt__monitor_sleep */

	/* Upward calls. A worker has woken while monitor_asleep. */
	void (*monitor_wake)(void);
	/* Whether there are threads that are not the runtime's. */
	bool (*other_threads)(void);
	/* Every coroutine is parked and nothing can wake one: reports it and
	 * exits. */
	void (*deadlock)(void);
	/* The calling coroutine is not on its stack: reports it and aborts. */
	void (*stack_left)(struct urt_coro *, const void *sp);
	/* URT_DEBUG=check, else NULL: the current coroutine is about to leave
	 * the worker; a call was given a deadline that has passed. */
	void (*check_switch)(struct urt__worker *, bool dying);
	void (*check_deadline)(int64_t deadline_ns);
	/* A coroutine whose at_end is set has ended. */
	void (*coro_ended)(struct urt_coro *);
	/* Whether the calling coroutine can be preempted where it is. */
	bool (*may_preempt)(void);
	void (*widen)(void); /* the helper calls urt__fds_widen */
};
extern struct urt__runtime urt__rt;

/* ---- the calling thread ---- */

extern __thread struct urt__worker *urt__tls_worker
	__attribute__((visibility("hidden"), tls_model("initial-exec")));

struct urt__worker *urt__worker_noinline(void);

/*
 * The calling thread's worker, or NULL. Read afresh each time: a compiler may
 * keep the address of a thread-local variable across a switch, after which it
 * is another thread's; it cannot keep the result of volatile assembly.
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

void urt__enter_slow(struct urt__worker *, bool may_suspend);

/*
 * Every public call of a coroutine begins with urt__enter and ends with
 * urt__leave; between them the thread holds its processor and is not preempted.
 * Returns the worker, or NULL on a plain thread, which must not call
 * urt__leave. may_suspend: the time slice may end here. After a park, a call
 * must ask urt__worker() again: the worker may be another one.
 */
static inline struct urt__worker *urt__enter(bool may_suspend)
{
	struct urt__worker *w = urt__worker();

	if (urt__unlikely(!w || !w->current))
		return NULL;
	atomic_store_explicit(&w->word.where, URT__IN, memory_order_relaxed);
	/* Partner: the membarrier of the thread that sets attention
	 * (handoff.c). Acquire: the thread that cleared it may have changed
	 * the processor's queues. */
	atomic_signal_fence(memory_order_seq_cst);
	if (urt__unlikely(atomic_load_explicit(&w->word.attention,
					       memory_order_acquire))) {
		urt__enter_slow(w, may_suspend);
		w = urt__worker();
	}
	return w;
}

/* Release: a thread that then takes the processor away sees all changes to
 * it. */
static inline void urt__leave(void)
{
	atomic_store_explicit(&urt__worker()->word.where, URT__OUT,
			      memory_order_release);
}

/* xorshift32 (Marsaglia, 2003): fair choices, not secrets. */
static inline uint32_t urt__random(struct urt__worker *w)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 17;
	w->random ^= w->random << 5;
	return w->random;
}

/* ---- park and ready: between enter and leave ---- */

/*
 * Begins the next wait and returns its number. From now on, self can be given
 * to wakers, under a lock that commit releases.
 */
static inline uint64_t urt__park_prepare(struct urt_coro *self, bool firm)
{
	uint64_t seq = urt__park_seq(atomic_load_explicit(
			       &self->park, memory_order_relaxed)) +
		       1;

	atomic_store_explicit(&self->park, seq << 2, memory_order_relaxed);
	self->result = 0;
	atomic_store_explicit(&self->firm, firm, memory_order_relaxed);
	return seq;
}

/*
 * Parks the calling coroutine in the given state until urt__ready, after
 * urt__park_prepare. commit(worker, arg), if any, runs after its registers are
 * saved and the state is set, on the context that runs next: commit makes the
 * coroutine findable, or releases the lock under which it was put on a list.
 * Returns the result that the claimer left. May suspend.
 */
int urt__park(struct urt__worker *, enum urt__reason, uint64_t state,
	      urt__commit_fn *commit, void *arg);

/* A commit: releases the object's lock (uint32_t *) arg. */
urt__commit_fn urt__commit_unlock;

/*
 * Makes a parked coroutine runnable: once for each park, called by its claimer.
 * _ready puts it before the queue, for a peer that has just given it data;
 * _ready_last at the end of the queue, for completions and timers. From any
 * thread: without a processor, to the global queue.
 */
void urt__ready(struct urt_coro *);
void urt__ready_last(struct urt_coro *);
/* The same for a coroutine that has never run. The caller has a processor. */
void urt__ready_new(struct urt__worker *, struct urt_coro *);

/* ---- trace.c: events, while a tool reads them ---- */

/* Whether a tool reads them; from any thread. */
static inline bool urt__trace_wanted(void)
{
	return __atomic_load_n(&urt__rt.trace->until_ns, __ATOMIC_RELAXED);
}

/* The worker's URT__TELL_* bits. */
static inline uint32_t urt__telling(const struct urt__worker *w)
{
	return __atomic_load_n(&w->tracing, __ATOMIC_RELAXED);
}

/* At each look round, copies the answer to the worker, so that a switch reads
 * no other cache line. */
static inline void urt__trace_look(struct urt__worker *w)
{
	bool wanted =
		urt__trace_wanted() && w->index + 1 < urt__rt.trace->rings;

	if (urt__unlikely(wanted != (urt__telling(w) & URT__TELL_EVENTS)))
		__atomic_fetch_xor(&w->tracing, URT__TELL_EVENTS,
				   __ATOMIC_RELAXED);
}

/* If urt__telling: does the work of its bits for a switch, or for a new
 * coroutine, started by w->current, that is to be readied. These are not cold:
 * gcc builds what is cold for size, with string instructions that take as long
 * as all else. */
void urt__tell_switch(struct urt__worker *, bool dying, struct urt_coro *next);
void urt__tell_spawn(struct urt__worker *, struct urt_coro *);
/* Call these only if events are written, inside the runtime, before other
 * threads can see the change. */
void urt__trace_ready(struct urt__worker *, const struct urt_coro *);
/* c, which is new or runs, has another context than before, or none. */
void urt__trace_context(struct urt__worker *, struct urt_coro *);
URT__COLD void urt__trace_steal(struct urt__worker *, unsigned n,
				unsigned from);
/* ---- probe.c: how long runnable coroutines wait ---- */

/* At a look round, when probe_in is 0. */
URT__COLD void urt__probe_look(struct urt__worker *);
/* _ready, if URT__TELL_ARMED: the coroutine is about to be queued. _run, if
 * URT__TELL_FOLLOW: it is about to run. */
URT__COLD void urt__probe_ready(struct urt__worker *, struct urt_coro *);
URT__COLD void urt__probe_run(struct urt__worker *, struct urt_coro *);
/* The coroutine has come from another processor's queue. */
URT__COLD void urt__probe_moved(struct urt__worker *, struct urt_coro *);

/* The worker has just been given its processor. */
static inline void urt__probe_given(struct urt__worker *w)
{
	if (atomic_load_explicit(&w->proc->probe, memory_order_relaxed))
		__atomic_fetch_or(&w->tracing, URT__TELL_FOLLOW,
				  __ATOMIC_RELAXED);
}

/* For threads that are not workers: plain ones, and the monitor. Only if
 * urt__trace_wanted. */
URT__COLD void urt__trace_ready_outside(const struct urt_coro *);
void urt__trace_forget(void);
URT__COLD void urt__trace_handoff(const struct urt__worker *from,
				  const struct urt__worker *to);

/* Timer word for wait number seq of c. */
#define URT__SEQ_BITS 40 /* base/outside.h tells it to tools */
static inline uint64_t urt__timer_word(const struct urt_coro *c, uint64_t seq)
{
	return (uint64_t)c->number << URT__SEQ_BITS |
	       (seq & ((UINT64_C(1) << URT__SEQ_BITS) - 1));
}

/* To cancel coroutines, from any thread: set `cancelled` of each, call
 * urt__cancel_fence once, then urt__cancel_marked, which ends its wait, for
 * each. */
void urt__cancel_fence(void);
/* A full fence in all threads of the process; if urt__rt.membarrier. */
void urt__membarrier(void);
void urt__cancel_marked(struct urt_coro *);

/* Has the operation of c, which is in state IO, cancelled. */
void urt__op_cancel(struct urt_coro *c);
/* The same for wait number seq, before which c may not have parked yet. Does
 * not touch the ring, so the caller may hold a lock that completions take. */
void urt__op_close(struct urt_coro *c, uint64_t seq);

/* Ends with err the wait that `park`, as it was read from c, stands for, unless
 * that wait has ended already. */
void urt__wait_end(struct urt_coro *c, uint64_t park, int err);

/* Cancels the operations on the caller's ring that other threads want to
 * end. */
void urt__inbox_run(struct urt__worker *);

/* The functions that timers call with their word; see timers.h. */
bool urt__timer_live(uint64_t what);
void urt__timer_fire(uint64_t what);
void urt__timer_soon(uint64_t what);

/* Lets others go first. */
void urt__yield(struct urt__worker *);

/* ---- exceptions.c ---- */

/* Finds the C++ library, if there is one; at the start of a run. */
void urt__exceptions_open(void);
/* On the worker's thread, when it begins. */
void urt__exceptions_enter(struct urt__worker *);
/* Saves the exceptions of the context that runs now, and loads those of
 * next. */
URT__COLD void urt__exceptions_switch(struct urt__worker *, bool dying,
				      const struct urt_coro *next);

/* ---- coroutines ---- */

/* The arguments for starting a coroutine. */
struct urt__spawn {
	urt_fn *fn;
	void *arg;
	size_t stack_size; /* 0: the run's */
	int64_t deadline_ns;
	bool detached;
};

/* A coroutine that is not runnable yet; NULL: no memory or too many. */
struct urt_coro *urt__spawn(struct urt__worker *, const struct urt__spawn *);
/* Frees a coroutine that has ended, and was joined or is detached. */
void urt__coro_free(struct urt__worker *, struct urt_coro *);

/*
 * From any thread: has the worker that finds the post start the coroutine
 * fn(arg). The post must stay until fn runs.
 */
void urt__post(struct urt__post *);

/* The size class of its stack. */
unsigned urt__coro_class(const struct urt_coro *);
/* The control block with that number. */
struct urt_coro *urt__coro_at(uint32_t number);

/* Calls fn for the control blocks of all coroutines that were ever started;
 * their reason may be FREE. */
void urt__coro_each(void (*fn)(struct urt_coro *, void *arg), void *arg);

/* ---- idle.c ---- */

/* Wakes one sleeping worker, if there is one and no worker looks for work. */
void urt__wake_one(void);

/* The same as a guess, for two loads; the monitor makes up for a wrong one. */
static inline void urt__wake_hint(void)
{
	if (urt__shared &&
	    atomic_load_explicit(&urt__rt.idle.len, memory_order_relaxed) &&
	    !atomic_load_explicit(&urt__rt.spinning, memory_order_relaxed))
		urt__wake_one();
}

/* Sleeps with the processor, if the loop has found no work. */
void urt__idle_sleep(struct urt__worker *);
/* Sleeps without one. */
void urt__spare_sleep(struct urt__worker *);
/* Blocks the thread until it has a processor, or the run stops. _turn: until it
 * is its turn again, after a preemption. */
void urt__proc_acquire(struct urt__worker *);
void urt__proc_acquire_turn(struct urt__worker *);

/* ---- handoff.c ---- */

/* Gives the processor to a worker that waits for one, if any does; _turn: to
 * one with a preempted coroutine. */
bool urt__proc_give(struct urt__worker *);
bool urt__proc_give_turn(struct urt__worker *);
/* Stops the calling coroutine and its thread until its turn comes again. No
 * effect if it has a processor and no other worker can continue with that. */
void urt__proc_swap(struct urt__worker *);

/* From any thread: asks the coroutine that runs there now, but none that runs
 * there later, to yield at its next call. */
void urt__ask_to_yield(struct urt__worker *);
/* Whether it was asked, and has made no such call since. */
bool urt__is_asked_to_yield(const struct urt__worker *);
void urt__stop_if_asked(struct urt__worker *);

/*
 * As urt__enter, for a call that does not suspend but may be all that a loop
 * does: the calling coroutine can be preempted here. The signal does not
 * preempt inside the runtime, where it finds such a loop nearly always. Not for
 * an unlock: the lock would stay taken meanwhile.
 */
static inline struct urt__worker *urt__enter_often(void)
{
	struct urt__worker *w = urt__enter(false);

	if (urt__likely(w) &&
	    urt__unlikely(atomic_load_explicit(&w->word.attention,
					       memory_order_relaxed) &
			  URT__ATT_YIELD))
		urt__stop_if_asked(w);
	return w;
}

/*
 * From any thread that holds no lock: gives another worker the processor of one
 * whose thread sleeps, or is stuck, outside the runtime. told_ns: when the
 * thread went to sleep, as the kernel reported; 0: no report. False: the thread
 * came back, or has no processor, or no other worker is available.
 */
bool urt__handoff(unsigned index, int64_t told_ns);

/*
 * By the monitor, for a worker outside the runtime. _relieve lets others find
 * its due timers, its completions and the coroutines that only it could run; it
 * returns whether anything still waits for the processor. _rescue serves its
 * requests and completions, if it has lost its processor, and sets `quiet` if
 * there is nothing more to do for its ring until that has completions again.
 */
bool urt__worker_relieve(struct urt__worker *);
void urt__worker_rescue(struct urt__worker *);
/* Whether coroutines or workers that are bound to no processor wait for one. */
bool urt__some_wait(void);
/* The part of _relieve that moves coroutines to the global queue. */
void urt__proc_expose(struct urt__worker *from);
static inline enum urt__pace urt__pace(const struct urt__worker *w)
{
	return atomic_load_explicit(&w->pace, memory_order_relaxed);
}

/* Fires the timers that are due, and returns their number. first: their
 * coroutines go before those that are queued. By the worker, or for it
 * (_relieve). */
unsigned urt__worker_fire(struct urt__worker *, int64_t now_ns, bool first);
/* Has the loop look round at the next switch. */
void urt__proc_look_soon(struct urt__proc *);
/* The worker in whose place the calling thread acts; NULL: none. */
extern __thread struct urt__worker *urt__serving
	__attribute__((visibility("hidden")));
/* Whether coroutines are queued there. By its worker, or with that kept out. */
bool urt__proc_has_queue(const struct urt__proc *);

/*
 * Submits the queued requests and waits in the ring, where the thread may block
 * and lose the processor. Does not reap completions.
 */
void urt__worker_wait(struct urt__worker *, int64_t timeout_ns);
/* The same without waiting, by a worker that runs. True: the processor is gone.
 * _flush only submits. */
bool urt__worker_submit(struct urt__worker *);
bool urt__worker_flush(struct urt__worker *);
/* Around a system call that may block after all: other threads can take the
 * processor meanwhile. _end returns whether one did. */
static inline void urt__kernel_begin(struct urt__worker *w)
{
	atomic_store_explicit(&w->word.where, URT__KERNEL,
			      memory_order_release);
}
bool urt__kernel_end(struct urt__worker *);

/* ---- threads that come and go: idle.c ---- */

/* Takes a worker whose thread has ended, for a new thread; NULL: none. */
struct urt__worker *urt__vacant_take(void);
/* Has a spare with nothing in flight end its loop; false: there is none. */
bool urt__spare_retire(void);
/* By a worker's thread, at its end. */
void urt__worker_vacate(struct urt__worker *);

/* ---- pool.c ---- */

#define URT__MAGAZINE 64u /* ended coroutines of class 0 moved at once */

/* Takes an entry, whose coroutines are linked by link; NULL: none. With
 * pool_lock held. */
struct urt_coro *urt__pool_take(unsigned class);
/* Adds an entry; without pool_lock held. */
void urt__pool_put(unsigned class, struct urt_coro *);
bool urt__pool_is_empty(void);
/* Gives some of the unused stacks back to the system. Only the monitor's helper
 * calls it. Returns when to call it again, unless the pool is empty. */
int64_t urt__pool_tidy(int64_t now_ns);
/* Stacks that were not needed for this time go back; shorter in tests. */
extern int64_t urt__pool_period_ns __attribute__((visibility("hidden")));

/* ---- for start-up ---- */

struct urt__proc *urt__proc_new(unsigned index);
void urt__proc_free(struct urt__proc *);
int urt__worker_init(struct urt__worker *, unsigned index, struct urt__proc *);
/* On the thread that becomes the worker's; _leave: on one that ceases to be. */
void urt__worker_settle(struct urt__worker *);
void urt__worker_leave(struct urt__worker *);
void urt__worker_destroy(struct urt__worker *);

/* Runs coroutines on the calling thread until urt__rt.stop, or until the worker
 * is a spare that has to retire. */
void urt__worker_loop(struct urt__worker *);

/* For the loop: switches to c, and returns when a coroutine switches to the
 * loop. */
void urt__worker_run(struct urt__worker *, struct urt_coro *c);

/* All loops return instead of running another coroutine. */
void urt__stop(void);
/* The run stops: leaves the calling coroutine forever. */
void urt__abandon(struct urt__worker *);

/* On the worker's thread: handles its inbox, requests and completions. */
void urt__worker_drain(struct urt__worker *);

/* Runs fn(arg) on the stack of a parked coroutine, for a report, while no other
 * coroutine runs. w: the caller's worker, with or without a ring. */
void urt__visit(struct urt__worker *w, struct urt_coro *, void (*fn)(void *arg),
		void *arg);

/* A control block and its stack for a coroutine; NULL: there is none. */
struct urt_coro *urt__coro_get(struct urt__proc *, size_t stack_size);

static inline void urt__set_reason(struct urt_coro *c, enum urt__reason reason)
{
	atomic_store_explicit(&c->reason, reason, memory_order_relaxed);
}

/* For a coroutine that waits: to ready one twice is a bug of its waker. */
static inline void urt__set_runnable(struct urt_coro *c)
{
	enum urt__reason was =
		atomic_load_explicit(&c->reason, memory_order_relaxed);

	static_assert(URT__R_FREE < URT__R_DEAD &&
			      URT__R_RUNNABLE < URT__R_DEAD,
		      "those that do not wait come first");
	URT_BUG_ON(was <= URT__R_DEAD);
	urt__set_reason(c, URT__R_RUNNABLE);
}

#endif
