// SPDX-License-Identifier: MIT
/*
 * The figures of an earlier run, from its JSON document (urt.stat.v1, or
 * urt.stat.runs.v1 with its means).
 */
#include "options.h"
#include "../lib/json_tree.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool stat_take_baseline(void *to, char *path)
{
	struct stat_options *o = to;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = 0, size = 0;
	const char *wrong;
	char *text;

	o->baseline_path = path;
	if (fd < 0 && errno == ENOENT)
		return true;
	/* The tree points into it. */
	text = calloc(1, STAT_BASELINE_MAX + 1);
	while (fd >= 0 && text &&
	       (n = read(fd, text + size, STAT_BASELINE_MAX - size)) > 0)
		size += n;
	if (fd < 0 || n < 0 || !text)
		return !fail("--baseline: cannot read %s: %s", path,
			     strerror(errno));
	close(fd);
	o->baseline = json_tree(text, size, &wrong);
	if (stat_baseline_figure(o, "wall", &(double){ 0 }))
		return true;
	return !fail("--baseline: %s is not a result of `urt stat --json` with "
		     "its figures",
		     path);
}

bool stat_baseline_figure(const struct stat_options *o, const char *name,
			  double *value)
{
	const struct json_value *all = json_member(o->baseline, "figures");

	*value = json_number(all, name);
	if (isnan(*value))
		*value = json_number(json_member(all, name), "mean");
	return !isnan(*value);
}

bool stat_baseline_ops(const struct stat_options *o, double *value)
{
	*value = json_number(o->baseline, "ops");
	return *value > 0;
}
