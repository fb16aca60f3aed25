// SPDX-License-Identifier: MIT
/*
 * The connections of the load generator, without blocking: from the opening, by
 * way of the handshake of TLS, to answers. When they are opened, and when they
 * send, load.c decides: it is called when a connection is ready, and at each
 * answer.
 *
 * When ports run out, at about 28,000 for one pair of addresses, further source
 * addresses of the loopback network are used.
 */
#define _GNU_SOURCE
#include "conn.h"
#include "http.h"
#include "../lib/net.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define PER_SOURCE 25000 /* connections from one source address */

int conn_open(struct load *l, struct conn *c)
{
	struct epoll_event ev = { EPOLLIN | EPOLLOUT, { .ptr = c } };
	int on = 1, err;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return -errno;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	net_use_source(c->fd, &l->options->server,
		       (l->options->first + (c - l->conns)) / PER_SOURCE);
	if ((connect(c->fd, (const struct sockaddr *)&l->options->server,
		     sizeof(l->options->server)) &&
	     errno != EINPROGRESS) ||
	    epoll_ctl(l->epfd, EPOLL_CTL_ADD, c->fd, &ev)) {
		err = -errno;
		close(c->fd);
		return err;
	}
	c->state = CONNECTING;
	c->wants = ev.events;
	l->connecting++;
	c->head_len = 0;
	c->body_left = -1;
	c->answers = 0;
	return 0;
}

void conn_close(struct conn *c)
{
	if (c->tls)
		load_tls_free(c->tls);
	c->tls = NULL;
	close(c->fd);
}

static void taken(struct load *l, struct conn *c)
{
	if (!c->answered && !c->burst)
		l->taken++;
	c->answered = true;
}

void conn_broken(struct load *l, struct conn *c, bool error)
{
	if (error) {
		count(&l->shared->errors);
		count(&l->shared->broken);
	}
	taken(l, c);
	l->busy -= c->state == BUSY;
	c->pending = false;
	if (c->state > FRESH)
		conn_close(c);
	c->state = CLOSED;
	if (!l->options->hold)
		l->closed++;
}

void conn_send(struct load *l, struct conn *c)
{
	const char *text = c->burst ? l->burst_request : l->request;
	size_t len = c->burst ? l->burst_len : l->request_len;

	l->busy++;
	c->pending = false;
	c->state = BUSY;
	/* A whole request always fits an empty socket buffer; if the peer has
	 * closed, the next event says so. */
	if (load_send(c->fd, c->tls, text, len) < 0)
		shutdown(c->fd, SHUT_RDWR);
}

/* ---- answers ---- */

static bool keep_head(struct conn *c, const char *p, size_t len)
{
	if (!c->head && !(c->head = malloc(LOAD_HEAD_MAX)))
		return false;
	memcpy(c->head, p, len);
	c->head_len = len;
	return true;
}

/* Whether the received data are an answer, as far as they came. */
static bool take(struct load *l, struct conn *c, size_t len)
{
	long head, body = 0;

	if (c->state != BUSY)
		return false;
	if (c->body_left < 0) {
		head = load_head(l->in, len, &c->status, &body);
		if (head < 0 && body == LOAD_NO_LENGTH)
			count(&l->shared->no_length);
		if (!head)
			return keep_head(c, l->in, len);
		if (head < 0)
			return false;
		c->head_len = 0;
		c->body_left = body;
		len -= head;
	}
	if (len > (size_t)c->body_left)
		return false; /* more than one answer */
	c->body_left -= len;
	if (c->body_left)
		return true;
	c->body_left = -1;
	c->answers++;
	l->busy--;
	taken(l, c);
	load_answered(l, c);
	return true;
}

static void read_once(struct load *l, struct conn *c, bool *more)
{
	ssize_t n;

	if (c->head_len)
		memcpy(l->in, c->head, c->head_len);
	n = load_recv(c->fd, c->tls, l->in + c->head_len,
		      sizeof(l->in) - c->head_len);
	*more = n > 0;
	if (n < 0 && errno == EAGAIN)
		return;
	/* Closing between answers is the server's right. */
	if (n <= 0)
		conn_broken(l, c, c->state == BUSY || n < 0);
	else if (!take(l, c, c->head_len + n))
		conn_broken(l, c, true);
}

/* What TLS has read already, epoll does not report. */
static void readable(struct load *l, struct conn *c)
{
	bool more;

	do
		read_once(l, c, &more);
	while (more && c->tls && load_tls_pending(c->tls));
}

/* ---- connected ---- */

static void want(struct load *l, struct conn *c, uint32_t events)
{
	struct epoll_event ev = { events, { .ptr = c } };

	if (c->wants != events)
		epoll_ctl(l->epfd, EPOLL_CTL_MOD, c->fd, &ev);
	c->wants = events;
}

static void ready(struct load *l, struct conn *c)
{
	l->connecting--;
	want(l, c, EPOLLIN);
	if (!c->burst)
		count(&l->shared->opened);
	load_connected(l, c);
}

static void failed(struct load *l, struct conn *c, int err)
{
	l->connecting--;
	if (!l->shared->opened && !l->shared->failed_errno)
		l->shared->failed_errno = err;
	conn_broken(l, c, true);
}

static void shake(struct load *l, struct conn *c)
{
	int ret = load_tls_shake(c->tls, l->shared->tls);

	if (ret > 0)
		want(l, c, ret);
	else if (ret < 0)
		failed(l, c, -ret);
	else
		ready(l, c);
}

static void tcp_connected(struct load *l, struct conn *c)
{
	socklen_t len = sizeof(int);
	int err = 0;

	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (!err && l->tls && !(c->tls = load_tls_new(l->tls, c->fd)))
		err = ENOMEM;
	if (err) {
		failed(l, c, err);
	} else if (c->tls) {
		c->state = SHAKING;
		shake(l, c);
	} else {
		ready(l, c);
	}
}

void conn_handle(struct load *l, struct conn *c, uint32_t events)
{
	if (c->state == CONNECTING) {
		if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
			tcp_connected(l, c);
	} else if (c->state == SHAKING) {
		shake(l, c);
	} else if (c->state == IDLE || c->state == BUSY) {
		readable(l, c);
	}
}
