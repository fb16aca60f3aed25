// SPDX-License-Identifier: MIT
/*
 * How programs come to the library: installed, with pkg-config, CMake, without
 * shared libraries; and what it promises to those that are linked already.
 * Runs in the build directory.
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

Suite *linked_suite(void)
{
	Suite *s = suite_create("linked");
	TCase *t = tcase_create("linked");

	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, program_without_shared_libraries_runs, 0, 2);
	tcase_add_test(t, other_c_libraries_are_refused_when_it_is_compiled);
	suite_add_tcase(s, t);
	return s;
}
