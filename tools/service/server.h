/* SPDX-License-Identifier: MIT */
/*
 * The arguments of a server in C, and the servers: one for each model, to be
 * read side by side. A server opens a backend connection for a client when the
 * client first asks to wait, and keeps it for that client. With Redis, all
 * clients share BACKEND_POOL connections, opened when first needed; a client
 * waits in line if none is free.
 */
#ifndef URT_SERVER_H
#define URT_SERVER_H

#include "http.h"
#include <netinet/in.h>

struct server {
	int listen_fd;		    /* blocking */
	struct sockaddr_in backend; /* the first of its addresses */
	int port;		    /* of listen_fd */
	bool redis;		    /* the backend is one */
};

/* The backend's next address: each has ports of its own. From any thread. */
struct sockaddr_in backend_address(const struct server *);

/* These return on failure only. */
int model_thread(const struct server *);
int model_thread_pool(const struct server *);
int model_epoll(const struct server *);
int model_uring_loop(const struct server *);
int model_uring_single(const struct server *);
int model_uring_plain(const struct server *);
int model_coroutine(const struct server *);
int model_coroutine_lent(const struct server *);
int model_coroutine_tls(const struct server *);

/* Bytes of a connection's struct in the two state machines. */
extern const size_t model_epoll_captured, model_uring_loop_captured;

#endif
