/* SPDX-License-Identifier: MIT */
/*
 * Charts as inline SVG. Colours are classes of the page (m-MODEL), so that the
 * page can have two sets of them; text is text, so that readers can search it.
 */
#ifndef URT_DEMO_SVG_H
#define URT_DEMO_SVG_H

#include <stdbool.h>
#include <stdio.h>

#define POINTS_MAX 64

struct series {
	const char *name; /* of the model: also its colour */
	unsigned n;	  /* points */
	double x[POINTS_MAX], y[POINTS_MAX];
};

struct chart {
	const char *x_label, *y_label;
	bool log_x, log_y;
	bool no_dots; /* points are too many to be marked */
	struct series *series;
	unsigned n; /* series */
};

/* Lines over x, each with its name at the right. */
void svg_lines(FILE *, const struct chart *);

/* One bar for each series and each of its points, whose x is not used; the
 * names of the points, or NULL where there is one. Dots along a logarithmic
 * scale if log_y. */
void svg_bars(FILE *, const struct chart *, const char *const *points);

/* A number in its shortest form: 1.5k, 0.02. */
const char *svg_number(char buf[24], double v);

/* Text with <, > and & made harmless. */
void svg_text(FILE *, const char *);

#endif
