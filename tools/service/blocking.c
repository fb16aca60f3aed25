// SPDX-License-Identifier: MIT
/* See blocking.h. */
#include "blocking.h"
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct server *server;

bool blocking_send(int fd, const char *p, size_t len)
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

void blocking_linger(int fd)
{
	char dropped[4096];

	shutdown(fd, SHUT_WR);
	while (recv(fd, dropped, sizeof(dropped), 0) > 0)
		;
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

static bool send_ask(int *fd, const struct backend_ask *ask)
{
	if (*fd < 0) {
		struct sockaddr_in addr = backend_address(server);

		*fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(*fd, (struct sockaddr *)&addr, sizeof(addr)))
			return false;
	}
	return blocking_send(*fd, ask->text, ask->len);
}

static bool get_reply(int fd, const struct backend_ask *ask)
{
	char buf[BACKEND_REPLY_MAX];
	size_t got = 0;

	while (got < ask->reply_len) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		if (n <= 0 || backend_refused(buf))
			return false;
		got += n;
	}
	return true;
}

static bool ask_pooled(const struct backend_ask *ask)
{
	int fd = pool_take();
	bool fine = send_ask(&fd, ask) && get_reply(fd, ask);

	if (!fine && fd >= 0) {
		close(fd);
		fd = -1;
	}
	pool_give(fd);
	return fine;
}

/* A thread that waits for three at once sends three times, then reads three
 * times: meanwhile, the replies to the others wait in their sockets. */
static bool ask_at_once(int own[BACKEND_ASKS], const struct backend_ask *ask)
{
	for (int i = 0; i < BACKEND_ASKS; i++)
		if (!send_ask(&own[i], ask))
			return false;
	for (int i = 0; i < BACKEND_ASKS; i++)
		if (!get_reply(own[i], ask))
			return false;
	return true;
}

bool blocking_ask(int own[BACKEND_ASKS], const struct http_request *req)
{
	unsigned asks = http_asks(req);
	struct backend_ask ask;

	if (!asks)
		return true;
	backend_ask(&ask, server->redis, req->ms);
	if (req->route == HTTP_FAN && !server->redis)
		return ask_at_once(own, &ask);
	for (unsigned i = 0; i < asks; i++)
		if (server->redis ? !ask_pooled(&ask)
				  : !send_ask(&own[i], &ask) ||
					    !get_reply(own[i], &ask))
			return false;
	return true;
}

void blocking_close(const int own[BACKEND_ASKS])
{
	for (int i = 0; i < BACKEND_ASKS; i++)
		if (own[i] >= 0)
			close(own[i]);
}

void blocking_open(const struct server *s)
{
	server = s;
	for (int i = 0; i < BACKEND_POOL; i++)
		pool_give(-1);
}
