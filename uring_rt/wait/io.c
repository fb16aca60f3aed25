// SPDX-License-Identifier: MIT
/*
 * Operations on the ring, for coroutines.
 *
 * A call fills a submission entry, parks, and is readied by the completion.
 * Nothing is submitted at once: entries pile up while coroutines run and go to
 * the kernel in one io_uring_enter by the worker's loop.
 *
 * The kernel owns the buffer from submission to completion. A deadline or a
 * cancellation therefore only asks for ASYNC_CANCEL, and the call returns when
 * the operation's own completion has come. If that says that the operation
 * had succeeded, its result stands.
 *
 * The cancel request is queued behind the operation in the same ring, so the
 * kernel has seen the operation first, even if both are still in our queue.
 */
#define _GNU_SOURCE
#include "wait.h"
#include <poll.h>
#include <string.h>
#undef errno

/* Linux cuts reads and writes at this (MAX_RW_COUNT in fs/read_write.c). */
#define MAX_LEN ((size_t)0x7ffff000)

struct io {
	struct urt__op op;
	struct urt__wait wait;
	struct urt__ring *ring; /* it was submitted to */
	int32_t res;
	bool done;
	bool cancel_sent;
};

static void io_done(struct urt__op *op, int32_t res, uint32_t flags)
{
	struct io *io = urt__container_of(op, struct io, op);

	(void)flags;
	io->res = res;
	io->done = true;
	urt__ready_last(io->wait.coro);
}

static void io_abort(struct urt__wait *w, int err)
{
	struct io *io = urt__container_of(w, struct io, wait);
	struct io_uring_sqe *sqe;

	if (io->done || io->cancel_sent)
		return;
	io->cancel_sent = true;
	w->result = err;
	sqe = urt__ring_sqe(io->ring);
	sqe->opcode = IORING_OP_ASYNC_CANCEL;
	sqe->fd = -1;
	sqe->addr = (uintptr_t)&io->op;
	sqe->user_data = URT__RING_IGNORE;
}

/* The entry to fill in, or NULL and *err. cancellable: false for close. */
static struct io_uring_sqe *io_begin(struct io *io, bool cancellable,
				     int64_t deadline_ns, int *err)
{
	*err = urt__wait_begin(&io->wait, cancellable ? io_abort : NULL,
			       deadline_ns);
	if (*err)
		return NULL;
	io->op.done = io_done;
	io->ring = &urt__worker()->ring;
	io->done = false;
	io->cancel_sent = false;
	return urt__ring_sqe(io->ring);
}

/* Waits for it. The operation's result, or why it was given up. */
static int io_end(struct io *io, struct io_uring_sqe *sqe)
{
	struct urt__stats_slot *stats = io->ring->stats;
	int err;

	sqe->user_data = (uintptr_t)&io->op;
	__atomic_store_n(&stats->op[sqe->opcode], stats->op[sqe->opcode] + 1,
			 __ATOMIC_RELAXED);
	urt__park(URT__R_IO, NULL, NULL);
	err = urt__wait_end(&io->wait);
	if (err && (io->res == -ECANCELED || io->res == -EINTR))
		return err;
	return io->res;
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

static int rw_once(const struct rw *rw, int64_t deadline_ns)
{
	struct io io;
	int err;
	struct io_uring_sqe *sqe = io_begin(&io, true, deadline_ns, &err);

	if (!sqe)
		return err;
	sqe->opcode = rw->opcode;
	sqe->fd = rw->fd;
	sqe->addr = (uintptr_t)rw->buf;
	sqe->len = rw->len < MAX_LEN ? rw->len : MAX_LEN;
	sqe->off = rw->offset;
	sqe->msg_flags = rw->msg_flags;
	return io_end(&io, sqe);
}

/*
 * The kernel does not wait for a non-blocking descriptor but gives EAGAIN; so
 * wait for it to be ready and try again. A caller that asked not to wait
 * (MSG_DONTWAIT) gets its EAGAIN.
 */
static int rw_wait(const struct rw *rw, int64_t deadline_ns)
{
	for (;;) {
		int ret = rw_once(rw, deadline_ns);

		if (ret == -EINTR)
			continue;
		if (urt__likely(ret != -EAGAIN) || rw->msg_flags & MSG_DONTWAIT)
			return ret;
		ret = urt_poll(rw->fd, rw->events, deadline_ns);
		if (ret < 0)
			return ret;
	}
}

/* The current position, as read(2) and write(2) use it. */
#define HERE UINT64_MAX

ssize_t urt_read(int fd, void *buf, size_t len, int64_t deadline_ns)
{
	return rw_wait(
		&(struct rw){ IORING_OP_READ, POLLIN, fd, buf, len, HERE, 0 },
		deadline_ns);
}

ssize_t urt_write(int fd, const void *buf, size_t len, int64_t deadline_ns)
{
	return rw_wait(
		&(struct rw){ IORING_OP_WRITE, POLLOUT, fd, buf, len, HERE, 0 },
		deadline_ns);
}

ssize_t urt_pread(int fd, void *buf, size_t len, off_t offset,
		  int64_t deadline_ns)
{
	if (offset < 0)
		return -EINVAL;
	return rw_wait(
		&(struct rw){ IORING_OP_READ, POLLIN, fd, buf, len, offset, 0 },
		deadline_ns);
}

ssize_t urt_pwrite(int fd, const void *buf, size_t len, off_t offset,
		   int64_t deadline_ns)
{
	if (offset < 0)
		return -EINVAL;
	return rw_wait(&(struct rw){ IORING_OP_WRITE, POLLOUT, fd, buf, len,
				     offset, 0 },
		       deadline_ns);
}

ssize_t urt_recv(int fd, void *buf, size_t len, int flags, int64_t deadline_ns)
{
	return rw_wait(
		&(struct rw){ IORING_OP_RECV, POLLIN, fd, buf, len, 0, flags },
		deadline_ns);
}

ssize_t urt_send(int fd, const void *buf, size_t len, int flags,
		 int64_t deadline_ns)
{
	return rw_wait(
		&(struct rw){ IORING_OP_SEND, POLLOUT, fd, buf, len, 0, flags },
		deadline_ns);
}

static int accept_once(int fd, struct sockaddr *addr, socklen_t *len, int flags,
		       int64_t deadline_ns)
{
	struct io io;
	int err;
	struct io_uring_sqe *sqe = io_begin(&io, true, deadline_ns, &err);

	if (!sqe)
		return err;
	sqe->opcode = IORING_OP_ACCEPT;
	sqe->fd = fd;
	sqe->addr = (uintptr_t)addr;
	sqe->addr2 = (uintptr_t)len;
	sqe->accept_flags = flags;
	return io_end(&io, sqe);
}

int urt_accept(int fd, struct sockaddr *addr, socklen_t *len, int flags,
	       int64_t deadline_ns)
{
	for (;;) {
		int ret = accept_once(fd, addr, len, flags, deadline_ns);

		if (ret != -EAGAIN && ret != -EINTR)
			return ret;
		if (ret == -EAGAIN)
			ret = urt_poll(fd, POLLIN, deadline_ns);
		if (ret < 0 && ret != -EINTR)
			return ret;
	}
}

int urt_connect(int fd, const struct sockaddr *addr, socklen_t len,
		int64_t deadline_ns)
{
	struct io io;
	int err;
	struct io_uring_sqe *sqe = io_begin(&io, true, deadline_ns, &err);

	if (!sqe)
		return err;
	sqe->opcode = IORING_OP_CONNECT;
	sqe->fd = fd;
	sqe->addr = (uintptr_t)addr;
	sqe->off = len;
	return io_end(&io, sqe);
}

int urt_poll(int fd, short events, int64_t deadline_ns)
{
	struct io io;
	int err;
	struct io_uring_sqe *sqe = io_begin(&io, true, deadline_ns, &err);
	unsigned mask = (unsigned short)events;

	if (!sqe)
		return err;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	mask <<= 16;
#endif
	sqe->opcode = IORING_OP_POLL_ADD;
	sqe->fd = fd;
	sqe->poll32_events = mask;
	return io_end(&io, sqe);
}

int urt_close(int fd)
{
	struct io io;
	int err;
	struct io_uring_sqe *sqe = io_begin(&io, false, URT_NEVER, &err);

	if (!sqe)
		return err;
	sqe->opcode = IORING_OP_CLOSE;
	sqe->fd = fd;
	return io_end(&io, sqe);
}
