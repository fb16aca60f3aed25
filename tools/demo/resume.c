// SPDX-License-Identifier: MIT
/*
 * A run of half an hour that was interrupted continues where it ended. The
 * result so far is written every few seconds as the same document that --json
 * prints. A run that finds the file plans all its experiments and fills in
 * those that the file has; the steps of the plan leave those out (plan.c). A
 * round that was cut short is not written, so it is measured again.
 */
#define _GNU_SOURCE
#include "resume.h"
#include "saved.h"
#include "judge/judge.h"
#include "show/show.h"
#include "../lib/output.h"
#include "../lib/tool.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static bool same_row(const struct demo_row *a, const struct demo_row *b)
{
	return !strcmp(a->model->name, b->model->name) &&
	       demo_same_table(a, b) && a->share == b->share;
}

static void take_rows(struct demo_row *to, unsigned n,
		      const struct demo_row *from, unsigned nr_from)
{
	for (unsigned i = 0; i < n; i++) {
		for (unsigned k = 0; k < nr_from; k++) {
			const struct model *m = to[i].model;

			if (!same_row(&to[i], &from[k]))
				continue;
			to[i] = from[k];
			to[i].model = m;
		}
	}
}

#define TAKE(d, from, field, nr, same)                                       \
	for (unsigned i = 0; i < (d)->nr; i++)                               \
		for (unsigned k = 0; k < (from)->nr; k++)                    \
			if (!strcmp((d)->field[i].model->name,               \
				    (from)->field[k].model->name) &&         \
			    (same)) {                                        \
				const struct model *m = (d)->field[i].model; \
				(d)->field[i] = (from)->field[k];            \
				(d)->field[i].model = m;                     \
			}

/* Copies measurements of `from` to the same experiments in d. */
static void take_over(struct demo *d, const struct demo *from)
{
	take_rows(d->row, d->nr_rows, from->row, from->nr_rows);
	take_rows(d->load, d->nr_loads, from->load, from->nr_loads);
	TAKE(d, from, second, nr_seconds, true);
	TAKE(d, from, hold, nr_holds,
	     d->hold[i].wanted == from->hold[k].wanted);
	TAKE(d, from, burst, nr_bursts, true);
	TAKE(d, from, stall, nr_stalls, d->stall[i].nth == from->stall[k].nth);
	TAKE(d, from, scale, nr_scales, true);
	TAKE(d, from, timeline, nr_timelines, true);
	memcpy(d->unit, from->unit, sizeof(d->unit));
	d->costs = from->costs;
}

static bool same_experiment(const struct demo *d, const struct demo *from)
{
	const struct demo_options *a = &d->options, *b = &from->options;
	const char *what = NULL;

	if (strcmp(d->host.kernel, from->host.kernel) ||
	    strcmp(d->host.cpu_model, from->host.cpu_model))
		what = "kernel or another CPU";
	else if (a->mode != b->mode || a->seconds != b->seconds ||
		 a->wait_ms != b->wait_ms)
		what = "mode, --seconds or --wait";
	else if (d->counted != from->counted)
		what = "way of counting (eBPF or /proc)";
	if (!what)
		return true;
	return !fail("--resume: the result in the file was measured with "
		     "another %s: give the same options, or another file",
		     what);
}

/* ---- the file ---- */

#define KEEP_NS (5 * NS_PER_S) /* from one write to the next */

/* The file's result; its experiments are not measured again. */
static bool resumed;
static struct demo before; /* large */

/* Its directory is held, since another user may own the one above. */
static int directory;
static const char *name;

bool resume_open(const struct demo_options *o)
{
	struct demo_document doc;
	const char *why = NULL;
	struct stat st;
	bool fine;
	int fd;

	if (!o->resume)
		return true;
	directory = output_parent(o->resume, &name, &why);
	if (directory < 0)
		return !fail("--resume: cannot write %s: %s", o->resume,
			     why ? why : strerror(-directory));
	fd = openat(directory, name,
		    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return true;
	if (fd >= 0 && !fstat(fd, &st) && !S_ISREG(st.st_mode)) {
		close(fd);
		fd = (errno = EINVAL, -1);
	}
	if (fd < 0)
		return !fail("--resume: cannot read %s: %s", o->resume,
			     errno == EINVAL || errno == ELOOP
				     ? "it is not a regular file"
				     : strerror(errno));
	if (!demo_document_from(&doc, fd, o->resume))
		return false;
	fine = demo_restore(&before, &doc, o->resume);
	demo_document_free(&doc);
	resumed = fine;
	return fine;
}

bool resume_fits(const struct demo *d)
{
	return !resumed || same_experiment(d, &before);
}

void resume_planned(struct demo *d)
{
	if (resumed)
		take_over(d, &before);
}

void resume_add_time(struct demo *d)
{
	double now = d->end_ns - d->begin_ns;
	double then = before.end_ns - before.begin_ns;

	if (!resumed)
		return;
	if (!isnan(before.others))
		d->others =
			(d->others * now + before.others * then) / (now + then);
	d->begin_ns -= then;
}

/* The conclusions so far are drawn in a child: the parent does so once, at the
 * end. */
static void keep_now(struct demo *d, bool complete)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		char new[OUTPUT_NEW];
		FILE *f = output_begin(directory, new);

		if (!f)
			_exit(1);
		if (!complete) {
			d->end_ns = now_ns();
			resume_add_time(d);
		}
		d->interrupted = !complete;
		demo_judge(d);
		demo_print_json(f, d);
		_exit(output_replace(f, directory, new, name) ? 1 : 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		fail("--resume: cannot write %s", d->options.resume);
}

void resume_measured(struct demo *d)
{
	static int64_t kept_ns;

	if (!d->options.resume || now_ns() - kept_ns < KEEP_NS)
		return;
	keep_now(d, false);
	kept_ns = now_ns();
}

void resume_complete(struct demo *d)
{
	if (d->options.resume)
		keep_now(d, true);
}
