// SPDX-License-Identifier: MIT
/* Parsing requests and choosing responses; see http.h. */
#define _GNU_SOURCE
#include "http.h"
#include "../lib/burn.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define VERSION " HTTP/1." /* and one more character: 0 or 1 */

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

/* A byte of a path: no blank, no control character, ASCII. */
static bool is_path(unsigned char c)
{
	return c > 0x20 && c < 0x7f;
}

/* A byte of a field's name (RFC 9110, 5.6.2). */
static bool is_token(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* A byte of a field's value. */
static bool is_value(unsigned char c)
{
	return c == '\t' || (c >= 0x20 && c != 0x7f);
}

static const struct {
	const char *path;
	enum http_route route;
} routes[] = {
	{ "/wait?ms=", HTTP_WAIT },
	{ "/chain?ms=", HTTP_CHAIN },
	{ "/fan?ms=", HTTP_FAN },
	{ "/cpu?ms=", HTTP_CPU },
};

static void parse_line(const char *s, const char *end, struct http_request *r)
{
	size_t version = sizeof(VERSION);

	r->route = HTTP_BAD;
	r->after = HTTP_CLOSE;
	if (!begins(s, end, "GET /") || (size_t)(end - s) < 5 + version ||
	    memcmp(end - version, VERSION, version - 1) ||
	    (end[-1] != '0' && end[-1] != '1'))
		return;
	if (end[-1] == '1')
		r->after = HTTP_KEEP;
	s += 4;
	end -= version;
	for (const char *p = s; p < end; p++)
		if (!is_path(*p))
			return;
	r->route = HTTP_NOT_FOUND;
	if (end - s == 1)
		r->route = HTTP_OK;
	for (unsigned i = 0; i < sizeof(routes) / sizeof(*routes); i++) {
		if (!begins(s, end, routes[i].path))
			continue;
		r->route = routes[i].route;
		parse_ms(s + strlen(routes[i].path), end, r);
	}
}

/* Whether the field announces a body, which no request here may have. */
static bool has_body(const char *name, const char *colon, const char *end)
{
	const char *p = colon + 1;

	if (colon - name == 17)
		return !strncasecmp(name, "transfer-encoding", 17);
	if (colon - name != 14 || strncasecmp(name, "content-length", 14))
		return false;
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	while (p < end && *p == '0')
		p++;
	return p != end || p[-1] != '0';
}

/* Whether a list of words, separated by commas, has the word. */
static bool lists(const char *s, const char *end, const char *word)
{
	size_t len = strlen(word);

	while (s < end) {
		const char *comma = memchr(s, ',', end - s);
		const char *item_end = comma ? comma : end;

		while (s < item_end && (*s == ' ' || *s == '\t'))
			s++;
		while (item_end > s &&
		       (item_end[-1] == ' ' || item_end[-1] == '\t'))
			item_end--;
		if ((size_t)(item_end - s) == len && !strncasecmp(s, word, len))
			return true;
		s = comma ? comma + 1 : end;
	}
	return false;
}

/* RFC 9112, 9.3. "close" wins, wherever it stands. */
static void connection_field(const char *name, const char *colon,
			     const char *end, enum http_after *after,
			     bool *close)
{
	if (colon - name != 10 || strncasecmp(name, "connection", 10))
		return;
	*close |= lists(colon + 1, end, "close");
	if (*after == HTTP_CLOSE && lists(colon + 1, end, "keep-alive"))
		*after = HTTP_TELL_KEEP;
}

/* The fields between the request line and the empty line. */
static bool fields_are_good(const char *s, const char *end,
			    enum http_after *after)
{
	bool close = false;

	while (s < end) {
		const char *line = memmem(s, end - s, "\r\n", 2), *p = s;

		while (p < line && is_token(*p))
			p++;
		if (p == s || p == line || *p != ':' || has_body(s, p, line))
			return false;
		connection_field(s, p, line, after, &close);
		for (p++; p < line; p++)
			if (!is_value(*p))
				return false;
		s = line + 2;
	}
	if (close)
		*after = HTTP_CLOSE;
	return true;
}

size_t http_parse(const char *buf, size_t len, struct http_request *r)
{
	const char *end = memmem(buf, len, "\r\n\r\n", 4);
	const char *line;

	if (!end) {
		r->route = HTTP_TOO_LARGE;
		r->after = HTTP_CLOSE;
		return len < HTTP_MAX ? 0 : len;
	}
	line = memmem(buf, len, "\r\n", 2);
	parse_line(buf, line, r);
	if (r->route != HTTP_BAD &&
	    !fields_are_good(line + 2, end + 2, &r->after))
		r->route = HTTP_BAD;
	if (r->route >= HTTP_BAD)
		r->after = HTTP_CLOSE;
	return end + 4 - buf;
}

/* ---- answers ---- */

#define TEXT(text, close)                            \
	{                                            \
		text, sizeof(text) - 1, close, false \
	}
/* For each way to continue. */
#define RESPONSES(status, length, body)                                       \
	{                                                                     \
		TEXT("HTTP/1.1 " status "\r\nContent-Length: " length         \
		     "\r\n\r\n" body,                                         \
		     false),                                                  \
			TEXT("HTTP/1.1 " status "\r\nContent-Length: " length \
			     "\r\nConnection: keep-alive\r\n\r\n" body,       \
			     false),                                          \
			TEXT("HTTP/1.1 " status "\r\nContent-Length: " length \
			     "\r\nConnection: close\r\n\r\n" body,            \
			     true),                                           \
	}

struct http_response http_respond(const struct http_request *r)
{
	static const struct http_response responses[][HTTP_CLOSE + 1] = {
		[HTTP_OK] = RESPONSES("200 OK", "3", "ok\n"),
		[HTTP_WAIT] = RESPONSES("200 OK", "3", "ok\n"),
		[HTTP_CHAIN] = RESPONSES("200 OK", "3", "ok\n"),
		[HTTP_FAN] = RESPONSES("200 OK", "3", "ok\n"),
		[HTTP_CPU] = RESPONSES("200 OK", "3", "ok\n"),
		[HTTP_BAD] = RESPONSES("400 Bad Request", "4", "bad\n"),
		[HTTP_NOT_FOUND] = RESPONSES("404 Not Found", "8", "no such\n"),
		[HTTP_TOO_LARGE] = RESPONSES(
			"431 Request Header Fields Too Large", "4", "big\n"),
	};

	struct http_response answer = responses[r->route][r->after];

	if (r->route == HTTP_CPU)
		burn((int64_t)r->ms * 1000000);
	answer.linger = r->route >= HTTP_BAD;
	return answer;
}

/* By hand: printf would touch 2 KB of each unit's stack. */
static size_t put_line(char *to, unsigned n)
{
	char digits[16];
	size_t len = 0, i = 0;

	do
		digits[i++] = '0' + n % 10;
	while (n /= 10);
	while (i)
		to[len++] = digits[--i];
	to[len++] = '\n';
	return len;
}

void backend_ask(struct backend_ask *ask, bool redis, unsigned ms)
{
	char value[16], key[24];
	size_t v, k;

	if (!redis) {
		ask->len = put_line(ask->text, ms);
		ask->reply_len = strlen(BACKEND_REPLY);
		return;
	}
	v = snprintf(value, sizeof(value), "%u", ms);
	k = snprintf(key, sizeof(key), "urt:%u", ms);
	ask->len = snprintf(ask->text, sizeof(ask->text),
			    "*3\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n"
			    "*2\r\n$3\r\nGET\r\n$%zu\r\n%s\r\n",
			    k, key, v, value, k, key);
	/* "+OK", "$LENGTH", the value: a line each. */
	ask->reply_len = 5 + 4 + v + 2;
}
