// SPDX-License-Identifier: MIT
/*
 * The rungs below BPF. Perf events count in the kernel as well, exactly and
 * with what is started later, but know no causes and no names; /proc knows
 * only the threads that are there when one looks.
 *
 * The tracepoints among the events need tracefs for their numbers; where it is
 * not mounted or not readable, their figures are missing and the others stay.
 */
#define _GNU_SOURCE
#include "proc.h"
#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- /proc ---- */

static bool status_field(const char *line, const char *name, uint64_t *sum)
{
	size_t len = strlen(name);

	if (strncmp(line, name, len) || line[len] != ':')
		return false;
	*sum += strtoull(line + len + 1, NULL, 10);
	return true;
}

static void thread_switches(const char *path, uint64_t *v, uint64_t *n)
{
	FILE *f = fopen(path, "re");
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (!status_field(line, "voluntary_ctxt_switches", v))
			status_field(line, "nonvoluntary_ctxt_switches", n);
	if (f)
		fclose(f);
}

bool proc_switches(pid_t pid, uint64_t *nvcsw, uint64_t *nivcsw)
{
	char path[300];
	uint64_t v = 0, n = 0;
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	if (!d)
		return false;
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/status", pid,
			 e->d_name);
		thread_switches(path, &v, &n);
	}
	closedir(d);
	*nvcsw = v;
	*nivcsw = n;
	return true;
}

bool proc_cpu(pid_t pid, int64_t *user_ns, int64_t *system_ns)
{
	char path[64], line[1024], *p;
	unsigned long user, sys;
	long hz = sysconf(_SC_CLK_TCK);
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	ok = fgets(line, sizeof(line), f) && (p = strrchr(line, ')')) &&
	     sscanf(p + 1,
		    " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
		    &user, &sys) == 2;
	fclose(f);
	if (ok) {
		*user_ns = user * NS_PER_S / hz;
		*system_ns = sys * NS_PER_S / hz;
	}
	return ok;
}

bool cgroup_cpu(const char *directory, int64_t *user_ns, int64_t *system_ns)
{
	char path[4096], name[64];
	long long us;
	int found = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/cpu.stat", directory);
	f = fopen(path, "re");
	while (f && fscanf(f, "%63s %lld", name, &us) == 2) {
		if (!strcmp(name, "user_usec"))
			*user_ns = us * 1000, found++;
		else if (!strcmp(name, "system_usec"))
			*system_ns = us * 1000, found++;
	}
	if (f)
		fclose(f);
	return found == 2;
}

/* ---- perf events ---- */

enum event {
	SWITCHES,
	MIGRATIONS,
	FAULTS,
	SYSCALLS,
	SUBMITTED,
	COMPLETED,
	EVENTS
};

struct perf_counts {
	int *fd[EVENTS];
	unsigned n[EVENTS];
};

static const struct {
	uint32_t type;
	uint64_t config;	/* of a software event */
	const char *tracepoint; /* else, its place in tracefs */
	const char *older;	/* its name in older kernels */
} events[EVENTS] = {
	{ PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CONTEXT_SWITCHES, NULL, NULL },
	{ PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_MIGRATIONS, NULL, NULL },
	{ PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS, NULL, NULL },
	{ PERF_TYPE_TRACEPOINT, 0, "raw_syscalls/sys_enter", NULL },
	{ PERF_TYPE_TRACEPOINT, 0, "io_uring/io_uring_submit_req",
	  "io_uring/io_uring_submit_sqe" },
	{ PERF_TYPE_TRACEPOINT, 0, "io_uring/io_uring_complete", NULL },
};

static long tracepoint_id(const char *name)
{
	static const char *const mounts[] = { "/sys/kernel/tracing",
					      "/sys/kernel/debug/tracing" };
	char path[256];
	long id = -1;

	for (unsigned i = 0; name && id < 0 && i < ARRAY_LEN(mounts); i++) {
		FILE *f;

		snprintf(path, sizeof(path), "%s/events/%s/id", mounts[i],
			 name);
		f = fopen(path, "re");
		if (f && fscanf(f, "%ld", &id) != 1)
			id = -1;
		if (f)
			fclose(f);
	}
	return id;
}

static int open_event(enum event e, pid_t pid, int cpu, bool at_exec)
{
	struct perf_event_attr attr = { .size = sizeof(attr) };
	long id;

	attr.type = events[e].type;
	attr.config = events[e].config;
	if (events[e].tracepoint) {
		id = tracepoint_id(events[e].tracepoint);
		if (id < 0)
			id = tracepoint_id(events[e].older);
		if (id < 0)
			return -ENOENT;
		attr.config = id;
	}
	attr.inherit = pid > 0;
	attr.disabled = at_exec;
	attr.enable_on_exec = at_exec;
	return syscall(SYS_perf_event_open, &attr, pid, cpu, -1,
		       PERF_FLAG_FD_CLOEXEC);
}

static bool keep(struct perf_counts *p, enum event e, int fd)
{
	int *more = realloc(p->fd[e], (p->n[e] + 1) * sizeof(int));

	if (!more) {
		close(fd);
		return false;
	}
	p->fd[e] = more;
	p->fd[e][p->n[e]++] = fd;
	return true;
}

/* Of one thread, or with pid -1 of one CPU. */
static int open_all(struct perf_counts *p, pid_t pid, int cpu, bool at_exec)
{
	for (int e = 0; e < EVENTS; e++) {
		int fd = open_event(e, pid, cpu, at_exec);

		if (fd < 0 && e == SWITCHES)
			return -errno;
		if (fd >= 0 && !keep(p, e, fd))
			return -ENOMEM;
	}
	return 0;
}

static int open_threads(struct perf_counts *p, pid_t pid)
{
	char path[64];
	struct dirent *e;
	DIR *d;
	int err = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	if (!d)
		return -ESRCH;
	while (!err && (e = readdir(d)))
		if (e->d_name[0] != '.')
			err = open_all(p, atoi(e->d_name), -1, false);
	closedir(d);
	return err == -ESRCH ? 0 : err;
}

bool perf_open(struct perf_counts **p, pid_t pid, bool at_exec, char *why,
	       size_t why_size)
{
	int err = 0;

	if (!*p)
		*p = calloc(1, sizeof(**p));
	if (!*p)
		err = -ENOMEM;
	else if (at_exec)
		err = open_all(*p, pid, -1, true);
	else if (pid)
		err = open_threads(*p, pid);
	else
		for (int cpu = 0; !err && cpu < sysconf(_SC_NPROCESSORS_ONLN);
		     cpu++)
			err = open_all(*p, -1, cpu, false);
	if (!err)
		return true;
	if (err == -EACCES || err == -EPERM)
		snprintf(why, why_size,
			 "perf events are not allowed: as root, sysctl "
			 "kernel.perf_event_paranoid=1; in a container, "
			 "--cap-add PERFMON");
	else
		snprintf(why, why_size, "perf events cannot be used: %s",
			 strerror(-err));
	perf_close(*p);
	*p = NULL;
	return false;
}

static int64_t sum(const struct perf_counts *p, enum event e)
{
	int64_t total = 0;
	uint64_t n;

	for (unsigned i = 0; i < p->n[e]; i++)
		if (read(p->fd[e][i], &n, sizeof(n)) == sizeof(n))
			total += n;
	return p->n[e] ? total : -1;
}

void perf_read(const struct perf_counts *p, struct stat_perf *out)
{
	out->switches = sum(p, SWITCHES);
	out->migrations = sum(p, MIGRATIONS);
	out->faults = sum(p, FAULTS);
	out->syscalls = sum(p, SYSCALLS);
	out->submitted = sum(p, SUBMITTED);
	out->completed = sum(p, COMPLETED);
}

void perf_close(struct perf_counts *p)
{
	if (!p)
		return;
	for (int e = 0; e < EVENTS; e++) {
		for (unsigned i = 0; i < p->n[e]; i++)
			close(p->fd[e][i]);
		free(p->fd[e]);
	}
	free(p);
}
