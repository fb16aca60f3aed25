// SPDX-License-Identifier: MIT
/*
 * The accept loop that every server has, with the two errors that simple loops
 * handle wrongly: a client that disconnects before it is accepted does not end
 * the server, and running out of descriptors is a reason to wait, not to spin
 * (the connection is still there).
 */
#define _GNU_SOURCE
#include "../base/sys.h"
#include "fd.h"
#include <stdlib.h>
#undef errno

#define PAUSE_NS 10000000 /* while descriptors or memory are short */

struct server {
	struct urt_scope *scope;
	int listener;
	void (*serve)(int fd, void *arg);
	void *arg;
};

struct connection {
	void (*serve)(int fd, void *arg);
	void *arg;
	int fd;
};

static int serve_one(void *arg)
{
	struct connection c = *(struct connection *)arg;

	free(arg);
	c.serve(c.fd, c.arg);
	urt_close(c.fd);
	return 0;
}

static int begin(const struct server *s, int fd)
{
	struct connection *c = urt__sys_alloc(sizeof(*c));
	int err = -ENOMEM;

	if (c) {
		*c = (struct connection){ s->serve, s->arg, fd };
		err = urt_scope_go(s->scope, serve_one, c);
	}
	if (err) {
		free(c);
		urt_close(fd);
	}
	return err;
}

/* Whether to continue: 0, or the end. */
static int after_error(int err)
{
	switch (err) {
	case -ECONNABORTED: /* and what accept(2) says to try again after: */
	case -EPERM:	    /* a firewall's */
	case -ENETDOWN:
	case -EPROTO:
	case -ENOPROTOOPT:
	case -EHOSTDOWN:
	case -ENONET:
	case -EHOSTUNREACH:
	case -ENETUNREACH:
		return 0;
	case -EMFILE:
	case -ENFILE:
	case -ENOBUFS:
	case -ENOMEM:
	case -EAGAIN: /* no more coroutines */
		return urt_sleep(PAUSE_NS);
	default:
		return err;
	}
}

static int accept_all(void *arg)
{
	struct server s = *(struct server *)arg;
	int err;

	free(arg);
	do {
		int fd = urt_accept(s.listener, NULL, NULL, SOCK_CLOEXEC,
				    URT_NEVER);

		err = fd < 0 ? fd : begin(&s, fd);
	} while (!err || !(err = after_error(err)));
	/* EINVAL: the socket no longer listens. */
	return err == -ECANCELED || err == -EINVAL ? 0 : err;
}

int urt_linger(int fd, int64_t deadline_ns)
{
	ssize_t n = urt_shutdown(fd, SHUT_WR, deadline_ns);
	char dropped[2048];

	if (!n)
		while ((n = urt_recv(fd, dropped, sizeof(dropped), 0,
				     deadline_ns)) > 0)
			;
	return n;
}

int urt_serve(struct urt_scope *scope, int listener,
	      void (*serve)(int fd, void *arg), void *arg)
{
	struct server *s = urt__sys_alloc(sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	*s = (struct server){ scope, listener, serve, arg };
	err = urt_scope_go(scope, accept_all, s);
	if (err)
		free(s);
	return err;
}
