/* SPDX-License-Identifier: MIT */
/*
 * The operations that the runtime uses: first kernel, and the replacement where
 * the running kernel's ring lacks the operation (IORING_REGISTER_PROBE, asked
 * once at start). Their numbers: base/opcodes.h.
 *
 *	NEED	the run does not start without it
 *	POOL	the system call of the same meaning on the thread pool, which
 *		neither a deadline nor a cancellation ends
 *	PLAIN	always the system call: it does not wait, and is faster
 *	POLL	the ring polls a descriptor, then the system call is made
 *	SLICES	POOL, for 50 ms at a time, so a deadline and a cancellation are seen
 *	COPY	the operation that copies
 */
#ifndef URT_WAIT_OPS_H
#define URT_WAIT_OPS_H

#include "../base/opcodes.h"
#include "wait.h"
#include <string.h>

/* X(name, first kernel, fallback, its system call) */
#define URT__OPS(X)                                      \
	X(READV, "5.1", POOL, preadv2)                   \
	X(WRITEV, "5.1", POOL, pwritev2)                 \
	X(FSYNC, "5.1", POOL, fsync)                     \
	X(POLL_ADD, "5.1", NEED, poll)                   \
	X(SYNC_FILE_RANGE, "5.2", POOL, sync_file_range) \
	X(SENDMSG, "5.3", NEED, sendmsg)                 \
	X(RECVMSG, "5.3", NEED, recvmsg)                 \
	X(ACCEPT, "5.5", NEED, accept4)                  \
	X(CONNECT, "5.5", NEED, connect)                 \
	X(FALLOCATE, "5.6", POOL, fallocate)             \
	X(OPENAT, "5.6", POOL, openat)                   \
	X(CLOSE, "5.6", NEED, close)                     \
	X(STATX, "5.6", POOL, statx)                     \
	X(READ, "5.6", NEED, read)                       \
	X(WRITE, "5.6", NEED, write)                     \
	X(FADVISE, "5.6", POOL, fadvise64)               \
	X(MADVISE, "5.6", POOL, madvise)                 \
	X(SEND, "5.6", NEED, send)                       \
	X(RECV, "5.6", NEED, recv)                       \
	X(OPENAT2, "5.6", POOL, openat2)                 \
	X(SPLICE, "5.7", POOL, splice)                   \
	X(TEE, "5.8", POOL, tee)                         \
	X(SHUTDOWN, "5.11", POOL, shutdown)              \
	X(RENAMEAT, "5.11", POOL, renameat2)             \
	X(UNLINKAT, "5.11", POOL, unlinkat)              \
	X(MKDIRAT, "5.15", POOL, mkdirat)                \
	X(SYMLINKAT, "5.15", POOL, symlinkat)            \
	X(LINKAT, "5.15", POOL, linkat)                  \
	X(FSETXATTR, "5.19", POOL, fsetxattr)            \
	X(SETXATTR, "5.19", POOL, setxattr)              \
	X(FGETXATTR, "5.19", POOL, fgetxattr)            \
	X(GETXATTR, "5.19", POOL, getxattr)              \
	X(SOCKET, "5.19", PLAIN, socket)                 \
	X(SEND_ZC, "6.0", COPY, send)                    \
	X(WAITID, "6.7", POLL, waitid)                   \
	X(FUTEX_WAIT, "6.7", SLICES, futex)              \
	X(FUTEX_WAKE, "6.7", PLAIN, futex)               \
	X(FTRUNCATE, "6.9", POOL, ftruncate)             \
	X(BIND, "6.11", PLAIN, bind)                     \
	X(LISTEN, "6.11", PLAIN, listen)                 \
	X(EPOLL_WAIT, "6.15", POLL, epoll_wait)          \
	X(PIPE, "6.16", PLAIN, pipe2)

/* Whether the ring has it. */
static inline bool urt__has_op(enum urt__opcode op)
{
	return urt__rt.ops >> op & 1;
}

/* addr3 (bytes 48 to 55), which older headers do not name. */
static inline void urt__set_addr3(struct io_uring_sqe *r, uint64_t v)
{
	memcpy((char *)r + 48, &v, sizeof(v));
}

#endif
