// SPDX-License-Identifier: MIT
/* Data over TLS streams: much at once, slowly, with new keys, files; and
 * deadlines. */
#define _GNU_SOURCE
#include "../lib/tls.h"

#ifndef URT_HAVE_TLS

Suite *tls_flow_suite(void)
{
	return suite_create("tls_flow");
}

#else

/* ---- waits ------------------------------------------------------------- */

static void handshake_alone(void *arg)
{
	int *ret = arg, fd[2];
	struct urt_stream *s;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	ret[0] = urt_tls_client(client_tls(), fd[0], "localhost", 0, &s,
				urt_after(5 * MS));
	ret[1] = urt_tls_client(client_tls(), fd[0], "localhost", 0, &s,
				URT_NEVER);
	ck_assert_int_eq(urt_close(fd[0]), 0);
	close(fd[1]);
}

CORO_TEST(tls_handshake_ends_at_its_deadline_and_when_cancelled)
{
	volatile int ret[2] = { 0 };
	struct urt_coro *c = urt_spawn(handshake_alone, (void *)ret);

	while (!ret[0])
		urt_sleep(MS);
	urt_sleep(20 * MS);
	urt_end(c);
	ck_assert_int_eq(ret[0], -ETIME);
	ck_assert_int_eq(ret[1], -ECANCELED);
}

#define MUCH	(SANITIZED ? 1u << 20 : 4u << 20)

static uint8_t byte_at(size_t i)
{
	return i * 2654435761u >> 13;
}

static struct {
	struct urt_stream *s;
	int64_t short_ns;
	bool keys; /* with new keys, now and then */
} flow[2];

static void send_much(void *arg)
{
	struct urt_stream *s = flow[(intptr_t)arg].s;
	uint8_t b[7001];
	size_t done = 0;

	while (done < MUCH) {
		size_t n = MUCH - done < sizeof(b) ? MUCH - done : sizeof(b);
		ssize_t ret;

		for (size_t i = 0; i < n; i++)
			b[i] = byte_at(done + i);
		ret = urt_stream_write(s, b, n,
				       urt_after(flow[(intptr_t)arg].short_ns));
		if (ret <= 0 && ret != -ETIME)
			ck_abort_msg("%zd", ret);
		done += ret > 0 ? ret : 0;
		if (flow[(intptr_t)arg].keys && done % 5 == 0)
			ck_assert_int_eq(urt_tls_update_keys(s), 0);
	}
	while ((ssize_t)(done = urt_stream_flush(s, urt_after(MS))))
		ck_assert_int_eq((int)done, -ETIME);
}

static void receive_much(void *arg)
{
	struct urt_stream *s = flow[(intptr_t)arg].s;
	uint8_t b[5003];
	size_t done = 0, wrong = 0;

	while (done < MUCH) {
		ssize_t n = urt_stream_read(
			s, b, sizeof(b),
			urt_after(flow[(intptr_t)arg].short_ns));

		for (ssize_t i = 0; i < n; i++)
			wrong += b[i] != byte_at(done + i);
		if (n <= 0 && n != -ETIME) /* each assertion is a message */
			ck_abort_msg("%zd %s", n, urt_tls_why());
		done += n > 0 ? n : 0;
	}
	ck_assert_uint_eq(wrong, 0);
}

static void much_both_ways(intptr_t side)
{
	struct urt_coro *w = urt_spawn(send_much, (void *)side);

	receive_much((void *)side);
	urt_join(w);
	ck_assert_int_eq(urt_stream_close(flow[side].s, SOON), 0);
}

static void serve_much(struct urt_stream *s)
{
	flow[1].s = s;
	much_both_ways(1);
}

static int64_t short_ns;

static void exchange(void *arg)
{
	struct urt_coro *c = serve_with(NULL, serve_much);

	(void)arg;
	flow[0].short_ns = flow[1].short_ns = short_ns;
	flow[0].s = dial(client_tls());
	much_both_ways(0);
	urt_join(c);
}

/* Each side reads and writes at once; with deadlines that cut the calls. */
START_TEST(tls_stream_loses_nothing_both_ways_at_once)
{
	struct urt_options o = { .workers = 1 + _i % 3 };

	short_ns = _i < 3 ? 20000 * MS * slower() : MS / 5;
	ck_assert_int_eq(urt_run_with(exchange, NULL, &o), 0);
}
END_TEST

CORO_TEST(tls_stream_goes_on_with_new_keys)
{
	flow[0].keys = true;
	short_ns = 20000 * MS * slower();
	exchange(NULL);
}

/* Two and a half times LINGER_NS. In that time, the client reads 200 KB. */
#define SLOW_NS (2500 * MS)
#define ALL	300000

static bool closing;

static void send_and_close(struct urt_stream *s)
{
	static char b[ALL];

	ck_assert_int_eq(urt_stream_write(s, b, sizeof(b), SOON), sizeof(b));
	closing = true;
	ck_assert_int_eq(urt_stream_close(s, SOON), 0);
}

/* It writes meanwhile; a closed socket would answer that with a reset. */
CORO_TEST(tls_stream_is_not_closed_while_the_other_side_reads_slowly)
{
	struct urt_coro *c = serve_with(NULL, send_and_close);
	int size = 16384, fd = urt_dial(address, SOON);
	int64_t slow_until = 0;
	struct urt_stream *s;
	size_t done = 0;
	char b[8192];
	ssize_t n;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
	ck_assert_int_eq(
		urt_tls_client(client_tls(), fd, "127.0.0.1", 0, &s, SOON), 0);
	while ((n = urt_stream_read(s, b, sizeof(b), SOON)) > 0) {
		done += n;
		if (!closing) {
			urt_sleep(10 * MS);
			continue;
		}
		if (!slow_until)
			slow_until = urt_after(SLOW_NS);
		if (urt_now() > slow_until)
			continue;
		urt_sleep(100 * MS);
		urt_stream_write(s, b, 1, SOON);
		urt_stream_flush(s, SOON);
	}
	ck_assert_int_eq(n, 0);
	ck_assert_uint_eq(done, ALL);
	ck_assert(slow_until && urt_now() > slow_until);
	urt_stream_close(s, SOON);
	urt_join(c);
}

/* ---- files ------------------------------------------------------------- */

#define FILE_SIZE 300007

static char file[64];

static void make_file(void)
{
	FILE *f;

	snprintf(file, sizeof(file), "%s/file", tls_directory);
	f = fopen(file, "w");
	ck_assert_ptr_nonnull(f);
	for (size_t i = 0; i < FILE_SIZE; i++)
		fputc(byte_at(i), f);
	ck_assert_int_eq(fclose(f), 0);
}

/* All from byte 7 on, between two lines. */
static void send_file(struct urt_stream *s)
{
	int fd = open(file, O_RDONLY);
	off_t offset = 7;

	urt_stream_printf(s, SOON, "begin\n");
	ck_assert_int_eq(urt_tls_sendfile(s, fd, &offset, 1, SOON), 1);
	ck_assert_int_eq(urt_tls_sendfile(s, fd, &offset, SIZE_MAX, SOON),
			 FILE_SIZE - 8);
	ck_assert_int_eq(offset, FILE_SIZE);
	ck_assert_int_eq(urt_tls_sendfile(s, fd, &offset, 1, SOON), 0);
	ck_assert_int_eq(urt_tls_sendfile(s, -1, &offset, 1, SOON), -EBADF);
	urt_stream_printf(s, SOON, "end\n");
	ck_assert_int_eq(urt_stream_close(s, SOON), 0);
	close(fd);
}

CORO_TEST(tls_sendfile_sends_between_lines_what_is_in_the_file)
{
	static uint8_t b[FILE_SIZE - 7];
	struct urt_coro *c;
	struct urt_stream *s;
	size_t wrong = 0;

	make_file();
	c = serve_with(NULL, send_file);
	s = dial(client_tls());
	hear_line(s, "begin");
	ck_assert_int_eq(urt_stream_read_full(s, b, sizeof(b), SOON),
			 sizeof(b));
	for (size_t i = 0; i < sizeof(b); i++)
		wrong += b[i] != byte_at(i + 7);
	ck_assert_uint_eq(wrong, 0);
	hear_line(s, "end");
	ck_assert_int_eq(urt_stream_read(s, b, 1, SOON), 0);
	urt_stream_close(s, SOON);
	urt_join(c);
}

static void add_tests(Suite *s, TCase *t, void (*setup)(void))
{
	tcase_add_unchecked_fixture(t, make_certificates, remove_certificates);
	tcase_add_checked_fixture(t, setup, free_made);
	tcase_add_loop_test(t, tls_stream_loses_nothing_both_ways_at_once, 0,
			    6);
	tcase_add_test(t, tls_sendfile_sends_between_lines_what_is_in_the_file);
	suite_add_tcase(s, t);
}

Suite *tls_flow_suite(void)
{
	Suite *s = suite_create("tls_flow");
	TCase *t = tcase_create("tls");

	tcase_add_test(t,
		       tls_handshake_ends_at_its_deadline_and_when_cancelled);
	tcase_add_test(t, tls_stream_goes_on_with_new_keys);
	tcase_add_test(
		t, tls_stream_is_not_closed_while_the_other_side_reads_slowly);
	add_tests(s, t, NULL);
	if (kernel_has_tls())
		add_tests(s, tcase_create("kernel"), use_kernel);
	return s;
}

#endif
