// SPDX-License-Identifier: MIT
/*
 * Model `thread`: an OS thread per connection, blocking calls.
 *
 * Where a suspended request lives: on the stack of its thread, in the kernel:
 * a kernel stack, a task_struct, and as much of the user stack as was touched.
 */
#define _GNU_SOURCE
#include "../blocking.h"
#include "../../lib/tool.h"
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STACK_SIZE (128 * 1024) /* as the coroutines' */

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
			if (!blocking_ask(backend, &req))
				return;
			resp = http_respond(&req);
			if (!blocking_send(fd, resp.text, resp.len))
				return;
			if (resp.linger)
				blocking_linger(fd);
			if (resp.close)
				return;
			len -= used;
			memmove(buf, buf + used, len);
		}
	}
}

static void *connection(void *arg)
{
	int fd = (int)(intptr_t)arg;
	int backend[BACKEND_ASKS] = { -1, -1, -1 };

	serve(fd, backend);
	blocking_close(backend);
	close(fd);
	return NULL;
}

int model_thread(const struct server *s)
{
	pthread_attr_t attr;

	blocking_open(s);
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
			close(fd); /* no thread: refused */
	}
}
