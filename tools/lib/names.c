// SPDX-License-Identifier: MIT
/* Names of system calls (from the machine's headers) and io_uring operations
 * (from the kernel's ABI: headers are often older than the kernel). */
#include "../../uring_rt/base/opcodes.h"
#include "tool.h"
#include <sys/syscall.h>

static const char *const syscalls[SYSCALL_NAMES_MAX] = {
#include "syscall_names.h"
};

/* Empty if the machine has no such table, or its header is missing. */
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
		return "other"; /* -1, x32, unknown numbers */
	return name_in(syscalls, nr, buf);
}

const char *syscall_name_32(unsigned nr, char buf[32])
{
	return name_in(syscalls_32, nr, buf);
}

static const char *const ops[] = {
#define X(name) #name,
	URT__OPCODES(X)
#undef X
};

const char *uring_op_name(unsigned op, char buf[32])
{
	if (op < ARRAY_LEN(ops))
		return ops[op];
	if (op == URING_NAMES_MAX)
		return "other"; /* no opcode of a kernel */
	snprintf(buf, 32, "OP_%u", op);
	return buf;
}
