// SPDX-License-Identifier: MIT
/*
 * How one request waits in each model, drawn from a recording of `urt record`:
 * a lane for each thread and coroutine of the server that ran meanwhile. A
 * block: it runs; a line: it waits, with the cause.
 */
#include "html.h"
#include <math.h>
#include <string.h>

#define WIDTH  440.0
#define LANE   42.0 /* height of one, with its name */
#define BAR    16.0
#define TOP    4.0
#define LETTER 6.4 /* width of one, about */

static double place(const struct demo_timeline *t, double ns)
{
	return WIDTH * ns / t->ns;
}

static void slice(FILE *f, const struct demo_timeline *t,
		  const struct demo_slice *s)
{
	double x = place(t, s->at_ns), width = place(t, s->ns);
	double y = TOP + s->lane * LANE + 18;
	const char *what = s->what;

	if (s->runs) {
		fprintf(f,
			"<rect class='fill m-%s' x='%.1f' y='%.0f' "
			"width='%.1f' height='%.0f'/>",
			t->model->name, x, y, fmax(width, 1.2), BAR);
		return;
	}
	fprintf(f,
		"<rect class=wait x='%.1f' y='%.0f' width='%.1f' height='3'/>",
		x, y + BAR / 2 - 1.5, width);
	if (!strncmp(what, "wait: ", 6))
		what += 6;
	if (strlen(what) * LETTER + 8 > width)
		return;
	fprintf(f, "<text class=halo x='%.1f' y='%.0f' text-anchor=middle>",
		x + width / 2, y + BAR - 4);
	svg_text(f, what);
	fputs("</text>", f);
}

/* A line and its number for each half of a ms. */
static void axis(FILE *f, const struct demo_timeline *t, double bottom)
{
	for (double ms = 0; ms * 1e6 < t->ns * 0.97; ms += 0.5)
		fprintf(f,
			"<path class=grid d='M%.1f %.0fv4'/><text x='%.1f' "
			"y='%.0f' text-anchor='%s'>%g%s</text>",
			place(t, ms * 1e6), bottom, place(t, ms * 1e6),
			bottom + 16, ms ? "middle" : "start", ms,
			ms ? "" : " ms");
}

/* Threads have numbers from 1: the kernel's names and numbers mean nothing
 * here. */
static void name(FILE *f, const struct demo_timeline *t, unsigned lane,
		 unsigned *threads)
{
	fprintf(f, "<text x='0' y='%.0f'>", TOP + lane * LANE + 12);
	if (t->lane[lane].coroutine) {
		fputs("coroutine ", f);
		svg_text(f, t->lane[lane].name);
	} else {
		fprintf(f, "thread %u", ++*threads);
	}
	fputs("</text>", f);
}

static void card(FILE *f, const struct demo_timeline *t)
{
	double bottom = TOP + t->nr_lanes * LANE;
	unsigned threads = 0;

	fprintf(f,
		"<div class=card><h3>%s</h3><p class=soft>waits in %s, as %s"
		"</p><svg viewBox='0 0 %.0f %.0f' role=img>",
		t->model->name, t->model->waits_in, t->model->lives, WIDTH,
		bottom + 20);
	for (unsigned i = 0; i < t->nr_lanes; i++)
		name(f, t, i, &threads);
	for (unsigned i = 0; i < t->nr_slices; i++)
		slice(f, t, &t->slice[i]);
	axis(f, t, bottom);
	fputs("</svg></div>\n", f);
}

void html_timelines(FILE *f, const struct demo *d)
{
	bool head = false;

	for (unsigned i = 0; i < d->nr_timelines; i++) {
		const struct demo_timeline *t = &d->timeline[i];

		if (!demo_ok(&t->outcome) || !t->nr_slices || !(t->ns > 0))
			continue;
		if (!head)
			fputs("<h2>How one request waits</h2><p class=soft>"
			      "GET /wait?ms=1, recorded by urt record: the "
			      "server's threads and coroutines that ran "
			      "meanwhile. A block: it runs. A line: it waits. A thread "
			      "that serves one connection blocks until the "
			      "backend answers; an event loop's thread blocks "
			      "until anything happens, and calls the request "
			      "back; a coroutine parks, and its thread goes on "
			      "with others. A goroutine parks, too; the kernel "
			      "sees only Go's threads.</p><div class=grid>\n",
			      f);
		head = true;
		card(f, t);
	}
	if (head)
		fputs("</div>\n", f);
}
