// SPDX-License-Identifier: MIT
/* Loading, attaching and reading the BPF programs; see counter.h. */
#define _GNU_SOURCE
#include "counter.h"
#include "tool.h"
#include "urt.skel.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

struct counter {
	struct urt_bpf *bpf;
	struct bpf_link *link[8];
	unsigned nr_links;
	bool has_uring; /* the kernel has the tracepoints of io_uring */
	int stats_fd;	/* keeps the kernel's run-time statistics on; or < 0 */
	int nr_cpus;
	struct urt_counts *per_cpu; /* room for one entry of all CPUs */
};

static int silent(enum libbpf_print_level level, const char *format,
		  va_list args)
{
	if (getenv("URT_BPF_LOG"))
		return vfprintf(stderr, format, args);
	return 0;
}

static bool has_tracepoint(const char *name)
{
	return libbpf_find_vmlinux_btf_id(name, BPF_TRACE_RAW_TP) > 0;
}

/* Tracepoints that a kernel may lack: io_uring not built in, or renamed. */
static void choose_programs(struct urt_bpf *bpf)
{
	struct {
		struct bpf_program *program;
		const char *tracepoint;
	} optional[] = {
		{ bpf->progs.on_submit_req, "io_uring_submit_req" },
		{ bpf->progs.on_submit_sqe, "io_uring_submit_sqe" },
		{ bpf->progs.on_punt, "io_uring_queue_async_work" },
		{ bpf->progs.on_complete, "io_uring_complete" },
	};

	for (unsigned i = 0; i < ARRAY_LEN(optional); i++)
		bpf_program__set_autoload(
			optional[i].program,
			has_tracepoint(optional[i].tracepoint));
}

static int attach_all(struct counter *c)
{
	struct bpf_program *p;

	bpf_object__for_each_program(p, c->bpf->obj)
	{
		struct bpf_link *link;

		if (p == c->bpf->progs.find_threads || bpf_program__fd(p) < 0)
			continue;
		link = bpf_program__attach(p);
		if (libbpf_get_error(link))
			return (int)libbpf_get_error(link);
		c->link[c->nr_links++] = link;
	}
	return 0;
}

static void explain(int err, char *why, size_t size)
{
	if (access("/sys/kernel/btf/vmlinux", R_OK))
		snprintf(why, size,
			 "this kernel gives no BTF (/sys/kernel/btf/vmlinux): "
			 "it has to be built with CONFIG_DEBUG_INFO_BTF");
	else if (err == EPERM || err == EACCES)
		snprintf(why, size,
			 "no privilege for BPF: run as root (sudo), or with "
			 "CAP_BPF and CAP_PERFMON; in a container, "
			 "--privileged");
	else
		snprintf(why, size,
			 "the BPF programs did not load: %s (URT_BPF_LOG=1 "
			 "shows the log)",
			 strerror(err));
}

struct counter *counter_open(char *why, size_t why_size)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct counter *c = calloc(1, sizeof(*c));
	int err;

	if (!c) {
		snprintf(why, why_size, "out of memory");
		return NULL;
	}
	c->stats_fd = -1;
	libbpf_set_print(silent);
#if LIBBPF_MAJOR_VERSION == 0
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
#endif
	setrlimit(RLIMIT_MEMLOCK, &unlimited); /* kernels before 5.11 */
	c->bpf = urt_bpf__open();
	if (!c->bpf) {
		explain(errno, why, why_size);
		goto out_free;
	}
	choose_programs(c->bpf);
	c->bpf->rodata->nr_execve = __NR_execve;
	err = urt_bpf__load(c->bpf);
	if (!err)
		err = attach_all(c);
	if (err) {
		explain(-err, why, why_size);
		goto out_close;
	}
	c->nr_cpus = libbpf_num_possible_cpus();
	c->per_cpu = calloc(c->nr_cpus, sizeof(*c->per_cpu));
	if (!c->per_cpu) {
		snprintf(why, why_size, "out of memory");
		goto out_close;
	}
	c->has_uring = bpf_program__fd(c->bpf->progs.on_complete) >= 0;
	return c;
out_close:
	counter_close(c);
	return NULL;
out_free:
	free(c);
	return NULL;
}

void counter_close(struct counter *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < c->nr_links; i++)
		bpf_link__destroy(c->link[i]);
	urt_bpf__destroy(c->bpf);
	if (c->stats_fd >= 0)
		close(c->stats_fd);
	free(c->per_cpu);
	free(c);
}

void counter_start_at_exec(struct counter *c, pid_t pid)
{
	__atomic_store_n(&c->bpf->bss->start_tgid, pid, __ATOMIC_SEQ_CST);
}

static int run_iterator(struct counter *c)
{
	struct bpf_link *link =
		bpf_program__attach_iter(c->bpf->progs.find_threads, NULL);
	int fd, err = (int)libbpf_get_error(link);
	char buf[64];
	ssize_t n;

	if (err)
		return err;
	fd = bpf_iter_create(bpf_link__fd(link));
	if (fd < 0) {
		bpf_link__destroy(link);
		return -errno;
	}
	while ((n = read(fd, buf, sizeof(buf))) > 0 ||
	       (n < 0 && (errno == EAGAIN || errno == EINTR)))
		;
	err = n < 0 ? -errno : 0;
	close(fd);
	bpf_link__destroy(link);
	return err;
}

int counter_attach(struct counter *c, pid_t pid)
{
	int err;

	__atomic_store_n(&c->bpf->bss->attach_io_threads, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&c->bpf->bss->attach_tgid, pid, __ATOMIC_SEQ_CST);
	err = run_iterator(c);
	__atomic_store_n(&c->bpf->bss->attach_io_threads, 0, __ATOMIC_SEQ_CST);
	return err ? err : run_iterator(c);
}

static void add(void *to, const void *from, size_t size, int sign)
{
	uint64_t *t = to;
	const uint64_t *f = from;

	for (size_t i = 0; i < size / sizeof(*t); i++)
		t[i] += sign * f[i];
}

int counter_read(struct counter *c, struct counts *out)
{
	int fd = bpf_map__fd(c->bpf->maps.counts);

	memset(out, 0, sizeof(*out));
	for (uint32_t class = 0; class < URT_CLASSES; class ++) {
		if (bpf_map_lookup_elem(fd, &class, c->per_cpu))
			return -errno;
		for (int cpu = 0; cpu < c->nr_cpus; cpu++)
			add(&out->class[class], &c -> per_cpu[cpu],
			    sizeof(*c->per_cpu), 1);
	}
	out->lost = __atomic_load_n(&c->bpf->bss->lost, __ATOMIC_SEQ_CST);
	return 0;
}

void counts_subtract(struct counts *a, const struct counts *b)
{
	add(a, b, sizeof(*a), -1);
}

bool counter_has_uring(const struct counter *c)
{
	return c->has_uring;
}

void counter_measure_cost(struct counter *c)
{
	c->stats_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
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
	return sum(c->class[URT_CLASS_APP].syscalls, URT_SYSCALL_SLOTS);
}

uint64_t counts_submitted(const struct counts *c)
{
	uint64_t n = 0;

	for (int i = 0; i < URT_CLASSES; i++)
		n += sum(c->class[i].submitted, URT_URING_OPS);
	return n;
}

uint64_t counts_punted(const struct counts *c)
{
	uint64_t n = 0;

	for (int i = 0; i < URT_CLASSES; i++)
		n += sum(c->class[i].punted, URT_URING_OPS);
	return n;
}

bool counts_all_ended(const struct counts *c)
{
	const struct urt_counts *app = &c->class[URT_CLASS_APP];

	return app->ended == app->tasks;
}

uint64_t counts_completed(const struct counts *c)
{
	uint64_t n = 0;

	for (int i = 0; i < URT_CLASSES; i++)
		n += c->class[i].completed;
	return n;
}
