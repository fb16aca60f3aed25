// SPDX-License-Identifier: MIT
/*
 * Model `coroutine`: a coroutine of uring_rt per connection. The same lines as
 * thread.c, with urt_ before the calls.
 *
 * Where a suspended request lives: on the coroutine's stack, in user space: the
 * pages that it has touched, and a control block at their top. The read buffer
 * is as large as a page and lies between them, so the calls below it touch a
 * second page.
 *
 * Model `coroutine-lent` reads into a buffer that the runtime lends when data
 * arrive, and returns it before the request waits. So a request that waits has
 * no read buffer, and all of its calls fit the page of the control block.
 *
 * Model `coroutine-tls` is `coroutine` behind a stream of TLS.
 */
#define _GNU_SOURCE
#include "../server.h"
#include "../tls.h"
#include "../../lib/tool.h"
#include "../../../uring_rt/urt.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct server *server;

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

/* The free connections to Redis, for all clients; -1: not open. */
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

static bool ask_once(int *own, unsigned ms)
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

/* One of the backend's answers for which a request waits at once. */
struct asked {
	int *own;
	unsigned ms;
	bool fine;
};

static void ask_beside(void *arg)
{
	struct asked *a = arg;

	a->fine = ask_once(a->own, a->ms);
}

static bool ask_at_once(int own[BACKEND_ASKS], unsigned ms)
{
	struct asked asked[BACKEND_ASKS];
	struct urt_coro *coro[BACKEND_ASKS] = { NULL };
	bool fine = true;

	for (int i = 0; i < BACKEND_ASKS; i++) {
		asked[i] = (struct asked){ &own[i], ms, false };
		if (i)
			coro[i] = urt_spawn(ask_beside, &asked[i]);
	}
	ask_beside(&asked[0]);
	for (int i = 0; i < BACKEND_ASKS; i++) {
		if (coro[i])
			urt_join(coro[i]);
		fine &= asked[i].fine;
	}
	return fine;
}

static bool ask_backend(int own[BACKEND_ASKS], const struct http_request *req)
{
	unsigned asks = http_asks(req);

	if (req->route == HTTP_FAN && !server->redis)
		return ask_at_once(own, req->ms);
	for (unsigned i = 0; i < asks; i++)
		if (!ask_once(&own[i], req->ms))
			return false;
	return true;
}

/* Each route's context, without the span, which differs for each request. With
 * it, `urt stat --by context` shows what the route costs the kernel. */
static struct urt_context contexts[HTTP_CPU + 1];

static void make_contexts(void)
{
	static const char *const names[] = {
		[HTTP_OK] = "/",	 [HTTP_WAIT] = "/wait",
		[HTTP_CHAIN] = "/chain", [HTTP_FAN] = "/fan",
		[HTTP_CPU] = "/cpu",
	};
	int key = urt_context_key("http.route");

	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		contexts[i] = (struct urt_context){ .trace_id = { 1 } };
		urt_context_add(&contexts[i], key, names[i]);
	}
}

/* Not inlined, or a waiting request would keep the 640 bytes of ctx, of which
 * few are touched. */
static __attribute__((noinline)) void set_context(enum http_route route)
{
	static _Atomic uint64_t requests;
	struct urt_context ctx;
	uint64_t n = ++requests;

	if (route > HTTP_CPU)
		return;
	memcpy(&ctx, &contexts[route],
	       offsetof(struct urt_context, attrs) +
		       contexts[route].attrs_size);
	memcpy(ctx.span_id, &n, sizeof(n));
	urt_context_set(&ctx);
}

/* A connection to a client: the socket, or a stream of TLS over it. */
struct client {
	int fd;
	struct urt_stream *tls; /* NULL: none */
};

static ssize_t hear(const struct client *c, char *buf, size_t len)
{
	return c->tls ? urt_stream_read(c->tls, buf, len, URT_NEVER)
		      : urt_recv(c->fd, buf, len, 0, URT_NEVER);
}

static bool tell(const struct client *c, const char *p, size_t len)
{
	if (!c->tls)
		return send_all(c->fd, p, len);
	return urt_stream_write(c->tls, p, len, URT_NEVER) == (ssize_t)len &&
	       !urt_stream_flush(c->tls, URT_NEVER);
}

/* False: the connection is to be closed. */
static bool answer(const struct client *c, int *backend,
		   const struct http_request *req)
{
	struct http_response resp;

	set_context(req->route);
	if (!ask_backend(backend, req))
		return false;
	resp = http_respond(req);
	if (!tell(c, resp.text, resp.len))
		return false;
	if (resp.linger && c->tls)
		tls_linger(c->tls);
	else if (resp.linger)
		urt_linger(c->fd, URT_NEVER);
	return !resp.close;
}

static void serve_client(const struct client *c, int *backend)
{
	char buf[HTTP_MAX];
	size_t len = 0, used;
	struct http_request req;
	ssize_t n;

	while ((n = hear(c, buf + len, sizeof(buf) - len)) > 0) {
		len += n;
		while ((used = http_parse(buf, len, &req))) {
			if (!answer(c, backend, &req))
				return;
			len -= used;
			memmove(buf, buf + used, len);
		}
		urt_context_set(NULL); /* the next request is not known yet */
	}
}

static void serve(int fd, int *backend)
{
	serve_client(&(struct client){ .fd = fd }, backend);
}

static void serve_tls(int fd, int *backend)
{
	struct client c = { fd, tls_accept(fd) };

	if (!c.tls)
		return;
	serve_client(&c, backend);
	tls_end(c.tls);
}

/* Received data: lent; or, if they end within a request, a copy of the rest, to
 * which the next data are added. */
struct received {
	char *at; /* the data not yet parsed */
	size_t len;
	void *lent;
	char *copy;
};

static void received_free(struct received *r)
{
	urt_lent_return(r->lent);
	free(r->copy);
	*r = (struct received){ 0 };
}

/* Adds the data to the rest. */
static bool received_add(struct received *r, void *lent, size_t n)
{
	char *all;

	if (!r->len) {
		*r = (struct received){ .at = lent, .len = n, .lent = lent };
		return true;
	}
	all = malloc(r->len + n);
	if (all) {
		memcpy(all, r->at, r->len);
		memcpy(all + r->len, lent, n);
		n += r->len;
	}
	urt_lent_return(lent);
	received_free(r);
	*r = (struct received){ .at = all, .len = all ? n : 0, .copy = all };
	return all;
}

/* The next request; false: it is not complete yet. The data are returned with
 * their last request, before it is answered. */
static bool received_request(struct received *r, struct http_request *req)
{
	size_t used = 0;

	if (r->len)
		used = http_parse(r->at, r->len < HTTP_MAX ? r->len : HTTP_MAX,
				  req);
	r->at += used;
	r->len -= used;
	if (!r->len)
		received_free(r);
	return used;
}

static void serve_lent(int fd, int *backend)
{
	struct client c = { .fd = fd };
	struct received r = { 0 };
	struct http_request req;
	bool open = true;
	void *data;
	ssize_t n;

	while (open && (n = urt_recv_lent(fd, &data, 0, URT_NEVER)) > 0) {
		open = received_add(&r, data, n);
		while (open && received_request(&r, &req))
			open = answer(&c, backend, &req);
		urt_context_set(NULL);
	}
	received_free(&r);
}

static void (*serve_connection)(int fd, int *backend) = serve;

static void connection(void *arg)
{
	int fd = (int)(intptr_t)arg;
	int backend[BACKEND_ASKS] = { -1, -1, -1 };

	serve_connection(fd, backend);
	for (int i = 0; i < BACKEND_ASKS; i++)
		if (backend[i] >= 0)
			urt_close(backend[i]);
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
			urt_close(fd); /* no memory: refused */
	}
}

int model_coroutine(const struct server *s)
{
	server = s;
	make_contexts();
	urt_run(accept_all, NULL);
	return fail("coroutine: %s", urt_why());
}

int model_coroutine_lent(const struct server *s)
{
	serve_connection = serve_lent;
	return model_coroutine(s);
}

int model_coroutine_tls(const struct server *s)
{
	if (!tls_open())
		return EXIT_BAD;
	serve_connection = serve_tls;
	return model_coroutine(s);
}
