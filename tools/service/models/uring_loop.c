// SPDX-License-Identifier: MIT
/*
 * Model `uring-loop`: the event loop of epoll.c over one io_uring, with
 * liburing: no coroutines, no library of ours. Compared with `coroutine` it
 * isolates the unit of scheduling, compared with `epoll` the interface to the
 * kernel.
 *
 * Where a suspended request lives: in its struct conn, on the heap. Exactly one
 * operation of a connection is in flight, and the state says which; its
 * completion is the continuation.
 */
#define _GNU_SOURCE
#include "../../../uring_rt/ring/abi.h"
#include "../server.h"
#include "../../lib/tool.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Since liburing 2.2; without it, entering the ring looks up a descriptor. */
int io_uring_register_ring_fd(struct io_uring *ring) __attribute__((weak));

enum state { READING, CONNECTING, ASKING, LISTENING, ANSWERING, LINGERING };

struct conn {
	int fd;
	int backend[BACKEND_ASKS]; /* -1: not open */
	unsigned nth;		   /* of them, which is used now */
	unsigned asked;		   /* replies to this request so far */
	enum state state;
	struct http_request req;
	struct backend_ask ask;
	char reply[BACKEND_REPLY_MAX];
	struct conn *next_in_line; /* for a connection to Redis */
	const char *out;
	size_t out_len;
	bool close, linger; /* after the answer */
	size_t got;	    /* of the backend's reply */
	size_t len;	    /* in buf */
	char buf[HTTP_MAX];
	struct sockaddr_in addr; /* the kernel reads it while it connects */
};

const size_t model_uring_loop_captured = sizeof(struct conn);

static struct io_uring ring;
static const struct server *server;
static bool single;   /* each request to the ring enters the kernel by itself */
static bool no_defer; /* completions are posted by interrupting the thread */

static struct io_uring_sqe *get_sqe(void)
{
	struct io_uring_sqe *sqe;

	if (single) /* prepared requests go now, one at a time */
		io_uring_submit(&ring);
	sqe = io_uring_get_sqe(&ring);
	while (!sqe) {
		io_uring_submit(&ring);
		sqe = io_uring_get_sqe(&ring);
	}
	return sqe;
}

/* The free connections to Redis, for all clients (-1: not open), and the
 * clients that wait for one. */
static int pool[BACKEND_POOL];
static unsigned pool_n;
static struct conn *line, **line_end = &line;

static void ask_now(struct conn *c);

static void pool_give(int fd)
{
	struct conn *next = line;

	if (!next) {
		pool[pool_n++] = fd;
		return;
	}
	line = next->next_in_line;
	if (!line)
		line_end = &line;
	next->backend[0] = fd;
	ask_now(next);
}

/* False: it waits in line. */
static bool pool_take(struct conn *c)
{
	if (pool_n) {
		c->backend[0] = pool[--pool_n];
		return true;
	}
	c->next_in_line = NULL;
	*line_end = c;
	line_end = &c->next_in_line;
	return false;
}

static bool asking(const struct conn *c)
{
	return c->state == CONNECTING || c->state == ASKING ||
	       c->state == LISTENING;
}

static void conn_close(struct conn *c)
{
	for (int i = 0; i < BACKEND_ASKS; i++)
		if (c->backend[i] >= 0)
			close(c->backend[i]);
	if (server->redis && asking(c))
		pool_give(-1);
	close(c->fd);
	free(c);
}

static void op_recv(struct conn *c, enum state state, int fd, void *buf,
		    size_t len)
{
	struct io_uring_sqe *sqe = get_sqe();

	io_uring_prep_recv(sqe, fd, buf, len, 0);
	io_uring_sqe_set_data(sqe, c);
	c->state = state;
}

static void op_send(struct conn *c, enum state state, int fd)
{
	struct io_uring_sqe *sqe = get_sqe();

	io_uring_prep_send(sqe, fd, c->out, c->out_len, MSG_NOSIGNAL);
	io_uring_sqe_set_data(sqe, c);
	c->state = state;
}

static void op_connect(struct conn *c)
{
	struct io_uring_sqe *sqe = get_sqe();

	c->backend[c->nth] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	c->addr = backend_address(server);
	io_uring_prep_connect(sqe, c->backend[c->nth],
			      (const struct sockaddr *)&c->addr,
			      sizeof(c->addr));
	io_uring_sqe_set_data(sqe, c);
	c->state = CONNECTING;
}

static void op_accept(void)
{
	struct io_uring_sqe *sqe = get_sqe();

	io_uring_prep_accept(sqe, server->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	io_uring_sqe_set_data(sqe, NULL);
}

static void ask_now(struct conn *c)
{
	backend_ask(&c->ask, server->redis, c->req.ms);
	c->out = c->ask.text;
	c->out_len = c->ask.len;
	c->got = 0;
	if (c->backend[c->nth] < 0)
		op_connect(c);
	else
		op_send(c, ASKING, c->backend[c->nth]);
}

static void ask_backend(struct conn *c)
{
	if (!server->redis)
		c->nth = c->asked;
	if (!server->redis || pool_take(c))
		ask_now(c);
}

static void listen_to(struct conn *c, unsigned nth)
{
	c->nth = nth;
	c->got = 0;
	op_recv(c, LISTENING, c->backend[nth], c->reply, sizeof(c->reply));
}

static bool asks_at_once(const struct conn *c)
{
	return c->req.route == HTTP_FAN && !server->redis;
}

/* A fan sends all requests before it waits for the first answer. */
static void asked(struct conn *c)
{
	if (!asks_at_once(c)) {
		listen_to(c, c->nth);
	} else if (c->nth + 1 < BACKEND_ASKS) {
		c->nth++;
		ask_now(c);
	} else {
		listen_to(c, 0);
	}
}

static void answer(struct conn *c)
{
	struct http_response resp = http_respond(&c->req);

	c->out = resp.text;
	c->out_len = resp.len;
	c->close = resp.close;
	c->linger = resp.linger;
	op_send(c, ANSWERING, c->fd);
}

static void next_request(struct conn *c)
{
	size_t used = http_parse(c->buf, c->len, &c->req);

	if (!used) {
		op_recv(c, READING, c->fd, c->buf + c->len,
			sizeof(c->buf) - c->len);
		return;
	}
	c->len -= used;
	memmove(c->buf, c->buf + used, c->len);
	c->asked = 0;
	if (http_asks(&c->req))
		ask_backend(c);
	else
		answer(c);
}

/* A part of out went to fd. True: all of it has been sent. */
static bool sent(struct conn *c, int fd, int n)
{
	c->out += n;
	c->out_len -= n;
	if (c->out_len)
		op_send(c, c->state, fd);
	return !c->out_len;
}

static void replied(struct conn *c, int n)
{
	int fd = c->backend[c->nth];

	c->got += n;
	if (backend_refused(c->reply)) {
		conn_close(c);
	} else if (c->got < c->ask.reply_len) {
		op_recv(c, LISTENING, fd, c->reply, sizeof(c->reply));
	} else {
		if (server->redis) {
			c->backend[0] = -1;
			pool_give(fd);
		}
		if (++c->asked == http_asks(&c->req))
			answer(c);
		else if (asks_at_once(c))
			listen_to(c, c->asked);
		else
			ask_backend(c);
	}
}

static void completed(struct conn *c, int res)
{
	if (res < 0 || (res == 0 && c->state != CONNECTING)) {
		conn_close(c);
		return;
	}
	switch (c->state) {
	case READING:
		c->len += res;
		next_request(c);
		break;
	case CONNECTING:
		op_send(c, ASKING, c->backend[c->nth]);
		break;
	case ASKING:
		if (sent(c, c->backend[c->nth], res))
			asked(c);
		break;
	case LISTENING:
		replied(c, res);
		break;
	case ANSWERING:
		if (!sent(c, c->fd, res))
			break;
		if (c->linger && !shutdown(c->fd, SHUT_WR))
			op_recv(c, LINGERING, c->fd, c->buf, sizeof(c->buf));
		else if (c->close)
			conn_close(c);
		else
			next_request(c);
		break;
	case LINGERING: /* what came is dropped */
		op_recv(c, LINGERING, c->fd, c->buf, sizeof(c->buf));
		break;
	}
}

/* No descriptor is free: the next accept would fail at once, too. */
static void op_pause(void)
{
	static struct __kernel_timespec wait = { 0, 5 * NS_PER_MS };
	struct io_uring_sqe *sqe = get_sqe();

	io_uring_prep_timeout(sqe, &wait, 0, 0);
	io_uring_sqe_set_data(sqe, NULL);
}

/* ... or the pause is over. */
static void accepted(int fd)
{
	struct conn *c = fd < 0 ? NULL : malloc(sizeof(*c));

	if (fd == -EMFILE || fd == -ENFILE)
		op_pause();
	else
		op_accept();
	if (!c) {
		if (fd >= 0)
			close(fd);
		return;
	}
	c->fd = fd;
	for (int i = 0; i < BACKEND_ASKS; i++)
		c->backend[i] = -1;
	c->nth = 0;
	c->state = READING;
	c->len = 0;
	op_recv(c, READING, fd, c->buf, sizeof(c->buf));
}

static int ring_open(void)
{
	struct io_uring_params p = {
		.flags = IORING_SETUP_SINGLE_ISSUER |
			 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE |
			 IORING_SETUP_SUBMIT_ALL,
		.cq_entries = 4096,
	};
	int err;

	if (no_defer)
		p.flags &= ~IORING_SETUP_DEFER_TASKRUN;
	err = io_uring_queue_init_params(256, &ring, &p);
	if (err == -EINVAL) {
		p = (struct io_uring_params){ .flags = IORING_SETUP_CQSIZE,
					      .cq_entries = 4096 };
		err = io_uring_queue_init_params(256, &ring, &p);
	}
	if (!err && io_uring_register_ring_fd)
		io_uring_register_ring_fd(&ring);
	return err;
}

int model_uring_loop(const struct server *s)
{
	int err = ring_open();

	if (err)
		return fail("uring-loop: io_uring: %s", strerror(-err));
	server = s;
	for (int i = 0; i < BACKEND_POOL; i++)
		pool_give(-1);
	op_accept();
	for (;;) {
		struct io_uring_cqe *cqe;
		unsigned head, n = 0;

		io_uring_submit_and_wait(&ring, 1);
		io_uring_for_each_cqe(&ring, head, cqe)
		{
			struct conn *c = io_uring_cqe_get_data(cqe);

			n++;
			if (c)
				completed(c, cqe->res);
			else
				accepted(cqe->res);
		}
		io_uring_cq_advance(&ring, n);
	}
}

int model_uring_single(const struct server *s)
{
	single = no_defer = true;
	return model_uring_loop(s);
}

int model_uring_plain(const struct server *s)
{
	no_defer = true;
	return model_uring_loop(s);
}
