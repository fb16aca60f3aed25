// SPDX-License-Identifier: MIT
/*
 * Files: the POSIX calls as operations on the ring.
 *
 * Each call has a submission entry and a system call (either.h). The operations
 * that the running kernel's ring has (IORING_REGISTER_PROBE, asked once at the
 * start) decide which of them is made; the system call is made on the thread
 * pool.
 */
#define _GNU_SOURCE
#include "../base/sys.h"
#include "either.h"
#include "fds.h"
#include "ops.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#undef errno

static int64_t make_call(void *arg)
{
	const struct urt__syscall *c = arg;
	long ret = syscall(c->nr, c->a[0], c->a[1], c->a[2], c->a[3], c->a[4],
			   c->a[5]);

	return ret < 0 ? -*__errno_location() : ret;
}

/* The ring's lengths have 32 bits; calls that move data may move less. */
#define LEN_MAX	    0x7ffff000u
#define TOO_LONG(n) ((size_t)(n) > UINT32_MAX)

static uint32_t cut(size_t len)
{
	return len < LEN_MAX ? len : LEN_MAX;
}

/* Always on the thread pool. */
static int by_call(const struct urt__syscall *call, int64_t deadline_ns)
{
	if (!urt__current())
		return -EPERM;
	return urt_blocking_until(make_call, (void *)call, deadline_ns);
}

int urt__either(const struct io_uring_sqe *request,
		const struct urt__syscall *call, enum urt__io_how how,
		short events, int64_t deadline_ns)
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

static int either(const struct io_uring_sqe *request,
		  const struct urt__syscall *call, int64_t deadline_ns)
{
	return urt__either(request, call, 0, 0, deadline_ns);
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
	struct urt__syscall c = { SYS_preadv2,
				  { fd, PTR(iov), n, offset, 0, flags } };

	return urt__either(&r, &c, how_at(offset),
			   flags & RWF_NOWAIT ? 0 : POLLIN, deadline_ns);
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
	struct urt__syscall c = { SYS_pwritev2,
				  { fd, PTR(iov), n, offset, 0, flags } };
	short events = flags & RWF_NOWAIT ? 0 : POLLOUT;
	ssize_t done = urt__either(&r, &c, how_at(offset), events, deadline_ns);

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
	struct urt__syscall c = { SYS_fsync, { fd } };

	return urt__either(&r, &c, URT__LISTED, 0, deadline_ns);
}

int urt_fdatasync(int fd, int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_FSYNC,
				  .fd = fd,
				  .fsync_flags = IORING_FSYNC_DATASYNC };
	struct urt__syscall c = { SYS_fdatasync, { fd } };

	return urt__either(&r, &c, URT__LISTED, 0, deadline_ns);
}

int urt_sync_file_range(int fd, off_t offset, size_t len, unsigned flags,
			int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_SYNC_FILE_RANGE,
				  .fd = fd,
				  .off = offset,
				  .len = len,
				  .sync_range_flags = flags };
	struct urt__syscall c = { SYS_sync_file_range,
				  { fd, offset, (long)len, flags } };

	return TOO_LONG(len) ? by_call(&c, deadline_ns)
			     : urt__either(&r, &c, URT__LISTED, 0, deadline_ns);
}

int urt_fallocate(int fd, int mode, off_t offset, off_t len,
		  int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_FALLOCATE,
				  .fd = fd,
				  .off = offset,
				  .addr = len,
				  .len = mode };
	struct urt__syscall c = { SYS_fallocate, { fd, mode, offset, len } };

	return urt__either(&r, &c, URT__LISTED, 0, deadline_ns);
}

int urt_ftruncate(int fd, off_t size, int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_FTRUNCATE,
				  .fd = fd,
				  .off = size };
	struct urt__syscall c = { SYS_ftruncate, { fd, size } };

	return urt__either(&r, &c, URT__LISTED, 0, deadline_ns);
}

int urt_fadvise(int fd, off_t offset, size_t len, int advice,
		int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_FADVISE,
				  .fd = fd,
				  .off = offset,
				  .len = len,
				  .fadvise_advice = advice };
	struct urt__syscall c = { SYS_fadvise64,
				  { fd, offset, (long)len, advice } };

	return TOO_LONG(len) ? by_call(&c, deadline_ns)
			     : urt__either(&r, &c, URT__LISTED, 0, deadline_ns);
}

int urt_madvise(void *address, size_t len, int advice, int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_MADVISE,
				  .fd = -1,
				  .addr = PTR(address),
				  .len = len,
				  .fadvise_advice = advice };
	struct urt__syscall c = { SYS_madvise,
				  { PTR(address), (long)len, advice } };

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
	struct urt__syscall c = { SYS_statx,
				  { dir, PTR(path), flags, mask, PTR(st) } };

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
	struct urt__syscall c = {
		SYS_renameat2, { from_dir, PTR(from), to_dir, PTR(to), flags }
	};

	return either(&r, &c, deadline_ns);
}

int urt_unlinkat(int dir, const char *path, int flags, int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_UNLINKAT,
				  .fd = dir,
				  .addr = PTR(path),
				  .unlink_flags = flags };
	struct urt__syscall c = { SYS_unlinkat, { dir, PTR(path), flags } };

	return either(&r, &c, deadline_ns);
}

int urt_mkdirat(int dir, const char *path, mode_t mode, int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_MKDIRAT,
				  .fd = dir,
				  .addr = PTR(path),
				  .len = mode };
	struct urt__syscall c = { SYS_mkdirat, { dir, PTR(path), mode } };

	return either(&r, &c, deadline_ns);
}

int urt_symlinkat(const char *target, int dir, const char *path,
		  int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_SYMLINKAT,
				  .fd = dir,
				  .addr = PTR(target),
				  .off = PTR(path) };
	struct urt__syscall c = { SYS_symlinkat,
				  { PTR(target), dir, PTR(path) } };

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
	struct urt__syscall c = {
		SYS_linkat, { from_dir, PTR(from), to_dir, PTR(to), flags }
	};

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
	struct urt__syscall c = { SYS_fsetxattr,
				  { fd, PTR(name), PTR(value), size, flags } };

	return urt__either(&r, &c, URT__LISTED, 0, deadline_ns);
}

int urt_setxattr(const char *path, const char *name, const void *value,
		 size_t size, int flags, int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_SETXATTR,
				  .addr = PTR(name),
				  .off = PTR(value),
				  .len = cut(size),
				  .rw_flags = flags };
	struct urt__syscall c = {
		SYS_setxattr, { PTR(path), PTR(name), PTR(value), size, flags }
	};

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
	struct urt__syscall c = { SYS_fgetxattr,
				  { fd, PTR(name), PTR(value), size } };

	return urt__either(&r, &c, URT__LISTED, 0, deadline_ns);
}

ssize_t urt_getxattr(const char *path, const char *name, void *value,
		     size_t size, int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_GETXATTR,
				  .addr = PTR(name),
				  .off = PTR(value),
				  .len = cut(size) };
	struct urt__syscall c = { SYS_getxattr,
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
	struct urt__syscall c = { SYS_tee, { in, out, len, flags } };

	return urt__either(&r, &c, URT__LISTED, 0, deadline_ns);
}

int urt_shutdown(int fd, int how, int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_SHUTDOWN,
				  .fd = fd,
				  .len = how };
	struct urt__syscall c = { SYS_shutdown, { fd, how } };

	return urt__either(&r, &c, URT__LISTED, 0, deadline_ns);
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
	struct urt__syscall c = { SYS_splice,
				  { in, PTR(in_offset), out, PTR(out_offset),
				    len, flags } };
	bool by_ring = urt__has_op(URT__OP_SPLICE);
	ssize_t n = urt__either(&r, &c, URT__LISTED, 0, deadline_ns);

	if (n > 0 && by_ring && in_offset)
		*in_offset += n;
	if (n > 0 && by_ring && out_offset)
		*out_offset += n;
	return n;
}

/*
 * If the ring cannot wait for a child, it can poll the child's pidfd. That
 * works for the end of one process; for all other waits, the thread pool waits.
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
	struct urt__syscall c = { SYS_waitid,
				  { type, id, PTR(info), options } };

	if (type == P_PID && !(options & (WNOHANG | WSTOPPED | WCONTINUED)) &&
	    !urt__has_op(URT__OP_WAITID))
		return wait_by_pidfd(id, info, options, deadline_ns);
	return either(&r, &c, deadline_ns);
}
