// SPDX-License-Identifier: MIT
/*
 * Streams over descriptors (stream.h): sockets use send and recv, since only
 * send can be told not to raise SIGPIPE; other descriptors use read and write.
 */
#define _GNU_SOURCE
#include "stream.h"
#include "fd.h"
#undef errno

static int fd_of(void *self)
{
	return (int)(intptr_t)self;
}

static ssize_t socket_read(void *self, void *buf, size_t len,
			   int64_t deadline_ns)
{
	return urt_recv(fd_of(self), buf, len, 0, deadline_ns);
}

static ssize_t socket_write(void *self, const void *buf, size_t len,
			    int64_t deadline_ns)
{
	return urt_send(fd_of(self), buf, len, MSG_NOSIGNAL, deadline_ns);
}

static ssize_t other_read(void *self, void *buf, size_t len,
			  int64_t deadline_ns)
{
	return urt_read(fd_of(self), buf, len, deadline_ns);
}

static ssize_t other_write(void *self, const void *buf, size_t len,
			   int64_t deadline_ns)
{
	return urt_write(fd_of(self), buf, len, deadline_ns);
}

static int close_fd(void *self, int64_t deadline_ns)
{
	(void)deadline_ns;
	urt_close(fd_of(self));
	return 0;
}

static const struct urt_stream_io of_sockets = { .read = socket_read,
						 .write = socket_write,
						 .close = close_fd };
static const struct urt_stream_io of_others = { .read = other_read,
						.write = other_write,
						.close = close_fd };

struct urt_stream *urt_stream_new(int fd, size_t size)
{
	return urt_stream_over(urt__is_socket(fd) ? &of_sockets : &of_others,
			       (void *)(intptr_t)fd, size);
}
