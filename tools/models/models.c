// SPDX-License-Identifier: MIT
/* The table of models, and those that other programs serve. */
#define _GNU_SOURCE
#include "../peers/peers.h"
#include "model.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct model models[] = {
	{ "thread", "OS thread", "the kernel", model_thread, false },
	{ "epoll", "callback, state machine", "epoll", model_epoll, false },
	{ "uring-loop", "callback, state machine", "io_uring", model_uring_loop,
	  false },
	{ "coroutine", "coroutine", "io_uring", model_coroutine, false },
	{ "node", "promise continuation", "libuv", model_node, true },
	{ "go", "goroutine", "netpoller", model_go, true },
};
const unsigned nr_models = ARRAY_LEN(models);

const struct model *model_find(const char *name)
{
	for (unsigned i = 0; i < nr_models; i++)
		if (!strcmp(models[i].name, name))
			return &models[i];
	return NULL;
}

const char *peer_missing(const struct model *m)
{
	if (!strcmp(m->name, "node") && !peer_has("node"))
		return "Node is not installed: `make peers` installs it";
	if (!strcmp(m->name, "go") && !peer_has("go"))
		return "Go is not installed: `make peers` installs it";
	return NULL;
}

char **peer_command(const struct model *m, int port, int backend_port)
{
	static char ports[2][16];
	static char *argv[5];
	char **p = argv;

	snprintf(ports[0], sizeof(ports[0]), "%d", port);
	snprintf(ports[1], sizeof(ports[1]), "%d", backend_port);
	if (!strcmp(m->name, "node")) {
		*p++ = "node";
		*p++ = peer_file("server.js", peer_server_js,
				 peer_server_js_end);
	} else {
		*p++ = peer_go_program("server.go", peer_server_go,
				       peer_server_go_end);
	}
	if (!p[-1])
		return NULL;
	*p++ = ports[0];
	*p++ = ports[1];
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
	argv = peer_command(m, s->port, ntohs(s->backend.sin_port));
	if (!argv)
		return EXIT_BAD;
	execvp(argv[0], argv);
	return fail("cannot run %s: %s", argv[0], strerror(errno));
}

int model_node(const struct server *s)
{
	return exec_peer("node", s);
}

int model_go(const struct server *s)
{
	return exec_peer("go", s);
}
