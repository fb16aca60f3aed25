// SPDX-License-Identifier: MIT
/*
 * Charts as inline SVG (svg.h): 440 units wide, a phone's width, so that their
 * text is as large as the text around them; a desktop shows two side by side.
 * No library is used: an axis and a path are a few lines each.
 */
#include "svg.h"
#include "../../lib/tool.h"
#include <math.h>
#include <string.h>

#define WIDTH  440.0
#define HEIGHT 270.0
#define LEFT   54.0
#define RIGHT  106.0 /* room for the names of the lines */
#define TOP    14.0
#define BOTTOM 44.0

/* ---- text ---- */

void svg_text(FILE *f, const char *s)
{
	for (; *s; s++) {
		if (*s == '<')
			fputs("&lt;", f);
		else if (*s == '>')
			fputs("&gt;", f);
		else if (*s == '&')
			fputs("&amp;", f);
		else
			fputc(*s, f);
	}
}

const char *svg_number(char buf[24], double v)
{
	double a = fabs(v);

	if (isnan(v))
		snprintf(buf, 24, "n/a");
	else if (a >= 9.95e5)
		snprintf(buf, 24, "%.3gM", v / 1e6);
	else if (a >= 9995)
		snprintf(buf, 24, "%.0fk", v / 1e3);
	else if (a >= 999.5)
		snprintf(buf, 24, "%.3gk", v / 1e3);
	else if (a >= 99.5)
		snprintf(buf, 24, "%.0f", v);
	else if (a >= 0.0995 || !a)
		snprintf(buf, 24, "%.3g", v);
	else if (a >= 0.0001)
		snprintf(buf, 24, "%.1g", v);
	else
		snprintf(buf, 24, "%.0e", v);
	return buf;
}

/* ---- scales ---- */

struct scale {
	double min, max; /* of the values */
	bool log;	 /* powers of ten are equally far apart */
	double from, to; /* their place in the picture */
};

static double place(const struct scale *s, double v)
{
	double share;

	if (s->log)
		share = v <= s->min ? 0
				    : log(v / s->min) / log(s->max / s->min);
	else
		share = (v - s->min) / (s->max - s->min);
	return s->from + share * (s->to - s->from);
}

/* 1, 2 or 5 times a power of ten: about n steps up to the value. */
static double nice_step(double value, int n)
{
	double rough = value / n, power = pow(10, floor(log10(rough)));

	if (rough / power > 5)
		return 10 * power;
	return (rough / power > 2 ? 5 : rough / power > 1 ? 2 : 1) * power;
}

static void widen(struct scale *s, double v)
{
	if (isnan(v) || (s->log && v <= 0))
		return;
	if (isnan(s->min) || v < s->min)
		s->min = v;
	if (isnan(s->max) || v > s->max)
		s->max = v;
}

static void round_off(struct scale *s, bool whole_powers)
{
	if (isnan(s->min))
		s->min = s->max = 1;
	if (!s->log) {
		s->min = 0;
		s->max = s->max > 0 ? s->max * 1.05 : 1;
	} else if (whole_powers) {
		s->min = pow(10, floor(log10(s->min)));
		s->max = pow(10, ceil(log10(s->max)));
		if (s->max <= s->min)
			s->max = s->min * 10;
	} else {
		s->min /= 1.15;
		s->max *= 1.15;
	}
}

/* ---- lines ---- */

static void grid_y(FILE *f, const struct scale *y, double v)
{
	double at = place(y, v);
	char n[24];

	fprintf(f,
		"<path class='grid' d='M%.0f %.1fH%.0f'/>"
		"<text x='%.0f' y='%.1f' text-anchor='end'>%s</text>",
		LEFT, at, WIDTH - RIGHT, LEFT - 6, at + 4, svg_number(n, v));
}

static void axis_y(FILE *f, const struct scale *y, const char *label)
{
	double step = nice_step(y->max, 4);

	if (y->log)
		for (double v = y->min; v <= y->max * 1.001; v *= 10)
			grid_y(f, y, v);
	else
		for (double v = 0; v <= y->max; v += step)
			grid_y(f, y, v);
	fprintf(f,
		"<text class='label' transform='translate(13 %.0f) rotate(-90)' "
		"text-anchor='middle'>",
		(TOP + HEIGHT - BOTTOM) / 2);
	svg_text(f, label);
	fputs("</text>", f);
}

static void tick_x(FILE *f, const struct scale *x, double v)
{
	char n[24];

	fprintf(f,
		"<path class='grid' d='M%.1f %.0fV%.0f'/>"
		"<text x='%.1f' y='%.0f' text-anchor='middle'>%s</text>",
		place(x, v), TOP, HEIGHT - BOTTOM, place(x, v),
		HEIGHT - BOTTOM + 17, svg_number(n, v));
}

/* On a logarithmic axis, labels are the values themselves, which are few. */
static void axis_x(FILE *f, const struct chart *c, const struct scale *x)
{
	double step = nice_step(x->max, 5);
	const struct series *most = &c->series[0];

	for (unsigned i = 1; i < c->n; i++)
		if (c->series[i].n > most->n)
			most = &c->series[i];
	if (x->log)
		for (unsigned i = 0; i < most->n; i++)
			tick_x(f, x, most->x[i]);
	else
		for (double v = 0; v <= x->max; v += step)
			tick_x(f, x, v);
	fprintf(f,
		"<text class='label' x='%.0f' y='%.0f' text-anchor='middle'>",
		(LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8);
	svg_text(f, c->x_label);
	fputs("</text>", f);
}

static void line(FILE *f, const struct chart *c, const struct series *s,
		 const struct scale *x, const struct scale *y)
{
	char move = 'M';

	fprintf(f, "<path class='line m-%s' d='", s->name);
	for (unsigned i = 0; i < s->n; i++) {
		if (isnan(s->y[i]))
			continue;
		fprintf(f, "%c%.1f %.1f", move, place(x, s->x[i]),
			place(y, s->y[i]));
		move = 'L';
	}
	fputs("'/>", f);
	for (unsigned i = 0; i < s->n && !c->no_dots; i++)
		if (!isnan(s->y[i]))
			fprintf(f,
				"<circle class='dot m-%s' cx='%.1f' cy='%.1f' "
				"r='3.5'><title>%s: %g, %g</title></circle>",
				s->name, place(x, s->x[i]), place(y, s->y[i]),
				s->name, s->x[i], s->y[i]);
}

/* ---- the names of lines, to the right of them ---- */

#define NAME_HEIGHT 13.0
#define NAMES_MAX   32

struct name {
	const struct series *series;
	double x, y; /* where its line ends */
	double at;   /* y of the name */
};

/* Names keep their distance: from the top down, then up from the bottom. */
static void spread(struct name *all, unsigned n)
{
	double height = HEIGHT - BOTTOM - TOP, bottom = HEIGHT - BOTTOM;
	double least = fmin(NAME_HEIGHT, height / n);

	for (unsigned i = 1; i < n; i++)
		for (unsigned k = i; k && all[k].y < all[k - 1].y; k--) {
			struct name higher = all[k];

			all[k] = all[k - 1];
			all[k - 1] = higher;
		}
	for (unsigned i = 0; i < n; i++)
		all[i].at = i ? fmax(all[i].y, all[i - 1].at + least)
			      : fmax(all[i].y, TOP);
	for (unsigned i = n; i--; bottom = all[i].at - least)
		all[i].at = fmin(all[i].at, bottom);
}

static void names_of_lines(FILE *f, const struct chart *c,
			   const struct scale *x, const struct scale *y)
{
	struct name all[NAMES_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < c->n && n < NAMES_MAX; i++) {
		const struct series *s = &c->series[i];
		unsigned last = s->n;

		while (last && isnan(s->y[last - 1]))
			last--;
		if (last--)
			all[n++] = (struct name){ s, place(x, s->x[last]),
						  place(y, s->y[last]), 0 };
	}
	spread(all, n);
	for (unsigned i = 0; i < n; i++)
		fprintf(f,
			"<path class='leader m-%s' d='M%.1f %.1fL%.0f "
			"%.1f'/><text class='end m-%s' x='%.0f' y='%.1f'>%s"
			"</text>",
			all[i].series->name, all[i].x, all[i].y,
			WIDTH - RIGHT + 8, all[i].at, all[i].series->name,
			WIDTH - RIGHT + 11, all[i].at + 4, all[i].series->name);
}

void svg_lines(FILE *f, const struct chart *c)
{
	struct scale x = { NAN, NAN, c->log_x, LEFT, WIDTH - RIGHT };
	struct scale y = { NAN, NAN, c->log_y, HEIGHT - BOTTOM, TOP };

	for (unsigned i = 0; i < c->n; i++) {
		for (unsigned k = 0; k < c->series[i].n; k++) {
			widen(&x, c->series[i].x[k]);
			widen(&y, c->series[i].y[k]);
		}
	}
	round_off(&x, false);
	round_off(&y, true);
	fprintf(f,
		"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %.0f %.0f' role='img'>",
		WIDTH, HEIGHT);
	axis_y(f, &y, c->y_label);
	axis_x(f, c, &x);
	for (unsigned i = 0; i < c->n; i++)
		line(f, c, &c->series[i], &x, &y);
	names_of_lines(f, c, &x, &y);
	fputs("</svg>\n", f);
}

/* ---- bars ---- */

#define BAR	15.0 /* height of one */
#define GAP	9.0  /* between models */
#define NAMES	96.0 /* width of the names */
#define NUMBERS 52.0 /* and of the numbers */

static void bar(FILE *f, const struct series *s, unsigned point,
		const struct scale *x, double top, bool pale)
{
	double to = place(x, s->y[point]);
	char n[24];

	/* A logarithmic scale has no 0 at which a bar could begin. */
	if (x->log) {
		fprintf(f,
			"<path class='grid' d='M%.0f %.1fH%.0f'/>"
			"<circle class='dot m-%s%s' cx='%.1f' cy='%.1f' r='5'/>"
			"<text x='%.1f' y='%.1f'>%s</text>",
			x->from, top + BAR / 2 - 1, x->to, s->name,
			pale ? " pale" : "", to, top + BAR / 2 - 1, to + 9,
			top + BAR - 4, svg_number(n, s->y[point]));
		return;
	}
	fprintf(f,
		"<rect class='bar m-%s%s' x='%.0f' y='%.1f' width='%.1f' "
		"height='%.1f' rx='2'/>"
		"<text x='%.1f' y='%.1f'>%s</text>",
		s->name, pale ? " pale" : "", x->from, top,
		fmax(to - x->from, 1.5), BAR - 2, fmax(to, x->from) + 6,
		top + BAR - 4, svg_number(n, s->y[point]));
}

static void names(FILE *f, const struct series *s, double top, double height)
{
	fprintf(f,
		"<text class='name' x='%.0f' y='%.1f' text-anchor='end'>%s</text>",
		NAMES - 8, top + height / 2 + 4, s->name);
}

void svg_bars(FILE *f, const struct chart *c, const char *const *points)
{
	struct scale x = { NAN, NAN, c->log_y, NAMES, WIDTH - NUMBERS };
	double height = 6, top = 4;

	for (unsigned i = 0; i < c->n; i++) {
		height += c->series[i].n * BAR + GAP;
		for (unsigned k = 0; k < c->series[i].n; k++)
			widen(&x, c->series[i].y[k]);
	}
	round_off(&x, true);
	if (x.log)
		x.min /= 2; /* so that the least bar is visible, too */
	fprintf(f,
		"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %.0f %.0f' role='img'>",
		WIDTH, height + (points ? 22 : 0));
	for (unsigned i = 0; i < c->n; i++) {
		const struct series *s = &c->series[i];

		names(f, s, top, s->n * BAR);
		for (unsigned k = 0; k < s->n; k++, top += BAR)
			if (!isnan(s->y[k]))
				bar(f, s, k, &x, top, k);
		top += GAP;
	}
	if (points)
		fprintf(f,
			"<text class='label' x='%.0f' y='%.1f'>full colour: %s; "
			"pale: %s</text>",
			NAMES, top + 14, points[0], points[1]);
	fputs("</svg>\n", f);
}
