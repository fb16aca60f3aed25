// SPDX-License-Identifier: MIT
/*
 * Waiting for readiness, futexes and epoll instances; and calls that never
 * wait, which are here so that a program is ported by renaming.
 *
 * The latter are plain system calls. As operations (SOCKET 5.19, BIND and
 * LISTEN 6.11, PIPE 6.16, FUTEX_WAKE 6.7) they cost a park and a completion in
 * addition: socket and close took 1.12 to 1.17 times as long by the ring.
 */
#define _GNU_SOURCE
#include "../base/sys.h"
#include "fds.h"
#include "io.h"
#include "ops.h"
#include "pool.h"
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#undef errno

static int result(long ret)
{
	return ret < 0 ? -*__errno_location() : (int)ret;
}

/* ---- those that never wait --------------------------------------------- */

int urt_socket(int domain, int type, int protocol)
{
	return urt__sys_socket(domain, type, protocol);
}

int urt_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	return result(bind(fd, addr, len));
}

int urt_listen_on(int fd, int backlog)
{
	return result(listen(fd, backlog));
}

int urt_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	return result(getsockopt(fd, level, name, value, len));
}

int urt_setsockopt(int fd, int level, int name, const void *value,
		   socklen_t len)
{
	return result(setsockopt(fd, level, name, value, len));
}

int urt_pipe(int fds[2], int flags)
{
	return urt__sys_pipe(fds, flags);
}

int urt_futex_wake(uint32_t *word, int n)
{
	return result(syscall(SYS_futex, word, FUTEX_WAKE, n, NULL, NULL, 0));
}

/* ---- futex ------------------------------------------------------------- */

#define SLICE_NS     50000000
#define SIZE_U32     2 /* FUTEX2_SIZE_U32, include/uapi/linux/futex.h */
#define MATCH_BITSET UINT64_C(0xffffffff)

struct slice {
	uint32_t *word;
	uint32_t expected;
	int64_t ns;
};

static int64_t wait_slice(void *arg)
{
	const struct slice *s = arg;
	struct timespec ts = { .tv_nsec = s->ns };

	return result(syscall(SYS_futex, s->word, FUTEX_WAIT, s->expected, &ts,
			      NULL, 0));
}

/* A waker changes the word first, so a wake between two slices gives
 * -EAGAIN. */
static int wait_in_slices(uint32_t *word, uint32_t expected,
			  int64_t deadline_ns)
{
	struct slice s = { word, expected, 0 };
	struct urt_coro *self = urt__current();
	int64_t left_ns;
	int ret;

	if (self->deadline_ns < deadline_ns)
		deadline_ns = self->deadline_ns;
	do {
		if (atomic_load(&self->cancelled))
			return urt__cancel_error(self);
		left_ns = deadline_ns - urt_now();
		s.ns = left_ns < 0	    ? 0
		       : left_ns < SLICE_NS ? left_ns
					    : SLICE_NS;
		ret = left_ns > 0
			      ? urt_blocking_until(wait_slice, &s, deadline_ns)
			      : wait_slice(&s); /* only looks */
	} while (ret == -EINTR || (ret == -ETIMEDOUT && left_ns > SLICE_NS));
	return ret == -ETIMEDOUT ? -ETIME : ret;
}

int urt_futex_wait(uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_FUTEX_WAIT,
				  .fd = SIZE_U32,
				  .addr = (uintptr_t)word,
				  .off = expected };

	if (!urt__current())
		return -EPERM;
	if (!urt__has_op(URT__OP_FUTEX_WAIT))
		return wait_in_slices(word, expected, deadline_ns);
	urt__set_addr3(&r, MATCH_BITSET);
	return urt__io_call(&r, 0, 0, deadline_ns);
}

/* ---- epoll ------------------------------------------------------------- */

int urt_epoll_wait(int epfd, struct epoll_event *events, int max,
		   int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_EPOLL_WAIT,
				  .fd = epfd,
				  .addr = (uintptr_t)events,
				  .len = max };
	int ret;

	if (urt__has_op(URT__OP_EPOLL_WAIT))
		return urt__io_call(&r, URT__LISTED, 0, deadline_ns);
	do {
		ret = urt_poll(epfd, POLLIN, deadline_ns);
		if (ret < 0)
			return ret;
		ret = result(epoll_wait(epfd, events, max, 0));
	} while (ret == 0 || ret == -EINTR); /* another waiter took them */
	return ret;
}
