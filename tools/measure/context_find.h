/* SPDX-License-Identifier: MIT */
/* Where a process shows the contexts of its threads; context_find.c. */
#ifndef URT_CONTEXT_FIND_H
#define URT_CONTEXT_FIND_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "count.h"

/*
 * Finds the place, for rows by the attribute `key`; NULL: by "http.route" or,
 * if that is not announced, the first key, whose name is returned in name.
 * False: the process shows none, or not yet, and why says so.
 */
bool context_find(pid_t, const char *key, struct urt_by_where *, char *name,
		  size_t name_size, char *why, size_t size);

#endif
