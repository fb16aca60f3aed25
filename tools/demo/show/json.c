// SPDX-License-Identifier: MIT
/*
 * The result as one document, schema urt.demo.v1: fields are only ever added.
 * A figure that could not be measured is null, with its reason next to it.
 */
#include "json.h"
#include "../../lib/tool.h"
#include <math.h>
#include <string.h>

void json_string_or_null(struct json *j, const char *name, const char *s)
{
	json_string(j, name, *s ? s : NULL);
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
	for (unsigned i = 0; i < nr_languages; i++) {
		if (!languages[i].command)
			continue;
		/* "": in use, but not installed; null: not in use */
		json_string(j, languages[i].command,
			    h->languages >> i & 1 ? h->language[i] : NULL);
	}
	json_string_or_null(j, "redis", h->redis);
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

/* The models asked for, in their order; a user's server also has its
 * command. */
static void measured_models(struct json *j, const struct demo *d)
{
	const struct demo_options *o = &d->options;

	json_array(j, "models");
	for (unsigned i = 0; i < o->nr_models; i++) {
		json_object(j, NULL);
		json_string(j, "name", o->model[i]->name);
		if (o->model[i]->command)
			json_string(j, "command", o->model[i]->command);
		json_string(j, "settings", d->settings[i]);
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
	measured_models(j, d);
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
	json_string(j, "reason",
		    c->verdict == CLAIM_NOT_MEASURED ? c->reason : NULL);
	json_string_or_null(j, "headline", c->headline);
	json_string_or_null(j, "measured_text", c->measured);
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

static void bounds(struct json *j, const struct demo *d)
{
	json_array(j, "bounds");
	for (unsigned i = 0; demo_has_bounds(d) && i < BOUNDS; i++) {
		const struct demo_bound *b = &d->bound[i];

		json_object(j, NULL);
		json_string(j, "figure", b->name);
		json_string(j, "unit", b->unit);
		json_string(j, "is", b->at_least ? "at least" : "at most");
		json_double(j, "limit", b->limit);
		json_double(j, "value", b->value);
		json_double(j, "low", b->low);
		json_double(j, "high", b->high);
		json_int(j, "samples", b->samples);
		json_string(j, "verdict", demo_verdict_names[b->verdict]);
		json_end_object(j);
	}
	json_end_array(j);
}

void demo_print_json(FILE *f, const struct demo *d)
{
	struct json j = { .out = f, .exact = true };

	json_object(&j, NULL);
	json_string(&j, "schema", "urt.demo.v1");
	host(&j, &d->host);
	settings(&j, d);
	json_string(&j, "interrupted", d->interrupted ? "yes" : "no");
	json_double(&j, "others_cpus", d->others);
	json_int(&j, "wall_ns", d->end_ns - d->begin_ns);
	demo_json_measurements(&j, d);
	json_array(&j, "claims");
	for (int i = 0; i < DEMO_CLAIMS; i++)
		claim(&j, &d->claim[i]);
	json_end_array(&j);
	units_table(&j, d);
	choice(&j, d);
	bounds(&j, d);
	json_object(&j, "unavailable");
	if (!d->counted)
		json_string(&j, "per_request", d->why_no_bpf);
	json_end_object(&j);
	json_end_object(&j);
}
