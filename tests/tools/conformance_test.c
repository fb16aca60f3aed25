// SPDX-License-Identifier: MIT
/*
 * One service, several servers: what each model answers, byte for byte, to
 * requests good and bad, whole and in pieces, and what it does with clients
 * that are slow, greedy or gone. All models must pass the same tests; a peer
 * whose program is not installed is skipped, visibly.
 */
#define _GNU_SOURCE
#include "../../tools/lib/burn.h"
#include "../lib/service.h"
#include <dirent.h>
#include <poll.h>
#include <time.h>

#define ANSWER(status, length, field, body)                           \
	"HTTP/1.1 " status "\r\nContent-Length: " length "\r\n" field \
	"\r\n" body
#define CLOSE	     "Connection: close\r\n"
#define OK_ANSWER    ANSWER("200 OK", "3", "", "ok\n")
#define CLOSE_ANSWER ANSWER("200 OK", "3", CLOSE, "ok\n")
#define OLD_ANSWER   ANSWER("200 OK", "3", "Connection: keep-alive\r\n", "ok\n")
#define BAD_ANSWER   ANSWER("400 Bad Request", "4", CLOSE, "bad\n")
#define NONE_ANSWER  ANSWER("404 Not Found", "8", CLOSE, "no such\n")
#define LARGE_ANSWER \
	ANSWER("431 Request Header Fields Too Large", "4", CLOSE, "big\n")
#define GET(path) "GET " path " HTTP/1.1\r\n"
#define END	  "Host: x\r\n\r\n"

/* Whether an earlier row is served by the same program, called the same way. */
static bool is_again(const struct model *m)
{
	for (const struct model *e = models; e < m; e++)
		if (e->run == m->run && e->source == m->source &&
		    e->argument == m->argument)
			return true;
	return false;
}

/* A model's server, for the length of a test. False: skipped. */
static bool serving(const char *model)
{
	if (is_again(model_find(model)))
		return false;
	if (not_here(model)) {
		fprintf(stderr, "SKIP %s: not installed: `make peers`\n",
			model);
		return false;
	}
	server_start(model, NULL, NULL);
	return true;
}

/* It is still there, and still answers. */
static void stops_well(const char *model)
{
	char in[256];
	int fd = server_connect();

	ck_assert_msg(fd >= 0, "%s does not listen any more", model);
	send(fd, GET("/") END, strlen(GET("/") END), MSG_NOSIGNAL);
	ck_assert_msg(recv(fd, in, sizeof(in), 0) > 0, "%s is stuck", model);
	close(fd);
	ck_assert_int_eq(waitpid(server, NULL, WNOHANG), 0);
	server_stop();
}

static void put(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n <= 0)
			return; /* it has closed: what it said tells why */
		p += n;
		len -= n;
	}
}

/* Reads up to `want` bytes or until the server closes; how many. *closed:
 * it did. */
static size_t get(int fd, char *in, size_t want, bool *closed)
{
	size_t got = 0;
	ssize_t n = 1;

	while (got < want && (n = recv(fd, in + got, want - got, 0)) > 0)
		got += n;
	ck_assert_msg(n >= 0 || errno == ECONNRESET, "no answer in a minute");
	*closed = n <= 0;
	return got;
}

/* ---- one request each ---- */

static const struct {
	const char *request;
	size_t len; /* 0: up to its end */
	const char *answer;
} cases[] = {
	{ GET("/") END, 0, OK_ANSWER },
	{ GET("/") "\r\n", 0, OK_ANSWER },
	{ GET("/wait?ms=5") END, 0, OK_ANSWER },
	{ GET("/wait?ms=0") END, 0, OK_ANSWER },
	{ GET("/cpu?ms=1") END, 0, OK_ANSWER },
	{ GET("/") "Content-Length: 0\r\n" END, 0, OK_ANSWER },
	{ GET("/") "X:\r\nY: \t \r\nZ: a:b;c=\"\xff\"\r\n" END, 0, OK_ANSWER },
	{ GET("/none") END, 0, NONE_ANSWER },
	{ GET("/wait") END, 0, NONE_ANSWER },
	{ GET("/wait?s=1") END, 0, NONE_ANSWER },
	{ GET("//") END, 0, NONE_ANSWER },
	{ GET("/?") END, 0, NONE_ANSWER },
	{ GET("/wait?ms=") END, 0, BAD_ANSWER },
	{ GET("/wait?ms=x") END, 0, BAD_ANSWER },
	{ GET("/wait?ms=-1") END, 0, BAD_ANSWER },
	{ GET("/wait?ms=1x") END, 0, BAD_ANSWER },
	{ GET("/wait?ms=60001") END, 0, BAD_ANSWER },
	{ GET("/cpu?ms=99999999999999999999") END, 0, BAD_ANSWER },
	{ "nonsense\r\n\r\n", 0, BAD_ANSWER },
	{ "\r\n\r\n", 0, BAD_ANSWER },
	{ "\r\n" GET("/") END, 0, BAD_ANSWER },
	{ "POST / HTTP/1.1\r\n" END, 0, BAD_ANSWER },
	{ "get / HTTP/1.1\r\n" END, 0, BAD_ANSWER },
	{ "GET / HTTP/1.0\r\n" END, 0, CLOSE_ANSWER },
	{ "GET /wait?ms=3 HTTP/1.0\r\n" END, 0, CLOSE_ANSWER },
	{ "GET / HTTP/1.0\r\nConnection: close\r\n" END, 0, CLOSE_ANSWER },
	{ "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n" END, 0, OLD_ANSWER },
	{ "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n" END, 0,
	  CLOSE_ANSWER },
	{ "GET / HTTP/1.0\r\nHost x\r\n" END, 0, BAD_ANSWER },
	{ GET("/") "Connection: close\r\n" END, 0, CLOSE_ANSWER },
	{ GET("/wait?ms=3") "Connection: close\r\n" END, 0, CLOSE_ANSWER },
	{ GET("/cpu?ms=1") "Connection:\tclose\r\n" END, 0, CLOSE_ANSWER },
	{ GET("/") "connection: a , CLOSE\r\n" END, 0, CLOSE_ANSWER },
	{ GET("/") "Connection: a\r\nConnection: close\r\n" END, 0,
	  CLOSE_ANSWER },
	{ GET("/") "Connection: keep-alive\r\n" END, 0, OK_ANSWER },
	{ GET("/") "Connection: closed\r\n" END, 0, OK_ANSWER },
	{ GET("/") "X-Connection: close\r\n" END, 0, OK_ANSWER },
	{ GET("/") "Connection: close\r\n" END GET("/") END, 0, CLOSE_ANSWER },
	{ "GET / HTTP/1.2\r\n" END, 0, BAD_ANSWER },
	{ "GET /\r\n" END, 0, BAD_ANSWER },
	{ "GET  / HTTP/1.1\r\n" END, 0, BAD_ANSWER },
	{ "GET / HTTP/1.1 \r\n" END, 0, BAD_ANSWER },
	{ "GET /a b HTTP/1.1\r\n" END, 0, BAD_ANSWER },
	{ "GET x HTTP/1.1\r\n" END, 0, BAD_ANSWER },
	{ GET("/\x01") END, 0, BAD_ANSWER },
	{ GET("/\xc3\xa4") END, 0, BAD_ANSWER },
	{ GET("/") "Host x\r\n" END, 0, BAD_ANSWER },
	{ GET("/") "Host : x\r\n" END, 0, BAD_ANSWER },
	{ GET("/") ": x\r\n" END, 0, BAD_ANSWER },
	{ GET("/") " folded\r\n" END, 0, BAD_ANSWER },
	{ GET("/") "X: \x7f\r\n" END, 0, BAD_ANSWER },
	{ GET("/") "X: a\nY: b\r\n" END, 0, BAD_ANSWER },
	{ GET("/") "X: a\rY: b\r\n" END, 0, BAD_ANSWER },
	{ GET("/") "X: \0\r\n" END, sizeof(GET("/") "X: \0\r\n" END) - 1,
	  BAD_ANSWER },
	{ GET("/none") "X: \x01\r\n" END, 0, BAD_ANSWER },
	{ GET("/") "Content-Length: 5\r\n" END, 0, BAD_ANSWER },
	{ GET("/") "content-length:\r\n" END, 0, BAD_ANSWER },
	{ GET("/") "Content-Length: 00x\r\n" END, 0, BAD_ANSWER },
	{ GET("/") "Transfer-Encoding: chunked\r\n" END, 0, BAD_ANSWER },
	{ "\x16\x03\x01\x02\0\x01\r\n\r\n", 10, BAD_ANSWER },
};

START_TEST(every_model_gives_the_same_answers)
{
	if (!serving(models[_i].name))
		return;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		size_t want = strlen(cases[i].answer);
		bool fine = !strstr(cases[i].answer, CLOSE), closed;
		char in[512];
		int fd = server_connect();

		ck_assert_int_ge(fd, 0);
		put(fd, cases[i].request,
		    cases[i].len ? cases[i].len : strlen(cases[i].request));
		/* The last answer of a connection: one byte more does not come. */
		want = get(fd, in, fine ? want : sizeof(in) - 1, &closed);
		in[want] = '\0';
		ck_assert_msg(!strcmp(in, cases[i].answer),
			      "%s: \"%s\" is answered \"%s\"", models[_i].name,
			      cases[i].request, in);
		ck_assert_msg(closed == !fine, "%s: \"%s\": closed",
			      models[_i].name, cases[i].request);
		close(fd);
	}
	stops_well(models[_i].name);
}
END_TEST

/* ---- heads that are too large ---- */

/* A head of so many bytes that never ends, or does at the end. */
static char *large(size_t len, bool ends)
{
	char *p = malloc(len + 1);
	int head = sprintf(p, GET("/") "X: ");

	memset(p + head, 'x', len - head);
	if (ends)
		memcpy(p + len - 4, "\r\n\r\n", 4);
	p[len] = '\0';
	return p;
}

START_TEST(every_model_limits_the_head)
{
	static const struct {
		size_t len;
		bool ends;
		const char *answer;
	} heads[] = {
		{ 4095, true, OK_ANSWER },    { 4096, true, OK_ANSWER },
		{ 4097, true, LARGE_ANSWER }, { 4096, false, LARGE_ANSWER },
		{ 8192, true, LARGE_ANSWER }, { 100000, false, LARGE_ANSWER },
	};

	if (!serving(models[_i].name))
		return;
	for (unsigned i = 0; i < ARRAY_LEN(heads); i++) {
		char in[512], *head = large(heads[i].len, heads[i].ends);
		size_t want = strlen(heads[i].answer);
		int fd = server_connect();
		bool closed;

		put(fd, head, heads[i].len);
		in[get(fd, in, want, &closed)] = '\0';
		ck_assert_msg(!strcmp(in, heads[i].answer),
			      "%s: %zu bytes are answered \"%s\"",
			      models[_i].name, heads[i].len, in);
		close(fd);
		free(head);
	}
	stops_well(models[_i].name);
}
END_TEST

/* Much more of what is refused comes than fits the buffers, and only after it was
 * refused: a close would reset the connection, and could destroy the answer. */
START_TEST(every_model_takes_the_rest_of_what_it_refuses)
{
	static const struct {
		const char *begin, *answer;
	} refused[] = {
		{ "POST / HTTP/1.1\r\nContent-Length: 8388608\r\n\r\n",
		  BAD_ANSWER },
		{ GET("/none") END, NONE_ANSWER },
	};
	static char part[1 << 20];
	char in[512];
	bool closed;

	if (!serving(models[_i].name))
		return;
	for (unsigned i = 0; i < ARRAY_LEN(refused); i++) {
		int fd = server_connect();

		put(fd, refused[i].begin, strlen(refused[i].begin));
		in[get(fd, in, sizeof(in) - 1, &closed)] = '\0';
		ck_assert_str_eq(in, refused[i].answer);
		for (int k = 0; k < 8; k++) {
			size_t sent = 0;
			ssize_t n;

			while (sent < sizeof(part) &&
			       (n = send(fd, part + sent, sizeof(part) - sent,
					 MSG_NOSIGNAL)) > 0)
				sent += n;
			ck_assert_msg(sent == sizeof(part), "%s: MiB %d: %m",
				      models[_i].name, k);
		}
		shutdown(fd, SHUT_WR);
		ck_assert_int_eq(recv(fd, in, 1, 0), 0);
		close(fd);
	}
	stops_well(models[_i].name);
}
END_TEST

/* ---- pieces and heaps ---- */

START_TEST(every_model_puts_split_requests_together)
{
	const char *request = GET("/wait?ms=1") "Host: x\r\nA: b\r\n\r\n";
	bool closed;
	char in[512];
	int fd;

	if (!serving(models[_i].name))
		return;
	fd = server_connect();
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	for (const char *p = request; *p; p++) {
		put(fd, p, 1);
		if (p - request < 20)
			usleep(2000); /* so that some come one by one */
	}
	in[get(fd, in, strlen(OK_ANSWER), &closed)] = '\0';
	ck_assert_str_eq(in, OK_ANSWER);
	close(fd);
	stops_well(models[_i].name);
}
END_TEST

START_TEST(every_model_answers_pipelined_requests_in_order)
{
	static const char requests[] = GET("/") END GET("/wait?ms=20")
		END GET("/") END "nonsense\r\n\r\n" GET("/") END;
	static const char answers[] = OK_ANSWER OK_ANSWER OK_ANSWER BAD_ANSWER;
	char in[1024];
	bool closed;
	int fd;

	if (!serving(models[_i].name))
		return;
	fd = server_connect();
	put(fd, requests, strlen(requests));
	in[get(fd, in, sizeof(in) - 1, &closed)] = '\0';
	ck_assert_str_eq(in, answers);
	ck_assert(closed);
	close(fd);
	stops_well(models[_i].name);
}
END_TEST

#define MANY 20000

/* Sends all, and only then reads: the server has to wait for it. */
START_TEST(every_model_waits_for_a_client_that_does_not_read)
{
	static const char request[] = GET("/") "\r\n";
	size_t want = MANY * strlen(OK_ANSWER), got;
	char *in = malloc(want);
	bool closed;
	pid_t sender;
	int fd;

	if (!serving(models[_i].name))
		return;
	fd = server_connect();
	sender = fork();
	if (!sender) {
		for (int i = 0; i < MANY; i++)
			put(fd, request, strlen(request));
		_exit(0);
	}
	usleep(100000); /* as long as it takes to fill the buffers */
	got = get(fd, in, want, &closed);
	ck_assert_uint_eq(got, want);
	for (size_t i = 0; i < want; i += strlen(OK_ANSWER))
		ck_assert(!memcmp(in + i, OK_ANSWER, strlen(OK_ANSWER)));
	waitpid(sender, NULL, 0);
	close(fd);
	free(in);
	stops_well(models[_i].name);
}
END_TEST

/* ---- clients that leave ---- */

START_TEST(every_model_answers_a_client_that_has_said_all)
{
	static const struct {
		const char *request, *answers;
	} halves[] = {
		{ GET("/") END, OK_ANSWER },
		{ GET("/wait?ms=30") END, OK_ANSWER },
		{ GET("/wait?ms=10") END GET("/") END, OK_ANSWER OK_ANSWER },
		{ GET("/wait?ms=10") END "GET / HT", OK_ANSWER },
		{ "GET / HT", "" },
		{ "", "" },
	};

	if (!serving(models[_i].name))
		return;
	for (unsigned i = 0; i < ARRAY_LEN(halves); i++) {
		char in[512];
		bool closed;
		int fd = server_connect();

		put(fd, halves[i].request, strlen(halves[i].request));
		shutdown(fd, SHUT_WR);
		in[get(fd, in, sizeof(in) - 1, &closed)] = '\0';
		ck_assert_msg(!strcmp(in, halves[i].answers),
			      "%s: \"%s\" is answered \"%s\"", models[_i].name,
			      halves[i].request, in);
		ck_assert(closed);
		close(fd);
	}
	stops_well(models[_i].name);
}
END_TEST

/* Of its descriptors, those of clients; a runtime may open others at any time. */
static int open_sockets(void)
{
	char path[64], name[600], to[16];
	struct dirent *e;
	int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", server);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		n += readlink(name, to, sizeof(to)) > 7 &&
		     !strncmp(to, "socket:", 7);
	}
	if (d)
		closedir(d);
	return n;
}

/* A client that leaves in the middle of something: how is chosen by i. */
static void leave(unsigned i)
{
	static const char *const begun[] = {
		"",
		"GET / HT",
		GET("/wait?ms=20") END,
		GET("/wait?ms=20") END GET("/wait?ms=20") END,
		GET("/") END GET("/") END GET("/") END,
	};
	const char *request = begun[i % ARRAY_LEN(begun)];
	struct linger reset = { 1, 0 };
	int fd = server_connect();

	ck_assert_int_ge(fd, 0);
	put(fd, request, strlen(request));
	if (i / ARRAY_LEN(begun) % 2)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
}

/* Its sockets are those of before; they may need a moment. */
static void has_closed_all(const char *model, int before)
{
	int now = 0;

	for (int i = 0; i < 6000; i++) {
		now = open_sockets();
		if (now <= before)
			return;
		usleep(10000);
	}
	ck_abort_msg("%s keeps %d sockets of clients that left", model,
		     now - before);
}

/* So it has what it makes once and keeps: clients can connect before its runtime
 * has started, which has a pair of sockets, too. */
static void has_answered(void)
{
	static const char request[] =
		GET("/wait?ms=1") "Connection: close\r\n" END;
	int fd = server_connect();
	char in[512];
	bool closed;

	put(fd, request, strlen(request));
	in[get(fd, in, sizeof(in) - 1, &closed)] = '\0';
	ck_assert_str_eq(in, CLOSE_ANSWER);
	close(fd);
}

static long resident_kb(void)
{
	sh("grep VmRSS: /proc/%d/status | tr -dc 0-9", server);
	return atol(text);
}

START_TEST(every_model_forgets_clients_that_leave)
{
	bool in_c = _i < 4;
	int before;
	long kb, grown = 0;

	if (!serving(models[_i].name))
		return;
	leave(2);
	has_answered();
	before = open_sockets();
	/* Stacks and the like are kept for the next ones; a leak continues:
	 * 1000 connections would be 4 MB at the least. */
	for (unsigned batch = 0; batch < 4; batch++) {
		kb = resident_kb();
		for (unsigned i = 0; i < 1000; i++)
			leave(i);
		has_closed_all(models[_i].name, before);
		grown = resident_kb() - kb;
		if (!in_c || SANITIZED || grown < 2000)
			break;
	}
	if (in_c && !SANITIZED)
		ck_assert_msg(grown < 2000, "%s grows by %ld KB",
			      models[_i].name, grown);
	stops_well(models[_i].name);
}
END_TEST

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static double cpu_s(pid_t pid)
{
	struct timespec ts;
	clockid_t clock;

	ck_assert(!clock_getcpuclockid(pid, &clock) &&
		  !clock_gettime(clock, &ts));
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

#define FEW 64 /* descriptors */

/* More clients than descriptors: the server does not spin on those that it
 * cannot accept, and accepts them when others have left. */
START_TEST(every_model_rests_while_descriptors_are_short)
{
	double cpu = 1, begin;
	int fds[2 * FEW];
	bool closed;
	char in[64];

	server_descriptors = FEW;
	if (!serving(models[_i].name))
		return;
	for (int i = 0; i < 2 * FEW; i++)
		fds[i] = server_connect();
	/* Wall time of a client, CPU time of the server: half is a spin. A
	 * runtime that still compiles is given some more rounds. */
	for (int i = 0; i < 10 && cpu > 0.15; i++) {
		cpu = cpu_s(server);
		begin = now_s();
		while (now_s() - begin < 0.3)
			usleep(10000);
		cpu = cpu_s(server) - cpu;
	}
	ck_assert_msg(SANITIZED || cpu < 0.15, "%s uses %.2f s of CPU in 0.3 s",
		      models[_i].name, cpu);
	for (int i = 0; i < 2 * FEW; i++)
		close(fds[i]);
	for (int i = 0; i < 3000; i++) {
		fds[0] = server_connect();
		ck_assert_int_ge(fds[0], 0);
		put(fds[0], GET("/") END, strlen(GET("/") END));
		if (get(fds[0], in, strlen(OK_ANSWER), &closed))
			break;
		close(fds[0]);
	}
	ck_assert(!closed);
	close(fds[0]);
	stops_well(models[_i].name);
}
END_TEST

START_TEST(every_model_outlives_any_bytes)
{
	uint64_t r = seed();

	if (!serving(models[_i].name))
		return;
	for (int i = 0; i < 200; i++) {
		char buf[300], in[4096];
		size_t len = 1 + rnd(&r) % (sizeof(buf) - 1);
		int fd = server_connect();
		bool closed;

		memset(buf, 'x', sizeof(buf));
		strcpy(buf, GET("/wait?ms=1") "A: b\r\n\r\n" GET("/") END);
		for (unsigned k = rnd(&r) % 8; k; k--)
			buf[rnd(&r) % sizeof(buf)] = rnd(&r);
		put(fd, buf, len);
		shutdown(fd, SHUT_WR);
		get(fd, in, sizeof(in), &closed);
		ck_assert(closed);
		close(fd);
	}
	stops_well(models[_i].name);
}
END_TEST

/* ---- programs of other languages ---- */

/* Runs node's server for a request with this HOME; where it was unpacked. */
static void unpacked_in(const char *home, char *path, size_t size)
{
	int port = net_free_port();

	ck_assert_int_eq(
		sh("env -u XDG_CACHE_HOME -u HOME %s%s ./urt serve node "
		   "--port %d >/dev/null & pid=$!; ./urt load --wait 20 -n 1 "
		   "http://127.0.0.1:%d/ >/dev/null; "
		   "tr '\\0' '\\n' </proc/$pid/cmdline | grep node.js; "
		   "kill $pid",
		   home ? "HOME=" : "", home ? home : "", port, port),
		0);
	text[strcspn(text, "\n")] = '\0';
	snprintf(path, size, "%.400s", text);
}

/* Such a directory is removed when its server is gone. */
static void is_temporary(const char *path)
{
	ck_assert_msg(!strncmp(path, "/tmp/urt-cache-", 15), "%s", path);
	ck_assert_int_eq(sh("timeout 90 sh -c 'while [ -e $(dirname %s) ]; do "
			    "sleep 0.02; done'",
			    path),
			 0);
}

/* What is unpacked is run: nobody else may be able to write there. */
START_TEST(models_are_unpacked_where_only_we_can_write)
{
	static const char *const unsafe[] = {
		"home-open",	   /* all may write to it */
		"home-open/inner", /* all may rename it */
		"home-link",	   /* leads to the first one */
		"home-cache-open", /* only .cache is open */
	};
	char path[512], here[256], home[300];

	if (not_here("node"))
		SKIP("Node is not installed");
	ck_assert_int_eq(sh("rm -rf home-*; mkdir -m 700 home-ours; "
			    "mkdir -p home-open/inner home-cache-open/.cache; "
			    "chmod 777 home-open home-cache-open/.cache; "
			    "chmod 700 home-open/inner; "
			    "ln -s home-open home-link; pwd"),
			 0);
	text[strcspn(text, "\n")] = '\0';
	snprintf(here, sizeof(here), "%.200s", text);
	snprintf(home, sizeof(home), "%s/home-ours", here);
	unpacked_in(home, path, sizeof(path));
	ck_assert_msg(!strncmp(path, home, strlen(home)) ||
			      !strncmp(path, "/tmp/urt-cache-", 15),
		      "%s", path);
	for (unsigned i = 0; i < ARRAY_LEN(unsafe); i++) {
		snprintf(home, sizeof(home), "%s/%s", here, unsafe[i]);
		unpacked_in(home, path, sizeof(path));
		is_temporary(path);
	}
	unpacked_in(NULL, path, sizeof(path));
	is_temporary(path);
	if (!geteuid()) { /* as under a sudo that keeps HOME */
		sh("chown 12345 home-ours");
		snprintf(home, sizeof(home), "%s/home-ours", here);
		unpacked_in(home, path, sizeof(path));
		is_temporary(path);
	}
	sh("rm -rf home-*");
}
END_TEST

/* ---- Redis ---- */

static pid_t redis;
static int redis_port;

static void redis_start(void)
{
	char port[8];

	redis_port = net_free_port();
	snprintf(port, sizeof(port), "%d", redis_port);
	redis = fork();
	if (!redis) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(1);
		execlp("redis-server", "redis-server", "--port", port, "--bind",
		       "127.0.0.1", "--save", "", "--daemonize", "no", NULL);
		_exit(127);
	}
	for (int i = 0; i < 500; i++) {
		int http_port = server_port, fd;

		server_port = redis_port;
		fd = server_connect();
		server_port = http_port;
		if (fd >= 0) {
			close(fd);
			return;
		}
		usleep(10000);
	}
	ck_abort_msg("redis-server does not listen");
}

/* What Redis says to a command. */
static void redis_says(const char *command, char *in, size_t size)
{
	int port = server_port, fd;
	bool closed;

	server_port = redis_port;
	fd = server_connect();
	server_port = port;
	ck_assert_int_ge(fd, 0);
	put(fd, command, strlen(command));
	shutdown(fd, SHUT_WR);
	in[get(fd, in, size - 1, &closed)] = '\0';
	close(fd);
}

/* Redis may not have seen yet that a connection was closed. */
static void connected_to_redis(int most)
{
	char in[8192];
	int n = 0;

	for (int i = 0; i < 600; i++) {
		redis_says("INFO clients\r\n", in, sizeof(in));
		ck_assert_ptr_nonnull(strstr(in, "connected_clients:"));
		n = atoi(strstr(in, "connected_clients:") + 18);
		if (n <= most)
			return;
		usleep(100000);
	}
	ck_abort_msg("%d connections to Redis, %d are enough", n, most);
}

/* More clients than connections: some wait in line, and all are answered. */
START_TEST(every_model_shares_its_connections_to_redis)
{
	char url[64], in[8192];
	bool closed;
	int fd;

	if (sh("command -v redis-server >/dev/null") ||
	    not_here(models[_i].name)) {
		fprintf(stderr, "SKIP %s with Redis: not installed\n",
			models[_i].name);
		return;
	}
	redis_start();
	snprintf(url, sizeof(url), "redis://127.0.0.1:%d", redis_port);
	server_start(models[_i].name, "--backend", url);
	ck_assert_int_eq(sh("./urt load --json -c 150 -n 3000 "
			    "'http://127.0.0.1:%d/wait?ms=512' 2>/dev/null",
			    server_port),
			 0);
	ck_assert(figure(NULL, "errors") == 0);
	ck_assert(figure(NULL, "requests") > 150);
	redis_says("GET urt:512\r\n", in, sizeof(in));
	ck_assert_str_eq(in, "$3\r\n512\r\n");
	for (unsigned i = 0; i < 200; i++)
		leave(i);
	connected_to_redis(66);
	kill(redis, SIGKILL);
	waitpid(redis, NULL, 0);
	/* Without it, a client that waits is hung up on, and only that. */
	fd = server_connect();
	put(fd, GET("/wait?ms=1") END, strlen(GET("/wait?ms=1") END));
	get(fd, in, sizeof(in), &closed);
	ck_assert_msg(closed, "%s does not hang up", models[_i].name);
	close(fd);
	stops_well(models[_i].name);
}
END_TEST

/* ---- the end ---- */

/* Also where the kernel still has the server's ring. */
START_TEST(every_model_leaves_its_port_free)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), status;
	struct sockaddr_in addr;

	if (model_is_program(&models[_i]))
		return; /* its own affair */
	server_start(models[_i].name, NULL, NULL);
	addr = server_address();
	kill(server, SIGTERM);
	ck_assert_int_eq(waitpid(server, &status, 0), server);
	server = 0;
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM,
		      "status %x", status);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	ck_assert_msg(!bind(fd, (struct sockaddr *)&addr, sizeof(addr)),
		      "%s: %m", models[_i].name);
	close(fd);
}
END_TEST

/* ---- CPU ---- */

static double ms_since(const struct timespec *begin)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - begin->tv_sec) * 1e3 +
	       (now.tv_nsec - begin->tv_nsec) / 1e6;
}

/* The least of several is the work; the rest is what else the machine does, which
 * the same work here meets as well. */
START_TEST(every_model_burns_as_much_cpu_as_it_is_told)
{
	double least = 1e9, own = 1e9;

	if (!serving(models[_i].name))
		return;
	burn_calibrate();
	for (int i = 0; i < 5; i++) {
		struct timespec begin;
		char in[64];
		bool closed;
		int fd = server_connect();

		clock_gettime(CLOCK_MONOTONIC, &begin);
		put(fd, GET("/cpu?ms=40") END, strlen(GET("/cpu?ms=40") END));
		get(fd, in, strlen(OK_ANSWER), &closed);
		if (ms_since(&begin) < least)
			least = ms_since(&begin);
		close(fd);
		clock_gettime(CLOCK_MONOTONIC, &begin);
		burn(40 * INT64_C(1000000));
		if (ms_since(&begin) < own)
			own = ms_since(&begin);
	}
	ck_assert_msg(least > 20, "%s: %.1f ms instead of 40", models[_i].name,
		      least);
	ck_assert_msg(least < 5 * own, "%s: %.1f ms instead of %.1f",
		      models[_i].name, least, own);
	stops_well(models[_i].name);
}
END_TEST

Suite *conformance_suite(void)
{
	Suite *s = suite_create("conformance");
	TCase *t = tcase_create("models");
	int n = nr_models;

	tcase_set_timeout(t, 240);
	tcase_add_loop_test(t, every_model_gives_the_same_answers, 0, n);
	tcase_add_loop_test(t, every_model_leaves_its_port_free, 0, n);
	tcase_add_loop_test(t, every_model_limits_the_head, 0, n);
	tcase_add_loop_test(t, every_model_takes_the_rest_of_what_it_refuses, 0,
			    n);
	tcase_add_loop_test(t, every_model_puts_split_requests_together, 0, n);
	tcase_add_loop_test(t, every_model_answers_pipelined_requests_in_order,
			    0, n);
	tcase_add_loop_test(
		t, every_model_waits_for_a_client_that_does_not_read, 0, n);
	tcase_add_loop_test(t, every_model_answers_a_client_that_has_said_all,
			    0, n);
	tcase_add_loop_test(t, every_model_forgets_clients_that_leave, 0, n);
	tcase_add_loop_test(t, every_model_rests_while_descriptors_are_short, 0,
			    n);
	tcase_add_loop_test(t, every_model_outlives_any_bytes, 0, n);
	tcase_add_test(t, models_are_unpacked_where_only_we_can_write);
	tcase_add_loop_test(t, every_model_shares_its_connections_to_redis, 0,
			    n);
	tcase_add_loop_test(t, every_model_burns_as_much_cpu_as_it_is_told, 0,
			    n);
	suite_add_tcase(s, t);
	return s;
}
