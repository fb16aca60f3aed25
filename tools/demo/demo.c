// SPDX-License-Identifier: MIT
/*
 * urt demo: the experiment. Each model in turn serves the same requests; then
 * the claims are judged by the measurements.
 */
#define _GNU_SOURCE
#include "changes.h"
#include "options.h"
#include "plan.h"
#include "resume.h"
#include "saved.h"
#include "judge/judge.h"
#include "show/show.h"
#include "../lib/net.h"
#include "../lib/options.h"
#include "../lib/output.h"
#include <signal.h>
#include <string.h>
#include <unistd.h>

static void on_interrupt(int sig)
{
	demo_stop = 1;
}

/* Each connection needs a client's and a backend's descriptor in one
 * process. */
static bool check_descriptors(const struct demo_options *o)
{
	long most = o->connections.n[o->connections.len - 1];
	long allowed, needed = 2 * most + 64;

	if (net_need_descriptors(needed, &allowed))
		return true;
	return !fail("%ld connections need %ld open descriptors and %ld are "
		     "allowed: raise the limit (ulimit -n %ld), or use "
		     "--connections %ld",
		     most, needed, allowed, needed, (allowed - 64) / 2);
}

static bool anything_measured(const struct demo *d)
{
	bool any =
		d->costs.unit[UNIT_COROUTINE] > 0 || d->costs.has_switch_counts;

	for (unsigned i = 0; i < d->nr_rows; i++)
		any |= demo_ok(&d->row[i].outcome);
	for (unsigned i = 0; i < d->nr_loads; i++)
		any |= demo_ok(&d->load[i].outcome);
	for (unsigned i = 0; i < d->nr_seconds; i++)
		any |= demo_ok(&d->second[i].outcome);
	for (unsigned i = 0; i < d->nr_holds; i++)
		any |= demo_ok(&d->hold[i].outcome);
	for (unsigned i = 0; i < d->nr_bursts; i++)
		any |= demo_ok(&d->burst[i].outcome);
	for (unsigned i = 0; i < d->nr_stalls; i++)
		any |= demo_ok(&d->stall[i].outcome);
	for (unsigned i = 0; i < d->nr_scales; i++)
		any |= demo_ok(&d->scale[i].outcome);
	for (unsigned i = 0; i < UNIT_KINDS; i++)
		any |= d->unit[i].count > 0;
	return any;
}

static FILE *out;	 /* where the result goes */
static unsigned printed; /* bit n: part n has been */

/* Writes each part at once, also to a pipe, whose reader may not want to
 * wait. */
static void print_part(struct demo *d, enum demo_part part)
{
	if (d->options.json || printed >> part & 1)
		return;
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr); /* the line of the progress */
	demo_print_part(out, d, part);
	fflush(out);
	printed |= 1u << part;
}

/* The earlier result to compare with, if any. */
static struct demo_document earlier;

/* If the result is a document, the changes go to stderr. */
static void show_changes(const struct demo *d)
{
	struct demo_document now;

	if (!d->options.compare)
		return;
	demo_document_of(&now, d);
	demo_print_changes(d->options.json ? stderr : out, &earlier, &now);
	demo_document_free(&now);
}

/* Compares two existing results. */
static int compare_documents(const struct demo_options *o)
{
	struct demo_document with;

	if (!demo_document_read(&with, o->with))
		return EXIT_BAD;
	demo_print_changes(out, &earlier, &with);
	demo_document_free(&with);
	return output_flush(out, o->out);
}

static void show_all(struct demo *d)
{
	for (unsigned part = 0; part < DEMO_PARTS; part++)
		print_part(d, part);
	if (d->options.json)
		demo_print_json(out, d);
	show_changes(d);
}

static int show(struct demo *d)
{
	int assertion;

	show_all(d);
	if (output_flush(out, d->options.out)) {
		if (d->options.out) { /* what was measured is not lost */
			out = stdout;
			printed = 0;
			show_all(d);
		}
		return EXIT_BAD;
	}
	if (d->options.report && demo_write_report(d, d->options.report))
		return EXIT_BAD;
	assertion = demo_assert(d);
	if (assertion)
		return assertion;
	return anything_measured(d) ? 0 : EXIT_BAD;
}

/* Shows an earlier result again. */
static int show_saved(struct demo *d)
{
	struct demo_options asked = d->options;
	struct demo_document doc;
	bool fine;

	if (!demo_document_read(&doc, asked.from))
		return EXIT_BAD;
	memset(d, 0, sizeof(*d));
	fine = demo_restore(d, &doc, asked.from);
	demo_document_free(&doc);
	if (!fine)
		return EXIT_BAD;
	d->options.json = asked.json;
	d->options.out = asked.out;
	d->options.report = asked.report;
	d->options.compare = asked.compare;
	d->options.nr_asserts = asked.nr_asserts;
	memcpy(d->options.assert, asked.assert, sizeof(asked.assert));
	demo_judge(d);
	return show(d);
}

int cmd_demo(int argc, char **argv)
{
	static struct demo d; /* large */
	static struct lab lab;
	struct sigaction stop = { .sa_handler = on_interrupt };

	if (argc > 1 && !strcmp(argv[1], "part"))
		return demo_part(argc, argv);
	if (!demo_parse(argc, argv, &d.options) ||
	    !check_descriptors(&d.options))
		return EXIT_BAD;
	if (d.options.compare &&
	    !demo_document_read(&earlier, d.options.compare))
		return EXIT_BAD;
	out = stdout;
	if (d.options.out && !(out = output_open(d.options.out)))
		return EXIT_BAD;
	if (d.options.with)
		return compare_documents(&d.options);
	/* Before the experiment: after it would be too late. */
	if (d.options.report && demo_check_report(d.options.report))
		return EXIT_BAD;
	if (d.options.from)
		return show_saved(&d);
	if (!resume_open(&d.options))
		return EXIT_BAD;
	d.begin_ns = now_ns();
	if (!lab_open(&lab, &d))
		return EXIT_BAD;
	lab.finished = print_part;
	lab.planned = resume_planned;
	lab.measured = resume_measured;
	if (!resume_fits(&d)) {
		lab_close(&lab);
		return EXIT_BAD;
	}
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	demo_run_plan(&lab);
	lab_close(&lab);
	d.end_ns = now_ns();
	resume_add_time(&d);
	if (!d.interrupted)
		resume_complete(&d);
	demo_judge(&d);
	return show(&d);
}
