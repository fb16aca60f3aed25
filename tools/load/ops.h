/* SPDX-License-Identifier: MIT */
/*
 * How `urt load` reports its number of requests to the `urt stat` that started
 * it, even with a shell between them: by a page that both map, whose descriptor
 * is inherited and named by URT_OPS_FD. Several loads add up.
 */
#ifndef URT_OPS_H
#define URT_OPS_H

#include <stdbool.h>
#include <stdint.h>

/* For commands started from now on. Its descriptor or -errno. */
int ops_open(void);

/* The requests counted so far. The page's contents cannot be trusted. */
uint64_t ops_read(int fd);

/* Adds the requests since the last call; `completed` only grows. Does nothing
 * unless a `urt stat` asked for the count. */
void ops_tell(uint64_t completed);

#endif
