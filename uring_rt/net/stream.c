// SPDX-License-Identifier: MIT
/*
 * Buffered streams: bytes in, bytes out, and the buffers between.
 *
 * The one rule is that nothing is lost: a call takes bytes out of the buffer only
 * when it returns them, so a call that ends early (deadline, cancellation,
 * error, a delimiter that has not come) has only filled the buffer a little
 * more, and can be repeated. If the caller's memory was filled directly, the
 * call returns the bytes that there are, and the next call meets the error
 * again.
 *
 * Invariants: begin <= end <= size in both buffers. Bytes move only to make
 * room, so the bytes that a call shows (peek, a line) stay until the next call
 * that reads. The reader touches only `in`, the writer only `out`: one
 * coroutine each needs no lock.
 *
 * Long reads and writes go around the buffer. Rejected: buffers that grow (the
 * bound is what protects a server from a line without end), and a growing copy
 * of a line, as getline makes: showing the line in place costs nothing.
 */
#define _GNU_SOURCE
#include "../base/sys.h"
#include "stream.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#undef errno

struct urt_stream *urt_stream_over(const struct urt_stream_io *io, void *self,
				   size_t size)
{
	struct urt_stream *s;

	if (!size)
		size = URT__STREAM_SIZE;
	if (size < URT__STREAM_SIZE_MIN)
		size = URT__STREAM_SIZE_MIN;
	if (size > URT__STREAM_SIZE_MAX)
		return NULL;
	s = urt__sys_alloc(sizeof(*s) + 2 * (size + 1));
	if (!s)
		return NULL;
	*s = (struct urt_stream){ .io = io, .self = self, .size = size };
	s->in.data = (char *)(s + 1);
	s->out.data = s->in.data + size + 1;
	return s;
}

void urt_stream_free(struct urt_stream *s)
{
	if (s && s->io->free)
		s->io->free(s->self);
	free(s);
}

int urt_stream_close(struct urt_stream *s, int64_t deadline_ns)
{
	int err, closed;

	if (!s)
		return 0;
	err = urt_stream_flush(s, deadline_ns);
	closed = s->io->close ? s->io->close(s->self, deadline_ns) : 0;
	urt_stream_free(s);
	return err ? err : closed;
}

void *urt_stream_self(const struct urt_stream *s,
		      const struct urt_stream_io *io)
{
	return s->io == io ? s->self : NULL;
}

static size_t held(const struct urt__buffer *b)
{
	return b->end - b->begin;
}

/* ---- reading ----------------------------------------------------------- */

/* Reads once into the buffer, which is not full. */
static ssize_t fill(struct urt_stream *s, int64_t deadline_ns)
{
	struct urt__buffer *b = &s->in;
	ssize_t n;

	if (b->begin == b->end)
		b->begin = b->end = 0;
	if (b->end == s->size) {
		memmove(b->data, b->data + b->begin, held(b));
		b->end -= b->begin;
		b->begin = 0;
	}
	n = s->io->read(s->self, b->data + b->end, s->size - b->end,
			deadline_ns);
	if (n > 0)
		b->end += n;
	return n;
}

static char *take(struct urt__buffer *b, size_t n)
{
	char *data = b->data + b->begin;

	b->begin += n;
	return data;
}

ssize_t urt_stream_read(struct urt_stream *s, void *buf, size_t len,
			int64_t deadline_ns)
{
	ssize_t n;

	if (!len)
		return 0;
	if (!held(&s->in)) {
		if (len >= s->size)
			return s->io->read(s->self, buf, len, deadline_ns);
		n = fill(s, deadline_ns);
		if (n <= 0)
			return n;
	}
	if (len > held(&s->in))
		len = held(&s->in);
	memcpy(buf, take(&s->in, len), len);
	return len;
}

ssize_t urt_stream_read_full(struct urt_stream *s, void *buf, size_t len,
			     int64_t deadline_ns)
{
	size_t done = 0;
	ssize_t n = 0;

	while (done < len) {
		n = urt_stream_read(s, (char *)buf + done, len - done,
				    deadline_ns);
		if (n <= 0)
			break;
		done += n;
	}
	return done ? (ssize_t)done : n;
}

size_t urt_stream_buffered(const struct urt_stream *s)
{
	return held(&s->in);
}

ssize_t urt_stream_peek(struct urt_stream *s, size_t n, const char **data,
			int64_t deadline_ns)
{
	ssize_t got;

	if (n > s->size)
		return -EMSGSIZE;
	while (held(&s->in) < n) {
		got = fill(s, deadline_ns);
		if (got < 0)
			return got;
		if (!got)
			break;
	}
	*data = s->in.data + s->in.begin;
	return held(&s->in);
}

/*
 * Fills the buffer until it has the delimiter. Returns the number of bytes up
 * to and with the delimiter; 0: the stream ends before. Searched bytes are not
 * searched again, except a tail that could be the delimiter's beginning.
 */
static ssize_t find(struct urt_stream *s, const char *delimiter, size_t len,
		    int64_t deadline_ns)
{
	struct urt__buffer *b = &s->in;
	size_t searched = 0;
	ssize_t n;

	for (;;) {
		const char *data = b->data + b->begin, *at;

		at = memmem(data + searched, held(b) - searched, delimiter,
			    len);
		if (at)
			return at + len - data;
		if (held(b) == s->size)
			return -EMSGSIZE;
		if (held(b) >= len)
			searched = held(b) - (len - 1);
		n = fill(s, deadline_ns);
		if (n <= 0)
			return n;
	}
}

ssize_t urt_stream_read_until(struct urt_stream *s, const char *delimiter,
			      const char **data, int64_t deadline_ns)
{
	size_t len = strlen(delimiter);
	ssize_t n;

	if (!len)
		return -EINVAL;
	if (len > s->size)
		return -EMSGSIZE;
	n = find(s, delimiter, len, deadline_ns);
	if (!n && held(&s->in))
		return -ENODATA;
	if (n > 0)
		*data = take(&s->in, n);
	return n;
}

/* The byte after the line can be overwritten: it is the "\n", or, at the end of
 * the stream, an unused byte or the buffer's extra byte. */
int urt_stream_read_line(struct urt_stream *s, char **line, size_t *len,
			 int64_t deadline_ns)
{
	ssize_t n = find(s, "\n", 1, deadline_ns);
	size_t text = n - 1;

	if (n < 0)
		return n;
	if (!n) {
		n = text = held(&s->in);
		if (!n)
			return 0;
	} else if (n > 1 && s->in.data[s->in.begin + n - 2] == '\r') {
		text--;
	}
	*line = take(&s->in, n);
	(*line)[text] = '\0';
	if (len)
		*len = text;
	return 1;
}

/* ---- writing ----------------------------------------------------------- */

int urt_stream_flush(struct urt_stream *s, int64_t deadline_ns)
{
	struct urt__buffer *b = &s->out;

	while (held(b)) {
		ssize_t n = s->io->write(s->self, b->data + b->begin, held(b),
					 deadline_ns);

		if (n <= 0)
			return n ? n : -EIO;
		b->begin += n;
	}
	b->begin = b->end = 0;
	return s->io->flush ? s->io->flush(s->self, deadline_ns) : 0;
}

/* Accepts a part: into the buffer, or directly if it would fill the buffer. */
static ssize_t write_some(struct urt_stream *s, const char *buf, size_t len,
			  int64_t deadline_ns)
{
	struct urt__buffer *b = &s->out;
	int err;

	if (b->end == s->size) {
		err = urt_stream_flush(s, deadline_ns);
		if (err)
			return err;
	}
	if (!held(b) && len >= s->size)
		return s->io->write(s->self, buf, len, deadline_ns);
	if (len > s->size - b->end)
		len = s->size - b->end;
	memcpy(b->data + b->end, buf, len);
	b->end += len;
	return len;
}

ssize_t urt_stream_write(struct urt_stream *s, const void *buf, size_t len,
			 int64_t deadline_ns)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write_some(s, (const char *)buf + done, len - done,
				       deadline_ns);

		if (n <= 0)
			return done ? (ssize_t)done : n ? n : -EIO;
		done += n;
	}
	return done;
}

int urt_stream_printf(struct urt_stream *s, int64_t deadline_ns,
		      const char *format, ...)
{
	struct urt__buffer *b = &s->out;
	va_list ap, again;
	int n, err = 0;

	va_start(ap, format);
	va_copy(again, ap);
	n = vsnprintf(b->data + b->end, s->size - b->end + 1, format, ap);
	if (n > (int)(s->size - b->end)) {
		err = n > (int)s->size ? -EMSGSIZE
				       : urt_stream_flush(s, deadline_ns);
		if (!err)
			n = vsnprintf(b->data, s->size + 1, format, again);
	}
	va_end(again);
	va_end(ap);
	if (n < 0)
		return -EINVAL;
	if (err)
		return err;
	b->end += n;
	return n;
}
