/* SPDX-License-Identifier: MIT */
/* Requests to the demo's models and their answers, for the suites of conformance. */
#ifndef URT_TEST_CONFORMANCE_H
#define URT_TEST_CONFORMANCE_H

#include "service.h"

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

/* Starts a model's server. False: the test is skipped. */
bool serving(const char *model);
/* The same for tests of what lies behind TLS, where a model with TLS is the same as one
 * without: false for that one, too. */
bool serving_plain(const char *model);
/* Expects that the server still answers, and stops it. */
void stops_well(const char *model);

void put(int fd, const char *p, size_t len);
/* Reads up to `want` bytes or until the server closes (*closed); returns their number. */
size_t get(int fd, char *in, size_t want, bool *closed);

#endif
