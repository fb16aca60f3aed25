// SPDX-License-Identifier: MIT
/*
 * Streams under any sequence of calls, over any bytes that come in pieces of any
 * size with errors between them. The input is a script (the size of the buffer,
 * the calls, and the ends of the pieces), followed by the bytes. The calls take
 * the input's bytes, each once and in order. A line, or the data up to a
 * delimiter, is the one that a plain search of these bytes finds. Written bytes
 * arrive likewise.
 */
#define _GNU_SOURCE
#include "../../uring_rt/net/stream.h"
#include "fuzz.h"
#undef errno

static struct {
	const uint8_t *script, *script_end; /* the rest of it */
	const char *data;		    /* the bytes that come in */
	size_t len, given, taken;
	char out[1 << 16]; /* the bytes that went out */
	size_t out_len;
} f;

static unsigned next(void)
{
	return f.script < f.script_end ? *f.script++ : 0;
}

/* An ended script gives 0, which is neither an error nor a small piece, so that
 * everything ends. */
static ssize_t piece(size_t len)
{
	unsigned n = next();

	if (n % 8 == 7)
		return n & 8 ? -ETIME : -ECANCELED;
	return n && n < len ? n : len;
}

static ssize_t give(void *self, void *buf, size_t len, int64_t deadline_ns)
{
	ssize_t n = piece(len);

	REQUIRE(len > 0);
	if (n > (ssize_t)(f.len - f.given))
		n = f.len - f.given;
	if (n > 0) {
		memcpy(buf, f.data + f.given, n);
		f.given += n;
	}
	return n;
}

static ssize_t take(void *self, const void *buf, size_t len,
		    int64_t deadline_ns)
{
	ssize_t n = piece(len);

	REQUIRE(len > 0);
	if (n > 0) {
		REQUIRE(f.out_len + n <= sizeof(f.out));
		memcpy(f.out + f.out_len, buf, n);
		f.out_len += n;
	}
	return n;
}

static const struct urt_stream_io io = { .read = give, .write = take };

/* Checks that the n bytes that were taken are the next that came. */
static void took(const char *data, size_t n)
{
	REQUIRE(f.taken + n <= f.given);
	REQUIRE(!memcmp(data, f.data + f.taken, n));
	f.taken += n;
}

static void check_until(struct urt_stream *s)
{
	static const char *const delimiters[] = { "\n", "\r\n\r\n", "aa",
						  "aaab", "" };
	const char *d = delimiters[next() % 5], *data;
	const char *at =
		memmem(f.data + f.taken, f.len - f.taken, d, strlen(d));
	ssize_t n = urt_stream_read_until(s, d, &data, 0);

	if (n > 0) {
		REQUIRE(at && f.data + f.taken + n == at + strlen(d));
		took(data, n);
	} else if (n == -EMSGSIZE) {
		REQUIRE(!at ||
			at + strlen(d) - (f.data + f.taken) > (ssize_t)s->size);
	} else if (!n || n == -ENODATA) {
		REQUIRE(!at && f.given == f.len);
		REQUIRE(!n == (f.taken == f.len));
	}
}

static void check_line(struct urt_stream *s)
{
	const char *begin = f.data + f.taken;
	const char *at = memchr(begin, '\n', f.len - f.taken);
	size_t expected = (at ? at : f.data + f.len) - begin, len, used;
	char *line;
	int ret = urt_stream_read_line(s, &line, &len, 0);

	used = expected + !!at;
	if (at && expected && at[-1] == '\r')
		expected--;
	if (ret == 1) {
		REQUIRE(len == expected && !line[len]);
		REQUIRE(!memcmp(line, begin, len));
		f.taken += used;
		REQUIRE(f.taken <= f.given);
	} else if (!ret) {
		REQUIRE(f.taken == f.len);
	} else {
		REQUIRE(ret != -EMSGSIZE || used >= s->size);
	}
}

static void check_read(struct urt_stream *s)
{
	char buf[600];
	size_t len = next() * 2;
	bool full = next() & 1;
	ssize_t n = full ? urt_stream_read_full(s, buf, len, 0)
			 : urt_stream_read(s, buf, len, 0);

	REQUIRE(n <= (ssize_t)len);
	if (n > 0)
		took(buf, n);
	else
		REQUIRE(n || !len || f.taken == f.len);
}

static void check_peek(struct urt_stream *s)
{
	size_t want = next() * 2;
	const char *data;
	ssize_t n = urt_stream_peek(s, want, &data, 0);

	REQUIRE((n == -EMSGSIZE) == (want > s->size));
	if (n < 0)
		return;
	REQUIRE((size_t)n >= want || f.given == f.len);
	REQUIRE(f.taken + n == f.given);
	REQUIRE(!memcmp(data, f.data + f.taken, n));
	REQUIRE(urt_stream_buffered(s) == (size_t)n);
}

/* Bytes written so far; the value of a byte depends on its position. */
static size_t written;

static void check_write(struct urt_stream *s)
{
	char buf[600];
	size_t len = next() * 2;
	ssize_t n;

	for (size_t i = 0; i < len; i++)
		buf[i] = (written + i) * 31 >> 3;
	n = urt_stream_write(s, buf, len, 0);
	REQUIRE(n <= (ssize_t)len && (n || !len));
	if (n > 0)
		written += n;
}

static void check_printf(struct urt_stream *s)
{
	char text[256];
	int len = next(), n;

	for (int i = 0; i < len; i++)
		text[i] = (written + i) * 31 >> 3;
	text[len] = '\0';
	len = strlen(text);
	n = urt_stream_printf(s, 0, "%s", text);
	REQUIRE(n == len || n < 0);
	REQUIRE((n == -EMSGSIZE) == (len > (int)s->size));
	if (n > 0)
		written += n;
}

static void one_call(struct urt_stream *s)
{
	switch (next() % 7) {
	case 0:
		check_read(s);
		break;
	case 1:
		check_line(s);
		break;
	case 2:
		check_until(s);
		break;
	case 3:
		check_peek(s);
		break;
	case 4:
		check_write(s);
		break;
	case 5:
		check_printf(s);
		break;
	case 6:
		urt_stream_flush(s, 0);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t script = size > 2 ? size * data[0] / 255 : 0;
	struct urt_stream *s;
	char rest[600];
	ssize_t n;

	if (size <= 2)
		return 0;
	memset(&f, 0, offsetof(__typeof__(f), out));
	f.out_len = written = 0;
	f.script = data + 1;
	f.script_end = data + (script ? script : 1);
	f.data = (const char *)data + (script ? script : 1);
	f.len = size - (script ? script : 1);
	s = urt_stream_over(&io, NULL, next() * 2);
	while (f.script < f.script_end && written < sizeof(f.out) / 2)
		one_call(s);
	f.script = f.script_end;
	while ((n = urt_stream_read(s, rest, sizeof(rest), 0)) > 0)
		took(rest, n);
	REQUIRE(!n && f.taken == f.len);
	REQUIRE(!urt_stream_flush(s, 0));
	REQUIRE(f.out_len == written);
	for (size_t i = 0; i < written; i++)
		REQUIRE(f.out[i] == (char)(i * 31 >> 3));
	urt_stream_free(s);
	return 0;
}
