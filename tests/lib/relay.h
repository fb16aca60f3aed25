/* SPDX-License-Identifier: MIT */
/* Passes plain connections on to a server that speaks TLS, with every end and reset. */
#ifndef URT_TEST_RELAY_H
#define URT_TEST_RELAY_H

#include <sys/types.h>

/* A process that listens on *port, which it chooses. */
pid_t relay_start(int *port, int server_port);

#endif
