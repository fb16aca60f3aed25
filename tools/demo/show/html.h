/* SPDX-License-Identifier: MIT */
/* The parts of the page: pictures (charts.c) and tables (html_tables.c). */
#ifndef URT_DEMO_HTML_H
#define URT_DEMO_HTML_H

#include "show.h"
#include "svg.h"

/* Each model's colour, as rules of .m-NAME, for light and dark. */
void html_colours(FILE *, const struct demo *);

/* Charts of the measurements; those without figures are left out. */
void html_charts(FILE *, const struct demo *);

/* A picture of each model, with its figures. */
void html_anatomy(FILE *, const struct demo *);

/* A table: its head, whose names end with NULL; a cell with a number; its
 * end. */
void html_begin_table(FILE *, const char *const *heads);
void html_cell(FILE *, const char *format, double);
void html_end_table(FILE *);

/* All tables of figures. */
void html_tables(FILE *, const struct demo *);

/* The recording of how one request waits in each model: timeline.c. */
void html_timelines(FILE *, const struct demo *);

#endif
