// SPDX-License-Identifier: MIT
/*
 * Operations on the ring, for coroutines.
 *
 * A call fills a submission entry, parks, and is readied by the completion.
 * Entries pile up while coroutines run, and the worker's loop hands them to the
 * kernel in one io_uring_enter: each costs a hundredth of a system call, and
 * waits until every other runnable coroutine had its turn.
 *
 * At once. Coroutines share time, not operations: in a series of calls that the
 * kernel can complete immediately, a coroutine would wait a turn for each. So
 * within its time slice, such calls are made at once: the entry is handed over,
 * with all that is queued before it, and if the completion is there, the
 * coroutine continues without parking. By measurement (HACKING.md), these are:
 *
 *   - reads and writes of files through the page cache, always, and by a
 *     system call of their own with RWF_NOWAIT (rw.c);
 *   - all other operations on files, always, except close;
 *   - the same operation as the coroutine's last: accepting all that is there,
 *     one datagram after the other. Receiving and sending in turn are not, so
 *     servers batch as before. After failed attempts, further ones become
 *     rarer, but not those to accept: there are few listeners, and whoever
 *     is not accepted waits for rounds of all others;
 *   - sends, if the worker's coroutines compute for long between two switches:
 *     a batch would wait that long, and no batch saves as much.
 *
 * A failed attempt costs an enter; the operation is then in flight like any
 * other. While the thread makes the attempt in the kernel, another thread can
 * take its processor, and may fire the deadline or close the descriptor before
 * the coroutine has parked; so the coroutine checks both itself (caught_up).
 *
 * The kernel owns the buffer from submission to completion. A deadline or a
 * cancellation therefore only asks for ASYNC_CANCEL (urt__op_cancel), and the
 * call returns when the operation's own completion has come. If the operation
 * succeeded before the cancellation reached it, the call returns its result.
 *
 * The completion is reaped by the worker that submitted, perhaps without a
 * processor; it sets the coroutine's state to BUSY first, so a request to
 * cancel is only ever made for an operation that is in flight or queued. The
 * cancel request is queued behind the operation in the same ring: the kernel
 * has seen the operation first, even if both are still in our queue.
 */
#define _GNU_SOURCE
#include "fds.h"
#include "io.h"
#include "ops.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#undef errno

/*
 * With O_DIRECT a disk is waiting: with 32 coroutines that read 4 KiB each,
 * more than two requests in one enter, for which the kernel also plugs the
 * queue, cost 10 to 25 % of the reads on a virtual disk.
 */
#define SOON 2

#define BEGIN_ANEW	  (-ERESTART) /* it was early; see fds.c */
#define BACK_OFF_NS	  1000000
#define CLOSE_PATIENCE_NS 1000000 /* see fds.c */

/* A zero-copy send completes twice: with its result, and when the kernel has
 * released the buffer. */
void urt__io_done(struct urt__op *op, int32_t res, uint32_t flags)
{
	struct urt__io *io = urt__container_of(op, struct urt__io, op);

	if (urt__likely(!(flags & IORING_CQE_F_NOTIF))) {
		/* The kernel's internal ERESTARTSYS and so on, which splice and
		 * tee return when something interrupts them. */
		io->res = urt__unlikely(res <= -512) ? -EINTR : res;
		io->flags = flags;
	}
	if (urt__unlikely(flags & IORING_CQE_F_MORE))
		return;
	if (io->op.fd)
		urt__fd_unlist(io);
	if (io->awake) {
		io->came = true;
		return;
	}
	atomic_store_explicit(&io->op.coro->park, io->seq << 2,
			      memory_order_release);
	urt__ready_last(io->op.coro);
}

static int io_result(const struct urt__io *io)
{
	struct urt_coro *c = io->op.coro;

	if (io->res != -ECANCELED && io->res != -EINTR)
		return io->res;
	if (atomic_load_explicit(&c->closed, memory_order_relaxed) == io->seq)
		return io->early ? BEGIN_ANEW : -ECANCELED;
	if (!c->firm &&
	    atomic_load_explicit(&c->cancelled, memory_order_relaxed))
		return urt__cancel_error(c);
	if (atomic_load_explicit(&c->timed_out, memory_order_relaxed) ==
	    io->seq)
		return -ETIME;
	/* Nothing cancelled this: the kernel had no worker thread for an
	 * operation that must wait (io_wq_create_worker fails a few times while
	 * signals or task work are pending), and gives up such requests before
	 * they begin. */
	return -EINTR;
}

/* Files and memory that the ring knows; a spare worker's may have none. A
 * request has the number of its memory, from 1, in buf_index. */
static inline void name_registered(struct urt__worker *w,
				   struct io_uring_sqe *sqe, struct urt__fd *fd)
{
	unsigned fixed = atomic_load_explicit(&fd->fixed, memory_order_relaxed);

	if (urt__unlikely(fixed) && w->registered) {
		sqe->fd = fixed - 1;
		sqe->flags |= IOSQE_FIXED_FILE;
	}
	if (urt__likely(!sqe->buf_index))
		return;
	sqe->buf_index--;
	if (w->registered)
		sqe->opcode = sqe->opcode == URT__OP_READ ? URT__OP_READ_FIXED
							  : URT__OP_WRITE_FIXED;
}

/* Begins the wait and lists the operation, unless the descriptor is just being
 * closed: then the operation could act on the next file with that number. */
static int begin(struct urt__io *io, enum urt__wait_flags flags,
		 int64_t deadline_ns)
{
	int64_t patient_until_ns = 0;
	bool anyway = false;

	for (;;) {
		struct urt__worker *w = urt__worker();
		int err = urt__wait_begin(w, flags | URT__TRY_IO, deadline_ns,
					  &io->seq);

		if (err)
			return err;
		w->current->cancel_asked = 0;
		atomic_store_explicit(&w->current->op_worker, w,
				      memory_order_release);
		if (!io->op.fd || urt__likely(urt__fd_list(io, anyway)))
			return 0;
		if (!patient_until_ns)
			patient_until_ns = urt__clock_ns() + CLOSE_PATIENCE_NS;
		anyway = urt__clock_ns() > patient_until_ns;
		urt__yield(w);
	}
}

/* Between handing over and parking, another thread had the timers: the deadline
 * may have fired without effect. */
static void caught_up(struct urt__io *io, int64_t deadline_ns)
{
	struct urt__worker *w = urt__worker();
	struct urt_coro *self = w->current;
	bool late = false;

	if (!self->firm && self->deadline_ns < deadline_ns)
		deadline_ns = self->deadline_ns;
	if (deadline_ns != URT_NEVER)
		late = deadline_ns <= urt__clock_ns() ||
		       urt__timers_add(&w->proc->timers, deadline_ns,
				       urt__timer_word(self, io->seq));
	if (late)
		atomic_store(&self->timed_out, io->seq);
	if (late || atomic_load(&self->closed) == io->seq)
		urt__op_cancel(self);
}

/* Hands over all that is queued, io last. Returns whether io has completed. */
static bool hand_over(struct urt__worker *w, struct urt__io *io,
		      int64_t deadline_ns)
{
	bool lost;

	w->relieved = false;
	io->awake = true;
	lost = urt__worker_flush(w);
	urt__ring_reap(&w->ring);
	if (urt__unlikely(lost))
		urt__proc_acquire(w);
	if (urt__unlikely((lost || w->relieved) && !io->came))
		caught_up(io, deadline_ns);
	/* Not before: asking for a cancellation may reap. */
	io->awake = false;
	return io->came;
}

/* A full queue is handed over here, where the processor can be taken meanwhile,
 * and not in urt__ring_sqe. */
static URT__COLD void make_room(struct urt__worker *w)
{
	bool lost = urt__worker_flush(w);

	urt__ring_reap(&w->ring);
	if (lost)
		urt__proc_acquire(w);
}

/* How an operation is made: at once if it continues a row, always at once, or
 * never. */
enum pace { IN_A_ROW, AT_ONCE, QUEUED };

static inline enum pace pace_of(uint8_t opcode)
{
	switch (opcode) {
	case URT__OP_POLL_ADD:
	case URT__OP_CONNECT:
	case URT__OP_SEND_ZC:
	case URT__OP_WAITID:
	case URT__OP_FUTEX_WAIT:
	case URT__OP_EPOLL_WAIT:
	case URT__OP_FSYNC:
	case URT__OP_SYNC_FILE_RANGE:
		return QUEUED; /* they wait */
	case URT__OP_ACCEPT:
	case URT__OP_CLOSE:
	case URT__OP_READ:
	case URT__OP_WRITE:
	case URT__OP_READV:
	case URT__OP_WRITEV:
	case URT__OP_RECV:
	case URT__OP_RECVMSG:
	case URT__OP_SEND:
	case URT__OP_SENDMSG:
	case URT__OP_SPLICE:
	case URT__OP_TEE:
		return IN_A_ROW;
	default:
		return AT_ONCE;
	}
}

static inline bool sends(uint8_t opcode)
{
	return opcode == URT__OP_SEND || opcode == URT__OP_SENDMSG ||
	       opcode == URT__OP_WRITE || opcode == URT__OP_WRITEV;
}

static inline bool is_at_once(struct urt__worker *w, uint8_t opcode)
{
	struct urt_coro *self = w->current;
	enum pace pace;

	if (urt__likely(self->last_op != opcode)) {
		pace = pace_of(opcode);
		/* A close after an operation on a file is taken for a file's
		 * close. */
		return pace == AT_ONCE ||
		       (opcode == URT__OP_CLOSE &&
			pace_of(self->last_op) == AT_ONCE) ||
		       (sends(opcode) && urt__pace(w) == URT__COMPUTING);
	}
	if (pace_of(opcode) == QUEUED)
		return false;
	if (!self->row_skip)
		return true;
	self->row_skip--;
	return false;
}

#define MISSES_MAX 6

/* Attempts the operation. Returns whether it has completed. */
static bool try_at_once(struct urt__worker *w, struct urt__io *io,
			uint8_t opcode, int64_t deadline_ns)
{
	struct urt_coro *self = io->op.coro;

	urt__count(w->stats, URT__STAT_TRIES);
	if (hand_over(w, io, deadline_ns)) {
		urt__count(urt__worker()->stats, URT__STAT_TRIES_DONE);
		self->row_misses = 0;
		return true;
	}
	if (opcode == URT__OP_ACCEPT)
		return false;
	self->row_skip = (1u << self->row_misses) - 1;
	if (self->row_misses < MISSES_MAX)
		self->row_misses++;
	return false;
}

int urt__io_on(struct urt__io *io, const struct io_uring_sqe *request,
	       enum urt__wait_flags flags, int64_t deadline_ns)
{
	struct urt_coro *self = urt__current();
	struct urt__stats_slot *stats;
	struct urt__worker *w;
	struct io_uring_sqe *sqe;
	int err;

	io->op.coro = self;
	self->op = &io->op;
again:
	io->came = false;
	if (urt__unlikely(urt__ring_full(&urt__worker()->ring)))
		make_room(urt__worker());
	err = begin(io, flags, deadline_ns);
	if (err)
		return err;
	w = urt__worker();
	stats = w->stats;
	sqe = urt__ring_sqe(&w->ring);
	*sqe = *request;
	sqe->user_data = (uintptr_t)&io->op;
	memcpy(&io->what, request, sizeof(io->what));
	if (io->op.fd)
		name_registered(w, sqe, io->op.fd);
	__atomic_store_n(&stats->op[sqe->opcode], stats->op[sqe->opcode] + 1,
			 __ATOMIC_RELAXED);
	if (is_at_once(w, request->opcode)) {
		if (try_at_once(w, io, request->opcode, deadline_ns))
			goto out;
	} else if (io->soon && urt__ring_queued(&w->ring) >= SOON) {
		if (hand_over(w, io, deadline_ns))
			goto out;
	}
	w = urt__worker();
	urt__park(w, URT__R_IO, URT__IO, NULL, NULL);
out:
	self->last_op = request->opcode;
	err = io_result(io);
	if (urt__unlikely(err == BEGIN_ANEW))
		goto again;
	return err;
}

int urt__io(const struct io_uring_sqe *request, enum urt__wait_flags flags,
	    int64_t deadline_ns)
{
	struct urt__io io = { .op.done = urt__io_done };

	return urt__io_on(&io, request, flags, deadline_ns);
}

int urt__poll(int fd, short events, int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_POLL_ADD,
				  .fd = fd,
				  .poll32_events =
					  urt__ring_poll_mask(events) };
	struct urt__io io = { .op.done = urt__io_done, .op.fd = urt__fd(fd) };
	int ret;

	do
		ret = urt__io_on(&io, &r, 0, deadline_ns);
	while (urt__unlikely(ret == -EINTR));
	return ret;
}

/* Parks until the deadline, or 1 ms if that is earlier: 0. */
static int back_off(int64_t deadline_ns)
{
	struct urt__worker *w = urt__worker();
	int64_t until_ns = urt__clock_ns() + BACK_OFF_NS;
	uint64_t seq;
	int err;

	if (deadline_ns < until_ns || w->current->deadline_ns < until_ns)
		return -ETIME;
	err = urt__wait_begin(w, URT__TRY_IO, until_ns, &seq);
	if (!err)
		err = urt__park(w, URT__R_SLEEP, URT__WAITING, NULL, NULL);
	return err == -ETIME ? 0 : err;
}

/*
 * For a non-blocking descriptor, the kernel returns EAGAIN instead of waiting;
 * so this waits until the descriptor is ready, and tries again. If a ready
 * descriptor still gives EAGAIN (an unconnected datagram socket whose peer is
 * full), it pauses between tries.
 */
bool urt__io_again(int *ret, int fd, short events, int64_t deadline_ns,
		   unsigned *tries)
{
	if (urt__likely(*ret != -EAGAIN && *ret != -EINTR))
		return false;
	if (*ret == -EINTR)
		return true;
	if (!events)
		return false;
	*ret = urt__poll(fd, events, deadline_ns);
	if (*ret >= 0 && ++*tries > 1)
		*ret = back_off(deadline_ns);
	return *ret >= 0;
}

static int io_wait(const struct io_uring_sqe *r, enum urt__io_how how,
		   short events, int64_t deadline_ns)
{
	struct urt__io io = { .op.done = urt__io_done };
	unsigned tries = 0;
	int ret;

	if (how & URT__LISTED)
		io.op.fd = urt__fd(r->fd);
	if (urt__unlikely(how & URT__OPENS)) {
		io.res = -1;
		urt__current()->opening = &io.op;
	}
	if (how & URT__AT_OFFSET && io.op.fd)
		io.soon = urt__fd_kind(io.op.fd, r->fd) == URT__FD_DIRECT;
	do
		ret = urt__io_on(&io, r, 0, deadline_ns);
	while (urt__io_again(&ret, r->fd, events, deadline_ns, &tries));
	if (urt__unlikely(how & URT__OPENS))
		urt__current()->opening = NULL;
	return ret;
}

void urt__io_close_opened(struct urt_coro *c)
{
	struct urt__io *io = urt__container_of(c->opening, struct urt__io, op);

	if (io->res >= 0)
		close(io->res);
}

int urt__io_call(const struct io_uring_sqe *r, enum urt__io_how how,
		 short events, int64_t deadline_ns)
{
	int ret;

	if (urt__unlikely(!urt__enter(true)))
		return -EPERM;
	ret = io_wait(r, how, events, deadline_ns);
	urt__leave();
	return ret;
}

int urt_poll(int fd, short events, int64_t deadline_ns)
{
	int ret;

	if (!urt__enter(true))
		return -EPERM;
	ret = urt__poll(fd, events, deadline_ns);
	urt__leave();
	return ret;
}

int urt_close(int fd)
{
	struct io_uring_sqe r = { .opcode = URT__OP_CLOSE, .fd = fd };
	struct urt__io io = { .op.done = urt__io_done };
	struct urt__fd *entry;
	int ret;

	if (!urt__enter(true))
		return -EPERM;
	entry = urt__fd(fd);
	if (entry)
		urt__fd_closing(entry);
	/* Not tried again after EINTR, which comes when the descriptor is
	 * already closed. */
	do
		ret = urt__io_on(&io, &r, URT__FIRM, URT_NEVER);
	while (urt__unlikely(io.res == -ECANCELED));
	if (entry)
		urt__fd_closed(entry);
	urt__leave();
	return ret == -EINTR ? 0 : ret; /* Linux has closed it then */
}
