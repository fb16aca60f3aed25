// SPDX-License-Identifier: MIT
/*
 * `urt dump` of Go programs: what it tells of goroutines.go against what Go's own
 * runtime.Stack tells there, and goliar, a program that lies.
 */
#define _GNU_SOURCE
#include "../lib/json_tree.h"
#include "../lib/test.h"
#include "../lib/tool_run.h"
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>
#undef errno

#define PROGRAM "tests/goroutines"

static pid_t program;
static int input, output; /* its own */

static void start(const char *path, const char *version, const char *with)
{
	int in[2], out[2];

	ck_assert(!pipe2(in, O_CLOEXEC) && !pipe2(out, O_CLOEXEC));
	program = fork();
	if (!program) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(in[0], 0);
		dup2(out[1], 1);
		execl(path, path, version, with, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	input = in[1];
	output = out[0];
}

static void stop(void)
{
	kill(program, SIGKILL);
	waitpid(program, NULL, 0);
	close(input);
	close(output);
}

/* What the program prints, up to its line END. */
static char *told_by_go(void)
{
	static char told[1 << 20];
	size_t n = 0;
	ssize_t got;

	while (!strstr(told, "\nEND\n")) {
		got = read(output, told + n, sizeof(told) - 1 - n);
		ck_assert_int_gt(got, 0);
		told[n += got] = '\0';
	}
	return told;
}

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static bool is_program(void)
{
	return !access(PROGRAM, X_OK);
}

static const char *string(json_t *in, const char *name)
{
	const char *s = json_string_value(json_object_get(in, name));

	return s ? s : "";
}

static json_t *goroutine(long id)
{
	json_t *one, *all = json_object_get(document(), "coroutines");
	size_t i;

	json_array_foreach(all, i, one) if (json_integer_value(json_object_get(
						    one, "id")) ==
					    id) return one;
	return NULL;
}

/* Those functions of the stack that are the program's own, innermost first. */
static void own_frames(json_t *of, char *to, size_t size)
{
	json_t *frame, *stack = json_object_get(of, "stack");
	size_t i;

	*to = '\0';
	json_array_foreach(
		stack, i,
		frame) if (!strncmp(string(frame, "function"), "main.", 5))
		snprintf(to + strlen(to), size - strlen(to), "%s ",
			 string(frame, "function"));
}

static bool begins(const char *line, const char *with)
{
	return !strncmp(line, with, strlen(with));
}

/* The same of a block of Go's text, and the last line, which says where it was
 * started. */
static void own_lines(char *block, char *to, size_t size, char **created)
{
	char *line, *save;

	*to = '\0';
	*created = "";
	for (line = strtok_r(block, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		if (begins(line, "main.")) {
			*strrchr(line, '(') = '\0';
			snprintf(to + strlen(to), size - strlen(to), "%s ",
				 line);
		} else if (begins(line, "created by ")) {
			*created = line + strlen("created by ");
		}
}

/* Of a goroutine in a system call: Go does so since 1.23. */
static bool keeps_frame_pointer;

/* A block as "goroutine 7 [chan receive, 2 minutes]:" and its frames. */
static void check_block(char *block)
{
	char own[1024], by_go[1024], state[64], from[256], *created;
	const char *urt_state;
	json_t *one;
	long id;

	ck_assert_msg(sscanf(block, "goroutine %ld [%63[^],]", &id, state) == 2,
		      "%s", block);
	one = goroutine(id);
	ck_assert_msg(one != NULL, "goroutine %ld is missing", id);
	urt_state = string(one, "state");
	if (id == 1) { /* it has done more since then */
		ck_assert_str_eq(string(one, "function"), "runtime.main");
		ck_assert_str_eq(urt_state, "syscall");
		return;
	}
	own_lines(strchr(block, '\n'), by_go, sizeof(by_go), &created);
	snprintf(from, sizeof(from), "%s in goroutine %lld",
		 string(one, "started_in"),
		 json_integer_value(json_object_get(one, "started_by")));
	/* Go before 1.21 does not say which goroutine started it. */
	ck_assert_msg(begins(from, created) && *created, "%ld: %s, Go: %s", id,
		      from, created);
	if (begins(state, "run")) {
		ck_assert_str_eq(string(one, "function"), "main.spins");
		ck_assert(begins(urt_state, "run"));
		return;
	}
	ck_assert_str_eq(strcmp(urt_state, "parked") ? urt_state
						     : string(one, "reason"),
			 state);
	if (!strcmp(state, "syscall") && !keeps_frame_pointer)
		return;
	own_frames(one, own, sizeof(own));
	ck_assert_str_eq(own, by_go);
	ck_assert_int_eq(
		json_integer_value(json_object_get(one, "stack_is_whole")), 1);
}

static unsigned of_the_program(void)
{
	json_t *one, *all = json_object_get(document(), "coroutines");
	unsigned n = 0;
	size_t i;

	json_array_foreach(all, i, one) n +=
		!begins(string(one, "function"), "runtime.") ||
		!strcmp(string(one, "function"), "runtime.main");
	return n;
}

/* A Go that urt does not know, and says so, is no fault. */
static bool is_known(void)
{
	unsigned minor, first, last;
	const char *at;

	sh("./urt dump -p %d 2>&1", program);
	at = strstr(text, " of version \"");
	if (!at)
		return true;
	ck_assert_msg(
		sscanf(at,
		       " of version \"go1.%u%*[^:]: urt knows how go1.%u to go1.%u",
		       &minor, &first, &last) != 3 ||
			minor < first || minor > last,
		"%s", text);
	stop();
	return false;
}

static void dump_when_main_waits(void)
{
	do
		ck_assert_msg(!sh("./urt dump -p %d --json 2>&1", program),
			      "%s", text);
	while (strcmp(string(goroutine(1), "state"), "syscall"));
}

START_TEST(dump_tells_of_goroutines_what_go_tells)
{
	int64_t begin = now();
	unsigned n = 0;
	char *told, *end;
	json_t *receiver;

	if (!is_program())
		SKIP("there is no Go that builds it: " PROGRAM ".log");
	start(PROGRAM, NULL, NULL);
	told = told_by_go();
	if (!is_known())
		SKIP("%s", text);
	dump_when_main_waits();
	ck_assert_str_eq(string(document(), "runtime"), "go");
	ck_assert(begins(string(document(), "runtime_version"), "go1."));
	keeps_frame_pointer =
		strcmp(string(document(), "runtime_version"), "go1.23") >= 0;
	ck_assert_int_eq(number(NULL, "unreadable"), 0);
	for (; !begins(told, "END\n"); told = end + 2) {
		end = strstr(told, "\n\n");
		ck_assert_ptr_nonnull(end);
		*end = '\0';
		check_block(told);
		n++;
	}
	ck_assert_uint_eq(n, of_the_program());
	ck_assert_uint_eq(n, 1 + 50 + 4 + 6 + 3 + 2 + 1 + 1 + 1);
	receiver =
		row("coroutines", json_pack("{s:s}", "reason", "chan receive"));
	ck_assert_double_ge(value(receiver, "wait_ns"), 0);
	ck_assert_double_le(value(receiver, "wait_ns"), now() - begin);
	stop();
}
END_TEST

START_TEST(dump_and_top_count_goroutines_that_wait_alike)
{
	if (!is_program())
		SKIP("there is no Go that builds it: " PROGRAM ".log");
	start(PROGRAM, NULL, NULL);
	told_by_go();
	if (!is_known())
		SKIP("%s", text);
	ck_assert_msg(!sh("./urt dump -p %d 2>&1", program), "%s", text);
	ck_assert_msg(strstr(text, "\n50 chan receive, for ") != NULL, "%s",
		      text);
	ck_assert_msg(strstr(text, ": goroutines ") != NULL, "%s", text);
	ck_assert_msg(strstr(text, " main.receives\n") != NULL, "%s", text);
	ck_assert_msg(strstr(text, "    started in main.start\n") != NULL, "%s",
		      text);
	ck_assert_msg(strstr(text, "\nn/a: context: ") != NULL, "%s", text);
	ck_assert_int_eq(
		sh("./urt top -b -n 1 -d 50 --coroutines -p %d 2>&1", program),
		0);
	ck_assert_msg(strstr(text, " goroutines: ") != NULL, "%s", text);
	ck_assert_msg(strstr(text, " main.receives\n") != NULL, "%s", text);
	ck_assert_int_eq(sh("./urt dump --leaked -p %d 2>&1", program), 1);
	ck_assert_msg(strstr(text, "n/a for Go programs") != NULL, "%s", text);
	stop();
}
END_TEST

START_TEST(dump_says_that_a_stripped_go_program_has_no_symbols)
{
	if (!is_program())
		SKIP("there is no Go that builds it: " PROGRAM ".log");
	ck_assert_int_eq(sh("strip -o stripped " PROGRAM " 2>&1"), 0);
	start("./stripped", NULL, NULL);
	told_by_go();
	ck_assert_int_eq(sh("./urt dump -p %d 2>&1", program), 1);
	ck_assert_msg(strstr(text, "without a symbol table") != NULL, "%s",
		      text);
	stop();
	unlink("stripped");
}
END_TEST

START_TEST(dump_survives_programs_that_lie_about_goroutines)
{
	static const char *const versions[] = { "go1.26", "go1.19", "go1.99",
						"\x1b[31mgo" };
	uint64_t chance = seed();
	unsigned told = 0;
	char with[32], c;
	int code;

	for (unsigned i = 0; i < 16; i++) {
		const char *version = versions[i % 8 < 5 ? 0 : i % 8 - 4];

		snprintf(with, sizeof(with), "%llu",
			 (unsigned long long)rnd(&chance));
		start("tests/goliar", version, with);
		ck_assert_int_eq(read(output, &c, 1), 1);
		code = sh("timeout 90 ./urt dump -p %d %s 2>&1", program,
			  i % 2 ? "--json" : "--each");
		ck_assert_msg(code == 0 || code == 1, "exit code %d: %s", code,
			      text);
		ck_assert_msg(!strchr(text, '\x1b'), "%s", text);
		if (!strcmp(version, "go1.99"))
			ck_assert_msg(strstr(text, " of version \"") != NULL,
				      "%s", text);
		told += !code;
		stop();
	}
	ck_assert_uint_gt(told, 3);
}
END_TEST

Suite *goroutines_suite(void)
{
	Suite *s = suite_create("goroutines");
	TCase *t = tcase_create("goroutines");

	tcase_add_test(t, dump_tells_of_goroutines_what_go_tells);
	tcase_add_test(t, dump_and_top_count_goroutines_that_wait_alike);
	tcase_add_test(t, dump_says_that_a_stripped_go_program_has_no_symbols);
	tcase_add_test(t, dump_survives_programs_that_lie_about_goroutines);
	suite_add_tcase(s, t);
	return s;
}
