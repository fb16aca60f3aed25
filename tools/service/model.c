// SPDX-License-Identifier: MIT
/* Finding models, the commands of their servers, and servers of a user. */
#define _GNU_SOURCE
#include "model.h"
#include "../lib/tool.h"
#include "../load/tls.h"
#include <stdlib.h>
#include <string.h>

const struct model *model_find(const char *name)
{
	for (unsigned i = 0; i < nr_models; i++)
		if (!strcmp(models[i].name, name))
			return &models[i];
	return NULL;
}

const struct model *model_of(enum model_role role)
{
	for (unsigned i = 0; i < nr_models; i++)
		if (models[i].role == role)
			return &models[i];
	return NULL;
}

const char *model_names(void)
{
	static char *text;
	size_t len;
	FILE *f;

	if (text || !(f = open_memstream(&text, &len)))
		return text ? text : "";
	for (unsigned i = 0; i < nr_models; i++)
		fprintf(f, "%s%s",
			!i		     ? ""
			: i == nr_models - 1 ? " and "
					     : ", ",
			models[i].name);
	fclose(f);
	return text;
}

const char *model_settings(const struct model *m, char buf[MODEL_SETTINGS])
{
	size_t len = snprintf(buf, MODEL_SETTINGS, "%s", m->settings);

	for (unsigned i = 0; i < ARRAY_LEN(m->variable); i++) {
		const struct model_variable *v = &m->variable[i];
		const char *value = v->name ? getenv(v->name) : NULL;

		if (v->name && len < MODEL_SETTINGS)
			len += snprintf(buf + len, MODEL_SETTINGS - len,
					value ? "; %s=%s" : "; %s not set: %s",
					v->name, value ? value : v->without);
	}
	return buf;
}

/* The servers in C are this program itself. */
static char **own_command(const struct model *m, int port, int backend_port,
			  bool redis)
{
	const char *words[] = { "/proc/self/exe", "serve", m->name,
				"--port",	  NULL,	   "--backend" };
	char **argv = calloc(ARRAY_LEN(words) + 2, sizeof(*argv));

	for (unsigned i = 0; i < ARRAY_LEN(words); i++)
		argv[i] = words[i] ? strdup(words[i]) : NULL;
	if (asprintf(&argv[4], "%d", port) < 0 ||
	    asprintf(&argv[6], redis ? "redis://127.0.0.1:%d" : "%d",
		     backend_port) < 0)
		abort();
	return argv;
}

const char *model_missing(const struct model *m)
{
	static char text[160];
	const char *missing = model_is(m, MODEL_TLS)
				      ? load_tls_missing()
				      : language_missing(m->language);

	if (missing || !m->source || language_built(m->language, m->source))
		return missing;
	snprintf(
		text, sizeof(text),
		"it is not built yet: `urt serve --build` downloads its dependencies and builds it");
	return text;
}

/* ---- a user's own server ---- */

#define NAME_CHARS \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

/* Colours that no model has. */
static const char *const own_colours[][2] = {
	{ "#008b8b", "#40e0e0" },
	{ "#8b008b", "#f070f0" },
	{ "#556b2f", "#b8d080" },
	{ "#a0522d", "#f0a880" },
};

struct model *model_of_command(const char *text)
{
	static unsigned n;
	size_t len = strspn(text, NAME_CHARS);
	struct model *m;
	char *name;

	if (!len || len > 24 || text[len] != '=' ||
	    !strstr(text + len, "{port}")) {
		fail("--server: invalid \"%s\": expected NAME='COMMAND', "
		     "with {port} in it where the command takes the port",
		     text);
		return NULL;
	}
	name = strndup(text, len);
	if (model_find(name)) {
		fail("--server: %s is a model of urt: choose another name",
		     name);
		free(name);
		return NULL;
	}
	m = calloc(1, sizeof(*m));
	*m = (struct model){
		.name = name,
		.unit = "of its own",
		.settings = text + len + 1,
		.flags = MODEL_ONE_ASK,
		.lives = "not known",
		.waits_in = "not known",
		.alone = UNIT_OTHER,
		.command = text + len + 1,
		.no_switches = "n/a: it is not known whether it "
			       "has any",
		.light = own_colours[n % ARRAY_LEN(own_colours)][0],
		.dark = own_colours[n % ARRAY_LEN(own_colours)][1]
	};
	n++;
	return m;
}

/* The text with {port} and {backend} filled in, run by the shell. */
static char **filled_in(const char *text, const char *port, const char *backend)
{
	char **argv = calloc(4, sizeof(*argv)), *command;
	size_t size;
	FILE *f = open_memstream(&command, &size);

	if (!argv || !f)
		abort();
	fputs("exec ", f);
	for (const char *p = text; *p;) {
		const char *value = !strncmp(p, "{port}", 6)	  ? port
				    : !strncmp(p, "{backend}", 9) ? backend
								  : NULL;

		if (value) {
			fputs(value, f);
			p = strchr(p, '}') + 1;
		} else {
			fputc(*p++, f);
		}
	}
	fclose(f);
	argv[0] = strdup("/bin/sh");
	argv[1] = strdup("-c");
	argv[2] = command;
	return argv;
}

char **model_command(const struct model *m, int port, int backend_port,
		     bool redis)
{
	const char *args[5] = { 0 };
	char ports[2][16];
	unsigned n = 2;

	if (!model_is_program(m))
		return own_command(m, port, backend_port, redis);
	snprintf(ports[0], sizeof(ports[0]), "%d", port);
	snprintf(ports[1], sizeof(ports[1]), "%d", backend_port);
	if (m->command)
		return filled_in(m->command, ports[0], ports[1]);
	args[0] = ports[0];
	args[1] = ports[1];
	if (m->argument)
		args[n++] = m->argument;
	if (redis)
		args[n++] = "redis";
	return language_command(m->language, m->source, args);
}
