// SPDX-License-Identifier: MIT
/*
 * Model `thread`: an OS thread per connection, blocking calls.
 *
 * Where a suspended request lives: on the stack of its thread, in the kernel:
 * a kernel stack, a task_struct, and as much of the user stack as was touched.
 */
#define _GNU_SOURCE
#include "../server.h"
#include "../../lib/tool.h"
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STACK_SIZE (128 * 1024) /* as the coroutines' */

static const struct server *server;

static bool send_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		p += n;
		len -= n;
	}
	return true;
}

/* Connections to Redis for all clients; -1: not open. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t given;
	int fd[BACKEND_POOL]; /* those that are free */
	unsigned n;	      /* of them */
} pool = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, { 0 }, 0 };

static void pool_give(int fd)
{
	pthread_mutex_lock(&pool.lock);
	pool.fd[pool.n++] = fd;
	pthread_cond_signal(&pool.given);
	pthread_mutex_unlock(&pool.lock);
}

static int pool_take(void)
{
	int fd;

	pthread_mutex_lock(&pool.lock);
	while (!pool.n)
		pthread_cond_wait(&pool.given, &pool.lock);
	fd = pool.fd[--pool.n];
	pthread_mutex_unlock(&pool.lock);
	return fd;
}

static bool ask_on(int *fd, unsigned ms)
{
	char buf[BACKEND_REPLY_MAX];
	struct backend_ask ask;
	size_t got = 0;
	ssize_t n;

	if (*fd < 0) {
		struct sockaddr_in addr = backend_address(server);

		*fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(*fd, (struct sockaddr *)&addr, sizeof(addr)))
			return false;
	}
	backend_ask(&ask, server->redis, ms);
	if (!send_all(*fd, ask.text, ask.len))
		return false;
	while (got < ask.reply_len) {
		n = recv(*fd, buf, sizeof(buf), 0);
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
	fd = pool_take();
	fine = ask_on(&fd, ms);
	if (!fine && fd >= 0) {
		close(fd);
		fd = -1;
	}
	pool_give(fd);
	return fine;
}

static void serve(int fd, int *backend)
{
	char buf[HTTP_MAX];
	size_t len = 0, used;
	struct http_request req;
	struct http_response resp;
	ssize_t n;

	while ((n = recv(fd, buf + len, sizeof(buf) - len, 0)) > 0) {
		len += n;
		while ((used = http_parse(buf, len, &req))) {
			if (req.route == HTTP_WAIT &&
			    !ask_backend(backend, req.ms))
				return;
			resp = http_respond(&req);
			if (!send_all(fd, resp.text, resp.len) || resp.close)
				return;
			len -= used;
			memmove(buf, buf + used, len);
		}
	}
}

static void *connection(void *arg)
{
	int fd = (int)(intptr_t)arg;
	int backend = -1;

	serve(fd, &backend);
	if (backend >= 0)
		close(backend);
	close(fd);
	return NULL;
}

int model_thread(const struct server *s)
{
	pthread_attr_t attr;

	server = s;
	for (int i = 0; i < BACKEND_POOL; i++)
		pool_give(-1);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (;;) {
		int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		pthread_t thread;

		if (fd < 0 && (errno == EMFILE || errno == ENFILE))
			sleep_ns(NS_PER_MS);
		else if (fd >= 0 && pthread_create(&thread, &attr, connection,
						   (void *)(intptr_t)fd))
			close(fd); /* no thread for it: refused */
	}
}
