// SPDX-License-Identifier: MIT
/*
 * `urt record --last`, the flight recorder, and the limits of a recording: its time, its
 * size, its memory.
 */
#define _GNU_SOURCE
#include "../lib/timeline_decode.h"
#include "../lib/tool_run.h"

/* ---- requests of programs that set contexts ---- */

START_TEST(events_that_were_overwritten_are_counted)
{
	struct found f;

	NEED_BPF();
	if (sh("tests/probe nops 1") == 77)
		SKIP("no io_uring here");
	/* A stopped recorder reads nothing; the program continues to its end.
	 * Again if that came before the stop, or without a CPU. */
	do
		ck_assert_int_eq(
			sh("rm -f rec.pftrace spin1\n"
			   "./urt record -o rec.pftrace -- tests/probe spins 200 "
			   ">spin1 2>rec.err & t=$!\n"
			   "until grep -qs spinning spin1; do :; done\n"
			   "kill -STOP $t\n"
			   "for c in $(cat /proc/$t/task/$t/children); do "
			   "grep -q probe /proc/$c/comm && break; done\n"
			   "until grep -q '^State:.Z' /proc/$c/status; do :; done\n"
			   "kill -CONT $t; wait $t; code=$?\n"
			   "cat rec.err; exit $code"),
			0);
	while (strstr(text, " 0 of coroutines overwritten"));
	f = decode("rec.pftrace");
	is_sound(&f);
	ck_assert_int_eq(sh("./urt report --json rec.pftrace"), 0);
	ck_assert_int_gt(number("coroutines", "overwritten"), 0);
}
END_TEST

START_TEST(tracks_are_bounded_and_the_rest_is_counted)
{
	struct found f;
	long tracks = 0;

	NEED_BPF();
	if (sh("tests/probe nops 1") == 77)
		SKIP("no io_uring here");
	record("coros 0"); /* only the first coroutine */
	ck_assert_int_eq(sh("./urt record --coroutines 10 -o rec.pftrace -- "
			    "tests/probe coros 100 2>&1"),
			 0);
	f = decode("rec.pftrace");
	is_sound(&f);
	for (long i = 0; i < nr_pieces; i++)
		if (!strcmp(pieces[i].category, "coroutine"))
			tracks += !known_of(pieces[i].track)->marked,
				known_of(pieces[i].track)->marked = true;
	ck_assert_int_eq(tracks, 10);
	ck_assert_int_eq(sh("./urt report --json rec.pftrace"), 0);
	ck_assert_int_gt(number("coroutines", "untracked"), 100);
	ck_assert_int_eq(sh("./urt record --coroutines 0 -o rec.pftrace -- "
			    "tests/probe coros 10 2>&1"),
			 0);
	ck_assert_ptr_null(strstr(text, "of coroutines"));
}
END_TEST

START_TEST(full_buffer_drops_and_says_how_many)
{
	const char *dropped;

	NEED_BPF();
	/* A stopped recorder reads nothing; the program continues all the
	 * same. */
	ck_assert_int_eq(
		sh("rm -f rec.pftrace; tests/probe hang >hang1 & pid=$!\n"
		   "until grep -q hanging hang1; do :; done\n"
		   "./urt record -a --buffer 1 -o rec.pftrace 2>rec.err & t=$!\n"
		   "until test -s rec.pftrace; do sleep 0.05; done\n"
		   "kill -STOP $t; tests/probe rounds 4 5000 >/dev/null\n"
		   "kill -CONT $t; kill -INT $t; wait $t; code=$?\n"
		   "kill $pid; cat rec.err; exit $code"),
		0);
	dropped = strstr(text, "MiB, ");
	ck_assert_ptr_nonnull(dropped);
	ck_assert_int_gt(atol(dropped + 5), 0);
	ck_assert_int_eq(sh("./urt report --json rec.pftrace"), 0);
	ck_assert_int_gt(number(NULL, "dropped"), 0);
}
END_TEST

/* ---- the flight recorder ---- */

START_TEST(last_holds_the_end_and_no_more)
{
	struct found f;
	int tries = 0;

	NEED_BPF();
	if (sh("tests/probe nops 1") == 77)
		SKIP("no io_uring here");
	/* If it gets no CPU, the program may do little in its last 30 ms. */
	do {
		ck_assert_int_eq(
			sh("./urt record --last 30ms -o last.pftrace -- "
			   "tests/probe rounds 2 2000 2>&1 >/dev/null"),
			0);
		ck_assert_msg(strstr(text, ", the last 0.0") != NULL, "%s",
			      text);
		f = decode("last.pftrace");
		is_sound(&f);
	} while (nr_pieces <= 10 && tries++ < 20);
	ck_assert_int_gt(nr_pieces, 10);
	ck_assert_uint_le(pieces[nr_pieces - 1].ns - pieces[0].ns, 30 * MS);
	/* If the time is long, all events are there, as without the option. */
	ck_assert_int_eq(sh("./urt record --last 1m -o last.pftrace -- "
			    "tests/probe coros 100 2>&1 >/dev/null"),
			 0);
	f = decode("last.pftrace");
	is_sound(&f);
	has_coroutines(100);
	ck_assert_int_eq(count_pieces(1, "coroutine", "coro #"), 100);
}
END_TEST

START_TEST(last_is_bounded_by_memory_and_says_so)
{
	struct found f;

	NEED_BPF();
	ck_assert_int_eq(
		sh("./urt record --last 1m --memory 1 -o last.pftrace -- "
		   "tests/probe rounds 4 10000 2>&1 >/dev/null"),
		0);
	ck_assert_msg(strstr(text, "1 MiB (--memory) hold no more") != NULL,
		      "%s", text);
	f = decode("last.pftrace");
	is_sound(&f);
	/* At least 8 bytes each; an event is at most the beginning of two
	 * slices. */
	ck_assert_int_gt(f.begins, 1000);
	ck_assert_int_le(f.begins, 2 * (1 << 20) / 8);
}
END_TEST

START_TEST(last_is_written_by_a_signal_and_goes_on)
{
	struct found f;

	NEED_BPF();
	ck_assert_msg(
		!sh("rm -f last.pftrace last.err go1\n"
		    "./urt record --last 1m -o last.pftrace -- sh -c 'until test "
		    "-e go1; do :; done; exec tests/probe sleeps 200' >/dev/null "
		    "2>last.err & t=$!\n"
		    "until test -e last.pftrace; do sleep 0.01; done\n"
		    "until grep -q MiB last.err; do kill -USR1 $t || "
		    "{ cat last.err; exit 1; }; sleep 0.1; done\n"
		    "cp last.pftrace first.pftrace; touch go1; wait $t"),
		"%s", text);
	f = decode("first.pftrace");
	is_sound(&f);
	ck_assert_int_eq(count_pieces(1, NULL, "wait: clock_nanosleep"), 0);
	f = decode("last.pftrace");
	is_sound(&f);
	ck_assert_int_ge(count_pieces(1, NULL, "wait: clock_nanosleep"), 190);
}
END_TEST

START_TEST(last_is_written_if_an_assertion_fails)
{
	NEED_BPF();
	ck_assert_int_eq(
		sh("./urt record --last 9s --if-fails -o last.pftrace -- ./urt "
		   "stat --assert 'switches < 100000' -- tests/probe sleeps 50 "
		   "2>&1 >/dev/null"),
		0);
	ck_assert_msg(strstr(text, "is left empty") != NULL, "%s", text);
	ck_assert_int_eq(sh("test -s last.pftrace"), 1);
	ck_assert_int_eq(
		sh("./urt record --last 9s --if-fails -o last.pftrace -- ./urt "
		   "stat --assert 'switches < 5' -- tests/probe sleeps 50 2>&1 "
		   ">/dev/null"),
		3);
	ck_assert_msg(decode("last.pftrace").whole, "%s", text);
	ck_assert_int_ge(count_pieces(1, NULL, "wait: clock_nanosleep"), 50);
	refuses("./urt record --if-fails -- true", "needs --last TIME");
	refuses("./urt record --last never -- true", "--last");
	sh("rm -f last.pftrace first.pftrace last.err go1");
}
END_TEST

/* A thread's switch away and back, and its waking by a timer. */
START_TEST(switch_takes_at_most_40_bytes_of_the_file)
{
	long bytes;

	NEED_BPF();
	record("rounds 2 2000");
	sh("stat -c %%s rec.pftrace");
	bytes = atol(text);
	ck_assert(decode("rec.pftrace").whole);
	ck_assert_int_ge(count_pieces(1, "wait", NULL), 3000);
	ck_assert_int_le(bytes, 40 * count_pieces(1, "wait", NULL));
}
END_TEST

START_TEST(recording_ends_by_time_by_size_and_by_a_signal)
{
	NEED_BPF();
	ck_assert_int_eq(
		sh("./urt record -a --duration 200 -o rec.pftrace 2>&1"), 0);
	/* Of a busy machine, that can be more than decode() takes. */
	ck_assert_int_eq(sh("./urt record -o rec.pftrace --duration 200 -- "
			    "tests/probe hang 2>&1 >/dev/null"),
			 0);
	ck_assert(decode("rec.pftrace").whole);
	sh("timeout 90 ./urt record --max-size 1 -o rec.pftrace -- "
	   "tests/probe rounds 8 20000 2>&1 >/dev/null");
	ck_assert_ptr_nonnull(strstr(text, "--max-size"));
	ck_assert(decode("rec.pftrace").whole);
}
END_TEST

Suite *last_suite(void)
{
	Suite *s = suite_create("last");
	TCase *t = tcase_create("last");

	tcase_set_timeout(t, 180);
	tcase_add_test(t, last_holds_the_end_and_no_more);
	tcase_add_test(t, last_is_bounded_by_memory_and_says_so);
	tcase_add_test(t, last_is_written_by_a_signal_and_goes_on);
	tcase_add_test(t, last_is_written_if_an_assertion_fails);
	tcase_add_test(t, switch_takes_at_most_40_bytes_of_the_file);
	tcase_add_test(t, recording_ends_by_time_by_size_and_by_a_signal);
	tcase_add_test(t, tracks_are_bounded_and_the_rest_is_counted);
	tcase_add_test(t, full_buffer_drops_and_says_how_many);
	tcase_add_test(t, events_that_were_overwritten_are_counted);
	suite_add_tcase(s, t);
	return s;
}
