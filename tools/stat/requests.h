/* SPDX-License-Identifier: MIT */
/* `urt stat --by context`: what single requests cost, by row. */
#ifndef URT_STAT_REQUESTS_H
#define URT_STAT_REQUESTS_H

#include "../measure/counter.h"
#include "../lib/tool.h"

struct stat_requests;

struct stat_requests *stat_requests_new(void); /* NULL: no memory */
void stat_requests_free(struct stat_requests *);

/* Adds up the requests that have left the table of the BPF programs; all: also those in
 * it, once counting has stopped. */
void stat_requests_take(struct stat_requests *, struct counter *, bool all);

/* The lines of one row; the first row that has requests prints a heading, with the name
 * of the key, and sets *headed. */
void stat_requests_print(FILE *, const struct stat_requests *, uint32_t row,
			 const char *name, const char *key, bool *headed);
/* Prints how many requests and events are missing, if any are. */
void stat_requests_print_lost(FILE *, const struct stat_requests *);

/* The member "requests" of a row, and those of all rows. known: which figures are
 * counted. */
void stat_requests_json(struct json *, const struct stat_requests *,
			uint32_t row, const bool known[URT_OF_SPAN]);
void stat_requests_json_lost(struct json *, const struct stat_requests *);

#endif
