// SPDX-License-Identifier: MIT
/*
 * Operations on the ring, for coroutines.
 *
 * A call fills a submission entry, parks, and is readied by the completion.
 * Nothing is submitted at once: entries pile up while coroutines run and go to
 * the kernel in one io_uring_enter by the worker's loop.
 *
 * The kernel owns the buffer from submission to completion. A deadline or a
 * cancellation therefore only asks for ASYNC_CANCEL (urt__op_cancel), and the
 * call returns when the operation's own completion has come. If that says that
 * the operation had succeeded, its result stands.
 *
 * The completion is reaped by the worker that submitted, perhaps without a
 * processor; it sets the coroutine's state to BUSY first, so a request to
 * cancel is only ever made for an operation that is in flight or queued. The
 * cancel request is queued behind the operation in the same ring: the kernel
 * has seen the operation first, even if both are still in our queue.
 */
#define _GNU_SOURCE
#include "fds.h"
#include "ops.h"
#include <poll.h>
#include <string.h>
#undef errno

/* Linux cuts reads and writes at this (MAX_RW_COUNT in fs/read_write.c). */
#define MAX_LEN ((size_t)0x7ffff000)

/*
 * With O_DIRECT a disk is waiting: of 32 coroutines that read 4 KiB each, more
 * than two in one enter (from there on the kernel plugs the queue, too) cost 10
 * to 25 % of the reads on a virtual disk.
 */
#define SOON 2

/* Below this, bytes, pinning costs more than copying (the kernel's
 * Documentation/networking/msg_zerocopy.rst). */
#define ZERO_COPY_MIN 10240

/* A zero-copy send completes twice: with its result, and when the kernel has
 * let go of the buffer. */
void urt__io_done(struct urt__op *op, int32_t res, uint32_t flags)
{
	struct urt__io *io = urt__container_of(op, struct urt__io, op);

	if (urt__likely(!(flags & IORING_CQE_F_NOTIF))) {
		io->res = res;
		io->flags = flags;
	}
	if (urt__unlikely(flags & IORING_CQE_F_MORE))
		return;
	if (io->fd)
		urt__fd_unlist(io);
	atomic_store_explicit(&io->coro->park, io->seq << 2,
			      memory_order_release);
	urt__ready_last(io->coro);
}

static int io_result(const struct urt__io *io)
{
	struct urt_coro *c = io->coro;

	if (io->res != -ECANCELED && io->res != -EINTR)
		return io->res;
	if ((!c->firm &&
	     atomic_load_explicit(&c->cancelled, memory_order_relaxed)) ||
	    atomic_load_explicit(&c->closed, memory_order_relaxed) == io->seq)
		return -ECANCELED;
	if (atomic_load_explicit(&c->timed_out, memory_order_relaxed) ==
	    io->seq)
		return -ETIME;
	/* Nobody wished it: the kernel had no thread for what it cannot do
	 * without waiting (io_wq_create_worker fails a few times while signals
	 * or task work are pending), and gives such requests up unbegun. */
	return -EINTR;
}

static inline void name_fixed(struct io_uring_sqe *sqe, struct urt__fd *fd)
{
	unsigned fixed = atomic_load_explicit(&fd->fixed, memory_order_relaxed);

	if (urt__unlikely(fixed)) {
		sqe->fd = fixed - 1;
		sqe->flags |= IOSQE_FIXED_FILE;
	}
}

int urt__io_on(struct urt__io *io, const struct io_uring_sqe *request,
	       unsigned flags, int64_t deadline_ns)
{
	struct urt__worker *w = urt__worker();
	struct urt__stats_slot *stats = w->stats;
	struct urt_coro *self = w->current;
	struct io_uring_sqe *sqe;
	int err;

	io->coro = self;
	err = urt__wait_begin(w, flags | URT__TRY_IO, deadline_ns, &io->seq);
	if (err)
		return err;
	self->op = &io->op;
	self->cancel_sent = false;
	atomic_store_explicit(&self->op_worker, w, memory_order_release);
	sqe = urt__ring_sqe(&w->ring);
	*sqe = *request;
	sqe->user_data = (uintptr_t)&io->op;
	if (io->fd)
		name_fixed(sqe, io->fd);
	__atomic_store_n(&stats->op[sqe->opcode], stats->op[sqe->opcode] + 1,
			 __ATOMIC_RELAXED);
	if (io->fd)
		urt__fd_list(io);
	if (io->soon && urt__ring_queued(&w->ring) >= SOON)
		urt__ring_submit(&w->ring);
	urt__park(w, URT__R_IO, URT__IO, NULL, NULL);
	return io_result(io);
}

int urt__io(const struct io_uring_sqe *request, unsigned flags,
	    int64_t deadline_ns)
{
	struct urt__io io = { .op.done = urt__io_done };

	return urt__io_on(&io, request, flags, deadline_ns);
}

int urt__poll(int fd, short events, int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = IORING_OP_POLL_ADD, .fd = fd };
	struct urt__io io = { .op.done = urt__io_done, .fd = urt__fd(fd) };
	unsigned mask = (unsigned short)events;
	int ret;

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	mask <<= 16;
#endif
	r.poll32_events = mask;
	do
		ret = urt__io_on(&io, &r, 0, deadline_ns);
	while (urt__unlikely(ret == -EINTR));
	return ret;
}

/*
 * The kernel does not wait for a non-blocking descriptor but gives EAGAIN; so
 * wait for it to be ready and try again. A caller that asked not to wait
 * (events 0) gets its EAGAIN.
 */
static int io_wait(const struct io_uring_sqe *r, unsigned how, short events,
		   int64_t deadline_ns)
{
	struct urt__io io = { .op.done = urt__io_done,
			      .fd = how & URT__LISTED ? urt__fd(r->fd) : NULL,
			      .soon = how & URT__SOON };
	int ret;

	do {
		ret = urt__io_on(&io, r, 0, deadline_ns);
		if (urt__unlikely(ret == -EAGAIN) && events) {
			ret = urt__poll(r->fd, events, deadline_ns);
			ret = ret < 0 ? ret : -EINTR;
		}
	} while (urt__unlikely(ret == -EINTR));
	return ret;
}

int urt__io_call(const struct io_uring_sqe *r, unsigned how, short events,
		 int64_t deadline_ns)
{
	int ret;

	if (urt__unlikely(!urt__enter(true)))
		return -EPERM;
	ret = io_wait(r, how, events, deadline_ns);
	urt__leave();
	return ret;
}

/* What all operations on one buffer have in common. */
struct rw {
	uint8_t opcode;
	short events; /* to poll for where the descriptor is non-blocking */
	int fd;
	const void *buf;
	size_t len;
	uint64_t offset;
	int msg_flags;
};

/* Which of the registered regions the buffer lies in; or -1. */
static int registered(const struct rw *rw)
{
	for (unsigned i = 0; i < urt__rt.nr_buffers; i++) {
		const struct iovec *b = &urt__rt.buffers[i];
		size_t at = (uintptr_t)rw->buf - (uintptr_t)b->iov_base;

		if (at < b->iov_len && rw->len <= b->iov_len - at)
			return i;
	}
	return -1;
}

static struct io_uring_sqe entry_of(const struct rw *rw)
{
	return (struct io_uring_sqe){
		.opcode = rw->opcode,
		.fd = rw->fd,
		.addr = (uintptr_t)rw->buf,
		.len = rw->len < MAX_LEN ? rw->len : MAX_LEN,
		.off = rw->offset,
		.msg_flags = rw->msg_flags,
	};
}

static int file_wait(const struct rw *rw, int64_t deadline_ns)
{
	struct io_uring_sqe r = entry_of(rw);
	int i = urt__unlikely(urt__rt.nr_buffers) ? registered(rw) : -1;

	if (i >= 0) {
		r.opcode = rw->opcode == IORING_OP_READ ? IORING_OP_READ_FIXED
							: IORING_OP_WRITE_FIXED;
		r.buf_index = i;
	}
	return urt__io_call(&r, urt__fd_how(rw->fd, rw->offset), rw->events,
			    deadline_ns);
}

static int message_wait(const struct rw *rw, int64_t deadline_ns)
{
	struct io_uring_sqe r = entry_of(rw);

	return urt__io_call(&r, URT__LISTED,
			    rw->msg_flags & MSG_DONTWAIT ? 0 : rw->events,
			    deadline_ns);
}

ssize_t urt_read(int fd, void *buf, size_t len, int64_t deadline_ns)
{
	return file_wait(&(struct rw){ IORING_OP_READ, POLLIN, fd, buf, len,
				       URT__HERE, 0 },
			 deadline_ns);
}

ssize_t urt_write(int fd, const void *buf, size_t len, int64_t deadline_ns)
{
	return file_wait(&(struct rw){ IORING_OP_WRITE, POLLOUT, fd, buf, len,
				       URT__HERE, 0 },
			 deadline_ns);
}

ssize_t urt_pread(int fd, void *buf, size_t len, off_t offset,
		  int64_t deadline_ns)
{
	if (offset < 0)
		return -EINVAL;
	return file_wait(
		&(struct rw){ IORING_OP_READ, POLLIN, fd, buf, len, offset, 0 },
		deadline_ns);
}

ssize_t urt_pwrite(int fd, const void *buf, size_t len, off_t offset,
		   int64_t deadline_ns)
{
	if (offset < 0)
		return -EINVAL;
	return file_wait(&(struct rw){ IORING_OP_WRITE, POLLOUT, fd, buf, len,
				       offset, 0 },
			 deadline_ns);
}

ssize_t urt_recv(int fd, void *buf, size_t len, int flags, int64_t deadline_ns)
{
	return message_wait(
		&(struct rw){ IORING_OP_RECV, POLLIN, fd, buf, len, 0, flags },
		deadline_ns);
}

/* Not all sockets can do it (-EOPNOTSUPP: AF_UNIX). */
static ssize_t send_zero_copy(const struct rw *rw, int64_t deadline_ns)
{
	struct rw zc = *rw;
	ssize_t n;

	zc.opcode = URT__OP_SEND_ZC;
	n = message_wait(&zc, deadline_ns);
	return n == -EOPNOTSUPP ? message_wait(rw, deadline_ns) : n;
}

ssize_t urt_send(int fd, const void *buf, size_t len, int flags,
		 int64_t deadline_ns)
{
	struct rw rw = { IORING_OP_SEND,       POLLOUT, fd, buf, len, 0,
			 flags & ~MSG_ZEROCOPY };

	if (urt__unlikely(flags & MSG_ZEROCOPY) && len >= ZERO_COPY_MIN &&
	    urt__has_op(URT__OP_SEND_ZC))
		return send_zero_copy(&rw, deadline_ns);
	return message_wait(&rw, deadline_ns);
}

ssize_t urt_recvmsg(int fd, struct msghdr *msg, int flags, int64_t deadline_ns)
{
	return message_wait(
		&(struct rw){ IORING_OP_RECVMSG, POLLIN, fd, msg, 1, 0, flags },
		deadline_ns);
}

ssize_t urt_sendmsg(int fd, const struct msghdr *msg, int flags,
		    int64_t deadline_ns)
{
	return message_wait(&(struct rw){ IORING_OP_SENDMSG, POLLOUT, fd, msg,
					  1, 0, flags },
			    deadline_ns);
}

ssize_t urt_recvfrom(int fd, void *buf, size_t len, int flags,
		     struct sockaddr *addr, socklen_t *addr_len,
		     int64_t deadline_ns)
{
	struct iovec iov = { buf, len };
	struct msghdr msg = { .msg_name = addr,
			      .msg_namelen = addr_len ? *addr_len : 0,
			      .msg_iov = &iov,
			      .msg_iovlen = 1 };
	ssize_t n = urt_recvmsg(fd, &msg, flags, deadline_ns);

	if (n >= 0 && addr_len)
		*addr_len = msg.msg_namelen;
	return n;
}

ssize_t urt_sendto(int fd, const void *buf, size_t len, int flags,
		   const struct sockaddr *addr, socklen_t addr_len,
		   int64_t deadline_ns)
{
	struct iovec iov = { (void *)buf, len };
	struct msghdr msg = { .msg_name = (void *)addr,
			      .msg_namelen = addr_len,
			      .msg_iov = &iov,
			      .msg_iovlen = 1 };

	return urt_sendmsg(fd, &msg, flags, deadline_ns);
}

int urt_accept(int fd, struct sockaddr *addr, socklen_t *len, int flags,
	       int64_t deadline_ns)
{
	struct io_uring_sqe r = {
		.opcode = IORING_OP_ACCEPT,
		.fd = fd,
		.addr = (uintptr_t)addr,
		.addr2 = (uintptr_t)len,
		.accept_flags = flags,
	};

	return urt__io_call(&r, URT__LISTED, POLLIN, deadline_ns);
}

int urt_connect(int fd, const struct sockaddr *addr, socklen_t len,
		int64_t deadline_ns)
{
	struct io_uring_sqe r = {
		.opcode = IORING_OP_CONNECT,
		.fd = fd,
		.addr = (uintptr_t)addr,
		.off = len,
	};

	return urt__io_call(&r, URT__LISTED, 0, deadline_ns);
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
	struct io_uring_sqe r = { .opcode = IORING_OP_CLOSE, .fd = fd };
	struct urt__io io = { .op.done = urt__io_done };
	struct urt__fd *entry = urt__fd(fd);
	int ret;

	if (!urt__enter(true))
		return -EPERM;
	if (entry)
		urt__fd_closing(entry);
	/* Not tried again after EINTR, when it is closed already. */
	do
		ret = urt__io_on(&io, &r, URT__FIRM, URT_NEVER);
	while (urt__unlikely(io.res == -ECANCELED));
	urt__leave();
	return ret;
}
