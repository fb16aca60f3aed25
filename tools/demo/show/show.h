/* SPDX-License-Identifier: MIT */
/* The result, for people and programs. */
#ifndef URT_DEMO_SHOW_H
#define URT_DEMO_SHOW_H

#include "../results.h"
#include <stdio.h>

void demo_print_part(FILE *, const struct demo *, enum demo_part);
void demo_print_json(FILE *, const struct demo *);
void demo_print_markdown(FILE *, const struct demo *);
void demo_print_html(FILE *, const struct demo *);

/* Makes the directory if necessary. 0, or EXIT_BAD: files cannot be written
 * there; an error message was printed. */
int demo_check_report(const char *dir);

/* Memory by requests that wait, as a picture of its own. */
void demo_print_picture(FILE *, const struct demo *);

/* Writes the last four as files in a directory. 0, or EXIT_BAD; an error
 * message was printed. */
int demo_write_report(const struct demo *, const char *dir);

#endif
