/* SPDX-License-Identifier: MIT */
/*
 * The kernel's io_uring operations by number: enum io_uring_op of
 * include/uapi/linux/io_uring.h, in its order. The only list of them: the
 * runtime's opcodes, its table of fallbacks (wait/ops.h) and the names that urt
 * prints come from it. The names in liburing's header depend on its age.
 */
#ifndef URT_BASE_OPCODES_H
#define URT_BASE_OPCODES_H

#define URT__OPCODES(X)     \
	X(NOP)              \
	X(READV)            \
	X(WRITEV)           \
	X(FSYNC)            \
	X(READ_FIXED)       \
	X(WRITE_FIXED)      \
	X(POLL_ADD)         \
	X(POLL_REMOVE)      \
	X(SYNC_FILE_RANGE)  \
	X(SENDMSG)          \
	X(RECVMSG)          \
	X(TIMEOUT)          \
	X(TIMEOUT_REMOVE)   \
	X(ACCEPT)           \
	X(ASYNC_CANCEL)     \
	X(LINK_TIMEOUT)     \
	X(CONNECT)          \
	X(FALLOCATE)        \
	X(OPENAT)           \
	X(CLOSE)            \
	X(FILES_UPDATE)     \
	X(STATX)            \
	X(READ)             \
	X(WRITE)            \
	X(FADVISE)          \
	X(MADVISE)          \
	X(SEND)             \
	X(RECV)             \
	X(OPENAT2)          \
	X(EPOLL_CTL)        \
	X(SPLICE)           \
	X(PROVIDE_BUFFERS)  \
	X(REMOVE_BUFFERS)   \
	X(TEE)              \
	X(SHUTDOWN)         \
	X(RENAMEAT)         \
	X(UNLINKAT)         \
	X(MKDIRAT)          \
	X(SYMLINKAT)        \
	X(LINKAT)           \
	X(MSG_RING)         \
	X(FSETXATTR)        \
	X(SETXATTR)         \
	X(FGETXATTR)        \
	X(GETXATTR)         \
	X(SOCKET)           \
	X(URING_CMD)        \
	X(SEND_ZC)          \
	X(SENDMSG_ZC)       \
	X(READ_MULTISHOT)   \
	X(WAITID)           \
	X(FUTEX_WAIT)       \
	X(FUTEX_WAKE)       \
	X(FUTEX_WAITV)      \
	X(FIXED_FD_INSTALL) \
	X(FTRUNCATE)        \
	X(BIND)             \
	X(LISTEN)           \
	X(RECV_ZC)          \
	X(EPOLL_WAIT)       \
	X(READV_FIXED)      \
	X(WRITEV_FIXED)     \
	X(PIPE)

enum urt__opcode {
#define X(name) URT__OP_##name,
	URT__OPCODES(X)
#undef X
		URT__OP_COUNT,
};

#endif
