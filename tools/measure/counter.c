// SPDX-License-Identifier: MIT
/* Loading and attaching the BPF programs; see counter.h. */
#define _GNU_SOURCE
#include "../lib/privileges.h"
#include "../lib/tool.h"
#include "bpf_setup.h"
#include "counter_parts.h"
#include "user_map.h"
#include <errno.h>
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
		{ bpf->progs.on_refused, "io_uring_req_failed" },
		{ bpf->progs.on_overflow, "io_uring_cqe_overflow" },
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
	user_map_choose(bpf, o->by == URT_BY_CONTEXT);
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
	int err = bpf_load(c->bpf->skeleton);

	if (!err && c->bpf->rodata->by == URT_BY_CONTEXT)
		user_map_find(c->bpf);
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

/* First io_uring's threads, then the others. */
static int find_threads(struct counter *c)
{
	struct bpf_link *link =
		bpf_program__attach_iter(c->bpf->progs.find_threads, NULL);
	int err = (int)libbpf_get_error(link);

	if (err)
		return err;
	__atomic_store_n(&c->bpf->bss->attach_io_threads, 1, __ATOMIC_SEQ_CST);
	err = bpf_iterate(link);
	__atomic_store_n(&c->bpf->bss->attach_io_threads, 0, __ATOMIC_SEQ_CST);
	if (!err)
		err = bpf_iterate(link);
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
