/* SPDX-License-Identifier: MIT */
/* Address space that is reserved as a whole and used in parts; why:
 * memory.c. */
#ifndef URT_BASE_MEMORY_H
#define URT_BASE_MEMORY_H

#include "base.h"

#define URT__MEM_ANONYMOUS -1
#define URT__MEM_STACKS	   -2 /* anonymous, too */

/*
 * Reserves size bytes that cannot be touched yet, of one of the above kinds of
 * memory or of a file, and names the mapping. 0; -ENOMEM: the address space is
 * full; -EAGAIN: over the limit of locked memory, in a process that locks all
 * its memory.
 */
int urt__mem_reserve(void **out, size_t size, int fd, const char *name);

/* Makes part of it readable and writable. 0; -ENOMEM. */
int urt__mem_open(void *p, size_t size);

/* ... which is then locked, page by page as it is touched, in a process that
 * locks all of its memory. 0; -ENOMEM, -EPERM: over the limit. */
int urt__mem_lock(void *p, size_t size);

/* All three at once. */
int urt__mem_map(void **out, size_t size, int fd, const char *name);

/* Gives the pages of a part that was opened back to the system. */
int urt__mem_drop(void *p, size_t size);

#endif
