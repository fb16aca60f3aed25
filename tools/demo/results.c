// SPDX-License-Identifier: MIT
/* Reading results: finding one, medians, figures per request, names. */
#define _GNU_SOURCE
#include "results.h"
#include "../lib/tool.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const demo_status_names[] = { "ok", "skipped", "failed",
					  "not run" };
const char *const demo_verdict_names[] = { "holds", "does not hold",
					   "not measured" };

const char *const demo_mode_names[] = { "quick", "default", "full", "bounds" };

const char *const demo_unit_names[] = {
	[UNIT_THREAD] = "thread",	[UNIT_COROUTINE] = "coroutine",
	[UNIT_PROMISE] = "promise",	[UNIT_TIMER] = "timer promise",
	[UNIT_GOROUTINE] = "goroutine",
};

bool demo_wants(const struct demo *d, int claim)
{
	return !d->options.only || d->options.only >> claim & 1;
}

/* ---- one of many ---- */

const struct demo_row *demo_row(const struct demo *d, const struct model *model,
				const char *path, long connections)
{
	const struct demo_row *best = NULL;

	for (unsigned i = 0; i < d->nr_rows; i++) {
		const struct demo_row *r = &d->row[i];
		size_t len = strcspn(r->path, "?");

		if (!demo_ok(&r->outcome) || !r->nr_rounds ||
		    r->model != model || r->per_connection ||
		    strlen(path) != len || strncmp(r->path, path, len))
			continue;
		if (connections ? r->connections == connections
				: !best || r->connections > best->connections)
			best = r;
	}
	return best;
}

const char *demo_row_title(const struct demo_row *r, char buf[96])
{
	const char *asks =
		!strncmp(r->path, "/chain", 6) ? " (three backends in turn)"
		: !strncmp(r->path, "/fan", 4) ? " (three backends at once)"
					       : "";
	int len = snprintf(buf, 96, "GET %s%s, %ld connections", r->path, asks,
			   r->connections);

	if (r->per_connection)
		snprintf(buf + len, 96 - len, ", each for %ld request%s",
			 r->per_connection, r->per_connection == 1 ? "" : "s");
	return buf;
}

bool demo_same_table(const struct demo_row *a, const struct demo_row *b)
{
	return !strcmp(a->path, b->path) && a->connections == b->connections &&
	       a->per_connection == b->per_connection;
}

const struct demo_row *demo_load(const struct demo *d,
				 const struct model *model, unsigned load)
{
	for (unsigned i = 0; i < d->nr_loads; i++) {
		const struct demo_row *r = &d->load[i];

		if (demo_ok(&r->outcome) && r->nr_rounds && r->model == model &&
		    r->share == d->options.loads->share[load])
			return r;
	}
	return NULL;
}

unsigned demo_ladder(const struct demo *d, struct demo_rung rung[RUNGS_MAX])
{
	unsigned n = 0;

	for (unsigned i = 0; i < d->options.nr_models && n < RUNGS_MAX; i++) {
		const struct model *m = d->options.model[i];

		rung[n] = (struct demo_rung){
			m, demo_load(d, m, 0),
			demo_load(d, m, d->options.loads->len - 1)
		};
		n += m->step && rung[n].low && rung[n].full;
	}
	return n;
}

const char *const demo_ladder_heads[] = {
	"model",	 "its step", "full load/s", "p99 ms",
	"switches, low", "calls",    "CPU us",	    "switches, full",
	"calls",	 "CPU us",   NULL
};

const char *demo_ladder_text(const struct demo_rung *rung, char buf[160])
{
	snprintf(buf, 160,
		 "GET /, %d connections; kernel switches, system calls and CPU "
		 "for each request, at %.0f requests/s and at full load.",
		 DEMO_LOADS_CONNS, rung->low->rate);
	return buf;
}

/* The generator used nearly all of its CPU while the server did not. */
#define LOAD_BUSY   0.85
#define SERVER_BUSY 0.9

double demo_server_cpu(const struct demo_row *r)
{
	return r->cpu_ns / (r->seconds * 1e9);
}

bool demo_load_was_limit(const struct demo_row *r)
{
	return ROW_MEDIAN(r, load_cpu) > LOAD_BUSY &&
	       demo_server_cpu(r) < SERVER_BUSY;
}

double demo_capacity(const struct demo *d, const struct model *model)
{
	for (unsigned i = 0; i < d->nr_loads; i++) {
		const struct demo_row *r = &d->load[i];

		if (r->model == model && r->share == 1 && r->nr_rounds)
			return ROW_MEDIAN(r, rps);
	}
	return 0;
}

const char *demo_load_name(double share, char buf[16])
{
	if (share == 0)
		return "idle";
	if (share == 1)
		return "full";
	snprintf(buf, 16, "%.0f %%", share * 100);
	return buf;
}

static bool stopped(const struct demo_hold *h)
{
	return h->waiting < h->wanted;
}

const struct demo_hold *demo_hold(const struct demo *d,
				  const struct model *model, long wanted)
{
	const struct demo_hold *best = NULL;

	for (unsigned i = 0; i < d->nr_holds; i++) {
		const struct demo_hold *h = &d->hold[i];

		if (!demo_ok(&h->outcome) || h->model != model ||
		    (!wanted && h->wanted == d->options.threads_end))
			continue;
		if (wanted) {
			if (h->wanted == wanted)
				best = h;
		} else if (!best || stopped(h) < stopped(best) ||
			   (stopped(h) == stopped(best) &&
			    h->wanted > best->wanted)) {
			best = h;
		}
	}
	return best;
}

const struct demo_burst *demo_burst(const struct demo *d,
				    const struct model *model)
{
	for (unsigned i = 0; i < d->nr_bursts; i++)
		if (demo_ok(&d->burst[i].outcome) && d->burst[i].model == model)
			return &d->burst[i];
	return NULL;
}

const struct demo_scale *demo_scale(const struct demo *d,
				    const struct model *model)
{
	for (unsigned i = 0; i < d->nr_scales; i++)
		if (demo_ok(&d->scale[i].outcome) && d->scale[i].nr_rounds &&
		    d->scale[i].model == model)
			return &d->scale[i];
	return NULL;
}

/* ---- figures ---- */

static double sample_field(const struct demo_row *r, unsigned i, size_t offset)
{
	return *(const double *)((const char *)&r->round[i] + offset);
}

double demo_median(const struct demo_row *r, size_t offset)
{
	double v[DEMO_ROUNDS_MAX];

	if (!r->nr_rounds)
		return NAN;
	for (unsigned i = 0; i < r->nr_rounds; i++)
		v[i] = sample_field(r, i, offset);
	sort_doubles(v, r->nr_rounds);
	return (v[(r->nr_rounds - 1) / 2] + v[r->nr_rounds / 2]) / 2;
}

double demo_spread(const struct demo_row *r, size_t offset)
{
	double middle = demo_median(r, offset), most = 0;

	if (r->nr_rounds < 2)
		return NAN;
	for (unsigned i = 0; i < r->nr_rounds; i++)
		most = fmax(most, fabs(sample_field(r, i, offset) - middle));
	return most / middle;
}

struct demo_per_request demo_per_request(const struct demo_row *r)
{
	struct demo_per_request p;
	double n = r->requests;
	uint64_t voluntary = 0, involuntary = 0;

	for (int i = 0; i < URT_CLASSES; i++) {
		voluntary += r->counts.class[i].voluntary;
		involuntary += r->counts.class[i].involuntary;
	}
	if (!r->has_counts) {
		/* /proc has the main thread's only, which is right for one
		 * thread. */
		bool whole = r->threads == 1;

		p.voluntary = whole ? r->nvcsw / n : NAN;
		p.involuntary = whole ? r->nivcsw / n : NAN;
		p.syscalls = p.uring_ops = NAN;
	} else {
		p.voluntary = voluntary / n;
		p.involuntary = involuntary / n;
		p.syscalls = counts_syscalls(&r->counts) / n;
		p.uring_ops = counts_submitted(&r->counts) / n;
	}
	p.switches = p.voluntary + p.involuntary;
	p.user_switches = r->has_user ? user_stats_get(&r->user, "switches") / n
			  : r->told_requests > 0 ? r->told / r->told_requests
						 : NAN;
	p.cpu_ns = r->cpu_ns / n;
	return p;
}

char *demo_user_note(const struct demo *d)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		abort();
	fputs("in user space, by each runtime's own count", f);
	for (unsigned i = 0; i < d->options.nr_models; i++)
		if (d->options.model[i]->switches_are)
			fprintf(f, "; %s: %s", d->options.model[i]->name,
				d->options.model[i]->switches_are);
	fclose(f);
	return text;
}

const char *demo_user_switches(const struct demo_row *r)
{
	const struct model *m = r->model;
	bool got = r->has_user || r->told_requests > 0;

	return got && m->switches_are ? m->switches_are : m->no_switches;
}

static double median(double *v, unsigned n)
{
	sort_doubles(v, n);
	return (v[(n - 1) / 2] + v[n / 2]) / 2;
}

/* The median of the times of that name, or 0. */
static double time_of(const struct demo_costs *c, const char *name)
{
	double v[DEMO_ROUNDS_MAX];

	for (unsigned i = 0; i < c->nr_times; i++) {
		if (strcmp(c->time[i].name, name) || !c->time[i].n)
			continue;
		memcpy(v, c->time[i].ns, sizeof(v));
		return median(v, c->time[i].n);
	}
	return 0;
}

double demo_ms(const struct histogram *h, double p)
{
	return h->count ? histogram_percentile(h, p) / 1e6 : NAN;
}

double demo_median_of(const double *rounds, unsigned n)
{
	double v[DEMO_ROUNDS_MAX];

	memcpy(v, rounds, sizeof(v));
	return n ? median(v, n) : NAN;
}

void demo_costs_of_times(struct demo_costs *c)
{
	c->call = time_of(c, "call");
	c->unit[UNIT_COROUTINE] = time_of(c, "coroutine");
	c->unit[UNIT_THREAD] = time_of(c, "thread");
	c->unit[UNIT_GOROUTINE] = time_of(c, "goroutine");
	c->handover = time_of(c, "handover");
	c->handover_across = time_of(c, "across");
}

/*
 * A generator that used its whole CPU while the server did not was itself the
 * limit. Otherwise, if the server needs more CPU time for a request under one
 * generator (because it wakes that one more often), its rate differs by the
 * same ratio. Other differences are not explained.
 */
#define ALIKE	  0.1 /* rates that differ by less are the same */
#define EXPLAINED 0.1 /* of the CPU time's ratio to that of the rates */

static bool was_limit(const struct demo_generator *g, unsigned n)
{
	double server = demo_median_of(g->server_cpu_ns, n) *
			demo_median_of(g->rps, n) / 1e9;

	return demo_median_of(g->cpu, n) > LOAD_BUSY && server < SERVER_BUSY;
}

/* NULL: the difference is unexplained. */
static const char *second_verdict(const struct demo_second *m, char buf[80])
{
	unsigned n = m->nr_rounds;
	double rates =
		demo_median_of(m->wrk.rps, n) / demo_median_of(m->load.rps, n);
	double cpu = demo_median_of(m->load.server_cpu_ns, n) /
		     demo_median_of(m->wrk.server_cpu_ns, n);

	if (fabs(rates - 1) < ALIKE)
		return "the same within 10 %";
	if (rates < 1 && was_limit(&m->wrk, n))
		return "wrk was at its limit";
	if (rates > 1 && was_limit(&m->load, n))
		return "urt load was at its limit";
	if (!(fabs(rates / cpu - 1) < EXPLAINED))
		return NULL;
	snprintf(buf, 80, "the server needs %.2f times the CPU time under %s",
		 cpu > 1 ? cpu : 1 / cpu, cpu > 1 ? "urt load" : "wrk");
	return buf;
}

const char *demo_second_verdict(const struct demo_second *m, char buf[80])
{
	const char *why = second_verdict(m, buf);

	return why ? why : "not explained";
}

bool demo_second_unexplained(const struct demo_second *m)
{
	char buf[80];

	return m->nr_rounds && !second_verdict(m, buf);
}

double demo_scale_median(const struct demo_scale *m, bool all)
{
	double v[DEMO_ROUNDS_MAX];

	memcpy(v, all ? m->all : m->one, sizeof(v));
	return m->nr_rounds ? median(v, m->nr_rounds) : NAN;
}

double demo_speedup(const struct demo_scale *m)
{
	double v[DEMO_ROUNDS_MAX];

	if (!m || !m->nr_rounds)
		return NAN;
	for (unsigned i = 0; i < m->nr_rounds; i++)
		v[i] = m->all[i] / m->one[i];
	return median(v, m->nr_rounds);
}

double demo_unit_bytes(const struct demo *d, enum unit_kind kind)
{
	const struct demo_unit *u = &d->unit[kind];
	double bytes = u->process_bytes;

	if (!demo_ok(&u->outcome) || !u->count)
		return NAN;
	if (!isnan(u->heap_bytes))
		bytes = u->heap_bytes;
	if (!isnan(u->kernel_bytes))
		bytes += u->kernel_bytes;
	return bytes / u->count;
}

const char *demo_versions(const struct demo_host *h, char *buf, size_t size)
{
	size_t len = snprintf(buf, size, "%s", h->libc);

	for (unsigned i = 0; i < nr_languages && len < size; i++)
		if (h->languages >> i & 1)
			len += snprintf(buf + len, size - len, "; %s %s",
					languages[i].name,
					*h->language[i] ? h->language[i]
							: "not installed");
	return buf;
}
