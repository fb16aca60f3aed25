// SPDX-License-Identifier: MIT
/* The result of `urt sim`: text, with the command that repeats the failed run, or
 * JSON. */
#define _GNU_SOURCE
#include "sim.h"
#include <string.h>

/* Prints a word of a command, quoted for a shell. */
static void print_word(FILE *f, const char *s)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789%+,-./:=@_";

	if (*s && !s[strspn(s, plain)]) {
		fprintf(f, " %s", s);
		return;
	}
	fputs(" '", f);
	for (; *s; s++)
		if (*s == '\'')
			fputs("'\\''", f);
		else
			fputc(*s, f);
	fputc('\'', f);
}

static void print_repeat(FILE *f, const struct sim_options *o,
			 const struct sim_case *c, bool late)
{
	fprintf(f, "urt sim --seeds %llu", (unsigned long long)c->seed);
	if (o->faults)
		fprintf(f, " --faults %s", o->faults);
	if (o->workers)
		fprintf(f, " --workers %ld", o->workers);
	if (c->switches >= 0)
		fprintf(f, " --switches %ld", c->switches);
	if (c->most_faults >= 0)
		fprintf(f, " --most-faults %ld", c->most_faults);
	if (late)
		fprintf(f, " --timeout %g", o->timeout_s);
	fputs(" --", f);
	for (char **a = o->command; *a; a++)
		print_word(f, *a);
}

/* Prints the reasons why the result is weaker than it looks. */
static void print_limits(FILE *f, const struct sim_sweep *s)
{
	const char *p = s->not_simulated;

	if (s->done && !s->rings)
		fputs(" The program began no run of the runtime.\n", f);
	if (*p)
		fputs(" Not simulated, so that a seed may give another run: ",
		      f);
	for (; *p; p = sim_next_name(p))
		fprintf(f, "%.*s%s", (int)strcspn(p, "\n"), p,
			*sim_next_name(p) ? ", " : "\n");
}

static void print_text(FILE *f, const struct sim_sweep *s)
{
	double real_s = (now_ns() - s->begin_ns) / 1e9;
	const struct sim_run *r = &s->failure;
	char how[64];

	fprintf(f, "\n %llu seeds from %llu on in %.1f s, %.3f s simulated",
		(unsigned long long)s->done,
		(unsigned long long)s->o->seeds.first, real_s,
		s->simulated_ns / 1e9);
	if (!s->failed) {
		fprintf(f, ": none failed\n");
		print_limits(f, s);
		fputc('\n', f);
		return;
	}
	fprintf(f,
		"\n seed %llu failed: %s, after %.3f s simulated, %ld switches "
		"between threads\n and %ld faults. To repeat it:\n\n    ",
		(unsigned long long)r->what.seed, sim_run_how(r, how),
		r->simulated_ns / 1e9, r->switches, r->faults);
	print_repeat(f, s->o, &r->what, r->late && !r->hung);
	fputs("\n\n", f);
	print_limits(f, s);
}

static void print_json(FILE *f, const struct sim_sweep *s)
{
	const struct sim_run *r = &s->failure;
	struct json j = { .out = f };
	char setting[SIM_SETTING_MAX], how[64];

	json_object(&j, NULL);
	json_string(&j, "schema", "urt.sim.v1");
	json_array(&j, "command");
	for (char **a = s->o->command; *a; a++)
		json_string(&j, NULL, *a);
	json_end_array(&j);
	json_int(&j, "first_seed", s->o->seeds.first);
	json_int(&j, "seeds", s->done);
	json_int(&j, "wall_ns", now_ns() - s->begin_ns);
	json_int(&j, "simulated_ns", s->simulated_ns);
	json_array(&j, "not_simulated");
	for (const char *p = s->not_simulated; *p; p = sim_next_name(p)) {
		char name[128];

		snprintf(name, sizeof(name), "%.*s", (int)strcspn(p, "\n"), p);
		json_string(&j, NULL, name);
	}
	json_end_array(&j);
	if (s->failed) {
		sim_setting(s->o, &r->what, setting, sizeof(setting));
		json_object(&j, "failed");
		json_int(&j, "seed", r->what.seed);
		json_string(&j, "how", sim_run_how(r, how));
		json_int(&j, "switches", r->switches);
		json_int(&j, "faults", r->faults);
		json_int(&j, "simulated_ns", r->simulated_ns);
		json_string(&j, "setting", setting);
		json_end_object(&j);
	} else {
		json_null(&j, "failed");
	}
	json_end_object(&j);
}

void sim_print(FILE *f, const struct sim_sweep *s)
{
	if (s->o->json)
		print_json(f, s);
	else
		print_text(f, s);
}
