// SPDX-License-Identifier: MIT
/* The options of `urt demo`, and what each mode means where none is given. */
#define _GNU_SOURCE
#include "options.h"
#include "../lib/net.h"
#include "../lib/tool.h"
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char usage_text[] =
	"usage: urt demo [OPTIONS]\n"
	"\n"
	"Runs one HTTP service in several models of concurrency, measures what\n"
	"each asks of the kernel, and prints what that says of ten claims.\n"
	"\n"
	"      --quick            under 30 s: fewer connections, one round\n"
	"      --full             everything, up to 40,000 and 100,000 requests that\n"
	"                         wait; some ten minutes (default: under 2 min)\n"
	"      --only LIST        of claims, 1 to 10\n"
	"  -m, --models LIST      default: all that `urt serve --list` prints\n"
	"  -c, --connections LIST under load; default 16,256\n"
	"      --waiting LIST     requests that wait at a time (claims 3, 4, 5);\n"
	"                         default 1000,10000\n"
	"  -d, --seconds S        measured per round; default 0.5\n"
	"      --rounds N         interleaved; medians are printed; default 3\n"
	"  -w, --wait MS          what the backend takes in /wait; default 10\n"
	"      --backend redis://127.0.0.1:PORT\n"
	"                         GET /wait asks Redis (started if need be)\n"
	"      --assert EXPR      such as 1.entries_per_switch<0.001 or 3=holds:\n"
	"                         exit code 3 if it is not so; may be repeated\n"
	"      --report DIR       also index.html, report.md, report.json there\n"
	"      --json             one JSON document (schema urt.demo.v1)\n"
	"  -o, --output FILE      the result goes there\n";

/* ---- lists ---- */

static void add_model(struct demo_options *o, const struct model *m)
{
	o->model = realloc(o->model, (o->nr_models + 1) * sizeof(*o->model));
	if (!o->model)
		abort();
	o->model[o->nr_models++] = m;
}

static bool parse_models(struct demo_options *o, char *list)
{
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

static bool parse_only(char *list, unsigned *only)
{
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

static bool parse_seconds(const char *text, double *seconds)
{
	char *end;

	errno = 0;
	*seconds = strtod(text, &end);
	if (!errno && end != text && !*end && *seconds >= 0.05 &&
	    *seconds <= 3600)
		return true;
	return !fail("--seconds: \"%s\" is not a number from 0.05 to 3600",
		     text);
}

static bool add_assert(struct demo_options *o, const char *text)
{
	if (o->nr_asserts == DEMO_ASSERTS_MAX)
		return !fail("--assert: at most %d", DEMO_ASSERTS_MAX);
	o->assert[o->nr_asserts++] = text;
	return true;
}

/* ---- what the modes mean ---- */

static const struct {
	struct demo_counts connections, waiting;
	double seconds;
	long rounds, bursts, sleepers;
} modes[] = {
	[DEMO_QUICK] = { { { 256 }, 1 }, { { 1000 }, 1 }, 0.2, 1, 1, 200000 },
	[DEMO_DEFAULT] = { { { 16, 256 }, 2 },
			   { { 1000, 10000 }, 2 },
			   0.5,
			   3,
			   2,
			   1000000 },
	[DEMO_FULL] = { { { 16, 64, 256, 1000 }, 4 },
			{ { 1000, 10000, 40000, 100000 }, 4 },
			1,
			5,
			10,
			1000000 },
};

/* By mode. The full load is measured first: the others are shares of it. */
static const struct demo_loads loads[] = {
	[DEMO_QUICK] = { { 0, 1 }, 2, 1 },
	[DEMO_DEFAULT] = { { 0, 0.5, 1 }, 3, 1 },
	[DEMO_FULL] = { { 0, 0.1, 0.25, 0.5, 0.75, 0.9, 1 }, 7, 3 },
};

static void fill_in(struct demo_options *o)
{
	if (!o->nr_models)
		for (unsigned i = 0; i < nr_models; i++)
			add_model(o, &models[i]);
	if (!o->connections.len)
		o->connections = modes[o->mode].connections;
	if (!o->waiting.len)
		o->waiting = modes[o->mode].waiting;
	if (!o->seconds)
		o->seconds = modes[o->mode].seconds;
	if (!o->rounds)
		o->rounds = modes[o->mode].rounds;
	o->loads = &loads[o->mode];
	o->bursts = modes[o->mode].bursts;
	o->sleepers = modes[o->mode].sleepers;
}

enum {
	OPT_QUICK = 256,
	OPT_FULL,
	OPT_ONLY,
	OPT_WAITING,
	OPT_ROUNDS,
	OPT_ASSERT,
	OPT_BACKEND,
	OPT_REPORT,
	OPT_JSON
};

static bool take(struct demo_options *o, int opt)
{
	switch (opt) {
	case OPT_QUICK:
		o->mode = DEMO_QUICK;
		return true;
	case OPT_FULL:
		o->mode = DEMO_FULL;
		return true;
	case OPT_ONLY:
		return parse_only(optarg, &o->only);
	case OPT_WAITING:
		return parse_counts("--waiting", optarg, &o->waiting);
	case OPT_ROUNDS:
		return parse_number("--rounds", optarg, 1, DEMO_ROUNDS_MAX,
				    &o->rounds);
	case OPT_BACKEND:
		o->redis_port = net_redis_port(optarg);
		return o->redis_port > 0 || !fail("--backend: \"%s\" is not "
						  "redis://127.0.0.1:PORT",
						  optarg);
	case OPT_ASSERT:
		return add_assert(o, optarg);
	case OPT_REPORT:
		o->report = optarg;
		return true;
	case OPT_JSON:
		o->json = true;
		return true;
	case 'm':
		return parse_models(o, optarg);
	case 'c':
		return parse_counts("--connections", optarg, &o->connections);
	case 'd':
		return parse_seconds(optarg, &o->seconds);
	case 'w':
		return parse_number("--wait", optarg, 0, HTTP_MAX_MS,
				    &o->wait_ms);
	case 'o':
		o->out = optarg;
		return true;
	}
	return !fail("`urt demo --help` lists the options");
}

bool demo_parse(int argc, char **argv, struct demo_options *o)
{
	static const struct option longs[] = {
		{ "quick", no_argument, NULL, OPT_QUICK },
		{ "full", no_argument, NULL, OPT_FULL },
		{ "only", required_argument, NULL, OPT_ONLY },
		{ "models", required_argument, NULL, 'm' },
		{ "connections", required_argument, NULL, 'c' },
		{ "waiting", required_argument, NULL, OPT_WAITING },
		{ "seconds", required_argument, NULL, 'd' },
		{ "rounds", required_argument, NULL, OPT_ROUNDS },
		{ "wait", required_argument, NULL, 'w' },
		{ "backend", required_argument, NULL, OPT_BACKEND },
		{ "assert", required_argument, NULL, OPT_ASSERT },
		{ "report", required_argument, NULL, OPT_REPORT },
		{ "json", no_argument, NULL, OPT_JSON },
		{ "output", required_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	bool ok = true;
	int opt;

	*o = (struct demo_options){ .mode = DEMO_DEFAULT, .wait_ms = 10 };
	while (ok && (opt = getopt_long(argc, argv, "m:c:d:w:o:h", longs,
					NULL)) != -1) {
		if (opt == 'h') {
			fputs(usage_text, stdout);
			exit(0);
		}
		ok = take(o, opt);
	}
	if (ok && optind != argc)
		ok = !fail("demo: \"%s\" is too much (`urt demo --help`)",
			   argv[optind]);
	fill_in(o);
	return ok;
}
