/* SPDX-License-Identifier: MIT */
/* A run in a child process, for tests of events that end the process. */
#ifndef URT_TEST_CHILD_H
#define URT_TEST_CHILD_H

#include "../../uring_rt/urt.h"
#include "test.h"
#include <sys/wait.h>
#include <unistd.h>

/* Runs fn in a child, with the child's stderr in buf. Returns its wait status. */
int child_says(urt_fn *fn, const struct urt_options *, char *buf, size_t size);

#endif
