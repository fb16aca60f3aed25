// SPDX-License-Identifier: MIT
/* Reading what the BPF programs count; see counter.h. */
#define _GNU_SOURCE
#include "bpf_setup.h"
#include "counter_parts.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void add(void *to, const void *from, size_t size, int sign)
{
	uint64_t *t = to;
	const uint64_t *f = from;

	for (size_t i = 0; i < size / sizeof(*t); i++)
		t[i] += sign * f[i];
}

static bool reads_cpu(const struct counter *c, int cpu)
{
	return !c->some_cpus || (cpu < CPU_SETSIZE && CPU_ISSET(cpu, &c->cpus));
}

static uint64_t sum_of_cpus(const struct counter *c, const uint64_t *of_cpu)
{
	uint64_t n = 0;

	for (int i = 0; i < c->nr_cpus; i++)
		n += reads_cpu(c, i) ? of_cpu[i] : 0;
	return n;
}

static void *entry(const struct mapped *m, unsigned i)
{
	return (char *)m->base + m->stride * i;
}

void counter_read(struct counter *c, struct counts *out)
{
	memset(out, 0, sizeof(*out));
	for (int cpu = 0; cpu < c->nr_cpus; cpu++) {
		if (!reads_cpu(c, cpu))
			continue;
		for (int i = 0; i < URT_CLASSES; i++)
			add(&out->class[i],
			    entry(&c->counts, cpu * URT_CLASSES + i),
			    sizeof(out->class[i]), 1);
		add(&out->calls, entry(&c->calls, cpu), sizeof(out->calls), 1);
	}
	out->calls.running = 0;
	out->lost = __atomic_load_n(&c->bpf->bss->lost, __ATOMIC_SEQ_CST) +
		    bpf_missed(c->bpf->obj);
}

bool counter_open_times(struct counter *c, struct urt_open_times *out)
{
	memset(out, 0, sizeof(*out));
	if (!c->open_link)
		return false;
	memset(&c->bpf->bss->open_times, 0, sizeof(*out));
	if (bpf_iterate(c->open_link))
		return false;
	*out = c->bpf->bss->open_times;
	return true;
}

struct urt_thread *counter_threads(struct counter *c, unsigned *n)
{
	*n = c->max_threads;
	return c->max_threads > 2 ? c->threads.base : NULL;
}

pid_t counter_by_started(struct counter *c, uint32_t *seen)
{
	struct count_bpf__bss *bss = c->bpf->bss;
	uint32_t last = __atomic_load_n(&bss->by_last_image, __ATOMIC_SEQ_CST);

	if (last - *seen > URT_BY_STARTED)
		*seen = last - URT_BY_STARTED;
	while (*seen != last) {
		uint32_t next = *seen + 1;
		uint64_t entry =
			__atomic_load_n(&bss->by_started[next % URT_BY_STARTED],
					__ATOMIC_SEQ_CST);

		if ((int32_t)(entry >> 32) - (int32_t)next < 0)
			break; /* not written yet */
		*seen = next;
		if (entry >> 32 == next)
			return entry;
	}
	return 0;
}

void counter_by_ended(struct counter *c, pid_t pid)
{
	uint32_t tgid = pid;

	bpf_map_delete_elem(bpf_map__fd(c->bpf->maps.by_where), &tgid);
	bpf_map_delete_elem(bpf_map__fd(c->bpf->maps.by_images), &tgid);
}

int counter_by_where(struct counter *c, pid_t pid, const struct urt_by_where *w)
{
	uint32_t tgid = pid;

	if (bpf_map_update_elem(bpf_map__fd(c->bpf->maps.by_where), &tgid, w,
				BPF_ANY))
		return -errno;
	c->bpf->data->by_generation++;
	return 0;
}

bool counter_by_on_cpu(struct counter *c)
{
	return c->bpf->rodata->by != URT_BY_CONTEXT || c->sampled;
}

bool counter_by_faults(struct counter *c)
{
	return bpf_program__fd(c->bpf->progs.on_user_fault) >= 0;
}

/* The keys of all rows, by row; the caller frees them. */
static struct urt_by_key *keys_of(int map)
{
	struct urt_by_key *of = calloc(COUNTER_BY_ROWS, sizeof(*of));
	struct urt_by_key key, *last = NULL;
	uint32_t row;

	while (of && !bpf_map_get_next_key(map, last, &key)) {
		last = &key;
		if (!bpf_map_lookup_elem(map, &key, &row) &&
		    row < COUNTER_BY_ROWS)
			of[row] = key;
	}
	return of;
}

void counter_by_read(struct counter *c, counter_by_fn *f, void *arg)
{
	int map = bpf_map__fd(c->bpf->maps.by_counts);
	int sums = bpf_map__fd(c->bpf->maps.by_sums);
	struct urt_by_key *of = keys_of(bpf_map__fd(c->bpf->maps.by_rows));
	uint64_t *of_cpu = calloc(c->nr_cpus, sizeof(*of_cpu));
	struct urt_by_count count, *last = NULL;

	while (of && of_cpu && !bpf_map_get_next_key(map, last, &count)) {
		uint64_t n;
		uint32_t at, row;

		last = &count;
		if (bpf_map_lookup_elem(map, &count, &at) ||
		    bpf_map_lookup_elem(sums, &at, of_cpu))
			continue;
		n = sum_of_cpus(c, of_cpu);
		row = count.row < COUNTER_BY_ROWS ? count.row
						  : URT_BY_ROW_OTHER;
		if (n)
			f(row, &of[row], &count, n, arg);
	}
	free(of_cpu);
	free(of);
}

/* Adds a CPU's open request to its place in the table. */
static void close_span(struct counter *c, const struct urt_span *open)
{
	uint64_t hash = urt_span_hash(open->id, open->row);
	struct urt_span_set *s =
		entry(&c->spans, hash >> (64 - URT_SPAN_SET_BITS));
	struct urt_span *w = NULL, *free_place = NULL;

	for (unsigned k = 0; k < URT_SPAN_WAYS; k++) {
		if (urt_span_is(&s->way[k], open->id, open->row))
			w = &s->way[k];
		if (!s->way[k].row)
			free_place = &s->way[k];
	}
	if (!w && !urt_span_events(open)) {
		c->bpf->bss->span_events_lost += urt_span_lost(open);
		return;
	}
	if (!w && !free_place) {
		free_place = &s->way[0];
		c->span(free_place, c->span_arg);
	}
	if (!w)
		*free_place = *open;
	for (unsigned i = 0; w && i < URT_OF_SPAN; i++)
		w->n[i] += open->n[i];
}

static void close_spans(struct counter *c)
{
	for (int cpu = 0; cpu < c->nr_cpus; cpu++) {
		struct urt_span *open = entry(&c->open_spans, cpu);

		if (open->row)
			close_span(c, open);
		open->row = 0;
	}
}

bool counter_spans(struct counter *c, bool rest,
		   void (*f)(const struct urt_span *, void *), void *arg)
{
	if (!c->spans_ended)
		return false;
	c->span = f;
	c->span_arg = arg;
	ring_buffer__consume(c->spans_ended);
	c->bpf->data->span_clock++;
	if (rest)
		close_spans(c);
	for (unsigned i = 0; rest && i < 1 << URT_SPAN_SET_BITS; i++) {
		struct urt_span_set *s = entry(&c->spans, i);

		for (unsigned k = 0; k < URT_SPAN_WAYS; k++)
			if (s->way[k].row)
				f(&s->way[k], arg);
	}
	return true;
}

struct spans_lost counter_spans_lost(const struct counter *c)
{
	const struct count_bpf__bss *bss = c->bpf->bss;

	return (struct spans_lost){ bss->spans_missing, bss->spans_again,
				    bss->span_events_lost };
}

void counter_latency(struct counter *c, uint32_t nr, struct urt_latency *sum)
{
	struct urt_latency *of_cpu = calloc(c->nr_cpus, sizeof(*of_cpu));

	*sum = (struct urt_latency){ 0 };
	if (of_cpu && !bpf_map_lookup_elem(bpf_map__fd(c->bpf->maps.latency),
					   &nr, of_cpu))
		for (int i = 0; i < c->nr_cpus; i++) {
			uint64_t max_ns = sum->max_ns;

			if (!reads_cpu(c, i))
				continue;
			add(sum, &of_cpu[i], sizeof(*sum), 1);
			sum->max_ns = of_cpu[i].max_ns > max_ns
					      ? of_cpu[i].max_ns
					      : max_ns;
		}
	free(of_cpu);
}

void counter_errnos(struct counter *c,
		    void (*f)(const struct urt_errno *, uint64_t, void *),
		    void *arg)
{
	int map = bpf_map__fd(c->bpf->maps.errnos);
	uint64_t *of_cpu = calloc(c->nr_cpus, sizeof(*of_cpu));
	struct urt_errno key, *last = NULL;

	while (of_cpu && !bpf_map_get_next_key(map, last, &key)) {
		last = &key;
		if (!bpf_map_lookup_elem(map, &key, of_cpu))
			f(&key, sum_of_cpus(c, of_cpu), arg);
	}
	free(of_cpu);
}

void counts_add(struct counts *a, const struct counts *b)
{
	add(a, b, sizeof(*a), 1);
}

void counts_subtract(struct counts *a, const struct counts *b)
{
	add(a, b, sizeof(*a), -1);
}

bool counter_reads_map(const struct counter *c)
{
	return c->bpf->bss->user_map;
}

bool counter_has_uring(const struct counter *c)
{
	return c->has_uring;
}

void counter_measure_cost(struct counter *c, bool on)
{
	if (on && c->stats_fd < 0)
		c->stats_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
	if (!on && c->stats_fd >= 0) {
		close(c->stats_fd);
		c->stats_fd = -1;
	}
}

void counter_cost(struct counter *c, uint64_t *runs, uint64_t *ns)
{
	struct bpf_program *p;

	*runs = *ns = 0;
	bpf_object__for_each_program(p, c->bpf->obj)
	{
		struct bpf_prog_info info = { 0 };
		uint32_t len = sizeof(info);

		if (bpf_program__fd(p) < 0 ||
		    bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &len))
			continue;
		*runs += info.run_cnt;
		*ns += info.run_time_ns;
	}
}

uint64_t counts_switches(const struct counts *c, enum urt_class class)
{
	return c->class[class].voluntary + c->class[class].involuntary;
}

static uint64_t sum(const __u64 *a, size_t n)
{
	uint64_t total = 0;

	while (n--)
		total += *a++;
	return total;
}

uint64_t counts_syscalls(const struct counts *c)
{
	return sum(c->calls.made, URT_SYSCALL_SLOTS) +
	       sum(c->calls.made_32, URT_SYSCALLS_32);
}

uint64_t counts_submitted(const struct counts *c)
{
	uint64_t n = 0;

	for (int i = 0; i < URT_CLASSES; i++)
		n += sum(c->class[i].submitted, URT_URING_OPS);
	return n;
}

uint64_t counts_not_ended(const struct counts *c)
{
	const struct urt_counts *app = &c->class[URT_CLASS_APP];

	return app->ended < app->tasks ? app->tasks - app->ended : 0;
}

bool counter_all_ended(struct counter *c)
{
	static struct counts now;

	if (!c)
		return true;
	counter_read(c, &now);
	return !counts_not_ended(&now);
}

bool counter_command_ended(struct counter *c)
{
	return __atomic_load_n(&c->bpf->bss->command_threads,
			       __ATOMIC_SEQ_CST) <= 0;
}

uint64_t counts_completed(const struct counts *c)
{
	uint64_t n = 0;

	for (int i = 0; i < URT_CLASSES; i++)
		n += c->class[i].completed;
	return n;
}
