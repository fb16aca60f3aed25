/* SPDX-License-Identifier: MIT */
/*
 * The least of HTTP/1.1 that the experiment needs, the same for every C model
 * and, line by line, for the servers in Node and Go: the demo compares models,
 * not HTTP libraries.
 *
 *	GET /            at once
 *	GET /wait?ms=N   after a round trip to a backend that takes N ms
 *	GET /chain?ms=N  after three round trips to it, one after the other
 *	GET /fan?ms=N    after three round trips to it at once, on connections
 *	                 of their own
 *	GET /cpu?ms=N    after burning N ms of CPU
 *
 * A malformed request, or one that announces a body, is answered with 400,
 * another path with 404, a head that does not fit HTTP_MAX with 431; then the
 * connection is closed. Requests may be pipelined, and come in any number of
 * parts; a client that has sent its last request may shut down its side and
 * still gets the answers. Of the fields only Connection is interpreted: a
 * request with "close", and one of HTTP/1.0 without "keep-alive", is the last
 * of its connection.
 */
#ifndef URT_HTTP_H
#define URT_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#define HTTP_MAX    4096 /* bytes of a request's head; also the read buffer */
#define HTTP_MAX_MS 60000

enum http_route {
	HTTP_OK,
	HTTP_WAIT,
	HTTP_CHAIN,
	HTTP_FAN,
	HTTP_CPU,
	HTTP_BAD, /* from here on: answer and close */
	HTTP_NOT_FOUND,
	HTTP_TOO_LARGE,
};

/* The state of the connection after the answer. */
enum http_after {
	HTTP_KEEP,
	HTTP_TELL_KEEP, /* kept, and the answer says so: HTTP/1.0 */
	HTTP_CLOSE,	/* closed, and the answer says so */
};

struct http_request {
	enum http_route route;
	enum http_after after;
	unsigned ms;
};

/* Length of the first request in buf, or 0 if it is not complete yet. */
size_t http_parse(const char *buf, size_t len, struct http_request *);

struct http_response {
	const char *text;
	size_t len;
	bool close;
	bool linger; /* the request is refused: the rest of it is read and dropped
		      * before the close, which would reset the connection
		      * otherwise, and could destroy the answer */
};
/* The answer. For HTTP_CPU, burns the CPU first. */
struct http_response http_respond(const struct http_request *);

/* ---- asking the backend, for /wait ---- */

#define BACKEND_REPLY	  "ok\n" /* of the built-in one */
#define BACKEND_REPLY_MAX 32	 /* bytes of any reply */
#define BACKEND_POOL	  64	 /* connections to Redis, for all clients */
#define BACKEND_ASKS	  3	 /* of a chain, and of a fan */

/* How often the request asks the backend. With Redis, a fan asks in turn, as a
 * chain does: clients that held some of Redis' connections while they wait for
 * others would wait for each other. */
static inline unsigned http_asks(const struct http_request *r)
{
	return r->route == HTTP_WAIT				? 1
	       : r->route == HTTP_CHAIN || r->route == HTTP_FAN ? BACKEND_ASKS
								: 0;
}

struct backend_ask {
	char text[96];	  /* to be sent */
	size_t len;	  /* of it */
	size_t reply_len; /* bytes that come back */
};

/*
 * The built-in backend answers after ms. Redis is asked to SET the key urt:MS
 * to MS and to GET it again, in one go, as clients of Redis do.
 */
void backend_ask(struct backend_ask *, bool redis, unsigned ms);

/* Whether the first bytes of a reply say that Redis refused. */
static inline bool backend_refused(const char *reply)
{
	return reply[0] == '-';
}

#endif
