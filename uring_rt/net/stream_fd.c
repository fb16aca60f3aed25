// SPDX-License-Identifier: MIT
/*
 * Streams over descriptors (stream.h): sockets by send and recv, since only send
 * can be told not to raise SIGPIPE, anything else by read and write.
 */
#define _GNU_SOURCE
#include "stream.h"
#include "fd.h"
#undef errno

static ssize_t socket_read(int fd, void *buf, size_t len, int64_t deadline_ns)
{
	return urt_recv(fd, buf, len, 0, deadline_ns);
}

static ssize_t socket_write(int fd, const void *buf, size_t len,
			    int64_t deadline_ns)
{
	return urt_send(fd, buf, len, MSG_NOSIGNAL, deadline_ns);
}

static const struct urt__stream_io of_sockets = { socket_read, socket_write };
static const struct urt__stream_io of_others = { urt_read, urt_write };

struct urt_stream *urt_stream_new(int fd, size_t size)
{
	return urt__stream_new(urt__is_socket(fd) ? &of_sockets : &of_others,
			       fd, size);
}

int urt_stream_close(struct urt_stream *s, int64_t deadline_ns)
{
	int err;

	if (!s)
		return 0;
	err = urt_stream_flush(s, deadline_ns);
	urt_close(s->fd);
	urt_stream_free(s);
	return err;
}
