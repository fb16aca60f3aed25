// SPDX-License-Identifier: MIT
/*
 * The simulator's own way to the system below it, around the calls that it
 * defines in place of libc's: system calls, libc's functions, and messages and
 * the trace, which it writes by system calls.
 */
#define _GNU_SOURCE
#include "sim.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRACE_FD 1000 /* above the program's descriptors */

static int trace_fd = -1;
static long (*real_syscall)(long, ...);

void *sim_next(void **cache, const char *name)
{
	if (!*cache)
		*cache = dlsym(RTLD_NEXT, name);
	return *cache;
}

long sim_call(long nr, ...)
{
	long a[6], ret;
	va_list ap;

	va_start(ap, nr);
	for (unsigned i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (!real_syscall)
		real_syscall = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	ret = real_syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	return ret < 0 ? -errno : ret;
}

static void print(int fd, const char *prefix, const char *format, va_list ap)
{
	char line[1024];
	int n = snprintf(line, sizeof(line), "%s", prefix);

	n += vsnprintf(line + n, sizeof(line) - n - 1, format, ap);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	sim_call(SYS_write, fd, line, n);
}

void sim_say(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	print(STDERR_FILENO, "urt sim: ", format, ap);
	va_end(ap);
}

void sim_trace_open(void)
{
	const char *path = getenv("URT_SIM_TRACE");
	int fd;

	if (!path)
		return;
	fd = sim_call(SYS_openat, AT_FDCWD, path,
		      O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
	trace_fd = sim_call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, TRACE_FD);
	sim_call(SYS_close, fd);
}

void sim_trace(const char *format, ...)
{
	char prefix[64];
	va_list ap;

	if (trace_fd < 0)
		return;
	snprintf(prefix, sizeof(prefix), "%12lld.%03lld us  thread %-3d ",
		 (long long)(sim_now_ns - SIM_BEGIN_NS) / 1000,
		 (long long)(sim_now_ns - SIM_BEGIN_NS) % 1000,
		 sim_thread_number());
	va_start(ap, format);
	print(trace_fd, prefix, format, ap);
	va_end(ap);
}

void sim_not_simulated(const char *name, const char *what)
{
	static const char *said[64];
	unsigned i;

	for (i = 0; i < 64 && said[i]; i++)
		if (!strcmp(said[i], name))
			return;
	if (i < 64)
		said[i] = name;
	sim_tell_not_simulated(name);
	sim_say("%s is not simulated: %s", name, what);
}
