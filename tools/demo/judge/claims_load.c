// SPDX-License-Identifier: MIT
/* The judges of the claims about behaviour under load: 6 to 9. */
#include "judge.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* A burst takes 200 ms of CPU. Frozen: the slowest hundredth of the light
 * requests waits for at least half of it; not frozen: for less than a
 * quarter. */
#define FROZEN_NS 100e6
#define FLUID_NS  50e6
/* The share of the CPUs that counts as all; and the limit for "one". */
#define NEARLY_ALL 0.75
#define ONE_CPU	   1.25
/* "Hundreds of thousands". */
#define HUNDREDS_OF_THOUSANDS 200000
/* The least number of connections that is mentioned there. */
#define MANY_CONNECTIONS 100000

/* ---- 6: during a burst ---- */

static double p99_beside_burst(const struct demo_burst *b)
{
	return histogram_percentile(&b->latency, 0.99);
}

/* The stall matrix: the verdict does not depend on it, since the claim says
 * nothing about an overloaded server. */
static void say_stalls(const struct demo *d, struct demo_claim *c)
{
	unsigned said = 0, nth = STALL_CASES;

	for (unsigned i = 0; i < d->nr_stalls; i++) {
		const struct demo_stall *m = &d->stall[i];
		const char *name = stall_cases[m->nth].name;
		double late = demo_ms(&m->plain, 0.999);

		if (!demo_ok(&m->outcome) || !m->nr_rounds)
			continue;
		claim_figure(c, demo_median_of(m->rate, m->nr_rounds),
			     "%s_answers_%s", name, m->model->name);
		claim_figure(c, late * 1e6, "%s_p999_ns_%s", name,
			     m->model->name);
		if (isnan(late)) /* none was answered */
			continue;
		if (m->nth != nth)
			claim_say(c, "; %s", name);
		claim_say(c, "%s %s %.1f", m->nth == nth ? "," : "",
			  m->model->name, late);
		nth = m->nth;
		said++;
	}
	if (said)
		claim_say(c, " (ms, p99.9 of messages without a busy loop)");
}

static void say_burst(const struct demo_burst *b, struct demo_claim *c)
{
	const char *name = b->model->name;

	claim_figure(c, histogram_percentile(&b->latency, 0.5), "p50_ns_%s",
		     name);
	claim_figure(c, p99_beside_burst(b), "p99_ns_%s", name);
	claim_figure(c, b->latency.max, "max_ns_%s", name);
	claim_cell(c, b->model, "p50 ms", "%.2f", demo_ms(&b->latency, 0.5));
	claim_cell(c, b->model, "p99 ms", "%.1f", p99_beside_burst(b) / 1e6);
	claim_cell(c, b->model, "max ms", "%.0f", b->latency.max / 1e6);
}

void judge_cpu_freezes_loops(const struct demo *d, struct demo_claim *c)
{
	const struct demo_burst *own = demo_burst(d, model_of(ROLE_COROUTINES));
	unsigned loops = 0, frozen = 0;

	for (unsigned i = 0; i < d->nr_bursts; i++) {
		const struct demo_burst *b = &d->burst[i];

		if (!demo_ok(&b->outcome))
			continue;
		say_burst(b, c);
		loops += model_is(b->model, MODEL_EVENT_LOOP);
		frozen += model_is(b->model, MODEL_EVENT_LOOP) &&
			  p99_beside_burst(b) >= FROZEN_NS;
	}
	if (c->evidence.nr_rows)
		claim_say(
			c,
			"light requests at a rate, with a 200 ms burst of CPU each second on one CPU; required: event loops' p99 over %.0f ms, coroutine's under %.0f",
			FROZEN_NS / 1e6, FLUID_NS / 1e6);
	say_stalls(d, c);
	if (!own || !loops)
		claim_not_measured(c, "coroutine and an event loop are needed");
	else
		claim_judge(c, frozen == loops &&
				       p99_beside_burst(own) < FLUID_NS);
}

/* ---- 7: all CPUs ---- */

/* A missing speed-up means nothing if the CPUs were not free, or if threads,
 * which the kernel spreads over all CPUs, had none, either. */
static bool cpus_were_taken(const struct demo *d, struct demo_claim *c)
{
	const struct demo_scale *threads =
		demo_scale(d, model_of(ROLE_THREADS));
	const struct demo_scale *own = demo_scale(d, model_of(ROLE_COROUTINES));
	double control = demo_speedup(threads);
	double most = fmax(own->others, threads ? threads->others : 0);

	if (most > DEMO_OTHERS)
		claim_not_measured(
			c,
			"the CPUs were not free: other programs used "
			"up to %.2f of %ld CPUs meanwhile",
			most, d->host.cpus);
	else if (control < NEARLY_ALL * d->host.cpus)
		claim_not_measured(c,
				   "the CPUs were not free: threads, the "
				   "control, are only %.2f times as fast on "
				   "all of them",
				   control);
	else
		return false;
	return true;
}

void judge_uses_all_cpus(const struct demo *d, struct demo_claim *c)
{
	double own = demo_speedup(demo_scale(d, model_of(ROLE_COROUTINES)));
	unsigned loops = 0, single = 0;

	for (unsigned i = 0; i < d->nr_scales; i++) {
		const struct model *m = d->scale[i].model;
		double up = demo_speedup(demo_scale(d, m));

		if (isnan(up))
			continue;
		claim_figure(c, up, "speedup_%s", m->name);
		claim_say(c, "%s%s %.2f", *c->measured ? ", " : "", m->name,
			  up);
		loops += model_is(m, MODEL_EVENT_LOOP);
		single += model_is(m, MODEL_EVENT_LOOP) && up < ONE_CPU;
	}
	claim_figure(c, d->host.cpus, "cpus");
	if (*c->measured)
		claim_say(
			c,
			" (rate of requests that burn 5 ms each on %ld "
			"CPUs, divided by the rate on one; required: coroutine over %.2f, event loops under %.2f)",
			d->host.cpus, NEARLY_ALL * d->host.cpus, ONE_CPU);
	if (d->host.cpus < 2)
		claim_not_measured(c, "there is only one CPU");
	else if (isnan(own) || !loops)
		claim_not_measured(c, "coroutine and an event loop are needed");
	else if (own < NEARLY_ALL * d->host.cpus && cpus_were_taken(d, c))
		return;
	else
		claim_judge(c, single == loops &&
				       own >= NEARLY_ALL * d->host.cpus);
}

/* ---- 8: kernel involvement ---- */

static void say_kernel(const struct demo *d, struct demo_claim *c, long n)
{
	char column[16];

	snprintf(column, sizeof(column), "%ld", n);
	for (unsigned i = 0; i < d->options.nr_models; i++) {
		const struct model *m = d->options.model[i];
		const struct demo_row *r = demo_row(d, m, "/", n);
		struct demo_per_request p;

		if (!r)
			continue;
		p = demo_per_request(r);
		claim_figure(c, p.syscalls, "syscalls_%s_%ld", m->name, n);
		claim_figure(c, p.switches, "switches_%s_%ld", m->name, n);
		if (p.uring_ops > 0)
			claim_figure(c, p.uring_ops, "uring_ops_%s_%ld",
				     m->name, n);
		claim_cell(c, m, column, "%.3f / %.3f", p.syscalls, p.switches);
	}
}

/*
 * Holds if the coroutine model makes fewer system calls than blocking threads
 * and than an event loop over epoll, and fewer switches than threads (epoll has
 * one thread, too, so there is nothing to gain on it), at each number of
 * connections. How many requests share a system call depends on how many are
 * ready at a time, so uring-loop is printed for comparison and does not affect
 * the verdict.
 */
static bool needs_less(const struct demo *d, long n, bool *complete)
{
	static const enum model_role roles[] = { ROLE_COROUTINES, ROLE_THREADS,
						 ROLE_CALLBACKS };
	struct demo_per_request p[3];

	for (int i = 0; i < 3; i++) {
		const struct demo_row *r =
			demo_row(d, model_of(roles[i]), "/", n);

		if (!r) {
			*complete = false;
			return false;
		}
		p[i] = demo_per_request(r);
	}
	return p[0].syscalls < p[1].syscalls && p[0].syscalls < p[2].syscalls &&
	       p[0].switches < p[1].switches;
}

void judge_kernel_per_request(const struct demo *d, struct demo_claim *c)
{
	const struct demo_counts *counts = &d->options.connections;
	const struct demo_row *own =
		demo_row(d, model_of(ROLE_COROUTINES), "/", 0);
	bool less = true, complete = true;

	if (!d->counted) {
		claim_not_measured(c, "%s", d->why_no_bpf);
		return;
	}
	if (own) { /* at the most connections, by names without them */
		struct demo_per_request p = demo_per_request(own);

		claim_figure(c, p.syscalls, "syscalls_coroutine");
		claim_figure(c, p.switches, "switches_coroutine");
		claim_figure(c, p.uring_ops, "uring_ops_coroutine");
		claim_say(c,
			  "system calls / kernel switches per GET /, at full "
			  "load, by connections; at less load: claim 10. "
			  "Calls are shared: in coroutine, a request is %.2f "
			  "operations on io_uring",
			  p.uring_ops);
	}
	for (unsigned i = 0; i < counts->len; i++) {
		say_kernel(d, c, counts->n[i]);
		less &= needs_less(d, counts->n[i], &complete);
	}
	if (!complete)
		claim_not_measured(c, "coroutine, thread and epoll were not "
				      "all measured");
	else
		claim_judge(c, less);
}

/* ---- 10: at every load ---- */

/* As many switches per request as this count as one for each request. */
#define EACH_REQUEST 0.5

/* The least share of the capacity above which fewer than EACH_REQUEST are
 * needed, interpolated between the measured loads; NaN: never. */
static double spared_from(const struct demo *d, const struct model *m)
{
	double before_share = NAN, before = NAN, from = NAN;

	for (unsigned i = 0; i < d->options.loads->len; i++) {
		const struct demo_row *r = demo_load(d, m, i);
		double now, share;

		if (!r)
			continue;
		now = demo_per_request(r).switches;
		share = ROW_MEDIAN(r, rps) / demo_capacity(d, m);
		if (now >= EACH_REQUEST)
			from = NAN;
		else if (isnan(from))
			from = isnan(before)
				       ? 0
				       : before_share + (share - before_share) *
								(before -
								 EACH_REQUEST) /
								(before - now);
		before_share = share;
		before = now;
	}
	return from;
}

static void say_load(const struct demo *d, struct demo_claim *c,
		     const struct model *m)
{
	double from = spared_from(d, m);
	bool any = false;

	for (unsigned i = 0; i < d->options.loads->len; i++) {
		const struct demo_row *r = demo_load(d, m, i);
		double share = d->options.loads->share[i];
		struct demo_per_request p;
		char name[16];

		if (!r)
			continue;
		any = true;
		p = demo_per_request(r);
		claim_figure(c, p.switches, "switches_%s_at_%.0f", m->name,
			     share * 100);
		claim_figure(c, p.syscalls, "syscalls_%s_at_%.0f", m->name,
			     share * 100);
		claim_cell(c, m, demo_load_name(share, name), "%.3f",
			   p.switches);
	}
	if (!any)
		return;
	claim_figure(c, from, "spared_from_%s", m->name);
	if (isnan(from))
		claim_cell(c, m, "spared", "never");
	else if (from == 0)
		claim_cell(c, m, "spared", "always");
	else
		claim_cell(c, m, "spared", "> %.0f %%", from * 100);
}

/* In a sentence: where the models begin to spare switches. Few loads are measured,
 * so between them this is a guess, and says so. */
static void say_spared(const struct demo *d, struct demo_claim *c)
{
	const struct model *own = model_of(ROLE_COROUTINES);
	const struct demo_row *idle = demo_load(d, own, 0);
	const struct demo_row *full =
		demo_load(d, own, d->options.loads->len - 1);
	double low = INFINITY, high = 0;

	for (unsigned i = 0; i < d->options.nr_models; i++) {
		const struct model *m = d->options.model[i];
		double from = spared_from(d, m);

		if (isnan(from) || m == own)
			continue;
		low = fmin(low, from);
		high = fmax(high, from);
	}
	if (!idle || !full || !(spared_from(d, own) > 0))
		return;
	claim_say(c,
		  "coroutine makes %.2f kernel switches for each request at "
		  "%d/s and %.3f at full load. By straight lines between the "
		  "loads that were measured, it makes fewer than %g from "
		  "%.0f %% of its full load on",
		  demo_per_request(idle).switches, DEMO_IDLE_RATE,
		  demo_per_request(full).switches, EACH_REQUEST,
		  spared_from(d, own) * 100);
	if (low <= high)
		claim_say(c, ", other models from %.0f to %.0f %% on",
			  low * 100, high * 100);
	claim_say(c, ". ");
}

/*
 * Holds if the coroutine model needs fewer than EACH_REQUEST switches at each
 * load. If one request comes at a time, the server sleeps before each and is
 * woken by it, with any unit of scheduling.
 */
void judge_kernel_by_load(const struct demo *d, struct demo_claim *c)
{
	const struct model *own = model_of(ROLE_COROUTINES);
	bool spared = true, measured = false;

	if (!d->counted) {
		claim_not_measured(c, "%s", d->why_no_bpf);
		return;
	}
	for (unsigned i = 0; i < d->options.nr_models; i++)
		say_load(d, c, d->options.model[i]);
	say_spared(d, c);
	if (c->evidence.nr_rows)
		claim_say(c,
			  "Kernel switches per GET / on %d connections: %d/s "
			  "is idle, full a closed loop, the rest open loops by "
			  "share of %s full load; spared: where there are "
			  "fewer than %g",
			  DEMO_LOADS_CONNS, DEMO_IDLE_RATE,
			  demo_has_bounds(d) ? "epoll's" : "each model's",
			  EACH_REQUEST);
	for (unsigned i = 0; i < d->options.loads->len; i++) {
		const struct demo_row *r = demo_load(d, own, i);

		if (!r)
			continue;
		measured = true;
		spared &= demo_per_request(r).switches < EACH_REQUEST;
	}
	if (!measured)
		claim_not_measured(c, "coroutine was not measured");
	else
		claim_judge(c, spared);
}

/* ---- 9: very many ---- */

static void say_sleepers(const struct demo_unit *u, const char *name,
			 struct demo_claim *c)
{
	if (!demo_ok(&u->outcome) || !u->count)
		return;
	claim_figure(c, u->count, "%ss", name);
	claim_figure(c, u->create_ns / u->count, "%s_create_ns", name);
	claim_figure(c, u->process_bytes / u->count, "%s_bytes", name);
	claim_say(c,
		  "%s%ld %ss asleep at a time: %.1f s to start them, %.0f "
		  "bytes each, %ld thread%s",
		  *c->measured ? "; " : "", u->count, name, u->create_ns / 1e9,
		  u->process_bytes / u->count, u->threads,
		  u->threads == 1 ? "" : "s");
}

/* Those that held all first, by name. */
static void say_connections(const struct demo *d, struct demo_claim *c)
{
	unsigned said = 0;

	for (unsigned i = 0; i < d->nr_holds; i++) {
		const struct demo_hold *h = &d->hold[i];

		if (h->wanted < MANY_CONNECTIONS || !demo_ok(&h->outcome))
			continue;
		claim_figure(c, h->waiting, "connections_%s", h->model->name);
		if (h->waiting < h->wanted)
			continue;
		if (!said++)
			claim_say(c, "; %ld connections that wait were held by",
				  h->wanted);
		claim_say(c, "%s %s", said > 1 ? "," : "", h->model->name);
	}
	for (unsigned i = 0; i < d->nr_holds; i++) {
		const struct demo_hold *h = &d->hold[i];

		if (h->wanted < MANY_CONNECTIONS ||
		    h->outcome.status == DEMO_NOT_RUN)
			continue;
		if (!demo_ok(&h->outcome))
			claim_say(c, "; %s: %s", h->model->name,
				  h->outcome.reason);
		else if (h->waiting < h->wanted)
			claim_say(c, "; %s held %ld", h->model->name,
				  h->waiting);
	}
}

void judge_many_sleepers(const struct demo *d, struct demo_claim *c)
{
	const struct demo_unit *u = &d->unit[UNIT_COROUTINE];

	say_sleepers(u, "coroutine", c);
	if (!isnan(u->woken) && u->count)
		claim_say(c, "; %.0f of them continued when requested",
			  u->woken);
	say_sleepers(&d->unit[UNIT_GOROUTINE], "goroutine", c);
	say_sleepers(&d->unit[UNIT_TIMER], "promise", c);
	say_connections(d, c);
	if (!demo_ok(&u->outcome) || !u->count)
		claim_not_measured(c, "coroutine: %s", u->outcome.reason);
	else if (u->wanted < HUNDREDS_OF_THOUSANDS)
		claim_not_measured(c, "%ld are too few for a verdict",
				   u->wanted);
	else
		claim_judge(c, u->count == u->wanted && u->woken == u->count);
}
