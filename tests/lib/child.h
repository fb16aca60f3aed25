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

/* Runs fn in a child, whose limits and descriptors it may change. Its result is the
 * child's exit status: 0 if all is right, SKIPPED if the test is not possible here. */
#define SKIPPED 77
void in_child(int (*fn)(void));

/* Starts lie(mode) in a child of another user, which dies with the test; stops it. */
#define NOBODY 65534
pid_t liar(void (*lie)(const char *), const char *mode);
void stop(pid_t);

/* In such a child: a page of counters like that of a run, which is mapped and which
 * the tool can find. With `sealed` false, it can shrink. */
struct urt__stats_page *counters_page(size_t size, bool sealed, int *fd);

/* A value of /proc/self/status; memory is in kB. */
long status_of(const char *name);
/* The number of open descriptors. */
int descriptors(void);

#endif
