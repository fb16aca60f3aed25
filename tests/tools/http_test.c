// SPDX-License-Identifier: MIT
/* The request parser of the demo's servers. */
#include "../../tools/service/http.h"
#include "../lib/test.h"

static struct http_request parsed(const char *text)
{
	struct http_request r;

	ck_assert_uint_eq(http_parse(text, strlen(text), &r), strlen(text));
	return r;
}

static enum http_route route(const char *text)
{
	return parsed(text).route;
}

#define END " HTTP/1.1\r\nHost: x\r\n\r\n"

START_TEST(http_knows_its_paths)
{
	ck_assert_int_eq(route("GET /" END), HTTP_OK);
	ck_assert_int_eq(route("GET / HTTP/1.1\r\n\r\n"), HTTP_OK);
	ck_assert_int_eq(route("GET /nothing" END), HTTP_NOT_FOUND);
	ck_assert_int_eq(route("GET /wait" END), HTTP_NOT_FOUND);
	ck_assert_int_eq(route("GET /wait?ms=25" END), HTTP_WAIT);
	ck_assert_uint_eq(parsed("GET /wait?ms=25" END).ms, 25);
	ck_assert_int_eq(route("GET /cpu?ms=0" END), HTTP_CPU);
	ck_assert_int_eq(route("GET /chain?ms=7" END), HTTP_CHAIN);
	ck_assert_int_eq(route("GET /fan?ms=7" END), HTTP_FAN);
	ck_assert_uint_eq(parsed("GET /fan?ms=7" END).ms, 7);
	ck_assert_int_eq(route("GET /chain?s=7" END), HTTP_NOT_FOUND);
}
END_TEST

START_TEST(http_refuses_what_is_malformed)
{
	static const char *const bad[] = {
		"\r\n\r\n",
		"GET\r\n\r\n",
		"GET  /" END,
		"POST /" END,
		"GET x" END,
		"GET / HTTP/1.2\r\n\r\n",
		"GET / HTTP/2.0\r\n\r\n",
		"GET / x" END,
		"GET /wait?ms=" END,
		"GET /wait?ms=-1" END,
		"GET /wait?ms=1x" END,
		"GET /wait?ms=60001" END,
		"GET /wait?ms=99999999999999999999" END,
		"\x01\x02\xff" END,
	};

	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(route(bad[i]) == HTTP_BAD, "%s", bad[i]);
}
END_TEST

START_TEST(http_waits_for_a_whole_head_and_takes_one_at_a_time)
{
	const char *two = "GET /" END "GET /cpu?ms=3" END;
	struct http_request r;
	size_t first = strlen("GET /" END);

	for (size_t len = 0; len < first; len++)
		ck_assert_uint_eq(http_parse(two, len, &r), 0);
	ck_assert_uint_eq(http_parse(two, strlen(two), &r), first);
	ck_assert_int_eq(r.route, HTTP_OK);
	http_parse(two + first, strlen(two) - first, &r);
	ck_assert_int_eq(r.route, HTTP_CPU);
}
END_TEST

START_TEST(http_limits_the_head)
{
	char buf[HTTP_MAX];
	struct http_request r;

	memset(buf, 'x', sizeof(buf));
	ck_assert_uint_eq(http_parse(buf, sizeof(buf) - 1, &r), 0);
	ck_assert_uint_eq(http_parse(buf, sizeof(buf), &r), sizeof(buf));
	ck_assert_int_eq(r.route, HTTP_TOO_LARGE);
}
END_TEST

/* Every answer carries as many bytes as it announces, and says that it is the
 * last one. */
START_TEST(http_answers_are_well_formed)
{
	for (int i = 0; i <= HTTP_TOO_LARGE * 3 + HTTP_CLOSE; i++) {
		struct http_request r = { i / 3, i % 3, 0 };
		struct http_response resp = http_respond(&r);
		const char *length = strstr(resp.text, "Content-Length: ");
		const char *body = strstr(resp.text, "\r\n\r\n");

		ck_assert_ptr_nonnull(length);
		ck_assert_uint_eq(strlen(resp.text), resp.len);
		ck_assert_int_eq(atoi(length + 16), strlen(body + 4));
		ck_assert_int_eq(resp.close, r.after == HTTP_CLOSE);
		ck_assert_int_eq(resp.close,
				 !!strstr(resp.text, "Connection: close\r\n"));
	}
}
END_TEST

START_TEST(http_keeps_or_closes_a_connection_as_the_request_asks)
{
	static const struct {
		const char *request;
		enum http_after after;
	} cases[] = {
		{ "GET / HTTP/1.1\r\n\r\n", HTTP_KEEP },
		{ "GET / HTTP/1.1\r\nConnection: close\r\n\r\n", HTTP_CLOSE },
		{ "GET / HTTP/1.1\r\nConnection:CLOSE \r\n\r\n", HTTP_CLOSE },
		{ "GET / HTTP/1.1\r\nconnection: x,\tclose ,y\r\n\r\n",
		  HTTP_CLOSE },
		{ "GET / HTTP/1.1\r\nConnection: keep-alive\r\n"
		  "Connection: close\r\n\r\n",
		  HTTP_CLOSE },
		{ "GET / HTTP/1.1\r\nConnection: closed\r\n\r\n", HTTP_KEEP },
		{ "GET / HTTP/1.1\r\nConnection: keep-alive\r\n\r\n",
		  HTTP_KEEP },
		{ "GET / HTTP/1.1\r\nX: close\r\n\r\n", HTTP_KEEP },
		{ "GET / HTTP/1.0\r\n\r\n", HTTP_CLOSE },
		{ "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
		  HTTP_TELL_KEEP },
		{ "GET / HTTP/1.0\r\nConnection: close, keep-alive\r\n\r\n",
		  HTTP_CLOSE },
		{ "GET /none HTTP/1.1\r\n\r\n", HTTP_CLOSE },
		{ "GET / HTTP/1.1\r\nbad\r\n\r\n", HTTP_CLOSE },
	};

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++)
		ck_assert_msg(parsed(cases[i].request).after == cases[i].after,
			      "%s", cases[i].request);
}
END_TEST

START_TEST(http_parser_survives_any_bytes)
{
	uint64_t r = seed();
	char buf[200];
	struct http_request req;

	for (int i = 0; i < 200000; i++) {
		size_t len = rnd(&r) % sizeof(buf);

		strcpy(buf, "GET /wait?ms=10 HTTP/1.1\r\nA: b\r\n\r\n");
		for (unsigned k = rnd(&r) % 6; k; k--)
			buf[rnd(&r) % sizeof(buf)] = rnd(&r);
		ck_assert_uint_le(http_parse(buf, len, &req), len);
	}
}
END_TEST

Suite *http_suite(void)
{
	Suite *s = suite_create("http");
	TCase *t = tcase_create("http");

	tcase_add_test(t, http_knows_its_paths);
	tcase_add_test(t, http_refuses_what_is_malformed);
	tcase_add_test(t, http_waits_for_a_whole_head_and_takes_one_at_a_time);
	tcase_add_test(t, http_limits_the_head);
	tcase_add_test(t, http_answers_are_well_formed);
	tcase_add_test(t,
		       http_keeps_or_closes_a_connection_as_the_request_asks);
	tcase_add_test(t, http_parser_survives_any_bytes);
	suite_add_tcase(s, t);
	return s;
}
