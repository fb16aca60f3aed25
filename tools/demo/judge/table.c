// SPDX-License-Identifier: MIT
/*
 * The article's table, with measurements wherever a number exists; and when to
 * pick which, as far as the figures show it. Both are text, the same for the
 * terminal, Markdown and HTML.
 */
#define _GNU_SOURCE
#include "judge.h"
#include "../../lib/tool.h"
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum {
	UNIT,
	LIVES,
	ALONE,
	PROCESS,
	KERNEL,
	THREADS,
	SWITCH,
	SWITCHES,
	SYSCALLS,
	BESIDE,
	SPEEDUP,
	MOST,
};

static const char *const names[TABLE_ROWS] = {
	[UNIT] = "unit of scheduling",
	[LIVES] = "a suspended request is",
	[ALONE] = "the unit alone, bytes",
	[PROCESS] = "a waiting request, bytes of process",
	[KERNEL] = "and in the kernel, sockets included",
	[THREADS] = "threads of all processes then",
	[SWITCH] = "a switch of units, ns",
	[SWITCHES] = "kernel switches per GET /",
	[SYSCALLS] = "system calls per GET /",
	[BESIDE] = "light p99 during CPU bursts, ms",
	[SPEEDUP] = "CPU work on all CPUs, times one",
	[MOST] = "most requests waiting at a time",
};

/* ---- the table ---- */

static void cell(char *buf, size_t size, double v)
{
	if (isnan(v))
		snprintf(buf, size, "n/a");
	else if (v == 0)
		snprintf(buf, size, "0");
	else if (v < 0.001)
		snprintf(buf, size, "<.001");
	else if (v < 10)
		snprintf(buf, size, "%.3f", v);
	else if (v < 1000)
		snprintf(buf, size, "%.1f", v);
	else
		snprintf(buf, size, "%.0f", v);
}

static double alone(const struct demo *d, const struct model *m)
{
	if (m->alone < UNIT_KINDS)
		return demo_unit_bytes(d, m->alone);
	return m->captured ? *m->captured - HTTP_MAX : NAN;
}

static double switch_ns(const struct demo *d, const struct model *m)
{
	double ns = m->alone < UNIT_KINDS ? d->costs.unit[m->alone] : 0;

	return ns > 0 ? ns : NAN;
}

/* The largest number that waited; 0: none. */
static double most_waiting(const struct demo *d, const struct model *model)
{
	long most = 0;

	for (unsigned i = 0; i < d->nr_holds; i++)
		if (demo_ok(&d->hold[i].outcome) && d->hold[i].model == model &&
		    d->hold[i].waiting > most)
			most = d->hold[i].waiting;
	return most ? most : NAN;
}

static double value(const struct demo *d, unsigned row,
		    const struct model *model)
{
	const struct demo_hold *h = demo_hold(d, model, 0);
	const struct demo_row *r = demo_row(d, model, "/", 0);
	const struct demo_burst *b = demo_burst(d, model);

	switch (row) {
	case ALONE:
		return alone(d, model);
	case PROCESS:
		return h ? h->process_bytes / h->waiting : NAN;
	case KERNEL:
		return h ? h->kernel_bytes / h->waiting : NAN;
	case THREADS:
		return h ? h->threads : NAN;
	case SWITCH:
		return switch_ns(d, model);
	case SWITCHES:
		return r ? demo_per_request(r).switches : NAN;
	case SYSCALLS:
		return r ? demo_per_request(r).syscalls : NAN;
	case BESIDE:
		return b ? histogram_percentile(&b->latency, 0.99) / 1e6 : NAN;
	case SPEEDUP:
		return demo_speedup(demo_scale(d, model));
	}
	return most_waiting(d, model);
}

static void fill_cell(const struct demo *d, unsigned row, const struct model *m,
		      char *buf, size_t size)
{
	double v;

	if (row == UNIT || row == LIVES) {
		snprintf(buf, size, "%s", row == UNIT ? m->unit : m->lives);
		return;
	}
	v = value(d, row, m);
	if (row == THREADS || row == MOST || row == ALONE)
		snprintf(buf, size, isnan(v) ? "n/a" : "%.0f", v);
	else
		cell(buf, size, v);
}

void judge_table(struct demo *d)
{
	for (unsigned row = 0; row < TABLE_ROWS; row++) {
		struct demo_table_row *r = &d->table[row];

		r->name = names[row];
		r->cell = calloc(d->options.nr_models, sizeof(*r->cell));
		if (!r->cell)
			abort();
		for (unsigned i = 0; i < d->options.nr_models; i++)
			fill_cell(d, row, d->options.model[i], r->cell[i],
				  sizeof(r->cell[i]));
	}
}

/* ---- when to pick which ---- */

/* A model and the figure by which it is ranked. */
struct rank {
	const struct model *model;
	double value;
};

static void append(char *buf, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void append(char *buf, size_t size, const char *format, ...)
{
	size_t len = strlen(buf);
	va_list ap;

	va_start(ap, format);
	vsnprintf(buf + len, size - len, format, ap);
	va_end(ap);
}

/* Ranks the models that were measured, the least value first; not those that
 * also encrypt. */
static unsigned ranking(const struct demo *d, struct rank *r,
			double (*figure)(const struct demo *,
					 const struct model *))
{
	unsigned n = 0;

	for (unsigned i = 0; i < d->options.nr_models; i++) {
		struct rank new = { d->options.model[i], 0 };
		unsigned at = n;

		new.value = figure(d, new.model);
		if (isnan(new.value) || model_is(new.model, MODEL_TLS))
			continue;
		for (; at && r[at - 1].value > new.value; at--)
			r[at] = r[at - 1];
		r[at] = new;
		n++;
	}
	return n;
}

static double wait_cpu_us(const struct demo *d, const struct model *model)
{
	const struct demo_row *r = demo_row(d, model, "/wait", 0);

	return r ? ROW_MEDIAN(r, cpu_ns) / 1e3 : NAN;
}

static double waiting_kb(const struct demo *d, const struct model *model)
{
	const struct demo_hold *h = demo_hold(d, model, 0);

	if (!h)
		return NAN;
	return (h->process_bytes + h->kernel_bytes) / h->waiting / 1e3;
}

static void list(const struct rank *r, unsigned n, const char *format,
		 char *buf, size_t size)
{
	for (unsigned i = 0; i < n; i++) {
		char number[32];

		snprintf(number, sizeof(number), format, r[i].value);
		append(buf, size, "%s%s %s", i ? ", " : "", r[i].model->name,
		       number);
	}
}

static const char *first_straight(const struct rank *r, unsigned n,
				  double *value)
{
	for (unsigned i = 0; i < n; i++) {
		*value = r[i].value;
		if (model_is(r[i].model, MODEL_STRAIGHT_LINE))
			return r[i].model->name;
	}
	return NULL;
}

static void advise_fan_out(const struct demo *d, char *buf, size_t size)
{
	struct rank *r = calloc(d->options.nr_models, sizeof(*r));
	unsigned n = ranking(d, r, wait_cpu_us);
	const char *straight;
	double v;

	if (n < 2) {
		append(buf, size, "Not measured (claim 8).");
		free(r);
		return;
	}
	append(buf, size, "CPU per request that waits, in us: ");
	list(r, n, "%.1f", buf, size);
	append(buf, size, ". ");
	straight = first_straight(r, n, &v);
	if (straight)
		append(buf, size,
		       "Of those whose code reads from top to bottom, %s is "
		       "the cheapest, at %.2f times the cheapest of all.",
		       straight, v / r[0].value);
	free(r);
}

static void advise_long_lived(const struct demo *d, char *buf, size_t size)
{
	struct rank *r = calloc(d->options.nr_models, sizeof(*r));
	unsigned n = ranking(d, r, waiting_kb);
	bool stopped = false;

	if (n < 2) {
		append(buf, size, "Not measured (claims 3 to 5).");
		free(r);
		return;
	}
	append(buf, size, "KB per connection that waits, process and kernel: ");
	list(r, n, "%.1f", buf, size);
	append(buf, size, ". ");
	for (unsigned i = 0; i < d->nr_holds; i++) {
		const struct demo_hold *h = &d->hold[i];

		if (!demo_ok(&h->outcome) || h->waiting >= h->wanted)
			continue;
		append(buf, size, "%s ends at %ld of them. ", h->model->name,
		       h->waiting);
		stopped = true;
	}
	if (!stopped)
		append(buf, size, "No model reached its limit in this run. ");
	append(buf, size, "%s needs the least, %s %.1f times as much.",
	       r[0].model->name, r[n - 1].model->name,
	       r[n - 1].value / r[0].value);
	free(r);
}

static void advise_mixed(const struct demo *d, char *buf, size_t size)
{
	unsigned fit = 0, measured = 0;

	for (unsigned i = 0; i < d->options.nr_models; i++) {
		const struct model *m = d->options.model[i];
		const struct demo_burst *b = demo_burst(d, m);
		double up = demo_speedup(demo_scale(d, m));

		if (!b || isnan(up))
			continue;
		measured++;
		if (histogram_percentile(&b->latency, 0.99) >= 50e6 ||
		    up < 0.75 * d->host.cpus)
			continue;
		append(buf, size, "%s%s", fit ? ", " : "", m->name);
		fit++;
	}
	if (!measured) {
		append(buf, size, "Not measured (claims 6 and 7).");
		return;
	}
	append(buf, size,
	       fit ? ": light requests stay under 50 ms (p99) during CPU bursts, and CPU work uses all %ld CPUs. The others that "
		     "were measured freeze, or use one CPU."
		   : "No model that was measured both keeps light requests under 50 ms during CPU bursts and uses all %ld CPUs.",
	       d->host.cpus);
}

void judge_advice(struct demo *d)
{
	static const struct {
		const char *name;
		void (*write)(const struct demo *, char *, size_t);
	} parts[ADVICE_PARTS] = {
		{ "Fan-out I/O: many requests that mostly wait for others",
		  advise_fan_out },
		{ "Long-lived infrastructure: many connections that are mostly "
		  "silent",
		  advise_long_lived },
		{ "Mixed CPU and I/O", advise_mixed },
	};

	for (unsigned i = 0; i < ADVICE_PARTS; i++) {
		struct demo_advice *a = &d->advice[i];

		a->name = parts[i].name;
		parts[i].write(d, a->text, sizeof(a->text));
	}
}
