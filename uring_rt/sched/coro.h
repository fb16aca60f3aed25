/* SPDX-License-Identifier: MIT */
/*
 * The coroutine's control block, and the park word, which decides which waker
 * wins.
 *
 * The block lies at the top of the coroutine's own stack and is never unmapped
 * or given to anything else during a run: a stale pointer to a coroutine that
 * ended still points at a control block. So timers, wakers and cancellation can
 * hold (coroutine, sequence number) without a lock or a reference count.
 *
 * park = sequence << 2 | state. Each wait of a coroutine has the next sequence
 * number, also across reuse of the block. A waker must win the claim, a
 * compare-and-swap from WAITING of exactly that sequence; the winner writes
 * result and readies the coroutine. If a sender, a deadline and a cancellation
 * race, one of them wins, and the others change nothing, however late they
 * come.
 *
 *	BUSY     running, runnable, or its wait has been claimed
 *	WAITING  parked; can be claimed
 *	IO       parked on an operation: only its completion readies it, since
 *	         the kernel may write to its buffers; a deadline or cancellation
 *	         asks the kernel to hurry (urt__op_cancel)
 *
 *	JOB	parked on a job of the thread pool that no thread has begun: can
 *	        be claimed, but by compare-and-swap in any run, since the thread
 *	        that begins it holds no processor (wait/pool.c)
 *
 * WAITING, IO and JOB are set by the commit after the registers are saved
 * (sched.c), so a claimed coroutine can be run at once.
 */
#ifndef URT_SCHED_CORO_H
#define URT_SCHED_CORO_H

#include "../base/lock.h"
#include "../base/san.h"
#include "../exec/context.h"
#include "../ring/ring.h"
#include "../urt.h"

/* The state of a coroutine, or the reason for which it is parked; first the
 * states of one that does not wait. X(symbol, name in reports, counter) */
#define URT__REASONS(X)                          \
	X(FREE, "free", PARKS)                   \
	X(RUNNABLE, "runnable", PARKS)           \
	X(DEAD, "ended, not joined", PARKS)      \
	X(PREEMPTED, "preempted", PARKS)         \
	X(IO, "io", PARKS_IO)                    \
	X(SLEEP, "sleep", PARKS_SLEEP)           \
	X(CHAN_SEND, "chan send", PARKS_CHAN)    \
	X(CHAN_RECV, "chan receive", PARKS_CHAN) \
	X(SELECT, "select", PARKS_CHAN)          \
	X(MUTEX, "mutex", PARKS_LOCK)            \
	X(RWLOCK, "rwlock", PARKS_LOCK)          \
	X(COND, "condition", PARKS_LOCK)         \
	X(SEM, "semaphore", PARKS_LOCK)          \
	X(WAITGROUP, "wait group", PARKS_LOCK)   \
	X(ONCE, "once", PARKS_LOCK)              \
	X(BARRIER, "barrier", PARKS_LOCK)        \
	X(JOIN, "join", PARKS_JOIN)              \
	X(SCOPE, "scope close", PARKS_JOIN)      \
	X(BLOCKING, "blocking call", PARKS_IO)

enum urt__reason {
#define X(symbol, name, counter) URT__R_##symbol,
	URT__REASONS(X)
#undef X
		URT__R_COUNT,
};
extern const char *const urt__reason_names[URT__R_COUNT];

/* Bits of urt_coro.at_end. */
#define URT__END_RUN	 1u /* it is the first one, with which the run ends */
#define URT__END_LOCALS	 2u /* it has local values */
#define URT__END_SCOPE	 4u /* it was started in a scope */
#define URT__END_CONTEXT 8u /* it has had a context */

#define URT__BUSY    UINT64_C(0)
#define URT__WAITING UINT64_C(1)
#define URT__IO	     UINT64_C(2)
#define URT__JOB     UINT64_C(3)

struct urt__worker;
struct urt_scope;

/*
 * The state of exceptions that a C++ library keeps for each thread: struct
 * __cxa_eh_globals of the Itanium C++ ABI, section 2.2.2. See exceptions.c.
 */
struct urt__exceptions {
	void *caught;	   /* the stack of those that catch blocks handle */
	unsigned uncaught; /* those that unwind */
};

/*
 * The first two cache lines hold all that a wait uses: with many coroutines,
 * each line is a miss. A queue uses the first line only, which has thus been
 * fetched when the stack pointer is needed for a prefetch (queue.c).
 */
struct urt_coro {
	URT__ALIGNED struct urt__ctx
		ctx;		  /* where it continues; unless it runs */
	struct urt_coro *link;	  /* in its queue or free list */
	_Atomic uint64_t park;	  /* see above */
	int32_t result;		  /* of its wait; by the claimer */
	_Atomic uint8_t reason;	  /* enum urt__reason; itself and its waker */
	_Atomic bool firm;	  /* its wait cannot be cancelled */
	_Atomic bool cancelled;	  /* set by anyone, until its end */
	bool detached;		  /* freed when it ends, without a join */
	int64_t deadline_ns;	  /* of its scope; every wait ends by then */
	_Atomic int64_t ready_ns; /* since when it is runnable; 0: not
				     measured. See probe.c */

	/* In state IO: the operation, and the worker whose ring has it. */
	struct urt__op *op;
	struct urt__worker *_Atomic op_worker;

	int64_t since_ns; /* its last wait began, by its worker's now_ns */
	void *object;	  /* of its last wait: its commit's argument */
	void *deep_below; /* URT__STACK_KEEP from the block, or stack_lowest:
				     a park below it is noted, and checked */
	uint8_t cancel_asked;	 /* op_worker's thread only; cancel.c */
	uint8_t last_op;	 /* opcode of its last operation ... */
	uint8_t row_misses;	 /* ... failed attempts in a row to make
				       one at once */
	uint8_t row_skip;	 /* operations to make without such an
				       attempt */
	uint16_t no_preempt;	 /* depth of urt_preempt_disable */
	bool deep;		 /* its stack was seen deeper than
				     URT__STACK_KEEP */
	uint8_t at_end;		 /* URT__END_*: extra work of its end */
	_Atomic uint64_t closed; /* sequence whose descriptor is being closed */

	/*
	 * The coroutine that waits for the end: NULL, a parked coroutine, or
	 * URT__DONE once this one has ended and left its stack. The joiner sets
	 * it by CAS from NULL, the end by an exchange for URT__ENDING, so
	 * exactly one side sees the other. DONE is the last access of the end:
	 * only then may the block be freed. join_seq: of the joiner's wait,
	 * written before.
	 */
	struct urt_coro *_Atomic joiner;
	_Atomic uint64_t join_seq;
	void *woken_by; /* by the claimer: select's served waiter */

	urt_fn *fn;
	void *arg;
	uint64_t id;

	/* For tools outside (base/outside.h). The switch reads the context,
	 * too: the record that the thread shows while the coroutine runs; NULL:
	 * none, as in all free blocks. */
	struct urt_context *context;
	uint64_t parent; /* id of its starter; 0: a plain thread */

	struct urt__op *opening;    /* = op, if that opens a descriptor; else
				    NULL */
	_Atomic uint64_t timed_out; /* sequence whose deadline has passed */
	_Atomic uint32_t cancels;   /* requests to cancel that are under way */
	_Atomic bool in_inbox;	    /* inbox_link is in use */
	struct urt__san san;
	struct urt_coro *inbox_link; /* in op_worker's inbox */
	struct urt__op cancel_op;    /* the request to cancel it */

	struct urt_scope *scope;    /* that it was started in; NULL: none */
	struct urt_scope *inner;    /* innermost one that it has opened */
	struct urt__locals *locals; /* coroutine-local values; NULL: none */
	int (*scope_fn)(void *);    /* its function, if in a scope; fn is a
				       wrapper */
	struct urt_coro *scope_next, *scope_prev; /* scope's lock */

	void *stack_lowest; /* first usable byte */
	uint32_t number;    /* index and size class of its stack */
	bool sampled;	    /* it works for a request that is traced; trace.c */
	uint64_t request_id; /* of its trace id, when that was decided */
	struct urt__exceptions exceptions; /* while it does not run */
};

#define URT__DONE   ((struct urt_coro *)1)
#define URT__ENDING ((struct urt_coro *)2)

static inline uint64_t urt__park_seq(uint64_t park)
{
	return park >> 2;
}

static inline uint64_t urt__park_state(uint64_t park)
{
	return park & 3;
}

/*
 * Wins the right to wake c from its wait number seq. The claimer sees all that
 * the parker wrote; what the claimer writes travels with the queue that it puts
 * c into. seq_cst also on failure: a joiner sets WAITING, fences and checks
 * whether its target has ended; the end announces itself and then tries to
 * claim (sched.c). With a weaker order on failure, C11 lets the two miss each
 * other.
 */
static inline bool urt__claim(struct urt_coro *c, uint64_t seq)
{
	uint64_t want = seq << 2 | URT__WAITING;

	if (urt__shared)
		return atomic_compare_exchange_strong_explicit(
			&c->park, &want, seq << 2, memory_order_seq_cst,
			memory_order_seq_cst);
	if (atomic_load_explicit(&c->park, memory_order_acquire) != want)
		return false;
	atomic_store_explicit(&c->park, seq << 2, memory_order_relaxed);
	return true;
}

/* The same for state JOB. */
static inline bool urt__claim_job(struct urt_coro *c, uint64_t seq)
{
	uint64_t want = seq << 2 | URT__JOB;

	return atomic_compare_exchange_strong_explicit(
		&c->park, &want, seq << 2, memory_order_acq_rel,
		memory_order_relaxed);
}

/*
 * Turns a wait in state JOB into the next one, which is firm and has no
 * deadline: the caller will claim and ready it. False: it was claimed before.
 * firm is written while the coroutine cannot continue in either case (J3), and
 * before the new number can be seen: a canceller that reads the number reads
 * firm, too.
 */
static inline bool urt__wait_harden(struct urt_coro *c, uint64_t *seq)
{
	uint64_t want = *seq << 2 | URT__JOB;

	atomic_store_explicit(&c->firm, true, memory_order_relaxed);
	if (!atomic_compare_exchange_strong_explicit(
		    &c->park, &want, (*seq + 1) << 2 | URT__WAITING,
		    memory_order_acq_rel, memory_order_relaxed))
		return false;
	++*seq;
	return true;
}

/*
 * Why a wait of a cancelled coroutine ends. When the deadline of a scope
 * passes, the scope cancels its members, whose own timers may be later. The
 * cause is the deadline all the same, for which urt.h promises -ETIME.
 */
static inline int urt__cancel_error(const struct urt_coro *c)
{
	return c->deadline_ns != URT_NEVER && c->deadline_ns <= urt__clock_ns()
		       ? -ETIME
		       : -ECANCELED;
}

#endif
