/* SPDX-License-Identifier: MIT */
/* HTTP/1.1 as a client, as far as the load generator speaks it. */
#ifndef URT_LOAD_HTTP_H
#define URT_LOAD_HTTP_H

#include "load.h"
#include <stddef.h>

#define LOAD_HEAD_MAX  8192 /* bytes of an answer's head */
#define LOAD_NO_LENGTH (-2) /* in place of the length of a body */

/* The whole request for a path. Its length, as snprintf. */
size_t load_request(char *buf, size_t size, const struct load_options *,
		    const char *path);

/*
 * The head at p, as far as it was received. Its length; 0: it is incomplete;
 * -1: it is not HTTP, or, with *body LOAD_NO_LENGTH, it gives no length of the
 * body.
 */
long load_head(const char *p, size_t len, int *status, long *body);

#endif
