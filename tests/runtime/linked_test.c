// SPDX-License-Identifier: MIT
/*
 * How programs find the library: installed, with pkg-config, CMake, without
 * shared libraries; and its promises to programs that are already linked. Runs
 * in the build directory.
 */
#define _GNU_SOURCE
#include "../../uring_rt/urt.h"
#include "../lib/tool_run.h"

#define PC "pkg-config --static --libs"

/* A prefix of its own, as `make install` leaves it. */
static void install(void)
{
	ck_assert_msg(!sh("rm -rf guest && env -u MAKEFLAGS make -s -C ../.. "
			  "B=\"$PWD\" install DESTDIR=\"$PWD/guest\" "
			  "PREFIX=/opt 2>&1"),
		      "%s", text);
	setenv("PKG_CONFIG_PATH", "guest/opt/lib/pkgconfig", 1);
	setenv("PKG_CONFIG_SYSROOT_DIR", "guest", 1);
}

/* Every definition of locks.c, in a program that has no libc.so. */
static const char *const locks_program =
	"#define _GNU_SOURCE\n"
	"#include <urt.h>\n#include <pthread.h>\n#include <stdio.h>\n"
	"#include <threads.h>\n#include <time.h>\n"
	"static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;\n"
	"static pthread_rwlock_t l = PTHREAD_RWLOCK_INITIALIZER;\n"
	"static pthread_spinlock_t s; static mtx_t c; static int r;\n"
	"#define BOTH(lock, unlock) (r |= (lock), r |= (unlock))\n"
	"#define M(x) BOTH(pthread_mutex_##x, pthread_mutex_unlock(&m))\n"
	"#define L(x) BOTH(pthread_rwlock_##x, pthread_rwlock_unlock(&l))\n"
	"#define S(x) BOTH(pthread_spin_##x, pthread_spin_unlock(&s))\n"
	"#define C(x) BOTH(mtx_##x, mtx_unlock(&c))\n"
	"static void hog(void *a) { while (!*(volatile int *)a) ; }\n"
	"static void first(void *a) {\n"
	"	static int n;\n"
	"	struct timespec t = { .tv_sec = time(NULL) + 9 };\n"
	"	clockid_t k = CLOCK_REALTIME;\n"
	"	(void)a;\n"
	"	M(lock(&m)); M(trylock(&m)); M(timedlock(&m, &t));\n"
	"	M(clocklock(&m, k, &t));\n"
	"	L(rdlock(&l)); L(wrlock(&l)); L(tryrdlock(&l));\n"
	"	L(trywrlock(&l)); L(timedrdlock(&l, &t));\n"
	"	L(timedwrlock(&l, &t)); L(clockrdlock(&l, k, &t));\n"
	"	L(clockwrlock(&l, k, &t));\n"
	"	pthread_spin_init(&s, 0); S(lock(&s)); S(trylock(&s));\n"
	"	mtx_init(&c, mtx_timed); C(lock(&c)); C(trylock(&c));\n"
	"	C(timedlock(&c, &t));\n"
	"	flockfile(stdout); funlockfile(stdout);\n"
	"	r |= ftrylockfile(stdout); funlockfile(stdout);\n"
	"	urt_go(hog, &n);\n" /* its worker is taken over */
	"	urt_sleep(20000000);\n"
	"	n = 1;\n"
	"}\n"
	"int main(void) {\n"
	"	struct urt_options o = { .workers = 1 };\n"
	"	return urt_run_with(first, NULL, &o) || r;\n"
	"}\n";

START_TEST(program_without_shared_libraries_runs)
{
	static const char *const how[] = { "-static", "-static-pie" };
	FILE *f;

	if (SANITIZED)
		SKIP("the sanitizers need libc.so");
	if (sh("echo 'int main(void) { return 0; }' >static.c && cc %s -o "
	       "static.out static.c 2>&1",
	       how[_i]))
		SKIP("no libc.a here");
	install();
	f = fopen("static.c", "w");
	ck_assert_ptr_nonnull(f);
	fputs(locks_program, f);
	fclose(f);
	ck_assert_msg(!sh("cc -O2 %s -o static.out static.c "
			  "$(" PC " --cflags uring_rt-static) 2>&1",
			  how[_i]),
		      "%s", text);
	ck_assert_msg(!sh("./static.out 2>&1"), "%s", text);
	sh("rm -rf guest static.c static.out");
}
END_TEST

START_TEST(other_c_libraries_are_refused_when_it_is_compiled)
{
	if (sh("command -v musl-gcc"))
		SKIP("no musl-gcc here");
	ck_assert_int_ne(sh("printf '#include \"../../uring_rt/urt.h\"\\n' | "
			    "musl-gcc -fsyntax-only -x c -I. - 2>&1"),
			 0);
	ck_assert_ptr_nonnull(strstr(text, "uring_rt needs glibc"));
}
END_TEST

/* ---- CMake ------------------------------------------------------------- */

static const char *const cmake_project =
	"cmake_minimum_required(VERSION 3.13)\n"
	"project(guest C CXX)\n"
	"find_package(uring_rt 0.1 REQUIRED)\n"
	"foreach(how uring_rt static)\n"
	"  add_executable(with_${how} main.c)\n"
	"  target_link_libraries(with_${how} uring_rt::${how})\n"
	"endforeach()\n"
	"add_executable(with_cxx main.cpp)\n"
	"target_link_libraries(with_cxx PRIVATE uring_rt::uring_rt)\n"
	"if(TARGET uring_rt::tls)\n"
	"  target_link_libraries(with_cxx PRIVATE uring_rt::tls)\n"
	"endif()\n";

static const char *const small_program =
	"#include <urt.h>\n"
	"static void first(void *arg) { (void)arg; urt_sleep(1000); }\n"
	"int main(void) { return urt_run(first, NULL); }\n";

static void write_file(const char *path, const char *contents)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	fputs(contents, f);
	fclose(f);
}

START_TEST(cmake_finds_the_package_and_its_targets)
{
	if (SANITIZED || sh("command -v cmake"))
		SKIP("no cmake here");
	ck_assert_msg(
		!sh("rm -rf guest && env -u MAKEFLAGS make -s -C ../.. "
		    "B=\"$PWD\" install PREFIX=\"$PWD/guest/opt\" 2>&1 && "
		    "mkdir guest/project"),
		"%s", text);
	write_file("guest/project/CMakeLists.txt", cmake_project);
	write_file("guest/project/main.c", small_program);
	write_file("guest/project/main.cpp", small_program);
	ck_assert_msg(!sh("cd guest && cmake -S project -B build "
			  "-DCMAKE_PREFIX_PATH=\"$PWD/opt\" 2>&1 && cmake "
			  "--build build 2>&1"),
		      "%s", text);
	for (unsigned i = 0; i < 3; i++) {
		static const char *const how[] = { "uring_rt", "static",
						   "cxx" };

		ck_assert_msg(!sh("guest/build/with_%s 2>&1", how[i]), "%s: %s",
			      how[i], text);
	}
	/* A version that is not this one. */
	ck_assert_int_ne(sh("cd guest && sed -i 's/uring_rt 0.1/uring_rt 9/' "
			    "project/CMakeLists.txt && cmake -S project -B "
			    "other -DCMAKE_PREFIX_PATH=\"$PWD/opt\" 2>&1"),
			 0);
	sh("rm -rf guest");
}
END_TEST

/* The versions of its symbols must not apply to libc's locks (locks.c). */
START_TEST(shared_library_stands_before_the_locks_of_libc)
{
	if (SANITIZED)
		SKIP("a sanitizer stands there");
	write_file("held.c",
		   "#include <urt.h>\n#include <pthread.h>\n"
		   "static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;\n"
		   "static void first(void *arg) { (void)arg;\n"
		   "	pthread_mutex_lock(&m); urt_sleep(1000); }\n"
		   "int main(void) { return urt_run(first, NULL); }\n");
	ck_assert_msg(!sh("cc -I../../uring_rt -o held.out held.c "
			  "liburing_rt.so -Wl,-rpath,\"$PWD\" 2>&1"),
		      "%s", text);
	sh("ulimit -c 0; ln -sf liburing_rt.so liburing_rt.so.0; "
	   "URT_DEBUG=check ./held.out 2>&1; "
	   "rm -f held.c held.out liburing_rt.so.0");
	ck_assert_ptr_nonnull(strstr(text, "holds 1 pthread lock"));
}
END_TEST

START_TEST(readme_program_compiles_without_warnings)
{
	ck_assert_msg(
		!sh("awk '/^```c$/{on=1; next} /^```/{on=0} on' ../../README.md "
		    ">readme.c && grep -q urt_run readme.c && cc -Wall -Wextra "
		    "-Werror -O2 -I../../uring_rt -fsyntax-only readme.c 2>&1; "
		    "e=$?; rm -f readme.c; exit $e"),
		"%s", text);
}
END_TEST

/* ---- the ABI ----------------------------------------------------------- */

/* Structures in callers' memory. Each size is a promise (CHANGELOG.md). */
static const struct {
	const char *name;
	size_t size;
} layouts[] = {
#define L(x)                         \
	{                            \
#x, sizeof(struct x) \
	}
	L(urt_options),	  L(urt_spawn_options), L(urt_context), L(urt_scope),
	L(urt_case),	  L(urt_waitq),		L(urt_mutex),	L(urt_rwlock),
	L(urt_cond),	  L(urt_sem),		L(urt_once),	L(urt_barrier),
	L(urt_waitgroup), L(urt_addr),		L(urt_command), L(urt_process),
	L(urt_stream_io),
#undef L
};

/*
 * tests/runtime/abi.txt lists the symbols on which linked programs rely. A
 * missing symbol breaks them; add new ones to the list.
 */
START_TEST(interface_for_linked_programs_is_as_it_was)
{
	FILE *f;

	if (SANITIZED)
		SKIP("a sanitizer exports symbols of its own");
	sh("nm -D --defined-only liburing_rt.so | awk '$2 != \"A\" { print "
	   "$3 }' | LC_ALL=C sort >abi.now");
	f = fopen("abi.now", "a");
	ck_assert_ptr_nonnull(f);
	for (unsigned i = 0; i < ARRAY_LEN(layouts); i++)
		fprintf(f, "struct %s %zu\n", layouts[i].name, layouts[i].size);
	fclose(f);
	ck_assert_msg(!sh("diff ../../tests/runtime/abi.txt abi.now"),
		      "the interface of the library changed:\n%.1000s", text);
}
END_TEST

Suite *linked_suite(void)
{
	Suite *s = suite_create("linked");
	TCase *t = tcase_create("linked");

	tcase_add_loop_test(t, program_without_shared_libraries_runs, 0, 2);
	tcase_add_test(t, other_c_libraries_are_refused_when_it_is_compiled);
	tcase_add_test(t, cmake_finds_the_package_and_its_targets);
	tcase_add_test(t, shared_library_stands_before_the_locks_of_libc);
	tcase_add_test(t, readme_program_compiles_without_warnings);
	tcase_add_test(t, interface_for_linked_programs_is_as_it_was);
	suite_add_tcase(s, t);
	return s;
}
