// SPDX-License-Identifier: MIT
/* The examples with TLS, and other programs' clients. */
#define _GNU_SOURCE
#include "../lib/service.h"
#include "../lib/tls.h"

#ifndef URT_HAVE_TLS

Suite *tls_examples_suite(void)
{
	return suite_create("tls_examples");
}

#else

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
	int code, port = net_free_port();
	pid_t pid = example("https", port, NULL);

	if (!sh("command -v curl")) {
		ck_assert_int_eq(
			sh("curl -s --max-time 20 --cacert %s "
			   "https://localhost:%d/a https://localhost:%d/b",
			   ca, port, port),
			0);
		ck_assert_str_eq(text, "/a\n/b\n");
		/* 60: untrusted. 77: without ca-certificates, on Ubuntu. */
		code = sh("curl -s --max-time 20 https://localhost:%d/a", port);
		ck_assert_msg(code == 60 || code == 77, "code %d", code);
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

Suite *tls_examples_suite(void)
{
	Suite *s = suite_create("tls_examples");
	TCase *t = tcase_create("examples");

	tcase_add_unchecked_fixture(t, make_certificates, remove_certificates);
	tcase_add_checked_fixture(t, NULL, free_made);
	tcase_add_test(t, https_example_serves_curl_and_s_client);
	tcase_add_test(t, tls_proxy_example_passes_on_both_ways);
	suite_add_tcase(s, t);
	return s;
}

#endif
