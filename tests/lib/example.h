/* SPDX-License-Identifier: MIT */
/* A program of uring_rt/examples under test, and text to and from it. */
#ifndef URT_TEST_EXAMPLE_H
#define URT_TEST_EXAMPLE_H

#include "service.h"

/* A directory for each test: fixtures make it, and remove it with the server. */
extern char example_dir[];
void example_setup(void);
void example_teardown(void);

/* Starts an example, or the program of a path with a slash, that listens at
 * server_port, which becomes argv[1]. */
void example_start_with(const char *name, char **argv);
void example_start(const char *name, const char *arg, const char *more);
/* Waits until it has ended, with success; _end: sends SIGTERM first. */
void example_await_end(void);
void example_end(void);

void send_text(int fd, const char *s);
/* The next data must be this text; the connection must end here. */
void expect_text(int fd, const char *expected);
void expect_end(int fd);

#endif
