/* SPDX-License-Identifier: MIT */
/* Shared by the parts of the text for people. */
#ifndef URT_DEMO_PRINT_H
#define URT_DEMO_PRINT_H

#include "show.h"

/* A number in six columns, or n/a. */
const char *print_cell(char buf[16], double v);

void print_conclusions(FILE *, const struct demo *);

#endif
