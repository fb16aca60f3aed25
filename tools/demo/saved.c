// SPDX-License-Identifier: MIT
/*
 * The reverse of show/json.c. Two things rest on it: `--from`, which shows an
 * earlier result again, judged by today's rules, and `--resume` (resume.c). Counts are
 * computed from the figures per request and the number of requests. A document
 * comes from a file that anybody may have changed, so that each number is
 * brought into its range, and an element that is not understood is left out.
 */
#define _GNU_SOURCE
#include "saved.h"
#include "options.h"
#include "../lib/tool.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST 1e15 /* of any number; doubles below have all integers */

/* ---- values ---- */

/* The number of a member; 0: it is missing. */
static int64_t whole(const struct json_value *in, const char *name)
{
	double v = json_number(in, name);

	return isnan(v) ? 0 : llround(fmin(fmax(v, -MOST), MOST));
}

static uint64_t count(double v)
{
	return isnan(v) ? 0 : llround(fmin(fmax(v, 0), MOST));
}

/* The string of a member, or "". */
static void text(char *to, size_t size, const struct json_value *in,
		 const char *name)
{
	const char *s = json_text(in, name);

	snprintf(to, size, "%s", s ? s : "");
}

static const struct json_value *first(const struct json_value *in,
				      const char *array)
{
	const struct json_value *v = json_member(in, array);

	return v && v->type == JSON_ARRAY ? v->child : NULL;
}

static unsigned length(const struct json_value *in, const char *array)
{
	unsigned n = 0;

	for (const struct json_value *e = first(in, array); e; e = e->next)
		n++;
	return n;
}

/* Room for the elements of an array, zeroed. */
static void *room(const struct json_value *in, const char *array, size_t size)
{
	void *p = calloc(length(in, array) + 1, size);

	if (!p)
		abort();
	return p;
}

static unsigned numbers(const struct json_value *in, const char *array,
			double *to, unsigned most)
{
	unsigned n = 0;

	for (const struct json_value *e = first(in, array); e && n < most;
	     e = e->next)
		if (e->type == JSON_NUMBER)
			to[n++] = e->number;
	return n;
}

static int named(const char *const *names, int n, const char *name)
{
	while (n-- && (!name || strcmp(names[n], name)))
		;
	return n;
}

static void outcome(struct demo_outcome *o, const struct json_value *e)
{
	int status = named(demo_status_names, DEMO_NOT_RUN + 1,
			   json_text(e, "status"));

	o->status = status < 0 ? DEMO_NOT_RUN : (enum demo_status)status;
	text(o->reason, sizeof(o->reason), e, "reason");
}

static void histogram(struct histogram *h, const struct json_value *in)
{
	const struct json_value *e = first(in, "histogram");

	for (; e; e = e->next) {
		const struct json_value *n = e->child ? e->child->next : NULL;
		uint64_t times, upper;

		if (!n)
			continue;
		upper = count(e->child->number);
		times = count(n->number);
		h->part[histogram_index(upper)] += times;
		h->count += times;
		h->sum += times * upper;
	}
	h->max = count(json_number(in, "max"));
}

/* ---- measurements ---- */

static void second(struct demo_second *m, const struct json_value *e)
{
	unsigned n = numbers(e, "load_rps", m->load.rps, DEMO_ROUNDS_MAX);

	outcome(&m->outcome, e);
	m->connections = whole(e, "connections");
	numbers(e, "load_server_cpu_ns", m->load.server_cpu_ns, n);
	numbers(e, "load_cpu", m->load.cpu, n);
	m->nr_rounds = numbers(e, "wrk_rps", m->wrk.rps, n);
	numbers(e, "wrk_server_cpu_ns", m->wrk.server_cpu_ns, n);
	numbers(e, "wrk_cpu", m->wrk.cpu, n);
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
	for (e = first(e, "rounds"); e && r->nr_rounds < DEMO_ROUNDS_MAX;
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
	uint64_t voluntary = count(json_number(p, "voluntary") * n);
	uint64_t involuntary = count(json_number(p, "involuntary") * n);

	r->has_counts = counted;
	if (counted) {
		r->counts.class[0].voluntary = voluntary;
		r->counts.class[0].involuntary = involuntary;
		r->counts.class[0].submitted[0] =
			count(json_number(p, "uring_ops") * n);
		r->counts.calls.made[0] = count(json_number(p, "syscalls") * n);
		r->counts.lost = count(json_number(e, "lost"));
	} else {
		r->nvcsw = voluntary;
		r->nivcsw = involuntary;
	}
	r->has_user = !isnan(told) && r->model->switches == SWITCHES_PAGE;
	if (r->has_user) {
		r->user.n = 1;
		strcpy(r->user.counter[0].name, "switches");
		r->user.counter[0].value = count(told * n);
	} else if (!isnan(told)) {
		r->told = told * n;
		r->told_requests = n;
	}
	r->cpu_ns = count(json_number(p, "cpu_ns") * n);
}

static void row(const struct demo *d, struct demo_row *r,
		const struct json_value *e)
{
	r->connections = whole(e, "connections");
	r->per_connection = whole(e, "requests_per_connection");
	outcome(&r->outcome, e);
	r->requests = count(json_number(e, "requests"));
	r->errors = count(json_number(e, "errors"));
	r->unanswered = count(json_number(e, "unanswered"));
	r->seconds = json_number(e, "seconds");
	r->threads = whole(e, "threads");
	r->rss = whole(e, "rss");
	histogram(&r->latency, json_member(e, "latency_ns"));
	per_request(r, e, d->counted);
	rounds(r, e);
	if (demo_ok(&r->outcome) && (!r->nr_rounds || !r->requests))
		r->outcome.status = DEMO_NOT_RUN;
}

static void rows(struct demo *d, const struct json_value *in)
{
	d->row = room(in, "models", sizeof(*d->row));
	for (const struct json_value *e = first(in, "models"); e; e = e->next) {
		struct demo_row *r = &d->row[d->nr_rows];

		if (!(r->model = model(d, e)) || !json_text(e, "path"))
			continue;
		text(r->path, sizeof(r->path), e, "path");
		row(d, r, e);
		d->nr_rows++;
	}
	d->load = room(in, "by_load", sizeof(*d->load));
	for (const struct json_value *e = first(in, "by_load"); e;
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
	h->wanted = whole(e, "wanted");
	h->processes = whole(e, "processes");
	h->waiting = whole(e, "waiting");
	h->answered = whole(e, "answered");
	h->connect_ns = whole(e, "connect_ns");
	h->answer_ns = whole(e, "answer_ns");
	h->threads = whole(e, "threads");
	h->process_bytes = json_number(e, "process_bytes");
	h->kernel_bytes = json_number(e, "kernel_bytes");
	h->heap_bytes = json_number(e, "heap_bytes");
	h->stack_bytes = json_number(e, "stack_bytes");
	text(h->memory_reason, sizeof(h->memory_reason), e, "memory_reason");
	text(h->limit, sizeof(h->limit), e, "limit");
}

static void burst(struct demo_burst *b, const struct json_value *e)
{
	const struct json_value *phase = first(e, "phase_max_ns");

	outcome(&b->outcome, e);
	histogram(&b->latency, json_member(e, "latency_ns"));
	for (unsigned i = 0; phase && i < LOAD_PHASES;
	     i++, phase = phase->next) {
		b->phase[i].count = phase->type == JSON_NUMBER;
		b->phase[i].max_ns = count(phase->number);
	}
	b->errors = count(json_number(e, "errors"));
	b->unanswered = count(json_number(e, "unanswered"));
	b->bursts = count(json_number(e, "bursts"));
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
	m->nr_rounds = numbers(e, "answers_per_s", m->rate, DEMO_ROUNDS_MAX);
	histogram(&m->plain, json_member(e, "without_loop_ns"));
	histogram(&m->loop, json_member(e, "with_loop_ns"));
}

static void scale(struct demo_scale *m, const struct json_value *e)
{
	unsigned one = numbers(e, "one_cpu_rps", m->one, DEMO_ROUNDS_MAX);
	unsigned all = numbers(e, "all_cpus_rps", m->all, DEMO_ROUNDS_MAX);

	outcome(&m->outcome, e);
	m->others = json_number(e, "others_cpus");
	m->nr_rounds = one < all ? one : all;
}

static void unit(struct demo_unit *u, const struct json_value *e)
{
	outcome(&u->outcome, e);
	u->wanted = whole(e, "wanted");
	u->count = whole(e, "count");
	u->create_ns = json_number(e, "create_ns");
	u->process_bytes = json_number(e, "process_bytes");
	u->kernel_bytes = json_number(e, "kernel_bytes");
	u->heap_bytes = json_number(e, "heap_bytes");
	u->woken = json_number(e, "woken");
	u->threads = whole(e, "threads");
}

#define SECTION(d, in, array, field, nr, restore)                      \
	do {                                                           \
		(d)->field = room(in, array, sizeof(*(d)->field));     \
		for (const struct json_value *e = first(in, array); e; \
		     e = e->next) {                                    \
			(d)->field[(d)->nr].model = model(d, e);       \
			if (!(d)->field[(d)->nr].model)                \
				continue;                              \
			restore(&(d)->field[(d)->nr++], e);            \
		}                                                      \
	} while (0)

static void costs(struct demo_costs *c, const struct json_value *in)
{
	const struct json_value *n = json_member(in, "switch_counts");
	const struct json_value *t = json_member(in, "switch_ns");

	text(c->why_not, sizeof(c->why_not), n, "reason");
	c->has_switch_counts = !isnan(json_number(n, "user_switches"));
	c->user_switches = count(json_number(n, "user_switches"));
	c->kernel_switches = count(json_number(n, "kernel_switches"));
	c->syscalls = count(json_number(n, "syscalls"));
	c->counted_s = json_number(n, "seconds");
	for (const struct json_value *e = t ? t->child : NULL;
	     e && e->name && c->nr_times < DEMO_TIMES; e = e->next) {
		struct demo_times *to = &c->time[c->nr_times];

		snprintf(to->name, sizeof(to->name), "%s", e->name);
		to->n = numbers(t, e->name, to->ns, DEMO_ROUNDS_MAX);
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
	for (unsigned i = 0; i < UNIT_KINDS; i++)
		d->unit[i].outcome.status = DEMO_NOT_RUN;
	for (const struct json_value *e = first(in, "units"); e; e = e->next) {
		int kind = named(demo_unit_names, UNIT_KINDS,
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

#define TEXT(in, field) text(h->field, sizeof(h->field), in, #field)
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
	h->cpus = whole(e, "cpus");
	h->memory = whole(e, "memory");
	h->pid_max = whole(limits, "pid_max");
	h->threads_max = whole(limits, "threads_max");
	h->max_map_count = whole(limits, "max_map_count");
	h->somaxconn = whole(limits, "somaxconn");
	h->nofile = whole(limits, "nofile");
	h->language = calloc(nr_languages, sizeof(*h->language));
	if (!h->language)
		abort();
	for (unsigned i = 0; i < nr_languages; i++) {
		if (!languages[i].command)
			continue;
		text(h->language[i], HOST_TEXT, v, languages[i].command);
		h->languages |= (unsigned)(*h->language[i] != '\0') << i;
	}
}

static bool measured_models(struct demo_options *o,
			    const struct json_value *settings)
{
	o->model = room(settings, "models", sizeof(*o->model));
	for (const struct json_value *e = first(settings, "models"); e;
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
		if (m)
			o->model[o->nr_models++] = m;
	}
	return o->nr_models;
}

static void counts(struct demo_counts *c, const struct json_value *in,
		   const char *name)
{
	double n[DEMO_COUNTS_MAX];

	c->len = numbers(in, name, n, DEMO_COUNTS_MAX);
	sort_doubles(n, c->len);
	for (unsigned i = 0; i < c->len; i++)
		c->n[i] = llround(fmin(fmax(n[i], 1), 1e6));
}

static bool options(struct demo_options *o, const struct json_value *e)
{
	const char *backend = json_text(e, "backend");
	int mode = named(demo_mode_names, DEMO_FULL + 1, json_text(e, "mode"));

	if (mode < 0 || !measured_models(o, e))
		return false;
	o->mode = mode;
	for (const struct json_value *n = first(e, "only"); n; n = n->next)
		if (n->number >= 1 && n->number <= DEMO_CLAIMS)
			o->only |= 1u << (int)n->number;
	if (o->only == (2u << DEMO_CLAIMS) - 2)
		o->only = 0; /* all */
	counts(&o->connections, e, "connection_counts");
	counts(&o->waiting, e, "waiting");
	o->seconds = json_number(e, "seconds");
	o->rounds = whole(e, "rounds");
	o->wait_ms = whole(e, "wait_ms");
	o->redis_port = backend && !strcmp(backend, "redis") ? 6379 : 0;
	o->threads_end = whole(e, "threads_end");
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

	if (!options(&d->options, settings) || !source)
		return !fail("%s has no complete \"settings\": it was written "
			     "by an older urt, so measure again",
			     path);
	host(&d->host, json_member(in, "host"));
	d->counted = !strcmp(source, "bpf");
	text(d->why_no_bpf, sizeof(d->why_no_bpf),
	     json_member(in, "unavailable"), "per_request");
	d->server_cpu = whole(settings, "server_cpu");
	d->load_cpu = whole(settings, "load_cpu");
	d->others = json_number(in, "others_cpus");
	d->end_ns = whole(in, "wall_ns");
	d->interrupted = stopped && !strcmp(stopped, "yes");
	measurements(d, in);
	return true;
}
