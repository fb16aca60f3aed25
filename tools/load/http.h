/* SPDX-License-Identifier: MIT */
/* HTTP/1.1 as a client, as far as the load generator speaks it. */
#ifndef URT_LOAD_HTTP_H
#define URT_LOAD_HTTP_H

#include "load.h"
#include <stddef.h>

#define LOAD_HEAD_MAX  8192 /* bytes of an answer's head */
#define LOAD_NO_LENGTH (-2) /* in place of the length of a body */

/* The request for a path, whole. Its length, or what it would be. */
size_t load_request(char *buf, size_t size, const struct load_options *,
		    const char *path);

/*
 * The head at p, as far as it came: its length; 0: not all there; -1: not
 * HTTP, or, with *body LOAD_NO_LENGTH, without the length of a body.
 */
long load_head(const char *p, size_t len, int *status, long *body);

#endif
