// SPDX-License-Identifier: MIT
/*
 * Counts by label. The kernel counts by cgroup (bpf/export.bpf.c); several
 * cgroups may have one label, and those past the bound are "other".
 *
 * A counter must not go back while its label is there. So the counts of a
 * cgroup stay with its label when the cgroup is removed; when no cgroup has
 * that label any more, the series ends, as Prometheus expects. A cgroup that
 * came and went between two reads never had a name: its counts are "other".
 * When a cgroup in "other" gets a label of its own, because another has ended,
 * its counts until then stay in "other", and its own series begins at 0: the
 * difference is added to the past of both, modulo 2^64. A label that has ended is
 * free for another cgroup in the read that finds this, or else a bound that many
 * short-lived cgroups reach would leave every second read without labels. Its
 * series remains until the end of that read, for the counts of its cgroups.
 *
 * The order of a read matters: first the counts, then the names. So a cgroup
 * that has counts but no directory is gone, and not new.
 */
#define _GNU_SOURCE
#include "metrics.h"
#include "../lib/privileges.h"
#include "../lib/tool.h"
#include "../measure/bpf_setup.h"
#include "../measure/user_stats.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "export.skel.h"

#define PROCESSES_MAX 4096
#define OTHER_MAX     (EXPORT_GROUPS_MAX + EXPORT_CALLS_MAX)

/* The last figures of a process on uring_rt. */
struct process {
	ino_t page; /* of its run: pids are used again */
	uint64_t switches;
	bool seen;
};

struct group_read {
	uint64_t id;
	struct export_counts counts;
};

struct collector {
	struct collector_options o;
	struct export_bpf *bpf;
	struct cgroups *groups;
	int cpus;
	struct export_counts *per_cpu; /* one entry of each map */
	uint64_t *per_cpu_calls;
	struct group_read *group;
	struct call_read *calls;
	unsigned nr_groups, nr_calls;
	struct series *series; /* the first: "other" */
	unsigned nr_series;
	unsigned nr_labels; /* live ones without "other": at most max_groups */
	uint64_t *other, *other_before; /* live cgroups in "other": of this
					 * read, and of the last one, by id */
	unsigned nr_other, nr_other_before;
	struct call_names names;
	struct process *process;
	unsigned nr_processes;
};

/* ---- opening ---- */

static int load(struct collector *c)
{
	struct export_counts *zero = calloc(c->cpus, sizeof(*zero));
	uint64_t other = EXPORT_OTHER;
	const struct bpf_optional optional[] = {
		{ c->bpf->progs.export_submit_req, "io_uring_submit_req" },
		{ c->bpf->progs.export_submit_sqe, "io_uring_submit_sqe" },
		{ c->bpf->progs.export_refused, "io_uring_req_failed" },
		{ c->bpf->progs.export_complete, "io_uring_complete" },
		{ c->bpf->progs.export_overflow, "io_uring_cqe_overflow" },
	};
	int err;

	c->bpf->rodata->want_times = !c->o.no_times;
	/* Since Linux 6.15 the tracepoint hands over the CQE. */
	c->bpf->rodata->completion_is_cqe =
		bpf_tracepoint_args("io_uring_complete") == 3;
	bpf_program__set_autoload(c->bpf->progs.export_wakeup, !c->o.no_times);
	bpf_program__set_autoload(c->bpf->progs.export_wakeup_new,
				  !c->o.no_times);
	bpf_choose(optional, ARRAY_LEN(optional));
	err = bpf_load(c->bpf->skeleton);
	if (!err && zero)
		err = bpf_map_update_elem(bpf_map__fd(c->bpf->maps.groups),
					  &other, zero, 0);
	free(zero);
	return err ? err : export_bpf__attach(c->bpf);
}

struct collector *collector_open(const struct collector_options *o, char *why,
				 size_t why_size)
{
	struct collector *c = calloc(1, sizeof(*c));
	int err = -ENOMEM;

	if (!c)
		goto out_why;
	c->o = *o;
	bpf_setup();
	c->cpus = err = libbpf_num_possible_cpus();
	if (err < 0)
		goto out_close;
	err = -ENOMEM;
	c->groups = cgroups_new(o->label == EXPORT_UNIT);
	c->per_cpu = calloc(c->cpus, sizeof(*c->per_cpu));
	c->per_cpu_calls = calloc(c->cpus, sizeof(*c->per_cpu_calls));
	c->group = calloc(EXPORT_GROUPS_MAX, sizeof(*c->group));
	c->calls = calloc(EXPORT_CALLS_MAX, sizeof(*c->calls));
	/* Those that end in a read, and as many new ones. */
	c->series = calloc(2 * o->max_groups + 1, sizeof(*c->series));
	c->process = calloc(PROCESSES_MAX, sizeof(*c->process));
	c->other = calloc(OTHER_MAX, sizeof(*c->other));
	c->other_before = calloc(OTHER_MAX, sizeof(*c->other_before));
	if (!c->groups || !c->per_cpu || !c->per_cpu_calls || !c->group ||
	    !c->calls || !c->series || !c->process || !c->other ||
	    !c->other_before)
		goto out_close;
	strcpy(c->series[0].label, "other");
	c->nr_series = 1;
	c->bpf = export_bpf__open();
	err = c->bpf ? load(c) : -errno;
	if (!err)
		return c;
out_close:
	collector_close(c);
out_why:
	bpf_explain(err, why, why_size);
	return NULL;
}

void collector_close(struct collector *c)
{
	export_bpf__destroy(c->bpf);
	if (c->groups)
		cgroups_free(c->groups);
	free(c->per_cpu);
	free(c->per_cpu_calls);
	free(c->group);
	free(c->calls);
	free(c->series);
	free(c->process);
	free(c->other);
	free(c->other_before);
	free(c);
}

/* ---- reading the maps ---- */

/*
 * Calls read for each key. If another thread deletes a key, the walk begins
 * anew, so the walk is bounded.
 */
static void each_key(int map, size_t size, unsigned bound, struct collector *c,
		     void (*read)(struct collector *, int map, const void *key))
{
	char key[sizeof(struct export_call)], next[sizeof(key)];
	bool first = true;

	while (bound-- &&
	       !bpf_map_get_next_key(map, first ? NULL : key, next)) {
		memcpy(key, next, size);
		first = false;
		read(c, map, key);
	}
}

/* Adds the counts that many times; -1 subtracts. */
static void add(struct export_counts *to, const struct export_counts *from,
		int64_t times)
{
	uint64_t *a = (uint64_t *)to;
	const uint64_t *b = (const uint64_t *)from;

	for (size_t i = 0; i < sizeof(*to) / sizeof(*a); i++)
		a[i] += times * b[i];
}

static void read_group(struct collector *c, int map, const void *key)
{
	struct group_read *g = &c->group[c->nr_groups];

	if (bpf_map_lookup_elem(map, key, c->per_cpu))
		return;
	c->nr_groups++;
	*g = (struct group_read){ .id = *(const uint64_t *)key };
	for (int i = 0; i < c->cpus; i++)
		add(&g->counts, &c->per_cpu[i], 1);
}

static void read_call(struct collector *c, int map, const void *key)
{
	struct call_read *r = &c->calls[c->nr_calls];

	if (bpf_map_lookup_elem(map, key, c->per_cpu_calls))
		return;
	c->nr_calls++;
	memcpy(&r->key, key, sizeof(r->key));
	r->n = 0;
	for (int i = 0; i < c->cpus; i++)
		r->n += c->per_cpu_calls[i];
}

static int by_id(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static int by_cgroup(const void *a, const void *b)
{
	const struct call_read *x = a, *y = b;

	return by_id(&x->key.cgroup, &y->key.cgroup);
}

/* The calls are sorted by cgroup. */
static void read_maps(struct collector *c)
{
	c->nr_groups = c->nr_calls = 0;
	each_key(bpf_map__fd(c->bpf->maps.groups), sizeof(uint64_t),
		 EXPORT_GROUPS_MAX, c, read_group);
	each_key(bpf_map__fd(c->bpf->maps.calls), sizeof(struct export_call),
		 EXPORT_CALLS_MAX, c, read_call);
	qsort(c->calls, c->nr_calls, sizeof(*c->calls), by_cgroup);
}

/* ---- labels ---- */

static struct series *find_series(struct collector *c, const char *label)
{
	for (unsigned i = 0; label && i < c->nr_series; i++)
		if (!strcmp(c->series[i].label, label))
			return &c->series[i];
	return NULL;
}

static struct series *series_of(struct collector *c, const char *label)
{
	struct series *s = find_series(c, label);

	if (s || c->nr_labels == c->o.max_groups)
		return s ? s : &c->series[0];
	c->nr_labels++;
	s = &c->series[c->nr_series++];
	memset(s, 0, sizeof(*s));
	snprintf(s->label, sizeof(s->label), "%s", label);
	return s;
}

static void mark_live(struct collector *c, uint64_t id)
{
	struct series *s = find_series(c, cgroups_label(c->groups, id));

	if (!s || s->live)
		return;
	s->live = true;
	c->nr_labels++;
}

/* Before the first counts are given: the labels that go on. */
static void find_live(struct collector *c)
{
	c->nr_labels = 0;
	for (unsigned i = 0; i < c->nr_groups; i++)
		mark_live(c, c->group[i].id);
	for (unsigned i = 0; i < c->nr_calls; i++)
		if (!i || c->calls[i].key.cgroup != c->calls[i - 1].key.cgroup)
			mark_live(c, c->calls[i].key.cgroup);
}

/* The series to which the counts of a cgroup belong. */
struct place {
	struct series *series;
	bool gone;  /* it was removed: they are past */
	bool moved; /* they were "other" until now */
};

static struct place place_of(struct collector *c, uint64_t id)
{
	const char *label = cgroups_label(c->groups, id);
	bool was_other = bsearch(&id, c->other_before, c->nr_other_before,
				 sizeof(id), by_id);
	struct place p = { .gone = !label && id != EXPORT_OTHER };

	if (label)
		p.series = series_of(c, label);
	else if (!was_other)
		p.series = find_series(c, cgroups_label_before(c->groups, id));
	if (!p.series)
		p.series = &c->series[0];
	p.series->live |= !p.gone;
	p.moved = label && was_other && p.series != &c->series[0];
	if (label && p.series == &c->series[0])
		c->other[c->nr_other++] = id;
	return p;
}

static void give_counts(struct collector *c)
{
	int map = bpf_map__fd(c->bpf->maps.groups);

	for (unsigned i = 0; i < c->nr_groups; i++) {
		struct group_read *g = &c->group[i];
		struct place p = place_of(c, g->id);
		struct series *s = p.series;

		add(p.gone ? &s->past.counts : &s->now.counts, &g->counts, 1);
		if (p.moved) {
			add(&s->past.counts, &g->counts, -1);
			add(&c->series[0].past.counts, &g->counts, 1);
		}
		if (p.gone)
			bpf_map_delete_elem(map, &g->id);
	}
}

static uint64_t *count_of(struct tally *t, unsigned name)
{
	return name < EXPORT_NAMES_MAX ? &t->call[name] : &t->other_calls;
}

static void give_calls(struct collector *c)
{
	int map = bpf_map__fd(c->bpf->maps.calls);
	struct place p = { 0 };

	for (unsigned i = 0; i < c->nr_calls; i++) {
		struct call_read *r = &c->calls[i];
		unsigned name = call_names_place(&c->names, r->key.nr);

		if (!i || r->key.cgroup != r[-1].key.cgroup)
			p = place_of(c, r->key.cgroup);
		*count_of(p.gone ? &p.series->past : &p.series->now, name) +=
			r->n;
		if (p.moved) {
			*count_of(&p.series->past, name) -= r->n;
			*count_of(&c->series[0].past, name) += r->n;
		}
		if (p.gone)
			bpf_map_delete_elem(map, &r->key);
	}
}

/* ---- user switches of programs on uring_rt ---- */

static struct process *process_of(struct collector *c, ino_t page)
{
	for (unsigned i = 0; i < c->nr_processes; i++)
		if (c->process[i].page == page)
			return &c->process[i];
	if (c->nr_processes == PROCESSES_MAX)
		return NULL;
	c->process[c->nr_processes] = (struct process){ .page = page };
	return &c->process[c->nr_processes++];
}

/* An invalid page counts as nothing, and one whose counts decrease adds
 * nothing. */
static void read_process(struct collector *c, pid_t pid)
{
	const char *label = cgroups_of_process(c->groups, pid);
	struct user_page *page = label ? user_page_of(pid, NULL) : NULL;
	struct process *p = page ? process_of(c, user_page_id(page)) : NULL;
	struct user_stats now = { 0 };
	struct series *s;
	uint64_t switches;

	if (page)
		user_stats_add(&now, page);
	if (p && !now.bad) {
		switches = user_stats_get(&now, "switches");
		s = series_of(c, label);
		s->on_uring_rt = true;
		if (switches > p->switches)
			s->user_switches += switches - p->switches;
		p->switches = switches;
		p->seen = true;
	}
	if (page)
		user_page_free(page);
}

static void read_processes(struct collector *c)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	unsigned kept = 0;
	long pid;

	for (unsigned i = 0; i < c->nr_processes; i++)
		c->process[i].seen = false;
	while (d && (e = readdir(d))) {
		pid = strtol(e->d_name, NULL, 10);
		if (pid > 0)
			read_process(c, pid);
	}
	if (d)
		closedir(d);
	for (unsigned i = 0; i < c->nr_processes; i++)
		if (c->process[i].seen)
			c->process[kept++] = c->process[i];
	c->nr_processes = kept;
}

/* ---- all ---- */

/* Prepares "other": its cgroups of the last read, by id, and none yet of this
 * one. */
static void begin_other(struct collector *c)
{
	uint64_t *last = c->other;

	qsort(last, c->nr_other, sizeof(*last), by_id);
	c->other = c->other_before;
	c->other_before = last;
	c->nr_other_before = c->nr_other;
	c->nr_other = 0;
}

static void add_past(struct series *s, unsigned names)
{
	add(&s->now.counts, &s->past.counts, 1);
	for (unsigned i = 0; i < names; i++)
		s->now.call[i] += s->past.call[i];
	s->now.other_calls += s->past.other_calls + s->now.counts.unnamed;
}

const struct series *collector_read(struct collector *c, unsigned *n)
{
	unsigned kept = 1;

	for (unsigned i = 0; i < c->nr_series; i++) {
		memset(&c->series[i].now, 0, sizeof(c->series[i].now));
		c->series[i].live = false;
	}
	begin_other(c);
	read_maps(c);
	cgroups_scan(c->groups);
	call_names_admit(&c->names, c->o.max_calls, c->calls, c->nr_calls);
	find_live(c);
	give_counts(c);
	give_calls(c);
	for (unsigned i = 1; i < c->nr_series; i++)
		if (c->series[i].live)
			c->series[kept++] = c->series[i];
	c->nr_series = kept;
	read_processes(c);
	for (unsigned i = 0; i < c->nr_series; i++)
		add_past(&c->series[i], c->names.n);
	*n = c->nr_series;
	return c->series;
}

const struct call_names *collector_call_names(const struct collector *c)
{
	return &c->names;
}

bool collector_has_times(const struct collector *c)
{
	return !c->o.no_times;
}
