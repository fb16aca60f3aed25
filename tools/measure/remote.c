// SPDX-License-Identifier: MIT
/* Reading another process's memory; see remote.h. */
#define _GNU_SOURCE
#include "remote.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

/* The number of pieces that were read or turned out not to be there: the kernel
 * stops at the first that is not, having read all before it. n is not 0. */
static ssize_t read_some(pid_t pid, struct remote_piece *p, size_t n)
{
	struct iovec here[REMOTE_PIECES], there[REMOTE_PIECES];
	ssize_t got;
	size_t i = 0;

	do {
		here[i] = (struct iovec){ p[i].to, p[i].size };
		there[i] =
			(struct iovec){ (void *)(uintptr_t)p[i].at, p[i].size };
	} while (++i < n);
	got = process_vm_readv(pid, here, n, there, n, 0);
	if (got < 0 && errno != EFAULT)
		return -errno;
	if (got < 0)
		got = 0;
	for (i = 0; i < n && (size_t)got >= p[i].size; i++)
		got -= p[i].size;
	if (i < n)
		p[i++].size = 0;
	return i;
}

int remote_read_all(pid_t pid, struct remote_piece *p, size_t n)
{
	while (n) {
		ssize_t done = read_some(pid, p,
					 n < REMOTE_PIECES ? n : REMOTE_PIECES);

		if (done < 0)
			return done;
		p += done;
		n -= done;
	}
	return 0;
}

bool remote_read(pid_t pid, uint64_t at, void *to, size_t size)
{
	struct remote_piece p = { at, to, size };

	return !remote_read_all(pid, &p, 1) && p.size == size;
}

/* -1: this kernel has no Yama. */
static int ptrace_scope(void)
{
	FILE *f = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
	int scope = -1;

	if (f && fscanf(f, "%d", &scope) != 1)
		scope = -1;
	if (f)
		fclose(f);
	return scope;
}

bool remote_allowed(pid_t pid, uint64_t address, char *why, size_t size)
{
	struct remote_piece p = { address, &(char){ 0 }, 1 };
	int err = remote_read_all(pid, &p, 1);

	if (!err)
		return true;
	if (err == -EPERM && ptrace_scope() > 0)
		snprintf(
			why, size,
			"not allowed to read the memory of %d: run as root, or "
			"let one's own processes be read by `sysctl "
			"kernel.yama.ptrace_scope=0`",
			pid);
	else if (err == -EPERM)
		snprintf(why, size,
			 "not allowed to read the memory of %d: run as its "
			 "user or as root; in a container, with CAP_SYS_PTRACE",
			 pid);
	else
		snprintf(why, size, "cannot read the memory of %d: %s", pid,
			 strerror(-err));
	return false;
}
