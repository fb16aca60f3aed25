// SPDX-License-Identifier: MIT
/*
 * Files: the POSIX calls as operations on the ring.
 *
 * Each call is written down twice in one place: as a submission entry, and as
 * the system call that means the same. Which of them is made depends on what
 * the running kernel's ring knows (IORING_REGISTER_PROBE, asked once at start);
 * the system call is made on the thread pool.
 */
#define _GNU_SOURCE
#include "../base/sys.h"
#include "fds.h"
#include "io.h"
#include "ops.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#undef errno

/* A system call to be made elsewhere. */
struct call {
	long nr;
	long a[6];
};

static int64_t make_call(void *arg)
{
	const struct call *c = arg;
	long ret = syscall(c->nr, c->a[0], c->a[1], c->a[2], c->a[3], c->a[4],
			   c->a[5]);

	return ret < 0 ? -*__errno_location() : ret;
}

#define PTR(p) ((uintptr_t)(p))

/* The ring's lengths have 32 bits; what moves data may move less. */
#define LEN_MAX	    0x7ffff000u
#define TOO_LONG(n) ((size_t)(n) > UINT32_MAX)

static uint32_t cut(size_t len)
{
	return len < LEN_MAX ? len : LEN_MAX;
}

/* On the thread pool, whatever the ring knows. */
static int by_call(const struct call *call, int64_t deadline_ns)
{
	if (!urt__current())
		return -EPERM;
	return urt_blocking_until(make_call, (void *)call, deadline_ns);
}

/* By the ring, with how and events as for urt__io_call, or by the thread pool. */
static int make(const struct io_uring_sqe *request, const struct call *call,
		enum urt__io_how how, short events, int64_t deadline_ns)
{
	int ret;

	if (urt__has_op(request->opcode))
		return urt__io_call(request, how, events, deadline_ns);
	while ((ret = by_call(call, deadline_ns)) == -EAGAIN && events) {
		ret = urt_poll(request->fd, events, deadline_ns);
		if (ret < 0)
			break;
	}
	return ret;
}

static enum urt__io_how how_at(off_t offset)
{
	return offset < 0 ? URT__LISTED : URT__LISTED | URT__AT_OFFSET;
}

static int either(const struct io_uring_sqe *request, const struct call *call,
		  int64_t deadline_ns)
{
	return make(request, call, 0, 0, deadline_ns);
}

/* ---- opening, also of files that wait for their other side ------------- */

/*
 * The ring first tries without waiting, by O_NONBLOCK: a FIFO is then open for
 * reading at once, and for writing not at all (ENXIO), where open(2) waits for
 * the other side. So these are opened again by a thread of the kernel's. A
 * reader keeps what it has meanwhile, so that a writer that came and went between
 * the two is not missed: data, or its end, ends the wait as well.
 */
#define IOWQ_MAX 512

struct fifo {
	const struct io_uring_sqe *request;
	int fd; /* the first one; -1: none */
	int opened;
	struct urt_sem done;
};

/* A blocked open must not keep the ring's other work from its threads. */
static void allow_threads(void)
{
	unsigned max[2] = { IOWQ_MAX, 0 };
	struct urt__worker *w = urt__enter(false);

	urt__sys_ring_register(w->ring.fd, IORING_REGISTER_IOWQ_MAX_WORKERS,
			       max, 2);
	urt__leave();
}

static int open_blocking(const struct io_uring_sqe *request,
			 int64_t deadline_ns)
{
	struct io_uring_sqe r = *request;

	allow_threads();
	r.flags |= IOSQE_ASYNC;
	return urt__io_call(&r, URT__OPENS, 0, deadline_ns);
}

static void open_again(void *arg)
{
	struct fifo *f = arg;

	f->opened = open_blocking(f->request, URT_NEVER);
	if (f->opened >= 0) /* else, as when it was unlinked, the other tells */
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

	if (ret >=
	    0) /* the first question costs little, and is most often no */
		return lseek(ret, 0, SEEK_CUR) < 0 && !fstat(ret, &st) &&
		       S_ISFIFO(st.st_mode);
	return ret == -ENXIO && path && !fstatat(dir, path, &st, 0) &&
	       S_ISFIFO(st.st_mode);
}

static int open_waiting(const struct io_uring_sqe *r, const struct call *c,
			uint64_t flags, int64_t deadline_ns)
{
	int saved = *__errno_location();
	int ret = make(r, c, URT__OPENS, 0, deadline_ns);

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
	struct call c = { SYS_openat, { dir, PTR(path), flags, mode } };

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
	struct call c = { SYS_openat2, { dir, PTR(path), PTR(how), size } };

	return open_waiting(
		&r, &c, size >= sizeof(how->flags) ? how->flags : O_NONBLOCK,
		deadline_ns);
}

ssize_t urt_preadv2(int fd, const struct iovec *iov, int n, off_t offset,
		    int flags, int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_READV,
				  .fd = fd,
				  .addr = PTR(iov),
				  .len = n,
				  .off = offset,
				  .rw_flags = flags };
	struct call c = { SYS_preadv2, { fd, PTR(iov), n, offset, 0, flags } };

	return make(&r, &c, how_at(offset), flags & RWF_NOWAIT ? 0 : POLLIN,
		    deadline_ns);
}

ssize_t urt_readv(int fd, const struct iovec *iov, int n, int64_t deadline_ns)
{
	return urt_preadv2(fd, iov, n, -1, 0, deadline_ns);
}

ssize_t urt_pwritev2(int fd, const struct iovec *iov, int n, off_t offset,
		     int flags, int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_WRITEV,
				  .fd = fd,
				  .addr = PTR(iov),
				  .len = n,
				  .off = offset,
				  .rw_flags = flags };
	struct call c = { SYS_pwritev2, { fd, PTR(iov), n, offset, 0, flags } };
	short events = flags & RWF_NOWAIT ? 0 : POLLOUT;
	ssize_t done = make(&r, &c, how_at(offset), events, deadline_ns);

	if (done <= 0 || offset >= 0 || !events)
		return done;
	return urt__send_rest(fd, iov, n, done, -1, deadline_ns);
}

ssize_t urt_writev(int fd, const struct iovec *iov, int n, int64_t deadline_ns)
{
	return urt_pwritev2(fd, iov, n, -1, 0, deadline_ns);
}

int urt_fsync(int fd, int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_FSYNC, .fd = fd };
	struct call c = { SYS_fsync, { fd } };

	return make(&r, &c, URT__LISTED, 0, deadline_ns);
}

int urt_fdatasync(int fd, int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_FSYNC,
				  .fd = fd,
				  .fsync_flags = IORING_FSYNC_DATASYNC };
	struct call c = { SYS_fdatasync, { fd } };

	return make(&r, &c, URT__LISTED, 0, deadline_ns);
}

int urt_sync_file_range(int fd, off_t offset, size_t len, unsigned flags,
			int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_SYNC_FILE_RANGE,
				  .fd = fd,
				  .off = offset,
				  .len = len,
				  .sync_range_flags = flags };
	struct call c = { SYS_sync_file_range,
			  { fd, offset, (long)len, flags } };

	return TOO_LONG(len) ? by_call(&c, deadline_ns)
			     : make(&r, &c, URT__LISTED, 0, deadline_ns);
}

int urt_fallocate(int fd, int mode, off_t offset, off_t len,
		  int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_FALLOCATE,
				  .fd = fd,
				  .off = offset,
				  .addr = len,
				  .len = mode };
	struct call c = { SYS_fallocate, { fd, mode, offset, len } };

	return make(&r, &c, URT__LISTED, 0, deadline_ns);
}

int urt_ftruncate(int fd, off_t size, int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_FTRUNCATE,
				  .fd = fd,
				  .off = size };
	struct call c = { SYS_ftruncate, { fd, size } };

	return make(&r, &c, URT__LISTED, 0, deadline_ns);
}

int urt_fadvise(int fd, off_t offset, size_t len, int advice,
		int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_FADVISE,
				  .fd = fd,
				  .off = offset,
				  .len = len,
				  .fadvise_advice = advice };
	struct call c = { SYS_fadvise64, { fd, offset, (long)len, advice } };

	return TOO_LONG(len) ? by_call(&c, deadline_ns)
			     : make(&r, &c, URT__LISTED, 0, deadline_ns);
}

int urt_madvise(void *address, size_t len, int advice, int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_MADVISE,
				  .fd = -1,
				  .addr = PTR(address),
				  .len = len,
				  .fadvise_advice = advice };
	struct call c = { SYS_madvise, { PTR(address), (long)len, advice } };

	return TOO_LONG(len) ? by_call(&c, deadline_ns)
			     : either(&r, &c, deadline_ns);
}

int urt_statx(int dir, const char *path, int flags, unsigned mask,
	      struct statx *st, int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_STATX,
				  .fd = dir,
				  .addr = PTR(path),
				  .len = mask,
				  .off = PTR(st),
				  .statx_flags = flags };
	struct call c = { SYS_statx, { dir, PTR(path), flags, mask, PTR(st) } };

	return either(&r, &c, deadline_ns);
}

int urt_renameat(int from_dir, const char *from, int to_dir, const char *to,
		 unsigned flags, int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_RENAMEAT,
				  .fd = from_dir,
				  .addr = PTR(from),
				  .len = to_dir,
				  .off = PTR(to),
				  .rename_flags = flags };
	struct call c = { SYS_renameat2,
			  { from_dir, PTR(from), to_dir, PTR(to), flags } };

	return either(&r, &c, deadline_ns);
}

int urt_unlinkat(int dir, const char *path, int flags, int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_UNLINKAT,
				  .fd = dir,
				  .addr = PTR(path),
				  .unlink_flags = flags };
	struct call c = { SYS_unlinkat, { dir, PTR(path), flags } };

	return either(&r, &c, deadline_ns);
}

int urt_mkdirat(int dir, const char *path, mode_t mode, int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_MKDIRAT,
				  .fd = dir,
				  .addr = PTR(path),
				  .len = mode };
	struct call c = { SYS_mkdirat, { dir, PTR(path), mode } };

	return either(&r, &c, deadline_ns);
}

int urt_symlinkat(const char *target, int dir, const char *path,
		  int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_SYMLINKAT,
				  .fd = dir,
				  .addr = PTR(target),
				  .off = PTR(path) };
	struct call c = { SYS_symlinkat, { PTR(target), dir, PTR(path) } };

	return either(&r, &c, deadline_ns);
}

int urt_linkat(int from_dir, const char *from, int to_dir, const char *to,
	       int flags, int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_LINKAT,
				  .fd = from_dir,
				  .addr = PTR(from),
				  .len = to_dir,
				  .off = PTR(to),
				  .hardlink_flags = flags };
	struct call c = { SYS_linkat,
			  { from_dir, PTR(from), to_dir, PTR(to), flags } };

	return either(&r, &c, deadline_ns);
}

int urt_fsetxattr(int fd, const char *name, const void *value, size_t size,
		  int flags, int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_FSETXATTR,
				  .fd = fd,
				  .addr = PTR(name),
				  .off = PTR(value),
				  .len = cut(size),
				  .rw_flags = flags };
	struct call c = { SYS_fsetxattr,
			  { fd, PTR(name), PTR(value), size, flags } };

	return make(&r, &c, URT__LISTED, 0, deadline_ns);
}

int urt_setxattr(const char *path, const char *name, const void *value,
		 size_t size, int flags, int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_SETXATTR,
				  .addr = PTR(name),
				  .off = PTR(value),
				  .len = cut(size),
				  .rw_flags = flags };
	struct call c = { SYS_setxattr,
			  { PTR(path), PTR(name), PTR(value), size, flags } };

	urt__set_addr3(&r, PTR(path));
	return either(&r, &c, deadline_ns);
}

ssize_t urt_fgetxattr(int fd, const char *name, void *value, size_t size,
		      int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_FGETXATTR,
				  .fd = fd,
				  .addr = PTR(name),
				  .off = PTR(value),
				  .len = cut(size) };
	struct call c = { SYS_fgetxattr, { fd, PTR(name), PTR(value), size } };

	return make(&r, &c, URT__LISTED, 0, deadline_ns);
}

ssize_t urt_getxattr(const char *path, const char *name, void *value,
		     size_t size, int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_GETXATTR,
				  .addr = PTR(name),
				  .off = PTR(value),
				  .len = cut(size) };
	struct call c = { SYS_getxattr,
			  { PTR(path), PTR(name), PTR(value), size } };

	urt__set_addr3(&r, PTR(path));
	return either(&r, &c, deadline_ns);
}

ssize_t urt_tee(int in, int out, size_t len, unsigned flags,
		int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_TEE,
				  .fd = out,
				  .len = cut(len),
				  .splice_fd_in = in,
				  .splice_flags = flags };
	struct call c = { SYS_tee, { in, out, len, flags } };

	return make(&r, &c, URT__LISTED, 0, deadline_ns);
}

int urt_shutdown(int fd, int how, int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_SHUTDOWN,
				  .fd = fd,
				  .len = how };
	struct call c = { SYS_shutdown, { fd, how } };

	return make(&r, &c, URT__LISTED, 0, deadline_ns);
}

/* The ring takes offsets by value and does not move them. */
ssize_t urt_splice(int in, off_t *in_offset, int out, off_t *out_offset,
		   size_t len, unsigned flags, int64_t deadline_ns)
{
	struct io_uring_sqe r = {
		.opcode = URT__OP_SPLICE,
		.fd = out,
		.len = cut(len),
		.off = out_offset ? (uint64_t)*out_offset : URT__HERE,
		.splice_fd_in = in,
		.splice_off_in = in_offset ? (uint64_t)*in_offset : URT__HERE,
		.splice_flags = flags
	};
	struct call c = { SYS_splice,
			  { in, PTR(in_offset), out, PTR(out_offset), len,
			    flags } };
	bool by_ring = urt__has_op(URT__OP_SPLICE);
	ssize_t n = make(&r, &c, URT__LISTED, 0, deadline_ns);

	if (n > 0 && by_ring && in_offset)
		*in_offset += n;
	if (n > 0 && by_ring && out_offset)
		*out_offset += n;
	return n;
}

/*
 * Where the ring cannot wait for a child, a descriptor of it can be polled. That
 * works for the end of one process; for all else the thread pool waits.
 */
static int wait_by_pidfd(pid_t pid, siginfo_t *info, int options,
			 int64_t deadline_ns)
{
	siginfo_t seen;
	int fd, ret;

	for (;;) {
		seen.si_pid = 0;
		ret = waitid(P_PID, pid, &seen, options | WNOHANG);
		if (ret || seen.si_pid)
			break;
		fd = urt__sys_pidfd(pid);
		if (fd < 0)
			return fd;
		ret = urt_poll(fd, POLLIN, deadline_ns);
		close(fd);
		if (ret < 0)
			return ret;
	}
	if (ret)
		return -*__errno_location();
	if (info)
		*info = seen;
	return 0;
}

int urt_waitid(idtype_t type, id_t id, siginfo_t *info, int options,
	       int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_WAITID,
				  .fd = id,
				  .addr2 = PTR(info),
				  .len = type,
				  .splice_fd_in = options };
	struct call c = { SYS_waitid, { type, id, PTR(info), options } };

	if (type == P_PID && !(options & (WNOHANG | WSTOPPED | WCONTINUED)) &&
	    !urt__has_op(URT__OP_WAITID))
		return wait_by_pidfd(id, info, options, deadline_ns);
	return either(&r, &c, deadline_ns);
}
