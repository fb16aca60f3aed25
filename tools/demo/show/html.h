/* SPDX-License-Identifier: MIT */
/* The parts of the page that are pictures: charts.c. */
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

/* The recording of how one request waits in each model: timeline.c. */
void html_timelines(FILE *, const struct demo *);

#endif
