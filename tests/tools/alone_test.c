// SPDX-License-Identifier: MIT
/*
 * The static command of `make static`: one file, in root directories with
 * nothing else. Runs in the build directory.
 */
#define _GNU_SOURCE
#include "../lib/json_tree.h"
#include "../lib/test.h"
#include "../lib/tool_run.h"
#include <sys/stat.h>

#define STATIC "../static/urt"
#define IN     "chroot alone.d /urt "
/* The same with /proc and /sys, in a mount namespace that ends with it. */
#define MOUNTED                                                       \
	"unshare -m sh -c 'mount -t proc none alone.d/proc && mount " \
	"--rbind /sys alone.d/sys && exec chroot alone.d /urt \"$@\"' sh "

/* False: the command was not built, or this user cannot change the root. */
static bool new_root(void)
{
	if (access(STATIC, X_OK)) {
		fprintf(stderr, "SKIP alone: there is no build/static/urt: "
				"`make static` builds it\n");
		return false;
	}
	if (sh("rm -rf alone.d && mkdir -p alone.d/etc alone.d/proc "
	       "alone.d/sys && cp " STATIC " alone.d/ && " IN "version 2>&1")) {
		fprintf(stderr, "SKIP alone: no chroot here: %s", text);
		return false;
	}
	return true;
}

START_TEST(static_command_is_one_small_file)
{
	struct stat st;

	if (!new_root())
		return;
	ck_assert_int_eq(stat(STATIC, &st), 0);
	ck_assert_int_lt(st.st_size, 10 << 20);
	ck_assert_mem_eq(text, "urt ", 4);
	ck_assert_int_eq(sh("readelf -lW " STATIC " | grep -c INTERP"), 1);
	ck_assert_int_eq(sh("readelf -dW " STATIC " | grep -c NEEDED"), 1);
	sh("rm -rf alone.d");
}
END_TEST

/* No /proc, no /sys, no library, no shell. */
START_TEST(static_command_runs_in_an_empty_root)
{
	if (!new_root())
		return;
	ck_assert_int_eq(sh(IN "stat --json -- /urt version 2>&1"), 0);
	ck_assert_ptr_nonnull(
		row(NULL, json_pack("{s:s}", "schema", "urt.stat.v1")));
	ck_assert_ptr_null(strstr(text, "libbpf"));
	sh(IN "doctor 2>&1");
	ck_assert_ptr_nonnull(strstr(text, "NO   procfs       not mounted"));
	ck_assert_ptr_nonnull(strstr(text, "loads no NSS plug-ins"));
	/* Figures that cannot be read are n/a. */
	ck_assert_ptr_null(strstr(text, "pid_max is 0"));
	ck_assert_ptr_null(strstr(text, "paranoid is"));
	if (!geteuid() && have_bpf()) {
		sh(IN "doctor 2>&1");
		ck_assert_ptr_nonnull(strstr(text, "ok   privileges"));
	}
	sh("rm -rf alone.d");
}
END_TEST

START_TEST(static_command_counts_by_bpf)
{
	NEED_BPF();
	if (!new_root())
		return;
	ck_assert_int_eq(sh(MOUNTED "stat --json -- /urt version 2>&1"), 0);
	ck_assert_ptr_nonnull(row(NULL, json_pack("{s:s}", "source", "bpf")));
	ck_assert_int_eq(number("by_name", "execve"), 1);
	sh(MOUNTED "doctor 2>&1");
	ck_assert_ptr_nonnull(strstr(text, "ok   eBPF"));
	ck_assert_int_eq(sh(MOUNTED "export --once -i 1 2>&1"), 0);
	ck_assert_ptr_nonnull(strstr(text, "\nurt_system_calls_total{"));
	sh("rm -rf alone.d");
}
END_TEST

/* Users come from /etc/passwd, even if nsswitch.conf names other sources; a
 * caller of sudo without an entry stays that user, and does not become root. */
START_TEST(static_command_finds_users_without_plugins)
{
	if (geteuid())
		SKIP("only root runs commands as others");
	if (!new_root())
		return;
	if (sh("cp $(command -v busybox || echo none) alone.d/busybox 2>&1; "
	       "chroot alone.d /busybox true 2>&1"))
		SKIP("no static busybox here");
	ck_assert_int_eq(
		sh("echo 'passwd: nonsense systemd' >alone.d/etc/nsswitch.conf;"
		   "echo 'lone:x:4321:4322::/:/' >alone.d/etc/passwd"),
		0);
	ck_assert_int_eq(sh(IN "stat --no-bpf --no-perf -o result --user "
			       "lone -- /busybox id -u 2>&1"),
			 0);
	ck_assert_str_eq(text, "4321\n");
	ck_assert_int_eq(sh("SUDO_UID=5000 SUDO_GID=5001 " IN
			    "stat --no-bpf --no-perf -o result -- /busybox "
			    "sh -c 'busybox id -u; busybox id -G' 2>&1"),
			 0);
	ck_assert_str_eq(text, "5000\n5001\n");
	ck_assert_int_eq(sh(IN "stat --user other -- /urt version 2>&1"), 1);
	ck_assert_ptr_nonnull(strstr(text, "no user \"other\""));
	sh("rm -rf alone.d");
}
END_TEST

Suite *alone_suite(void)
{
	Suite *s = suite_create("alone");
	TCase *t = tcase_create("alone");

	tcase_add_test(t, static_command_is_one_small_file);
	tcase_add_test(t, static_command_runs_in_an_empty_root);
	tcase_add_test(t, static_command_counts_by_bpf);
	tcase_add_test(t, static_command_finds_users_without_plugins);
	suite_add_tcase(s, t);
	return s;
}
