// SPDX-License-Identifier: MIT
/*
 * Reading and writing, receiving and sending.
 *
 * The calls behave as the POSIX ones where the ring's operations differ: a
 * blocking write that was cut short continues; a call on a non-blocking
 * descriptor waits. A buffer in registered memory is named to the kernel by its
 * number, and MSG_ZEROCOPY becomes another operation, or is dropped.
 */
#define _GNU_SOURCE
#include "fds.h"
#include "io.h"
#include "ops.h"
#include <poll.h>
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#undef errno

/* Linux cuts reads and writes at this (MAX_RW_COUNT in fs/read_write.c). */
#define MAX_LEN ((size_t)0x7ffff000)

/* Below this number of bytes, pinning costs more than copying (the kernel's
 * Documentation/networking/msg_zerocopy.rst). */
#define ZERO_COPY_MIN 10240

/* The common part of all operations on one buffer. */
struct rw {
	uint8_t opcode;
	short events; /* to poll for if the descriptor is non-blocking */
	int fd;
	const void *buf;
	size_t len;
	uint64_t offset;
	int msg_flags;
};

/* Which of the registered regions the buffer lies in, from 1; 0: none. */
static int registered(const struct rw *rw)
{
	for (unsigned i = 0; i < urt__rt.nr_buffers; i++) {
		const struct iovec *b = &urt__rt.buffers[i];
		size_t at = (uintptr_t)rw->buf - (uintptr_t)b->iov_base;

		if (at < b->iov_len && rw->len <= b->iov_len - at)
			return i + 1;
	}
	return 0;
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

/* A file operation through the page cache, by the system call with RWF_NOWAIT.
 * -EAGAIN: it would have to wait. */
static ssize_t cached(const struct rw *rw)
{
	struct urt__worker *w = urt__worker();
	struct iovec iov = { (void *)rw->buf, rw->len };
	off_t at = rw->offset == URT__HERE ? -1 : (off_t)rw->offset;
	ssize_t n;

	urt__kernel_begin(w);
	n = rw->opcode == URT__OP_READ
		    ? preadv2(rw->fd, &iov, 1, at, RWF_NOWAIT)
		    : pwritev2(rw->fd, &iov, 1, at, RWF_NOWAIT);
	if (n < 0)
		n = -*__errno_location();
	if (urt__unlikely(urt__kernel_end(w)))
		urt__proc_acquire(w);
	return n;
}

static bool is_cached(const struct rw *rw)
{
	struct urt__fd *fd = urt__fd(rw->fd);

	return fd && urt__fd_kind(fd, rw->fd) == URT__FD_CACHED &&
	       !urt__rt.nr_buffers;
}

/*
 * A read is short if only a part is in the cache, so the rest is tried once
 * more; if that reads nothing, the file ends there. -EAGAIN: the ring must read
 * the rest; *done bytes are done.
 */
static ssize_t file_at_once(struct rw *rw, size_t *done)
{
	ssize_t n = cached(rw);

	if (n <= 0 || (size_t)n == rw->len)
		return n;
	*done = n;
	rw->buf = (const char *)rw->buf + n;
	rw->len -= n;
	if (rw->offset != URT__HERE)
		rw->offset += n;
	n = cached(rw);
	return n == 0 ? (ssize_t)*done : n > 0 ? (ssize_t)*done + n : -EAGAIN;
}

static ssize_t file_wait(const struct rw *rw, int64_t deadline_ns)
{
	struct io_uring_sqe r = entry_of(rw);
	enum urt__io_how how = URT__LISTED;

	if (urt__unlikely(urt__rt.nr_buffers))
		r.buf_index = registered(rw);
	if (rw->offset != URT__HERE)
		how |= URT__AT_OFFSET;
	return urt__io_call(&r, how, rw->events, deadline_ns);
}

/* Reads and writes of one buffer. At the current position, the descriptor need
 * not be a file, and asking costs two system calls; so this asks only in a
 * row. */
static ssize_t file_call(const struct rw *asked, int64_t deadline_ns)
{
	struct rw rw = *asked;
	struct urt_coro *self;
	size_t done = 0;
	ssize_t n = -EAGAIN;

	if (urt__unlikely(!urt__enter(true)))
		return -EPERM;
	self = urt__current();
	if ((rw.offset != URT__HERE || self->last_op == rw.opcode) &&
	    !atomic_load_explicit(&self->cancelled, memory_order_relaxed) &&
	    is_cached(&rw))
		n = file_at_once(&rw, &done);
	if (n >= 0) /* else the ring's operation checks the last one, too */
		self->last_op = rw.opcode;
	urt__leave();
	if (n >= 0)
		return n;
	n = file_wait(&rw, deadline_ns);
	return n >= 0 ? n + (ssize_t)done : done ? (ssize_t)done : n;
}

/* Always inlined, so that a coroutine that waits has one frame of the call here,
 * and one request in it: with many coroutines, each line is a cache miss. */
static inline __attribute__((always_inline)) ssize_t
message_wait(const struct rw *rw, int64_t deadline_ns)
{
	struct io_uring_sqe r = entry_of(rw);

	return urt__io_call(&r, URT__LISTED,
			    rw->msg_flags & MSG_DONTWAIT ? 0 : rw->events,
			    deadline_ns);
}

ssize_t urt_read(int fd, void *buf, size_t len, int64_t deadline_ns)
{
	return file_call(&(struct rw){ URT__OP_READ, POLLIN, fd, buf, len,
				       URT__HERE, 0 },
			 deadline_ns);
}

/*
 * A blocking write(2) or send(2) returns when all is written; the ring's return
 * when a part is. n is the result of the first part. The next call returns an
 * error that came after the first byte.
 */
static URT__NOINLINE ssize_t write_rest(struct rw rw,
					ssize_t (*part)(const struct rw *,
							int64_t),
					ssize_t n, int64_t deadline_ns)
{
	size_t done = 0;

	rw.len = rw.len < MAX_LEN ? rw.len : MAX_LEN;
	while (n > 0) {
		done += n;
		if ((size_t)n == rw.len || urt__was_closed())
			break;
		rw.buf = (const char *)rw.buf + n;
		rw.len -= n;
		n = part(&rw, deadline_ns);
	}
	return done ? (ssize_t)done : n;
}

ssize_t urt__send_rest(int fd, const struct iovec *iov, size_t n, size_t done,
		       int flags, int64_t deadline_ns)
{
	size_t skip = done;

	if (urt__was_closed())
		return done;
	for (size_t i = 0; i < n; skip -= iov[i++].iov_len) {
		const char *rest = (const char *)iov[i].iov_base + skip;
		ssize_t len = iov[i].iov_len - skip, sent;

		if (skip >= iov[i].iov_len)
			continue;
		sent = flags < 0 ? urt_write(fd, rest, len, deadline_ns)
				 : urt_send(fd, rest, len, flags, deadline_ns);
		done += sent > 0 ? sent : 0;
		if (sent < len)
			break;
		skip = iov[i].iov_len;
	}
	return done;
}

ssize_t urt_write(int fd, const void *buf, size_t len, int64_t deadline_ns)
{
	struct rw rw = { URT__OP_WRITE, POLLOUT, fd, buf, len, URT__HERE, 0 };

	return write_rest(rw, file_call, file_call(&rw, deadline_ns),
			  deadline_ns);
}

ssize_t urt_pread(int fd, void *buf, size_t len, off_t offset,
		  int64_t deadline_ns)
{
	if (offset < 0)
		return -EINVAL;
	return file_call(
		&(struct rw){ URT__OP_READ, POLLIN, fd, buf, len, offset, 0 },
		deadline_ns);
}

ssize_t urt_pwrite(int fd, const void *buf, size_t len, off_t offset,
		   int64_t deadline_ns)
{
	if (offset < 0)
		return -EINVAL;
	return file_call(
		&(struct rw){ URT__OP_WRITE, POLLOUT, fd, buf, len, offset, 0 },
		deadline_ns);
}

ssize_t urt_recv(int fd, void *buf, size_t len, int flags, int64_t deadline_ns)
{
	return message_wait(
		&(struct rw){ URT__OP_RECV, POLLIN, fd, buf, len, 0, flags },
		deadline_ns);
}

static ssize_t message_part(const struct rw *rw, int64_t deadline_ns)
{
	return message_wait(rw, deadline_ns);
}

/* Some sockets cannot do it (AF_UNIX), and memory may be over the limit (ulimit
 * -l). */
static ssize_t zero_copy_part(const struct rw *rw, int64_t deadline_ns)
{
	struct rw zc = *rw;
	ssize_t n;

	zc.opcode = URT__OP_SEND_ZC;
	n = message_wait(&zc, deadline_ns);
	return n == -EOPNOTSUPP || n == -ENOMEM || n == -ENOBUFS
		       ? message_wait(rw, deadline_ns)
		       : n;
}

static URT__NOINLINE ssize_t send_zero_copy(struct rw rw, int64_t deadline_ns)
{
	return write_rest(rw, zero_copy_part, zero_copy_part(&rw, deadline_ns),
			  deadline_ns);
}

ssize_t urt_send(int fd, const void *buf, size_t len, int flags,
		 int64_t deadline_ns)
{
	struct rw rw = { URT__OP_SEND,	       POLLOUT, fd, buf, len, 0,
			 flags & ~MSG_ZEROCOPY };
	ssize_t n;

	if (urt__unlikely(flags & MSG_ZEROCOPY) && len >= ZERO_COPY_MIN &&
	    urt__has_op(URT__OP_SEND_ZC))
		return send_zero_copy(rw, deadline_ns);
	n = message_wait(&rw, deadline_ns);
	if (urt__likely(n == (ssize_t)len) || flags & MSG_DONTWAIT)
		return n;
	return write_rest(rw, message_part, n, deadline_ns);
}

ssize_t urt_recvmsg(int fd, struct msghdr *msg, int flags, int64_t deadline_ns)
{
	return message_wait(
		&(struct rw){ URT__OP_RECVMSG, POLLIN, fd, msg, 1, 0, flags },
		deadline_ns);
}

ssize_t urt_sendmsg(int fd, const struct msghdr *msg, int flags,
		    int64_t deadline_ns)
{
	struct rw rw = { URT__OP_SENDMSG, POLLOUT, fd, msg, 1, 0, flags };
	ssize_t n = message_wait(&rw, deadline_ns);

	if (n <= 0 || flags & MSG_DONTWAIT)
		return n;
	return urt__send_rest(fd, msg->msg_iov, msg->msg_iovlen, n, flags,
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
		.opcode = URT__OP_ACCEPT,
		.fd = fd,
		.addr = (uintptr_t)addr,
		.addr2 = (uintptr_t)len,
		.accept_flags = flags,
	};

	return urt__io_call(&r, URT__LISTED | URT__OPENS, POLLIN, deadline_ns);
}

int urt_connect(int fd, const struct sockaddr *addr, socklen_t len,
		int64_t deadline_ns)
{
	struct io_uring_sqe r = {
		.opcode = URT__OP_CONNECT,
		.fd = fd,
		.addr = (uintptr_t)addr,
		.off = len,
	};

	/* AF_UNIX: EAGAIN while the backlog is full. Nothing reports when it no
	 * longer is, so this tries again after pauses. */
	return urt__io_call(&r, URT__LISTED, POLLOUT, deadline_ns);
}
