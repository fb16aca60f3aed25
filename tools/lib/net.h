/* SPDX-License-Identifier: MIT */
/* Sockets on loopback, and the limit of descriptors. */
#ifndef URT_NET_H
#define URT_NET_H

#include <netinet/in.h>
#include <stdbool.h>

/* 127.0.0.1:port */
struct sockaddr_in net_loopback(int port);

/*
 * A blocking socket that is bound to the port, or also listens there; port 0:
 * any free one, which is returned in *port. -1: an error message was printed.
 */
int net_bind(int *port);
int net_listen(int *port);
/* The same on the nth loopback address: 127.0.0.1 is number 0. */
int net_listen_at(int nth, int *port);

/*
 * Makes a socket for a connection to a server on loopback come from the nth
 * address, 127.0.0.1 being number 0: each address has ports of its own towards
 * the server. If that fails, connecting returns the error.
 */
void net_use_source(int fd, const struct sockaddr_in *server, int nth);

/*
 * The port in "redis://127.0.0.1:PORT" (localhost, too; without a port 6379).
 * -1: it is not that; an error message for --backend was printed.
 */
int net_redis_port(const char *url);

/*
 * A port that is free now and that the kernel gives to no client: any
 * connection could take a client's port before a server listens there. Chosen
 * at random, so that programs that search at the same time seldom find the same
 * port. -1: none; an error message was printed.
 */
int net_free_port(void);

/* Waits up to ms until someone listens on the port. */
bool net_wait_listening(int port, int ms);

/*
 * Raises the limit of open descriptors to `needed`, if it is less. False: not
 * allowed; *allowed is the limit.
 */
bool net_need_descriptors(long needed, long *allowed);
/* Raises it as far as it is allowed, up to 2^20. */
void net_most_descriptors(void);

#endif
