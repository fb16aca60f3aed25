// SPDX-License-Identifier: MIT
/*
 * Model `coroutine`: a coroutine of uring_rt per connection. The same lines as
 * thread.c, with urt_ before the calls.
 *
 * Where a suspended request lives: on the coroutine's stack, in user space: the
 * pages that it has touched, and a control block at their top.
 */
#define _GNU_SOURCE
#include "../server.h"
#include "../../lib/tool.h"
#include "../../../uring_rt/urt.h"
#include <string.h>
#include <unistd.h>

static const struct server *server;
static int route_key; /* of contexts */

static bool send_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = urt_send(fd, p, len, MSG_NOSIGNAL, URT_NEVER);

		if (n <= 0)
			return false;
		p += n;
		len -= n;
	}
	return true;
}

/* Connections to Redis for all clients, those that are free; -1: not open. */
static struct urt_chan *pool;

static bool ask_on(int *fd, unsigned ms)
{
	char buf[BACKEND_REPLY_MAX];
	struct backend_ask ask;
	size_t got = 0;
	ssize_t n;

	if (*fd < 0) {
		struct sockaddr_in addr = backend_address(server);

		*fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (urt_connect(*fd, (struct sockaddr *)&addr, sizeof(addr),
				URT_NEVER))
			return false;
	}
	backend_ask(&ask, server->redis, ms);
	if (!send_all(*fd, ask.text, ask.len))
		return false;
	while (got < ask.reply_len) {
		n = urt_recv(*fd, buf, sizeof(buf), 0, URT_NEVER);
		if (n <= 0 || backend_refused(buf))
			return false;
		got += n;
	}
	return true;
}

static bool ask_backend(int *own, unsigned ms)
{
	bool fine;
	int fd;

	if (!server->redis)
		return ask_on(own, ms);
	urt_chan_recv(pool, &fd, URT_NEVER);
	fine = ask_on(&fd, ms);
	if (!fine && fd >= 0) {
		urt_close(fd);
		fd = -1;
	}
	urt_chan_send(pool, &fd, URT_NEVER);
	return fine;
}

/* So that `urt stat --by context` tells what each route costs the kernel. */
static void set_context(enum http_route route)
{
	static const char *const names[] = {
		[HTTP_OK] = "/", [HTTP_WAIT] = "/wait", [HTTP_CPU] = "/cpu"
	};
	static _Atomic uint64_t requests;
	struct urt_context ctx = { .trace_id = { 1 } };
	uint64_t n = ++requests;

	if (route > HTTP_CPU)
		return;
	memcpy(ctx.span_id, &n, sizeof(n));
	urt_context_add(&ctx, route_key, names[route]);
	urt_context_set(&ctx);
}

static void serve(int fd, int *backend)
{
	char buf[HTTP_MAX];
	size_t len = 0, used;
	struct http_request req;
	struct http_response resp;
	ssize_t n;

	while ((n = urt_recv(fd, buf + len, sizeof(buf) - len, 0, URT_NEVER)) >
	       0) {
		len += n;
		while ((used = http_parse(buf, len, &req))) {
			set_context(req.route);
			if (req.route == HTTP_WAIT &&
			    !ask_backend(backend, req.ms))
				return;
			resp = http_respond(&req);
			if (!send_all(fd, resp.text, resp.len) || resp.close)
				return;
			len -= used;
			memmove(buf, buf + used, len);
		}
		urt_context_set(NULL); /* the next request is not known yet */
	}
}

static void connection(void *arg)
{
	int fd = (int)(intptr_t)arg;
	int backend = -1;

	serve(fd, &backend);
	if (backend >= 0)
		urt_close(backend);
	urt_close(fd);
}

static void accept_all(void *arg)
{
	pool = urt_chan_new(sizeof(int), BACKEND_POOL);
	for (int i = 0, fd = -1; pool && i < BACKEND_POOL; i++)
		urt_chan_send(pool, &fd, URT_NEVER);
	while (pool) {
		int fd = urt_accept(server->listen_fd, NULL, NULL, SOCK_CLOEXEC,
				    URT_NEVER);

		if (fd == -EMFILE || fd == -ENFILE)
			urt_sleep(NS_PER_MS);
		else if (fd >= 0 && urt_go(connection, (void *)(intptr_t)fd))
			urt_close(fd); /* no memory for it: refused */
	}
}

int model_coroutine(const struct server *s)
{
	server = s;
	route_key = urt_context_key("http.route");
	urt_run(accept_all, NULL);
	return fail("coroutine: %s", urt_why());
}
