/* SPDX-License-Identifier: MIT */
#ifndef URT_DEMO_OPTIONS_H
#define URT_DEMO_OPTIONS_H

#include "results.h"

/* False: the options are wrong; an error message was printed. --help ends the
 * program. */
bool demo_parse(int argc, char **argv, struct demo_options *);

/* Defaults, by the mode. */
void demo_fill_in(struct demo_options *);

#endif
