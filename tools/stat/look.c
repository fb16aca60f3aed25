// SPDX-License-Identifier: MIT
/*
 * Reading all counts at one time, and the difference of two such looks: the
 * counts of the kernel's programs, pages of programs on uring_rt, perf events,
 * /proc. Nothing is stopped for a look, so a switch on another CPU may be half
 * counted; then the look is repeated, a few times.
 */
#define _GNU_SOURCE
#include "session.h"
#include "../load/ops.h"
#include "../measure/remote.h"
#include <string.h>

static void look_at_user(struct session *s, struct user_stats *u)
{
	u->n = 0;
	u->bad = s->why_no_page;
	if (s->user_pages && user_pages_read(s->user_pages, u))
		s->r->has_user = true;
	for (unsigned i = 0; i < s->o->pids; i++)
		if (s->page[i]) {
			user_stats_add(u, s->page[i]);
			s->r->has_user = true;
		}
}

void session_look_at_proc(struct session *s, struct look *l)
{
	l->nvcsw = l->nivcsw = 0;
	for (unsigned i = 0; i < s->o->pids; i++) {
		struct proc_switches *p = &s->switches[i];
		uint64_t voluntary = p->voluntary, involuntary = p->involuntary;

		proc_switches_look(p, s->o->pid[i], s->o->by_tid);
		if (!session_was_there(s, i)) {
			p->voluntary = voluntary;
			p->involuntary = involuntary;
		}
		l->nvcsw += p->voluntary;
		l->nivcsw += p->involuntary;
	}
}

/* Of the process, or of the thread. */
static bool read_own(const struct session *s, unsigned i, const char *name,
		     char *text, size_t size)
{
	pid_t pid = s->o->pid[i];
	char file[48];

	snprintf(file, sizeof(file), "task/%d/%s", pid, name);
	return remote_text(pid, s->o->by_tid ? file : name, text, size);
}

static void look_at_cpu(struct session *s, struct look *l)
{
	l->user_ns = l->system_ns = -1;
	if (s->o->cgroup && !s->o->some_cpus) {
		cgroup_cpu(s->o->cgroup, &l->user_ns, &l->system_ns);
		return;
	}
	for (unsigned i = 0; i < s->o->pids; i++) {
		int64_t user, system;
		char stat[1024];

		if (s->o->some_cpus ||
		    !read_own(s, i, "stat", stat, sizeof(stat)) ||
		    !proc_cpu(stat, &user, &system) ||
		    !session_was_there(s, i)) {
			l->user_ns = -1;
			return;
		}
		l->user_ns = (i ? l->user_ns : 0) + user;
		l->system_ns = (i ? l->system_ns : 0) + system;
	}
}

static void look_at_transfers(struct session *s, struct look *l)
{
	l->reads = l->writes = -1;
	for (unsigned i = 0; i < s->o->pids; i++) {
		int64_t reads, writes;
		char io[1024];

		if (s->o->some_cpus || !read_own(s, i, "io", io, sizeof(io)) ||
		    !proc_transfers(io, &reads, &writes) ||
		    !session_was_there(s, i)) {
			l->reads = l->writes = -1;
			return;
		}
		l->reads = (i ? l->reads : 0) + reads;
		l->writes = (i ? l->writes : 0) + writes;
	}
}

static bool agrees(const struct counts *c)
{
	uint64_t n = 0;

	for (int i = 0; i < URT_CLASSES; i++)
		n += c->class[i].voluntary + c->class[i].involuntary -
		     c->class[i].nvcsw - c->class[i].nivcsw;
	return !n;
}

void session_look(struct session *s, struct look *l)
{
	l->at_ns = now_ns();
	if (s->counter)
		counter_read(s->counter, &l->counts);
	/* A switch on another CPU may be half counted. */
	for (int i = 0; s->counter && i < 20 && !agrees(&l->counts); i++)
		counter_read(s->counter, &l->counts);
	if (s->counter && s->o->times)
		counter_open_times(s->counter, &l->open);
	if (s->perf)
		perf_read(s->perf, &l->perf);
	look_at_user(s, &l->user);
	if (!s->counter)
		session_look_at_proc(s, l);
	look_at_cpu(s, l);
	look_at_transfers(s, l);
	l->ops = s->o->ops_fd > 0 ? ops_read(s->o->ops_fd) : 0;
}

/* A wait that is not over at the end is in the histogram with its time so far;
 * the sums have only the part in this window. Its class is unknown. */
static void add_open(struct counts *c, const struct urt_open_times *from,
		     const struct urt_open_times *to)
{
	struct urt_counts *app = &c->class[URT_CLASS_APP];

	for (int log = 0; log < URT_TIME_LOGS; log++) {
		app->on_cpu[log] += to->on_cpu[log];
		app->off_cpu[log] += to->off_cpu[log];
	}
	app->on_cpu_ns += to->on_cpu_ns - from->on_cpu_ns;
	app->off_cpu_ns += to->off_cpu_ns - from->off_cpu_ns;
}

/* Once it is unknown, it stays unknown, for the same reason. */
static void add_known(int64_t *to, int64_t a, int64_t b)
{
	if (*to >= 0)
		*to = a < 0 ? a : b < 0 ? b : *to + a - b;
}

/* Adds the counts between two looks. */
void session_add(struct session *s, struct stat_result *r,
		 const struct look *from, const struct look *to)
{
	static struct look d;

	d = *to;
	counts_subtract(&d.counts, &from->counts);
	counts_add(&r->counts, &d.counts);
	add_open(&r->counts, &from->open, &to->open);
	r->counts.lost = to->counts.lost;
	/* Those that existed at the beginning belong to us, too. */
	for (int i = 0; i < URT_CLASSES; i++)
		r->counts.class[i].tasks = to->counts.class[i].tasks;
	user_stats_subtract(&d.user, &from->user);
	user_stats_sum(&r->user, &d.user);
	add_known(&r->perf.switches, to->perf.switches, from->perf.switches);
	add_known(&r->perf.migrations, to->perf.migrations,
		  from->perf.migrations);
	add_known(&r->perf.faults, to->perf.faults, from->perf.faults);
	add_known(&r->perf.syscalls, to->perf.syscalls, from->perf.syscalls);
	add_known(&r->perf.submitted, to->perf.submitted, from->perf.submitted);
	add_known(&r->perf.exits, to->perf.exits, from->perf.exits);
	add_known(&r->perf.refused, to->perf.refused, from->perf.refused);
	add_known(&r->perf.completed, to->perf.completed, from->perf.completed);
	r->ops_told += to->ops - from->ops;
	r->wall_ns += to->at_ns - from->at_ns;
	r->nvcsw = r->counts.class[0].nvcsw;
	r->nivcsw = r->counts.class[0].nivcsw;
	for (int i = 1; i < URT_CLASSES; i++) {
		r->nvcsw += r->counts.class[i].nvcsw;
		r->nivcsw += r->counts.class[i].nivcsw;
	}
	if (!s->counter) {
		r->nvcsw += to->nvcsw - from->nvcsw;
		r->nivcsw += to->nivcsw - from->nivcsw;
	}
	add_known(&r->user_ns, to->user_ns, from->user_ns);
	add_known(&r->system_ns, to->system_ns, from->system_ns);
	add_known(&r->reads, to->reads, from->reads);
	add_known(&r->writes, to->writes, from->writes);
}
