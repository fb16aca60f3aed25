// SPDX-License-Identifier: MIT
/*
 * TLS connections: certificates, names, sessions, protocols, the kernel's part.
 * Data over streams are in tls_flow_test.c, other programs' clients in
 * tls_examples_test.c.
 */
#define _GNU_SOURCE
#include "../lib/tls.h"
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
	/* It still belongs to the caller. */
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

	/* With TLS 1.3, the client notices when it reads. */
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

/* ---- in the kernel ----------------------------------------------------- */

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

/* The client's keys are not in the kernel, so that it can ask for new ones. */
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

/* ---- the ABI ----------------------------------------------------------- */

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
	tcase_add_test(t, tls_connection_says_what_the_kernel_does_of_it);
	tcase_add_test(t, tls_interface_for_linked_programs_is_as_it_was);
	suite_add_tcase(s, t);
	tcase_add_unchecked_fixture(k, make_certificates, remove_certificates);
	tcase_add_checked_fixture(k, use_kernel, free_made);
	add_tests_of_the_kernel(k);
	suite_add_tcase(s, k);
	return s;
}

#endif
