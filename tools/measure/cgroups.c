// SPDX-License-Identifier: MIT
/*
 * Cgroups by their ids. The kernel names a cgroup by the inode of its directory
 * in the cgroup2 mount, so a walk over the directories gives all names. A walk
 * is bounded in depth and number: a user who may make cgroups may make many.
 *
 * A unit is what systemd calls the deepest part of the path that ends in
 * .service, .scope or .slice: a container's own cgroups below it count with the
 * unit.
 */
#define _GNU_SOURCE
#include "cgroups.h"
#include "../lib/proc.h"
#include "../lib/tool.h"
#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define GROUPS_MAX 16384
#define DEPTH_MAX  16

struct group {
	uint64_t id;
	char label[CGROUP_LABEL_MAX];
};

struct cgroups {
	int mount; /* its directory; -1: there is no cgroup2 mount */
	bool by_unit;
	struct group *group,
		*before; /* by id: of the last scan, and the one before */
	unsigned n, n_before;
	char path[4096]; /* of the walk */
};

static int open_mount(void)
{
	static const char *const at[] = { "/sys/fs/cgroup",
					  "/sys/fs/cgroup/unified" };
	struct statfs fs;
	int fd;

	for (unsigned i = 0; i < ARRAY_LEN(at); i++) {
		fd = open(at[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0 && !fstatfs(fd, &fs) &&
		    fs.f_type == CGROUP2_SUPER_MAGIC)
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -1;
}

struct cgroups *cgroups_new(bool by_unit)
{
	struct cgroups *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->by_unit = by_unit;
	g->mount = open_mount();
	g->group = malloc(GROUPS_MAX * sizeof(*g->group));
	g->before = malloc(GROUPS_MAX * sizeof(*g->before));
	if (g->group && g->before)
		return g;
	cgroups_free(g);
	return NULL;
}

void cgroups_free(struct cgroups *g)
{
	if (g->mount >= 0)
		close(g->mount);
	free(g->group);
	free(g->before);
	free(g);
}

static bool ends_in(const char *part, size_t len, const char *end)
{
	size_t n = strlen(end);

	return len > n && !memcmp(part + len - n, end, n);
}

/* The label: the path, or its last part that is a unit. */
static void label_of(const struct cgroups *g, const char *path,
		     char label[CGROUP_LABEL_MAX])
{
	const char *unit = NULL;
	size_t unit_len = 0, len;

	for (const char *p = path; g->by_unit && *p; p += len) {
		p += *p == '/';
		len = strcspn(p, "/");
		if (ends_in(p, len, ".service") || ends_in(p, len, ".scope") ||
		    ends_in(p, len, ".slice")) {
			unit = p;
			unit_len = len;
		}
	}
	if (unit)
		snprintf(label, CGROUP_LABEL_MAX, "%.*s", (int)unit_len, unit);
	else
		snprintf(label, CGROUP_LABEL_MAX, "%s", *path ? path : "/");
}

static void add(struct cgroups *g, uint64_t id)
{
	struct group *at = &g->group[g->n++];

	at->id = id;
	label_of(g, g->path, at->label);
}

/* Takes over dir. */
static void walk(struct cgroups *g, int dir, unsigned depth)
{
	size_t len = strlen(g->path);
	DIR *d = fdopendir(dir);
	struct dirent *e;
	int below;

	if (!d)
		close(dir);
	while (d && g->n < GROUPS_MAX && (e = readdir(d))) {
		if (e->d_type != DT_DIR || e->d_name[0] == '.' ||
		    len + 2 + strlen(e->d_name) > sizeof(g->path))
			continue;
		snprintf(g->path + len, sizeof(g->path) - len, "/%s",
			 e->d_name);
		add(g, e->d_ino);
		below = depth < DEPTH_MAX
				? openat(dir, e->d_name,
					 O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
						 O_CLOEXEC)
				: -1;
		if (below >= 0)
			walk(g, below, depth + 1);
		g->path[len] = '\0';
	}
	if (d)
		closedir(d);
}

static int by_id(const void *a, const void *b)
{
	uint64_t x = ((const struct group *)a)->id;
	uint64_t y = ((const struct group *)b)->id;

	return (x > y) - (x < y);
}

void cgroups_scan(struct cgroups *g)
{
	struct group *last = g->group;
	struct stat st;

	g->group = g->before;
	g->before = last;
	g->n_before = g->n;
	g->n = 0;
	g->path[0] = '\0';
	if (g->mount < 0 || fstat(g->mount, &st))
		return;
	add(g, st.st_ino);
	walk(g, openat(g->mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), 1);
	qsort(g->group, g->n, sizeof(*g->group), by_id);
}

static const char *find(const struct group *in, unsigned n, uint64_t id)
{
	struct group key = { .id = id };
	const struct group *found = bsearch(&key, in, n, sizeof(key), by_id);

	return found ? found->label : NULL;
}

const char *cgroups_label(const struct cgroups *g, uint64_t id)
{
	return g->mount < 0 ? "/" : find(g->group, g->n, id);
}

const char *cgroups_label_before(const struct cgroups *g, uint64_t id)
{
	return find(g->before, g->n_before, id);
}

const char *cgroups_of_process(const struct cgroups *g, pid_t pid)
{
	static char label[CGROUP_LABEL_MAX];
	char path[64], line[4096];
	FILE *f;
	bool found = false;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	f = fopen(path, "re");
	while (!found && proc_next_line(f, line, sizeof(line)))
		found = !strncmp(line, "0::/", 4);
	if (f)
		fclose(f);
	if (!found)
		return NULL;
	if (g->mount < 0)
		return "/";
	/* "0::/" is the root, whose path is empty. */
	label_of(g, line[4] ? line + 3 : "", label);
	return label;
}
