// SPDX-License-Identifier: MIT
/* See load_http.h. */
#define _GNU_SOURCE
#include "load_http.h"
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

long load_head(const char *p, size_t len, int *status, long *body)
{
	const char *end = memmem(p, len, "\r\n\r\n", 4);
	const char *field = p;

	*body = 0;
	if (!end)
		return len < LOAD_HEAD_MAX ? 0 : -1;
	if (len < 12 || memcmp(p, "HTTP/1.", 7))
		return -1;
	*status = atoi(p + 9);
	*body = *status == 204 || *status == 304 ? 0 : LOAD_NO_LENGTH;
	while ((field = memmem(field, end - field, "\r\n", 2))) {
		field += 2;
		if (!strncasecmp(field, "Content-Length:", 15))
			*body = strtol(field + 15, NULL, 10);
	}
	return *body < 0 ? -1 : end + 4 - p;
}
