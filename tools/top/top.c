// SPDX-License-Identifier: MIT
/*
 * urt top: what each process or thread asks of the kernel, per second, live.
 *
 * BPF counts by thread into slots that we map; each refresh is the difference
 * of two copies. A slot whose thread has ended is given back once its last
 * counts were shown, so the number of slots bounds the threads at one time
 * and not those over time. What finds no slot is the line "others".
 */
#define _GNU_SOURCE
#include "../lib/privileges.h"
#include "../lib/text.h"
#include "top.h"
#include "../lib/proc.h"
#include "../lib/tool.h"
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLOTS	32768
#define LOOK_NS (200 * NS_PER_MS) /* at counters pages, in one refresh */

const char *const top_column_names[COLUMNS] = { "switches", "syscalls", "uring",
						"user", "cpu" };

static const char usage_text[] =
	"usage: urt top [OPTIONS]\n"
	"\n"
	"Kernel switches, system calls, io_uring operations, user switches and\n"
	"CPU time per second, by process. Keys: s, c, u, w, p sort by switches,\n"
	"calls, io_uring, user switches, CPU; t threads or processes; space\n"
	"refreshes; q or Ctrl-C quits. p99 us: 99 of 100 coroutines of a program on\n"
	"uring_rt waited less than that for their turn (sampled).\n"
	"\n"
	"  -d, --delay MS    between refreshes; default 1000\n"
	"  -n, --rounds N    so many refreshes, then end\n"
	"  -b, --batch       plain text, one table after another\n"
	"  -t, --threads     by thread\n"
	"  -s, --sort NAME   switches, syscalls, uring, user or cpu\n"
	"\n"
	"  -c, --coroutines  those of one program on uring_rt instead: how many, by\n"
	"                    what they wait for and where they began\n"
	"  -p, --pid PID     ... of which\n"
	"  -k, --context KEY ... and by this attribute of their context\n";

/* ---- rows ---- */

static void name_of(const struct urt_thread *t, bool process, char name[17])
{
	char path[64], comm[17];

	text_copy(name, 17, t->comm, sizeof(t->comm));
	if (!process || t->pid == t->tgid)
		return;
	snprintf(path, sizeof(path), "/proc/%u/comm", t->tgid);
	if (proc_line(path, comm, sizeof(comm)))
		strcpy(name, text_clean(comm));
}

static struct row *row_of(struct top *t, const struct urt_thread *th)
{
	uint32_t tid = t->threads ? th->pid : 0;
	struct row *r;

	for (unsigned i = t->rows; i--;)
		if (t->row[i].pid == th->tgid && t->row[i].tid == tid)
			return &t->row[i];
	r = &t->row[t->rows++];
	*r = (struct row){ .pid = th->tgid, .tid = tid };
	r->per_s[USER] = r->wait_us = -1;
	if (th->tgid)
		name_of(th, !t->threads, r->name);
	else
		strcpy(r->name, "others");
	return r;
}

/* What a slot gained; one that was taken anew began at 0. */
static void add_slot(struct top *t, unsigned i, double s)
{
	struct urt_thread now = t->slot[i], zero = { 0 };
	const struct urt_thread *b = &t->before[i];
	uint64_t switches, on_cpu;
	struct row *r;

	/* It runs since then, and has not left the CPU yet. */
	if (now.in_ns && t->last_ns > (int64_t)now.in_ns)
		now.on_cpu_ns += t->last_ns - now.in_ns;

	if (b->pid != now.pid || b->state != URT_THREAD_TAKEN)
		b = i ? &zero : b;
	switches =
		now.voluntary + now.involuntary - b->voluntary - b->involuntary;
	if (now.on_cpu_ns < b->on_cpu_ns && b != &zero) /* read in between */
		now.on_cpu_ns = b->on_cpu_ns;
	on_cpu = now.on_cpu_ns - b->on_cpu_ns;
	t->before[i] = now;
	if (now.state == URT_THREAD_ENDED)
		t->slot[i].state = URT_THREAD_FREE;
	if (!switches && !on_cpu && now.syscalls == b->syscalls &&
	    now.submitted == b->submitted)
		return;
	r = row_of(t, &now);
	r->per_s[SWITCHES] += switches / s;
	r->per_s[SYSCALLS] += (now.syscalls - b->syscalls) / s;
	r->per_s[URING] += (now.submitted - b->submitted) / s;
	r->per_s[CPU] += on_cpu / s / 1e7;
}

/* A page that lies, or a run that is new: nothing is known of this time. */
static void add_user(struct top *t, struct row *r, double s)
{
	struct user_page *page = user_page_of(r->pid, NULL);
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
		r->per_s[USER] = user_stats_get(&d, "switches") / s;
		if (user_stats_times(&d, URT__TIME_READY))
			r->wait_us =
				user_stats_time(&d, URT__TIME_READY, 0.99) /
				1e3;
	}
	if (!seen && t->nr_seen < ARRAY_LEN(t->seen))
		seen = &t->seen[t->nr_seen++];
	if (!seen) /* the one not heard of for longest gives way */
		seen = &t->seen[t->next_seen++ % ARRAY_LEN(t->seen)];
	*seen = (struct user_seen){ r->pid, user_page_id(page), now };
	user_page_free(page);
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
	for (unsigned i = 0; i < t->rows && !t->threads; i++)
		if (t->row[i].pid && now_ns() < now + LOOK_NS)
			add_user(t, &t->row[i], s);
	counter_read(t->counter, &counts);
	t->lost = counts.lost;
	top_sort(t);
}

/* ---- the command ---- */

static bool parse_sort(const char *text, enum column *sort)
{
	for (int i = 0; i < COLUMNS; i++)
		if (!strcmp(text, top_column_names[i])) {
			*sort = i;
			return true;
		}
	fail("--sort: \"%s\" is none of switches, syscalls, uring, user, cpu",
	     text);
	return false;
}

static bool option(struct top *t, int opt, const char *arg)
{
	switch (opt) {
	case 'd':
		return parse_number("-d", arg, 50, 3600000, &t->delay_ms);
	case 'n':
		return parse_number("-n", arg, 1, 1L << 40, &t->rounds);
	case 'b':
		return t->batch = true;
	case 't':
		return t->threads = true;
	case 's':
		return parse_sort(arg, &t->sort);
	case 'c':
		return t->coroutines = true;
	case 'p':
		return parse_number("-p", arg, 1, 1L << 22, &t->pid);
	case 'k':
		t->key = arg;
		return true;
	default:
		fail("`urt top --help` lists the options");
		return false;
	}
}

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
		return fail("cannot count what is running: %s", strerror(-err));
	t->slot = counter_threads(t->counter, &t->slots);
	t->before = calloc(t->slots, sizeof(*t->before));
	t->row = calloc(t->slots, sizeof(*t->row));
	if (!t->before || !t->row)
		return fail("out of memory");
	memcpy(t->before, t->slot, t->slots * sizeof(*t->before));
	t->last_ns = now_ns();
	privileges_reduce();
	return 0;
}

int cmd_top(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "delay", required_argument, NULL, 'd' },
		{ "rounds", required_argument, NULL, 'n' },
		{ "batch", no_argument, NULL, 'b' },
		{ "threads", no_argument, NULL, 't' },
		{ "sort", required_argument, NULL, 's' },
		{ "coroutines", no_argument, NULL, 'c' },
		{ "pid", required_argument, NULL, 'p' },
		{ "context", required_argument, NULL, 'k' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	static struct top t = { .delay_ms = 1000 };
	int opt, code;

	while ((opt = getopt_long(argc, argv, "d:n:bts:cp:k:h", longs, NULL)) !=
	       -1) {
		if (opt == 'h') {
			fputs(usage_text, stdout);
			return 0;
		}
		if (!option(&t, opt, optarg))
			return EXIT_BAD;
	}
	if (optind < argc)
		return fail("top: \"%s\" is too much", argv[optind]);
	if (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO))
		t.batch = true;
	if (t.coroutines != (t.pid > 0) || (t.key && !t.coroutines))
		return fail("top: --coroutines, -p PID and -k KEY go together");
	if (t.coroutines)
		code = top_coros_open(&t, t.pid, t.key) ? 0 : EXIT_BAD;
	else
		code = start(&t);
	if (!code)
		top_show(&t);
	top_coros_close(&t);
	counter_close(t.counter);
	free(t.before);
	free(t.row);
	return code;
}
