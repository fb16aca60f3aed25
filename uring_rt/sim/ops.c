// SPDX-License-Identifier: MIT
/*
 * Requests are carried out by system calls on real descriptors that never
 * block. Only one thread runs, and both ends of each descriptor are in the
 * process, so poll's answer stays true until the call that follows.
 */
#define _GNU_SOURCE
#include "sim.h"
#include "../ring/abi.h"
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define RECORD 128 /* bytes that stay together: a siginfo_t through a pipe */

enum kind { FILE_, STREAM, DATAGRAM, PIPE };

/* X(opcode, name, the system call that completes it at once) */
#define DIRECT(X)                                                            \
	X(3, "fsync", SYS_fsync, s->fd)                                      \
	X(17, "fallocate", SYS_fallocate, s->fd, (long)s->len, (long)s->off, \
	  (long)s->addr)                                                     \
	X(18, "openat", SYS_openat, s->fd, s->addr, s->open_flags, s->len)   \
	X(21, "statx", SYS_statx, s->fd, s->addr, s->statx_flags, s->len,    \
	  s->off)                                                            \
	X(34, "shutdown", SYS_shutdown, s->fd, (long)s->len)                 \
	X(35, "renameat", SYS_renameat2, s->fd, s->addr, (long)(int)s->len,  \
	  s->addr2, s->rename_flags)                                         \
	X(36, "unlinkat", SYS_unlinkat, s->fd, s->addr, s->unlink_flags)     \
	X(37, "mkdirat", SYS_mkdirat, s->fd, s->addr, (long)s->len)          \
	X(38, "symlinkat", SYS_symlinkat, s->addr, s->fd, s->addr2)          \
	X(39, "linkat", SYS_linkat, s->fd, s->addr, (long)(int)s->len,       \
	  s->addr2, s->hardlink_flags)                                       \
	X(55, "ftruncate", SYS_ftruncate, s->fd, (long)s->off)

static const char *const names[64] = {
#define X(opcode, name, ...) [opcode] = name,
	DIRECT(X)
#undef X
		[IORING_OP_NOP] = "nop",
	[IORING_OP_READV] = "readv",
	[IORING_OP_WRITEV] = "writev",
	[IORING_OP_POLL_ADD] = "poll",
	[IORING_OP_SENDMSG] = "sendmsg",
	[IORING_OP_RECVMSG] = "recvmsg",
	[IORING_OP_ACCEPT] = "accept",
	[IORING_OP_CONNECT] = "connect",
	[IORING_OP_CLOSE] = "close",
	[IORING_OP_READ] = "read",
	[IORING_OP_WRITE] = "write",
	[IORING_OP_SEND] = "send",
	[IORING_OP_RECV] = "recv",
	[IORING_OP_SPLICE] = "splice",
	[IORING_OP_TEE] = "tee",
	[51] = "futex wait",
};

bool sim_op_known(unsigned opcode)
{
	return opcode < 64 && names[opcode];
}

const char *sim_op_name(unsigned opcode)
{
	return names[opcode];
}

static enum kind kind_of(int fd)
{
	int type = 0;
	socklen_t len = sizeof(type);
	struct stat st;

	if (sim_call(SYS_fstat, fd, &st))
		return FILE_;
	if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) || S_ISDIR(st.st_mode))
		return FILE_;
	if (!S_ISSOCK(st.st_mode))
		return PIPE;
	sim_call(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &len);
	return type == SOCK_STREAM ? STREAM : DATAGRAM;
}

/* ---- reading and writing ----------------------------------------------- */

static int direct(const struct io_uring_sqe *s)
{
	switch (s->opcode) {
#define X(opcode, name, ...) \
	case opcode:         \
		return sim_call(__VA_ARGS__);
		DIRECT(X)
#undef X
	}
	return -EINVAL;
}

/* The request's buffers, as one message. */
static struct msghdr message_of(const struct io_uring_sqe *s, struct iovec *one)
{
	struct msghdr m = { .msg_iov = one, .msg_iovlen = 1 };

	switch (s->opcode) {
	case IORING_OP_READV:
	case IORING_OP_WRITEV:
		m.msg_iov = (struct iovec *)(uintptr_t)s->addr;
		m.msg_iovlen = s->len;
		break;
	case IORING_OP_SENDMSG:
	case IORING_OP_RECVMSG:
		return *(struct msghdr *)(uintptr_t)s->addr;
	default:
		*one = (struct iovec){ (void *)(uintptr_t)s->addr, s->len };
	}
	return m;
}

static bool is_write(unsigned opcode)
{
	return opcode == IORING_OP_WRITE || opcode == IORING_OP_WRITEV ||
	       opcode == IORING_OP_SEND || opcode == IORING_OP_SENDMSG;
}

static bool is_message(unsigned opcode)
{
	return opcode == IORING_OP_RECV || opcode == IORING_OP_SEND ||
	       opcode == IORING_OP_RECVMSG || opcode == IORING_OP_SENDMSG;
}

/* A stream may give or take less than a request wants; over a network, a request may
 * receive any number of bytes. */
static void shorten(const struct io_uring_sqe *s, struct msghdr *m,
		    enum kind kind)
{
	struct iovec *v = m->msg_iov;
	bool any = sim_is_net(s->fd) && !is_write(s->opcode);

	if ((kind != STREAM && kind != PIPE) || m->msg_iovlen != 1 ||
	    v->iov_len <= (any ? 1 : RECORD) || !sim_fault(SIM_SHORT))
		return;
	v->iov_len = 1 + sim_random(SIM_FAULT, v->iov_len);
}

static int transfer_socket(const struct io_uring_sqe *s, struct msghdr *m)
{
	int flags = MSG_DONTWAIT | MSG_NOSIGNAL, n;

	if (is_message(s->opcode))
		flags |= s->msg_flags & ~(unsigned)MSG_ZEROCOPY;
	if (is_write(s->opcode))
		return sim_sendmsg(s->fd, m, flags);
	n = sim_recvmsg(s->fd, m, flags & ~MSG_NOSIGNAL);
	if (s->opcode == IORING_OP_RECVMSG && n >= 0) {
		struct msghdr *to = (struct msghdr *)(uintptr_t)s->addr;

		to->msg_namelen = m->msg_namelen;
		to->msg_controllen = m->msg_controllen;
		to->msg_flags = m->msg_flags;
	}
	return n;
}

static int transfer_file(const struct io_uring_sqe *s, const struct msghdr *m,
			 enum kind kind)
{
	long at = kind == FILE_ ? (long)s->off : -1;
	bool write = is_write(s->opcode);

	if (kind == FILE_ && sim_fault(SIM_FILE))
		return -EIO;
	if (kind == FILE_)
		return sim_call(write ? SYS_pwritev2 : SYS_preadv2, s->fd,
				m->msg_iov, m->msg_iovlen, at, -1L, 0L);
	if (write)
		return sim_call(SYS_pwritev2, s->fd, m->msg_iov, m->msg_iovlen,
				at, -1L, (long)RWF_NOWAIT);
	if (!sim_readable(s->fd))
		return -EAGAIN;
	return sim_call(SYS_readv, s->fd, m->msg_iov, m->msg_iovlen);
}

static int transfer(const struct io_uring_sqe *s)
{
	enum kind kind = kind_of(s->fd);
	struct iovec one;
	struct msghdr m = message_of(s, &one);

	if (m.msg_iov == &one)
		shorten(s, &m, kind);
	if (kind == STREAM && sim_is_net(s->fd) && sim_fault(SIM_NET))
		sim_net_reset(s->fd);
	if (kind == STREAM || kind == DATAGRAM)
		return transfer_socket(s, &m);
	if (is_message(s->opcode))
		return -ENOTSOCK;
	return transfer_file(s, &m, kind);
}

/* ---- questions of ring.c ----------------------------------------------- */

static short events_of(const struct io_uring_sqe *s)
{
	switch (s->opcode) {
	case IORING_OP_POLL_ADD:
		return s->poll32_events;
	case IORING_OP_READ:
	case IORING_OP_READV:
	case IORING_OP_RECV:
	case IORING_OP_RECVMSG:
	case IORING_OP_ACCEPT:
		return POLLIN;
	default:
		return POLLOUT;
	}
}

bool sim_op_reads(const struct io_uring_sqe *s)
{
	return events_of(s) & POLLIN;
}

bool sim_op_sends(const struct io_uring_sqe *s)
{
	return is_write(s->opcode) || s->opcode == IORING_OP_SHUTDOWN;
}

bool sim_op_waits(const struct io_uring_sqe *s)
{
	if (s->opcode == IORING_OP_POLL_ADD)
		return true;
	return !sim_is_nonblocking(s->fd) &&
	       !(is_message(s->opcode) && s->msg_flags & MSG_DONTWAIT);
}

bool sim_op_moves(const struct io_uring_sqe *s)
{
	return s->opcode == IORING_OP_SPLICE || s->opcode == IORING_OP_TEE;
}

bool sim_op_wants_all(const struct io_uring_sqe *s)
{
	return (s->opcode == IORING_OP_RECV || s->opcode == IORING_OP_SEND) &&
	       s->msg_flags & MSG_WAITALL && kind_of(s->fd) == STREAM;
}

bool sim_op_ready(const struct io_uring_sqe *s)
{
	if (sim_op_moves(s) && !sim_readable(s->splice_fd_in))
		return false;
	return sim_poll_now(s->fd, events_of(s));
}

/* -1: the descriptor's own position. */
static long *offset(uint64_t value, long *own)
{
	*own = value;
	return *own < 0 ? NULL : own;
}

static int move(const struct io_uring_sqe *s)
{
	long in, out, flags = s->splice_flags | SPLICE_F_NONBLOCK;

	if (s->opcode == IORING_OP_TEE)
		return sim_call(SYS_tee, s->splice_fd_in, s->fd, (long)s->len,
				flags);
	return sim_call(SYS_splice, s->splice_fd_in,
			offset(s->splice_off_in, &in), s->fd,
			offset(s->off, &out), (long)s->len, flags);
}

static int try_poll(const struct io_uring_sqe *s)
{
	short events;

	if (s->len & IORING_POLL_ADD_MULTI) {
		sim_not_simulated("IORING_POLL_ADD_MULTI",
				  "it ends after one event");
		return -EINVAL;
	}
	events = sim_poll_now(s->fd, events_of(s));
	if (events & POLLNVAL)
		return -EBADF;
	return events ? events : -EAGAIN;
}

int sim_op_try(const struct io_uring_sqe *s)
{
	switch (s->opcode) {
	case IORING_OP_NOP:
		return 0;
	case IORING_OP_POLL_ADD:
		return try_poll(s);
	case IORING_OP_ACCEPT:
		if (!sim_is_nonblocking(s->fd) && !sim_readable(s->fd))
			return -EAGAIN;
		return sim_accept(s->fd, (void *)(uintptr_t)s->addr,
				  (void *)(uintptr_t)s->addr2, s->accept_flags);
	case IORING_OP_CONNECT:
		return sim_connect(s->fd, (void *)(uintptr_t)s->addr, s->off);
	case IORING_OP_OPENAT:
		sim_note_path((const char *)(uintptr_t)s->addr);
		return direct(s);
	case IORING_OP_CLOSE:
		sim_net_close(s->fd);
		return sim_call(SYS_close, s->fd);
	case IORING_OP_READ:
	case IORING_OP_READV:
	case IORING_OP_WRITE:
	case IORING_OP_WRITEV:
	case IORING_OP_RECV:
	case IORING_OP_RECVMSG:
	case IORING_OP_SEND:
	case IORING_OP_SENDMSG:
		return transfer(s);
	case IORING_OP_SPLICE:
	case IORING_OP_TEE:
		return move(s);
	case IORING_OP_FSYNC:
		if (sim_fault(SIM_FILE))
			return -EIO;
		return direct(s);
	default:
		return direct(s);
	}
}
