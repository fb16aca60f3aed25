/* SPDX-License-Identifier: MIT */
/* Shared by the models of blocking calls: sending, and asking the backend. */
#ifndef SERVICE_BLOCKING_H
#define SERVICE_BLOCKING_H

#include "server.h"

/* Call it once, before all else. */
void blocking_open(const struct server *);
/* Sends all of it. False: the connection is broken. */
bool blocking_send(int fd, const char *p, size_t len);
/* Tells the client that nothing more comes, and drops what it still sends, up
 * to its end. */
void blocking_linger(int fd);
/* Waits for the backend as often as the request says: over Redis' pool, else
 * over the client's own connections, which it opens if they are -1. False: no
 * answer. */
bool blocking_ask(int own[BACKEND_ASKS], const struct http_request *);
void blocking_close(const int own[BACKEND_ASKS]);

#endif
