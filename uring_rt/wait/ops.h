/* SPDX-License-Identifier: MIT */
/*
 * The operations that not every kernel has, and what is done without them. The
 * numbers are the kernel's ABI (enum io_uring_op, include/uapi/linux/io_uring.h);
 * the names in liburing's header depend on its age.
 *
 * Fallback: the system call of the same meaning on the thread pool, which
 * neither a deadline nor a cancellation ends.
 */
#ifndef URT_WAIT_OPS_H
#define URT_WAIT_OPS_H

#include "wait.h"

/* X(symbol, opcode, first kernel, system call of the fallback) */
#define URT__OPS(X)                                   \
	X(READV, 1, "5.1", preadv2)                   \
	X(WRITEV, 2, "5.1", pwritev2)                 \
	X(FSYNC, 3, "5.1", fsync)                     \
	X(SYNC_FILE_RANGE, 8, "5.2", sync_file_range) \
	X(FALLOCATE, 17, "5.6", fallocate)            \
	X(OPENAT, 18, "5.6", openat)                  \
	X(STATX, 21, "5.6", statx)                    \
	X(FADVISE, 24, "5.6", fadvise64)              \
	X(MADVISE, 25, "5.6", madvise)                \
	X(OPENAT2, 28, "5.6", openat2)                \
	X(SPLICE, 30, "5.7", splice)                  \
	X(TEE, 33, "5.8", tee)                        \
	X(SHUTDOWN, 34, "5.11", shutdown)             \
	X(RENAMEAT, 35, "5.11", renameat2)            \
	X(UNLINKAT, 36, "5.11", unlinkat)             \
	X(MKDIRAT, 37, "5.15", mkdirat)               \
	X(SYMLINKAT, 38, "5.15", symlinkat)           \
	X(LINKAT, 39, "5.15", linkat)                 \
	X(FSETXATTR, 41, "5.19", fsetxattr)           \
	X(SETXATTR, 42, "5.19", setxattr)             \
	X(FGETXATTR, 43, "5.19", fgetxattr)           \
	X(GETXATTR, 44, "5.19", getxattr)             \
	X(WAITID, 50, "6.7", waitid)                  \
	X(FTRUNCATE, 55, "6.9", ftruncate)

enum urt__op_name {
#define X(symbol, opcode, kernel, call) URT__OP_##symbol = opcode,
	URT__OPS(X)
#undef X
};

#endif
