/* SPDX-License-Identifier: MIT */
/*
 * The number of requests that `urt load` counts, told to the `urt stat` that
 * started it, also through a shell between them: a page that both map, whose
 * descriptor is inherited and named by URT_OPS_FD. Several loads add up.
 */
#ifndef URT_OPS_H
#define URT_OPS_H

#include <stdbool.h>
#include <stdint.h>

/* For commands started from now on. Its descriptor or -errno. */
int ops_open(void);

/* The requests counted so far. Its contents are not to be trusted. */
uint64_t ops_read(int fd);

/* Adds what was counted since the last call; `completed` only grows. Does
 * nothing where no `urt stat` asked for the count. */
void ops_tell(uint64_t completed);

#endif
