/* SPDX-License-Identifier: MIT */
/* Shared by the models of blocking calls: sending, and asking the backend. */
#ifndef SERVICE_BLOCKING_H
#define SERVICE_BLOCKING_H

#include "server.h"

/* Before all else, once. */
void blocking_open(const struct server *);
/* Sends all of it. False: the connection is of no use. */
bool blocking_send(int fd, const char *p, size_t len);
/* Tells the client that nothing more comes; drops what it still sends, up to its end. */
void blocking_linger(int fd);
/* Waits ms at the backend: over Redis' pool, else over *own, which is opened if it is
 * -1 and is the caller's to close. False: no answer. */
bool blocking_ask(int *own, unsigned ms);

#endif
