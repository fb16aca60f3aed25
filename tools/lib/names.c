// SPDX-License-Identifier: MIT
/* Names of system calls (from the machine's headers) and io_uring operations
 * (from the kernel's ABI: headers are often older than the kernel). */
#include "tool.h"
#include <sys/syscall.h>

static const char *const syscalls[SYSCALL_NAMES_MAX] = {
#include "syscall_names.h"
};

/* Empty where the machine has no such table, or its header is missing. */
static const char *const syscalls_32[SYSCALL_NAMES_MAX] = {
#include "syscall_names_32.h"
};

static const char *name_in(const char *const *table, unsigned nr, char buf[32])
{
	if (nr < SYSCALL_NAMES_MAX && table[nr])
		return table[nr];
	snprintf(buf, 32, "syscall_%u", nr);
	return buf;
}

const char *syscall_name(unsigned nr, char buf[32])
{
	if (nr == SYSCALL_NAMES_MAX)
		return "other"; /* -1, x32, numbers that are none */
	return name_in(syscalls, nr, buf);
}

const char *syscall_name_32(unsigned nr, char buf[32])
{
	return name_in(syscalls_32, nr, buf);
}

/* enum io_uring_op, include/uapi/linux/io_uring.h, in order. */
static const char *const ops[] = {
	"NOP",
	"READV",
	"WRITEV",
	"FSYNC",
	"READ_FIXED",
	"WRITE_FIXED",
	"POLL_ADD",
	"POLL_REMOVE",
	"SYNC_FILE_RANGE",
	"SENDMSG",
	"RECVMSG",
	"TIMEOUT",
	"TIMEOUT_REMOVE",
	"ACCEPT",
	"ASYNC_CANCEL",
	"LINK_TIMEOUT",
	"CONNECT",
	"FALLOCATE",
	"OPENAT",
	"CLOSE",
	"FILES_UPDATE",
	"STATX",
	"READ",
	"WRITE",
	"FADVISE",
	"MADVISE",
	"SEND",
	"RECV",
	"OPENAT2",
	"EPOLL_CTL",
	"SPLICE",
	"PROVIDE_BUFFERS",
	"REMOVE_BUFFERS",
	"TEE",
	"SHUTDOWN",
	"RENAMEAT",
	"UNLINKAT",
	"MKDIRAT",
	"SYMLINKAT",
	"LINKAT",
	"MSG_RING",
	"FSETXATTR",
	"SETXATTR",
	"FGETXATTR",
	"GETXATTR",
	"SOCKET",
	"URING_CMD",
	"SEND_ZC",
	"SENDMSG_ZC",
	"READ_MULTISHOT",
	"WAITID",
	"FUTEX_WAIT",
	"FUTEX_WAKE",
	"FUTEX_WAITV",
	"FIXED_FD_INSTALL",
	"FTRUNCATE",
	"BIND",
	"LISTEN",
	"RECV_ZC",
	"EPOLL_WAIT",
	"READV_FIXED",
	"WRITEV_FIXED",
	"PIPE",
};

const char *uring_op_name(unsigned op, char buf[32])
{
	if (op < ARRAY_LEN(ops))
		return ops[op];
	snprintf(buf, 32, "OP_%u", op);
	return buf;
}
