// SPDX-License-Identifier: MIT
/*
 * urt top: what each process or thread asks of the kernel, per second, live.
 *
 * BPF counts by thread into slots that we map; each refresh is the difference
 * of two copies. A slot whose thread has ended is freed once its last counts
 * were shown, so the number of slots bounds the threads at one time, not over
 * time. Threads that find no slot are counted in the line "others".
 */
#define _GNU_SOURCE
#include "../lib/privileges.h"
#include "../lib/text.h"
#include "top.h"
#include "../lib/options.h"
#include "../lib/proc.h"
#include "../lib/tool.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLOTS	32768
#define LOOK_NS (200 * NS_PER_MS) /* at counters pages, in one refresh */

const char *const top_column_names[] = { "switches", "syscalls", "uring",
					 "user",     "cpu",	 "handoffs",
					 NULL };
static const char *const by_names[] = { "process", "thread", "cgroup", "unit",
					NULL };

/* ---- rows ---- */

/* The first thread gives a process its name. If it has ended, /proc keeps that. */
static void name_process(const struct top *t, struct row *r)
{
	char path[64], comm[17];

	for (unsigned i = 1; i < t->slots; i++) {
		const struct urt_thread *th = &t->slot[i];

		if (th->pid == r->pid && th->tgid == r->pid &&
		    th->born == r->born) {
			text_copy(r->name, sizeof(r->name), th->comm,
				  sizeof(th->comm));
			return;
		}
	}
	snprintf(path, sizeof(path), "/proc/%u/comm", r->pid);
	if (proc_line(path, comm, sizeof(comm)))
		strcpy(r->name, text_clean(comm));
}

/* A thread has one slot, so it gets a new row. */
static struct row *row_of(struct top *t, const struct urt_thread *th)
{
	bool threads = t->by == TOP_THREADS;
	uint64_t cgroup = t->cgroups ? th->cgroup : 0;
	struct row *r;

	for (unsigned i = threads ? 0 : t->rows; i--;)
		if (t->row[i].pid == th->tgid && t->row[i].born == th->born &&
		    t->row[i].cgroup == cgroup)
			return &t->row[i];
	r = &t->row[t->rows++];
	*r = (struct row){ .pid = th->tgid,
			   .tid = threads ? th->pid : 0,
			   .born = th->born,
			   .cgroup = cgroup };
	r->per_s[USER] = r->per_s[HANDOFFS] = r->wait_us = -1;
	text_copy(r->name, sizeof(r->name), th->comm, sizeof(th->comm));
	if (!th->tgid)
		strcpy(r->name, "others");
	else if (!threads && th->pid != th->tgid)
		name_process(t, r);
	return r;
}

/* The gain of a slot; a slot that was reused began at 0. */
static void add_slot(struct top *t, unsigned i, double s)
{
	struct urt_thread now = t->slot[i], before = t->before[i];
	uint64_t switches, on_cpu;
	struct row *r;

	/* The thread has run since then, and has not left the CPU yet. */
	if (now.in_ns && t->last_ns > (int64_t)now.in_ns)
		now.on_cpu_ns += t->last_ns - now.in_ns;

	if (i && (before.pid != now.pid || before.state != URT_THREAD_TAKEN))
		before = (struct urt_thread){ 0 };
	switches = now.voluntary + now.involuntary - before.voluntary -
		   before.involuntary;
	if (now.on_cpu_ns < before.on_cpu_ns) /* read in the middle of an
						 update */
		now.on_cpu_ns = before.on_cpu_ns;
	on_cpu = now.on_cpu_ns - before.on_cpu_ns;
	t->before[i] = now;
	if (now.state == URT_THREAD_ENDED)
		t->slot[i].state = URT_THREAD_FREE;
	if (!switches && !on_cpu && now.syscalls == before.syscalls &&
	    now.submitted == before.submitted)
		return;
	r = row_of(t, &now);
	r->per_s[SWITCHES] += switches / s;
	r->per_s[SYSCALLS] += (now.syscalls - before.syscalls) / s;
	r->per_s[URING] += (now.submitted - before.submitted) / s;
	r->per_s[CPU] += on_cpu / s / 1e7;
}

/* /proc tells of the last process with the number. */
static bool is_last(const struct top *t, const struct row *r)
{
	for (unsigned i = 0; i < t->rows; i++)
		if (t->row[i].pid == r->pid && t->row[i].born > r->born)
			return false;
	return true;
}

/* The page is invalid, or the run is new: nothing is known of this interval. */
static void add_user(struct top *t, struct row *r, double s)
{
	struct user_page *page =
		is_last(t, r) ? user_page_of(r->pid, NULL) : NULL;
	struct user_stats now = { 0 }, d;
	struct user_seen *seen = NULL;

	if (!page)
		return;
	user_stats_add(&now, page);
	for (unsigned i = 0; i < t->nr_seen; i++)
		if (t->seen[i].pid == r->pid)
			seen = &t->seen[i];
	if (seen && seen->page == user_page_id(page) && !now.bad) {
		d = now;
		user_stats_subtract(&d, &seen->stats);
		r->users = 1;
		r->per_s[USER] = user_stats_get(&d, "switches") / s;
		r->per_s[HANDOFFS] = user_stats_get(&d, "handoffs") / s;
		if (user_stats_times(&d, URT__TIME_READY))
			r->wait_us =
				user_stats_time(&d, URT__TIME_READY, 0.99) /
				1e3;
	}
	if (!seen && t->nr_seen < ARRAY_LEN(t->seen))
		seen = &t->seen[t->nr_seen++];
	if (!seen) /* replaces the one that was not seen for longest */
		seen = &t->seen[t->next_seen++ % ARRAY_LEN(t->seen)];
	*seen = (struct user_seen){ r->pid, user_page_id(page), now };
	user_page_free(page);
}

/* ---- rows of cgroups ---- */

/* Percentiles of several programs cannot be combined. */
static void add_row(struct row *to, const struct row *r)
{
	for (int c = 0; c < COLUMNS; c++)
		if (to->per_s[c] < 0)
			to->per_s[c] = r->per_s[c];
		else if (r->per_s[c] >= 0)
			to->per_s[c] += r->per_s[c];
	if (r->users)
		to->wait_us = to->users ? -1 : r->wait_us;
	to->users += r->users;
}

/* From rows of processes. */
static void by_cgroup(struct top *t)
{
	unsigned n = 0, k;

	for (unsigned i = 0; i < t->rows; i++) {
		for (k = 0; k < n && t->row[k].cgroup != t->row[i].cgroup; k++)
			;
		if (k < n)
			add_row(&t->row[k], &t->row[i]);
		else
			t->row[n++] = t->row[i];
	}
	t->rows = n;
	cgroups_scan(t->cgroups);
}

void top_by(struct top *t, enum top_by by)
{
	if (t->cgroups)
		cgroups_free(t->cgroups);
	t->cgroups = by >= TOP_CGROUPS ? cgroups_new(by == TOP_UNITS) : NULL;
	t->by = by >= TOP_CGROUPS && !t->cgroups ? TOP_PROCESSES : by;
}

static enum column sort_by;

static int most_first(const void *a, const void *b)
{
	double x = ((const struct row *)a)->per_s[sort_by];
	double y = ((const struct row *)b)->per_s[sort_by];

	return (x < y) - (x > y);
}

void top_sort(struct top *t)
{
	sort_by = t->sort;
	qsort(t->row, t->rows, sizeof(*t->row), most_first);
}

void top_refresh(struct top *t)
{
	static struct counts counts;
	int64_t now = now_ns();
	double s = (now - t->last_ns) / 1e9;

	t->last_ns = now;
	t->rows = 0;
	for (unsigned i = 0; i < t->slots; i++)
		if (!i || t->slot[i].state != URT_THREAD_FREE)
			add_slot(t, i, s);
	for (unsigned i = 0; i < t->rows && t->by != TOP_THREADS; i++)
		if (t->row[i].pid && now_ns() < now + LOOK_NS)
			add_user(t, &t->row[i], s);
	if (t->cgroups)
		by_cgroup(t);
	counter_read(t->counter, &counts);
	t->lost = counts.lost;
	top_sort(t);
}

/* Reads the programs' counts now, so that the first refresh has a
 * difference. */
static void look_at_users(struct top *t)
{
	for (unsigned i = 1; i < t->slots; i++)
		if (t->slot[i].state != URT_THREAD_FREE)
			row_of(t, &t->slot[i]);
	for (unsigned i = 0; i < t->rows && now_ns() < t->last_ns + LOOK_NS;
	     i++)
		add_user(t, &t->row[i], 1);
	t->rows = 0;
}

/* ---- the command ---- */

#define TO(field) OPTION_TO(struct top, field)

static const struct option_row rows[] = {
	{ .letter = 'd',
	  .name = "delay",
	  .argument = "MS",
	  .kind = OPTION_MS,
	  TO(delay_ns),
	  .min = 50,
	  .max = 3600000,
	  .text = "Refresh every MS milliseconds; default 1000." },
	{ .letter = 'n',
	  .name = "rounds",
	  .argument = "N",
	  .kind = OPTION_NUMBER,
	  TO(rounds),
	  .min = 1,
	  .text = "End after N refreshes." },
	{ .letter = 'b',
	  .name = "batch",
	  .kind = OPTION_FLAG,
	  TO(batch),
	  .text = "Print plain text, one table after another." },
	{ .letter = 't',
	  .name = "threads",
	  .kind = OPTION_SET,
	  TO(by),
	  .min = TOP_THREADS,
	  .text = "Show threads instead of processes." },
	{ .name = "by",
	  .argument = "WHAT",
	  .kind = OPTION_CHOICE,
	  TO(by),
	  .choices = by_names,
	  .text = "Show one line for each process (default), thread, cgroup or systemd unit." },
	{ .letter = 's',
	  .name = "sort",
	  .argument = "NAME",
	  .kind = OPTION_CHOICE,
	  TO(sort),
	  .choices = top_column_names,
	  .text = "Sort by switches (default), syscalls, uring, user, cpu or handoffs." },
	{ .kind = OPTION_SPACE },
	{ .letter = 'c',
	  .name = "coroutines",
	  .kind = OPTION_FLAG,
	  TO(coroutines),
	  .text = "Show the coroutines of one program on uring_rt, or the goroutines of one in Go, instead, counted by the object that they wait for and by their starting function." },
	{ OPTION_PID, TO(pid), .text = "Show the coroutines of this program." },
	{ OPTION_CONTEXT, TO(key) },
};

const struct command command_top = {
	.name = "top",
	.run = cmd_top,
	.what = "show switches, system calls and operations of all processes, live",
	.usage = "[OPTIONS]",
	.about =
		"Shows kernel switches, system calls, io_uring operations, user switches and CPU time per second, by process, thread, cgroup or systemd unit.",
	.notes =
		"Keys: s, c, u, w, p, h sort by switches, calls, io_uring, user switches, CPU, hand-offs; t shows threads or processes, g cgroups or processes; space refreshes; q or Ctrl-C quits.\n\nThe column \"p99 us\": 99 of 100 coroutines of a program on uring_rt waited less than this for their turn, by samples. \"handoffs/s\": how often its runtime took a processor from a thread that blocked or computed. Both are n/a for other programs.\n\nA thread belongs to the cgroup in which it made its last switch.",
	OPTIONS(rows),
};

static int start(struct top *t)
{
	struct counter_options o = { .threads = SLOTS };
	char why[256];
	int err;

	t->counter = counter_open_with(&o, why, sizeof(why));
	if (!t->counter)
		return fail("top counts by BPF only: %s", why);
	err = counter_attach_all(t->counter);
	if (err)
		return fail("cannot count running processes: %s",
			    strerror(-err));
	t->slot = counter_threads(t->counter, &t->slots);
	t->before = calloc(t->slots, sizeof(*t->before));
	t->row = calloc(t->slots, sizeof(*t->row));
	if (!t->before || !t->row)
		return fail("out of memory");
	memcpy(t->before, t->slot, t->slots * sizeof(*t->before));
	t->last_ns = now_ns();
	privileges_reduce();
	if (t->by != TOP_THREADS)
		look_at_users(t);
	return 0;
}

int cmd_top(int argc, char **argv)
{
	static struct top t = { .delay_ns = NS_PER_S };
	int first = options_parse(&command_top, argc, argv, &t), code;

	if (first < 0)
		return EXIT_BAD;
	if (first < argc)
		return fail("top: unexpected argument \"%s\"", argv[first]);
	if (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO))
		t.batch = true;
	top_by(&t, t.by);
	if (t.coroutines != (t.pid > 0) || (t.key && !t.coroutines))
		return fail("top: --coroutines, -p PID and -k KEY go together");
	if (t.coroutines)
		code = top_coros_open(&t, t.pid, t.key) ? 0 : EXIT_BAD;
	else
		code = start(&t);
	if (!code)
		top_show(&t);
	top_coros_close(&t);
	top_by(&t, TOP_PROCESSES);
	counter_close(t.counter);
	free(t.before);
	free(t.row);
	return code;
}
