// SPDX-License-Identifier: MIT
/*
 * The result as one document, schema urt.demo.v1: fields are only ever added.
 * A figure that could not be measured is null, with its reason next to it.
 */
#include "show.h"
#include "../../lib/tool.h"
#include <math.h>
#include <string.h>

static void string_or_null(struct json *j, const char *name, const char *s)
{
	if (*s)
		json_string(j, name, s);
	else
		json_null(j, name);
}

static void outcome(struct json *j, const struct demo_outcome *o)
{
	json_string(j, "status", demo_status_names[o->status]);
	if (demo_ok(o))
		json_null(j, "reason");
	else
		json_string(j, "reason",
			    o->status == DEMO_NOT_RUN ? "not run" : o->reason);
}

static void latency(struct json *j, const char *name, const struct histogram *h)
{
	json_object(j, name);
	json_int(j, "p50", histogram_percentile(h, 0.5));
	json_int(j, "p90", histogram_percentile(h, 0.9));
	json_int(j, "p99", histogram_percentile(h, 0.99));
	json_int(j, "p999", histogram_percentile(h, 0.999));
	json_int(j, "max", h->max);
	/* All of them: [upper end of the part, number in it]. */
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

static void host(struct json *j, const struct demo_host *h)
{
	json_object(j, "host");
	json_string(j, "kernel", h->kernel);
	json_string(j, "machine", h->machine);
	json_int(j, "cpus", h->cpus);
	json_string(j, "cpu_model", h->cpu_model);
	json_string(j, "hardware", h->hardware);
	json_int(j, "memory", h->memory);
	json_string(j, "mitigations", h->mitigations);
	json_string(j, "clocksource", h->clocksource);
	json_string(j, "time", h->time);
	json_object(j, "limits");
	json_int(j, "pid_max", h->pid_max);
	json_int(j, "threads_max", h->threads_max);
	json_int(j, "max_map_count", h->max_map_count);
	json_int(j, "somaxconn", h->somaxconn);
	json_int(j, "nofile", h->nofile);
	json_string(j, "cgroup_cpu", h->cgroup_cpu);
	json_string(j, "cgroup_memory", h->cgroup_memory);
	json_string(j, "cgroup_pids", h->cgroup_pids);
	json_end_object(j);
	json_object(j, "versions");
	json_string(j, "urt", URT_VERSION);
	json_string(j, "libc", h->libc);
	json_string(j, "compiler", h->compiler);
	for (unsigned i = 0; i < nr_languages; i++)
		if (languages[i].command)
			string_or_null(j, languages[i].command, h->language[i]);
	string_or_null(j, "redis", h->redis);
	json_end_object(j);
	json_end_object(j);
}

static void counts(struct json *j, const char *name,
		   const struct demo_counts *c)
{
	json_array(j, name);
	for (unsigned i = 0; i < c->len; i++)
		json_int(j, NULL, c->n[i]);
	json_end_array(j);
}

/* Those asked for, in their order; of a user's server its command, too. */
static void measured_models(struct json *j, const struct demo_options *o)
{
	json_array(j, "models");
	for (unsigned i = 0; i < o->nr_models; i++) {
		json_object(j, NULL);
		json_string(j, "name", o->model[i]->name);
		if (o->model[i]->command)
			json_string(j, "command", o->model[i]->command);
		json_end_object(j);
	}
	json_end_array(j);
}

static void settings(struct json *j, const struct demo *d)
{
	const struct demo_options *o = &d->options;

	json_object(j, "settings");
	json_string(j, "mode", demo_mode_names[o->mode]);
	json_int(j, "connections", o->connections.n[o->connections.len - 1]);
	counts(j, "connection_counts", &o->connections);
	counts(j, "waiting", &o->waiting);
	json_int(j, "threads_end", o->threads_end);
	json_double(j, "seconds", o->seconds);
	json_int(j, "rounds", o->rounds);
	json_int(j, "bursts", o->bursts);
	json_int(j, "wait_ms", o->wait_ms);
	json_int(j, "server_cpu", d->server_cpu);
	json_int(j, "load_cpu", d->load_cpu);
	json_string(j, "backend", o->redis_port ? "redis" : "built-in");
	json_string(j, "source", d->counted ? "bpf" : "proc");
	json_array(j, "only");
	for (int i = 1; i <= DEMO_CLAIMS; i++)
		if (demo_wants(d, i))
			json_int(j, NULL, i);
	json_end_array(j);
	measured_models(j, o);
	json_end_object(j);
}

/* ---- measurements ---- */

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
	if (r->per_connection)
		json_int(j, "requests_per_connection", r->per_connection);
	else
		json_null(j, "requests_per_connection");
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
		if (r->rate)
			json_double(j, "due_per_s", r->rate);
		else
			json_null(j, "due_per_s");
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
		string_or_null(j, "memory_reason", h->memory_reason);
		string_or_null(j, "limit", h->limit);
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
		json_array(j, "phase_max_ns");
		for (unsigned i = 0; i < LOAD_PHASES; i++) {
			if (b->phase[i].count)
				json_int(j, NULL, b->phase[i].max_ns);
			else
				json_null(j, NULL);
		}
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
		string_or_null(j, "reason", c->why_not);
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

static void claim(struct json *j, const struct demo_claim *c)
{
	json_object(j, NULL);
	json_int(j, "id", c->id);
	json_string(j, "text", c->text);
	json_object(j, "measured");
	for (unsigned i = 0; i < c->nr_figures; i++)
		json_double(j, c->figure[i].name, c->figure[i].value);
	json_end_object(j);
	json_string(j, "verdict", demo_verdict_names[c->verdict]);
	if (c->verdict == CLAIM_NOT_MEASURED)
		json_string(j, "reason", c->reason);
	else
		json_null(j, "reason");
	string_or_null(j, "headline", c->headline);
	string_or_null(j, "measured_text", c->measured);
	json_end_object(j);
}

static void units_table(struct json *j, const struct demo *d)
{
	json_array(j, "unit_of_scheduling");
	for (unsigned row = 0; row < TABLE_ROWS; row++) {
		json_object(j, NULL);
		json_string(j, "row", d->table[row].name);
		for (unsigned i = 0; i < d->options.nr_models; i++) {
			json_string(j, d->options.model[i]->name,
				    d->table[row].cell[i]);
		}
		json_end_object(j);
	}
	json_end_array(j);
}

static void choice(struct json *j, const struct demo *d)
{
	const struct demo_choice *c = &d->choice;

	json_array(j, "node_or_go");
	for (unsigned i = 0; c->measured && i < CHOICE_ROWS; i++) {
		json_object(j, NULL);
		json_string(j, "figure", c->row[i].name);
		json_string(j, "better",
			    c->row[i].more_is_better ? "more" : "less");
		for (unsigned m = 0; m < CHOICE_MODELS; m++)
			json_double(j, c->model[m]->name, c->row[i].value[m]);
		json_end_object(j);
	}
	json_end_array(j);
}

static void measurements(struct json *j, const struct demo *d)
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
	json_array(j, "units");
	for (unsigned i = 0; i < UNIT_KINDS; i++)
		unit(j, demo_unit_names[i], &d->unit[i]);
	json_end_array(j);
	switches(j, &d->costs);
}

void demo_print_json(FILE *f, const struct demo *d)
{
	struct json j = { .out = f };

	json_object(&j, NULL);
	json_string(&j, "schema", "urt.demo.v1");
	host(&j, &d->host);
	settings(&j, d);
	json_string(&j, "interrupted", d->interrupted ? "yes" : "no");
	json_double(&j, "others_cpus", d->others);
	json_int(&j, "wall_ns", d->end_ns - d->begin_ns);
	measurements(&j, d);
	json_array(&j, "claims");
	for (int i = 0; i < DEMO_CLAIMS; i++)
		claim(&j, &d->claim[i]);
	json_end_array(&j);
	units_table(&j, d);
	choice(&j, d);
	json_object(&j, "unavailable");
	if (!d->counted)
		json_string(&j, "per_request", d->why_no_bpf);
	json_end_object(&j);
	json_end_object(&j);
}
