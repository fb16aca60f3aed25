// SPDX-License-Identifier: MIT
/* Finding, mapping and adding up counters pages; see user_stats.h. */
#define _GNU_SOURCE
#include "user_stats.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A page may be another version's, or half written: believe nothing. */
static bool plausible(const struct urt__stats_page *p, size_t size)
{
	return size >= sizeof(*p) - sizeof(p->name) &&
	       __atomic_load_n(&p->magic, __ATOMIC_ACQUIRE) ==
		       URT__STATS_MAGIC &&
	       p->header_size <= size &&
	       sizeof(*p) - sizeof(p->name) +
			       (size_t)p->counters * URT__STATS_NAME_LEN <=
		       p->header_size &&
	       (size_t)(p->counters + p->ops) * sizeof(uint64_t) <=
		       p->slot_size &&
	       (size_t)p->slots * p->slot_size <= size - p->header_size;
}

static size_t page_size(const struct urt__stats_page *p)
{
	return p->header_size + (size_t)p->slots * p->slot_size;
}

static struct urt__stats_page *map_fd(int fd)
{
	struct stat st;
	void *p;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) || !st.st_size) {
		close(fd);
		return NULL;
	}
	p = mmap(NULL, st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return NULL;
	if (plausible(p, st.st_size))
		return p;
	munmap(p, st.st_size);
	return NULL;
}

struct urt__stats_page *user_stats_map_file(const char *path)
{
	return map_fd(open(path, O_RDONLY | O_CLOEXEC));
}

void user_stats_each_file(pid_t pid, const char *name,
			  bool (*found)(const char *path, void *arg), void *arg)
{
	char path[64], target[300];
	bool enough = false;
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	d = opendir(path);
	while (d && !enough && (e = readdir(d))) {
		const char *at;
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/%d/fd/%.20s", pid,
			 e->d_name);
		n = readlink(path, target, sizeof(target) - 1);
		if (n < 0)
			continue;
		target[n] = '\0';
		/* /memfd:NAME (deleted), or DIR/NAME.PID.N */
		at = strstr(target, name);
		if (at && at > target && (at[-1] == ':' || at[-1] == '/'))
			enough = found(path, arg);
	}
	if (d)
		closedir(d);
}

static bool map_found(const char *path, void *arg)
{
	struct urt__stats_page **page = arg;

	*page = user_stats_map_file(path);
	return *page;
}

struct urt__stats_page *user_stats_map(pid_t pid)
{
	struct urt__stats_page *page = NULL;

	user_stats_each_file(pid, URT__STATS_NAME, map_found, &page);
	return page;
}

void user_stats_unmap(struct urt__stats_page *p)
{
	if (p)
		munmap(p, page_size(p));
}

static struct user_counter *find(struct user_stats *s, const char *name)
{
	for (unsigned i = 0; i < s->n; i++)
		if (!strncmp(s->counter[i].name, name, URT__STATS_NAME_LEN - 1))
			return &s->counter[i];
	if (s->n == USER_STATS_MAX)
		return NULL;
	s->counter[s->n] = (struct user_counter){ .value = 0 };
	memcpy(s->counter[s->n].name, name, URT__STATS_NAME_LEN - 1);
	return &s->counter[s->n++];
}

void user_stats_add(struct user_stats *s, const struct urt__stats_page *p)
{
	for (unsigned c = 0; c < p->counters; c++) {
		struct user_counter *counter = find(s, p->name[c]);

		for (unsigned i = 0; counter && i < p->slots; i++)
			counter->value += __atomic_load_n(
				&urt__stats_slot(p, i)->counter[c],
				__ATOMIC_RELAXED);
	}
}

uint64_t user_stats_get(const struct user_stats *s, const char *name)
{
	for (unsigned i = 0; i < s->n; i++)
		if (!strcmp(s->counter[i].name, name))
			return s->counter[i].value;
	return 0;
}

void user_stats_sum(struct user_stats *a, const struct user_stats *b)
{
	for (unsigned i = 0; i < b->n; i++) {
		struct user_counter *c = find(a, b->counter[i].name);

		if (c)
			c->value += b->counter[i].value;
	}
}

void user_stats_subtract(struct user_stats *a, const struct user_stats *b)
{
	for (unsigned i = 0; i < a->n; i++)
		a->counter[i].value -= user_stats_get(b, a->counter[i].name);
}

/* ---- the directory ---- */

char *user_stats_dir_new(void)
{
	char *dir = strdup("/tmp/urt-stats.XXXXXX");

	if (!dir || !mkdtemp(dir)) {
		free(dir);
		return NULL;
	}
	setenv(URT__STATS_DIR_ENV, dir, 1);
	return dir;
}

static unsigned each_page(const char *dir, struct user_stats *s, bool remove)
{
	char path[600];
	struct dirent *e;
	DIR *d = opendir(dir);
	unsigned n = 0;

	while (d && (e = readdir(d))) {
		struct urt__stats_page *p;

		if (strncmp(e->d_name, URT__STATS_NAME,
			    strlen(URT__STATS_NAME)))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (remove) {
			unlink(path);
			continue;
		}
		p = user_stats_map_file(path);
		if (!p)
			continue;
		user_stats_add(s, p);
		user_stats_unmap(p);
		n++;
	}
	if (d)
		closedir(d);
	return n;
}

bool user_stats_dir_read(const char *dir, struct user_stats *s)
{
	return each_page(dir, s, false) > 0;
}

void user_stats_dir_free(char *dir)
{
	if (!dir)
		return;
	each_page(dir, NULL, true);
	rmdir(dir);
	free(dir);
}
