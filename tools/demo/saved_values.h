/* SPDX-License-Identifier: MIT */
/* Values of a result that is read: saved.c. */
#ifndef URT_DEMO_SAVED_VALUES_H
#define URT_DEMO_SAVED_VALUES_H

#include "../lib/json_tree.h"
#include <stdint.h>

/* The number of a member; 0: it is missing. */
int64_t saved_whole(const struct json_value *, const char *name);
/* A number that is not below 0. */
uint64_t saved_count(double);
/* The string of a member, or "". */
void saved_text(char *to, size_t size, const struct json_value *,
		const char *name);
/* The first element of an array; NULL: there is none. */
const struct json_value *saved_first(const struct json_value *,
				     const char *array);
/* Room for the elements of an array, zeroed. */
void *saved_room(const struct json_value *, const char *array, size_t size);
/* The numbers of an array, up to a maximum. Returns how many there are. */
unsigned saved_numbers(const struct json_value *, const char *array, double *to,
		       unsigned most);
/* The index of a name; -1: it is not in the list. */
int saved_named(const char *const *names, int n, const char *name);

#endif
