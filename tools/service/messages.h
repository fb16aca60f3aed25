/* SPDX-License-Identifier: MIT */
/* Servers of messages (lib/message.h) on 127.0.0.1. */
#ifndef URT_SERVICE_MESSAGES_H
#define URT_SERVICE_MESSAGES_H

/*
 * They print "port N" on stdout and serve until they are killed: in coroutines,
 * on URT_WORKERS workers, or in event loops over epoll, which only echo, in as
 * many threads, with connections dealt out in turn. They return an exit code.
 */
int messages_serve_coroutine(void);
int messages_serve_epoll(int threads);

#endif
