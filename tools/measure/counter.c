// SPDX-License-Identifier: MIT
/* Loading, attaching and reading the BPF programs; see counter.h. */
#define _GNU_SOURCE
#include "counter.h"
#include "../lib/privileges.h"
#include "../lib/tool.h"
#include "bpf_setup.h"
#include "count.skel.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* A map's entries, mapped into this process; the kernel adds to them. */
struct mapped {
	void *base;
	size_t size;   /* of all, bytes */
	size_t stride; /* from one entry to the next, bytes */
};

struct counter {
	struct count_bpf *bpf;
	struct bpf_link *link[16];
	unsigned nr_links;
	struct bpf_link **sample; /* for each CPU, with rows by context */
	unsigned samples;
	bool sampled;
	struct bpf_link *open_link; /* adds up times that have not ended; or
				       NULL */
	bool has_uring; /* the kernel has the tracepoints of io_uring */
	int stats_fd;	/* keeps the kernel's run-time statistics on; or < 0 */
	int nr_cpus;
	bool some_cpus; /* only these CPUs are read: */
	cpu_set_t cpus;
	struct mapped counts, calls, threads, spans, open_spans;
	struct ring_buffer *spans_ended; /* NULL: spans are not counted */
	void (*span)(const struct urt_span *, void *);
	void *span_arg;
	unsigned max_threads;
};

static void choose_programs(struct count_bpf *bpf,
			    const struct counter_options *o)
{
	bool preempted = bpf_can_be_preempted();
	const struct bpf_optional optional[] = {
		{ bpf->progs.on_submit_req, "io_uring_submit_req" },
		{ bpf->progs.on_submit_sqe, "io_uring_submit_sqe" },
		{ bpf->progs.on_punt, "io_uring_queue_async_work" },
		{ bpf->progs.on_poll_arm, "io_uring_poll_arm" },
		{ bpf->progs.on_move, "cgroup_attach_task" },
		{ bpf->progs.on_complete, "io_uring_complete" },
		{ bpf->progs.on_rename, o->threads ? "task_rename" : NULL },
		{ bpf->progs.on_user_fault, o->by ? "page_fault_user" : NULL },
	};

	bpf_choose(optional, ARRAY_LEN(optional));
	bpf_program__set_autoload(bpf->progs.on_syscall, !o->no_syscalls);
	bpf_program__set_autoload(bpf->progs.on_syscall_exit, o->latency);
	bpf_program__set_autoload(bpf->progs.on_fork, !preempted);
	bpf_program__set_autoload(bpf->progs.on_first_wakeup, preempted);
	bpf_program__set_autoload(bpf->progs.sum_open, o->times);
	bpf_program__set_autoload(bpf->progs.by_sample,
				  o->by == URT_BY_CONTEXT);
	bpf_choose_events(bpf->obj);
}

/*
 * The range of the code through which a page fault passes. Without the right to
 * see addresses, the range is empty, and such waits count as "other".
 */
static void find_fault_code(struct count_bpf *bpf)
{
	static const char name[] =
#if defined(__x86_64__)
		"asm_exc_page_fault\n";
#else
		"do_mem_abort\n";
#endif
	uint64_t from = 0, to = 0, at;
	FILE *f = fopen("/proc/kallsyms", "re");
	char line[512], buffer[32768], *p;

	/* The kernel lists its own symbols by address: the next symbol is the
	 * end. */
	if (f)
		setvbuf(f, buffer, _IOFBF, sizeof(buffer));
	while (f && !to && fgets(line, sizeof(line), f)) {
		at = strtoull(line, &p, 16);
		if (from && at > from)
			to = at;
		else if (*p && !strcmp(p + 3, name))
			from = at;
	}
	if (f)
		fclose(f);
	bpf->rodata->fault_from = from;
	bpf->rodata->fault_to = to;
}

static void configure(struct counter *c, const struct counter_options *o)
{
	struct count_bpf *bpf = c->bpf;

	choose_programs(bpf, o);
	bpf->rodata->ns_inum = pid_namespace();
	bpf->rodata->nr_execve = __NR_execve;
	bpf->rodata->want_times = o->times;
	bpf->rodata->want_threads = o->threads;
	bpf->rodata->want_latency = o->latency;
	bpf->rodata->empty = o->empty;
	bpf->rodata->by = o->by;
	bpf->rodata->no_inherit = o->inherit;
	bpf->rodata->want_children = o->children;
	c->some_cpus = o->cpus;
	if (o->cpus)
		c->cpus = *o->cpus;
	if (!o->by) {
		bpf_map__set_max_entries(bpf->maps.by_rows, 1);
		bpf_map__set_max_entries(bpf->maps.by_counts, 1);
		bpf_map__set_max_entries(bpf->maps.by_sums, 1);
	}
	bpf->rodata->want_spans = o->by == URT_BY_CONTEXT && !o->cpus;
	if (bpf->rodata->want_spans) {
		bpf_map__set_max_entries(bpf->maps.open_spans, c->nr_cpus);
	} else {
		bpf_map__set_max_entries(bpf->maps.span_sets, 1);
		bpf_map__set_max_entries(bpf->maps.spans_ended,
					 sysconf(_SC_PAGESIZE));
	}
	if (o->by != URT_BY_CONTEXT) {
		bpf_map__set_max_entries(bpf->maps.by_images, 1);
		bpf_map__set_max_entries(bpf->maps.by_where, 1);
	}
	c->max_threads = o->threads ? o->threads + 2 : 2;
	bpf->rodata->max_threads = c->max_threads;
	find_fault_code(bpf);
	bpf_map__set_max_entries(bpf->maps.counts, c->nr_cpus * URT_CLASSES);
	bpf_map__set_max_entries(bpf->maps.calls, c->nr_cpus);
	bpf_map__set_max_entries(bpf->maps.threads, c->max_threads);
}

static int map_entries(struct mapped *m, struct bpf_map *map, size_t size,
		       unsigned n)
{
	size_t page = sysconf(_SC_PAGESIZE);

	m->stride = (size + 7) & ~(size_t)7;
	m->size = (m->stride * n + page - 1) & ~(page - 1);
	m->base = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_SHARED,
		       bpf_map__fd(map), 0);
	if (m->base != MAP_FAILED)
		return 0;
	m->base = NULL;
	return -errno;
}

static int take_span(void *arg, void *data, size_t size)
{
	struct counter *c = arg;

	if (size >= sizeof(struct urt_span))
		c->span(data, c->span_arg);
	return 0;
}

static int map_spans(struct counter *c)
{
	int err;

	if (!c->bpf->rodata->want_spans)
		return 0;
	c->spans_ended = ring_buffer__new(bpf_map__fd(c->bpf->maps.spans_ended),
					  take_span, c, NULL);
	if (!c->spans_ended)
		return -errno;
	err = map_entries(&c->open_spans, c->bpf->maps.open_spans,
			  sizeof(struct urt_span_open), c->nr_cpus);
	if (err)
		return err;
	return map_entries(&c->spans, c->bpf->maps.span_sets,
			   sizeof(struct urt_span_set), 1 << URT_SPAN_SET_BITS);
}

static void detach_samples(struct counter *c)
{
	for (unsigned i = 0; i < c->samples; i++)
		bpf_link__destroy(c->sample[i]);
	c->samples = 0;
}

/* On all CPUs: times that lack one would be too small. Without samples, times on
 * the CPU are n/a. */
static void sample(struct counter *c)
{
	c->sample = calloc(c->nr_cpus, sizeof(*c->sample));
	c->sampled = c->sample &&
		     !bpf_attach_samples(c->bpf->progs.by_sample,
					 c->bpf->rodata->by_period_ns,
					 c->sample, &c->samples, c->nr_cpus);
	if (!c->sampled)
		detach_samples(c);
}

static int load(struct counter *c)
{
	int err = count_bpf__load(c->bpf);

	if (!err)
		err = map_entries(&c->counts, c->bpf->maps.counts,
				  sizeof(struct urt_counts),
				  c->nr_cpus * URT_CLASSES);
	if (!err)
		err = map_entries(&c->calls, c->bpf->maps.calls,
				  sizeof(struct urt_calls), c->nr_cpus);
	if (!err)
		err = map_entries(&c->threads, c->bpf->maps.threads,
				  sizeof(struct urt_thread), c->max_threads);
	if (!err)
		err = map_spans(c);
	if (!err && bpf_program__fd(c->bpf->progs.sum_open) >= 0) {
		/* Now, because the privileges for it are given up later. */
		c->open_link =
			bpf_program__attach_iter(c->bpf->progs.sum_open, NULL);
		err = (int)libbpf_get_error(c->open_link);
		if (err)
			c->open_link = NULL;
	}
	if (!err)
		err = bpf_attach_all(c->bpf->obj, c->link, &c->nr_links);
	if (!err && bpf_program__fd(c->bpf->progs.by_sample) >= 0)
		sample(c);
	return err;
}

struct counter *counter_open_with(const struct counter_options *options,
				  char *why, size_t why_size)
{
	static const struct counter_options defaults;
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct counter *c = calloc(1, sizeof(*c));
	int err;

	if (!c) {
		snprintf(why, why_size, "out of memory");
		return NULL;
	}
	c->stats_fd = -1;
	bpf_setup();
	c->nr_cpus = libbpf_num_possible_cpus();
	setrlimit(RLIMIT_MEMLOCK, &unlimited); /* kernels before 5.11 */
	c->bpf = count_bpf__open();
	if (!c->bpf) {
		bpf_explain(-errno, why, why_size);
		free(c);
		return NULL;
	}
	configure(c, options ? options : &defaults);
	err = load(c);
	if (err) {
		bpf_explain(err, why, why_size);
		counter_close(c);
		return NULL;
	}
	c->has_uring = bpf_program__fd(c->bpf->progs.on_complete) >= 0;
	return c;
}

struct counter *counter_open(char *why, size_t why_size)
{
	return counter_open_with(NULL, why, why_size);
}

static void unmap(struct mapped *m)
{
	if (m->base)
		munmap(m->base, m->size);
}

static void detach(struct counter *c)
{
	for (unsigned i = 0; i < c->nr_links; i++)
		bpf_link__destroy(c->link[i]);
	c->nr_links = 0;
	detach_samples(c);
}

/* The kernel may detach programs later, and they may be running now, with preemption
 * off; the barrier waits for these. */
void counter_stop(struct counter *c)
{
	if (c->bpf->rodata->by) {
		__atomic_store_n(&c->bpf->bss->stopped, true, __ATOMIC_SEQ_CST);
		syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
	}
	detach(c);
}

void counter_close(struct counter *c)
{
	if (!c)
		return;
	detach(c);
	bpf_link__destroy(c->open_link);
	free(c->sample);
	unmap(&c->counts);
	unmap(&c->calls);
	unmap(&c->threads);
	unmap(&c->spans);
	unmap(&c->open_spans);
	ring_buffer__free(c->spans_ended);
	count_bpf__destroy(c->bpf);
	counter_measure_cost(c, false);
	free(c);
}

void counter_start_at_exec(struct counter *c, pid_t pid)
{
	__atomic_store_n(&c->bpf->bss->start_tgid, pid, __ATOMIC_SEQ_CST);
}

/* Once through all tasks. */
static int run_iterator(struct bpf_link *link)
{
	int fd = bpf_iter_create(bpf_link__fd(link)), err;
	char buf[64];
	ssize_t n;

	if (fd < 0)
		return -errno;
	while ((n = read(fd, buf, sizeof(buf))) > 0 ||
	       (n < 0 && (errno == EAGAIN || errno == EINTR)))
		;
	err = n < 0 ? -errno : 0;
	close(fd);
	return err;
}

/* First io_uring's threads, then the others. */
static int find_threads(struct counter *c)
{
	struct bpf_link *link =
		bpf_program__attach_iter(c->bpf->progs.find_threads, NULL);
	int err = (int)libbpf_get_error(link);

	if (err)
		return err;
	__atomic_store_n(&c->bpf->bss->attach_io_threads, 1, __ATOMIC_SEQ_CST);
	err = run_iterator(link);
	__atomic_store_n(&c->bpf->bss->attach_io_threads, 0, __ATOMIC_SEQ_CST);
	if (!err)
		err = run_iterator(link);
	bpf_link__destroy(link);
	return err;
}

/* Once its threads are found, they are known by themselves. */
static int attach_process(struct counter *c, pid_t pid, int rounds)
{
	int *number = &c->bpf->bss->attach_tgid, err = 0;

	__atomic_store_n(number, pid, __ATOMIC_SEQ_CST);
	for (int i = 0; i < rounds && !err; i++)
		err = find_threads(c);
	__atomic_store_n(number, 0, __ATOMIC_SEQ_CST);
	return err;
}

int counter_attach(struct counter *c, pid_t pid)
{
	return attach_process(c, pid, 1);
}

/* Twice, because a process that was not seen yet may have forked a child. */
int counter_attach_children(struct counter *c, pid_t pid)
{
	return attach_process(c, pid, 2);
}

int counter_attach_thread(struct counter *c, pid_t tid)
{
	__atomic_store_n(&c->bpf->bss->attach_tid, tid, __ATOMIC_SEQ_CST);
	return find_threads(c);
}

int counter_attach_all(struct counter *c)
{
	__atomic_store_n(&c->bpf->bss->attach_all, true, __ATOMIC_SEQ_CST);
	return find_threads(c);
}

/* A cgroup's id is the number of its directory. */
int counter_attach_cgroup(struct counter *c, const char *directory)
{
	struct stat st;
	struct statfs fs;

	if (statfs(directory, &fs) || stat(directory, &st))
		return -errno;
	if (fs.f_type != CGROUP2_SUPER_MAGIC)
		return -EMEDIUMTYPE;
	__atomic_store_n(&c->bpf->bss->cgroup_id, st.st_ino, __ATOMIC_SEQ_CST);
	return find_threads(c);
}

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

int counter_read(struct counter *c, struct counts *out)
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
	return 0;
}

bool counter_open_times(struct counter *c, struct urt_open_times *out)
{
	memset(out, 0, sizeof(*out));
	if (!c->open_link)
		return false;
	memset(&c->bpf->bss->open_times, 0, sizeof(*out));
	if (run_iterator(c->open_link))
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

/* The key of a row, by a search of all rows; there are few. */
static const struct urt_by_key *key_of(int map, uint32_t row,
				       struct urt_by_key *key)
{
	struct urt_by_key *last = NULL;
	uint32_t found;

	while (!bpf_map_get_next_key(map, last, key)) {
		last = key;
		if (!bpf_map_lookup_elem(map, key, &found) && found == row)
			return key;
	}
	return NULL;
}

void counter_by_read(struct counter *c, counter_by_fn *f, void *arg)
{
	int map = bpf_map__fd(c->bpf->maps.by_counts);
	int sums = bpf_map__fd(c->bpf->maps.by_sums);
	int rows = bpf_map__fd(c->bpf->maps.by_rows);
	uint64_t *of_cpu = calloc(c->nr_cpus, sizeof(*of_cpu));
	struct urt_by_count count, *last = NULL;
	struct urt_by_key key;

	while (of_cpu && !bpf_map_get_next_key(map, last, &count)) {
		uint64_t n;
		uint32_t at;

		last = &count;
		if (bpf_map_lookup_elem(map, &count, &at) ||
		    bpf_map_lookup_elem(sums, &at, of_cpu))
			continue;
		n = sum_of_cpus(c, of_cpu);
		if (n)
			f(count.row, key_of(rows, count.row, &key), &count, n,
			  arg);
	}
	free(of_cpu);
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
		c->bpf->bss->span_events_lost++;
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
