/* SPDX-License-Identifier: MIT */
/* Sockets on loopback, and the limit of descriptors. */
#ifndef URT_NET_H
#define URT_NET_H

#include <netinet/in.h>
#include <stdbool.h>

/* 127.0.0.1:port */
struct sockaddr_in net_loopback(int port);

/*
 * A blocking socket that is bound there, or listens there too; port 0: any,
 * and *port says which. Or -1; an error message was printed.
 */
int net_bind(int *port);
int net_listen(int *port);
/* The same on the nth loopback address: 127.0.0.1 is number 0. */
int net_listen_at(int nth, int *port);

/*
 * A socket that is to be connected to a server on loopback will come from the
 * nth address, 127.0.0.1 being number 0: each has ports of its own towards the
 * server. Where it cannot, connecting says what is wrong.
 */
void net_use_source(int fd, const struct sockaddr_in *server, int nth);

/*
 * The port in "redis://127.0.0.1:PORT" (localhost, too; without a port 6379).
 * -1: it is not that.
 */
int net_redis_port(const char *url);

/*
 * A port that is free now, and that the kernel gives to no client: one of those
 * could be taken by any connection before a server listens there. By chance, so
 * that programs that look at the same time seldom find the same one. -1: none;
 * an error message was printed.
 */
int net_free_port(void);

/* Waits up to ms until someone listens on the port. */
bool net_wait_listening(int port, int ms);

/*
 * Raises the limit of open descriptors to `needed`, if it is less. False:
 * not allowed; *allowed is how many there may be.
 */
bool net_need_descriptors(long needed, long *allowed);

#endif
