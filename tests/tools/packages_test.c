// SPDX-License-Identifier: MIT
/* What is given to others: versions, packages, the words of the command line. */
#define _GNU_SOURCE
#include "../lib/test.h"
#include "../lib/tool_run.h"

START_TEST(version_is_the_same_wherever_it_stands)
{
	char version[32];

	ck_assert_int_eq(sh("make -s --no-print-directory -C ../.. version"),
			 0);
	ck_assert_int_eq(sscanf(text, "%31s", version), 1);
	ck_assert_int_eq(sh("test \"$(./urt version)\" = 'urt %s'", version),
			 0);
	ck_assert_int_eq(
		sh("rm -rf inst && env -u MAKEFLAGS make -s -C ../.. B=\"$PWD\" install "
		   "DESTDIR=\"$PWD/inst\" PREFIX=/usr 2>&1"),
		0);
	ck_assert_int_eq(sh("test -f inst/usr/lib/liburing_rt.so.%s", version),
			 0);
	ck_assert_int_eq(sh("grep -qx 'Version: %s' "
			    "inst/usr/lib/pkgconfig/uring_rt.pc",
			    version),
			 0);
	ck_assert_int_eq(sh("readelf -d inst/usr/lib/liburing_rt.so | "
			    "grep -q 'soname: .liburing_rt.so.%ld.'",
			    strtol(version, NULL, 10)),
			 0);
	sh("rm -rf inst");
}
END_TEST

START_TEST(source_archive_is_the_same_each_time)
{
	if (sh("git -C ../.. rev-parse HEAD >/dev/null 2>&1"))
		SKIP("no git checkout: the archive is made of what git tracks");
	ck_assert_int_eq(sh("cd ../.. && for i in 1 2; do sha256sum <$(sh "
			    "tools/packaging/build.sh source test); done"),
			 0);
	ck_assert_int_eq(strlen(text), 2 * 68);
	ck_assert_mem_eq(text, text + 68, 64);
	sh("rm -f ../packages/uring-rt-test.tar.gz");
}
END_TEST

START_TEST(unknown_commands_suggest_the_nearest)
{
	refuses("./urt stta", "did you mean \"stat\"?");
	refuses("./urt help recod", "did you mean \"record\"?");
	refuses("./urt cost-yeild", "`urt help` lists them");
	ck_assert_int_eq(sh("./urt -h"), 0);
	ck_assert_ptr_nonnull(strstr(text, "usage: urt COMMAND"));
	ck_assert_int_eq(sh("./urt -v"), 0);
	ck_assert_mem_eq(text, "urt ", 4);
}
END_TEST

Suite *packages_suite(void)
{
	Suite *s = suite_create("packages");
	TCase *t = tcase_create("packages");

	tcase_set_timeout(t, 120);
	tcase_add_test(t, version_is_the_same_wherever_it_stands);
	tcase_add_test(t, source_archive_is_the_same_each_time);
	tcase_add_test(t, unknown_commands_suggest_the_nearest);
	suite_add_tcase(s, t);
	return s;
}
