// SPDX-License-Identifier: MIT
/*
 * Model `epoll`: one thread, an event loop, a state machine per connection: the
 * inside of Node, in C.
 *
 * Where a suspended request lives: in its struct conn, on the heap: the state
 * says which callback continues it. Nothing of it is on a stack.
 */
#define _GNU_SOURCE
#include "../server.h"
#include "../../lib/tool.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define FULL_MS 5 /* between attempts to accept */

struct conn;

/* The subject of an event. */
struct source {
	struct conn *conn;
	int fd;		   /* -1: not open */
	bool added;	   /* to epoll */
	uint32_t interest; /* the events asked for */
};

enum state { READING, IN_LINE, ASKING, ANSWERING, LINGERING };

struct conn {
	struct source client;
	struct source
		own[BACKEND_ASKS]; /* backend connections of this client */
	struct source *backend;	   /* the backend asked, or one of the pool;
				      NULL */
	unsigned asked;		   /* how often, for this request */
	struct conn *next_in_line; /* for one of the pool */
	enum state state;
	struct http_request req;
	struct backend_ask ask; /* to the backend */
	const char *out;	/* data being written; state tells to whom */
	size_t out_len;
	bool close; /* after the answer */
	bool linger;
	bool ended; /* the client has ended its side */
	size_t got; /* of the backend's replies to this request */
	size_t len; /* in buf */
	char buf[HTTP_MAX];
	struct conn *next_dead;
};

const size_t model_epoll_captured = sizeof(struct conn);

static int epfd;
static const struct server *server;
static struct conn *dead; /* freed after the batch: it may hold their events */

/* Connections to Redis for all clients: those that are free, and the clients
 * that wait for one. */
static struct source pool[BACKEND_POOL], *pool_free[BACKEND_POOL];
static unsigned pool_n;
static struct conn *line, **line_end = &line;

static void ask_now(struct conn *c);
static void ask_backend(struct conn *c);
static void asked(struct conn *c);

static void want(struct source *s, uint32_t interest)
{
	struct epoll_event ev = { interest, { .ptr = s } };

	if (s->added && s->interest == interest)
		return;
	epoll_ctl(epfd, s->added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, s->fd, &ev);
	s->added = true;
	s->interest = interest;
}

static void source_close(struct source *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->added = false;
}

static void pool_give(struct source *s)
{
	struct conn *next = line;

	s->conn = NULL;
	if (!next) {
		pool_free[pool_n++] = s;
		return;
	}
	line = next->next_in_line;
	if (!line)
		line_end = &line;
	next->backend = s;
	ask_now(next);
}

static void line_join(struct conn *c)
{
	c->state = IN_LINE;
	c->next_in_line = NULL;
	*line_end = c;
	line_end = &c->next_in_line;
}

static void line_leave(struct conn *c)
{
	struct conn **p = &line;

	while (*p != c)
		p = &(*p)->next_in_line;
	*p = c->next_in_line;
	if (!*p)
		line_end = p;
}

static void conn_close(struct conn *c)
{
	struct source *backend = c->backend;

	if (c->client.fd < 0)
		return;
	source_close(&c->client);
	c->backend = NULL;
	if (c->state == IN_LINE)
		line_leave(c);
	for (int i = 0; i < BACKEND_ASKS; i++)
		source_close(&c->own[i]);
	if (server->redis && backend) {
		source_close(backend); /* its reply may still come */
		pool_give(backend);
	}
	c->next_dead = dead;
	dead = c;
}

/* Writes the rest of out. 1: all; 0: not now; -1: closed. */
static int flush_out(struct conn *c, struct source *to)
{
	while (c->out_len) {
		ssize_t n = send(to->fd, c->out, c->out_len, MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINPROGRESS)) {
			want(to, EPOLLOUT);
			return 0;
		}
		if (n <= 0) {
			conn_close(c);
			return -1;
		}
		c->out += n;
		c->out_len -= n;
	}
	want(to, EPOLLIN);
	return 1;
}

static bool backend_open(struct source *s)
{
	struct sockaddr_in addr = backend_address(server);

	if (s->fd >= 0)
		return true;
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return s->fd >= 0 &&
	       (!connect(s->fd, (struct sockaddr *)&addr, sizeof(addr)) ||
		errno == EINPROGRESS);
}

static void ask_now(struct conn *c)
{
	c->state = ASKING;
	c->backend->conn = c;
	if (!backend_open(c->backend)) {
		conn_close(c);
		return;
	}
	backend_ask(&c->ask, server->redis, c->req.ms);
	c->out = c->ask.text;
	c->out_len = c->ask.len;
	c->asked++;
	if (flush_out(c, c->backend) > 0)
		asked(c);
}

/* A fan sends all requests before it waits for the first answer. */
static void asked(struct conn *c)
{
	if (c->req.route == HTTP_FAN && !server->redis &&
	    c->asked < BACKEND_ASKS)
		ask_backend(c);
}

static void ask_backend(struct conn *c)
{
	if (!server->redis)
		c->backend = &c->own[c->asked];
	else if (pool_n)
		c->backend = pool_free[--pool_n];
	if (c->backend)
		ask_now(c);
	else
		line_join(c);
}

static void next_request(struct conn *c);

static void answer(struct conn *c)
{
	struct http_response resp = http_respond(&c->req);

	c->state = ANSWERING;
	c->out = resp.text;
	c->out_len = resp.len;
	c->close = resp.close;
	c->linger = resp.linger;
}

/* The answer may have gone out at once; then the next request follows. */
static bool answered(struct conn *c)
{
	if (flush_out(c, &c->client) <= 0)
		return false;
	if (c->linger && !shutdown(c->client.fd, SHUT_WR)) {
		c->state = LINGERING;
		c->len = 0;
		return false;
	}
	if (c->close) {
		conn_close(c);
		return false;
	}
	c->state = READING;
	return true;
}

static void next_request(struct conn *c)
{
	size_t used;

	while ((used = http_parse(c->buf, c->len, &c->req))) {
		c->len -= used;
		memmove(c->buf, c->buf + used, c->len);
		if (http_asks(&c->req)) {
			c->asked = 0;
			c->got = 0;
			ask_backend(c);
			return;
		}
		answer(c);
		if (!answered(c))
			return;
	}
	if (c->ended)
		conn_close(c);
	else
		want(&c->client, EPOLLIN);
}

static void client_readable(struct conn *c)
{
	ssize_t n;

	if (c->len == sizeof(c->buf)) { /* busy, and more is coming: later */
		want(&c->client, 0);
		return;
	}
	n = recv(c->client.fd, c->buf + c->len, sizeof(c->buf) - c->len, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0 && c->state == LINGERING)
		return;
	if (n == 0 && (c->state == ASKING || c->state == IN_LINE ||
		       c->state == ANSWERING)) { /* it still gets its answers */
		c->ended = true;
		want(&c->client, 0);
		return;
	}
	if (n <= 0) {
		conn_close(c);
		return;
	}
	c->len += n;
	if (c->state == READING)
		next_request(c);
}

static void client_event(struct conn *c, uint32_t events)
{
	if (events & (EPOLLERR | EPOLLHUP))
		conn_close(c);
	else if (c->state == ANSWERING && events & EPOLLOUT) {
		if (answered(c))
			next_request(c);
	} else if (events & EPOLLIN)
		client_readable(c);
}

/* Replies to all that was asked so far. */
static void replied(struct conn *c)
{
	struct source *backend = c->backend;

	c->backend = NULL;
	if (server->redis)
		pool_give(backend);
	if (c->asked < http_asks(&c->req)) {
		ask_backend(c);
		return;
	}
	answer(c);
	if (answered(c))
		next_request(c);
}

static void backend_event(struct conn *c, struct source *s)
{
	char buf[BACKEND_REPLY_MAX];
	ssize_t n;

	if (c && c->state == ASKING && c->out_len && s == c->backend) {
		if (flush_out(c, s) > 0)
			asked(c);
		return;
	}
	n = recv(s->fd, buf, sizeof(buf), 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (!c) { /* a free connection of the pool, closed by Redis */
		source_close(s);
		return;
	}
	if (n <= 0 || c->state != ASKING || backend_refused(buf)) {
		conn_close(c);
		return;
	}
	c->got += n;
	if (c->got >= c->asked * c->ask.reply_len && !c->out_len)
		replied(c);
}

/* No descriptor was free: the listening socket stays readable, so polling it
 * again would spin. It is left out for a while. */
static bool full;

static void accept_some(struct source *listener)
{
	int fd =
		accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct conn *c;

	if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
		full = true;
		want(listener, 0);
	}
	if (fd < 0)
		return;
	c = malloc(sizeof(*c));
	if (!c) {
		close(fd);
		return;
	}
	c->client = (struct source){ .conn = c, .fd = fd };
	for (int i = 0; i < BACKEND_ASKS; i++)
		c->own[i] = (struct source){ .conn = c, .fd = -1 };
	c->backend = NULL;
	c->state = READING;
	c->ended = false;
	c->len = 0;
	want(&c->client, EPOLLIN);
}

static void handle(struct source *s, uint32_t events)
{
	struct conn *c = s->conn;

	if (s->fd == server->listen_fd)
		accept_some(s);
	else if (s->fd < 0)
		return; /* closed earlier in this batch */
	else if (c && s == &c->client)
		client_event(c, events);
	else
		backend_event(c, s);
}

int model_epoll(const struct server *s)
{
	struct source listener = { .fd = s->listen_fd };
	struct epoll_event events[256];

	server = s;
	epfd = epoll_create1(EPOLL_CLOEXEC);
	want(&listener, EPOLLIN);
	for (int i = 0; i < BACKEND_POOL; i++) {
		pool[i].fd = -1;
		pool_give(&pool[i]);
	}
	for (;;) {
		int n = epoll_wait(epfd, events, ARRAY_LEN(events),
				   full ? FULL_MS : -1);

		full = false;
		want(&listener, EPOLLIN);
		for (int i = 0; i < n; i++)
			handle(events[i].data.ptr, events[i].events);
		while (dead) {
			struct conn *next = dead->next_dead;

			free(dead);
			dead = next;
		}
	}
}
