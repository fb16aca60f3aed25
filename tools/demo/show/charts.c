// SPDX-License-Identifier: MIT
/*
 * The pictures of the page. A figure that was measured for one number of
 * connections only is shown as bars instead of lines.
 */
#include "html.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The value of a row or a hold that a chart shows. */
typedef double row_figure(const struct demo_row *);

/* The series is valid until the next one is added. */
static struct series *add_series(struct chart *c, const char *name)
{
	struct series *s;

	c->series = realloc(c->series, (c->n + 1) * sizeof(*s));
	if (!c->series)
		abort();
	s = &c->series[c->n++];
	s->name = name;
	s->n = 0;
	return s;
}

static void add_point(struct series *s, double x, double y)
{
	if (s->n == POINTS_MAX)
		return;
	s->x[s->n] = x;
	s->y[s->n++] = y;
}

/* Drops series without points. */
static void drop_empty(struct chart *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->n; i++)
		if (c->series[i].n)
			c->series[n++] = c->series[i];
	c->n = n;
}

static unsigned most_points(const struct chart *c)
{
	unsigned most = 0;

	for (unsigned i = 0; i < c->n; i++)
		if (c->series[i].n > most)
			most = c->series[i].n;
	return most;
}

static void card(FILE *f, const struct chart *c, const char *title,
		 const char *note)
{
	fprintf(f, "<div class=card><h3>%s</h3><p class=soft>%s</p>", title,
		note);
	if (most_points(c) > 1)
		svg_lines(f, c);
	else
		svg_bars(f, c, NULL);
	fputs("</div>\n", f);
}

/* ---- by connections ---- */

static double rps(const struct demo_row *r)
{
	return ROW_MEDIAN(r, rps);
}

static double p99_ms(const struct demo_row *r)
{
	return ROW_MEDIAN(r, p99_ns) / 1e6;
}

static double cpu_us(const struct demo_row *r)
{
	return ROW_MEDIAN(r, cpu_ns) / 1e3;
}

static void by_connections(FILE *f, const struct demo *d, row_figure *figure,
			   const char *title, const char *note,
			   const char *y_label)
{
	struct chart c = { .x_label = "connections",
			   .y_label = y_label,
			   .log_x = true };

	for (unsigned i = 0; i < d->options.nr_models; i++) {
		const struct model *m = d->options.model[i];
		struct series *s = add_series(&c, m->name);

		for (unsigned k = 0; k < d->options.connections.len; k++) {
			long n = d->options.connections.n[k];
			const struct demo_row *r = demo_row(d, m, "/", n);

			if (r)
				add_point(s, n, figure(r));
		}
	}
	drop_empty(&c);
	if (c.n)
		card(f, &c, title, note);
	free(c.series);
}

static void kernel(FILE *f, const struct demo *d)
{
	static const char *const points[] = { "system calls",
					      "kernel switches" };
	struct chart c = { .log_y = true };

	for (unsigned i = 0; i < d->options.nr_models && d->counted; i++) {
		const struct model *m = d->options.model[i];
		const struct demo_row *r = demo_row(d, m, "/", 0);
		struct series *s = add_series(&c, m->name);
		struct demo_per_request p;

		if (!r)
			continue;
		p = demo_per_request(r);
		add_point(s, 0, p.syscalls);
		add_point(s, 1, p.switches);
	}
	drop_empty(&c);
	if (c.n) {
		fputs("<div class=card><h3>The kernel, per request</h3>"
		      "<p class=soft>GET /, most connections; lower is "
		      "better; the scale is logarithmic</p>",
		      f);
		svg_bars(f, &c, points);
		fputs("</div>\n", f);
	}
	free(c.series);
}

/* ---- by load ---- */

static double kernel_switches(const struct demo_row *r)
{
	return demo_per_request(r).switches;
}

static double system_calls(const struct demo_row *r)
{
	return demo_per_request(r).syscalls;
}

static void by_load(FILE *f, const struct demo *d, row_figure *figure,
		    const char *title, const char *note, const char *y_label)
{
	struct chart c = { .x_label = "load, % of the model's capacity",
			   .y_label = y_label };

	for (unsigned m = 0; m < d->options.nr_models && d->counted; m++) {
		const struct model *model = d->options.model[m];
		struct series *s = add_series(&c, model->name);

		for (unsigned i = 0; i < d->options.loads->len; i++) {
			const struct demo_row *r = demo_load(d, model, i);

			if (r)
				add_point(s,
					  fmin(100,
					       100 * ROW_MEDIAN(r, rps) /
						       demo_capacity(d, model)),
					  figure(r));
		}
	}
	drop_empty(&c);
	if (c.n)
		card(f, &c, title, note);
	free(c.series);
}

/* ---- requests that wait ---- */

/* The caller frees its series. */
static struct chart memory_chart(const struct demo *d)
{
	struct chart c = { .x_label = "requests that wait at the same time",
			   .y_label = "MB, process and kernel",
			   .log_x = true,
			   .log_y = true };

	for (unsigned i = 0; i < d->options.nr_models; i++) {
		const struct model *m = d->options.model[i];
		struct series *s = add_series(&c, m->name);

		for (unsigned k = 0; k < d->nr_holds; k++) {
			const struct demo_hold *h = &d->hold[k];

			double bytes = h->process_bytes + h->kernel_bytes;

			if (demo_ok(&h->outcome) && h->model == m &&
			    !isnan(bytes))
				add_point(s, h->waiting, bytes / 1e6);
		}
	}
	drop_empty(&c);
	if (most_points(&c) < 2)
		c.log_y = false;
	return c;
}

static void memory(FILE *f, const struct demo *d)
{
	struct chart c = memory_chart(d);

	if (c.n)
		card(f, &c, "Memory by requests that wait",
		     "MB of the server and of the kernel, both ends of all "
		     "sockets included; a line ends where the model does; lower is better");
	free(c.series);
}

void demo_print_picture(FILE *f, const struct demo *d)
{
	struct chart c = memory_chart(d);

	fprintf(f,
		"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 440 270' "
		"width='560'><title>Memory of the server and the kernel, by "
		"requests that wait at the same time</title><style>text{"
		"font:12px system-ui,sans-serif;fill:#7a858f}.grid{stroke:#8884;"
		"fill:none}.line{fill:none;stroke-width:2.2;stroke:var(--c)}"
		".dot,.bar,text.end{fill:var(--c)}text.end{font-size:11px}"
		".leader{fill:none;stroke:var(--c);stroke-width:.8}");
	html_colours(f, d);
	fputs("</style><svg width='440' height='270'>", f);
	if (c.n)
		svg_lines(f, &c);
	fputs("</svg></svg>\n", f);
	free(c.series);
}

/* ---- CPU work ---- */

static void burst(FILE *f, const struct demo *d)
{
	struct chart c = { .x_label = "ms since the burst was due",
			   .y_label = "longest latency, ms",
			   .log_y = true,
			   .no_dots = true };

	for (unsigned i = 0; i < d->nr_bursts; i++) {
		const struct demo_burst *b = &d->burst[i];
		struct series *s = add_series(&c, b->model->name);

		if (!demo_ok(&b->outcome))
			continue;
		for (unsigned k = 0; k < LOAD_PHASES / 4; k++)
			if (b->phase[k].count)
				add_point(s, (k + 0.5) * 1000 / LOAD_PHASES,
					  b->phase[k].max_ns / 1e6);
	}
	drop_empty(&c);
	if (c.n)
		card(f, &c, "Light requests around a CPU burst",
		     "1000 a second are due; at 0 one asks for 200 ms of CPU; "
		     "the server has one CPU; lower is better");
	free(c.series);
}

static void scale(FILE *f, const struct demo *d)
{
	struct chart c = { .y_label = "" };

	for (unsigned i = 0; i < d->nr_scales; i++) {
		struct series *s = add_series(&c, d->scale[i].model->name);

		if (demo_ok(&d->scale[i].outcome) && d->scale[i].nr_rounds)
			add_point(s, 0, demo_speedup(&d->scale[i]));
	}
	drop_empty(&c);
	if (c.n) {
		fprintf(f,
			"<div class=card><h3>CPU work on all %ld CPUs, times "
			"one</h3><p class=soft>Requests that burn 5 ms each, "
			"by the same program; higher is better</p>",
			d->host.cpus);
		svg_bars(f, &c, NULL);
		fputs("</div>\n", f);
	}
	free(c.series);
}

static void switches(FILE *f, const struct demo *d)
{
	const struct demo_costs *k = &d->costs;
	struct chart c = { .log_y = true };
	unsigned seen = 0; /* bit n: unit n */

	/* Each unit once, by the name of the first model that has it. */
	for (unsigned i = 0; i < nr_models; i++) {
		enum unit_kind unit = models[i].alone;

		if (unit >= UNIT_KINDS || seen >> unit & 1 ||
		    !(k->unit[unit] > 0))
			continue;
		seen |= 1u << unit;
		add_point(add_series(&c, models[i].name), 0, k->unit[unit]);
	}
	if (k->unit[UNIT_COROUTINE] > 0) {
		fprintf(f,
			"<div class=card><h3>A switch, ns</h3><p class=soft>On "
			"one CPU, by yielding; a function call is %.1f ns, a "
			"thread woken on another CPU %.0f. Lower is better; logarithmic</p>",
			k->call, k->handover_across);
		svg_bars(f, &c, NULL);
		fputs("</div>\n", f);
	}
	free(c.series);
}

void html_charts(FILE *f, const struct demo *d)
{
	fputs("<h2>Pictures</h2><div class=grid>\n", f);
	by_load(f, d, kernel_switches, "Kernel switches by load",
		"per GET /, 64 connections, from idle to full load; lower is "
		"better: only where many requests are ready at a time do the "
		"switches move into user space",
		"kernel switches per request");
	by_load(f, d, system_calls, "System calls by load",
		"the same requests; lower is better",
		"system calls per request");
	switches(f, d);
	scale(f, d);
	kernel(f, d);
	burst(f, d);
	memory(f, d);
	by_connections(
		f, d, rps, "Throughput by connections",
		"GET /, requests a second from a server on one CPU; higher is better",
		"requests/s");
	by_connections(
		f, d, p99_ms, "Latency by connections",
		"GET /, 99 % are answered within, ms, at full load; lower is better",
		"p99, ms");
	by_connections(
		f, d, cpu_us, "CPU per request",
		"GET /, us of the server's CPU, lower is better; compares models even "
		"where the load generator was the limit",
		"CPU, us");
	fputs("</div>\n", f);
}

/* ---- anatomy ---- */

static const char *size_text(char buf[32], double bytes)
{
	if (isnan(bytes))
		snprintf(buf, 32, "n/a");
	else if (bytes < 1000)
		snprintf(buf, 32, "%.0f bytes", bytes);
	else
		snprintf(buf, 32, "%.1f KB", bytes / 1e3);
	return buf;
}

static void say(FILE *f, double y, const char *class, const char *text)
{
	fprintf(f, "<text class='%s' x='150' y='%.0f' text-anchor=middle>",
		class, y);
	svg_text(f, text);
	fputs("</text>", f);
}

/* A row of n boxes, at most twelve. */
static void boxes(FILE *f, const char *model, double n, double y, double size)
{
	unsigned shown = n > 12 ? 12 : n < 1 || isnan(n) ? 1 : (unsigned)n;
	double step = size + 6, x = 150 - (shown * step - 6) / 2;

	for (unsigned i = 0; i < shown; i++)
		fprintf(f,
			"<rect class='fill m-%s' x='%.1f' y='%.0f' "
			"width='%.0f' height='%.0f' rx='3'/>",
			model, x + i * step, y, size, size);
}

static void kernel_line(const struct demo *d, const struct model *model,
			char *buf, size_t size)
{
	const struct demo_row *r = demo_row(d, model, "/", 0);
	struct demo_per_request p;
	char a[24], b[24];

	if (!r || !d->counted) {
		snprintf(buf, size, "system calls, switches: n/a");
		return;
	}
	p = demo_per_request(r);
	snprintf(buf, size, "%s system calls, %s switches a request",
		 svg_number(a, p.syscalls), svg_number(b, p.switches));
}

static void anatomy(FILE *f, const struct demo *d, const struct model *m)
{
	const struct demo_hold *h = demo_hold(d, m, 0);
	char text[128], size[32];
	double threads;

	fprintf(f,
		"<div class=card><h3>%s</h3><svg viewBox='0 0 300 212' role=img>"
		"<path class=box d='M0 126H300'/>",
		m->name);
	snprintf(text, sizeof(text), "%s requests wait, each is %s",
		 h ? svg_number(size, h->waiting) : "n", m->lives);
	say(f, 14, "", text);
	boxes(f, m->name, h ? h->waiting : 12, 24, 15);
	snprintf(text, sizeof(text), "%s of the process for each",
		 size_text(size, h ? h->process_bytes / h->waiting : NAN));
	say(f, 58, "strong", text);
	threads = h ? (double)h->threads / h->processes : NAN;
	snprintf(text, sizeof(text), "%s thread%s", svg_number(size, threads),
		 threads == 1 ? "" : "s");
	if (h && h->processes > 1)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			 " in each of %u processes", h->processes);
	say(f, 84, "strong", text);
	boxes(f, m->name, threads, 95, 18);
	say(f, 144, "", "the kernel");
	kernel_line(d, m, text, sizeof(text));
	say(f, 164, "strong", text);
	snprintf(text, sizeof(text), "%s for each, sockets included",
		 size_text(size, h ? h->kernel_bytes / h->waiting : NAN));
	say(f, 184, "strong", text);
	snprintf(text, sizeof(text), "scheduled there: threads; here: %s",
		 m->unit);
	say(f, 204, "", text);
	fputs("</svg></div>\n", f);
}

void html_anatomy(FILE *f, const struct demo *d)
{
	fputs("<h2>Anatomy of a waiting request</h2><div class=grid3>\n", f);
	for (unsigned i = 0; i < d->options.nr_models; i++)
		if (!model_is(d->options.model[i],
			      MODEL_CPU_VARIANT | MODEL_STEP))
			anatomy(f, d, d->options.model[i]);
	fputs("</div>\n", f);
}
