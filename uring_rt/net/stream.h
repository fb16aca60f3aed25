/* SPDX-License-Identifier: MIT */
/* A stream over anything that reads and writes; over descriptors: stream_fd.c.
 * stream.c knows neither the runtime nor descriptors, so it can be fuzzed
 * alone. */
#ifndef URT_NET_STREAM_H
#define URT_NET_STREAM_H

#include "../urt.h"

/* As read(2) and write(2), but >= 0 or -errno; may suspend. */
struct urt__stream_io {
	ssize_t (*read)(int fd, void *buf, size_t len, int64_t deadline_ns);
	ssize_t (*write)(int fd, const void *buf, size_t len,
			 int64_t deadline_ns);
};

struct urt__buffer {
	char *data;   /* `size` bytes, in the stream's own memory */
	size_t begin; /* the bytes that are in it: from begin ... */
	size_t end;   /* ... to end */
};

struct urt_stream {
	const struct urt__stream_io *io;
	int fd;
	size_t size; /* of each buffer; both have a byte more, for a 0 */
	struct urt__buffer in, out; /* the reader's; the writer's */
};

#define URT__STREAM_SIZE     8192
#define URT__STREAM_SIZE_MIN 16
#define URT__STREAM_SIZE_MAX (1u << 30)

struct urt_stream *urt__stream_new(const struct urt__stream_io *, int fd,
				   size_t size);

#endif
