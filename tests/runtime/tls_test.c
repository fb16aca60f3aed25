// SPDX-License-Identifier: MIT
/*
 * TLS streams: client and server over loopback, with certificates that are made
 * here by the command openssl. Other programs' clients are in examples_test.c.
 */
#define _GNU_SOURCE
#include "../../uring_rt/urt_tls.h"
#include "../lib/service.h"
#include "../lib/tool_run.h"

#ifndef URT_HAVE_TLS

START_TEST(tls_is_tested_where_openssl_is)
{
	SKIP("built without OpenSSL 3 (libssl-dev)");
}
END_TEST

Suite *tls_suite(void)
{
	Suite *s = suite_create("tls");
	TCase *t = tcase_create("tls");

	tcase_add_test(t, tls_is_tested_where_openssl_is);
	suite_add_tcase(s, t);
	return s;
}

#else

#include <openssl/ssl.h>

#define SOON urt_after(20000 * MS * slower())

static char dir[] = "/tmp/urt-tls.XXXXXX";
static char ca[64], other_ca[64], certificate[64], key[64];

/* An authority, another one, and a certificate of the first for localhost. */
static void make_certificates(void)
{
	static const char *const ec = "-newkey ec -pkeyopt "
				      "ec_paramgen_curve:P-256 -nodes -days 2";

	new_directory(dir);
	snprintf(ca, sizeof(ca), "%s/ca.pem", dir);
	snprintf(other_ca, sizeof(other_ca), "%s/other.pem", dir);
	snprintf(certificate, sizeof(certificate), "%s/cert.pem", dir);
	snprintf(key, sizeof(key), "%s/key.pem", dir);
	ck_assert_msg(
		!sh("cd %s && for n in ca other; do openssl req -x509 %s -subj "
		    "/CN=$n -keyout $n.key -out $n.pem || exit 1; done && "
		    "openssl req %s -subj /CN=localhost -keyout key.pem -out "
		    "c.csr && echo subjectAltName=DNS:localhost,IP:127.0.0.1 "
		    ">ext && openssl x509 -req -in c.csr -CA ca.pem -CAkey "
		    "ca.key -days 2 -extfile ext -out cert.pem 2>&1",
		    dir, ec, ec),
		"%s", text);
}

static void remove_certificates(void)
{
	sh("rm -rf %s", dir);
}

/* ---- one connection ---------------------------------------------------- */

static struct urt_tls *server_tls;
static int listener;
static char address[64];
static void (*server_does)(struct urt_stream *);
static int server_result;

static struct urt_tls *made[8]; /* freed after the test */
static unsigned nr_made;
static bool in_kernel;

static struct urt_tls *new_tls(const struct urt_tls_options *options)
{
	struct urt_tls_options o = *options;
	struct urt_tls *t = NULL;

	o.kernel = in_kernel;
	ck_assert_msg(!urt_tls_new(&t, &o), "%s", urt_tls_why());
	ck_assert_uint_lt(nr_made, ARRAY_LEN(made));
	made[nr_made++] = t;
	return t;
}

static void free_made(void)
{
	while (nr_made)
		urt_tls_free(made[--nr_made]);
}

static void serve(void *arg)
{
	int fd = urt_accept(listener, NULL, NULL, 0, SOON);
	struct urt_stream *s;

	(void)arg;
	ck_assert_int_ge(fd, 0);
	server_result = urt_tls_server(server_tls, fd, 0, &s, SOON);
	if (server_result) {
		urt_close(fd);
		return;
	}
	server_does(s);
}

/* Listens, and starts a coroutine that takes one connection. */
static struct urt_coro *serve_with(const struct urt_tls_options *more,
				   void (*does)(struct urt_stream *))
{
	struct urt_tls_options o = more ? *more : (struct urt_tls_options){ 0 };
	struct urt_addr a;

	o.certificate = certificate;
	o.key = key;
	if (!server_tls)
		server_tls = new_tls(&o);
	server_does = does;
	if (listener <= 0) {
		listener = urt_listen("127.0.0.1:0", SOON);
		ck_assert_int_ge(listener, 0);
		urt_addr_local(listener, &a);
		urt_addr_text(&a, address, sizeof(address));
	}
	return urt_spawn(serve, NULL);
}

static struct urt_tls *client_tls(void)
{
	struct urt_tls_options o = { .authorities = ca };

	return new_tls(&o);
}

static struct urt_stream *dial(struct urt_tls *t)
{
	struct urt_stream *s = NULL;
	int err = urt_tls_dial(t, address, 0, &s, SOON);

	ck_assert_msg(!err, "%s: %s", strerror(-err), urt_tls_why());
	return s;
}

static void echo_lines(struct urt_stream *s)
{
	char *line;

	while (urt_stream_read_line(s, &line, NULL, SOON) == 1) {
		urt_stream_printf(s, SOON, "%s\n", line);
		ck_assert_int_eq(urt_stream_flush(s, SOON), 0);
	}
	urt_stream_close(s, SOON);
}

static void hear_line(struct urt_stream *s, const char *what)
{
	char *line;

	ck_assert_int_eq(urt_stream_read_line(s, &line, NULL, SOON), 1);
	ck_assert_str_eq(line, what);
}

static void say(struct urt_stream *s, const char *what)
{
	ck_assert_int_gt(urt_stream_printf(s, SOON, "%s\n", what), 0);
	ck_assert_int_eq(urt_stream_flush(s, SOON), 0);
}

CORO_TEST(tls_stream_carries_lines_both_ways_until_close_notify)
{
	struct urt_coro *c = serve_with(NULL, echo_lines);
	struct urt_stream *s = dial(client_tls());
	char *line;

	for (int i = 0; i < 10; i++) {
		say(s, "hello");
		hear_line(s, "hello");
	}
	ck_assert_str_eq(urt_tls_protocol(s), "");
	ck_assert_int_eq(urt_tls_shutdown(s, SOON), 0);
	ck_assert_int_eq(urt_stream_read_line(s, &line, NULL, SOON), 0);
	ck_assert_int_eq(urt_stream_close(s, SOON), 0);
	urt_join(c);
}

CORO_TEST(tls_client_refuses_an_unknown_authority)
{
	struct urt_tls_options o = { .authorities = other_ca };
	struct urt_coro *c = serve_with(NULL, echo_lines);
	struct urt_stream *s;

	ck_assert_int_eq(urt_tls_dial(new_tls(&o), address, 0, &s, SOON),
			 -EACCES);
	ck_assert_ptr_nonnull(strstr(urt_tls_why(), "issuer certificate"));
	urt_join(c);
	ck_assert_int_eq(server_result, -EACCES);
	o = (struct urt_tls_options){ .insecure = true };
	c = serve_with(NULL, echo_lines);
	s = dial(new_tls(&o));
	urt_stream_close(s, SOON);
	urt_join(c);
}

CORO_TEST(tls_client_refuses_another_name)
{
	struct urt_coro *c = serve_with(NULL, echo_lines);
	struct urt_stream *s;
	int fd = urt_dial(address, SOON);

	ck_assert_int_eq(
		urt_tls_client(client_tls(), fd, "example.org", 0, &s, SOON),
		-EACCES);
	ck_assert_ptr_nonnull(strstr(urt_tls_why(), "hostname mismatch"));
	/* Still the caller's. */
	ck_assert_int_eq(urt_close(fd), 0);
	urt_join(c);
	c = serve_with(NULL, echo_lines);
	fd = urt_dial(address, SOON);
	ck_assert_int_eq(
		urt_tls_client(client_tls(), fd, "localhost", 0, &s, SOON), 0);
	ck_assert_str_eq(
		SSL_get_servername(urt_tls_ssl(s), TLSEXT_NAMETYPE_host_name),
		"localhost");
	urt_stream_close(s, SOON);
	urt_join(c);
}

static void cut_short(struct urt_stream *s)
{
	int fd = urt_accept(listener, NULL, NULL, 0, 0);

	ck_assert_int_eq(fd, -ETIME); /* no other one */
	say(s, "more to come");
	urt_stream_free(s); /* without close_notify; the descriptor is ours */
	for (fd = 3; fd < 64; fd++) {
		struct urt_addr a, own;

		if (!urt_addr_peer(fd, &a) && !urt_addr_local(fd, &own) &&
		    own.storage.ss_family == AF_INET) {
			char text_of[URT_ADDR_TEXT];

			urt_addr_text(&own, text_of, sizeof(text_of));
			if (!strcmp(text_of, address))
				urt_close(fd);
		}
	}
}

CORO_TEST(tls_stream_that_is_cut_short_is_an_error)
{
	struct urt_coro *c = serve_with(NULL, cut_short);
	struct urt_stream *s = dial(client_tls());
	char b[10];

	hear_line(s, "more to come");
	ck_assert_int_eq(urt_stream_read(s, b, sizeof(b), SOON), -ECONNRESET);
	urt_stream_close(s, SOON);
	urt_join(c);
}

CORO_TEST(tls_protocol_is_the_servers_best_that_both_have)
{
	static const char *const servers[] = { "h2", "http/1.1", NULL };
	static const char *const clients[] = { "http/1.1", "h2", NULL };
	static const char *const none[] = { "smtp", NULL };
	struct urt_tls_options so = { .protocols = servers };
	struct urt_tls_options co = { .protocols = clients, .authorities = ca };
	struct urt_coro *c = serve_with(&so, echo_lines);
	struct urt_stream *s = dial(new_tls(&co));

	ck_assert_str_eq(urt_tls_protocol(s), "h2");
	urt_stream_close(s, SOON);
	urt_join(c);
	c = serve_with(&so, echo_lines);
	co.protocols = none;
	ck_assert_int_eq(urt_tls_dial(new_tls(&co), address, 0, &s, SOON),
			 -EPROTO);
	urt_join(c);
}

static void resume(int version)
{
	struct urt_tls *t = client_tls();

	SSL_CTX_set_max_proto_version(urt_tls_context(t), version);
	for (int i = 0; i < 4; i++) {
		struct urt_coro *c = serve_with(NULL, echo_lines);
		struct urt_stream *s = dial(t);

		ck_assert_int_eq(SSL_version(urt_tls_ssl(s)), version);
		ck_assert_int_eq(urt_tls_resumed(s), i > 0);
		say(s, "x");
		hear_line(s, "x"); /* and the tickets, before it */
		urt_stream_close(s, SOON);
		urt_join(c);
	}
	free_made();
	server_tls = NULL;
}

CORO_TEST(tls_client_resumes_its_last_session)
{
	resume(TLS1_3_VERSION);
	resume(TLS1_2_VERSION);
}

CORO_TEST(tls_server_wants_a_clients_certificate_if_told_to)
{
	struct urt_tls_options so = { .verify_client = true,
				      .authorities = ca };
	struct urt_tls_options co = { .authorities = ca };
	struct urt_coro *c = serve_with(&so, echo_lines);
	struct urt_stream *s = NULL;
	char b[1];

	/* With TLS 1.3 the client learns it when it reads. */
	if (!urt_tls_dial(new_tls(&co), address, 0, &s, SOON)) {
		ck_assert_int_eq(urt_stream_read(s, b, 1, SOON), -EACCES);
		urt_stream_close(s, SOON);
	}
	urt_join(c);
	ck_assert_int_eq(server_result, -EACCES);
	co.certificate = certificate;
	co.key = key;
	c = serve_with(&so, echo_lines);
	s = dial(new_tls(&co));
	say(s, "let in");
	hear_line(s, "let in");
	urt_stream_close(s, SOON);
	urt_join(c);
}

CORO_TEST(tls_files_that_are_wrong_are_named)
{
	struct urt_tls_options o = { .certificate = "/nonexistent",
				     .key = key };
	struct urt_tls *t;

	ck_assert_int_eq(urt_tls_new(&t, &o), -EINVAL);
	ck_assert_ptr_nonnull(strstr(urt_tls_why(), "certificate: /nonexist"));
	o = (struct urt_tls_options){ .certificate = certificate };
	ck_assert_int_eq(urt_tls_new(&t, &o), -EINVAL);
	ck_assert_ptr_nonnull(strstr(urt_tls_why(), "key: not given"));
	o = (struct urt_tls_options){ .authorities = key };
	ck_assert_int_eq(urt_tls_new(&t, &o), -EINVAL);
	ck_assert_ptr_nonnull(strstr(urt_tls_why(), "authorities: "));
}

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

#define MUCH (SANITIZED ? 1u << 20 : 4u << 20)

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

#define SLOWLY 25 /* rounds of 100 ms, more than the second of LINGER_NS */

static void send_and_close(struct urt_stream *s)
{
	static char b[400000];

	ck_assert_int_eq(urt_stream_write(s, b, sizeof(b), SOON), sizeof(b));
	ck_assert_int_eq(urt_stream_close(s, SOON), 0);
}

/* It writes meanwhile, which a closed socket would answer with a reset. */
CORO_TEST(tls_stream_is_not_closed_while_the_other_side_reads_slowly)
{
	struct urt_coro *c = serve_with(NULL, send_and_close);
	int size = 4096, fd = urt_dial(address, SOON);
	size_t done = 0, slow = 0;
	struct urt_stream *s;
	char b[4000];
	ssize_t n;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
	ck_assert_int_eq(
		urt_tls_client(client_tls(), fd, "127.0.0.1", 0, &s, SOON), 0);
	while ((n = urt_stream_read(s, b, sizeof(b), SOON)) > 0) {
		done += n;
		if (done < 200000 || slow++ >= SLOWLY)
			continue;
		urt_sleep(100 * MS);
		urt_stream_write(s, b, 1, SOON);
		urt_stream_flush(s, SOON);
	}
	ck_assert_int_eq(n, 0);
	ck_assert_uint_eq(done, 400000);
	ck_assert_uint_gt(slow, SLOWLY);
	urt_stream_close(s, SOON);
	urt_join(c);
}

/* ---- files ------------------------------------------------------------- */

#define FILE_SIZE 300007

static char file[64];

static void make_file(void)
{
	FILE *f;

	snprintf(file, sizeof(file), "%s/file", dir);
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

/* ---- in the kernel ----------------------------------------------------- */

static void use_kernel(void)
{
	in_kernel = true;
}

static bool kernel_has_tls(void)
{
	char ulps[256] = "";
	FILE *f = fopen("/proc/sys/net/ipv4/tcp_available_ulp", "r");

	if (f && !fgets(ulps, sizeof(ulps), f))
		ulps[0] = '\0';
	if (f)
		fclose(f);
	return strstr(ulps, "tls");
}

START_TEST(tls_in_the_kernel_is_tested_where_the_kernel_has_it)
{
	SKIP("no kernel module tls (modprobe tls; tests/kernel/README.md)");
}
END_TEST

/* Without the kernel's part, 0. */
static int kernels_part(int version)
{
	if (!in_kernel || !kernel_has_tls())
		return 0;
	return version == TLS1_2_VERSION || OpenSSL_version_num() >= 0x30200000
		       ? URT_TLS_SENDS | URT_TLS_RECEIVES
		       : URT_TLS_SENDS;
}

static int version;

static void check_and_echo(struct urt_stream *s)
{
	ck_assert_int_eq(urt_tls_in_kernel(s), kernels_part(version));
	echo_lines(s);
}

CORO_TEST(tls_connection_says_what_the_kernel_does_of_it)
{
	for (version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		struct urt_coro *c = serve_with(NULL, check_and_echo);
		struct urt_tls *t = client_tls();
		struct urt_stream *s;

		SSL_CTX_set_max_proto_version(urt_tls_context(t), version);
		s = dial(t);
		ck_assert_int_eq(urt_tls_in_kernel(s), kernels_part(version));
		say(s, "hello");
		hear_line(s, "hello");
		urt_stream_close(s, SOON);
		urt_join(c);
	}
}

static void wait_for_new_keys(struct urt_stream *s)
{
	char b;

	hear_line(s, "before");
	ck_assert_int_eq(urt_tls_update_keys(s), -EOPNOTSUPP);
	say(s, "answer");
	if (urt_tls_in_kernel(s) & URT_TLS_RECEIVES) {
		ck_assert_int_eq(urt_stream_read(s, &b, 1, SOON), -EPROTO);
		ck_assert_msg(!!strstr(urt_tls_why(), "new keys"), "%s",
			      urt_tls_why());
	} else {
		hear_line(s, "after");
	}
	urt_stream_printf(s, SOON, "answer\n");
	server_result = urt_stream_flush(s, SOON);
	ck_assert_ptr_nonnull(strstr(urt_tls_why(), "new keys"));
	urt_tls_end(s, SOON);
}

/* The client has none of the kernel, so that it can ask for them. */
CORO_TEST(tls_in_the_kernel_sends_nothing_when_asked_for_new_keys)
{
	struct urt_coro *c = serve_with(NULL, wait_for_new_keys);
	/* A read that fails sends an alert, and no close_notify. */
	int end = kernels_part(TLS1_3_VERSION) & URT_TLS_RECEIVES ? -EPROTO : 0;
	struct urt_stream *s;
	char b;

	in_kernel = false;
	s = dial(client_tls());
	say(s, "before");
	hear_line(s, "answer");
	ck_assert_int_eq(urt_tls_update_keys(s), 0);
	say(s, "after");
	ck_assert_int_eq(urt_stream_read(s, &b, 1, SOON), end);
	urt_join(c);
	ck_assert_int_eq(server_result, -EPROTO);
	urt_stream_close(s, SOON);
}

/* ---- what programs are linked with ------------------------------------- */

/* tests/runtime/abi_tls.txt, as abi.txt in linked_test.c. */
START_TEST(tls_interface_for_linked_programs_is_as_it_was)
{
	if (SANITIZED)
		SKIP("a sanitizer exports symbols of its own");
	if (access("liburing_rt_tls.so", R_OK))
		SKIP("the shared library is not here");
	ck_assert_msg(
		!sh("{ nm -D --defined-only liburing_rt_tls.so | awk '$2 != "
		    "\"A\" { print $3 }' | LC_ALL=C sort; echo struct "
		    "urt_tls_options %zu; } | diff "
		    "../../tests/runtime/abi_tls.txt -",
		    sizeof(struct urt_tls_options)),
		"the interface of the library changed:\n%.1000s", text);
}
END_TEST

/* ---- other programs' clients ------------------------------------------- */

/* An example that listens at 127.0.0.1:PORT, from this build. */
static pid_t example(const char *name, int port, const char *target)
{
	char path[64], at[32];
	pid_t pid = fork();

	snprintf(path, sizeof(path), "examples/%s", name);
	snprintf(at, sizeof(at), "127.0.0.1:%d", port);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (target)
			execl(path, path, at, target, certificate, key, NULL);
		else
			execl(path, path, at, certificate, key, NULL);
		_exit(127);
	}
	server_port = port;
	ck_assert_msg(server_listens(), "%s does not listen", name);
	return pid;
}

static void ends_well(pid_t pid)
{
	int status;

	kill(pid, SIGTERM);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

START_TEST(https_example_serves_curl_and_s_client)
{
	int port = net_free_port();
	pid_t pid = example("https", port, NULL);

	if (!sh("command -v curl")) {
		ck_assert_int_eq(
			sh("curl -s --max-time 20 --cacert %s "
			   "https://localhost:%d/a https://localhost:%d/b",
			   ca, port, port),
			0);
		ck_assert_str_eq(text, "/a\n/b\n");
		/* 60: not to be trusted. */
		ck_assert_int_eq(sh("curl -s --max-time 20 https://localhost:%d"
				    "/a",
				    port),
				 60);
	}
	for (int v = 2; v <= 3; v++) {
		ck_assert_int_eq(
			sh("printf 'GET /s HTTP/1.1\\r\\nConnection: close"
			   "\\r\\n\\r\\n' | timeout 90 openssl s_client -quiet "
			   "-verify_return_error -CAfile %s -servername "
			   "localhost -tls1_%d -alpn http/1.1 -connect "
			   "127.0.0.1:%d 2>/dev/null",
			   ca, v, port),
			0);
		ck_assert_ptr_nonnull(strstr(text, "\r\n\r\n/s\n"));
	}
	ends_well(pid);
}
END_TEST

static void write_numbers(void *arg)
{
	for (int i = 0; i < 20000; i++)
		urt_stream_printf(arg, SOON, "%d\n", i);
	urt_tls_shutdown(arg, SOON);
}

static void talk_through_proxy(void *arg)
{
	struct urt_stream *s = dial(client_tls());
	struct urt_coro *c = urt_spawn(write_numbers, s);
	char *line;

	(void)arg;
	for (int i = 0; i < 20000; i++)
		if (urt_stream_read_line(s, &line, NULL, SOON) != 1 ||
		    atoi(line) != i)
			ck_abort_msg("line %d: %s", i, line);
	/* The server has seen the end, and ended, too. */
	ck_assert_int_eq(urt_stream_read_line(s, &line, NULL, SOON), 0);
	urt_join(c);
	urt_stream_close(s, SOON);
}

START_TEST(tls_proxy_example_passes_on_both_ways)
{
	int port = net_free_port(), plain = net_free_port();
	char target[32];
	pid_t echo, proxy;

	snprintf(target, sizeof(target), "127.0.0.1:%d", plain);
	echo = fork();
	if (!echo) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl("examples/echo", "echo", target, NULL);
		_exit(127);
	}
	proxy = example("tlsproxy", port, target);
	snprintf(address, sizeof(address), "127.0.0.1:%d", port);
	ck_assert_int_eq(urt_run(talk_through_proxy, NULL), 0);
	ends_well(proxy);
	kill(echo, SIGKILL);
	waitpid(echo, NULL, 0);
}
END_TEST

static void add_tests_of_the_kernel(TCase *t)
{
	if (!kernel_has_tls()) {
		tcase_add_test(
			t, tls_in_the_kernel_is_tested_where_the_kernel_has_it);
		return;
	}
	tcase_add_test(t, tls_connection_says_what_the_kernel_does_of_it);
	tcase_add_test(t,
		       tls_stream_carries_lines_both_ways_until_close_notify);
	tcase_add_test(t, tls_client_refuses_an_unknown_authority);
	tcase_add_test(t, tls_stream_that_is_cut_short_is_an_error);
	tcase_add_test(t, tls_client_resumes_its_last_session);
	tcase_add_test(t, tls_server_wants_a_clients_certificate_if_told_to);
	tcase_add_loop_test(t, tls_stream_loses_nothing_both_ways_at_once, 0,
			    6);
	tcase_add_test(t, tls_sendfile_sends_between_lines_what_is_in_the_file);
	tcase_add_test(t,
		       tls_in_the_kernel_sends_nothing_when_asked_for_new_keys);
}

Suite *tls_suite(void)
{
	Suite *s = suite_create("tls");
	TCase *t = tcase_create("tls"), *k = tcase_create("kernel");

	tcase_add_unchecked_fixture(t, make_certificates, remove_certificates);
	tcase_add_checked_fixture(t, NULL, free_made);
	tcase_add_test(t,
		       tls_stream_carries_lines_both_ways_until_close_notify);
	tcase_add_test(t, tls_client_refuses_an_unknown_authority);
	tcase_add_test(t, tls_client_refuses_another_name);
	tcase_add_test(t, tls_stream_that_is_cut_short_is_an_error);
	tcase_add_test(t, tls_protocol_is_the_servers_best_that_both_have);
	tcase_add_test(t, tls_client_resumes_its_last_session);
	tcase_add_test(t, tls_server_wants_a_clients_certificate_if_told_to);
	tcase_add_test(t, tls_files_that_are_wrong_are_named);
	tcase_add_test(t,
		       tls_handshake_ends_at_its_deadline_and_when_cancelled);
	tcase_add_loop_test(t, tls_stream_loses_nothing_both_ways_at_once, 0,
			    6);
	tcase_add_test(t, tls_stream_goes_on_with_new_keys);
	tcase_add_test(
		t, tls_stream_is_not_closed_while_the_other_side_reads_slowly);
	tcase_add_test(t, tls_sendfile_sends_between_lines_what_is_in_the_file);
	tcase_add_test(t, tls_connection_says_what_the_kernel_does_of_it);
	tcase_add_test(t, tls_interface_for_linked_programs_is_as_it_was);
	tcase_add_test(t, https_example_serves_curl_and_s_client);
	tcase_add_test(t, tls_proxy_example_passes_on_both_ways);
	suite_add_tcase(s, t);
	tcase_add_unchecked_fixture(k, make_certificates, remove_certificates);
	tcase_add_checked_fixture(k, use_kernel, free_made);
	add_tests_of_the_kernel(k);
	suite_add_tcase(s, k);
	return s;
}

#endif
