// SPDX-License-Identifier: MIT
/*
 * The measurements as JSON, with each raw sample. Numbers have all their
 * digits, so that reading them gives the same values.
 */
#include "json.h"
#include <math.h>

static void outcome(struct json *j, const struct demo_outcome *o)
{
	json_string(j, "status", demo_status_names[o->status]);
	json_string(j, "reason",
		    demo_ok(o)			? NULL
		    : o->status == DEMO_NOT_RUN ? "not run"
						: o->reason);
}

static void latency(struct json *j, const char *name, const struct histogram *h)
{
	json_object(j, name);
	json_int(j, "p50", histogram_percentile(h, 0.5));
	json_int(j, "p90", histogram_percentile(h, 0.9));
	json_int(j, "p99", histogram_percentile(h, 0.99));
	json_int(j, "p999", histogram_percentile(h, 0.999));
	json_int(j, "max", h->max);
	/* All latencies: [upper end of the part, number in it]. */
	json_array(j, "histogram");
	for (unsigned i = 0; i < ARRAY_LEN(h->part); i++) {
		if (!h->part[i])
			continue;
		json_array(j, NULL);
		json_int(j, NULL, histogram_upper(i));
		json_int(j, NULL, h->part[i]);
		json_end_array(j);
	}
	json_end_array(j);
	json_end_object(j);
}

static void per_request(struct json *j, const struct demo_row *r)
{
	struct demo_per_request p = demo_per_request(r);

	json_object(j, "per_request");
	json_double(j, "switches", p.switches);
	json_double(j, "voluntary", p.voluntary);
	json_double(j, "involuntary", p.involuntary);
	json_double(j, "syscalls", p.syscalls);
	json_double(j, "uring_ops", p.uring_ops);
	json_double(j, "user_switches", p.user_switches);
	json_string(j, "user_switches_are", demo_user_switches(r));
	json_double(j, "cpu_ns", p.cpu_ns);
	json_end_object(j);
}

static void rounds(struct json *j, const struct demo_row *r)
{
	json_array(j, "rounds");
	for (unsigned i = 0; i < r->nr_rounds; i++) {
		json_object(j, NULL);
		json_double(j, "rps", r->round[i].rps);
		json_double(j, "p50_ns", r->round[i].p50_ns);
		json_double(j, "p99_ns", r->round[i].p99_ns);
		json_double(j, "cpu_ns", r->round[i].cpu_ns);
		json_double(j, "load_cpu", r->round[i].load_cpu);
		json_double(j, "switches", r->round[i].switches);
		json_double(j, "syscalls", r->round[i].syscalls);
		json_double(j, "uring_ops", r->round[i].uring_ops);
		json_double(j, "user_switches", r->round[i].user_switches);
		json_end_object(j);
	}
	json_end_array(j);
}

static void row(struct json *j, const struct demo *d, const struct demo_row *r)
{
	const struct demo_hold *h = demo_hold(d, r->model, 0);

	json_object(j, NULL);
	json_string(j, "model", r->model->name);
	json_string(j, "unit", r->model->unit);
	json_string(j, "waits_in", r->model->waits_in);
	json_string(j, "path", r->path);
	json_int(j, "connections", r->connections);
	json_int_or_null(j, "requests_per_connection", r->per_connection,
			 r->per_connection);
	outcome(j, &r->outcome);
	if (demo_ok(&r->outcome)) {
		json_int(j, "requests", r->requests);
		json_int(j, "errors", r->errors);
		json_double(j, "seconds", r->seconds);
		json_double(j, "rps", ROW_MEDIAN(r, rps));
		json_double(j, "rps_spread", ROW_SPREAD(r, rps));
		latency(j, "latency_ns", &r->latency);
		per_request(j, r);
		json_int(j, "threads", r->threads);
		json_int(j, "rss", r->rss);
		json_double(j, "memory_per_connection",
			    h ? h->process_bytes / h->waiting : NAN);
		json_double(j, "load_cpu", ROW_MEDIAN(r, load_cpu));
		json_int(j, "lost", r->counts.lost);
		rounds(j, r);
	}
	json_end_object(j);
}

static void load(struct json *j, const struct demo_row *r)
{
	json_object(j, NULL);
	json_string(j, "model", r->model->name);
	json_double(j, "share", r->share);
	json_int(j, "connections", r->connections);
	outcome(j, &r->outcome);
	if (demo_ok(&r->outcome)) {
		json_double(j, "due_per_s", r->rate ? r->rate : NAN);
		json_double(j, "rps", ROW_MEDIAN(r, rps));
		json_int(j, "requests", r->requests);
		json_int(j, "errors", r->errors);
		json_int(j, "unanswered", r->unanswered);
		json_double(j, "seconds", r->seconds);
		json_int(j, "threads", r->threads);
		latency(j, "latency_ns", &r->latency);
		per_request(j, r);
		rounds(j, r);
	}
	json_end_object(j);
}

static void numbers(struct json *j, const char *name, const double *v,
		    unsigned n)
{
	json_array(j, name);
	for (unsigned i = 0; i < n; i++)
		json_double(j, NULL, v[i]);
	json_end_array(j);
}

static void second(struct json *j, const struct demo_second *m)
{
	char b[80];

	json_object(j, NULL);
	json_string(j, "model", m->model->name);
	json_int(j, "connections", m->connections);
	outcome(j, &m->outcome);
	if (demo_ok(&m->outcome)) {
		numbers(j, "load_rps", m->load.rps, m->nr_rounds);
		numbers(j, "wrk_rps", m->wrk.rps, m->nr_rounds);
		numbers(j, "load_server_cpu_ns", m->load.server_cpu_ns,
			m->nr_rounds);
		numbers(j, "wrk_server_cpu_ns", m->wrk.server_cpu_ns,
			m->nr_rounds);
		numbers(j, "load_cpu", m->load.cpu, m->nr_rounds);
		numbers(j, "wrk_cpu", m->wrk.cpu, m->nr_rounds);
		json_string(j, "verdict", demo_second_verdict(m, b));
	}
	json_end_object(j);
}

static void hold(struct json *j, const struct demo_hold *h)
{
	json_object(j, NULL);
	json_string(j, "model", h->model->name);
	json_int(j, "wanted", h->wanted);
	outcome(j, &h->outcome);
	if (demo_ok(&h->outcome)) {
		json_int(j, "processes", h->processes);
		json_int(j, "waiting", h->waiting);
		json_int(j, "answered", h->answered);
		json_int(j, "connect_ns", h->connect_ns);
		json_int(j, "answer_ns", h->answer_ns);
		json_int(j, "threads", h->threads);
		json_double(j, "process_bytes", h->process_bytes);
		json_double(j, "kernel_bytes", h->kernel_bytes);
		json_double(j, "heap_bytes", h->heap_bytes);
		json_double(j, "stack_bytes", h->stack_bytes);
		json_string_or_null(j, "memory_reason", h->memory_reason);
		json_string_or_null(j, "limit", h->limit);
	}
	json_end_object(j);
}

static void burst(struct json *j, const struct demo_burst *b)
{
	json_object(j, NULL);
	json_string(j, "model", b->model->name);
	outcome(j, &b->outcome);
	if (demo_ok(&b->outcome)) {
		json_int(j, "requests", b->latency.count);
		json_int(j, "errors", b->errors);
		json_int(j, "unanswered", b->unanswered);
		json_int(j, "bursts", b->bursts);
		json_double(j, "burst_ns", b->burst_ns);
		json_double(j, "load_cpu", b->load_cpu);
		latency(j, "latency_ns", &b->latency);
		if (b->without.count)
			latency(j, "without_bursts_ns", &b->without);
		json_array(j, "phase_max_ns");
		for (unsigned i = 0; i < LOAD_PHASES; i++)
			json_int_or_null(j, NULL, b->phase[i].max_ns,
					 b->phase[i].count);
		json_end_array(j);
	}
	json_end_object(j);
}

static void stall(struct json *j, const struct demo_stall *m)
{
	json_object(j, NULL);
	json_string(j, "model", m->model->name);
	json_string(j, "case", stall_cases[m->nth].name);
	outcome(j, &m->outcome);
	if (demo_ok(&m->outcome)) {
		numbers(j, "answers_per_s", m->rate, m->nr_rounds);
		latency(j, "without_loop_ns", &m->plain);
		latency(j, "with_loop_ns", &m->loop);
	}
	json_end_object(j);
}

static void scale(struct json *j, const struct demo_scale *m)
{
	json_object(j, NULL);
	json_string(j, "model", m->model->name);
	outcome(j, &m->outcome);
	json_double(j, "speedup", demo_speedup(m));
	json_double(j, "others_cpus", m->others);
	numbers(j, "one_cpu_rps", m->one, m->nr_rounds);
	numbers(j, "all_cpus_rps", m->all, m->nr_rounds);
	json_end_object(j);
}

static void timeline(struct json *j, const struct demo_timeline *t)
{
	json_object(j, NULL);
	json_string(j, "model", t->model->name);
	outcome(j, &t->outcome);
	json_double(j, "ns", t->ns);
	json_array(j, "lanes");
	for (unsigned i = 0; i < t->nr_lanes; i++) {
		json_object(j, NULL);
		json_string(j, "name", t->lane[i].name);
		json_string(j, "kind",
			    t->lane[i].coroutine ? "coroutine" : "thread");
		json_end_object(j);
	}
	json_end_array(j);
	json_array(j, "slices");
	for (unsigned i = 0; i < t->nr_slices; i++) {
		const struct demo_slice *s = &t->slice[i];

		json_object(j, NULL);
		json_int(j, "lane", s->lane);
		json_string(j, "state", s->runs ? "runs" : "waits");
		json_string(j, "what", s->what);
		json_double(j, "at_ns", s->at_ns);
		json_double(j, "ns", s->ns);
		json_end_object(j);
	}
	json_end_array(j);
	json_end_object(j);
}

static void unit(struct json *j, const char *name, const struct demo_unit *u)
{
	json_object(j, NULL);
	json_string(j, "unit", name);
	outcome(j, &u->outcome);
	if (demo_ok(&u->outcome)) {
		json_int(j, "wanted", u->wanted);
		json_int(j, "count", u->count);
		json_double(j, "create_ns", u->create_ns);
		json_double(j, "process_bytes", u->process_bytes);
		json_double(j, "kernel_bytes", u->kernel_bytes);
		json_double(j, "heap_bytes", u->heap_bytes);
		json_double(j, "woken", u->woken);
		json_int(j, "threads", u->threads);
	}
	json_end_object(j);
}

static void switches(struct json *j, const struct demo_costs *c)
{
	json_object(j, "switch_counts");
	if (c->has_switch_counts) {
		json_int(j, "user_switches", c->user_switches);
		json_int(j, "kernel_switches", c->kernel_switches);
		json_int(j, "syscalls", c->syscalls);
		json_double(j, "seconds", c->counted_s);
	} else {
		json_string_or_null(j, "reason", c->why_not);
	}
	json_end_object(j);
	json_object(j, "switch_ns");
	for (unsigned i = 0; i < c->nr_times; i++) {
		json_array(j, c->time[i].name);
		for (unsigned round = 0; round < c->time[i].n; round++)
			json_double(j, NULL, c->time[i].ns[round]);
		json_end_array(j);
	}
	json_end_object(j);
}

void demo_json_measurements(struct json *j, const struct demo *d)
{
	json_array(j, "models");
	for (unsigned i = 0; i < d->nr_rows; i++)
		row(j, d, &d->row[i]);
	json_end_array(j);
	json_array(j, "by_load");
	for (unsigned i = 0; i < d->nr_loads; i++)
		load(j, &d->load[i]);
	json_end_array(j);
	json_array(j, "second_generator");
	for (unsigned i = 0; i < d->nr_seconds; i++)
		second(j, &d->second[i]);
	json_end_array(j);
	json_array(j, "waiting");
	for (unsigned i = 0; i < d->nr_holds; i++)
		hold(j, &d->hold[i]);
	json_end_array(j);
	json_array(j, "bursts");
	for (unsigned i = 0; i < d->nr_bursts; i++)
		burst(j, &d->burst[i]);
	json_end_array(j);
	json_array(j, "stalls");
	for (unsigned i = 0; i < d->nr_stalls; i++)
		stall(j, &d->stall[i]);
	json_end_array(j);
	json_array(j, "scaling");
	for (unsigned i = 0; i < d->nr_scales; i++)
		scale(j, &d->scale[i]);
	json_end_array(j);
	json_array(j, "timelines");
	for (unsigned i = 0; i < d->nr_timelines; i++)
		timeline(j, &d->timeline[i]);
	json_end_array(j);
	json_array(j, "units");
	for (unsigned i = 0; i < UNIT_KINDS; i++)
		unit(j, demo_unit_names[i], &d->unit[i]);
	json_end_array(j);
	switches(j, &d->costs);
}
