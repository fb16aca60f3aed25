// SPDX-License-Identifier: MIT
/*
 * The example httpd: files, requests that it refuses and how, and its end. A
 * refused body must not be read as the next request, and no answer may be lost
 * by a close that resets the connection.
 */
#define _GNU_SOURCE
#include "../lib/example.h"

#define BIG (16 << 20)

static void make_site(void)
{
	sh("cd %s && echo '<p>home' >index.html && head -c %d /dev/urandom >big "
	   "&& : >empty && mkdir sub",
	   example_dir, BIG);
}

START_TEST(httpd_serves_files_to_curl)
{
	if (sh("command -v curl"))
		SKIP("no curl");
	make_site();
	example_start("httpd", example_dir, NULL);
#define CURL(path) \
	sh("curl -sS --path-as-is -w '%%{http_code}' " path, server_port)
	CURL("http://127.0.0.1:%d/");
	ck_assert_str_eq(text, "<p>home\n200");
	CURL("http://127.0.0.1:%d/index.html?x=1");
	ck_assert_str_eq(text, "<p>home\n200");
	CURL("http://127.0.0.1:%d/empty");
	ck_assert_str_eq(text, "200");
	for (int i = 0; i < 4; i++) {
		CURL("http://127.0.0.1:%d/../../../../etc/passwd");
		ck_assert_str_eq(text, "404");
	}
	CURL("http://127.0.0.1:%d/sub");
	ck_assert_str_eq(text, "404");
	/* Three on one connection. */
	sh("cd %s && curl -sS http://127.0.0.1:%d/big -o 1 "
	   "http://127.0.0.1:%d/big -o 2 http://127.0.0.1:%d/ -o 3 && "
	   "cmp 1 big && cmp 2 big && cat 3",
	   example_dir, server_port, server_port, server_port);
	ck_assert_str_eq(text, "<p>home\n");
	example_end();
}
END_TEST

static void read_big(int fd, size_t from, size_t to)
{
	char buf[65536];

	while (from < to) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		ck_assert_int_gt(n, 0);
		from += n;
	}
	ck_assert_uint_eq(from, to);
}

#define CLOSES "Content-Length: 0\r\nConnection: close\r\n\r\n"

#define TOO_LARGE                            \
	"HTTP/1.1 413 Content Too Large\r\n" \
	"Content-Length: 0\r\nConnection: close\r\n\r\n"

/* A refused request gets no second answer. */
static void is_refused(const char *request, const char *expected)
{
	int fd = server_connect();

	send_text(fd, request);
	expect_text(fd, expected);
	expect_end(fd);
}

START_TEST(httpd_refuses_bodies_that_it_would_take_for_requests)
{
	char request[1200] = "GET /";

	make_site();
	example_start("httpd", example_dir, NULL);
	is_refused("GET /empty HTTP/1.1\r\nContent-Length: 30\r\n\r\n"
		   "GET /index.html HTTP/1.1\r\n\r\n",
		   TOO_LARGE);
	is_refused("GET /empty HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
		   "0\r\n\r\n",
		   TOO_LARGE);
	is_refused("GET /empty HTTP/1.1\r\nX: y\r\n Content-Length: 3\r\n\r\n",
		   TOO_LARGE);
	is_refused("GET /empty HTTP/1.1\r\ncontent-length : 0\r\n\r\n",
		   TOO_LARGE);
	memset(request + 5, 'a', 1000);
	strcpy(request + 1005, " HTTP/1.1\r\n\r\n");
	is_refused(request, "HTTP/1.1 414 URI Too Long\r\n" CLOSES);
	example_end();
}
END_TEST

START_TEST(httpd_answers_what_is_no_request_that_it_serves)
{
	static char line[20000];
	static const char nul[] =
		"GET /empty HTTP/1.1\r\n\0Content-Length: 9\r\n"
		"\r\nGET / HTTP/1.1\r\n\r\n";
	static const char bad[] = "HTTP/1.1 400 Bad Request\r\n" CLOSES;
	int fd;

	example_start("httpd", example_dir, NULL);
	is_refused("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
		   "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\n" CLOSES);
	is_refused("nonsense\r\n\r\n", bad);
	is_refused("GET / HTTP/1.1\r\nX: a\rContent-Length: 3\r\n\r\n", bad);
	memset(line, 'x', sizeof(line) - 1);
	is_refused(line,
		   "HTTP/1.1 431 Request Header Fields Too Large\r\n" CLOSES);
	/* The line is not empty, so the data after it are not another
	 * request. */
	fd = server_connect();
	ck_assert_int_eq(send(fd, nul, sizeof(nul) - 1, MSG_NOSIGNAL),
			 sizeof(nul) - 1);
	expect_text(fd, bad);
	expect_end(fd);
	example_end();
}
END_TEST

/* A close with unread bytes would reset the connection: sending would fail. */
START_TEST(httpd_takes_the_rest_of_what_it_refuses)
{
	static char part[1 << 16];
	char c;
	int fd;

	make_site();
	example_start("httpd", example_dir, NULL);
	fd = server_connect();
	send_text(fd, "GET /empty HTTP/1.1\r\nContent-Length: 1048576\r\n\r\n");
	expect_text(fd, TOO_LARGE);
	ck_assert_int_eq(recv(fd, &c, 1, 0), 0);
	memset(part, 'x', sizeof(part) - 1);
	for (int i = 0; i < 32; i++)
		send_text(fd, part);
	ck_assert_int_eq(recv(fd, &c, 1, 0), 0);
	close(fd);
	example_end();
}
END_TEST

/* An answer that has begun is finished; an idle connection is closed, and a new
 * one refused. */
START_TEST(httpd_ends_gracefully)
{
	static const char head[] =
		"HTTP/1.1 200 OK\r\nContent-Length: 16777216\r\n\r\n";
	int busy, idle, fd;

	make_site();
	example_start("httpd", example_dir, NULL);
	idle = server_connect();
	send_text(idle, "GET /empty HTTP/1.1\r\n\r\n");
	expect_text(idle, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	busy = server_connect();
	send_text(busy, "GET /big HTTP/1.1\r\n\r\n");
	expect_text(busy, head);
	do {
		ck_assert_int_eq(kill(server, SIGTERM), 0);
		usleep(1000);
		fd = server_connect();
		close(fd);
	} while (fd >= 0);
	ck_assert_int_eq(waitpid(server, NULL, WNOHANG), 0);
	read_big(busy, 0, BIG);
	expect_end(busy);
	expect_end(idle);
	example_await_end();
}
END_TEST

Suite *httpd_suite(void)
{
	Suite *s = suite_create("httpd");
	TCase *t = tcase_create("httpd");

	tcase_add_checked_fixture(t, example_setup, example_teardown);
	tcase_add_test(t, httpd_serves_files_to_curl);
	tcase_add_test(t, httpd_refuses_bodies_that_it_would_take_for_requests);
	tcase_add_test(t, httpd_answers_what_is_no_request_that_it_serves);
	tcase_add_test(t, httpd_takes_the_rest_of_what_it_refuses);
	tcase_add_test(t, httpd_ends_gracefully);
	suite_add_tcase(s, t);
	return s;
}
