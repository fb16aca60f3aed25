// SPDX-License-Identifier: MIT
/*
 * The kinds of step of the plan. A step does nothing if its result exists,
 * because a resumed run has read it, or if it would fail again.
 */
#define _GNU_SOURCE
#include "steps.h"
#include <math.h>
#include <string.h>

/* Whether to measure the step's round: a resumed run may have it already, and
 * models that failed or are missing would fail again. */
static bool is_due(const struct step *s, unsigned nr_rounds,
		   const struct demo_outcome *outcome)
{
	return nr_rounds ? nr_rounds <= s->round
			 : outcome->status == DEMO_NOT_RUN;
}

void step_row(struct lab *lab, struct step *s)
{
	struct demo_row *row = &lab->demo->row[s->index];

	if (is_due(s, row->nr_rounds, &row->outcome))
		demo_measure_row(lab, row);
}

/* The capacity of which a load is a share: the model's own, or epoll's if
 * models are compared at the same rates. */
static double capacity(const struct demo *d, const struct demo_row *row)
{
	return demo_capacity(d, demo_has_bounds(d) ? model_of(ROLE_CALLBACKS)
						   : row->model);
}

void step_load(struct lab *lab, struct step *s)
{
	struct demo_row *row = &lab->demo->load[s->index];

	if (!is_due(s, row->nr_rounds, &row->outcome))
		return;
	if (row->share == 0)
		row->rate = DEMO_IDLE_RATE;
	else if (row->share < 1 && !row->rate)
		row->rate = floor(row->share * capacity(lab->demo, row));
	if (row->share < 1 && row->rate < 1) {
		row->outcome.status = DEMO_SKIPPED;
		strcpy(row->outcome.reason, "its full load was not measured");
		return;
	}
	demo_measure_row(lab, row);
}

void step_finished(struct lab *lab, struct step *s)
{
	lab->finished(lab->demo, s->part);
}

void step_yields(struct lab *lab, struct step *s)
{
	if (!lab->demo->costs.has_switch_counts)
		demo_count_switches(lab);
}

void step_stop_counting(struct lab *lab, struct step *s)
{
	lab_stop_counting(lab);
}

void step_switches(struct lab *lab, struct step *s)
{
	if (!lab->demo->costs.nr_times)
		demo_time_switches(lab);
}

void step_unit(struct lab *lab, struct step *s)
{
	if (lab->demo->unit[s->unit].outcome.status == DEMO_NOT_RUN)
		demo_measure_unit(lab, s->unit, s->n);
}

/* A model that did not reach a number will not reach a larger one. */
void step_hold(struct lab *lab, struct step *s)
{
	struct demo_hold *h = &lab->demo->hold[s->index];

	if (h->outcome.status != DEMO_NOT_RUN)
		return;
	for (unsigned i = 0; i < s->index; i++) {
		const struct demo_hold *less = &lab->demo->hold[i];

		if (less->model != h->model || less->wanted >= h->wanted ||
		    !demo_ok(&less->outcome) || less->waiting >= less->wanted)
			continue;
		h->outcome.status = DEMO_SKIPPED;
		snprintf(h->outcome.reason, sizeof(h->outcome.reason),
			 "it stopped at %ld already", less->waiting);
		return;
	}
	demo_measure_hold(lab, h);
}

void step_burst(struct lab *lab, struct step *s)
{
	struct demo_burst *b = &lab->demo->burst[s->index];

	if (b->outcome.status == DEMO_NOT_RUN)
		demo_measure_burst(lab, b);
}

void step_scale(struct lab *lab, struct step *s)
{
	struct demo_scale *m = &lab->demo->scale[s->index];

	if (is_due(s, m->nr_rounds, &m->outcome))
		demo_measure_scale(lab, m);
}

void step_second(struct lab *lab, struct step *s)
{
	struct demo_second *m = &lab->demo->second[s->index];

	if (is_due(s, m->nr_rounds, &m->outcome))
		demo_measure_second(lab, m);
}

void step_stall(struct lab *lab, struct step *s)
{
	struct demo_stall *m = &lab->demo->stall[s->index];

	if (is_due(s, m->nr_rounds, &m->outcome))
		demo_measure_stall(lab, m);
}

void step_timeline(struct lab *lab, struct step *s)
{
	struct demo_timeline *t = &lab->demo->timeline[s->index];

	if (t->outcome.status == DEMO_NOT_RUN)
		demo_measure_timeline(lab, t);
}
