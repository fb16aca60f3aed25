// SPDX-License-Identifier: MIT
/* urt doctor: the features of this machine, and the command that adds each
 * missing one. */
#define _GNU_SOURCE
#include "../../uring_rt/ring/ring.h"
#include "../../uring_rt/watch/watch.h"
#include "../measure/counter.h"
#include "../measure/perf.h"
#include "doctor.h"
#include "../../uring_rt/base/assist.h"
#include "../lib/options.h"
#include "../lib/privileges.h"
#include "../lib/proc.h"
#include "../service/language.h"
#include "../lib/tool.h"
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <errno.h>
#include <linux/magic.h>

static void look_at_ring(void)
{
	static struct urt__stats_slot stats;
	struct urt__ring ring;
	char have[200] = "", lack[200] = "";
	int err = urt__ring_init(&ring, 64, URT__FEATURES_ALL, &stats);
	long off = proc_number("/proc/sys/kernel/io_uring_disabled", 0);

	if (err == -EPERM && off)
		doctor_found("io_uring", false,
			     "switched off: as root, sysctl "
			     "kernel.io_uring_disabled=0");
	else if (err == -EPERM || err == -EACCES ||
		 (err == -ENOSYS && seccomp_is_filtering()))
		doctor_found(
			"io_uring", false,
			"forbidden, probably by a container's seccomp profile: "
			"docker run --security-opt seccomp=FILE, where FILE is "
			"PREFIX/share/uring_rt/seccomp.json");
	else if (err)
		doctor_found("io_uring", false,
			     "%s: Linux 6.1 or later is needed",
			     strerror(-err));
	if (err)
		return;
	for (unsigned i = 0; i < URT__FEATURE_COUNT; i++) {
		bool has = ring.features & (1u << i);
		char *list = has ? have : lack;

		/* Features of the ring; the others show when they are used. */
		if (i > URT__FEATURE_BIT_REG_RING &&
		    i != URT__FEATURE_BIT_NO_IOWAIT)
			continue;
		snprintf(list + strlen(list), 200 - strlen(list), " %s",
			 urt__feature_info[i].name);
	}
	doctor_found("io_uring", true, "works, with%s%s%s",
		     *have ? have : " nothing",
		     *lack ? "; this kernel lacks" : "", lack);
	doctor_look_at_operations(urt__ring_ops(&ring));
	urt__ring_destroy(&ring);
}

static void look_at_bpf(void)
{
	char why[256];
	struct counter *c = counter_open(why, sizeof(why));

	doctor_found("eBPF", c, "%s", c ? "the counting programs load" : why);
	counter_close(c);
}

/* The user's locked memory, which rings take (io_uring_setup(2)). */
static void look_at_locked_memory(void)
{
	struct urt_options o = { 0 };
	struct rlimit r;
	size_t need;
	bool ok;

	getrlimit(RLIMIT_MEMLOCK, &r);
	if (r.rlim_cur == RLIM_INFINITY || urt__options_check(&o)) {
		doctor_found("memlock", true, "no limit");
		return;
	}
	need = urt__options_locked(&o);
	ok = r.rlim_cur >= need || !geteuid();
	doctor_found("memlock", ok,
		     "ulimit -l is %llu KiB for all programs of %s; a run with "
		     "%u worker%s needs %zu KiB for its rings, and registered "
		     "buffers count%s",
		     (unsigned long long)r.rlim_cur / 1024,
		     geteuid() ? "the user" : "a user other than root",
		     o.workers, o.workers > 1 ? "s" : "", need / 1024,
		     ok ? ""
			: ": raise it (ulimit -l, limits.conf, systemd's "
			  "LimitMEMLOCK=)");
}

static void look_at_limits(void)
{
	struct rlimit r;
	long maps = proc_number("/proc/sys/vm/max_map_count", 0);
	long pids = proc_number("/proc/sys/kernel/pid_max", 0);

	look_at_locked_memory();
	getrlimit(RLIMIT_NOFILE, &r);
	doctor_found("descriptors", r.rlim_max >= 4096,
		     "%ld open files now, %ld at most%s", (long)r.rlim_cur,
		     (long)r.rlim_max,
		     r.rlim_max >= 4096 ? "" : ": raise it (ulimit -Hn 65536)");
	if (!maps || !pids) {
		doctor_found("limits", false,
			     "threads and mappings: /proc/sys cannot be read");
		return;
	}
	doctor_found("threads", pids >= 1024,
		     "pid_max is %ld: the thread model ends there", pids);
	doctor_found(
		"mappings", maps >= 65530,
		"max_map_count is %ld: matters to kernels before 6.13, where a "
		"stack guard is a mapping",
		maps);
}

/* The requirements of BPF, each by itself, so that the missing one is named. */
static void look_at_btf(void)
{
	bool ok = !access("/sys/kernel/btf/vmlinux", R_OK);

	doctor_found(
		"BTF", ok, "%s",
		ok ? "/sys/kernel/btf/vmlinux can be read"
		: !sysfs_is_mounted()
			? "no /sys/kernel/btf/vmlinux: as root, mount -t sysfs sysfs /sys"
			: "the kernel gives no /sys/kernel/btf/vmlinux: it has to be "
			  "built with CONFIG_DEBUG_INFO_BTF; urt falls back to perf "
			  "events");
}

static void look_at_privileges(void)
{
	bool inside = in_user_namespace(), filtered = seccomp_is_filtering();
	bool ok = may_use_bpf() && !inside;

	doctor_found(
		"privileges", ok, "%s",
		ok ? "BPF is allowed to this process"
		: inside
			? bpf_refusal()
			: "neither CAP_SYS_ADMIN nor CAP_BPF and CAP_PERFMON: sudo "
			  "urt ..., or setcap cap_bpf,cap_perfmon+ep on the command");
	doctor_found(
		"seccomp", !filtered, "%s",
		filtered
			? "system calls are filtered, as in a container: docker "
			  "run --security-opt seccomp=unconfined"
			: "no system calls are filtered");
}

/* urt dump, user switches and names of functions need the memory of programs. */
static void look_at_others(void)
{
	long scope = proc_number("/proc/sys/kernel/yama/ptrace_scope", 0);
	bool inside = in_user_namespace();
	bool ok = may_trace_others() && !inside;

	doctor_found(
		"other users", ok, "%s",
		ok	 ? "the memory of their programs can be read"
		: inside ? "the memory of programs outside this user namespace "
			   "cannot be read"
		: scope > 0
			? "of programs that urt did not start, no memory can be "
			  "read: run as root (sudo); for one's own programs, "
			  "as root, sysctl kernel.yama.ptrace_scope=0"
			: "the memory of their programs cannot be read: run as "
			  "root (sudo), or with CAP_SYS_PTRACE (docker run "
			  "--cap-add SYS_PTRACE)");
}

/* Loads the reporting program for process 1, which gets no reports. */
static void look_at_assistance(void)
{
	struct urt__assisted nobody = { .pid = 1 };
	struct urt__assist a;
	int err = urt__assist_load(&a, &nobody);

	if (!err)
		urt__assist_unload(&a);
	doctor_found(
		"assist", !err, "%s%s",
		bpf_is_refused(err) ? bpf_refusal()
		: err		    ? strerror(-err)
				    : "BPF can report a program's blocked threads to it at once: URT_ASSIST=on or urt assist",
		err ? "; blocked threads are found by looking, 1 to 2 ms later"
		    : "");
}

static bool is_of_type(const char *path, unsigned long magic)
{
	struct statfs s;

	return !statfs(path, &s) && (unsigned long)s.f_type == magic;
}

#define ONLY_PERF "only perf events without BPF need it"

/*
 * Perf events find the numbers of their tracepoints there. Its files belong to
 * root and to the group of the mount: a user who may list the directory may
 * still not be allowed to read them.
 */
static void look_at_tracefs(void)
{
	static const char *const at[] = { "/sys/kernel/tracing",
					  "/sys/kernel/debug/tracing" };
	const char *there = NULL;
	bool has_none = false;
	char path[96];

	for (unsigned i = 0; i < ARRAY_LEN(at); i++) {
		snprintf(path, sizeof(path),
			 "%s/events/raw_syscalls/sys_enter/id", at[i]);
		if (!access(path, R_OK)) {
			doctor_found("tracefs", true,
				     "mounted: perf events count system calls "
				     "and io_uring");
			return;
		}
		if (there || !is_of_type(at[i], TRACEFS_MAGIC))
			continue;
		there = at[i];
		has_none = access(path, F_OK) && errno == ENOENT;
	}
	if (!sysfs_is_mounted())
		doctor_found("tracefs", false,
			     "no /sys/kernel: as root, mount -t sysfs sysfs "
			     "/sys; " ONLY_PERF);
	else if (!there)
		doctor_found("tracefs", false,
			     "not mounted: as root, mount -t tracefs tracefs "
			     "/sys/kernel/tracing; " ONLY_PERF);
	else if (has_none)
		doctor_found("tracefs", false,
			     "this kernel has no tracepoints of system calls "
			     "(CONFIG_FTRACE_SYSCALLS); " ONLY_PERF);
	else
		doctor_found("tracefs", false,
			     "mounted, but closed to this user: as root, mount "
			     "-o remount,mode=750,gid=%u %s; " ONLY_PERF,
			     getegid(), there);
}

static void look_at_perf(void)
{
	struct perf_counts *p = NULL;
	char why[256];
	bool ok = perf_open(&p, getpid(), false, why, sizeof(why));

	perf_close(p);
	if (!ok && access("/proc/sys/kernel/perf_event_paranoid", R_OK)) {
		doctor_found(
			"perf events", false,
			"the rung below BPF; perf_event_paranoid cannot be "
			"read: this kernel has no perf events, or /proc/sys "
			"is hidden");
		return;
	}
	doctor_found("perf events", ok, "the rung below BPF%s%s",
		     ok ? ", allowed to this process" : "; ", ok ? "" : why);
}

static void look_at_cgroups(void)
{
	bool ok = !access("/sys/fs/cgroup/cgroup.procs", R_OK) ||
		  !access("/sys/fs/cgroup/unified/cgroup.procs", R_OK);

	doctor_found(
		"cgroups", ok, "%s",
		ok ? "a cgroup2 mount is there: urt stat -G"
		: !sysfs_is_mounted()
			? "no /sys/fs/cgroup: as root, mount -t sysfs sysfs /sys"
		: is_of_type("/sys/fs/cgroup", SYSFS_MAGIC)
			? "no cgroup2 mount for urt stat -G: as root, mount -t "
			  "cgroup2 none /sys/fs/cgroup"
			: "no cgroup2 mount for urt stat -G: as root, mkdir -p "
			  "/sys/fs/cgroup/unified && mount -t cgroup2 none "
			  "/sys/fs/cgroup/unified");
}

static void look_at_tools(void)
{
	static const struct {
		const char *name, *command, *otherwise;
	} tools[] = {
		{ "strace", "strace -V 2>/dev/null", "`make deps`" },
		{ "perf", "perf version 2>/dev/null",
		  "the package linux-perf, linux-tools-generic or perf" },
		{ "bpftool",
		  "{ bpftool version || /usr/sbin/bpftool version; "
		  "} 2>/dev/null",
		  "`make deps`" },
		{ "clang", "clang --version 2>/dev/null", "`make deps`" },
	};
	char version[64];

	for (unsigned i = 0; i < ARRAY_LEN(tools); i++) {
		command_first_line(tools[i].command, version, sizeof(version));
		doctor_found(tools[i].name, *version, "%s%s",
			     *version ? version
				      : "not installed; only to build or to "
					"compare with: ",
			     *version ? "" : tools[i].otherwise);
	}
}

static void look_at_peers(void)
{
	char version[64];

	for (unsigned i = 0; i < nr_languages; i++) {
		if (!languages[i].version)
			continue;
		language_version(i, version, sizeof(version));
		doctor_found(languages[i].name, *version, "%s",
			     *version ? version
				      : "not installed: `make peers`");
	}
}

static void print_json(void)
{
	struct json j = { .out = stdout };
	const struct finding *f;

	json_object(&j, NULL);
	json_string(&j, "schema", "urt.doctor.v1");
	json_array(&j, "findings");
	for (unsigned i = 0; (f = doctor_finding(i)); i++) {
		json_object(&j, NULL);
		json_string(&j, "name", f->name);
		json_string(&j, "ok", f->ok ? "yes" : "no");
		json_string(&j, "text", f->text);
		json_end_object(&j);
	}
	json_end_array(&j);
	json_end_object(&j);
}

/* Whether all findings of that name are fine. */
static bool fine(const char *name)
{
	const struct finding *f;

	for (unsigned i = 0; (f = doctor_finding(i)); i++)
		if (!strcmp(f->name, name) && !f->ok)
			return false;
	return true;
}

static const struct option_row rows[] = {
	{ .name = "json",
	  .kind = OPTION_FLAG,
	  .text = "Print one JSON document (schema urt.doctor.v1)." },
};

const struct command command_doctor = {
	.name = "doctor",
	.run = cmd_doctor,
	.what = "check this machine for missing features",
	.usage = "[OPTIONS]",
	.about =
		"Prints the features of this machine, and the command that adds each missing one. The exit status is 1 if io_uring or eBPF cannot be used.",
	OPTIONS(rows),
};

int cmd_doctor(int argc, char **argv)
{
	const struct finding *f;
	struct utsname u;
	int major = 0, minor = 0, first;
	bool json = false;

	first = options_parse(&command_doctor, argc, argv, &json);
	if (first < 0)
		return EXIT_BAD;
	if (first < argc)
		return fail("doctor: unexpected argument \"%s\"", argv[first]);
	uname(&u);
	sscanf(u.release, "%d.%d", &major, &minor);
	doctor_found("kernel", major > 6 || (major == 6 && minor >= 1),
		     "Linux %s%s", u.release,
		     major > 6 || (major == 6 && minor >= 1)
			     ? ""
			     : ": 6.1 or later is supported");
	look_at_ring();
	look_at_bpf();
	look_at_btf();
	look_at_privileges();
	look_at_others();
	look_at_assistance();
	doctor_look_at_container();
	look_at_perf();
	look_at_tracefs();
	look_at_cgroups();
	look_at_limits();
	look_at_tools();
	look_at_peers();
	if (json)
		print_json();
	else
		for (unsigned i = 0; (f = doctor_finding(i)); i++)
			printf("%-3s  %-12s %s\n", f->ok ? "ok" : "NO", f->name,
			       f->text);
	return fine("io_uring") && fine("eBPF") ? 0 : EXIT_BAD;
}
