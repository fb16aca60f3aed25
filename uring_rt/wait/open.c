// SPDX-License-Identifier: MIT
/*
 * Opening files, including those whose open waits for another side.
 *
 * The ring first tries without waiting, by O_NONBLOCK: a FIFO then opens for
 * reading at once, and fails for writing (ENXIO), while open(2) waits for the
 * other side. So FIFOs are opened again by a thread of the kernel. A reader
 * keeps its first descriptor meanwhile, so that it does not miss a writer that
 * came and went between the two: data, or their end, ends the wait as well.
 */
#define _GNU_SOURCE
#include "../base/sys.h"
#include "either.h"
#include "ops.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#undef errno

struct fifo {
	const struct io_uring_sqe *request;
	int fd; /* the first descriptor; -1: none */
	int opened;
	struct urt_sem done;
};

static int open_blocking(const struct io_uring_sqe *request,
			 int64_t deadline_ns)
{
	struct io_uring_sqe r = *request;

	r.flags |= IOSQE_ASYNC;
	return urt__io_call(&r, URT__OPENS, 0, deadline_ns);
}

static void open_again(void *arg)
{
	struct fifo *f = arg;

	f->opened = open_blocking(f->request, URT_NEVER);
	if (f->opened >= 0) /* else, as after unlink, the first one decides */
		urt_sem_post(&f->done);
}

static void wait_for_data(void *arg)
{
	struct fifo *f = arg;

	if (urt_poll(f->fd, POLLIN, URT_NEVER) >= 0)
		urt_sem_post(&f->done);
}

static int wait_for_writer(const struct io_uring_sqe *request, int fd,
			   int64_t deadline_ns)
{
	struct fifo f = { request, fd, -1, URT_SEM_INIT(0) };
	struct urt_coro *again, *data;
	int err = -EAGAIN;

	if (poll(&(struct pollfd){ fd, POLLIN, 0 }, 1, 0) > 0)
		return fd;
	data = urt_spawn(wait_for_data, &f);
	again = urt_spawn(open_again, &f);
	if (data && again)
		err = urt_sem_wait(&f.done, deadline_ns);
	if (data)
		urt_end(data);
	if (again)
		urt_end(again);
	if (f.opened >= 0)
		urt_close(f.opened);
	if (err)
		urt_close(fd);
	return err ? err : fd;
}

static bool is_fifo(int ret, int dir, const char *path)
{
	struct stat st;

	if (ret >= 0) /* the first call costs little, and mostly says no */
		return lseek(ret, 0, SEEK_CUR) < 0 && !fstat(ret, &st) &&
		       S_ISFIFO(st.st_mode);
	return ret == -ENXIO && path && !fstatat(dir, path, &st, 0) &&
	       S_ISFIFO(st.st_mode);
}

static int open_waiting(const struct io_uring_sqe *r,
			const struct urt__syscall *c, uint64_t flags,
			int64_t deadline_ns)
{
	int saved = *__errno_location();
	int ret = urt__either(r, c, URT__OPENS, 0, deadline_ns);

	if (flags & (O_NONBLOCK | O_PATH) || !urt__has_op(r->opcode))
		return ret;
	if ((flags & O_ACCMODE) == O_WRONLY && ret == -ENXIO &&
	    is_fifo(ret, r->fd, (const char *)(uintptr_t)r->addr))
		ret = open_blocking(r, deadline_ns);
	else if ((flags & O_ACCMODE) == O_RDONLY && ret >= 0 &&
		 is_fifo(ret, -1, NULL))
		ret = wait_for_writer(r, ret, deadline_ns);
	*__errno_location() = saved;
	return ret;
}

int urt_openat(int dir, const char *path, int flags, mode_t mode,
	       int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_OPENAT,
				  .fd = dir,
				  .addr = PTR(path),
				  .len = mode,
				  .open_flags = flags };
	struct urt__syscall c = { SYS_openat, { dir, PTR(path), flags, mode } };

	return open_waiting(&r, &c, flags, deadline_ns);
}

int urt_openat2(int dir, const char *path, const struct open_how *how,
		size_t size, int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_OPENAT2,
				  .fd = dir,
				  .addr = PTR(path),
				  .len = size,
				  .off = PTR(how) };
	struct urt__syscall c = { SYS_openat2,
				  { dir, PTR(path), PTR(how), size } };

	return open_waiting(
		&r, &c, size >= sizeof(how->flags) ? how->flags : O_NONBLOCK,
		deadline_ns);
}
