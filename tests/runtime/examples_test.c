// SPDX-License-Identifier: MIT
/* The programs in uring_rt/examples, run as users run them. */
#define _GNU_SOURCE
#include "../lib/service.h"
#include <poll.h>
#include <sys/stat.h>

#define PRIMES_10 "2\n3\n5\n7\n11\n13\n17\n19\n23\n29\n"

static char dir[] = "/tmp/urt-examples.XXXXXX";

/* Starts an example that listens at server_port, which becomes argv[1]. */
static void start_with(const char *name, char **argv)
{
	char path[64], address[32];

	snprintf(path, sizeof(path), "examples/%s", name);
	server_port = net_free_port();
	snprintf(address, sizeof(address), "127.0.0.1:%d", server_port);
	argv[0] = path;
	argv[1] = address;
	server = fork();
	if (!server) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execv(path, argv);
		_exit(127);
	}
	ck_assert_msg(server_listens(), "%s does not listen", name);
}

static void start(const char *name, const char *arg, const char *more)
{
	start_with(name,
		   (char *[]){ NULL, NULL, (char *)arg, (char *)more, NULL });
}

/* TSan delays a signal until the thread calls a function that TSan knows, which
 * io_uring_enter is not; so under TSan, the signal is sent again. */
static void await_end(void)
{
	int status;
	pid_t ended;

	for (int ms = 1;
	     !(ended = waitpid(server, &status, TSANITIZED ? WNOHANG : 0));
	     ms++) {
		usleep(1000);
		if (ms % 1000 == 0)
			kill(server, SIGTERM);
	}
	ck_assert_int_eq(ended, server);
	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "status %x",
		      status);
	server = 0;
}

/* Sends SIGTERM, after which it must end by itself, with success. */
static void end(void)
{
	ck_assert_int_eq(kill(server, SIGTERM), 0);
	await_end();
}

static void say(int fd, const char *s)
{
	ck_assert_int_eq(send(fd, s, strlen(s), MSG_NOSIGNAL), strlen(s));
}

/* The next data must be this text. */
static void hear(int fd, const char *expected)
{
	size_t len = strlen(expected), n = 0;
	char buf[4096];

	while (n < len) {
		ssize_t got = recv(fd, buf + n, len - n, 0);

		ck_assert_msg(got > 0, "after \"%.*s\", not \"%s\"", (int)n,
			      buf, expected);
		n += got;
	}
	ck_assert_mem_eq(buf, expected, len);
}

static void hear_end(int fd)
{
	char c;

	ck_assert_int_eq(recv(fd, &c, 1, 0), 0);
	close(fd);
}

START_TEST(echo_gives_back_what_it_gets)
{
	int fd[10];

	start("echo", NULL, NULL);
	for (int i = 0; i < 10; i++)
		fd[i] = server_connect();
	for (int i = 0; i < 10; i++)
		say(fd[i], "hello");
	for (int i = 0; i < 10; i++)
		hear(fd[i], "hello");
	shutdown(fd[0], SHUT_WR);
	hear_end(fd[0]);
	end();
	for (int i = 1; i < 10; i++)
		hear_end(fd[i]);
	ck_assert_int_eq(server_connect(), -1);
}
END_TEST

START_TEST(proxy_forwards_both_ways)
{
	char target[64];
	pid_t echo;
	int fd;

	start("echo", NULL, NULL);
	echo = server;
	snprintf(target, sizeof(target), "localhost:%d", server_port);
	start("proxy", target, NULL);
	fd = server_connect();
	say(fd, "through ");
	hear(fd, "through ");
	say(fd, "and back");
	shutdown(fd, SHUT_WR);
	hear(fd, "and back");
	hear_end(fd);
	fd = server_connect();
	say(fd, "x");
	hear(fd, "x");
	end();
	hear_end(fd);
	server = echo;
	end();
}
END_TEST

START_TEST(proxy_ends_connections_on_which_nothing_comes)
{
	char target[64], much[65536] = "";
	pid_t echo;
	int silent, deaf;

	start("echo", NULL, NULL);
	echo = server;
	snprintf(target, sizeof(target), "localhost:%d", server_port);
	start("proxy", target, "0.3");
	silent = server_connect();
	deaf = server_connect();
	say(silent, "x");
	hear(silent, "x");
	hear_end(silent);
	/* Sends without reading, until neither buffer takes more. */
	while (send(deaf, much, sizeof(much), MSG_NOSIGNAL) > 0)
		;
	ck_assert(errno == ECONNRESET || errno == EPIPE);
	end();
	server = echo;
	end();
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

	start("chat", NULL, NULL);
	a = server_connect();
	hear_line(a, "(one more)\n");
	b = server_connect();
	hear_line(a, "(one more)\n");
	hear_line(b, "(one more)\n");
	say(a, "hi\r\nho");
	hear_line(a, "hi\n");
	hear_line(b, "hi\n");
	say(a, "!\n");
	hear_line(a, "ho!\n");
	hear_line(b, "ho!\n");
	close(a);
	hear_line(b, "(one less)\n");
	end();
	hear_end(b);
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
	sh("cd %s && printf '' >e && printf a >a && printf foobar >f", dir);
	ck_assert_int_eq(sh("examples/hash %s/e %s/a %s/f", dir, dir, dir), 0);
	ck_assert_int_eq(strncmp(text, "cbf29ce484222325", 16), 0);
	ck_assert_ptr_nonnull(strstr(text, "\naf63dc4c8601ec8c"));
	ck_assert_ptr_nonnull(strstr(text, "\n85944171f73967e8"));
	ck_assert_int_eq(sh("examples/hash %s/no 2>&1", dir), 1);
	ck_assert_ptr_nonnull(strstr(text, "No such file"));
	/* More files than it opens at a time. */
	sh("cd %s && for i in $(seq 40); do echo $i >n$i; done", dir);
	ck_assert_int_eq(sh("examples/hash %s/n* | wc -l", dir), 0);
	ck_assert_int_eq(atoi(text), 40);
}
END_TEST

START_TEST(chat_room_ends_members_that_say_or_read_nothing)
{
	static const char line[] = "a line that its speaker does not read\n";
	char buf[256];
	int silent, deaf;

	start("chat", "0.3", NULL);
	silent = server_connect();
	while (recv(silent, buf, sizeof(buf), 0) > 0)
		;
	deaf = server_connect();
	while (send(deaf, line, strlen(line), MSG_NOSIGNAL) > 0)
		;
	ck_assert(errno == ECONNRESET || errno == EPIPE);
	end();
}
END_TEST

/* ---- httpd ---- */

#define BIG (16 << 20)

static void make_site(void)
{
	sh("cd %s && echo '<p>home' >index.html && head -c %d /dev/urandom >big "
	   "&& : >empty && mkdir sub",
	   dir, BIG);
}

START_TEST(httpd_serves_files_to_curl)
{
	if (sh("command -v curl"))
		SKIP("no curl");
	make_site();
	start("httpd", dir, NULL);
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
	   dir, server_port, server_port, server_port);
	ck_assert_str_eq(text, "<p>home\n");
	end();
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

	say(fd, request);
	hear(fd, expected);
	hear_end(fd);
}

START_TEST(httpd_refuses_bodies_that_it_would_take_for_requests)
{
	char request[1200] = "GET /";

	make_site();
	start("httpd", dir, NULL);
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
	end();
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

	start("httpd", dir, NULL);
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
	hear(fd, bad);
	hear_end(fd);
	end();
}
END_TEST

/* A close with unread bytes would reset the connection: sending would fail. */
START_TEST(httpd_takes_the_rest_of_what_it_refuses)
{
	static char part[1 << 16];
	char c;
	int fd;

	make_site();
	start("httpd", dir, NULL);
	fd = server_connect();
	say(fd, "GET /empty HTTP/1.1\r\nContent-Length: 1048576\r\n\r\n");
	hear(fd, TOO_LARGE);
	ck_assert_int_eq(recv(fd, &c, 1, 0), 0);
	memset(part, 'x', sizeof(part) - 1);
	for (int i = 0; i < 32; i++)
		say(fd, part);
	ck_assert_int_eq(recv(fd, &c, 1, 0), 0);
	close(fd);
	end();
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
	start("httpd", dir, NULL);
	idle = server_connect();
	say(idle, "GET /empty HTTP/1.1\r\n\r\n");
	hear(idle, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	busy = server_connect();
	say(busy, "GET /big HTTP/1.1\r\n\r\n");
	hear(busy, head);
	do {
		ck_assert_int_eq(kill(server, SIGTERM), 0);
		usleep(1000);
		fd = server_connect();
		close(fd);
	} while (fd >= 0);
	ck_assert_int_eq(waitpid(server, NULL, WNOHANG), 0);
	read_big(busy, 0, BIG);
	hear_end(busy);
	hear_end(idle);
	await_end();
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

	say(client, "GET /price HTTP/1.1\r\n\r\n");
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
	start_with("fanout", argv);
	while (!ask_fanout(listeners))
		ck_assert_int_lt(rounds++, 100);
	ck_assert_int_eq(times(": 42!\n"), 15);
	ck_assert_int_eq(times(": late\n"), SILENT);
	ck_assert_int_eq(times(": Connection refused\n"), 1);
	end();
}
END_TEST

/* ---- events ---- */

static int get(const char *path)
{
	int fd = server_connect();
	char request[100];

	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n\r\n", path);
	say(fd, request);
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

	start("events", NULL, NULL);
	a = get("/events");
	hear(a, EVENTS);
	b = get("/events");
	hear(b, EVENTS);
	ck_assert_int_eq(get_number("/"), 2);
	ck_assert_int_eq(get_number("/publish?hello"), 2);
	hear(a, "data: hello\n\n");
	hear(b, "data: hello\n\n");
	close(a); /* no message is published that would show this */
	while (get_number("/") != 1)
		;
	ck_assert_int_eq(get_number("/publish?bye"), 1);
	hear(b, "data: bye\n\n");
	a = server_connect();
	say(a, "POST /publish?x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
	hear_all(a);
	ck_assert_ptr_nonnull(strstr(text, "HTTP/1.1 400 Bad Request\r\n"));
	end();
	hear_end(b);
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

	start("redis", NULL, NULL);
	a = server_connect();
	say(a, "*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\nx\r\n"
	       "*3\r\n$3\r\nset\r\n$1\r\nx\r\n$5\r\na\r\nbc\r\n"
	       "*2\r\n$3\r\nGET\r\n$1\r\nx\r\n" INCR("x") INCR("n"));
	hear(a, "+PONG\r\n$-1\r\n+OK\r\n$5\r\na\r\nbc\r\n"
		"-ERR no number\r\n:1\r\n");
	say(a, INCR("n") "*3\r\n$5\r\nBLPOP\r\n$1\r\nl\r\n$4\r\n0.01\r\n");
	hear(a, ":2\r\n*-1\r\n");
	say(a, "*1\r\n$999999999\r\n");
	hear(a, "-ERR Protocol error\r\n");
	hear_end(a);
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

	start("redis", NULL, NULL);
	a = server_connect();
	/* A value is text: one with a NUL is refused, not cut there. */
	ck_assert_int_eq(send(a, nul, sizeof(nul) - 1, 0), sizeof(nul) - 1);
	hear(a, "-ERR no such command\r\n$-1\r\n");
	say(a, INCR("n") "nonsense\r\nand more\r\n");
	hear(a, ":1\r\n-ERR Protocol error\r\n");
	memset(more, 'x', sizeof(more) - 1);
	say(a, more);
	ck_assert_int_eq(recv(a, more, 1, 0), 0);
	close(a);
	a = server_connect();
	say(a, "*1x\r\n$4\r\nPING\r\n");
	hear(a, "-ERR Protocol error\r\n");
	hear_end(a);
	server_stop();
}
END_TEST

START_TEST(redis_gives_no_element_to_a_client_that_has_left)
{
	int gone, waits, pushes;

	start("redis", NULL, NULL);
	gone = server_connect();
	say(gone, INCR("n") POP);
	hear(gone, ":1\r\n"); /* it goes out before the wait */
	shutdown(gone, SHUT_WR);
	hear(gone, "*-1\r\n");
	hear_end(gone);
	waits = server_connect();
	say(waits, POP);
	pushes = server_connect();
	say(pushes, PUSH("1") PUSH("2"));
	hear(waits, IS("1"));
	say(pushes, POP);
	hear(pushes, ":");
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
		   dir, dir, dir),
		0);
	ck_assert_int_eq(sh("sed -e 's|@PREFIX@|%s|; s|@LIBDIR@|%s|; "
			    "s|@VERSION@|0|; s|/include$||' "
			    "../../uring_rt/uring_rt.pc.in >%s/uring_rt.pc",
			    dir, dir, dir),
			 0);
	ck_assert_int_eq(
		sh("cd %s && export PKG_CONFIG_PATH=. && "
		   "for x in $(grep -L urt_tls.h *.c); do "
		   "cc -Wall $x $(pkg-config --cflags --libs uring_rt) "
		   "-o ${x%%.c} 2>&1 || exit 1; done; "
		   "LD_LIBRARY_PATH=. ./sieve 10",
		   dir),
		0);
	ck_assert_str_eq(text, PRIMES_10);
}
END_TEST

static void setup(void)
{
	new_directory(dir);
}

static void teardown(void)
{
	server_stop();
	sh("rm -rf %s", dir);
}

Suite *examples_suite(void)
{
	Suite *s = suite_create("examples");
	TCase *t = tcase_create("examples");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, echo_gives_back_what_it_gets);
	tcase_add_test(t, proxy_forwards_both_ways);
	tcase_add_test(t, chat_room_lets_all_hear_all);
	tcase_add_test(t, sieve_finds_the_primes);
	tcase_add_test(t, scanner_finds_the_port_that_is_open);
	tcase_add_test(t, files_are_hashed);
	tcase_add_test(t, proxy_ends_connections_on_which_nothing_comes);
	tcase_add_test(t, chat_room_ends_members_that_say_or_read_nothing);
	tcase_add_test(t, httpd_serves_files_to_curl);
	tcase_add_test(t, httpd_refuses_bodies_that_it_would_take_for_requests);
	tcase_add_test(t, httpd_answers_what_is_no_request_that_it_serves);
	tcase_add_test(t, httpd_takes_the_rest_of_what_it_refuses);
	tcase_add_test(t, httpd_ends_gracefully);
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
