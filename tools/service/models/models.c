// SPDX-License-Identifier: MIT
/* The table of models, and those that other programs serve. */
#define _GNU_SOURCE
#include "../backend.h"
#include "../peers/peers.h"
#include "model.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct model models[] = {
	{ "thread", "OS thread", "the kernel", model_thread, false, false },
	{ "epoll", "callback, state machine", "epoll", model_epoll, false,
	  false },
	{ "uring-loop", "callback, state machine", "io_uring", model_uring_loop,
	  false, false },
	{ "coroutine", "coroutine", "io_uring", model_coroutine, false, false },
	{ "node", "promise continuation", "libuv", model_node, true, false },
	{ "node-workers", "promise, worker threads for CPU", "libuv",
	  model_node_workers, true, true },
	{ "go", "goroutine", "netpoller", model_go, true, false },
};
const unsigned nr_models = ARRAY_LEN(models);

struct sockaddr_in backend_address(const struct server *s)
{
	static unsigned opened;
	struct sockaddr_in addr = s->backend;
	unsigned n = __atomic_fetch_add(&opened, 1, __ATOMIC_RELAXED);

	if (s->redis)
		return addr;
	addr.sin_addr.s_addr =
		htonl(ntohl(addr.sin_addr.s_addr) + n % BACKEND_ADDRESSES);
	return addr;
}

const struct model *model_find(const char *name)
{
	for (unsigned i = 0; i < nr_models; i++)
		if (!strcmp(models[i].name, name))
			return &models[i];
	return NULL;
}

const char *peer_missing(const struct model *m)
{
	if (!strncmp(m->name, "node", 4) && !peer_has("node"))
		return "Node is not installed: `make peers` installs it";
	if (!strcmp(m->name, "go") && !peer_has("go"))
		return "Go is not installed: `make peers` installs it";
	return NULL;
}

char **peer_command(const struct model *m, int port, int backend_port,
		    bool redis)
{
	static char ports[2][16];
	static char *argv[8], *file; /* ours until the next call */
	char **p = argv;

	free(file);
	snprintf(ports[0], sizeof(ports[0]), "%d", port);
	snprintf(ports[1], sizeof(ports[1]), "%d", backend_port);
	if (!strncmp(m->name, "node", 4)) {
		*p++ = "node";
		*p++ = "--expose-gc"; /* so that it can tell its memory */
		file = peer_file("server.js", peer_server_js,
				 peer_server_js_end);
	} else {
		file = peer_go_program("server.go", peer_server_go,
				       peer_server_go_end);
	}
	if (!file)
		return NULL;
	*p++ = file;
	*p++ = ports[0];
	*p++ = ports[1];
	if (m->for_cpu)
		*p++ = "workers";
	if (redis)
		*p++ = "redis";
	*p = NULL;
	return argv;
}

/* The peer listens by itself: our socket only kept the port until now. */
static int exec_peer(const char *name, const struct server *s)
{
	const struct model *m = model_find(name);
	const char *missing = peer_missing(m);
	char **argv;

	if (missing)
		return fail("%s", missing);
	close(s->listen_fd);
	argv = peer_command(m, s->port, ntohs(s->backend.sin_port), s->redis);
	if (!argv)
		return EXIT_BAD;
	execvp(argv[0], argv);
	return fail("cannot run %s: %s", argv[0], strerror(errno));
}

int model_node(const struct server *s)
{
	return exec_peer("node", s);
}

int model_node_workers(const struct server *s)
{
	return exec_peer("node-workers", s);
}

int model_go(const struct server *s)
{
	return exec_peer("go", s);
}
