/* SPDX-License-Identifier: MIT */
/*
 * The operations: opcode, first kernel, and what is done where the running
 * kernel's ring does not know it (IORING_REGISTER_PROBE, asked once at start).
 * The numbers are the kernel's ABI (enum io_uring_op,
 * include/uapi/linux/io_uring.h); the names in liburing's header depend on its
 * age.
 *
 *	NEED	the run does not start without it
 *	POOL	the system call of the same meaning on the thread pool, which
 *		neither a deadline nor a cancellation ends
 *	PLAIN	the system call, always: it does not wait, and is the faster way
 *	POLL	a descriptor is polled by the ring, then the system call made
 *	SLICES	POOL, for 50 ms at a time: a deadline and a cancellation are seen
 *	COPY	the operation that copies
 */
#ifndef URT_WAIT_OPS_H
#define URT_WAIT_OPS_H

#include "wait.h"
#include <string.h>

/* X(symbol, opcode, first kernel, fallback, its system call) */
#define URT__OPS(X)                                         \
	X(READV, 1, "5.1", POOL, preadv2)                   \
	X(WRITEV, 2, "5.1", POOL, pwritev2)                 \
	X(FSYNC, 3, "5.1", POOL, fsync)                     \
	X(POLL_ADD, 6, "5.1", NEED, poll)                   \
	X(SYNC_FILE_RANGE, 8, "5.2", POOL, sync_file_range) \
	X(SENDMSG, 9, "5.3", NEED, sendmsg)                 \
	X(RECVMSG, 10, "5.3", NEED, recvmsg)                \
	X(ACCEPT, 13, "5.5", NEED, accept4)                 \
	X(CONNECT, 16, "5.5", NEED, connect)                \
	X(FALLOCATE, 17, "5.6", POOL, fallocate)            \
	X(OPENAT, 18, "5.6", POOL, openat)                  \
	X(CLOSE, 19, "5.6", NEED, close)                    \
	X(STATX, 21, "5.6", POOL, statx)                    \
	X(READ, 22, "5.6", NEED, read)                      \
	X(WRITE, 23, "5.6", NEED, write)                    \
	X(FADVISE, 24, "5.6", POOL, fadvise64)              \
	X(MADVISE, 25, "5.6", POOL, madvise)                \
	X(SEND, 26, "5.6", NEED, send)                      \
	X(RECV, 27, "5.6", NEED, recv)                      \
	X(OPENAT2, 28, "5.6", POOL, openat2)                \
	X(SPLICE, 30, "5.7", POOL, splice)                  \
	X(TEE, 33, "5.8", POOL, tee)                        \
	X(SHUTDOWN, 34, "5.11", POOL, shutdown)             \
	X(RENAMEAT, 35, "5.11", POOL, renameat2)            \
	X(UNLINKAT, 36, "5.11", POOL, unlinkat)             \
	X(MKDIRAT, 37, "5.15", POOL, mkdirat)               \
	X(SYMLINKAT, 38, "5.15", POOL, symlinkat)           \
	X(LINKAT, 39, "5.15", POOL, linkat)                 \
	X(FSETXATTR, 41, "5.19", POOL, fsetxattr)           \
	X(SETXATTR, 42, "5.19", POOL, setxattr)             \
	X(FGETXATTR, 43, "5.19", POOL, fgetxattr)           \
	X(GETXATTR, 44, "5.19", POOL, getxattr)             \
	X(SOCKET, 45, "5.19", PLAIN, socket)                \
	X(SEND_ZC, 47, "6.0", COPY, send)                   \
	X(WAITID, 50, "6.7", POLL, waitid)                  \
	X(FUTEX_WAIT, 51, "6.7", SLICES, futex)             \
	X(FUTEX_WAKE, 52, "6.7", PLAIN, futex)              \
	X(FTRUNCATE, 55, "6.9", POOL, ftruncate)            \
	X(BIND, 56, "6.11", PLAIN, bind)                    \
	X(LISTEN, 57, "6.11", PLAIN, listen)                \
	X(EPOLL_WAIT, 59, "6.15", POLL, epoll_wait)         \
	X(PIPE, 62, "6.16", PLAIN, pipe2)

enum urt__op_name {
#define X(symbol, opcode, kernel, fallback, call) URT__OP_##symbol = opcode,
	URT__OPS(X)
#undef X
};

/* Whether the ring has it. */
static inline bool urt__has_op(enum urt__op_name op)
{
	return urt__rt.ops >> op & 1;
}

/* addr3 (bytes 48 to 55), which older headers do not name. */
static inline void urt__set_addr3(struct io_uring_sqe *r, uint64_t v)
{
	memcpy((char *)r + 48, &v, sizeof(v));
}

#endif
