// SPDX-License-Identifier: MIT
/*
 * Results that cannot be written: the command says which file and why, fails, leaves
 * no half file that could be taken for a whole one, and prints what it measured.
 */
#define _GNU_SOURCE
#include "../lib/json_tree.h"
#include "../lib/test.h"
#include "../lib/tool_run.h"
#include <unistd.h>

#define ON_PROBE 1 /* the command needs a running program on uring_rt: $pid */
#define BPF	 2
#define PRELOADS 4 /* a library, before a sanitizer's */

static const struct {
	const char *command;
	unsigned needs;
	const char *left; /* what becomes of the file */
	/* A part of the measured result, which is printed instead; NULL: none is, as
	 * the command can be run again. */
	const char *printed;
} writers[] = {
	{ "stat -o o.txt -- true", 0, "is left empty", "elapsed" },
	{ "stat --json -o o.txt -- true", 0, "is left empty", "urt.stat.v1" },
	{ "stat --no-bpf -I 50 -o o.txt -- sleep 0.1", 0, "is left empty",
	  "elapsed" },
	{ "compare --runs 2 -o o.txt -- true -- true", 0, "is left empty",
	  "medians of 2 runs" },
	{ "sim --seeds 1..2 -o o.txt -- examples/sieve", PRELOADS,
	  "is left empty", "seeds" },
	{ "sim --library o.txt", 0, "is left empty", NULL },
	{ "profile -o o.txt -- true", BPF, "is left empty", "urt profile: " },
	{ "profile -o o.html -- true", BPF, "is left empty", "urt profile: " },
	{ "profile -o o.folded -- sleep 0.1", BPF, "is left empty",
	  "urt profile: " },
	{ "profile -o o.pb.gz -- true", BPF, "is left empty", "urt profile: " },
	{ "record -o o.txt -- true", BPF, "ends early", NULL },
	{ "record --last 5s -o o.txt -- true", BPF, "ends early", NULL },
	{ "dump -p $pid -o o.txt", ON_PROBE, "is left empty", NULL },
};

/* In a shell of `shell`, after `first`, the directory out takes no byte. */
static void writes_nothing(const char *shell, const char *first,
			   const char *why, int i)
{
	char command[256], *at;

	if (SANITIZED && writers[i].needs & PRELOADS)
		SKIP("nothing can be preloaded before a sanitizer");
	snprintf(command, sizeof(command), "%s", writers[i].command);
	at = strstr(command, " o.");
	ck_assert_ptr_nonnull(at);
	memmove(at + 5, at + 1, strlen(at));
	memcpy(at, " out/", 5);
	ck_assert_int_eq(
		sh("pid=; if %s; then rm -f ready; mkfifo ready; "
		   "tests/probe requests-stay >ready & pid=$!; read l <ready; "
		   "rm ready; fi; export pid; { %s -c '%s; ./urt %s 2>&1; "
		   "echo code $? $(cat out/o.* | wc -c)'; } | cat; "
		   "[ -z \"$pid\" ] || kill $pid",
		   writers[i].needs & ON_PROBE ? "true" : "false", shell, first,
		   command),
		0);
	ck_assert_msg(strstr(text, why) != NULL, "%s", text);
	ck_assert_msg(strstr(text, "out/o.") != NULL, "%s", text);
	ck_assert_msg(strstr(text, writers[i].left) != NULL, "%s", text);
	ck_assert_msg(strstr(text, "\ncode 1 0\n") != NULL, "%s", text);
	if (writers[i].printed)
		ck_assert_msg(strstr(text, writers[i].printed) != NULL, "%s",
			      text);
}

START_TEST(file_over_the_limit_is_an_error_that_is_named)
{
	if (writers[_i].needs & BPF)
		NEED_BPF();
	if (TSANITIZED)
		SKIP("ThreadSanitizer itself makes a file as it begins");
	sh("rm -rf out; mkdir out");
	writes_nothing("sh", "ulimit -f 0", "File too large", _i);
	sh("rm -rf out");
}
END_TEST

START_TEST(full_disk_is_an_error_that_is_named)
{
	if (writers[_i].needs & BPF)
		NEED_BPF();
	sh("rm -rf out; mkdir out");
	if (sh("unshare -m mount -t tmpfs -o size=8k none out 2>&1"))
		SKIP("no tmpfs can be mounted here");
	writes_nothing("unshare -m sh",
		       "mount -t tmpfs -o size=8k none out; "
		       "cat /dev/zero >out/fill 2>/dev/null",
		       "No space left on device", _i);
	sh("rm -rf out");
}
END_TEST

START_TEST(recording_that_cannot_begin_leaves_the_file_alone)
{
	ck_assert_int_eq(
		sh("echo before >out.pftrace; setpriv --bounding-set=-all "
		   "--inh-caps=-all ./urt record -o out.pftrace -- true 2>&1"),
		1);
	if (strstr(text, "setpriv:"))
		SKIP("setpriv cannot take capabilities away here");
	ck_assert_msg(strstr(text, "urt: recording needs BPF: no privilege") !=
			      NULL,
		      "%s", text);
	ck_assert_int_eq(sh("cat out.pftrace; rm out.pftrace"), 0);
	ck_assert_str_eq(text, "before\n");
}
END_TEST

START_TEST(top_ends_when_it_can_write_no_more)
{
	NEED_BPF();
	if (access("/dev/full", W_OK))
		SKIP("no /dev/full here");
	ck_assert_int_eq(sh("timeout 90 ./urt top -b -d 100 2>&1 >/dev/full"),
			 1);
	ck_assert_ptr_nonnull(
		strstr(text, "standard output: No space left on device"));
}
END_TEST

Suite *output_suite(void)
{
	Suite *s = suite_create("output");
	TCase *t = tcase_create("output");

	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, file_over_the_limit_is_an_error_that_is_named, 0,
			    ARRAY_LEN(writers));
	tcase_add_loop_test(t, full_disk_is_an_error_that_is_named, 0,
			    ARRAY_LEN(writers));
	tcase_add_test(t, recording_that_cannot_begin_leaves_the_file_alone);
	tcase_add_test(t, top_ends_when_it_can_write_no_more);
	suite_add_tcase(s, t);
	return s;
}
