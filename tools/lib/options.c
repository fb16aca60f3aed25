// SPDX-License-Identifier: MIT
/* Reading options by a command's table; see options.h. */
#include "options.h"
#include "output.h"
#include "tool.h"
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LONG_BASE 256 /* getopt's value of row i is LONG_BASE + i */

static bool takes_number(const struct option_row *o, const char *arg, long *n)
{
	char name[64];

	snprintf(name, sizeof(name), "--%s", o->name);
	return parse_number(name, arg, o->min, o->max ? o->max : LONG_MAX, n);
}

/* A time in seconds. Without a unit, the number is one of the row's kind. */
static bool take_time(const struct option_row *o, const char *arg, double *s)
{
	bool ms = o->kind == OPTION_MS;
	double plain = ms ? 1e-3 : 1, least = ms ? o->min : 0.01;
	long most = o->max ? o->max : INT64_MAX / NS_PER_MS;
	const struct {
		const char *name;
		double seconds;
	} units[] = { { "", plain }, { "ms", 1e-3 }, { "s", 1 }, { "m", 60 } };
	char *end;
	double n = strtod(arg, &end);

	*s = NAN;
	for (unsigned i = 0; end > arg && i < ARRAY_LEN(units); i++)
		if (!strcmp(end, units[i].name))
			*s = n * units[i].seconds;
	return (*s >= least * plain && *s <= most * plain) ||
	       !fail("--%s: \"%s\" is not a time from %g to %ld %s, such as "
		     "%s, 10s, 500ms or 2m",
		     o->name, arg, least, most, ms ? "milliseconds" : "seconds",
		     ms ? "500" : "10");
}

static bool take_choice(const struct option_row *o, const char *arg, int *to)
{
	char all[256] = "";

	for (int i = 0; o->choices[i]; i++) {
		if (!strcmp(arg, o->choices[i])) {
			*to = i;
			return true;
		}
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s",
			 i ? ", " : "", o->choices[i]);
	}
	return !fail("--%s: unknown value \"%s\": expected one of %s", o->name,
		     arg, all);
}

static bool instead(const struct command *c, const struct option_row *o)
{
	char name[64];

	if (o->name)
		snprintf(name, sizeof(name), "--%s", o->name);
	else
		snprintf(name, sizeof(name), "-%c", o->letter);
	return !fail("%s: there is no %s: %s", c->name, name, o->text);
}

static bool take(const struct command *c, const struct option_row *o,
		 char *base, char *arg)
{
	char *to = base + o->to;
	double s;

	switch (o->kind) {
	case OPTION_FLAG:
		*(bool *)to = true;
		return true;
	case OPTION_SET:
		*(int *)to = o->min;
		return true;
	case OPTION_NUMBER:
		return takes_number(o, arg, (long *)to);
	case OPTION_MS:
		if (!take_time(o, arg, &s))
			return false;
		*(int64_t *)to = llround(s * NS_PER_S);
		return true;
	case OPTION_SECONDS:
		return take_time(o, arg, (double *)to);
	case OPTION_TEXT:
		*(const char **)to = arg;
		return true;
	case OPTION_CHOICE:
		return take_choice(o, arg, (int *)to);
	case OPTION_TAKE:
		return o->take(base, arg);
	case OPTION_ANYWAY:
		return true;
	case OPTION_INSTEAD:
		return instead(c, o);
	case OPTION_SPACE:
		break;
	}
	return false;
}

/* The option that the user probably meant, if one is similar. */
static int unknown(const struct command *c, const char *word)
{
	const struct option_row *nearest = NULL;
	char name[64];
	unsigned least = 3, distance;

	snprintf(name, sizeof(name), "%s", word + strspn(word, "-"));
	name[strcspn(name, "=")] = '\0';
	for (unsigned i = 0; strlen(name) > 1 && i < c->nr_options; i++) {
		if (!c->options[i].name || c->options[i].kind == OPTION_INSTEAD)
			continue;
		distance = edit_distance(name, c->options[i].name);
		if (distance < least) {
			least = distance;
			nearest = &c->options[i];
		}
	}
	if (nearest)
		fail("%s: unknown option \"%s\": did you mean --%s?", c->name,
		     word, nearest->name);
	else
		fail("%s: unknown option \"%s\": `urt %s --help` lists the "
		     "options",
		     c->name, word, c->name);
	return -1;
}

static const struct option_row *row_of(const struct command *c, int opt)
{
	if (opt >= LONG_BASE)
		return &c->options[opt - LONG_BASE];
	for (unsigned i = 0; i < c->nr_options; i++)
		if (c->options[i].letter == opt)
			return &c->options[i];
	return NULL;
}

static void for_getopt(const struct command *c, char *letters,
		       struct option *longs)
{
	if (c->runs_command)
		*letters++ = '+';
	*letters++ = ':';
	*letters++ = 'h';
	for (unsigned i = 0; i < c->nr_options; i++) {
		const struct option_row *o = &c->options[i];

		if (o->letter)
			*letters++ = o->letter;
		if (o->letter && o->argument)
			*letters++ = ':';
		if (o->name)
			*longs++ =
				(struct option){ o->name, o->argument != NULL,
						 NULL, LONG_BASE + (int)i };
	}
	*letters = '\0';
	*longs++ = (struct option){ "help", no_argument, NULL, 'h' };
	*longs = (struct option){ 0 };
}

int options_parse(const struct command *c, int argc, char **argv, void *to)
{
	char letters[2 * OPTIONS_MAX + 4];
	struct option longs[OPTIONS_MAX + 2];
	const struct option_row *o;
	int opt;

	if (c->nr_options > OPTIONS_MAX)
		abort();
	for_getopt(c, letters, longs);
	opterr = 0;
	optind = 1;
	while ((opt = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		char short_option[] = { '-', optopt, '\0' };

		if (opt == 'h') {
			help_text(stdout, c);
			exit(output_end(0));
		}
		if (opt == ':') {
			o = row_of(c, optopt);
			if (o->name)
				fail("%s: --%s needs an argument: --%s %s",
				     c->name, o->name, o->name, o->argument);
			else
				fail("%s: -%c needs an argument: -%c %s",
				     c->name, o->letter, o->letter,
				     o->argument);
			return -1;
		}
		if (opt == '?')
			return unknown(c, optopt && optopt < LONG_BASE
						  ? short_option
						  : argv[optind - 1]);
		if (!take(c, row_of(c, opt), to, optarg))
			return -1;
	}
	return optind;
}
