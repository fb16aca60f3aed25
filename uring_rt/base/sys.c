// SPDX-License-Identifier: MIT
/* The system-call seam; see sys.h. Also what must not allocate: printing. */
#define _GNU_SOURCE
#include "sys.h"
#include "base.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct urt__sys_fault urt__sys_faults[URT__SYS_KINDS];
bool urt__shared;

static int fault(enum urt__sys_kind kind)
{
	struct urt__sys_fault *f = &urt__sys_faults[kind];

	if (urt__likely(!f->countdown) || --f->countdown)
		return 0;
	return -f->err;
}

static int result(long ret)
{
	return ret < 0 ? -errno : (int)ret;
}

int urt__sys_ring_setup(unsigned entries, struct io_uring_params *p)
{
	int err = fault(URT__SYS_RING_SETUP);

	return err ? err : result(syscall(__NR_io_uring_setup, entries, p));
}

int urt__sys_ring_enter(int fd, unsigned to_submit, unsigned min_complete,
			unsigned flags, const void *arg, size_t arg_size)
{
	int err = fault(URT__SYS_RING_ENTER);

	return err ? err
		   : result(syscall(__NR_io_uring_enter, fd, to_submit,
				    min_complete, flags, arg, arg_size));
}

int urt__sys_ring_register(int fd, unsigned opcode, const void *arg,
			   unsigned nr_args)
{
	int err = fault(URT__SYS_RING_REGISTER);

	return err ? err
		   : result(syscall(__NR_io_uring_register, fd, opcode, arg,
				    nr_args));
}

int urt__sys_mmap(void **out, size_t size, int prot, int flags, int fd,
		  off_t offset)
{
	int err = fault(URT__SYS_MMAP);
	void *p;

	if (err)
		return err;
	p = mmap(NULL, size, prot, flags, fd, offset);
	if (p == MAP_FAILED)
		return -errno;
	*out = p;
	return 0;
}

int urt__sys_madvise(void *addr, size_t size, int advice)
{
	int err = fault(URT__SYS_MADVISE);

	return err ? err : result(madvise(addr, size, advice));
}

int urt__sys_mprotect(void *addr, size_t size, int prot)
{
	int err = fault(URT__SYS_MPROTECT);

	return err ? err : result(mprotect(addr, size, prot));
}

int urt__sys_memfd(const char *name)
{
	int err = fault(URT__SYS_MEMFD);

	return err ? err : result(memfd_create(name, MFD_CLOEXEC));
}

int urt__sys_file_in(const char *variable, const char *name)
{
	const char *dir = secure_getenv(variable);
	char path[512];
	int fd;

	if (!dir || !*dir)
		return -1;
	/* A second run of one process must not overwrite the first's. */
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(path, sizeof(path), "%s/%s.%d.%u", dir, name, getpid(),
			 i);
		fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd >= 0)
			return fd;
		if (errno != EEXIST)
			break;
	}
	return -1;
}

int64_t urt__clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

void urt__print(const char *format, ...)
{
	char line[512];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 1)
		n = sizeof(line) - 1;
	if (n > 0 && write(STDERR_FILENO, line, n) < 0)
		return;
}

void urt__bug(const char *what, const char *file, int line)
{
	urt__print("uring_rt: bug: %s at %s:%d\n", what, file, line);
	abort();
}
