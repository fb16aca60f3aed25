// SPDX-License-Identifier: MIT
/*
 * The figures of an earlier run, read from its JSON document (urt.stat.v1, or
 * urt.stat.runs.v1 with its means). Only members of objects are looked for, so
 * this is a scanner and no parser: it steps over values by their brackets and
 * quotes. The text ends with a NUL, at which every step stops.
 */
#define _GNU_SOURCE
#include "options.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool stat_take_baseline(void *to, char *path)
{
	struct stat_options *o = to;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = 0, size = 0;

	o->baseline = "";
	o->baseline_path = path;
	if (fd < 0 && errno == ENOENT)
		return true;
	o->baseline = calloc(1, STAT_BASELINE_MAX + 1);
	while (fd >= 0 && o->baseline &&
	       (n = read(fd, o->baseline + size, STAT_BASELINE_MAX - size)) > 0)
		size += n;
	if (fd < 0 || n < 0)
		return !fail("--baseline: cannot read %s: %s", path,
			     strerror(errno));
	close(fd);
	if (stat_baseline_figure(o, "wall", &(double){ 0 }))
		return true;
	return !fail("--baseline: %s is no result of `urt stat --json` with "
		     "its figures",
		     path);
}

static const char *space(const char *p)
{
	while (isspace((unsigned char)*p))
		p++;
	return p;
}

/* Behind the string that begins at p. */
static const char *after_string(const char *p)
{
	for (p++; *p && *p != '"'; p++)
		if (*p == '\\' && p[1])
			p++;
	return *p ? p + 1 : p;
}

/* Behind the value that begins at p. */
static const char *after_value(const char *p)
{
	int depth = 0;

	do {
		if (*p == '"') {
			p = after_string(p);
			continue;
		}
		if (!depth && strchr(",}]", *p))
			break;
		depth += (*p == '{' || *p == '[') - (*p == '}' || *p == ']');
		p++;
	} while (*p && (depth || !strchr(",}]", *p)));
	return p;
}

/* The value of that member of the object at p; NULL: there is none. */
static const char *member(const char *p, const char *name)
{
	size_t n = strlen(name);
	const char *key;

	if (!p || *(p = space(p)) != '{')
		return NULL;
	do {
		key = space(p + 1);
		if (*key != '"')
			return NULL;
		p = space(after_string(key));
		if (*p != ':')
			return NULL;
		p = space(p + 1);
		if (!strncmp(key + 1, name, n) && key[1 + n] == '"')
			return p;
		p = space(after_value(p));
	} while (*p == ',');
	return NULL;
}

static bool number(const char *p, double *value)
{
	char *end;

	if (!p)
		return false;
	*value = strtod(p, &end);
	return end > p;
}

bool stat_baseline_figure(const struct stat_options *o, const char *name,
			  double *value)
{
	const char *p = member(member(o->baseline, "figures"), name);

	return number(p, value) || number(member(p, "mean"), value);
}

bool stat_baseline_ops(const struct stat_options *o, double *value)
{
	return number(member(o->baseline, "ops"), value) && *value > 0;
}
