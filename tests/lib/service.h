/* SPDX-License-Identifier: MIT */
/* A server of the demo under test, and raw bytes to it. */
#ifndef URT_TEST_SERVICE_H
#define URT_TEST_SERVICE_H

#include "../../tools/lib/net.h"
#include "../../tools/service/model.h"
#include "tool_run.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* Whether text contains the words. */
bool has(const char *words);

extern pid_t server;
extern int server_port;
extern unsigned server_descriptors; /* its limit of them; 0: the usual one */
extern const char *server_log; /* a file for its stderr; NULL: the test's */

/* Starts a model, with one more option of `urt serve`, or NULL, and waits until it
 * listens. */
void server_start(const char *model, const char *option, const char *value);
void server_stop(void);
/* From now on, server_port is that of a relay, without TLS, to a server of TLS. */
void server_relay(void);
/* Waits, for 30 s at most, until the server takes a connection. */
bool server_listens(void);
struct sockaddr_in server_address(void);
/* A connection to it; -1: it does not listen. */
int server_connect(void);

/* Whether the program that a model needs is missing: the test then skips. */
bool not_here(const char *model);

#endif
