// SPDX-License-Identifier: MIT
/*
 * The ring.
 *
 * Requests are queued in shared memory while coroutines run, and one
 * io_uring_enter hands over all of them, waits, and lets the kernel post
 * completions. The steps of each side, and the barriers:
 *
 *   submission: we fill sqes[tail], then publish *sq_ktail (release); the
 *   kernel reads the tail (acquire) inside our own enter, takes entries and
 *   returns how many. Entries may be reused as soon as enter returns.
 *
 *   completion: the kernel fills cqes[] and publishes *cq_ktail (release); we
 *   load it (acquire), call done for each, then publish *cq_khead (release):
 *   only then may the kernel overwrite the entry. It is therefore copied
 *   before done is called, and head published before the callbacks of a full
 *   queue could need room.
 *
 * With COOP_TASKRUN the kernel posts completions when the thread enters the
 * kernel for any reason, or sleeps there: the queue is filled in batches and
 * the worker is never interrupted while it computes. SQ_TASKRUN in the ring's
 * flags then says that an enter would find something. DEFER_TASKRUN, which
 * posts them in our own enter only, was as fast (HACKING.md), and a thread that
 * blocks in libc would hold back the completions of every operation that it has
 * submitted.
 *
 * A ring has one user at a time: its own thread, or, while that is kept out
 * (sched/handoff.c), another one in its place (urt__ring_serve). So it is not
 * bound to one thread by SINGLE_ISSUER, which gains nothing without
 * DEFER_TASKRUN.
 *
 * Nothing is lost:
 *  - A full submission queue is handed over before the next entry is given
 *    out; entries the kernel does not take stay queued.
 *  - A full completion queue makes the kernel keep completions in a list
 *    (IORING_FEAT_NODROP, since 5.5); an enter with GETEVENTS moves them over
 *    once there is room, and SQ_CQ_OVERFLOW says that it is needed.
 *  - EINTR: nothing was taken; asked again, or returned to the caller's loop.
 *  - EBUSY, EAGAIN, ENOMEM: the kernel has no room just now. We reap, which
 *    frees some, and ask again; the program is slower, never wrong.
 *
 * Waking. A worker sleeps only in its ring, so a thread that wakes it posts a
 * completion there, by IORING_REGISTER_SEND_MSG_RING (Linux 6.13), which works
 * from any thread because the sender needs no ring. Older kernels use an
 * eventfd: the ring has one multishot poll on it, which posts a completion for
 * each write; the eventfd is never read. MSG_RING as a request, since 5.18, is
 * not used: its sender needs a ring, which plain threads do not have.
 *
 * setup.c makes and destroys the ring.
 */
#define _GNU_SOURCE
#include "ring.h"
#include "../base/lock.h"
#include "../base/sys.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define AHEAD 8 /* completions between a prefetch and the callback */

static int send_message(const struct urt__ring *r)
{
	struct io_uring_sqe sqe = {
		.opcode = URT__OP_MSG_RING,
		.fd = r->fd,
		.off = URT__RING_KICK,
	};

	return urt__sys_ring_register(-1, URT__REGISTER_SEND_MSG_RING, &sqe, 1);
}

static void arm_event(struct urt__ring *r)
{
	struct io_uring_sqe *sqe = urt__ring_sqe(r);

	r->inflight--; /* it never ends, and nothing waits for it */
	sqe->opcode = URT__OP_POLL_ADD;
	sqe->fd = r->event_fd;
	sqe->poll32_events = urt__ring_poll_mask(POLLIN);
	sqe->len = IORING_POLL_ADD_MULTI;
	sqe->user_data = URT__RING_KICK;
	r->event_armed = true;
}

int urt__ring_init_kick(struct urt__ring *r)
{
	r->event_fd = -1;
	if (r->features & URT__F_MSG_RING && !send_message(r)) {
		urt__ring_enter(r, 0); /* it was only tried */
		return 0;
	}
	r->features &= ~URT__F_MSG_RING;
	r->event_fd = urt__sys_eventfd();
	if (r->event_fd < 0)
		return r->event_fd;
	arm_event(r);
	return 0;
}

void urt__ring_kick(struct urt__ring *r)
{
	uint64_t one = 1;
	int err;

	if (r->event_fd < 0) {
		/* A full queue wakes the reader as a message does, and a thread
		 * that has ended (EOWNERDEAD) need not be woken. */
		while ((err = send_message(r)) && err != -EOVERFLOW &&
		       err != -EOWNERDEAD && err != -EBADFD)
			URT_BUG_ON(err != -ENOMEM && err != -EAGAIN &&
				   err != -EINTR);
		return;
	}
	/* A full eventfd was never read, so it wakes the ring as well. */
	if (write(r->event_fd, &one, sizeof(one)) < 0)
		URT_BUG_ON(errno != EAGAIN);
}

bool urt__ring_stranded(const struct urt__ring *r)
{
	return __atomic_load_n(&r->sq_tail, __ATOMIC_RELAXED) !=
		       __atomic_load_n(&r->sq_taken, __ATOMIC_RELAXED) ||
	       __atomic_load_n(r->cq_ktail, __ATOMIC_RELAXED) !=
		       __atomic_load_n(r->cq_khead, __ATOMIC_RELAXED) ||
	       __atomic_load_n(r->sq_kflags, __ATOMIC_RELAXED) &
		       (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

bool urt__ring_submitting(const struct urt__ring *r)
{
	return __atomic_load_n(&r->sq_tail, __ATOMIC_RELAXED) !=
	       __atomic_load_n(r->sq_khead, __ATOMIC_RELAXED);
}

static void complete(struct urt__ring *r, struct io_uring_cqe *cqe)
{
	struct urt__op *op;

	if (urt__unlikely(cqe->user_data &
			  (URT__RING_KICK | URT__RING_SPOILED))) {
		if (cqe->user_data == URT__RING_KICK) {
			r->event_armed &= !!(cqe->flags & IORING_CQE_F_MORE);
			r->kicked = true;
			return;
		}
		cqe->user_data &= ~URT__RING_SPOILED;
		cqe->res = -urt__sys_faults[URT__SYS_OPERATION].err;
	}
	if (!(cqe->flags & IORING_CQE_F_MORE))
		r->inflight--;
	op = (void *)(uintptr_t)cqe->user_data;
	if (cqe->user_data != URT__RING_IGNORE)
		__atomic_load_n(&op->done, __ATOMIC_RELAXED)(op, cqe->res,
							     cqe->flags);
}

/* The i-th entry's operation, or NULL. */
static inline struct urt__op *op_at(const struct urt__ring *r, unsigned i)
{
	return (void *)(uintptr_t)(r->cqes[i & r->cq_mask].user_data &
				   ~(URT__RING_KICK | URT__RING_SPOILED));
}

static inline __attribute__((always_inline)) void
fetch_op(const struct urt__op *op)
{
	__builtin_prefetch(op, 1);
	__builtin_prefetch((const char *)op + URT__CACHELINE, 1);
}

/* What the callback accesses. */
static inline __attribute__((always_inline)) void
fetch_used(const struct urt__op *op)
{
	if (urt__unlikely(!op))
		return;
	__builtin_prefetch(op->coro, 1);
	__builtin_prefetch(op->fd, 1);
}

/*
 * There are n completions from head on, and that of head is about to be called.
 * Of many operations, each is a cache miss, and so is each thing that its
 * callback accesses. These functions are always inlined: gcc 12 drops calls of
 * a function that only prefetches.
 */
static inline __attribute__((always_inline)) void
prefetch(const struct urt__ring *r, unsigned head, unsigned n)
{
	if (n > AHEAD)
		fetch_used(op_at(r, head + AHEAD));
	if (n > 2 * AHEAD)
		fetch_op(op_at(r, head + 2 * AHEAD));
}

/* The same for the first ones, which no completion precedes. */
static inline __attribute__((always_inline)) void
prefetch_first(const struct urt__ring *r, unsigned head, unsigned n)
{
	for (unsigned i = 0; i < n && i < 2 * AHEAD; i++)
		fetch_op(op_at(r, head + i));
	for (unsigned i = 0; i < n && i < AHEAD; i++)
		fetch_used(op_at(r, head + i));
}

/* The head is read afresh each time: a callback may itself reap. */
unsigned urt__ring_reap(struct urt__ring *r)
{
	unsigned n = 0, head, tail;

	r->reaping = ++r->reaps;
	while ((head = *r->cq_khead) !=
	       (tail = io_uring_smp_load_acquire(r->cq_ktail))) {
		struct io_uring_cqe cqe = {
			.user_data = r->cqes[head & r->cq_mask].user_data,
			.res = r->cqes[head & r->cq_mask].res,
			.flags = r->cqes[head & r->cq_mask].flags,
		};

		if (!n)
			prefetch_first(r, head, tail - head);
		prefetch(r, head, tail - head);
		io_uring_smp_store_release(r->cq_khead, head + 1);
		complete(r, &cqe);
		n++;
	}
	r->reaping = 0; /* nor does the one whose callback did this one */
	urt__count_add(r->stats, URT__STAT_COMPLETED, n);
	return n;
}

/*
 * Hands over what is queued. wait_nr and arg as for io_uring_enter. Returns 0,
 * or -errno; entries that the kernel did not take stay queued.
 */
static int enter(struct urt__ring *r, unsigned wait_nr, unsigned flags,
		 const void *arg, size_t arg_size)
{
	unsigned queued = urt__ring_queued(r);
	int ret;

	if (urt__sys_armed(URT__SYS_OPERATION))
		urt__ring_spoil(r);
	io_uring_smp_store_release(r->sq_ktail, r->sq_tail);
	urt__count(r->stats, URT__STAT_ENTERS);
	ret = urt__sys_ring_enter(r->enter_fd, queued, wait_nr,
				  r->enter_flags | flags, arg, arg_size);
	if (ret < 0 && ret != -ETIME && ret != -EINTR) {
		if (ret != -EBUSY && ret != -EAGAIN && ret != -ENOMEM)
			urt__print("uring_rt: io_uring_enter: error %d\n", ret);
		URT_BUG_ON(ret != -EBUSY && ret != -EAGAIN && ret != -ENOMEM);
		return ret;
	}
	/*
	 * The kernel submits first, and returns an error of the wait (ETIME,
	 * EINTR) only if it submitted nothing. So the head that it publishes is
	 * what counts.
	 */
	ret = io_uring_smp_load_acquire(r->sq_khead) - r->sq_taken;
	__atomic_store_n(&r->sq_taken, r->sq_taken + ret, __ATOMIC_RELAXED);
	urt__count_add(r->stats, URT__STAT_SUBMITTED, ret);
	return 0;
}

void urt__ring_arm(struct urt__ring *r)
{
	if (urt__unlikely(r->event_fd >= 0 && !r->event_armed))
		arm_event(r);
}

void urt__ring_wait(struct urt__ring *r, int64_t timeout_ns)
{
	struct __kernel_timespec ts = {
		.tv_sec = timeout_ns / 1000000000,
		.tv_nsec = timeout_ns % 1000000000,
	};
	struct io_uring_getevents_arg arg = {
		.ts = timeout_ns == INT64_MAX ? 0 : (uintptr_t)&ts,
	};
	bool wait = timeout_ns > 0;

	if (__atomic_load_n(r->sq_kflags, __ATOMIC_RELAXED) &
	    IORING_SQ_CQ_OVERFLOW)
		urt__count(r->stats, URT__STAT_OVERFLOWS);
	if (wait)
		urt__count(r->stats, URT__STAT_SLEEPS);
	if (!enter(r, wait, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg,
		   sizeof(arg)))
		r->no_room_tries = 0;
	else if (++r->no_room_tries > 16)
		sched_yield(); /* give the kernel's threads the CPU */
}

void urt__ring_submit(struct urt__ring *r)
{
	enter(r, 0, 0, NULL, 0);
}

/* Requests that the kernel tries at once and, if they would block, completes by
 * polling. All others may block the thread that submits them. */
static bool never_blocks(uint8_t opcode)
{
	switch (opcode) {
	case URT__OP_POLL_ADD:
	case URT__OP_ASYNC_CANCEL:
	case URT__OP_ACCEPT:
	case URT__OP_CONNECT:
	case URT__OP_RECV:
	case URT__OP_RECVMSG:
	case URT__OP_SEND:
	case URT__OP_SENDMSG:
		return true;
	default:
		return false;
	}
}

struct urt__ring_loan urt__ring_borrow(struct urt__ring *r)
{
	struct urt__ring_loan own = { r->enter_fd, r->enter_flags };

	r->enter_fd = r->fd;
	r->enter_flags &= ~IORING_ENTER_REGISTERED_RING;
	return own;
}

void urt__ring_return(struct urt__ring *r, struct urt__ring_loan own)
{
	r->enter_fd = own.enter_fd;
	r->enter_flags = own.enter_flags;
}

void urt__ring_serve(struct urt__ring *r)
{
	for (unsigned i = r->sq_taken; i != r->sq_tail; i++)
		if (!never_blocks(r->sqes[i & r->sq_mask].opcode))
			r->sqes[i & r->sq_mask].flags |= IOSQE_ASYNC;
	if (urt__ring_queued(r) ||
	    __atomic_load_n(r->sq_kflags, __ATOMIC_RELAXED) &
		    IORING_SQ_CQ_OVERFLOW)
		enter(r, 0, IORING_ENTER_GETEVENTS, NULL, 0);
	urt__ring_reap(r);
}

unsigned urt__ring_enter(struct urt__ring *r, int64_t timeout_ns)
{
	urt__ring_arm(r);
	urt__ring_wait(r, timeout_ns);
	return urt__ring_reap(r);
}

struct io_uring_sqe *urt__ring_sqe(struct urt__ring *r)
{
	struct io_uring_sqe *sqe;

	while (urt__unlikely(urt__ring_queued(r) == r->sq_entries))
		if (enter(r, 0, 0, NULL, 0))
			urt__ring_enter(r, 0);
	sqe = &r->sqes[r->sq_tail & r->sq_mask];
	__atomic_store_n(&r->sq_tail, r->sq_tail + 1, __ATOMIC_RELAXED);
	r->inflight++;
	memset(sqe, 0, sizeof(*sqe));
	return sqe;
}

void urt__ring_drain(struct urt__ring *r)
{
	while (urt__ring_queued(r) || r->inflight) {
		struct io_uring_sqe *sqe = urt__ring_sqe(r);

		sqe->opcode = URT__OP_ASYNC_CANCEL;
		sqe->fd = -1;
		sqe->cancel_flags =
			IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
		sqe->user_data = URT__RING_IGNORE;
		urt__ring_enter(r, 0);
		if (r->inflight)
			urt__ring_enter(r, 10000000);
	}
}
