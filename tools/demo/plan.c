// SPDX-License-Identifier: MIT
/*
 * The experiments and their order. First a list of steps is made, so that the
 * time left is known; then the steps are carried out until the end or Ctrl-C. A
 * step that fails leaves its reason in its result, and the others continue.
 *
 * Order: first all that BPF counts, then the rest, since BPF programs would
 * slow every other measurement; and within each kind, round after round over
 * all models, so that a slow minute affects all of them.
 */
#define _GNU_SOURCE
#include "plan.h"
#include "steps.h"
#include "../lib/tool.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How often progress is printed if stderr is a file or a pipe. */
#define LOG_NS (10 * NS_PER_S)

static struct step *steps;
static unsigned nr_steps;

/* Room for one more element after n of them, zeroed. */
static void *more(void *p, unsigned n, size_t size)
{
	p = realloc(p, (n + 1) * size);
	if (!p)
		abort();
	memset((char *)p + n * size, 0, size);
	return p;
}

/* The step is valid until the next one is added. */
static struct step *add(void (*run)(struct lab *, struct step *),
			double estimate_s, unsigned index)
{
	struct step *s;

	steps = more(steps, nr_steps, sizeof(*steps));
	s = &steps[nr_steps++];
	*s = (struct step){ .run = run,
			    .estimate_s = estimate_s,
			    .index = index };
	return s;
}

/* ---- the plan ---- */

/* Steps that take too long for a run of three minutes: only in a full run, or
 * if only some claims are asked for. */
static bool has_time(const struct demo_options *o)
{
	return o->mode == DEMO_FULL || (o->mode == DEMO_DEFAULT && o->only);
}

static void add_row(struct demo *d, const struct model *m, const char *path,
		    long connections, long per_connection)
{
	struct demo_row *r;

	bool deep = path[1] && strncmp(path, "/wait", 5);

	if (model_is(m, MODEL_CPU_VARIANT | MODEL_STEP) ||
	    (deep && model_is(m, MODEL_ONE_ASK)) ||
	    !model_answers(m, path[1] ? ANSWERS_WAIT : ANSWERS_NOW))
		return;
	d->row = more(d->row, d->nr_rows, sizeof(*d->row));
	r = &d->row[d->nr_rows++];
	r->model = m;
	r->connections = connections;
	r->per_connection = per_connection;
	r->outcome.status = DEMO_NOT_RUN;
	snprintf(r->path, sizeof(r->path), "%s", path);
}

/* A request that asks three backends, one after the other and at once. */
static void plan_deep(struct demo *d)
{
	static const char *const paths[] = { "/chain?ms=%ld", "/fan?ms=%ld" };
	const struct demo_options *o = &d->options;
	char path[32];

	for (unsigned i = 0; i < ARRAY_LEN(paths) && has_time(o); i++) {
		snprintf(path, sizeof(path), paths[i], o->wait_ms);
		for (unsigned m = 0; m < o->nr_models; m++)
			add_row(d, o->model[m], path,
				o->connections.n[o->connections.len - 1], 0);
	}
}

static void plan_rows(struct demo *d)
{
	const struct demo_options *o = &d->options;
	const struct demo_counts *c = &o->connections;
	char wait[32], title[96];

	snprintf(wait, sizeof(wait), "/wait?ms=%ld", o->wait_ms);
	for (unsigned i = 0; i < c->len + !demo_has_bounds(d); i++)
		for (unsigned m = 0; m < o->nr_models; m++)
			add_row(d, o->model[m], i < c->len ? "/" : wait,
				c->n[i < c->len ? i : c->len - 1], 0);
	for (unsigned i = 0; i < o->come_and_go.len; i++)
		for (unsigned m = 0; m < o->nr_models; m++)
			add_row(d, o->model[m], "/", c->n[0],
				o->come_and_go.n[i]);
	plan_deep(d);
	for (long round = 0; round < o->rounds; round++) {
		for (unsigned i = 0; i < d->nr_rows; i++) {
			const struct demo_row *r = &d->row[i];
			struct step *s;

			/* No claim depends on them, so one round is enough. */
			if (r->per_connection && round && o->mode != DEMO_FULL)
				continue;
			s = add(step_row, o->seconds + 0.45, i);
			s->round = round;
			snprintf(s->what, sizeof(s->what),
				 "%s: %s, round %ld of %ld", r->model->name,
				 demo_row_title(r, title), round + 1,
				 o->rounds);
		}
	}
}

static void add_load(struct demo *d, const struct model *m, double share)
{
	struct demo_row *r;

	if (model_is(m, MODEL_CPU_VARIANT) && !model_is(m, MODEL_ALL_CPUS))
		return;
	d->load = more(d->load, d->nr_loads, sizeof(*d->load));
	r = &d->load[d->nr_loads++];
	r->model = m;
	r->connections = DEMO_LOADS_CONNS;
	r->share = share;
	r->outcome.status = DEMO_NOT_RUN;
	strcpy(r->path, "/");
}

static void plan_load_rounds(struct demo *d, bool full)
{
	const struct demo_loads *l = d->options.loads;
	char name[16];

	for (long round = 0; round < l->rounds; round++) {
		for (unsigned i = 0; i < d->nr_loads; i++) {
			const struct demo_row *r = &d->load[i];
			struct step *s;

			if ((r->share == 1) != full)
				continue;
			s = add(step_load, d->options.seconds + 0.45, i);
			s->round = round;
			snprintf(s->what, sizeof(s->what),
				 "%s at load %s, round %ld of %ld",
				 r->model->name, demo_load_name(r->share, name),
				 round + 1, l->rounds);
		}
	}
}

/* The other loads are shares of the full load's median, so all its rounds come
 * first: shares of a slow round would be others than they say. */
static void plan_loads(struct demo *d)
{
	const struct demo_loads *l = d->options.loads;

	for (unsigned i = l->len; i--;)
		for (unsigned m = 0; m < d->options.nr_models; m++)
			add_load(d, d->options.model[m], l->share[i]);
	plan_load_rounds(d, true);
	plan_load_rounds(d, false);
}

static void plan_units(struct demo *d)
{
	/* Claim 5 needs the bytes of one, claim 9 very many. */
	long many = demo_wants(d, 9) ? d->options.sleepers : 20000;
	struct {
		enum unit_kind kind;
		bool wanted;
		long n;
		double ns_each;
	} kinds[] = {
		{ UNIT_THREAD, demo_wants(d, 5), 2000, 1e5 },
		{ UNIT_PROMISE, demo_wants(d, 5), 20000, 5e3 },
		{ UNIT_COROUTINE, demo_wants(d, 5) || demo_wants(d, 9), many,
		  6e3 },
		{ UNIT_GOROUTINE, demo_wants(d, 5) || demo_wants(d, 9), many,
		  5e3 },
		{ UNIT_TIMER, demo_wants(d, 9), many, 3e3 },
	};

	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
		struct step *s;

		d->unit[kinds[i].kind].outcome.status = DEMO_NOT_RUN;
		if (!kinds[i].wanted)
			continue;
		s = add(step_unit, 0.3 + kinds[i].n * kinds[i].ns_each / 1e9,
			0);
		s->unit = kinds[i].kind;
		s->n = kinds[i].n;
		snprintf(s->what, sizeof(s->what), "%ld of the unit %s", s->n,
			 demo_unit_names[s->unit]);
	}
}

static void add_hold(struct demo *d, const struct model *m, long wanted)
{
	struct demo_hold *h;
	struct step *s;

	if (model_is(m, MODEL_CPU_VARIANT | MODEL_STEP) ||
	    !model_answers(m, ANSWERS_WAIT))
		return;
	d->hold = more(d->hold, d->nr_holds, sizeof(*h));
	h = &d->hold[d->nr_holds];
	h->model = m;
	h->wanted = wanted;
	h->outcome.status = DEMO_NOT_RUN;
	s = add(step_hold,
		1.2 + h->wanted * (model_is(m, MODEL_TLS) ? 1e-3 : 1e-4),
		d->nr_holds++);
	snprintf(s->what, sizeof(s->what), "%s, %ld requests that wait",
		 m->name, wanted);
}

static void plan_holds(struct demo *d)
{
	const struct demo_options *o = &d->options;
	/* Claims 3 and 5 need one number, not all. */
	unsigned counts = demo_wants(d, 4) ? o->waiting.len : 1;

	for (unsigned i = 0; i < counts; i++)
		for (unsigned m = 0; m < o->nr_models; m++)
			add_hold(d, o->model[m], o->waiting.n[i]);
	for (unsigned m = 0; m < o->nr_models; m++)
		if (o->threads_end && demo_wants(d, 4) &&
		    (o->model[m]->role == ROLE_THREADS ||
		     o->model[m]->role == ROLE_COROUTINES))
			add_hold(d, o->model[m], o->threads_end);
}

static void plan_bursts(struct demo *d)
{
	for (unsigned m = 0; m < d->options.nr_models; m++) {
		struct demo_burst *b;
		struct step *s;

		if (model_is(d->options.model[m], MODEL_STEP) ||
		    !model_answers(d->options.model[m], ANSWERS_CPU) ||
		    (demo_has_bounds(d) &&
		     d->options.model[m]->role != ROLE_COROUTINES))
			continue;
		d->burst = more(d->burst, d->nr_bursts, sizeof(*b));
		b = &d->burst[d->nr_bursts];
		b->model = d->options.model[m];
		b->outcome.status = DEMO_NOT_RUN;
		s = add(step_burst,
			(1 + demo_has_bounds(d)) * (d->options.bursts + 0.6),
			d->nr_bursts++);
		snprintf(s->what, sizeof(s->what),
			 "%s, light requests during CPU bursts",
			 b->model->name);
	}
}

static void plan_stalls(struct demo *d)
{
	const struct demo_options *o = &d->options;

	for (unsigned i = 0; i < STALL_CASES && has_time(o); i++) {
		for (unsigned m = 0; m < o->nr_models; m++) {
			enum model_role role = o->model[m]->role;

			if (role != ROLE_COROUTINES && role != ROLE_GO &&
			    role != ROLE_CALLBACKS)
				continue;
			d->stall =
				more(d->stall, d->nr_stalls, sizeof(*d->stall));
			d->stall[d->nr_stalls].model = o->model[m];
			d->stall[d->nr_stalls].nth = i;
			d->stall[d->nr_stalls++].outcome.status = DEMO_NOT_RUN;
		}
	}
	for (long round = 0; round < o->rounds; round++) {
		for (unsigned i = 0; i < d->nr_stalls; i++) {
			struct step *s = add(step_stall, o->seconds + 0.4, i);

			s->round = round;
			snprintf(s->what, sizeof(s->what),
				 "%s, %s, round %ld of %ld",
				 d->stall[i].model->name,
				 stall_cases[d->stall[i].nth].name, round + 1,
				 o->rounds);
		}
	}
}

static void plan_scales(struct demo *d)
{
	for (unsigned m = 0; m < d->options.nr_models; m++) {
		if (model_is(d->options.model[m], MODEL_STEP) ||
		    !model_answers(d->options.model[m], ANSWERS_CPU))
			continue;
		d->scale = more(d->scale, d->nr_scales, sizeof(*d->scale));
		d->scale[d->nr_scales].model = d->options.model[m];
		d->scale[d->nr_scales++].outcome.status = DEMO_NOT_RUN;
	}
	for (long round = 0; round < d->options.rounds; round++) {
		for (unsigned m = 0; m < d->nr_scales; m++) {
			struct step *s = add(step_scale,
					     2 * d->options.seconds + 0.8, m);

			s->round = round;
			snprintf(s->what, sizeof(s->what),
				 "%s, CPU work on one CPU and on all, round "
				 "%ld of %ld",
				 d->scale[m].model->name, round + 1,
				 d->options.rounds);
		}
	}
}

static void plan_seconds(struct demo *d)
{
	const struct demo_options *o = &d->options;

	if (!has_time(o))
		return;
	for (unsigned m = 0; m < o->nr_models; m++) {
		if (model_is(o->model[m], MODEL_CPU_VARIANT | MODEL_STEP))
			continue;
		d->second = more(d->second, d->nr_seconds, sizeof(*d->second));
		d->second[d->nr_seconds].model = o->model[m];
		d->second[d->nr_seconds].connections =
			o->connections.n[o->connections.len / 2];
		d->second[d->nr_seconds++].outcome.status = DEMO_NOT_RUN;
	}
	for (long round = 0; round < o->rounds; round++) {
		for (unsigned m = 0; m < d->nr_seconds; m++) {
			struct step *s =
				add(step_second,
				    o->seconds + ceil(o->seconds) + 0.6, m);

			s->round = round;
			snprintf(s->what, sizeof(s->what),
				 "%s, by urt load and by wrk, round %ld of %ld",
				 d->second[m].model->name, round + 1,
				 o->rounds);
		}
	}
}

/* For the models that represent the ways to wait. */
static void plan_timelines(struct demo *d)
{
	const struct demo_options *o = &d->options;

	for (unsigned m = 0; m < o->nr_models && has_time(o); m++) {
		enum model_role role = o->model[m]->role;
		struct step *s;

		if (role != ROLE_THREADS && role != ROLE_CALLBACKS &&
		    role != ROLE_NODE && role != ROLE_GO &&
		    role != ROLE_COROUTINES)
			continue;
		d->timeline = more(d->timeline, d->nr_timelines,
				   sizeof(*d->timeline));
		d->timeline[d->nr_timelines].model = o->model[m];
		d->timeline[d->nr_timelines].outcome.status = DEMO_NOT_RUN;
		s = add(step_timeline, 1.5, d->nr_timelines++);
		snprintf(s->what, sizeof(s->what),
			 "%s, one request that waits, recorded",
			 o->model[m]->name);
	}
}

static void end_part(enum demo_part part)
{
	add(step_finished, 0, 0)->part = part;
}

static void make_plan(struct demo *d)
{
	end_part(PART_HOST);
	if (demo_wants(d, 10))
		plan_loads(d);
	end_part(PART_LOADS);
	if (demo_wants(d, 8))
		plan_rows(d);
	end_part(PART_ROWS);
	if (demo_wants(d, 1))
		strcpy(add(step_yields, 1, 0)->what,
		       "counted coroutine switches");
	strcpy(add(step_stop_counting, 0.1, 0)->what, "end of counting");
	if (demo_wants(d, 8))
		plan_seconds(d);
	end_part(PART_SECOND);
	if (demo_wants(d, 2))
		strcpy(add(step_switches, 3, 0)->what, "the cost of a switch");
	plan_units(d);
	if (demo_wants(d, 3) || demo_wants(d, 4) || demo_wants(d, 5))
		plan_holds(d);
	if (demo_wants(d, 3))
		plan_timelines(d);
	end_part(PART_HOLDS);
	if (demo_wants(d, 6))
		plan_bursts(d);
	end_part(PART_BURSTS);
	if (demo_wants(d, 6))
		plan_stalls(d);
	end_part(PART_STALLS);
	if (demo_wants(d, 7))
		plan_scales(d);
	end_part(PART_SCALES);
}

/* done_s: the estimates of the steps so far, which took took_s. */
static void progress(const struct demo *d, unsigned done, double done_s,
		     double took_s)
{
	double left = 0, factor = 1;

	static int64_t told_ns;
	bool terminal = isatty(STDERR_FILENO);

	if (d->options.json || !*steps[done].what)
		return;
	if (!terminal && now_ns() - told_ns < LOG_NS)
		return;
	told_ns = now_ns();
	for (unsigned i = done; i < nr_steps; i++)
		left += steps[i].estimate_s;
	if (done_s > 3)
		factor = took_s / done_s;
	fprintf(stderr, "%s[%u/%u, %.0f s left] %s%s",
		terminal ? "\r\033[K" : "", done + 1, nr_steps, left * factor,
		steps[done].what, terminal ? "" : "\n");
}

/* A step that took less had nothing to do: its model is missing, or the resumed
 * run has its result. */
#define SKIPPED_S 0.02

void demo_run_plan(struct lab *lab)
{
	struct demo *d = lab->demo;
	double done_s = 0, took_s = 0;

	make_plan(d);
	lab->planned(d);
	for (unsigned i = 0; i < nr_steps && !demo_stop; i++) {
		int64_t begin = now_ns();
		double took;

		progress(d, i, done_s, took_s);
		steps[i].run(lab, &steps[i]);
		took = (now_ns() - begin) / 1e9;
		if (took < SKIPPED_S)
			continue;
		done_s += steps[i].estimate_s;
		took_s += took;
		if (!demo_stop)
			lab->measured(d);
	}
	if (isatty(STDERR_FILENO) && !d->options.json)
		fputs("\r\033[K", stderr);
	d->interrupted = demo_stop;
}
