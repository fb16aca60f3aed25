// SPDX-License-Identifier: MIT
/*
 * The reverse of show/json.c. Two things rest on it: `--from`, which shows an
 * earlier result again, judged by today's rules, and `--resume` (resume.c). Counts are
 * computed from the figures per request and the number of requests. Anybody may
 * have changed the file of a document, so each number is clamped to its range,
 * and an unknown element is left out.
 */
#define _GNU_SOURCE
#include "saved.h"
#include "saved_values.h"
#include "options.h"
#include "../lib/tool.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void outcome(struct demo_outcome *o, const struct json_value *e)
{
	int status = saved_named(demo_status_names, DEMO_NOT_RUN + 1,
				 json_text(e, "status"));

	o->status = status < 0 ? DEMO_NOT_RUN : (enum demo_status)status;
	saved_text(o->reason, sizeof(o->reason), e, "reason");
}

static void histogram(struct histogram *h, const struct json_value *in)
{
	const struct json_value *e = saved_first(in, "histogram");

	for (; e; e = e->next) {
		const struct json_value *n = e->child ? e->child->next : NULL;
		uint64_t times, upper;

		if (!n)
			continue;
		upper = saved_count(e->child->number);
		times = saved_count(n->number);
		h->part[histogram_index(upper)] += times;
		h->count += times;
		h->sum += times * upper;
	}
	h->max = saved_count(json_number(in, "max"));
}

/* ---- measurements ---- */

static void second(struct demo_second *m, const struct json_value *e)
{
	unsigned n = saved_numbers(e, "load_rps", m->load.rps, DEMO_ROUNDS_MAX);

	outcome(&m->outcome, e);
	m->connections = saved_whole(e, "connections");
	saved_numbers(e, "load_server_cpu_ns", m->load.server_cpu_ns, n);
	saved_numbers(e, "load_cpu", m->load.cpu, n);
	m->nr_rounds = saved_numbers(e, "wrk_rps", m->wrk.rps, n);
	saved_numbers(e, "wrk_server_cpu_ns", m->wrk.server_cpu_ns, n);
	saved_numbers(e, "wrk_cpu", m->wrk.cpu, n);
}

static const struct model *model(const struct demo *d,
				 const struct json_value *e)
{
	const char *name = json_text(e, "model");

	for (unsigned i = 0; name && i < d->options.nr_models; i++)
		if (!strcmp(d->options.model[i]->name, name))
			return d->options.model[i];
	return NULL;
}

static void rounds(struct demo_row *r, const struct json_value *e)
{
	for (e = saved_first(e, "rounds"); e && r->nr_rounds < DEMO_ROUNDS_MAX;
	     e = e->next)
		r->round[r->nr_rounds++] = (struct demo_sample){
			.rps = json_number(e, "rps"),
			.p50_ns = json_number(e, "p50_ns"),
			.p99_ns = json_number(e, "p99_ns"),
			.cpu_ns = json_number(e, "cpu_ns"),
			.load_cpu = json_number(e, "load_cpu"),
			.switches = json_number(e, "switches"),
			.syscalls = json_number(e, "syscalls"),
			.uring_ops = json_number(e, "uring_ops"),
			.user_switches = json_number(e, "user_switches"),
		};
}

static void per_request(struct demo_row *r, const struct json_value *e,
			bool counted)
{
	const struct json_value *p = json_member(e, "per_request");
	double n = r->requests, told = json_number(p, "user_switches");
	uint64_t voluntary = saved_count(json_number(p, "voluntary") * n);
	uint64_t involuntary = saved_count(json_number(p, "involuntary") * n);

	r->has_counts = counted;
	if (counted) {
		r->counts.class[0].voluntary = voluntary;
		r->counts.class[0].involuntary = involuntary;
		r->counts.class[0].submitted[0] =
			saved_count(json_number(p, "uring_ops") * n);
		r->counts.calls.made[0] =
			saved_count(json_number(p, "syscalls") * n);
		r->counts.lost = saved_count(json_number(e, "lost"));
	} else {
		r->nvcsw = voluntary;
		r->nivcsw = involuntary;
	}
	r->has_user = !isnan(told) && r->model->switches == SWITCHES_PAGE;
	if (r->has_user) {
		r->user.n = 1;
		strcpy(r->user.counter[0].name, "switches");
		r->user.counter[0].value = saved_count(told * n);
	} else if (!isnan(told)) {
		/* Scaled by a power of two, so that the quotient stays the
		 * same. */
		r->told_requests = exp2(floor(log2(fmax(n, 1))));
		r->told = told * r->told_requests;
	}
	r->cpu_ns = saved_count(json_number(p, "cpu_ns") * n);
}

static void row(const struct demo *d, struct demo_row *r,
		const struct json_value *e)
{
	r->connections = saved_whole(e, "connections");
	r->per_connection = saved_whole(e, "requests_per_connection");
	outcome(&r->outcome, e);
	r->requests = saved_count(json_number(e, "requests"));
	r->errors = saved_count(json_number(e, "errors"));
	r->unanswered = saved_count(json_number(e, "unanswered"));
	r->seconds = json_number(e, "seconds");
	r->threads = saved_whole(e, "threads");
	r->rss = saved_whole(e, "rss");
	histogram(&r->latency, json_member(e, "latency_ns"));
	per_request(r, e, d->counted);
	rounds(r, e);
	if (demo_ok(&r->outcome) && (!r->nr_rounds || !r->requests))
		r->outcome.status = DEMO_NOT_RUN;
}

static void rows(struct demo *d, const struct json_value *in)
{
	d->row = saved_room(in, "models", sizeof(*d->row));
	for (const struct json_value *e = saved_first(in, "models"); e;
	     e = e->next) {
		struct demo_row *r = &d->row[d->nr_rows];

		if (!(r->model = model(d, e)) || !json_text(e, "path"))
			continue;
		saved_text(r->path, sizeof(r->path), e, "path");
		row(d, r, e);
		d->nr_rows++;
	}
	d->load = saved_room(in, "by_load", sizeof(*d->load));
	for (const struct json_value *e = saved_first(in, "by_load"); e;
	     e = e->next) {
		struct demo_row *r = &d->load[d->nr_loads];

		if (!(r->model = model(d, e)))
			continue;
		strcpy(r->path, "/");
		r->share = json_number(e, "share");
		r->rate = fmax(json_number(e, "due_per_s"), 0);
		row(d, r, e);
		d->nr_loads++;
	}
}

static void hold(struct demo_hold *h, const struct json_value *e)
{
	outcome(&h->outcome, e);
	h->wanted = saved_whole(e, "wanted");
	h->processes = saved_whole(e, "processes");
	h->waiting = saved_whole(e, "waiting");
	h->answered = saved_whole(e, "answered");
	h->connect_ns = saved_whole(e, "connect_ns");
	h->answer_ns = saved_whole(e, "answer_ns");
	h->threads = saved_whole(e, "threads");
	h->process_bytes = json_number(e, "process_bytes");
	h->kernel_bytes = json_number(e, "kernel_bytes");
	h->heap_bytes = json_number(e, "heap_bytes");
	h->stack_bytes = json_number(e, "stack_bytes");
	saved_text(h->memory_reason, sizeof(h->memory_reason), e,
		   "memory_reason");
	saved_text(h->limit, sizeof(h->limit), e, "limit");
}

static void burst(struct demo_burst *b, const struct json_value *e)
{
	const struct json_value *phase = saved_first(e, "phase_max_ns");

	outcome(&b->outcome, e);
	histogram(&b->latency, json_member(e, "latency_ns"));
	histogram(&b->without, json_member(e, "without_bursts_ns"));
	for (unsigned i = 0; phase && i < LOAD_PHASES;
	     i++, phase = phase->next) {
		b->phase[i].count = phase->type == JSON_NUMBER;
		b->phase[i].max_ns = saved_count(phase->number);
	}
	b->errors = saved_count(json_number(e, "errors"));
	b->unanswered = saved_count(json_number(e, "unanswered"));
	b->bursts = saved_count(json_number(e, "bursts"));
	b->burst_ns = json_number(e, "burst_ns");
	b->load_cpu = json_number(e, "load_cpu");
}

static void stall(struct demo_stall *m, const struct json_value *e)
{
	const char *name = json_text(e, "case");

	outcome(&m->outcome, e);
	while (m->nth < STALL_CASES - 1 && name &&
	       strcmp(stall_cases[m->nth].name, name))
		m->nth++;
	m->nr_rounds =
		saved_numbers(e, "answers_per_s", m->rate, DEMO_ROUNDS_MAX);
	histogram(&m->plain, json_member(e, "without_loop_ns"));
	histogram(&m->loop, json_member(e, "with_loop_ns"));
}

static void scale(struct demo_scale *m, const struct json_value *e)
{
	unsigned one = saved_numbers(e, "one_cpu_rps", m->one, DEMO_ROUNDS_MAX);
	unsigned all =
		saved_numbers(e, "all_cpus_rps", m->all, DEMO_ROUNDS_MAX);

	outcome(&m->outcome, e);
	m->others = json_number(e, "others_cpus");
	m->nr_rounds = one < all ? one : all;
}

static void timeline(struct demo_timeline *t, const struct json_value *e)
{
	const struct json_value *l = saved_first(e, "lanes"),
				*s = saved_first(e, "slices");

	outcome(&t->outcome, e);
	t->ns = json_number(e, "ns");
	for (; l && t->nr_lanes < TIMELINE_LANES; l = l->next) {
		const char *kind = json_text(l, "kind");

		saved_text(t->lane[t->nr_lanes].name, sizeof(t->lane->name), l,
			   "name");
		t->lane[t->nr_lanes++].coroutine =
			kind && !strcmp(kind, "coroutine");
	}
	for (; s && t->nr_slices < TIMELINE_SLICES; s = s->next) {
		struct demo_slice *to = &t->slice[t->nr_slices];
		const char *state = json_text(s, "state");

		to->lane = saved_count(json_number(s, "lane"));
		to->runs = state && !strcmp(state, "runs");
		to->at_ns = json_number(s, "at_ns");
		to->ns = json_number(s, "ns");
		saved_text(to->what, sizeof(to->what), s, "what");
		t->nr_slices +=
			to->lane < t->nr_lanes && to->at_ns >= 0 && to->ns >= 0;
	}
}

static void unit(struct demo_unit *u, const struct json_value *e)
{
	outcome(&u->outcome, e);
	u->wanted = saved_whole(e, "wanted");
	u->count = saved_whole(e, "count");
	u->create_ns = json_number(e, "create_ns");
	u->process_bytes = json_number(e, "process_bytes");
	u->kernel_bytes = json_number(e, "kernel_bytes");
	u->heap_bytes = json_number(e, "heap_bytes");
	u->woken = json_number(e, "woken");
	u->threads = saved_whole(e, "threads");
}

#define SECTION(d, in, array, field, nr, restore)                            \
	do {                                                                 \
		(d)->field = saved_room(in, array, sizeof(*(d)->field));     \
		for (const struct json_value *e = saved_first(in, array); e; \
		     e = e->next) {                                          \
			(d)->field[(d)->nr].model = model(d, e);             \
			if (!(d)->field[(d)->nr].model)                      \
				continue;                                    \
			restore(&(d)->field[(d)->nr++], e);                  \
		}                                                            \
	} while (0)

static void costs(struct demo_costs *c, const struct json_value *in)
{
	const struct json_value *n = json_member(in, "switch_counts");
	const struct json_value *t = json_member(in, "switch_ns");

	saved_text(c->why_not, sizeof(c->why_not), n, "reason");
	c->has_switch_counts = !isnan(json_number(n, "user_switches"));
	c->user_switches = saved_count(json_number(n, "user_switches"));
	c->kernel_switches = saved_count(json_number(n, "kernel_switches"));
	c->syscalls = saved_count(json_number(n, "syscalls"));
	c->counted_s = json_number(n, "seconds");
	for (const struct json_value *e = t ? t->child : NULL;
	     e && e->name && c->nr_times < DEMO_TIMES; e = e->next) {
		struct demo_times *to = &c->time[c->nr_times];

		snprintf(to->name, sizeof(to->name), "%s", e->name);
		to->n = saved_numbers(t, e->name, to->ns, DEMO_ROUNDS_MAX);
		c->nr_times += to->n > 0;
	}
	demo_costs_of_times(c);
}

static void measurements(struct demo *d, const struct json_value *in)
{
	rows(d, in);
	SECTION(d, in, "second_generator", second, nr_seconds, second);
	SECTION(d, in, "waiting", hold, nr_holds, hold);
	SECTION(d, in, "bursts", burst, nr_bursts, burst);
	SECTION(d, in, "stalls", stall, nr_stalls, stall);
	SECTION(d, in, "scaling", scale, nr_scales, scale);
	SECTION(d, in, "timelines", timeline, nr_timelines, timeline);
	for (unsigned i = 0; i < UNIT_KINDS; i++)
		d->unit[i].outcome.status = DEMO_NOT_RUN;
	for (const struct json_value *e = saved_first(in, "units"); e;
	     e = e->next) {
		int kind = saved_named(demo_unit_names, UNIT_KINDS,
				       json_text(e, "unit"));

		if (kind >= 0)
			unit(&d->unit[kind], e);
	}
	costs(&d->costs, in);
}

/* ---- the machine, the options ---- */

static void host(struct demo_host *h, const struct json_value *e)
{
	const struct json_value *limits = json_member(e, "limits");
	const struct json_value *v = json_member(e, "versions");

#define TEXT(in, field) saved_text(h->field, sizeof(h->field), in, #field)
	TEXT(e, kernel);
	TEXT(e, machine);
	TEXT(e, cpu_model);
	TEXT(e, hardware);
	TEXT(e, mitigations);
	TEXT(e, clocksource);
	TEXT(e, time);
	TEXT(limits, cgroup_cpu);
	TEXT(limits, cgroup_memory);
	TEXT(limits, cgroup_pids);
	TEXT(v, libc);
	TEXT(v, compiler);
	TEXT(v, redis);
#undef TEXT
	h->cpus = saved_whole(e, "cpus");
	h->memory = saved_whole(e, "memory");
	h->pid_max = saved_whole(limits, "pid_max");
	h->threads_max = saved_whole(limits, "threads_max");
	h->max_map_count = saved_whole(limits, "max_map_count");
	h->somaxconn = saved_whole(limits, "somaxconn");
	h->nofile = saved_whole(limits, "nofile");
	h->language = calloc(nr_languages, sizeof(*h->language));
	if (!h->language)
		abort();
	for (unsigned i = 0; i < nr_languages; i++) {
		const struct json_value *version;

		if (!languages[i].command)
			continue;
		version = json_member(v, languages[i].command);
		saved_text(h->language[i], HOST_TEXT, v, languages[i].command);
		h->languages |=
			(unsigned)(version && version->type == JSON_STRING)
			<< i;
	}
}

static bool measured_models(struct demo *d, const struct json_value *settings)
{
	struct demo_options *o = &d->options;

	d->settings = saved_room(settings, "models", sizeof(*d->settings));
	o->model = saved_room(settings, "models", sizeof(*o->model));
	for (const struct json_value *e = saved_first(settings, "models"); e;
	     e = e->next) {
		const char *name = json_text(e, "name");
		const char *command = json_text(e, "command");
		const struct model *m = NULL;
		char *both;

		if (name && command &&
		    asprintf(&both, "%s=%s", name, command) > 0)
			m = model_of_command(both);
		else if (name)
			m = model_find(name);
		if (!m)
			continue;
		saved_text(d->settings[o->nr_models], MODEL_SETTINGS, e,
			   "settings");
		o->model[o->nr_models++] = m;
	}
	return o->nr_models;
}

static void counts(struct demo_counts *c, const struct json_value *in,
		   const char *name)
{
	double n[DEMO_COUNTS_MAX];

	c->len = saved_numbers(in, name, n, DEMO_COUNTS_MAX);
	sort_doubles(n, c->len);
	for (unsigned i = 0; i < c->len; i++)
		c->n[i] = llround(fmin(fmax(n[i], 1), 1e6));
}

static bool options(struct demo *d, const struct json_value *e)
{
	struct demo_options *o = &d->options;
	const char *backend = json_text(e, "backend");
	int mode =
		saved_named(demo_mode_names, DEMO_MODES, json_text(e, "mode"));

	if (mode < 0 || !measured_models(d, e))
		return false;
	o->mode = mode;
	for (const struct json_value *n = saved_first(e, "only"); n;
	     n = n->next)
		if (n->number >= 1 && n->number <= DEMO_CLAIMS)
			o->only |= 1u << (int)n->number;
	if (o->only == (2u << DEMO_CLAIMS) - 2)
		o->only = 0; /* all */
	counts(&o->connections, e, "connection_counts");
	counts(&o->waiting, e, "waiting");
	o->seconds = json_number(e, "seconds");
	o->rounds = saved_whole(e, "rounds");
	o->wait_ms = saved_whole(e, "wait_ms");
	o->redis_port = backend && !strcmp(backend, "redis") ? 6379 : 0;
	o->threads_end = saved_whole(e, "threads_end");
	demo_fill_in(o);
	return true;
}

bool demo_restore(struct demo *d, const struct demo_document *doc,
		  const char *path)
{
	const struct json_value *in = doc->tree;
	const struct json_value *settings = json_member(in, "settings");
	const char *source = json_text(settings, "source");
	const char *stopped = json_text(in, "interrupted");

	if (!options(d, settings) || !source)
		return !fail("%s has no complete \"settings\": it was written "
			     "by an older urt, so measure again",
			     path);
	host(&d->host, json_member(in, "host"));
	d->counted = !strcmp(source, "bpf");
	saved_text(d->why_no_bpf, sizeof(d->why_no_bpf),
		   json_member(in, "unavailable"), "per_request");
	d->server_cpu = saved_whole(settings, "server_cpu");
	d->load_cpu = saved_whole(settings, "load_cpu");
	d->others = json_number(in, "others_cpus");
	d->end_ns = saved_whole(in, "wall_ns");
	d->interrupted = stopped && !strcmp(stopped, "yes");
	measurements(d, in);
	return true;
}
