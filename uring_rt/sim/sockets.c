// SPDX-License-Identifier: MIT
/*
 * Calls on sockets, in place of libc's: they wait in simulated time, and net.c then
 * makes them.
 */
#undef _FILE_OFFSET_BITS
#define _GNU_SOURCE
#include "sim.h"
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* ---- messages ---------------------------------------------------------- */

static bool is_blocking(int fd, int flags)
{
	return sim_on && !(flags & MSG_DONTWAIT) && !sim_is_nonblocking(fd);
}

/* Removes the first n bytes, which have been transferred. */
static void advance(struct msghdr *m, size_t n)
{
	while (m->msg_iovlen && n >= m->msg_iov->iov_len) {
		n -= m->msg_iov->iov_len;
		m->msg_iov++;
		m->msg_iovlen--;
	}
	if (n) {
		m->msg_iov->iov_base = (char *)m->msg_iov->iov_base + n;
		m->msg_iov->iov_len -= n;
	}
}

/* Transfers all of it over a stream, in pieces as room or data appear. */
static long transfer_all(int fd, const struct msghdr *from, int flags,
			 bool writes)
{
	struct iovec v[IOV_MAX];
	struct msghdr m = *from;
	long sum = 0, n = 1;

	memcpy(v, m.msg_iov, m.msg_iovlen * sizeof(*v));
	m.msg_iov = v;
	advance(&m, 0);
	while (m.msg_iovlen && n > 0) {
		sim_before(fd, writes, flags);
		n = writes ? sim_sendmsg(fd, &m, flags | MSG_DONTWAIT)
			   : sim_recvmsg(fd, &m,
					 (flags & ~MSG_WAITALL) | MSG_DONTWAIT);
		if (n == -EAGAIN)
			n = 1;
		else if (n > 0) {
			sum += n;
			advance(&m, n);
			m.msg_controllen = 0; /* went with the first piece */
		}
	}
	return sum ? sum : n < 0 ? n : 0;
}

static bool is_stream(int fd)
{
	int type = 0;
	socklen_t len = sizeof(type);

	sim_call(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &len);
	return type == SOCK_STREAM;
}

SIM_API ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	if (flags & MSG_WAITALL && is_blocking(fd, flags) && is_stream(fd) &&
	    m->msg_iovlen <= IOV_MAX && !m->msg_controllen)
		return sim_result(transfer_all(fd, m, flags, false));
	sim_before(fd, false, flags);
	return sim_result(sim_recvmsg(fd, m, flags));
}

SIM_API ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	if (is_blocking(fd, flags) && is_stream(fd) && m->msg_iovlen <= IOV_MAX)
		return sim_result(transfer_all(fd, m, flags, true));
	sim_before(fd, true, flags);
	return sim_result(sim_sendmsg(fd, m, flags));
}

SIM_API ssize_t recvfrom(int fd, void *buf, size_t n, int flags,
			 struct sockaddr *from, socklen_t *len)
{
	struct iovec v = { buf, n };
	struct msghdr m = { .msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_name = from,
			    .msg_namelen = len ? *len : 0 };
	ssize_t got = recvmsg(fd, &m, flags);

	if (got >= 0 && len)
		*len = m.msg_namelen;
	return got;
}

SIM_API ssize_t sendto(int fd, const void *buf, size_t n, int flags,
		       const struct sockaddr *to, socklen_t len)
{
	struct iovec v = { (void *)buf, n };
	struct msghdr m = { .msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_name = (void *)to,
			    .msg_namelen = to ? len : 0 };

	return sendmsg(fd, &m, flags);
}

SIM_API ssize_t recv(int fd, void *buf, size_t n, int flags)
{
	return recvfrom(fd, buf, n, flags, NULL, NULL);
}

SIM_API ssize_t send(int fd, const void *buf, size_t n, int flags)
{
	return sendto(fd, buf, n, flags, NULL, 0);
}

SIM_API int recvmmsg(int fd, struct mmsghdr *m, unsigned n, int flags,
		     struct timespec *timeout)
{
	unsigned i = 0;
	ssize_t got;

	(void)timeout; /* Linux checks it only after a message */
	for (; i < n; i++) {
		got = recvmsg(fd, &m[i].msg_hdr, flags & ~MSG_WAITFORONE);
		if (got < 0)
			return i ? (int)i : -1;
		m[i].msg_len = got;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
	}
	return i;
}

SIM_API int sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags)
{
	unsigned i = 0;
	ssize_t sent;

	for (; i < n; i++) {
		sent = sendmsg(fd, &m[i].msg_hdr, flags);
		if (sent < 0)
			return i ? (int)i : -1;
		m[i].msg_len = sent;
	}
	return i;
}

/* ---- sockets ----------------------------------------------------------- */

SIM_API int socket(int domain, int type, int protocol)
{
	return sim_result(
		sim_on ? sim_socket(domain, type, protocol)
		       : sim_call(SYS_socket, domain, type, protocol));
}

SIM_API int bind(int fd, const struct sockaddr *s, socklen_t len)
{
	return sim_result(sim_bind(fd, s, len));
}

SIM_API int connect(int fd, const struct sockaddr *s, socklen_t len)
{
	long err;

	if (!sim_on)
		return sim_result(sim_call(SYS_connect, fd, s, len));
	sim_step(1000);
	while ((err = sim_connect(fd, s, len)) == -EAGAIN &&
	       !sim_is_nonblocking(fd))
		sim_wait(NULL, NULL, sim_after(100000), "connect");
	sim_changed();
	return sim_result(err);
}

SIM_API int accept4(int fd, struct sockaddr *s, socklen_t *len, int flags)
{
	sim_before(fd, false, 0);
	return sim_result(sim_accept(fd, s, len, flags));
}

SIM_API int accept(int fd, struct sockaddr *s, socklen_t *len)
{
	return accept4(fd, s, len, 0);
}

SIM_API int getsockname(int fd, struct sockaddr *s, socklen_t *len)
{
	return sim_result(sim_name(fd, s, len, false));
}

SIM_API int getpeername(int fd, struct sockaddr *s, socklen_t *len)
{
	return sim_result(sim_name(fd, s, len, true));
}

/* Options of TCP and IP have no effect. */
SIM_API int setsockopt(int fd, int level, int name, const void *value,
		       socklen_t len)
{
	if (sim_is_net(fd) && (level != SOL_SOCKET || name == SO_REUSEPORT))
		return 0;
	return sim_result(
		sim_call(SYS_setsockopt, fd, level, name, value, len));
}

SIM_API int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	if (sim_is_net(fd) && level != SOL_SOCKET) {
		memset(value, 0, *len);
		return 0;
	}
	return sim_result(
		sim_call(SYS_getsockopt, fd, level, name, value, len));
}

SIM_API int shutdown(int fd, int how)
{
	sim_changed();
	return sim_result(sim_call(SYS_shutdown, fd, (long)how));
}

/* ---- copies of descriptors --------------------------------------------- */

static long copied(int from, long to)
{
	if (to >= 0)
		sim_net_copy(from, to);
	sim_changed();
	return sim_result(to);
}

SIM_API int dup(int fd)
{
	return copied(fd, sim_call(SYS_dup, fd));
}

SIM_API int dup3(int fd, int to, int flags)
{
	return copied(fd, sim_call(SYS_dup3, fd, to, flags));
}

SIM_API int dup2(int fd, int to)
{
	if (fd == to)
		return sim_result(sim_call(SYS_fcntl, fd, F_GETFD) < 0 ? -EBADF
								       : to);
	return dup3(fd, to, 0);
}

SIM_API int fcntl64(int fd, int op, ...)
{
	va_list ap;
	long arg, ret;

	va_start(ap, op);
	arg = va_arg(ap, long);
	va_end(ap);
	if (sim_on && (op == F_SETLKW || op == F_OFD_SETLKW))
		sim_not_simulated("fcntl(F_SETLKW)", "it waits in real time");
	ret = sim_call(SYS_fcntl, fd, (long)op, arg);
	return op == F_DUPFD || op == F_DUPFD_CLOEXEC ? copied(fd, ret)
						      : sim_result(ret);
}

SIM_API int fcntl(int fd, int op, ...)
{
	va_list ap;
	long arg;

	va_start(ap, op);
	arg = va_arg(ap, long);
	va_end(ap);
	return fcntl64(fd, op, arg);
}
