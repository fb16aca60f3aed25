// SPDX-License-Identifier: MIT
/* Preparing BPF objects for the running kernel; see bpf_setup.h. Parsing the
 * kernel's BTF takes some 50 ms, so each function here does it once. */
#include "bpf_setup.h"
#include "../lib/privileges.h"
#include "../lib/proc.h"
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

static int print(enum libbpf_print_level level, const char *format,
		 va_list args)
{
	(void)level;
	return getenv("URT_BPF_LOG") ? vfprintf(stderr, format, args) : 0;
}

void bpf_setup(void)
{
	libbpf_set_print(print);
#if LIBBPF_MAJOR_VERSION == 0
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
#endif
}

/* 0 or -errno. libbpf before 1.0 knows no enumerations of 64 bits, which Linux has
 * since 6.0. */
static int read_kernel_types(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int err = libbpf_get_error(btf);

	if (!err)
		btf__free(btf);
	return err;
}

static bool lacks_room(int err)
{
	return err == -EMFILE || err == -ENFILE || err == -ENOMEM;
}

static void did_not_load(int err, char *why, size_t size)
{
	snprintf(why, size,
		 "the BPF programs did not load: %s (URT_BPF_LOG=1 shows the "
		 "log)",
		 strerror(-err));
}

void bpf_explain(int err, char *why, size_t size)
{
	int types = lacks_room(err) ? err : read_kernel_types();

	if (bpf_is_refused(err))
		snprintf(why, size, "%s", bpf_refusal());
	else if (lacks_room(types))
		did_not_load(types, why, size);
	else if (!sysfs_is_mounted())
		snprintf(why, size,
			 "no /sys/kernel here, where BPF finds the kernel's "
			 "types: as root, mount -t sysfs sysfs /sys");
	else if (access("/sys/kernel/btf/vmlinux", R_OK))
		snprintf(why, size,
			 "this kernel gives no BTF (/sys/kernel/btf/vmlinux): "
			 "it has to be built with CONFIG_DEBUG_INFO_BTF");
	else if (types)
		snprintf(
			why, size,
			"this libbpf cannot read the types of Linux 6.0 and "
			"later: use the static urt of a release, or build with "
			"libbpf 1.0 or later");
	else
		did_not_load(err, why, size);
}

/* The type of the tracepoint's function pointer; 0: the kernel lacks it. */
static unsigned find(const struct btf *btf, const char *tracepoint)
{
	char name[64];
	int id;

	if (!btf)
		return 0;
	snprintf(name, sizeof(name), "btf_trace_%s", tracepoint);
	id = btf__find_by_name_kind(btf, name, BTF_KIND_TYPEDEF);
	return id > 0 ? btf__type_by_id(btf, id)->type : 0;
}

void bpf_choose(const struct bpf_optional *o, unsigned n)
{
	struct btf *btf = btf__load_vmlinux_btf();

	for (unsigned i = 0; i < n; i++)
		bpf_program__set_autoload(o[i].program,
					  o[i].tracepoint &&
						  find(btf, o[i].tracepoint));
	btf__free(btf);
}

int bpf_load(struct bpf_object_skeleton *s)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	err = bpf_object__load_skeleton(s);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return err;
}

int bpf_iterate(struct bpf_link *link)
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

int bpf_attach(struct bpf_program *p, struct bpf_link **link, unsigned *links)
{
	struct bpf_link *attached = bpf_program__attach(p);

	if (libbpf_get_error(attached))
		return (int)libbpf_get_error(attached);
	link[(*links)++] = attached;
	return 0;
}

/* NAME_event of the program NAME; or NULL. */
static struct bpf_program *event_of(const struct bpf_object *o,
				    const struct bpf_program *p)
{
	char name[64];

	snprintf(name, sizeof(name), "%s_event", bpf_program__name(p));
	return bpf_object__find_program_by_name(o, name);
}

void bpf_choose_events(struct bpf_object *o)
{
	bool preempted = bpf_can_be_preempted();
	struct bpf_program *p, *event;

	bpf_object__for_each_program(p, o)
	{
		event = event_of(o, p);
		if (event)
			bpf_program__set_autoload(
				event, preempted && bpf_program__autoload(p));
	}
}

/* Iterators and samples are attached by those who use them, and NAME_event with
 * NAME; a raw_tp without a tracepoint is run by its fd. */
static bool is_attached_elsewhere(const struct bpf_program *p)
{
	const char *section = bpf_program__section_name(p);
	const char *end = strrchr(bpf_program__name(p), '_');

	return !strncmp(section, "iter/", 5) ||
	       !strcmp(section, "perf_event") || !strcmp(section, "raw_tp") ||
	       (end && !strcmp(end, "_event"));
}

int bpf_attach_all(struct bpf_object *o, struct bpf_link **link,
		   unsigned *links)
{
	struct bpf_program *p, *event;
	int err = 0;

	bpf_object__for_each_program(p, o)
	{
		if (err || bpf_program__fd(p) < 0 || is_attached_elsewhere(p))
			continue;
		event = event_of(o, p);
		if (!event || bpf_program__fd(event) < 0 ||
		    bpf_attach(event, link, links))
			err = bpf_attach(p, link, links);
	}
	return err;
}

int bpf_attach_samples(struct bpf_program *p, int64_t period_ns,
		       struct bpf_link **link, unsigned *links, unsigned max)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = period_ns,
		.exclude_idle = 1,
	};
	int cpus = libbpf_num_possible_cpus(), none = -ENODEV;

	for (int cpu = 0; cpu < cpus && *links < max; cpu++) {
		int fd = syscall(SYS_perf_event_open, &attr, -1, cpu, -1,
				 PERF_FLAG_FD_CLOEXEC);
		struct bpf_link *attached;

		if (fd < 0 && errno == ENODEV)
			continue; /* the CPU is offline */
		if (fd < 0)
			return -errno;
		attached = bpf_program__attach_perf_event(p, fd);
		if (libbpf_get_error(attached)) {
			close(fd);
			return (int)libbpf_get_error(attached);
		}
		link[(*links)++] = attached; /* owns fd */
		none = 0;
	}
	return none;
}

bool bpf_can_be_preempted(void)
{
	struct utsname u;

	return !uname(&u) && atoi(u.release) >= 7;
}

uint64_t bpf_missed(struct bpf_object *o)
{
	struct bpf_program *p;
	uint64_t n = 0;

	bpf_object__for_each_program(p, o)
	{
		struct bpf_prog_info info = { 0 };
		uint32_t len = sizeof(info);

		if (bpf_program__fd(p) >= 0 &&
		    !bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &len))
			n += info.recursion_misses;
	}
	return n;
}

unsigned bpf_tracepoint_args(const char *tracepoint)
{
	struct btf *btf = btf__load_vmlinux_btf();
	unsigned id = find(btf, tracepoint), args = 0;
	const struct btf_type *t = id ? btf__type_by_id(btf, id) : NULL;

	if (t)
		t = btf__type_by_id(btf, t->type); /* the pointer's prototype */
	if (t)
		args = btf_vlen(t) - 1; /* the first is the program's own */
	btf__free(btf);
	return args;
}
