/* SPDX-License-Identifier: MIT */
/* The process context that other programs read about this process;
 * announce.c. */
#ifndef URT_BASE_ANNOUNCE_H
#define URT_BASE_ANNOUNCE_H

#include "base.h"

#define URT__CONTEXT_KEYS    256 /* a key's number is a byte */
#define URT__CONTEXT_KEY_MAX 64	 /* bytes of a key's name */

/*
 * Publishes the names of the first n keys, or publishes them anew. The caller
 * makes sure that only one thread does so at a time. 0, -ENOMEM, ...
 */
int urt__announce(const char (*key)[URT__CONTEXT_KEY_MAX + 1], unsigned n);

/* In a forked child, which does not have the parent's mapping. */
void urt__announce_forget(void);

#endif
