/* SPDX-License-Identifier: MIT */
/*
 * The models of concurrency: one server each, to be read side by side. All
 * open their backend connection for a client when it first asks to wait, and
 * keep it for that client. With Redis, all clients share BACKEND_POOL
 * connections, opened when first needed; who finds none free waits in line.
 */
#ifndef URT_MODEL_H
#define URT_MODEL_H

#include "../../lib/tool.h"
#include "../http.h"
#include <netinet/in.h>

struct server {
	int listen_fd;		    /* blocking */
	struct sockaddr_in backend; /* the first of its addresses */
	int port;		    /* of listen_fd */
	bool redis;		    /* the backend is one */
};

struct model {
	const char *name;
	const char *unit;		   /* of scheduling */
	const char *waits_in;		   /* what it waits in */
	int (*run)(const struct server *); /* returns on failure only */
	bool peer; /* another language's runtime, which may not be installed */
	bool for_cpu; /* a variant that differs only where CPU is burnt */
};

/* The backend's next address: each has ports of its own. From any thread. */
struct sockaddr_in backend_address(const struct server *);

extern const struct model models[];
extern const unsigned nr_models;
const struct model *model_find(const char *name);

int model_thread(const struct server *);
int model_epoll(const struct server *);
int model_uring_loop(const struct server *);
int model_coroutine(const struct server *);
int model_node(const struct server *);
int model_node_workers(const struct server *);
int model_go(const struct server *);

/* Bytes of a connection's struct in the two state machines. */
extern const size_t model_epoll_captured, model_uring_loop_captured;

/* Why the peer cannot be run here, or NULL. */
const char *peer_missing(const struct model *);

/*
 * The command that serves as the peer on `port` (Go is built first, once, into
 * the user's cache). NULL-terminated, static. NULL: could not; it was said.
 */
char **peer_command(const struct model *, int port, int backend_port,
		    bool redis);

#endif
