/* SPDX-License-Identifier: MIT */
/* Streams over descriptors are in stream_fd.c. stream.c knows neither the
 * runtime nor descriptors, so it can be fuzzed alone. */
#ifndef URT_NET_STREAM_H
#define URT_NET_STREAM_H

#include "../urt.h"

struct urt__buffer {
	char *data;   /* `size` bytes, in the stream's own memory */
	size_t begin; /* the bytes in it: from begin ... */
	size_t end;   /* ... to end */
};

struct urt_stream {
	const struct urt_stream_io *io;
	void *self;  /* of io */
	size_t size; /* of each buffer; both have an extra byte, for a 0 */
	struct urt__buffer in, out; /* the reader's; the writer's */
};

#define URT__STREAM_SIZE     8192
#define URT__STREAM_SIZE_MIN 16
#define URT__STREAM_SIZE_MAX (1u << 30)

#endif
