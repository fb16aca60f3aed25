/* SPDX-License-Identifier: MIT */
/*
 * One io_uring instance, used by one thread. Knows nothing of coroutines: a
 * completion calls op->done. How it works and what it promises: ring.c.
 */
#ifndef URT_RING_RING_H
#define URT_RING_RING_H

#include "../base/opcodes.h"
#include "../base/stats.h"
#include "abi.h"
#include "features.h"

/* A request in flight. done runs on the ring's thread, inside a reap. */
struct urt__op {
	void (*done)(struct urt__op *, int32_t res, uint32_t cqe_flags);
	/* What done will access, or NULL. The ring only prefetches it, as it
	 * reaps the completions before. */
	struct urt_coro *coro;
	struct urt__fd *fd;
};

/* user_data that is not an op: no coroutine waits for the completion. */
#define URT__RING_IGNORE UINT64_C(0)
/* ... and the completion only wakes, and belongs to no request of this ring. */
#define URT__RING_KICK UINT64_C(1)
/* A mark in an op's address, for tests: its result is replaced; fault.c. */
#define URT__RING_SPOILED UINT64_C(2)

struct urt__ring {
	/* submission queue; the kernel reads tail and writes head */
	unsigned *sq_khead, *sq_ktail, *sq_kflags;
	struct io_uring_sqe *sqes;
	unsigned sq_mask;
	unsigned sq_entries;
	unsigned sq_tail;  /* entries filled, ahead of *sq_ktail */
	unsigned sq_taken; /* entries the kernel has taken */

	/* completion queue; the kernel writes tail and reads head */
	unsigned *cq_khead, *cq_ktail;
	struct io_uring_cqe *cqes;
	unsigned cq_mask;

	unsigned long inflight; /* requests whose last completion is to come */
	int fd;			/* by which others name the ring */
	int enter_fd;		/* fd, or its registered index */
	unsigned enter_flags;	/* on every enter */
	unsigned features;	/* enum urt__feature that it has */
	struct urt__stats_slot *stats;

	void *rings_map, *sqes_map;
	size_t rings_size, sqes_size;
	int no_room_tries; /* consecutive refusals by the kernel */
	int event_fd;	   /* -1: kicked by messages; else polled for kicks */
	bool event_armed;  /* the poll of event_fd is queued or in flight */
	bool kicked;	   /* a kick was reaped; the reader clears it */
	uint32_t reaps;	   /* so far, modulo 2^32 */
	uint32_t reaping;  /* the number of the one that goes on, or 0 */
};

/*
 * Makes the ring for the calling thread. features: those that may be used; the
 * ring's own word has those it got. -errno of io_uring_setup(2).
 */
int urt__ring_init(struct urt__ring *, unsigned entries, unsigned features,
		   struct urt__stats_slot *);
/* The part of it that decides how the ring is kicked. */
int urt__ring_init_kick(struct urt__ring *);
void urt__ring_destroy(struct urt__ring *);
/* In a forked child, which has only the ring's descriptors. */
void urt__ring_forget(struct urt__ring *);

/*
 * Files and memory that operations may name by their index: IOSQE_FIXED_FILE
 * and READ_FIXED. On the ring's thread. -errno of io_uring_register(2).
 */
int urt__ring_register(struct urt__ring *, const int *files, unsigned nr_files,
		       const struct iovec *buffers, unsigned nr_buffers);
/* ... and releases them at once: the kernel frees a closed ring later. */
void urt__ring_unregister(struct urt__ring *);

/* Bit for each opcode that the running kernel has. */
uint64_t urt__ring_ops(const struct urt__ring *);

/*
 * A zeroed entry to fill, never NULL: a full queue is handed to the kernel
 * first, which may reap, and so call done of other operations. Fill in
 * user_data (an op, or URT__RING_IGNORE) before the next call on the ring.
 */
struct io_uring_sqe *urt__ring_sqe(struct urt__ring *);

/* Whether the next urt__ring_sqe will hand over what is queued. */
static inline bool urt__ring_full(const struct urt__ring *r)
{
	return r->sq_tail - r->sq_taken == r->sq_entries;
}

/*
 * One io_uring_enter for all: hands over the queued requests, and waits until
 * there is a completion, or until timeout_ns (0: does not wait; URT_NEVER) is
 * over, or a signal arrives; then calls done for all completions. Returns their
 * number.
 */
unsigned urt__ring_enter(struct urt__ring *, int64_t timeout_ns);

/* The same without calling done, for callers that must look round first, or let
 * another thread reap meanwhile. Call _arm before, so that a kick is
 * noticed. */
void urt__ring_wait(struct urt__ring *, int64_t timeout_ns);
void urt__ring_arm(struct urt__ring *);

/* Hands over the queued requests, as far as there is room; calls no done. */
void urt__ring_submit(struct urt__ring *);

/*
 * From any thread: ends the wait in this ring soon, or the next wait if none is
 * under way. After its reap, the owner sees all that the kicker wrote before
 * the kick.
 */
void urt__ring_kick(struct urt__ring *);

/*
 * From any thread: whether something waits for the owner to enter the ring. A
 * guess, which is right once the owner has not run for a while.
 */
bool urt__ring_stranded(const struct urt__ring *);

/* From any thread: whether there are requests that the kernel has not taken. If
 * the owner has since published that it sleeps, it is in io_uring_enter with
 * them, or will be. */
bool urt__ring_submitting(const struct urt__ring *);

/* Calls done for the completions that are there, without a system call. */
unsigned urt__ring_reap(struct urt__ring *);

/*
 * On another thread than the ring's own, while that is kept out, between
 * _borrow and _return: hands over the queued requests, in a way that cannot
 * block, and calls done for the completions. The requests then belong to the
 * calling thread, which must outlive them.
 */
struct urt__ring_loan {
	int enter_fd; /* the owner's: a registered index is one thread's */
	unsigned enter_flags;
};
struct urt__ring_loan urt__ring_borrow(struct urt__ring *);
void urt__ring_return(struct urt__ring *, struct urt__ring_loan);
void urt__ring_serve(struct urt__ring *);

/* On the thread that owns the ring from now on; and at the end of that thread,
 * when nothing is in flight. */
void urt__ring_settle(struct urt__ring *);
void urt__ring_leave(struct urt__ring *);

/*
 * Cancels all that is in flight and returns when the last completion has
 * come: after that the kernel writes nowhere. Calls done as usual.
 */
void urt__ring_drain(struct urt__ring *);

/* For tests: makes queued requests fail as urt__sys_faults says. */
void urt__ring_spoil(struct urt__ring *);

/* The events of poll(2), as a POLL_ADD's poll32_events: its halves are in
 * the other order on big-endian machines. */
static inline uint32_t urt__ring_poll_mask(short events)
{
	uint32_t mask = (unsigned short)events;

	return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? mask << 16 : mask;
}

/* Entries that the kernel has not been given yet. */
static inline unsigned urt__ring_queued(const struct urt__ring *r)
{
	return r->sq_tail - r->sq_taken;
}

/* Whether an enter would find completions, by two loads. */
static inline bool urt__ring_has_work(const struct urt__ring *r)
{
	return __atomic_load_n(r->cq_ktail, __ATOMIC_RELAXED) != *r->cq_khead ||
	       __atomic_load_n(r->sq_kflags, __ATOMIC_RELAXED) &
		       (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

#endif
