// SPDX-License-Identifier: MIT
/* The options of `urt demo`, and their defaults in each mode. */
#define _GNU_SOURCE
#include "options.h"
#include "../lib/net.h"
#include "../lib/options.h"
#include "../lib/tool.h"
#include <stdlib.h>
#include <string.h>

/* ---- lists ---- */

static void add_model(struct demo_options *o, const struct model *m)
{
	o->model = realloc(o->model, (o->nr_models + 1) * sizeof(*o->model));
	if (!o->model)
		abort();
	o->model[o->nr_models++] = m;
}

static bool take_server(void *to, char *text)
{
	struct demo_options *o = to;
	struct model *m = model_of_command(text);

	if (!m)
		return false;
	o->server = realloc(o->server, (o->nr_servers + 1) * sizeof(m));
	if (!o->server)
		abort();
	o->server[o->nr_servers++] = m;
	return true;
}

static bool take_models(void *to, char *list)
{
	struct demo_options *o = to;
	char *save, *name;

	o->nr_models = 0;
	for (name = strtok_r(list, ",", &save); name;
	     name = strtok_r(NULL, ",", &save)) {
		const struct model *m = model_find(name);

		if (!m)
			return !fail("no such model: \"%s\"; there are %s",
				     name, model_names());
		add_model(o, m);
	}
	return o->nr_models || !fail("--models: name at least one");
}

static int ascending(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

static bool parse_counts(const char *name, char *list, struct demo_counts *c)
{
	char *save, *item;

	c->len = 0;
	for (item = strtok_r(list, ",", &save); item;
	     item = strtok_r(NULL, ",", &save)) {
		if (c->len == DEMO_COUNTS_MAX)
			return !fail("%s: at most %d", name, DEMO_COUNTS_MAX);
		if (!parse_number(name, item, 1, 1000000, &c->n[c->len++]))
			return false;
	}
	qsort(c->n, c->len, sizeof(c->n[0]), ascending);
	return c->len || !fail("%s: name at least one number", name);
}

static bool take_only(void *to, char *list)
{
	unsigned *only = &((struct demo_options *)to)->only;
	char *save, *item;
	long n;

	for (item = strtok_r(list, ",", &save); item;
	     item = strtok_r(NULL, ",", &save)) {
		if (!parse_number("--only", item, 1, DEMO_CLAIMS, &n))
			return false;
		*only |= 1u << n;
	}
	return *only || !fail("--only: name at least one claim");
}

static bool take_assert(void *to, char *text)
{
	struct demo_options *o = to;

	if (o->nr_asserts == DEMO_ASSERTS_MAX)
		return !fail("--assert: at most %d", DEMO_ASSERTS_MAX);
	o->assert[o->nr_asserts++] = text;
	return true;
}

static bool take_connections(void *to, char *list)
{
	struct demo_options *o = to;

	return parse_counts("--connections", list, &o->connections);
}

static bool take_waiting(void *to, char *list)
{
	struct demo_options *o = to;

	return parse_counts("--waiting", list, &o->waiting);
}

static bool take_backend(void *to, char *url)
{
	struct demo_options *o = to;

	o->redis_port = net_redis_port(url);
	return o->redis_port > 0;
}

/* ---- the modes ---- */

#define COUNTS(...)                                                   \
	{                                                             \
		{ __VA_ARGS__ }, ARRAY_LEN(((long[]){ __VA_ARGS__ })) \
	}

static const struct {
	struct demo_counts connections, waiting, come_and_go;
	double seconds;
	long rounds, bursts, sleepers, threads_end;
} modes[] = {
	[DEMO_QUICK] = { .connections = COUNTS(256),
			 .waiting = COUNTS(1000),
			 .seconds = 0.2,
			 .rounds = 1,
			 .bursts = 1,
			 .sleepers = 200000 },
	[DEMO_DEFAULT] = { .connections = COUNTS(16, 256),
			   .waiting = COUNTS(1000, 10000),
			   .come_and_go = COUNTS(10),
			   .seconds = 0.5,
			   .rounds = 3,
			   .bursts = 2,
			   .sleepers = 300000,
			   .threads_end = 40000 },
	[DEMO_FULL] = { .connections = COUNTS(16, 64, 256, 1000),
			.waiting = COUNTS(1000, 10000, 40000, 100000),
			.come_and_go = COUNTS(10, 1),
			.seconds = 1,
			.rounds = 5,
			.bursts = 10,
			.sleepers = 1000000 },
	[DEMO_BOUNDS] = { .connections = COUNTS(DEMO_LOADS_CONNS),
			  .waiting = COUNTS(10000),
			  .seconds = 1,
			  .rounds = 15,
			  .bursts = 105 }, /* 10^5 light requests, and some */
};

/* The claims that --bounds measures. */
#define BOUNDS_CLAIMS (1u << 3 | 1u << 6 | 1u << 8 | 1u << 10)

static bool takes_part(const struct demo_options *o, const struct model *m)
{
	if (o->mode == DEMO_BOUNDS)
		return m->role == ROLE_CALLBACKS || m->role == ROLE_RING_LOOP ||
		       m->role == ROLE_COROUTINES || m->role == ROLE_LENT;
	return o->mode == DEMO_FULL || !model_is(m, MODEL_EXTRA);
}

/* By mode. */
static const struct demo_loads loads[] = {
	[DEMO_QUICK] = { { 0, 1 }, 2, 1 },
	[DEMO_DEFAULT] = { { 0, 0.5, 1 }, 3, 1 },
	[DEMO_FULL] = { { 0, 0.1, 0.25, 0.5, 0.75, 0.9, 1 }, 7, 3 },
	[DEMO_BOUNDS] = { { 0, 0.1, 0.25, 0.5, 0.75, 0.9, 1 }, 7, 3 },
};

void demo_fill_in(struct demo_options *o)
{
	if (!o->nr_models)
		for (unsigned i = 0; i < nr_models; i++)
			if (takes_part(o, &models[i]))
				add_model(o, &models[i]);
	for (unsigned i = 0; i < o->nr_servers; i++)
		add_model(o, o->server[i]);
	if (o->mode == DEMO_BOUNDS && !o->only)
		o->only = BOUNDS_CLAIMS;
	if (!o->connections.len)
		o->connections = modes[o->mode].connections;
	if (!o->waiting.len) {
		o->waiting = modes[o->mode].waiting;
		o->threads_end = modes[o->mode].threads_end;
	}
	if (!o->seconds)
		o->seconds = modes[o->mode].seconds;
	if (!o->rounds)
		o->rounds = modes[o->mode].rounds;
	o->loads = &loads[o->mode];
	o->come_and_go = modes[o->mode].come_and_go;
	o->bursts = modes[o->mode].bursts;
	o->sleepers = modes[o->mode].sleepers;
}

#define TO(field) OPTION_TO(struct demo_options, field)

static void words(option_word *f, void *arg)
{
	for (unsigned i = 0; i < nr_models; i++)
		f(models[i].name, arg);
}

static void claim_words(option_word *f, void *arg)
{
	char number[16];

	for (int i = 1; i <= DEMO_CLAIMS; i++) {
		snprintf(number, sizeof(number), "%d", i);
		f(number, arg);
	}
}

static const struct option_row rows[] = {
	{ .name = "quick",
	  .kind = OPTION_SET,
	  TO(mode),
	  .min = DEMO_QUICK,
	  .text = "Take some 40 s: fewer connections, one round." },
	{ .name = "full",
	  .kind = OPTION_SET,
	  TO(mode),
	  .min = DEMO_FULL,
	  .text = "Measure everything with all models, and let up to 40,000 and 100,000 requests wait. Takes some 30 minutes; the default takes some 3." },
	{ .name = "bounds",
	  .kind = OPTION_SET,
	  TO(mode),
	  .min = DEMO_BOUNDS,
	  .text = "Measure whether the model coroutine keeps its bounds against uring-loop and epoll: 15 rounds, seven rates, 10^5 light requests during CPU bursts and as many without. Takes some 8 minutes." },
	{ .name = "only",
	  .argument = "LIST",
	  .kind = OPTION_TAKE,
	  .take = take_only,
	  .words = claim_words,
	  .text = "Measure only these claims, 1 to 10." },
	{ .letter = 'm',
	  .name = "models",
	  .argument = "LIST",
	  .kind = OPTION_TAKE,
	  .take = take_models,
	  .words = words,
	  .text = "Measure these models; default: all but those that `urt serve --list` calls extra; with --full, all." },
	{ .name = "server",
	  .argument = "NAME=CMD",
	  .kind = OPTION_TAKE,
	  .take = take_server,
	  .text = "Also measure the server that CMD starts. In CMD, {port} stands for its port, and {backend} for the port of the backend that its /wait calls. tools/README.md lists the requests that it must answer. May be repeated." },
	{ .letter = 'c',
	  .name = "connections",
	  .argument = "LIST",
	  .kind = OPTION_TAKE,
	  .take = take_connections,
	  .text = "Open N connections under load, for each N; default 16,256." },
	{ .name = "waiting",
	  .argument = "LIST",
	  .kind = OPTION_TAKE,
	  .take = take_waiting,
	  .text = "Let N requests wait at a time, for each N (claims 3, 4, 5); default 1000,10000, and 40000 for threads and coroutines." },
	{ .letter = 'd',
	  .name = "seconds",
	  .argument = "S",
	  .kind = OPTION_SECONDS,
	  TO(seconds),
	  .max = 3600,
	  .text = "Measure S seconds per round; default 0.5." },
	{ .name = "rounds",
	  .argument = "N",
	  .kind = OPTION_NUMBER,
	  TO(rounds),
	  .min = 1,
	  .max = DEMO_ROUNDS_MAX,
	  .text = "Run N interleaved rounds and print medians; default 3." },
	{ .letter = 'w',
	  .name = "wait",
	  .argument = "MS",
	  .kind = OPTION_NUMBER,
	  TO(wait_ms),
	  .max = HTTP_MAX_MS,
	  .text = "Make the backend answer /wait after MS milliseconds; default 10." },
	{ .name = "backend",
	  .argument = "URL",
	  .kind = OPTION_TAKE,
	  .take = take_backend,
	  .text = "Make GET /wait ask the Redis at redis://127.0.0.1:PORT, which urt starts if necessary." },
	{ .name = "assert",
	  .argument = "EXPR",
	  .kind = OPTION_TAKE,
	  .take = take_assert,
	  .text = "Exit with status 3 if EXPR does not hold, such as 1.entries_per_switch<0.001 or 3=holds. May be repeated." },
	{ .name = "report",
	  .argument = "DIR",
	  .kind = OPTION_TEXT,
	  TO(report),
	  .text = "Also write index.html, report.md and report.json to DIR." },
	{ .name = "compare",
	  .argument = "OLD.json",
	  .kind = OPTION_TEXT,
	  TO(compare),
	  .text = "Also print the changes since OLD.json, an earlier result of --json or --report: of the machine, the software, the verdicts, and each figure by its rounds. With --json, print them to stderr." },
	{ .name = "with",
	  .argument = "NEW.json",
	  .kind = OPTION_TEXT,
	  TO(with),
	  .text = "With --compare: measure nothing, and compare OLD.json with this result." },
	{ .name = "from",
	  .argument = "OLD.json",
	  .kind = OPTION_TEXT,
	  TO(from),
	  .text = "Measure nothing, and show OLD.json, an earlier result, again: as text, with --json as JSON, with --report as a report." },
	{ .name = "resume",
	  .argument = "FILE",
	  .kind = OPTION_TEXT,
	  TO(resume),
	  .text = "Keep the result so far in FILE. If FILE exists, measure only what it lacks. For long runs, which may be interrupted." },
	{ OPTION_JSON("urt.demo.v1"), TO(json) },
	{ OPTION_OUTPUT, TO(out), .text = "Write the result to FILE." },
};

const struct command command_demo = {
	.name = "demo",
	.run = cmd_demo,
	.what = "run the experiment: all models, one workload",
	.usage = "[OPTIONS]",
	.about =
		"Runs one HTTP service in several models of concurrency, measures the switches, system calls and operations of each, and prints which of ten claims hold.",
	OPTIONS(rows),
};

bool demo_parse(int argc, char **argv, struct demo_options *o)
{
	int first;

	*o = (struct demo_options){ .mode = DEMO_DEFAULT, .wait_ms = 10 };
	first = options_parse(&command_demo, argc, argv, o);
	if (first < 0)
		return false;
	if (first != argc)
		return !fail("demo: unexpected argument \"%s\"", argv[first]);
	if (o->with && !o->compare)
		return !fail("--with needs --compare OLD.json");
	if (o->from && (o->resume || o->with))
		return !fail("--from shows one result: leave out %s",
			     o->resume ? "--resume" : "--with");
	demo_fill_in(o);
	return true;
}
