/* SPDX-License-Identifier: MIT */
/* What a reader must know before believing a figure. */
#ifndef URT_DEMO_WARN_H
#define URT_DEMO_WARN_H

#include "../demo.h"

/* Each warning between the two texts; the number of them. */
unsigned demo_warnings(FILE *, const struct demo *, const char *before,
		       const char *after);

/* Whether the generator, and not the server, was the limit: the requests per
 * second are then at least so many. */
bool demo_load_was_limit(const struct demo_row *);

/* The largest share of its CPU that the load generator took; NaN. */
double demo_load_cpu(const struct demo *);

#endif
