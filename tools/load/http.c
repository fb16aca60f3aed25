// SPDX-License-Identifier: MIT
/* HTTP/1.1 as a client; answers are any bytes. */
#define _GNU_SOURCE
#include "http.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t load_request(char *buf, size_t size, const struct load_options *o,
		    const char *path)
{
	return snprintf(buf, size, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path,
			inet_ntoa(o->server.sin_addr));
}

/* The decimal number at p, after optional spaces, up to the end of the line or
 * a space; -1: there is none, or it has more than 18 digits. */
static long number(const char *p, const char *end)
{
	const char *begin;
	long n = 0;

	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	for (begin = p; p < end && *p >= '0' && *p <= '9'; p++) {
		if (p - begin == 18)
			return -1;
		n = n * 10 + (*p - '0');
	}
	return p > begin && (p == end || *p == '\r' || *p == ' ') ? n : -1;
}

long load_head(const char *p, size_t len, int *status, long *body)
{
	const char *end = memmem(p, len, "\r\n\r\n", 4);
	const char *field = p;
	long code;

	*body = 0;
	if (!end)
		return len < LOAD_HEAD_MAX ? 0 : -1;
	code = end - p < 12 || memcmp(p, "HTTP/1.", 7) || p[8] != ' '
		       ? -1
		       : number(p + 8, end);
	if (code < 100 || code > 999)
		return -1;
	*status = code;
	*body = *status == 204 || *status == 304 ? 0 : LOAD_NO_LENGTH;
	while ((field = memmem(field, end - field, "\r\n", 2))) {
		field += 2;
		if (!strncasecmp(field, "Content-Length:", 15))
			*body = number(field + 15, end);
	}
	return *body < 0 ? -1 : end + 4 - p;
}
