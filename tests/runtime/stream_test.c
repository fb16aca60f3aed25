// SPDX-License-Identifier: MIT
/* Floor 6: buffered streams. */
#define _GNU_SOURCE
#include "../../uring_rt/net/stream.h"
#include "../lib/net.h"
#include <fcntl.h>
#include <unistd.h>

static void pair(int fds[2])
{
	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

static void give(int fd, const char *text)
{
	ck_assert_int_eq(write(fd, text, strlen(text)), strlen(text));
}

/* A stream with a buffer of 16 bytes, and the other end of its socket. */
static struct urt_stream *small(int *other)
{
	struct urt_stream *s;
	int fds[2];

	pair(fds);
	*other = fds[1];
	s = urt_stream_new(fds[0], 16);
	ck_assert_ptr_nonnull(s);
	return s;
}

static void done(struct urt_stream *s, int other)
{
	ck_assert_int_eq(urt_stream_close(s, never), 0);
	close(other);
}

/* Sends these bytes. */
#define CHECK_BYTES(n, data, expected)                                  \
	do {                                                            \
		ck_assert_int_eq(n, sizeof(expected) - 1);              \
		ck_assert_mem_eq(data, expected, sizeof(expected) - 1); \
	} while (0)

RUN_TEST(lines_come_without_their_ends)
{
	int other;
	struct urt_stream *s = small(&other);
	char *line;
	size_t len;

	give(other, "one\ntwo\r\n\n\r\nwith\rin\nlast");
	shutdown(other, SHUT_WR);
	for (int i = 0; i < 6; i++) {
		static const char *const expected[] = { "one",	    "two",
							"",	    "",
							"with\rin", "last" };

		ck_assert_int_eq(urt_stream_read_line(s, &line, &len, never),
				 1);
		ck_assert_str_eq(line, expected[i]);
		ck_assert_uint_eq(len, strlen(expected[i]));
	}
	ck_assert_int_eq(urt_stream_read_line(s, &line, NULL, never), 0);
	ck_assert_int_eq(urt_stream_read_line(s, &line, NULL, never), 0);
	done(s, other);
}

RUN_TEST(line_as_long_as_the_buffer_fits_and_no_longer)
{
	int other;
	struct urt_stream *s = small(&other);
	char *line, buf[32];

	give(other, "123456789012345\n1234567890123456\n");
	ck_assert_int_eq(urt_stream_read_line(s, &line, NULL, never), 1);
	ck_assert_str_eq(line, "123456789012345");
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(urt_stream_read_line(s, &line, NULL, never),
				 -EMSGSIZE);
	/* Nothing was lost. */
	CHECK_BYTES(urt_stream_read_full(s, buf, 17, never), buf,
		    "1234567890123456\n");
	give(other, "1234567890123456");
	shutdown(other, SHUT_WR);
	/* A line end may follow, so it is too long. */
	ck_assert_int_eq(urt_stream_read_line(s, &line, NULL, never),
			 -EMSGSIZE);
	done(s, other);
}

RUN_TEST(delimiter_is_found_wherever_it_is_cut)
{
	const char text[] = "ab\r\n\r\rcd\r\n\r\n";
	const char *data;

	for (size_t cut = 0; cut < sizeof(text); cut++) {
		int other;
		struct urt_stream *s = small(&other);

		ck_assert_int_eq(write(other, text, cut), cut);
		ck_assert_int_eq(urt_stream_buffered(s), 0);
		if (cut && cut < sizeof(text) - 1)
			ck_assert_int_eq(
				urt_stream_read_until(s, "\r\n\r\n", &data, 0),
				-ETIME);
		give(other, text + cut);
		CHECK_BYTES(urt_stream_read_until(s, "\r\n\r\n", &data, never),
			    data, "ab\r\n\r\rcd\r\n\r\n");
		done(s, other);
	}
}

RUN_TEST(stream_without_a_delimiter_can_still_be_read)
{
	int other;
	struct urt_stream *s = small(&other);
	const char *data;
	char buf[32];

	ck_assert_int_eq(urt_stream_read_until(s, "", &data, never), -EINVAL);
	ck_assert_int_eq(
		urt_stream_read_until(s, "12345678901234567", &data, never),
		-EMSGSIZE);
	give(other, "0123456789abcdefgh");
	ck_assert_int_eq(urt_stream_read_until(s, "g", &data, never),
			 -EMSGSIZE);
	ck_assert_uint_eq(urt_stream_buffered(s), 16);
	CHECK_BYTES(urt_stream_read_full(s, buf, 10, never), buf, "0123456789");
	CHECK_BYTES(urt_stream_read_until(s, "g", &data, never), data,
		    "abcdefg");
	shutdown(other, SHUT_WR);
	ck_assert_int_eq(urt_stream_read_until(s, "g", &data, never), -ENODATA);
	CHECK_BYTES(urt_stream_read(s, buf, 32, never), buf, "h");
	ck_assert_int_eq(urt_stream_read_until(s, "g", &data, never), 0);
	done(s, other);
}

RUN_TEST(peek_takes_nothing)
{
	int other;
	struct urt_stream *s = small(&other);
	const char *data;
	char buf[8];

	ck_assert_int_eq(urt_stream_peek(s, 17, &data, never), -EMSGSIZE);
	give(other, "hel");
	ck_assert_int_eq(urt_stream_peek(s, 5, &data, urt_after(MS)), -ETIME);
	give(other, "lo");
	CHECK_BYTES(urt_stream_peek(s, 5, &data, never), data, "hello");
	CHECK_BYTES(urt_stream_peek(s, 1, &data, 0), data, "hello");
	CHECK_BYTES(urt_stream_read(s, buf, 8, never), buf, "hello");
	give(other, "x");
	shutdown(other, SHUT_WR);
	CHECK_BYTES(urt_stream_peek(s, 5, &data, never), data, "x");
	CHECK_BYTES(urt_stream_read(s, buf, 8, never), buf, "x");
	ck_assert_int_eq(urt_stream_peek(s, 5, &data, never), 0);
	done(s, other);
}

RUN_TEST(full_read_stops_short_only_where_it_must)
{
	int other;
	struct urt_stream *s = small(&other);
	char buf[64], expected[41] = "0123456789012345678901234567890123456789";

	give(other, expected);
	ck_assert_int_eq(urt_stream_read_full(s, buf, 64, urt_after(MS)), 40);
	ck_assert_mem_eq(buf, expected, 40);
	ck_assert_int_eq(urt_stream_read_full(s, buf, 64, urt_after(MS)),
			 -ETIME);
	give(other, "end");
	shutdown(other, SHUT_WR);
	CHECK_BYTES(urt_stream_read_full(s, buf, 64, never), buf, "end");
	ck_assert_int_eq(urt_stream_read_full(s, buf, 64, never), 0);
	ck_assert_int_eq(urt_stream_read_full(s, buf, 0, never), 0);
	done(s, other);
}

static struct urt_stream *stream;

static void read_line(void *arg)
{
	char *line;

	*(int *)arg = urt_stream_read_line(stream, &line, NULL, never);
}

RUN_TEST(cancelling_a_reader_loses_nothing)
{
	int other, result = 1;
	struct urt_coro *c;
	char *line;

	stream = small(&other);
	give(other, "half ");
	c = urt_spawn(read_line, &result);
	while (recv((int)(intptr_t)stream->self, &(char){ 0 }, 1,
		    MSG_PEEK | MSG_DONTWAIT) > 0)
		urt_sleep(MS / 10); /* until it has taken that */
	urt_cancel(c);
	urt_join(c);
	ck_assert_int_eq(result, -ECANCELED);
	give(other, "a line\n");
	ck_assert_int_eq(urt_stream_read_line(stream, &line, NULL, never), 1);
	ck_assert_str_eq(line, "half a line");
	done(stream, other);
}

/* ---- writing ---- */

RUN_TEST(stream_keeps_what_is_written_until_the_flush)
{
	int other;
	struct urt_stream *s = small(&other);
	char buf[64] = "";

	ck_assert_int_eq(urt_stream_write(s, "hello ", 6, 0), 6);
	ck_assert_int_eq(urt_stream_printf(s, 0, "%d, %s", 42, "ok"), 6);
	ck_assert_int_eq(recv(other, buf, 64, MSG_DONTWAIT), -1);
	ck_assert_int_eq(urt_stream_flush(s, never), 0);
	ck_assert_int_eq(recv(other, buf, 64, MSG_DONTWAIT), 12);
	ck_assert_str_eq(buf, "hello 42, ok");
	/* More than there is room for now, and more than there ever is. */
	ck_assert_int_eq(urt_stream_printf(s, never, "%s", "0123456789"), 10);
	ck_assert_int_eq(urt_stream_printf(s, never, "%s", "abcdefgh"), 8);
	ck_assert_int_eq(urt_stream_printf(s, never, "%016d", 7), 16);
	ck_assert_int_eq(urt_stream_printf(s, never, "%017d", 7), -EMSGSIZE);
	ck_assert_int_eq(urt_stream_flush(s, never), 0);
	CHECK_BYTES(recv(other, buf, 64, MSG_DONTWAIT), buf,
		    "0123456789abcdefgh0000000000000007");
	done(s, other);
}

RUN_TEST(long_writes_keep_their_order)
{
	int other;
	struct urt_stream *s = small(&other);
	char buf[64];

	ck_assert_int_eq(urt_stream_write(s, "ab", 2, never), 2);
	ck_assert_int_eq(urt_stream_write(s, "0123456789012345678901234567890",
					  31, never),
			 31);
	ck_assert_int_eq(urt_stream_write(s, "cd", 2, never), 2);
	ck_assert_int_eq(urt_stream_close(s, never), 0);
	CHECK_BYTES(recv(other, buf, 64, MSG_DONTWAIT), buf,
		    "ab0123456789012345678901234567890cd");
	close(other);
}

/* Writes numbers until the socket is full and the deadline comes, and then
 * continues where it stopped: all arrive once and in order. */
RUN_TEST(deadline_loses_nothing_that_was_accepted)
{
	int other, n = 0, size = 4096;
	struct urt_stream *s = small(&other), *in;
	char number[32], *line;
	size_t len, begun = 0;

	setsockopt((int)(intptr_t)s->self, SOL_SOCKET, SO_SNDBUF, &size,
		   sizeof(size));
	for (;;) {
		ssize_t ret;

		snprintf(number, sizeof(number), "n %d\n", n);
		len = strlen(number);
		ret = urt_stream_write(s, number, len, urt_after(MS));
		if (ret != (ssize_t)len) {
			begun = ret < 0 ? 0 : ret;
			ck_assert(ret != 0 && (ret > 0 || ret == -ETIME));
			break;
		}
		n++;
	}
	ck_assert_int_gt(n, 10);
	ck_assert_int_eq(urt_stream_flush(s, urt_after(MS)), -ETIME);
	in = urt_stream_new(other, 64);
	for (int i = 0; i < n; i++) {
		snprintf(number, sizeof(number), "n %d", i);
		ck_assert_int_eq(
			urt_stream_read_line(in, &line, NULL, urt_after(MS)),
			1);
		ck_assert_str_eq(line, number);
		if (i == n / 2) {
			ck_assert_int_eq(urt_stream_flush(s, never), 0);
			snprintf(number, sizeof(number), "n %d\n", n);
			ck_assert_int_eq(urt_stream_write(s, number + begun,
							  len - begun, never),
					 len - begun);
			ck_assert_int_eq(urt_stream_flush(s, never), 0);
		}
	}
	ck_assert_int_eq(urt_stream_read_line(in, &line, NULL, never), 1);
	snprintf(number, sizeof(number), "n %d", n);
	ck_assert_str_eq(line, number);
	done(s, -1);
	done(in, -1);
}

RUN_TEST(broken_connection_is_an_error_and_no_signal)
{
	int other;
	struct urt_stream *s = small(&other);

	close(other);
	ck_assert_int_eq(urt_stream_write(s, "x", 1, never), 1);
	ck_assert_int_eq(urt_stream_flush(s, never), -EPIPE);
	ck_assert_int_eq(urt_stream_close(s, never), -EPIPE);
	ck_assert_int_eq(urt_stream_close(NULL, never), 0);
}

RUN_TEST(files_and_pipes_are_streams_too)
{
	struct urt_stream *in, *out;
	char *line;
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	in = urt_stream_new(fds[0], 0);
	out = urt_stream_new(fds[1], 0);
	ck_assert_int_eq(urt_stream_printf(out, never, "%05000d\n", 1), 5001);
	ck_assert_int_eq(urt_stream_close(out, never), 0);
	ck_assert_int_eq(urt_stream_read_line(in, &line, NULL, never), 1);
	ck_assert_uint_eq(strlen(line), 5000);
	ck_assert_int_eq(urt_stream_read_line(in, &line, NULL, never), 0);
	urt_stream_close(in, never);
	ck_assert_ptr_null(urt_stream_new(0, (size_t)1 << 40));
}

Suite *stream_suite(void)
{
	Suite *s = suite_create("stream");
	TCase *t = tcase_create("reading");

	tcase_add_test(t, lines_come_without_their_ends);
	tcase_add_test(t, line_as_long_as_the_buffer_fits_and_no_longer);
	tcase_add_test(t, delimiter_is_found_wherever_it_is_cut);
	tcase_add_test(t, stream_without_a_delimiter_can_still_be_read);
	tcase_add_test(t, peek_takes_nothing);
	tcase_add_test(t, full_read_stops_short_only_where_it_must);
	tcase_add_test(t, cancelling_a_reader_loses_nothing);
	suite_add_tcase(s, t);
	t = tcase_create("writing");
	tcase_add_test(t, stream_keeps_what_is_written_until_the_flush);
	tcase_add_test(t, long_writes_keep_their_order);
	tcase_add_test(t, deadline_loses_nothing_that_was_accepted);
	tcase_add_test(t, broken_connection_is_an_error_and_no_signal);
	tcase_add_test(t, files_and_pipes_are_streams_too);
	suite_add_tcase(s, t);
	return s;
}
