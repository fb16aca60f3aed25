// SPDX-License-Identifier: MIT
/* Parsing requests and choosing responses; see http.h. */
#define _GNU_SOURCE
#include "http.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

#define VERSION " HTTP/1.1"

/* "N" up to the end as a number of ms, or HTTP_BAD. */
static void parse_ms(const char *s, const char *end, struct http_request *r)
{
	r->ms = 0;
	if (s == end)
		r->route = HTTP_BAD;
	for (; s < end; s++) {
		if (*s < '0' || *s > '9' || r->ms > HTTP_MAX_MS) {
			r->route = HTTP_BAD;
			return;
		}
		r->ms = r->ms * 10 + (*s - '0');
	}
	if (r->ms > HTTP_MAX_MS)
		r->route = HTTP_BAD;
}

static bool begins(const char *s, const char *end, const char *prefix)
{
	size_t len = strlen(prefix);

	return (size_t)(end - s) >= len && !memcmp(s, prefix, len);
}

static void parse_line(const char *s, const char *end, struct http_request *r)
{
	size_t version = sizeof(VERSION) - 1;

	r->route = HTTP_BAD;
	if (!begins(s, end, "GET /") || (size_t)(end - s) < 5 + version ||
	    memcmp(end - version, VERSION, version))
		return;
	s += 4;
	end -= version;
	if (memchr(s, ' ', end - s))
		return;
	r->route = HTTP_NOT_FOUND;
	if (end - s == 1) {
		r->route = HTTP_OK;
	} else if (begins(s, end, "/wait?ms=")) {
		r->route = HTTP_WAIT;
		parse_ms(s + 9, end, r);
	} else if (begins(s, end, "/cpu?ms=")) {
		r->route = HTTP_CPU;
		parse_ms(s + 8, end, r);
	}
}

size_t http_parse(const char *buf, size_t len, struct http_request *r)
{
	const char *end = memmem(buf, len, "\r\n\r\n", 4);

	if (!end) {
		r->route = HTTP_TOO_LARGE;
		return len < HTTP_MAX ? 0 : len;
	}
	parse_line(buf, memmem(buf, len, "\r\n", 2), r);
	return end + 4 - buf;
}

static void burn(unsigned ms)
{
	struct timespec t;
	long long now, until = -1;

	do {
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
		now = t.tv_sec * 1000000000LL + t.tv_nsec;
		if (until < 0)
			until = now + ms * 1000000LL;
	} while (now < until);
}

#define RESPONSE(status, body, close)                           \
	{                                                       \
		"HTTP/1.1 " status "\r\nContent-Length: " body, \
			sizeof("HTTP/1.1 " status               \
			       "\r\nContent-Length: " body) -   \
				1,                              \
			close                                   \
	}

struct http_response http_respond(const struct http_request *r)
{
	static const struct http_response responses[] = {
		[HTTP_OK] = RESPONSE("200 OK", "3\r\n\r\nok\n", false),
		[HTTP_WAIT] = RESPONSE("200 OK", "3\r\n\r\nok\n", false),
		[HTTP_CPU] = RESPONSE("200 OK", "3\r\n\r\nok\n", false),
		[HTTP_BAD] =
			RESPONSE("400 Bad Request", "4\r\n\r\nbad\n", true),
		[HTTP_NOT_FOUND] =
			RESPONSE("404 Not Found", "8\r\n\r\nno such\n", true),
		[HTTP_TOO_LARGE] =
			RESPONSE("431 Request Header Fields Too Large",
				 "4\r\n\r\nbig\n", true),
	};

	if (r->route == HTTP_CPU)
		burn(r->ms);
	return responses[r->route];
}

size_t backend_request(char buf[16], unsigned ms)
{
	return snprintf(buf, 16, "%u\n", ms);
}
