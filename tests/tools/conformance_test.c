// SPDX-License-Identifier: MIT
/*
 * One service, several servers: the answers of each model, byte for byte, to
 * good and bad requests, whole and in pieces. All models must pass the same
 * tests; a peer whose program is not installed is skipped visibly. Clients that
 * are slow, greedy or gone are in conformance_clients_test.c.
 */
#define _GNU_SOURCE
#include "../../tools/lib/burn.h"
#include "../../tools/lib/tool.h"
#include "../lib/conformance.h"
#include <time.h>

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
	{ GET("/chain?ms=2") END, 0, OK_ANSWER },
	{ GET("/chain?ms=0") END, 0, OK_ANSWER },
	{ GET("/fan?ms=2") END, 0, OK_ANSWER },
	{ GET("/fan?ms=0") END, 0, OK_ANSWER },
	{ GET("/fan?ms=3") "Connection: close\r\n" END, 0, CLOSE_ANSWER },
	{ GET("/chain?ms=x") END, 0, BAD_ANSWER },
	{ GET("/fan?ms=60001") END, 0, BAD_ANSWER },
	{ GET("/chain") END, 0, NONE_ANSWER },
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

/* Some models lack these paths; they use another one. */
static bool is_known(const struct model *m, const char *request)
{
	return !model_is(m, MODEL_ONE_ASK) ||
	       (strncmp(request, GET("/chain"), 10) &&
		strncmp(request, GET("/fan"), 8));
}

START_TEST(every_model_gives_the_same_answers)
{
	if (!serving(models[_i].name))
		return;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		size_t want = strlen(cases[i].answer);
		bool fine = !strstr(cases[i].answer, CLOSE), closed;
		char in[512];
		int fd;

		if (!is_known(&models[_i], cases[i].request))
			continue;
		fd = server_connect();
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

/* ---- three backends ---- */

static int64_t asks(const char *request)
{
	int64_t begin = now_ns();
	bool closed;
	char in[256];
	int fd = server_connect();

	ck_assert_int_ge(fd, 0);
	put(fd, request, strlen(request));
	in[get(fd, in, strlen(OK_ANSWER), &closed)] = '\0';
	ck_assert_str_eq(in, OK_ANSWER);
	close(fd);
	return now_ns() - begin;
}

/* In turn, it takes at least three times as long; at once, it takes less than
 * that in some try, however busy the machine is. */
START_TEST(every_model_asks_three_backends_in_turn_or_at_once)
{
	const struct model *m = &models[_i];
	int64_t least = INT64_MAX;

	if (model_is(m, MODEL_ONE_ASK) || !serving_plain(m->name))
		return;
	ck_assert_int_ge(asks(GET("/chain?ms=30") END), 90 * NS_PER_MS);
	for (int i = 0; i < 50 && least >= 90 * NS_PER_MS; i++) {
		int64_t took = asks(GET("/fan?ms=30") END);

		ck_assert_int_ge(took, 30 * NS_PER_MS);
		least = took < least ? took : least;
	}
	ck_assert_msg(least < 90 * NS_PER_MS, "%s: %lld ns", m->name,
		      (long long)least);
	stops_well(m->name);
}
END_TEST

/* ---- heads that are too large ---- */

/* A head of this many bytes that never ends, or that ends at its last byte. */
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

/* Much more data than fits the buffers follows a refused request: a close would
 * reset the connection, and could destroy the answer. */
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

	if (!serving_plain(models[_i].name))
		return;
	fd = server_connect();
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	for (const char *p = request; *p; p++) {
		put(fd, p, 1);
		if (p - request < 20)
			usleep(2000); /* so that some pieces arrive one by
					 one */
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

/* ---- clients that leave ---- */

START_TEST(every_model_outlives_any_bytes)
{
	uint64_t r = seed();

	if (!serving_plain(models[_i].name))
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

/* ---- the end ---- */

/* Even while the kernel still has the server's ring. */
START_TEST(every_model_leaves_its_port_free)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), status;
	struct sockaddr_in addr;

	if (model_is_program(&models[_i]))
		return; /* its own affair */
	if (not_here(models[_i].name)) {
		fprintf(stderr, "SKIP %s: %s\n", models[_i].name,
			model_missing(&models[_i]));
		return;
	}
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

/* The least of several is the work itself; the rest comes from other programs,
 * which disturb the same work here as well. */
START_TEST(every_model_burns_as_much_cpu_as_it_is_told)
{
	double least = 1e9, own = 1e9;

	if (!serving_plain(models[_i].name))
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
	tcase_add_loop_test(
		t, every_model_asks_three_backends_in_turn_or_at_once, 0, n);
	tcase_add_loop_test(t, every_model_limits_the_head, 0, n);
	tcase_add_loop_test(t, every_model_takes_the_rest_of_what_it_refuses, 0,
			    n);
	tcase_add_loop_test(t, every_model_puts_split_requests_together, 0, n);
	tcase_add_loop_test(t, every_model_answers_pipelined_requests_in_order,
			    0, n);
	tcase_add_loop_test(t, every_model_outlives_any_bytes, 0, n);
	tcase_add_loop_test(t, every_model_burns_as_much_cpu_as_it_is_told, 0,
			    n);
	tcase_add_loop_test(t, every_model_leaves_its_port_free, 0, n);
	suite_add_tcase(s, t);
	return s;
}
