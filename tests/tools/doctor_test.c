// SPDX-License-Identifier: MIT
/*
 * `urt doctor` where a feature is removed: by a seccomp filter, namespaces,
 * mounts, and, without the command, operations of io_uring. Runs in the build
 * directory.
 */
#define _GNU_SOURCE
#include "../../tools/doctor/doctor.h"
#include "../lib/test.h"
#include "../lib/tool_run.h"
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Whether text, which is JSON, says that `name` is so. */
static bool finding(const char *name, const char *ok)
{
	char key[80];

	snprintf(key, sizeof(key), "{\"name\":\"%s\",\"ok\":\"%s\"", name, ok);
	return strstr(text, key);
}

/* Filters as a container's profile does; some profiles answer ENOSYS. False:
 * there is no seccomp here. Each test is a process of its own. */
static bool forbid(unsigned call, int with)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | with),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { ARRAY_LEN(filter), filter };

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	return !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

START_TEST(doctor_sees_a_seccomp_filter)
{
	if (!forbid(SYS_io_uring_setup, EPERM))
		SKIP("no seccomp here");
	ck_assert_int_eq(sh("./urt doctor --json"), 1);
	ck_assert(finding("seccomp", "no"));
	ck_assert(finding("io_uring", "no"));
	ck_assert_ptr_nonnull(strstr(text, "seccomp profile"));
}
END_TEST

START_TEST(doctor_blames_the_filter_that_forbids_bpf)
{
	int with = _i ? ENOSYS : EPERM;

	NEED_BPF();
	if (!forbid(SYS_bpf, with) || !forbid(SYS_perf_event_open, with))
		SKIP("no seccomp here");
	ck_assert_int_eq(sh("./urt doctor --json"), 1);
	ck_assert(finding("privileges", "yes"));
	ck_assert(finding("eBPF", "no"));
	ck_assert(finding("perf events", "no"));
	ck_assert_ptr_nonnull(strstr(text, "a seccomp filter forbids bpf(2)"));
	ck_assert_ptr_nonnull(
		strstr(text, "filter forbids perf_event_open(2)"));
	ck_assert_ptr_null(strstr(text, "did not load"));
	ck_assert_ptr_null(strstr(text, "not implemented"));
	ck_assert_int_eq(sh("./urt stat --json -- true 2>&1"), 0);
	ck_assert_ptr_nonnull(strstr(text, "a seccomp filter forbids bpf(2)"));
	ck_assert_int_eq(sh("./urt stat -- true 2>&1"), 0);
	ck_assert_ptr_nonnull(strstr(text, "`urt doctor` prints what is"));
}
END_TEST

START_TEST(doctor_tells_a_closed_tracefs_from_none)
{
	const char *in =
		"unshare -m sh -c '{ test -d /sys/kernel/tracing/events || "
		"mount -t tracefs none /sys/kernel/tracing; }";

	if (sh("%s' 2>&1", in))
		SKIP("no tracefs can be mounted here");
	if (!sh("%s && setpriv --reuid 65534 --regid 65534 --clear-groups "
		"ls /sys/kernel/tracing/events' 2>&1",
		in))
		SKIP("tracefs is open to all here");
	if (sh("cp urt /tmp/urt-doctor && setpriv --reuid 65534 "
	       "/tmp/urt-doctor version 2>&1"))
		SKIP("no other user to run as");
	sh("%s && setpriv --reuid 65534 --regid 65534 --clear-groups "
	   "/tmp/urt-doctor doctor --json'; rm -f /tmp/urt-doctor",
	   in);
	ck_assert(finding("tracefs", "no"));
	/* Its files are opened by the group, not by the directory's mode. */
	ck_assert_ptr_nonnull(strstr(text,
				     "closed to this user: as root, mount "
				     "-o remount,mode=750,gid=65534 "
				     "/sys/kernel/tracing"));
	ck_assert(finding("privileges", "no"));
	ck_assert(finding("other users", "no"));
}
END_TEST

START_TEST(doctor_says_how_much_locked_memory_a_run_needs)
{
	long need = 0;

	sh("ulimit -l 64; URT_WORKERS=3 ./urt doctor");
	ck_assert_ptr_nonnull(strstr(text, "ulimit -l is 64 KiB"));
	ck_assert_ptr_nonnull(strstr(text, "a run with 3 workers needs "));
	sscanf(strstr(text, "3 workers needs "), "3 workers needs %ld", &need);
	/* 256 requests and 4096 completions for each. */
	ck_assert_int_gt(need, 3 * 80);
	ck_assert_int_lt(need, 3 * 100);
	if (geteuid())
		ck_assert_ptr_nonnull(strstr(text, "NO   memlock"));
}
END_TEST

START_TEST(doctor_sees_namespaces)
{
	if (sh("unshare -Upf --mount-proc true 2>&1"))
		SKIP("no user namespaces here");
	sh("unshare -Upf --mount-proc ./urt doctor --json");
	ck_assert(finding("user ids", "no"));
	ck_assert(finding("eBPF", "no"));
	/* The process has all capabilities, but only inside its namespace. */
	ck_assert(finding("privileges", "no"));
	ck_assert_ptr_null(strstr(text, "sudo"));
	ck_assert_ptr_nonnull(strstr(text, "in a PID namespace"));
	if (sh("unshare -pf true 2>&1"))
		return;
	/* The numbers there are other processes'. */
	sh("unshare -pf ./urt doctor --json");
	ck_assert(finding("procfs", "no"));
	ck_assert_int_eq(
		sh("unshare -pf sh -c './urt stat -p $$ --timeout 1 2>&1'"), 1);
	ck_assert_ptr_nonnull(
		strstr(text, "as root, mount -t proc proc /proc"));
}
END_TEST

START_TEST(doctor_sees_what_is_not_mounted)
{
	if (sh("unshare -m true 2>&1"))
		SKIP("no mount namespaces here");
	sh("unshare -m sh -c 'mount -t tmpfs none /sys && exec ./urt doctor "
	   "--json'");
	ck_assert(finding("sysfs", "no"));
	ck_assert(finding("BTF", "no"));
	ck_assert(finding("cgroups", "no"));
	ck_assert(finding("tracefs", "no"));
	/* One command adds all of these, and only that one is named. */
	ck_assert_ptr_nonnull(strstr(text, "mount -t sysfs sysfs /sys"));
	ck_assert_ptr_null(strstr(text, "CONFIG_DEBUG_INFO_BTF"));
	ck_assert_ptr_null(strstr(text, "tracefs /sys"));
	ck_assert_ptr_null(strstr(text, "remount"));
	ck_assert_ptr_null(strstr(text, "cgroup2 none"));
	/* A file system that hides the one mounted there, as on old systems. */
	sh("unshare -m sh -c 'mount -t tmpfs none /sys/fs/cgroup && exec "
	   "./urt doctor --json'");
	ck_assert_ptr_nonnull(strstr(text, "mkdir -p /sys/fs/cgroup/unified && "
					   "mount -t cgroup2 none "
					   "/sys/fs/cgroup/unified"));
	sh("unshare -m sh -c 'mount -t tmpfs none /proc/sys && exec ./urt "
	   "doctor --json'");
	ck_assert(finding("procfs", "no"));
}
END_TEST

/* ---- operations: the command's lines ---- */

static unsigned nr_found(void)
{
	unsigned n = 0;

	for (const struct finding *f; (f = doctor_finding(n)); n++)
		ck_assert_str_eq(f->name, "operations");
	return n;
}

START_TEST(doctor_tells_what_is_done_without_an_operation)
{
	doctor_look_at_operations(UINT64_MAX);
	ck_assert_uint_eq(nr_found(), 1);
	ck_assert(doctor_finding(0)->ok);
	/* As on Linux 6.8: no FTRUNCATE (55) yet. */
	doctor_forget();
	doctor_look_at_operations(~(UINT64_C(1) << 55));
	ck_assert_uint_eq(nr_found(), 1);
	ck_assert(doctor_finding(0)->ok);
	ck_assert_str_eq(doctor_finding(0)->text,
			 "this kernel's io_uring lacks FTRUNCATE (Linux 6.9; "
			 "ftruncate). Instead: the system call, on the thread "
			 "pool");
	/* No operation at all: runs do not start. */
	doctor_forget();
	doctor_look_at_operations(0);
	ck_assert_uint_gt(nr_found(), 2);
	ck_assert(!doctor_finding(0)->ok);
	ck_assert_ptr_nonnull(
		strstr(doctor_finding(0)->text, "READ (Linux 5.6; read)"));
	ck_assert_ptr_nonnull(
		strstr(doctor_finding(0)->text, "runs do not start"));
}
END_TEST

Suite *doctor_suite(void)
{
	Suite *s = suite_create("doctor");
	TCase *t = tcase_create("doctor");

	tcase_add_test(t, doctor_sees_a_seccomp_filter);
	tcase_add_loop_test(t, doctor_blames_the_filter_that_forbids_bpf, 0, 2);
	tcase_add_test(t, doctor_tells_a_closed_tracefs_from_none);
	tcase_add_test(t, doctor_says_how_much_locked_memory_a_run_needs);
	tcase_add_test(t, doctor_sees_namespaces);
	tcase_add_test(t, doctor_sees_what_is_not_mounted);
	tcase_add_test(t, doctor_tells_what_is_done_without_an_operation);
	suite_add_tcase(s, t);
	return s;
}
