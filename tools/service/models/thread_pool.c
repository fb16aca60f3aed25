// SPDX-License-Identifier: MIT
/*
 * Model `thread-pool`: a fixed number of OS threads for all connections, as in
 * most servers of Java before virtual threads. All wait in one epoll; a
 * connection that has something to read is given to one thread (EPOLLONESHOT),
 * which reads, asks and answers by blocking calls, and then puts the
 * connection back.
 *
 * Where a suspended request lives: on the stack of the thread that it holds,
 * in the kernel. When all threads are held, further requests wait in line,
 * unread.
 */
#define _GNU_SOURCE
#include "../blocking.h"
#include "../../lib/tool.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define THREADS	   200 /* Tomcat's default */
#define STACK_SIZE (128 * 1024)

struct conn {
	int fd;
	int backend[BACKEND_ASKS]; /* -1: not open */
	_Atomic bool handed;	   /* to the next thread */
	bool refused;		   /* further data are dropped, up to the end */
	size_t len;		   /* in buf */
	char buf[HTTP_MAX];
};

static int epfd;

/* Answers the received requests. False: the connection must be closed. */
static bool serve(struct conn *c)
{
	struct http_request req;
	struct http_response resp;
	size_t used;
	ssize_t n;

	atomic_load_explicit(&c->handed, memory_order_acquire);
	n = recv(c->fd, c->buf + c->len, sizeof(c->buf) - c->len, 0);
	if (n <= 0 || c->refused)
		return n > 0;
	c->len += n;
	while ((used = http_parse(c->buf, c->len, &req))) {
		if (!blocking_ask(c->backend, &req))
			return false;
		resp = http_respond(&req);
		if (!blocking_send(c->fd, resp.text, resp.len))
			return false;
		if (resp.close) {
			c->refused = resp.linger;
			c->len = 0;
			return c->refused && !shutdown(c->fd, SHUT_WR);
		}
		c->len -= used;
		memmove(c->buf, c->buf + used, c->len);
	}
	return true;
}

static void conn_close(struct conn *c)
{
	blocking_close(c->backend);
	close(c->fd);
	free(c);
}

static void put_back(struct conn *c, int op)
{
	struct epoll_event ev = { EPOLLIN | EPOLLONESHOT, { .ptr = c } };

	/* EPOLLONESHOT gives a connection to one thread at a time; this states
	 * it in C, for ThreadSanitizer. */
	atomic_store_explicit(&c->handed, true, memory_order_release);
	if (epoll_ctl(epfd, op, c->fd, &ev))
		conn_close(c);
}

static void *work(void *arg)
{
	for (;;) {
		struct epoll_event ev;

		if (epoll_wait(epfd, &ev, 1, -1) != 1)
			continue;
		if (serve(ev.data.ptr))
			put_back(ev.data.ptr, EPOLL_CTL_MOD);
		else
			conn_close(ev.data.ptr);
	}
	return NULL;
}

static void accepted(int fd)
{
	struct conn *c = malloc(sizeof(*c));

	if (!c) {
		close(fd);
		return;
	}
	c->fd = fd;
	for (int i = 0; i < BACKEND_ASKS; i++)
		c->backend[i] = -1;
	c->refused = false;
	c->len = 0;
	put_back(c, EPOLL_CTL_ADD);
}

int model_thread_pool(const struct server *s)
{
	pthread_attr_t attr;

	blocking_open(s);
	epfd = epoll_create1(EPOLL_CLOEXEC);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (int i = 0; i < THREADS; i++) {
		pthread_t thread;
		int err = pthread_create(&thread, &attr, work, NULL);

		if (err)
			return fail("thread-pool: thread %d of %d: %s", i + 1,
				    THREADS, strerror(err));
	}
	for (;;) {
		int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0 && (errno == EMFILE || errno == ENFILE))
			sleep_ns(NS_PER_MS);
		else if (fd >= 0)
			accepted(fd);
	}
}
