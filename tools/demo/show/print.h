/* SPDX-License-Identifier: MIT */
/* Shared by the parts of the text for people. */
#ifndef URT_DEMO_PRINT_H
#define URT_DEMO_PRINT_H

#include "show.h"

/* A number in six columns, or n/a. */
const char *print_cell(char buf[16], double v);

/* The line of a measurement that has no figures: the reason. */
void print_failed(FILE *, int width, const struct model *,
		  const struct demo_outcome *);

/* The columns of the terminal, or $COLUMNS; a file has as many as a table
 * needs. Tables leave out columns if there are fewer than PRINT_TABLE; text is
 * never wider than PRINT_TEXT. */
#define PRINT_TABLE 103
#define PRINT_TEXT  100
unsigned print_width(FILE *);
bool print_narrow(FILE *);

/* Prints lines that break at blanks, of at most the width and PRINT_TEXT. */
void print_folded(FILE *, const char *indent, const char *text);
/* The first line begins with `first`, which is as long as the indent. */
void print_hanging(FILE *, const char *first, const char *indent,
		   const char *text);

/* ---- the parts: print_other.c, print_end.c ---- */

void print_seconds(FILE *, const struct demo *);
void print_holds(FILE *, const struct demo *);
void print_bursts(FILE *, const struct demo *);
void print_stalls(FILE *, const struct demo *);
void print_scales(FILE *, const struct demo *);
void print_conclusions(FILE *, const struct demo *);

#endif
