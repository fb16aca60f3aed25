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
	if (!blocking_send(*fd, ask.text, ask.len))
		return false;
	while (got < ask.reply_len) {
		n = recv(*fd, buf, sizeof(buf), 0);
		if (n <= 0 || backend_refused(buf))
			return false;
		got += n;
	}
	return true;
}

bool blocking_ask(int *own, unsigned ms)
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

void blocking_open(const struct server *s)
{
	server = s;
	for (int i = 0; i < BACKEND_POOL; i++)
		pool_give(-1);
}
