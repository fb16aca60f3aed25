// SPDX-License-Identifier: MIT
/* What others get: versions, packages, completion of the command line. */
#define _GNU_SOURCE
#include "../lib/json_tree.h"
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
	ck_assert_int_eq(sh("grep -qx 'set(PACKAGE_VERSION \"%s\")' "
			    "inst/usr/lib/cmake/uring_rt/"
			    "uring_rtConfigVersion.cmake",
			    version),
			 0);
	ck_assert_int_eq(sh("readelf -d inst/usr/lib/liburing_rt.so | "
			    "grep -q 'soname: .liburing_rt.so.%ld.'",
			    strtol(version, NULL, 10)),
			 0);
	sh("rm -rf inst");
}
END_TEST

/* Unquoted, "in st/opt/a b" would be three directories, and `uninstall` would
 * remove the contents of the others. */
START_TEST(install_and_uninstall_take_directories_with_blanks)
{
	static const char make[] =
		"env -u MAKEFLAGS make -s -C ../.. B=\"$PWD\" %s "
		"DESTDIR=\"$PWD/in st\" PREFIX='/opt/a b & c|d' 2>&1";

	ck_assert_int_eq(sh("rm -rf 'in st' in; mkdir -p in/include && "
			    "touch in/include/urt.h"),
			 0);
	ck_assert_msg(!sh(make, "install"), "%s", text);
	ck_assert_int_eq(sh("grep -F 'ExecStart=\"/opt/a b & c|d/bin/urt\" ' "
			    "'in st/opt/a b & c|d/lib/systemd/system/"
			    "urt-export.service'"),
			 0);
	ck_assert_int_eq(
		sh("cd 'in st/opt/a b & c|d' && test -f include/urt.h && "
		   "test -x bin/urt && test -f share/man/man3/urt_go.3 "
		   "&& test -f share/man/man1/urt-stat.1"),
		0);
	ck_assert_msg(!sh(make, "uninstall"), "%s", text);
	ck_assert_int_eq(sh("find 'in st' ! -type d; test -f in/include/urt.h"),
			 0);
	ck_assert_msg(!*text, "left behind: %s", text);
	sh("rm -rf 'in st' in");
}
END_TEST

/* A program compiled with pkg-config's flags works, also from a directory with
 * a blank in its name. */
START_TEST(pkg_config_file_gives_flags_that_compile)
{
	if (sh("command -v pkg-config"))
		SKIP("pkg-config is not installed");
	ck_assert_msg(
		!sh("rm -rf 'p c' && env -u MAKEFLAGS make -s -C ../.. B=\"$PWD\" "
		    "install PREFIX=\"$PWD/p c\" LIBDIR=\"$PWD/p c/lib\" "
		    "DESTDIR= UNITDIR=\"$PWD/p c/unit\" 2>&1"),
		"%s", text);
	ck_assert_int_eq(
		sh("PKG_CONFIG_PATH=\"$PWD/p c/lib/pkgconfig\" pkg-config "
		   "--cflags --libs uring_rt >pc.flags && "
		   "grep -q -e -fstack-clash-protection pc.flags"),
		0);
	ck_assert_msg(
		!sh("echo 'static void f(void *a) { (void)a; } int main"
		    "(void) { return urt_run(f, 0); }' >pc.c && "
		    "eval \"${CC:-cc} -include urt.h -x c pc.c -x none -o pc.out "
		    "$(cat pc.flags)\" 2>&1 && "
		    "LD_LIBRARY_PATH=\"$PWD/p c/lib\" ./pc.out 2>&1"),
		"%s", text);
	sh("rm -rf 'p c' pc.c pc.out pc.flags");
}
END_TEST

START_TEST(programs_and_libraries_are_hardened)
{
	static const char *const files[] = { "urt", "liburing_rt.so" };

	if (sh("command -v readelf"))
		SKIP("readelf is not installed");
	for (unsigned i = 0; i < ARRAY_LEN(files); i++) {
		ck_assert_int_eq(
			sh("readelf -lW %s | grep -q GNU_RELRO", files[i]), 0);
		ck_assert_int_eq(
			sh("readelf -dW %s | grep -q BIND_NOW", files[i]), 0);
		ck_assert_int_ne(
			sh("readelf -lW %s | grep STACK | grep -q E", files[i]),
			0);
		ck_assert_int_eq(
			sh("nm -D %s | grep -q __stack_chk_fail", files[i]), 0);
		/* Nor a shadow stack, which the switch would leave. */
		ck_assert_int_ne(sh("readelf -nW %s | grep -q SHSTK", files[i]),
				 0);
	}
	ck_assert_int_eq(sh("readelf -dW urt | grep -q PIE"), 0);
#ifndef __SANITIZE_ADDRESS__
	ck_assert_int_eq(sh("nm -D urt | grep -q _chk@"), 0);
#endif
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

/* Of what the linker took: here, of zlib and of a library of ours. */
START_TEST(bill_of_materials_names_what_was_linked)
{
	json_t *packages, *zlib;

	if (sh("command -v dpkg-query && git -C ../.. rev-parse HEAD && "
	       "dpkg-query -S $(realpath $(${CC:-cc} -print-file-name=libz.a)) "
	       "2>&1"))
		SKIP("no Debian, or no git checkout");
	ck_assert_int_eq(sh("printf '%%s(inflate.o)\nbuild/libours.a(x.o)\n' "
			    "$(${CC:-cc} -print-file-name=libz.a) >sbom.map && "
			    "d=$PWD && cd ../.. && "
			    "sh tools/packaging/sbom.sh 1.2 $d/sbom.map"),
			 0);
	packages = member(document(), "packages");
	ck_assert_uint_eq(json_array_size(packages), 2);
	zlib = json_array_get(packages, 1);
	ck_assert_str_eq(json_string_value(member(zlib, "name")), "zlib");
	ck_assert_ptr_nonnull(strstr(text, "/zlib@"));
	ck_assert_ptr_nonnull(strstr(text, "\"STATIC_LINK\""));
	ck_assert_int_ne(sh("cd ../.. && sh tools/packaging/sbom.sh 1.2 "
			    "/dev/null 2>&1"),
			 0);
	sh("rm sbom.map");
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

	tcase_add_test(t, version_is_the_same_wherever_it_stands);
	tcase_add_test(t, install_and_uninstall_take_directories_with_blanks);
	tcase_add_test(t, pkg_config_file_gives_flags_that_compile);
	tcase_add_test(t, programs_and_libraries_are_hardened);
	tcase_add_test(t, source_archive_is_the_same_each_time);
	tcase_add_test(t, bill_of_materials_names_what_was_linked);
	tcase_add_test(t, unknown_commands_suggest_the_nearest);
	suite_add_tcase(s, t);
	return s;
}
