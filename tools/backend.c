// SPDX-License-Identifier: MIT
/*
 * The backend: a plain epoll loop with the runtime's timer heap. It is the
 * same for all models and outside what is measured.
 */
#define _GNU_SOURCE
#include "backend.h"
#include "../uring_rt/sched/timers.h"
#include "models/http.h"
#include "tool.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct conn {
	int fd;
	bool waiting; /* its timer is in; freed only by that */
	bool closed;
	size_t len;
	char buf[16];
};

static struct urt__timers timers;

static void conn_close(struct conn *c)
{
	close(c->fd);
	c->closed = true;
	if (!c->waiting)
		free(c);
}

static void reply(uint64_t what)
{
	struct conn *c = (struct conn *)(uintptr_t)what;

	c->waiting = false;
	if (c->closed)
		free(c);
	else if (send(c->fd, BACKEND_REPLY, BACKEND_REPLY_LEN, MSG_NOSIGNAL) <
		 0)
		shutdown(c->fd, SHUT_RDWR); /* the loop sees it close */
}

static bool live(uint64_t what)
{
	return true; /* the dead are freed by their timer */
}

static void readable(struct conn *c)
{
	ssize_t n = recv(c->fd, c->buf + c->len, sizeof(c->buf) - 1 - c->len,
			 MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0) {
		c->len += n;
		c->buf[c->len] = '\0';
		if (!strchr(c->buf, '\n') && c->len < sizeof(c->buf) - 1)
			return;
	}
	if (n <= 0 || c->waiting ||
	    urt__timers_add(&timers, now_ns() + atol(c->buf) * NS_PER_MS,
			    (uintptr_t)c)) {
		conn_close(c);
		return;
	}
	c->waiting = true;
	c->len = 0;
}

static void accept_one(int epfd, int listen_fd)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	struct conn *c = fd < 0 ? NULL : calloc(1, sizeof(*c));
	struct epoll_event ev = { EPOLLIN, { .ptr = c } };

	if (!c) {
		if (fd >= 0)
			close(fd);
		return;
	}
	c->fd = fd;
	epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev);
}

_Noreturn void backend_serve(int listen_fd)
{
	struct epoll_event events[256];
	struct epoll_event ev = { EPOLLIN, { .ptr = NULL } };
	int epfd = epoll_create1(EPOLL_CLOEXEC);

	urt__timers_init(&timers, live, reply, NULL);
	epoll_ctl(epfd, EPOLL_CTL_ADD, listen_fd, &ev);
	for (;;) {
		int64_t next = urt__timers_next(&timers);
		int64_t wait = next == INT64_MAX ? -1 : next - now_ns();
		struct timespec ts = { wait / NS_PER_S, wait % NS_PER_S };
		int n;

		if (wait < 0)
			ts = (struct timespec){ 0, 0 };
		n = epoll_pwait2(epfd, events, ARRAY_LEN(events),
				 next == INT64_MAX ? NULL : &ts, NULL);
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr)
				readable(events[i].data.ptr);
			else
				accept_one(epfd, listen_fd);
		}
		urt__timers_run(&timers, now_ns());
	}
}
