// SPDX-License-Identifier: MIT
/*
 * The rung below BPF: perf events also count in the kernel, exactly and with
 * later children, but without causes and names.
 *
 * The tracepoints among the events need tracefs for their numbers; if tracefs
 * is not mounted or not readable, only their figures are missing.
 *
 * A task's events end before its last switch, so its exit is counted, too. Kernels
 * with "perf: Fix sample vs do_exit()" (6.1.142, 6.12.35 ...), but before 6.16, end
 * them before the exit's tracepoint. There, the tasks that began are counted. They are
 * the exits once all have ended: when an event hangs up, which all tasks inherit.
 */
#define _GNU_SOURCE
#include "perf.h"
#include "../lib/privileges.h"
#include "../lib/proc.h"
#include "../lib/tool.h"
#include "reader.h"
#include "remote.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum event {
	SWITCHES,
	MIGRATIONS,
	FAULTS,
	SYSCALLS,
	BEGUN,
	REFUSED,
	COMPLETED,
	OVERFLOWED,
	EXITS,
	TASKS,
	EVENTS
};

struct perf_counts {
	int *fd[EVENTS];
	unsigned n[EVENTS];
	bool per_task; /* else per CPU, where no switch is missed */
	int ended; /* an event that hangs up when all tasks have ended; 0: none */
	void *page; /* of `ended` */
	/* -errno: not for all threads or CPUs, so for none. */
	int missing[EVENTS];
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
	{ PERF_TYPE_TRACEPOINT, 0, "io_uring/io_uring_req_failed", NULL },
	{ PERF_TYPE_TRACEPOINT, 0, "io_uring/io_uring_complete", NULL },
	{ PERF_TYPE_TRACEPOINT, 0, "io_uring/io_uring_cqe_overflow", NULL },
	{ PERF_TYPE_TRACEPOINT, 0, "sched/sched_process_exit", NULL },
	{ PERF_TYPE_TRACEPOINT, 0, "task/task_newtask", NULL },
};

static long tracepoint_id(const char *name)
{
	static const char *const mounts[] = { "/sys/kernel/tracing",
					      "/sys/kernel/debug/tracing" };
	char path[256];
	long id = -ENOENT;

	for (unsigned i = 0; name && id < 0 && i < ARRAY_LEN(mounts); i++) {
		snprintf(path, sizeof(path), "%s/events/%s/id", mounts[i],
			 name);
		errno = 0;
		id = proc_number(path, -ENOENT);
		if (errno == EMFILE)
			return -EMFILE;
	}
	return id;
}

/* What all counters of an event have in common, once for all threads. -ENOENT, or
 * -EMFILE. */
static int event_attr(enum event e, struct perf_event_attr *attr)
{
	long id;

	*attr = (struct perf_event_attr){ .size = sizeof(*attr),
					  .type = events[e].type,
					  .config = events[e].config };
	if (!events[e].tracepoint)
		return 0;
	id = tracepoint_id(events[e].tracepoint);
	if (id == -ENOENT)
		id = tracepoint_id(events[e].older);
	attr->config = id;
	return id < 0 ? id : 0;
}

static int open_event(const struct perf_event_attr *attr, pid_t pid, int cpu)
{
	int fd = syscall(SYS_perf_event_open, attr, pid, cpu, -1,
			 PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : fd;
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

static void give_up(struct perf_counts *p, enum event e, int err)
{
	while (p->n[e])
		close(p->fd[e][--p->n[e]]);
	p->missing[e] = err;
}

/* Whether a task's events see its exit. It is a child's that sends no signal. */
static bool exits_are_seen(void)
{
	struct perf_event_attr attr;
	int fd = event_attr(EXITS, &attr), go[2];
	uint64_t n = 1;
	char c;
	pid_t pid;

	if (fd || pipe2(go, O_CLOEXEC))
		return true;
	pid = syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
	if (!pid) {
		close(go[1]);
		_exit(read(go[0], &c, 1));
	}
	close(go[0]);
	fd = pid < 0 ? -1 : open_event(&attr, pid, -1);
	close(go[1]);
	if (pid > 0)
		waitpid(pid, NULL, __WALL);
	if (fd >= 0) {
		if (read(fd, &n, sizeof(n)) != sizeof(n))
			n = 1;
		close(fd);
	}
	return n;
}

/* Without room for it, nobody knows when all have ended. */
static void open_ended(struct perf_counts *p, pid_t pid)
{
	struct perf_event_attr attr = { .size = sizeof(attr),
					.type = PERF_TYPE_SOFTWARE,
					.config = PERF_COUNT_SW_DUMMY,
					.inherit = 1 };
	int fd = open_event(&attr, pid, 0);

	if (fd < 0)
		return;
	/* Only an event with a buffer can be polled. */
	p->page =
		mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ, MAP_SHARED, fd, 0);
	if (p->page == MAP_FAILED)
		close(fd);
	else
		p->ended = fd;
}

static bool all_ended(const struct perf_counts *p)
{
	struct pollfd f = { p->ended, POLLIN, 0 };

	return p->ended && poll(&f, 1, 0) == 1 && f.revents & POLLHUP;
}

/* How the last switches are counted. Of CPUs, none is missing. */
static void choose_exits(struct perf_counts *p, pid_t pid, bool at_exec)
{
	bool seen;

	p->per_task = pid > 0;
	seen = !p->per_task || exits_are_seen();
	p->missing[seen ? TASKS : EXITS] = -ENOENT;
	if (!seen && at_exec)
		open_ended(p, pid);
}

/* Of a command that waits for its exec, or with pid -1 of one CPU. */
static int open_all(struct perf_counts *p, pid_t pid, int cpu)
{
	struct perf_event_attr attr;

	for (int e = 0; e < EVENTS; e++) {
		int fd = p->missing[e] ? p->missing[e] : event_attr(e, &attr);

		attr.inherit = attr.disabled = attr.enable_on_exec = pid > 0;
		if (!fd)
			fd = open_event(&attr, pid, cpu);
		if (fd < 0 && e == SWITCHES)
			return fd;
		if (fd < 0)
			give_up(p, e, fd);
		else if (!keep(p, e, fd))
			return -ENOMEM;
	}
	return 0;
}

/* ---- threads of a running process ---- */

struct threads {
	struct perf_event_attr attr;
	unsigned n;
	pid_t tid[READER_FDS];
};

/* Threads that have ended meanwhile are left out. */
static ssize_t open_some(pid_t pid, const void *question, void *answer,
			 struct reader_fds *fds)
{
	const struct threads *t = question;

	(void)pid;
	(void)answer;
	for (unsigned i = 0; i < t->n; i++) {
		int fd = open_event(&t->attr, t->tid[i], -1);

		if (fd < 0 && fd != -ESRCH)
			return fd;
		if (fd >= 0)
			fds->fd[fds->n++] = fd;
	}
	return fds->n;
}

/* The kernel waits for the process as long as it hangs in exec; see reader.c. */
static int open_event_of(struct perf_counts *p, enum event e, pid_t pid,
			 struct threads *t)
{
	static struct reader_fds fds;
	int err = event_attr(e, &t->attr);
	ssize_t n;

	if (err)
		return err;
	t->attr.inherit = 1;
	n = reader_ask(pid, open_some, t, sizeof(*t), NULL, &fds);
	if (n > fds.n)
		n = -EMFILE;
	for (unsigned i = 0; i < fds.n; i++)
		if (n < 0)
			close(fds.fd[i]);
		else if (!keep(p, e, fds.fd[i]))
			n = -ENOMEM;
	return n < 0 ? n : 0;
}

static int open_threads(struct perf_counts *p, pid_t pid)
{
	struct threads t;
	struct dirent *entry;
	char path[64];
	DIR *d;
	int err = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	if (!d)
		return -ESRCH;
	do {
		for (t.n = 0; t.n < READER_FDS && (entry = readdir(d));)
			if (entry->d_name[0] != '.')
				t.tid[t.n++] = atoi(entry->d_name);
		for (int e = 0; !err && t.n && e < EVENTS; e++) {
			if (!p->missing[e])
				err = open_event_of(p, e, pid, &t);
			if (err && e != SWITCHES && err != -ETIME) {
				give_up(p, e, err);
				err = 0;
			}
		}
	} while (!err && t.n);
	closedir(d);
	return err;
}

/* With perf_event_paranoid 2, anybody may count in user space, so a refusal of
 * that comes from a filter. */
static bool filter_refuses(int err, long paranoid)
{
	struct perf_event_attr attr = { .size = sizeof(attr),
					.type = PERF_TYPE_SOFTWARE,
					.config =
						PERF_COUNT_SW_CONTEXT_SWITCHES,
					.exclude_kernel = 1 };
	int fd;

	if (!seccomp_is_filtering() || err == -ENOSYS || paranoid > 2)
		return seccomp_is_filtering() && err == -ENOSYS;
	fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1,
		     PERF_FLAG_FD_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return fd < 0;
}

static void explain(int err, char *why, size_t size)
{
	long paranoid = proc_number("/proc/sys/kernel/perf_event_paranoid", 4);

	if (filter_refuses(err, paranoid))
		snprintf(why, size,
			 "a seccomp filter forbids perf_event_open(2): docker "
			 "run --security-opt seccomp=unconfined");
	else if (err == -EACCES || err == -EPERM)
		snprintf(why, size,
			 "perf events are not allowed, perf_event_paranoid is "
			 "%ld: as root, sysctl kernel.perf_event_paranoid=1; "
			 "in a container, --cap-add PERFMON",
			 paranoid);
	else
		snprintf(why, size, "perf events cannot be used: %s",
			 remote_error(err));
}

static int open_more(struct perf_counts *p, pid_t pid, bool at_exec)
{
	int err = 0;

	if (!p->n[SWITCHES])
		choose_exits(p, pid, at_exec);
	if (at_exec)
		return open_all(p, pid, -1);
	if (pid)
		return open_threads(p, pid);
	for (int cpu = 0; !err && cpu < sysconf(_SC_NPROCESSORS_ONLN); cpu++)
		err = open_all(p, -1, cpu);
	return err;
}

bool perf_open(struct perf_counts **p, pid_t pid, bool at_exec, char *why,
	       size_t why_size)
{
	int err;

	if (!*p)
		*p = calloc(1, sizeof(**p));
	err = *p ? open_more(*p, pid, at_exec) : -ENOMEM;
	if (!err)
		return true;
	explain(err, why, why_size);
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
	if (p->n[e])
		return total;
	return p->missing[e] == -EMFILE ? PERF_NO_FILES : PERF_NO_EVENT;
}

/* Of two events, the second of which older kernels may lack. */
static int64_t sum_both(const struct perf_counts *p, enum event e,
			enum event other)
{
	int64_t a = sum(p, e), b = sum(p, other);

	if (a < 0 || b == PERF_NO_EVENT)
		return a;
	return b < 0 ? b : a + b;
}

void perf_read(const struct perf_counts *p, struct perf_totals *out)
{
	out->switches = sum(p, SWITCHES);
	out->faults = sum(p, FAULTS);
	out->exits = sum(p, EXITS);
	if (p->n[TASKS]) /* without a page fault, nothing has run yet */
		out->exits = !out->faults   ? 0
			     : all_ended(p) ? sum(p, TASKS) + 1
					    : PERF_NO_EXITS;
	if (p->per_task)
		out->switches = out->exits < 0 ? out->exits
					       : out->switches + out->exits;
	out->migrations = sum(p, MIGRATIONS);
	out->syscalls = sum(p, SYSCALLS);
	out->submitted = sum_both(p, BEGUN, REFUSED);
	out->refused = sum(p, REFUSED);
	out->completed = sum_both(p, COMPLETED, OVERFLOWED);
}

void perf_cut(struct perf_totals *t)
{
	*t = (struct perf_totals){ PERF_CUT, PERF_CUT, PERF_CUT, PERF_CUT,
				   PERF_CUT, PERF_CUT, PERF_CUT, PERF_CUT };
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
	if (p->ended) {
		munmap(p->page, sysconf(_SC_PAGESIZE));
		close(p->ended);
	}
	free(p);
}
