// SPDX-License-Identifier: MIT
/* The programs in uring_rt/examples, run as users run them; httpd's tests are in
 * httpd_test.c, those with TLS in tls_examples_test.c. */
#define _GNU_SOURCE
#include "../lib/example.h"
#include <poll.h>
#include <sys/stat.h>

#define PRIMES_10 "2\n3\n5\n7\n11\n13\n17\n19\n23\n29\n"

START_TEST(echo_gives_back_what_it_gets)
{
	int fd[10];

	example_start("echo", NULL, NULL);
	for (int i = 0; i < 10; i++)
		fd[i] = server_connect();
	for (int i = 0; i < 10; i++)
		send_text(fd[i], "hello");
	for (int i = 0; i < 10; i++)
		expect_text(fd[i], "hello");
	shutdown(fd[0], SHUT_WR);
	expect_end(fd[0]);
	example_end();
	for (int i = 1; i < 10; i++)
		expect_end(fd[i]);
	ck_assert_int_eq(server_connect(), -1);
}
END_TEST

START_TEST(proxy_forwards_both_ways)
{
	char target[64];
	pid_t echo;
	int fd;

	example_start("echo", NULL, NULL);
	echo = server;
	snprintf(target, sizeof(target), "localhost:%d", server_port);
	example_start("proxy", target, NULL);
	fd = server_connect();
	send_text(fd, "through ");
	expect_text(fd, "through ");
	send_text(fd, "and back");
	shutdown(fd, SHUT_WR);
	expect_text(fd, "and back");
	expect_end(fd);
	fd = server_connect();
	send_text(fd, "x");
	expect_text(fd, "x");
	example_end();
	expect_end(fd);
	server = echo;
	example_end();
}
END_TEST

START_TEST(proxy_ends_connections_on_which_nothing_comes)
{
	char target[64], much[65536] = "";
	pid_t echo;
	int silent, deaf;

	example_start("echo", NULL, NULL);
	echo = server;
	snprintf(target, sizeof(target), "localhost:%d", server_port);
	example_start("proxy", target, "0.3");
	silent = server_connect();
	deaf = server_connect();
	send_text(silent, "x");
	expect_text(silent, "x");
	expect_end(silent);
	/* Sends without reading, until neither buffer takes more. */
	while (send(deaf, much, sizeof(much), MSG_NOSIGNAL) > 0)
		;
	ck_assert(errno == ECONNRESET || errno == EPIPE);
	example_end();
	server = echo;
	example_end();
}
END_TEST

/* The next line, except those about the client that checked whether the server
 * listens, which comes and leaves at some time. */
static void hear_line(int fd, const char *expected)
{
	char line[256];
	size_t n;

	do {
		for (n = 0; !n || line[n - 1] != '\n'; n++)
			ck_assert_int_eq(recv(fd, &line[n], 1, 0), 1);
		line[n] = '\0';
	} while (!strncmp(line, "(one ", 5) && strcmp(line, expected));
	ck_assert_str_eq(line, expected);
}

START_TEST(chat_room_lets_all_hear_all)
{
	int a, b;

	example_start("chat", NULL, NULL);
	a = server_connect();
	hear_line(a, "(one more)\n");
	b = server_connect();
	hear_line(a, "(one more)\n");
	hear_line(b, "(one more)\n");
	send_text(a, "hi\r\nho");
	hear_line(a, "hi\n");
	hear_line(b, "hi\n");
	send_text(a, "!\n");
	hear_line(a, "ho!\n");
	hear_line(b, "ho!\n");
	close(a);
	hear_line(b, "(one less)\n");
	example_end();
	expect_end(b);
}
END_TEST

START_TEST(sieve_finds_the_primes)
{
	ck_assert_int_eq(sh("examples/sieve 10"), 0);
	ck_assert_str_eq(text, PRIMES_10);
	ck_assert_int_eq(sh("examples/sieve 100 | tail -1"), 0);
	ck_assert_str_eq(text, "541\n");
}
END_TEST

START_TEST(scanner_finds_the_port_that_is_open)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port;
	char line[16];

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, len), 0);
	listen(fd, 1);
	getsockname(fd, (struct sockaddr *)&addr, &len);
	port = ntohs(addr.sin_port);
	ck_assert_int_eq(
		sh("examples/scan 127.0.0.1 %d %d", port - 500, port + 20), 0);
	snprintf(line, sizeof(line), "%d\n", port);
	ck_assert_ptr_nonnull(strstr(text, line));
	close(fd);
	ck_assert_int_eq(sh("examples/scan 127.0.0.1 %d %d", port, port), 0);
	ck_assert_str_eq(text, "");
	ck_assert_int_eq(sh("examples/scan no/name 1 2 2>&1"), 1);
}
END_TEST

/* The published vectors of FNV-1a, 64 bits. */
START_TEST(files_are_hashed)
{
	sh("cd %s && printf '' >e && printf a >a && printf foobar >f",
	   example_dir);
	ck_assert_int_eq(sh("examples/hash %s/e %s/a %s/f", example_dir,
			    example_dir, example_dir),
			 0);
	ck_assert_int_eq(strncmp(text, "cbf29ce484222325", 16), 0);
	ck_assert_ptr_nonnull(strstr(text, "\naf63dc4c8601ec8c"));
	ck_assert_ptr_nonnull(strstr(text, "\n85944171f73967e8"));
	ck_assert_int_eq(sh("examples/hash %s/no 2>&1", example_dir), 1);
	ck_assert_ptr_nonnull(strstr(text, "No such file"));
	/* More files than it opens at a time. */
	sh("cd %s && for i in $(seq 40); do echo $i >n$i; done", example_dir);
	ck_assert_int_eq(sh("examples/hash %s/n* | wc -l", example_dir), 0);
	ck_assert_int_eq(atoi(text), 40);
}
END_TEST

START_TEST(chat_room_ends_members_that_say_or_read_nothing)
{
	static const char line[] = "a line that its speaker does not read\n";
	char buf[256];
	int silent, deaf;

	example_start("chat", "0.3", NULL);
	silent = server_connect();
	while (recv(silent, buf, sizeof(buf), 0) > 0)
		;
	deaf = server_connect();
	while (send(deaf, line, strlen(line), MSG_NOSIGNAL) > 0)
		;
	ck_assert(errno == ECONNRESET || errno == EPIPE);
	example_end();
}
END_TEST

/* ---- fan-out ---- */

enum { ASKED = 20, SILENT = 4 }; /* the last backend refuses connections */

static int listen_somewhere(char address[32])
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, len), 0);
	listen(fd, 10);
	getsockname(fd, (struct sockaddr *)&addr, &len);
	snprintf(address, 32, "127.0.0.1:%d", ntohs(addr.sin_port));
	return fd;
}

/* Reads to the end, into text. */
static void hear_all(int fd)
{
	size_t n = 0;
	ssize_t got;

	while ((got = recv(fd, text + n, sizeof(text) - 1 - n, 0)) > 0)
		n += got;
	text[n] = '\0';
	close(fd);
}

static int times(const char *what)
{
	int n = 0;

	for (const char *p = text; (p = strstr(p, what)); p++)
		n++;
	return n;
}

/* One request; the test plays the backends. False: the machine was too busy. */
static bool ask_fanout(const int listeners[ASKED])
{
	int client = server_connect(), fds[ASKED];
	char b[512];

	send_text(client, "GET /price HTTP/1.1\r\n\r\n");
	for (int i = 0; i < ASKED - 1; i++) {
		struct pollfd p = { listeners[i], POLLIN, 0 };

		fds[i] =
			poll(&p, 1, 100) == 1 ? accept(listeners[i], 0, 0) : -1;
		if (i < SILENT || fds[i] < 0)
			continue;
		if (recv(fds[i], b, sizeof(b), 0) > 0)
			ck_assert_int_eq(
				strncmp(b, "GET /price HTTP/1.1\r\n", 21), 0);
		send(fds[i], "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n42!",
		     41, MSG_NOSIGNAL);
	}
	hear_all(client);
	for (int i = 0; i < ASKED - 1; i++) {
		/* No backend is still asked, whether or not it has answered. */
		while (fds[i] >= 0 && recv(fds[i], b, sizeof(b), 0) > 0)
			;
		close(fds[i]);
	}
	return strstr(text, "\n15 of 20\n");
}

START_TEST(fanout_answers_with_what_came_before_the_deadline)
{
	char address[ASKED][32], *argv[ASKED + 3] = { 0 };
	int listeners[ASKED], rounds = 0;

	for (int i = 0; i < ASKED; i++) {
		listeners[i] = listen_somewhere(address[i]);
		argv[i + 2] = address[i];
	}
	close(listeners[ASKED - 1]);
	example_start_with("fanout", argv);
	while (!ask_fanout(listeners))
		ck_assert_int_lt(rounds++, 100);
	ck_assert_int_eq(times(": 42!\n"), 15);
	ck_assert_int_eq(times(": late\n"), SILENT);
	ck_assert_int_eq(times(": Connection refused\n"), 1);
	example_end();
}
END_TEST

/* ---- events ---- */

static int get(const char *path)
{
	int fd = server_connect();
	char request[100];

	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n\r\n", path);
	send_text(fd, request);
	return fd;
}

/* Reads the number in the answer. */
static int get_number(const char *path)
{
	hear_all(get(path));
	return atoi(strstr(text, "\r\n\r\n") + 4);
}

#define EVENTS                                                       \
	"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" \
	": still here\n\n"

START_TEST(events_are_shown_until_the_client_leaves)
{
	int a, b;

	example_start("events", NULL, NULL);
	a = get("/events");
	expect_text(a, EVENTS);
	b = get("/events");
	expect_text(b, EVENTS);
	ck_assert_int_eq(get_number("/"), 2);
	ck_assert_int_eq(get_number("/publish?hello"), 2);
	expect_text(a, "data: hello\n\n");
	expect_text(b, "data: hello\n\n");
	close(a); /* no message is published that would show this */
	while (get_number("/") != 1)
		;
	ck_assert_int_eq(get_number("/publish?bye"), 1);
	expect_text(b, "data: bye\n\n");
	a = server_connect();
	send_text(a,
		  "POST /publish?x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
	hear_all(a);
	ck_assert_ptr_nonnull(strstr(text, "HTTP/1.1 400 Bad Request\r\n"));
	example_end();
	expect_end(b);
}
END_TEST

/* ---- redis ---- */

#define PUSH(x) "*3\r\n$5\r\nRPUSH\r\n$1\r\nl\r\n$1\r\n" x "\r\n"
#define POP	"*3\r\n$5\r\nblpop\r\n$1\r\nl\r\n$1\r\n0\r\n"
#define IS(x)	"*2\r\n$1\r\nl\r\n$1\r\n" x "\r\n"
#define INCR(x) "*2\r\n$4\r\nINCR\r\n$1\r\n" x "\r\n"

START_TEST(redis_answers_pipelined_commands_in_order)
{
	int a;

	example_start("redis", NULL, NULL);
	a = server_connect();
	send_text(a, "*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\nx\r\n"
		     "*3\r\n$3\r\nset\r\n$1\r\nx\r\n$5\r\na\r\nbc\r\n"
		     "*2\r\n$3\r\nGET\r\n$1\r\nx\r\n" INCR("x") INCR("n"));
	expect_text(a, "+PONG\r\n$-1\r\n+OK\r\n$5\r\na\r\nbc\r\n"
		       "-ERR no number\r\n:1\r\n");
	send_text(a,
		  INCR("n") "*3\r\n$5\r\nBLPOP\r\n$1\r\nl\r\n$4\r\n0.01\r\n");
	expect_text(a, ":2\r\n*-1\r\n");
	send_text(a, "*1\r\n$999999999\r\n");
	expect_text(a, "-ERR Protocol error\r\n");
	expect_end(a);
	server_stop();
}
END_TEST

/* Neither data in the same packet nor later data wake it. */
START_TEST(redis_loses_no_answer_by_an_error_behind_it)
{
	static const char nul[] = "*3\r\n$3\r\nSET\r\n$1\r\nz\r\n$3\r\na\0b\r\n"
				  "*2\r\n$3\r\nGET\r\n$1\r\nz\r\n";
	static char more[1 << 18];
	int a;

	example_start("redis", NULL, NULL);
	a = server_connect();
	/* A value is text: one with a NUL is refused, not cut there. */
	ck_assert_int_eq(send(a, nul, sizeof(nul) - 1, 0), sizeof(nul) - 1);
	expect_text(a, "-ERR no such command\r\n$-1\r\n");
	send_text(a, INCR("n") "nonsense\r\nand more\r\n");
	expect_text(a, ":1\r\n-ERR Protocol error\r\n");
	memset(more, 'x', sizeof(more) - 1);
	send_text(a, more);
	ck_assert_int_eq(recv(a, more, 1, 0), 0);
	close(a);
	a = server_connect();
	send_text(a, "*1x\r\n$4\r\nPING\r\n");
	expect_text(a, "-ERR Protocol error\r\n");
	expect_end(a);
	server_stop();
}
END_TEST

START_TEST(redis_gives_no_element_to_a_client_that_has_left)
{
	int gone, waits, pushes;

	example_start("redis", NULL, NULL);
	gone = server_connect();
	send_text(gone, INCR("n") POP);
	expect_text(gone, ":1\r\n"); /* it goes out before the wait */
	shutdown(gone, SHUT_WR);
	expect_text(gone, "*-1\r\n");
	expect_end(gone);
	waits = server_connect();
	send_text(waits, POP);
	pushes = server_connect();
	send_text(pushes, PUSH("1") PUSH("2"));
	expect_text(waits, IS("1"));
	send_text(pushes, POP);
	expect_text(pushes, ":");
	server_stop();
}
END_TEST

/* ---- as users read and build them ---- */

START_TEST(every_example_has_under_150_lines)
{
	if (access("../../uring_rt/examples", X_OK))
		SKIP("no sources here");
	ck_assert_msg(!sh("cd ../../uring_rt/examples && for x in *.[ch]; do "
			  "[ $(wc -l <$x) -lt 150 ] || { wc -l $x; exit 1; }; "
			  "done"),
		      "%s", text);
}
END_TEST

START_TEST(example_builds_with_pkg_config)
{
	if (SANITIZED)
		SKIP("the library needs the sanitizer's");
	if (sh("command -v pkg-config"))
		SKIP("no pkg-config");
	ck_assert_int_eq(
		sh("cp ../../uring_rt/urt.h ../../uring_rt/examples/*.[ch] %s && "
		   "cp liburing_rt.so %s/liburing_rt.so.0 && cd %s && "
		   "ln -s liburing_rt.so.0 liburing_rt.so",
		   example_dir, example_dir, example_dir),
		0);
	ck_assert_int_eq(sh("sed -e 's|@PREFIX@|%s|; s|@LIBDIR@|%s|; "
			    "s|@VERSION@|0|; s|/include$||' "
			    "../../uring_rt/uring_rt.pc.in >%s/uring_rt.pc",
			    example_dir, example_dir, example_dir),
			 0);
	ck_assert_int_eq(
		sh("cd %s && export PKG_CONFIG_PATH=. && "
		   "for x in $(grep -L urt_tls.h *.c); do "
		   "cc -Wall $x $(pkg-config --cflags --libs uring_rt) "
		   "-o ${x%%.c} 2>&1 || exit 1; done; "
		   "LD_LIBRARY_PATH=. ./sieve 10",
		   example_dir),
		0);
	ck_assert_str_eq(text, PRIMES_10);
}
END_TEST

Suite *examples_suite(void)
{
	Suite *s = suite_create("examples");
	TCase *t = tcase_create("examples");

	tcase_add_checked_fixture(t, example_setup, example_teardown);
	tcase_add_test(t, echo_gives_back_what_it_gets);
	tcase_add_test(t, proxy_forwards_both_ways);
	tcase_add_test(t, chat_room_lets_all_hear_all);
	tcase_add_test(t, sieve_finds_the_primes);
	tcase_add_test(t, scanner_finds_the_port_that_is_open);
	tcase_add_test(t, files_are_hashed);
	tcase_add_test(t, proxy_ends_connections_on_which_nothing_comes);
	tcase_add_test(t, chat_room_ends_members_that_say_or_read_nothing);
	tcase_add_test(t, fanout_answers_with_what_came_before_the_deadline);
	tcase_add_test(t, events_are_shown_until_the_client_leaves);
	tcase_add_test(t, redis_answers_pipelined_commands_in_order);
	tcase_add_test(t, redis_loses_no_answer_by_an_error_behind_it);
	tcase_add_test(t, redis_gives_no_element_to_a_client_that_has_left);
	tcase_add_test(t, every_example_has_under_150_lines);
	tcase_add_test(t, example_builds_with_pkg_config);
	suite_add_tcase(s, t);
	return s;
}
