/* SPDX-License-Identifier: MIT */
/* The result, for people and programs. */
#ifndef URT_DEMO_SHOW_H
#define URT_DEMO_SHOW_H

#include "../results.h"
#include <stdio.h>

void demo_print_text(FILE *, const struct demo *);
void demo_print_json(FILE *, const struct demo *);
void demo_print_markdown(FILE *, const struct demo *);
void demo_print_html(FILE *, const struct demo *);

/* The last three as files in a directory. 0, or EXIT_BAD, which was printed. */
int demo_write_report(const struct demo *, const char *dir);

#endif
