// SPDX-License-Identifier: MIT
/*
 * System calls on descriptors, in place of libc's. Calls on sockets go to net.c. A
 * call that may wait does so in simulated time, and is made when it would no longer
 * wait. All other calls go to the kernel unchanged.
 */
#undef _FILE_OFFSET_BITS
#define _GNU_SOURCE
#include "sim.h"
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

long sim_result(long ret)
{
	if (ret >= 0)
		return ret;
	errno = -ret;
	return -1;
}

/* ---- whether a descriptor is ready ------------------------------------- */

short sim_poll_now(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };
	struct timespec none = { 0, 0 };

	sim_call(SYS_ppoll, &p, 1L, &none, NULL, 0L);
	return p.revents;
}

bool sim_readable(int fd)
{
	return sim_poll_now(fd, POLLIN);
}

bool sim_writable(int fd)
{
	return sim_poll_now(fd, POLLOUT);
}

bool sim_is_nonblocking(int fd)
{
	long flags = sim_call(SYS_fcntl, fd, (long)F_GETFL);

	return flags < 0 || flags & O_NONBLOCK;
}

static bool is_readable(void *arg)
{
	return sim_readable(*(int *)arg);
}

static bool is_writable(void *arg)
{
	return sim_writable(*(int *)arg);
}

void sim_before(int fd, bool writes, int flags)
{
	if (!sim_on)
		return;
	sim_step(300);
	if (!(flags & MSG_DONTWAIT) && !sim_is_nonblocking(fd))
		sim_wait(writes ? is_writable : is_readable, &fd, SIM_NEVER,
			 writes ? "a write" : "a read");
	sim_changed();
}

/* ---- reading and writing ----------------------------------------------- */

static bool is_socket(int fd)
{
	int type;
	socklen_t len = sizeof(type);

	return !sim_call(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &len);
}

/* Writes all to a pipe, in pieces as room appears. */
static long write_all(int fd, const char *p, size_t n)
{
	struct iovec v = { (void *)p, n };
	size_t sum = 0;
	long done;

	do {
		sim_before(fd, true, 0);
		v = (struct iovec){ (void *)(p + sum), n - sum };
		done = sim_call(SYS_pwritev2, fd, &v, 1L, -1L, -1L,
				(long)RWF_NOWAIT);
		if (done > 0)
			sum += done;
	} while (sum < n && (done > 0 || done == -EAGAIN));
	return sum ? (long)sum : done;
}

/* A write that may exceed a pipe's room, and would then wait. */
static bool is_long_write(int fd, size_t n)
{
	return sim_on && n > PIPE_BUF && !sim_is_nonblocking(fd) &&
	       sim_call(SYS_fcntl, fd, (long)F_GETPIPE_SZ) > 0;
}

SIM_API ssize_t read(int fd, void *buf, size_t n)
{
	sim_before(fd, false, 0);
	return sim_result(sim_call(SYS_read, fd, buf, n));
}

SIM_API ssize_t write(int fd, const void *buf, size_t n)
{
	if (sim_on && n > PIPE_BUF && is_socket(fd))
		return send(fd, buf, n, 0);
	if (is_long_write(fd, n))
		return sim_result(write_all(fd, buf, n));
	sim_before(fd, true, 0);
	return sim_result(sim_call(SYS_write, fd, buf, n));
}

SIM_API ssize_t readv(int fd, const struct iovec *v, int n)
{
	sim_before(fd, false, 0);
	return sim_result(sim_call(SYS_readv, fd, v, (long)n));
}

SIM_API ssize_t writev(int fd, const struct iovec *v, int n)
{
	struct msghdr m = { .msg_iov = (void *)v, .msg_iovlen = n };
	ssize_t sum = 0, done;
	size_t all = 0;

	for (int i = 0; i < n; i++)
		all += v[i].iov_len;
	if (sim_on && all > PIPE_BUF && is_socket(fd))
		return sendmsg(fd, &m, 0);
	if (!is_long_write(fd, all)) {
		sim_before(fd, true, 0);
		return sim_result(sim_call(SYS_writev, fd, v, (long)n));
	}
	for (int i = 0; i < n; i++) {
		done = write(fd, v[i].iov_base, v[i].iov_len);
		if (done < 0)
			return sum ? sum : done;
		sum += done;
	}
	return sum;
}

SIM_API int close(int fd)
{
	if (sim_is_ring(fd))
		sim_ring_close(fd);
	sim_changed();
	sim_net_close(fd);
	return sim_result(sim_call(SYS_close, fd));
}

/* ---- waiting for several ----------------------------------------------- */

struct polled {
	struct pollfd *p;
	nfds_t n;
	unsigned asked; /* at this number of changes, none was ready */
};

/* Called at each switch of threads, so it asks the kernel only after changes. */
static bool any_ready(void *arg)
{
	struct polled *a = arg;
	struct timespec none = { 0, 0 };

	if (a->asked == sim_changes() && !sim_anyway)
		return false;
	sim_rings_polled();
	if (sim_call(SYS_ppoll, a->p, a->n, &none, NULL, 0L) > 0)
		return true;
	a->asked = sim_changes();
	return false;
}

static int poll_until(struct pollfd *p, nfds_t n, int64_t until_ns)
{
	struct polled a = { p, n, sim_changes() - 1 };
	struct timespec none = { 0, 0 };

	sim_step(500);
	if (until_ns > sim_now_ns && !any_ready(&a))
		sim_wait(any_ready, &a, until_ns, "poll");
	if (!sim_on) /* the end: only the report continues */
		return sim_call(SYS_ppoll, p, n, NULL, NULL, 0L);
	return sim_call(SYS_ppoll, p, n, &none, NULL, 0L);
}

SIM_API int ppoll(struct pollfd *p, nfds_t n, const struct timespec *ts,
		  const sigset_t *mask)
{
	if (!sim_on)
		return sim_result(sim_call(SYS_ppoll, p, n, ts, mask, 8L));
	return sim_result(poll_until(p, n, sim_until(ts)));
}

SIM_API int poll(struct pollfd *p, nfds_t n, int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	return ppoll(p, n, ms < 0 ? NULL : &ts, NULL);
}

SIM_API int epoll_ctl(int fd, int op, int of, struct epoll_event *e)
{
	sim_ring_watched(of);
	sim_changed();
	return sim_result(sim_call(SYS_epoll_ctl, fd, (long)op, (long)of, e));
}

static int epoll_until(int fd, struct epoll_event *e, int max,
		       const struct timespec *ts)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	ppoll(&p, 1, ts, NULL);
	sim_rings_polled();
	return sim_result(
		sim_call(SYS_epoll_pwait, fd, e, (long)max, 0L, NULL, 8L));
}

SIM_API int epoll_pwait(int fd, struct epoll_event *e, int max, int ms,
			const sigset_t *mask)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	if (sim_on && ms)
		return epoll_until(fd, e, max, ms < 0 ? NULL : &ts);
	sim_rings_polled();
	return sim_result(sim_call(SYS_epoll_pwait, fd, e, (long)max, (long)ms,
				   mask, 8L));
}

SIM_API int epoll_pwait2(int fd, struct epoll_event *e, int max,
			 const struct timespec *ts, const sigset_t *mask)
{
	if (sim_on)
		return epoll_until(fd, e, max, ts);
	return sim_result(
		sim_call(SYS_epoll_pwait2, fd, e, (long)max, ts, mask, 8L));
}

SIM_API int epoll_wait(int fd, struct epoll_event *e, int max, int ms)
{
	return epoll_pwait(fd, e, max, ms, NULL);
}

/* ---- the same with a buffer's size, as _FORTIFY_SOURCE calls them -------- */

#define FORTIFIED(X)                                                           \
	X(ssize_t, __read_chk, (int fd, void *b, size_t n, size_t size),       \
	  n <= size, read, (fd, b, n))                                         \
	X(ssize_t, __recv_chk,                                                 \
	  (int fd, void *b, size_t n, size_t size, int flags), n <= size,      \
	  recv, (fd, b, n, flags))                                             \
	X(ssize_t, __recvfrom_chk,                                             \
	  (int fd, void *b, size_t n, size_t size, int flags,                  \
	   struct sockaddr *from, socklen_t *len),                             \
	  n <= size, recvfrom, (fd, b, n, flags, from, len))                   \
	X(int, __poll_chk, (struct pollfd * p, nfds_t n, int ms, size_t size), \
	  n <= size / sizeof(*p), poll, (p, n, ms))                            \
	X(int, __ppoll_chk,                                                    \
	  (struct pollfd * p, nfds_t n, const struct timespec *ts,             \
	   const sigset_t *mask, size_t size),                                 \
	  n <= size / sizeof(*p), ppoll, (p, n, ts, mask))

#define X(type, name, params, fits, call, args) \
	SIM_API type name params;               \
	SIM_API type name params                \
	{                                       \
		if (!(fits))                    \
			abort();                \
		return call args;               \
	}
FORTIFIED(X)
#undef X

/* ---- the runtime's other calls of the kernel --------------------------- */

SIM_API void *mmap64(void *at, size_t size, int prot, int flags, int fd,
		     off64_t offset)
{
	long ret;

	if (fd >= 0 && sim_is_ring(fd))
		return sim_ring_map(fd, size, offset);
	ret = sim_call(SYS_mmap, at, size, (long)prot, (long)flags, (long)fd,
		       offset);
	if (ret < 0 && ret > -4096) {
		errno = -ret;
		return MAP_FAILED;
	}
	return (void *)ret;
}

void sim_note_path(const char *path)
{
	static const char *const random[] = { "/dev/urandom", "/dev/random" };

	for (unsigned i = 0; sim_on && i < 2; i++)
		if (!strcmp(path, random[i]))
			sim_not_simulated(random[i],
					  "its bytes differ from run to run; "
					  "those of getrandom(2) do not");
}

/* A file that gives a thread's state in the simulation. */
static int open_state(int tid)
{
	char text[32];
	int n = sprintf(text, "%d (x) %c 0", tid, sim_thread_state(tid));
	int fd = sim_call(SYS_memfd_create, "urt sim state", 1L);

	sim_call(SYS_pwrite64, fd, text, n, 0L);
	return fd;
}

SIM_API int open64(const char *path, int flags, ...)
{
	int tid, mode;
	va_list ap;

	va_start(ap, flags);
	mode = va_arg(ap, int);
	va_end(ap);
	if (sim_on && sscanf(path, "/proc/self/task/%d/stat", &tid) == 1)
		return open_state(tid);
	sim_note_path(path);
	return sim_result(sim_call(SYS_openat, (long)AT_FDCWD, path,
				   (long)flags, (long)mode));
}

SIM_API int open(const char *path, int flags, ...)
{
	va_list ap;
	int mode;

	va_start(ap, flags);
	mode = va_arg(ap, int);
	va_end(ap);
	return open64(path, flags, mode);
}

/* Calls that are not simulated when made by syscall(2): libc's functions of the same
 * names are simulated, or reported too. */
#define CALL(name)                                   \
	{                                            \
		SYS_##name, "syscall(SYS_" #name ")" \
	}
static const struct {
	long nr;
	const char *name;
} real_calls[] = {
	CALL(read),	 CALL(write),		CALL(readv),
	CALL(writev),	 CALL(preadv2),		CALL(pwritev2),
	CALL(nanosleep), CALL(clock_nanosleep), CALL(ppoll),
	CALL(pselect6),	 CALL(epoll_pwait),	CALL(socket),
	CALL(bind),	 CALL(accept),		CALL(accept4),
	CALL(connect),	 CALL(recvfrom),	CALL(recvmsg),
	CALL(sendto),	 CALL(sendmsg),		CALL(wait4),
	CALL(waitid),	 CALL(clock_gettime),	CALL(gettimeofday),
	CALL(clone),	 CALL(rt_sigtimedwait), CALL(flock),
	CALL(splice),	 CALL(sendfile),
#ifdef SYS_poll
	CALL(poll),	 CALL(select),		CALL(epoll_wait),
	CALL(time),	 CALL(pause),		CALL(fork),
#endif
};

static void note_call(long nr)
{
	for (size_t i = 0; i < sizeof(real_calls) / sizeof(*real_calls); i++)
		if (real_calls[i].nr == nr)
			sim_not_simulated(real_calls[i].name,
					  "the call is the real kernel's, with "
					  "its time and its waits");
}

static long other_call(long nr, const long a[6])
{
	switch (nr) {
	case SYS_io_uring_setup:
		return sim_ring_setup(a[0], (void *)a[1]);
	case SYS_io_uring_enter:
		return sim_ring_enter(a[0], a[1], a[2], a[3], (void *)a[4]);
	case SYS_io_uring_register:
		return sim_ring_register(a[0], a[1], (void *)a[2], a[3]);
	case SYS_futex:
		return sim_futex((uint32_t *)a[0], a[1], a[2], (void *)a[3],
				 a[5]);
	case SYS_tgkill:
		sim_signal(a[1], a[2]);
		return 0;
	case SYS_timerfd_create: /* the monitor does without these */
	case SYS_sched_getattr:
		return -ENOSYS;
	case SYS_membarrier:
		sim_step(2000);
		break;
	case SYS_getrandom:
		return getrandom((void *)a[0], a[1], a[2]);
	}
	note_call(nr);
	return sim_call(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

SIM_API long syscall(long nr, ...)
{
	long a[6];
	va_list ap;

	va_start(ap, nr);
	for (unsigned i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	return sim_result(
		sim_on ? other_call(nr, a)
		       : sim_call(nr, a[0], a[1], a[2], a[3], a[4], a[5]));
}
