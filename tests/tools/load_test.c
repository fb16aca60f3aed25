// SPDX-License-Identifier: MIT
/*
 * The load generator: against a server whose behaviour is known, what it says
 * of it must be so.
 */
#include "../lib/service.h"
#include "../../tools/lib/histogram.h"

START_TEST(load_measures_a_closed_loop)
{
	server_start("epoll", NULL, NULL);
	ck_assert_int_eq(sh("./urt load --json -c 8 -d 1 http://127.0.0.1:%d/",
			    server_port),
			 0);
	ck_assert(figure(NULL, "requests") > 100);
	ck_assert(figure(NULL, "errors") == 0);
	ck_assert(has("\"loop\":\"closed\""));
	ck_assert(figure("latency_ns", "p50") > 0);
	ck_assert(figure("latency_ns", "p99") >= figure("latency_ns", "p50"));
	ck_assert(figure(NULL, "generator_cpu") > 0);
	/* A backend of 20 ms: no answer before, and 8 connections give at most
	 * 8 * 50 answers a second. */
	ck_assert_int_eq(sh("./urt load --json -c 8 -d 1 "
			    "'http://127.0.0.1:%d/wait?ms=20'",
			    server_port),
			 0);
	ck_assert(figure("latency_ns", "p50") >= 20e6);
	ck_assert(figure(NULL, "rps") <= 400);
	server_stop();
}
END_TEST

START_TEST(load_keeps_the_rate_of_an_open_loop)
{
	server_start("epoll", NULL, NULL);
	ck_assert_int_eq(sh("./urt load --json -c 8 -d 2 -R 500 "
			    "http://127.0.0.1:%d/",
			    server_port),
			 0);
	ck_assert(has("\"loop\":\"open\""));
	ck_assert(figure(NULL, "rps") > 450);
	ck_assert(figure(NULL, "rps") < 550);
	server_stop();
}
END_TEST

/*
 * One connection, a server that takes 20 ms, 100 requests due a second: it can
 * give 50, so the queue grows by 50 requests a second, and after 2 s the last
 * ones have waited a second. A generator that counted from when it sent would
 * say 20 ms of each.
 */
START_TEST(load_charges_a_slow_server_with_the_queue)
{
	server_start("epoll", NULL, NULL);
	ck_assert_int_eq(sh("./urt load --json -c 1 -d 2 -R 100 "
			    "'http://127.0.0.1:%d/wait?ms=20' 2>stderr.txt",
			    server_port),
			 0);
	ck_assert(figure("latency_ns", "p99") > 500e6);
	ck_assert(figure("latency_ns", "p50") > 200e6);
	ck_assert(figure(NULL, "unanswered") > 50);
	ck_assert_int_eq(sh("cat stderr.txt"), 0);
	ck_assert(has("slower than the rate"));
	server_stop();
}
END_TEST

START_TEST(load_counts_answers_that_are_errors)
{
	server_start("epoll", NULL, NULL);
	ck_assert_int_eq(sh("./urt load --json -c 4 -d 1 "
			    "http://127.0.0.1:%d/nothing",
			    server_port),
			 0);
	ck_assert(figure(NULL, "errors") > 10);
	server_stop();
}
END_TEST

START_TEST(load_opens_many_connections)
{
	long n = FEWER(3000);

	server_start("epoll", NULL, NULL);
	ck_assert_int_eq(sh("./urt load --json -c %ld -d 1 "
			    "http://127.0.0.1:%d/",
			    n, server_port),
			 0);
	ck_assert(figure(NULL, "errors") == 0);
	ck_assert(figure(NULL, "requests") >= n);
	server_stop();
}
END_TEST

START_TEST(load_refuses_what_it_cannot_do)
{
	ck_assert_int_eq(sh("./urt load http://127.0.0.1:1/ 2>&1"), 1);
	ck_assert(has("cannot connect"));
	ck_assert_int_eq(sh("./urt load ftp://x 2>&1"), 1);
	ck_assert(has("no URL"));
	ck_assert_int_eq(sh("./urt load -R 0 http://127.0.0.1:1/ 2>&1"), 1);
	ck_assert(has("not a number"));
	ck_assert_int_eq(sh("./urt load 2>&1"), 1);
	ck_assert(has("give one URL"));
}
END_TEST

START_TEST(load_interrupted_prints_what_it_has)
{
	server_start("epoll", NULL, NULL);
	ck_assert_int_eq(sh("timeout -s INT --preserve-status 2 ./urt load "
			    "-d 60 http://127.0.0.1:%d/",
			    server_port),
			 0);
	ck_assert(has("interrupted"));
	ck_assert(has("requests/s"));
	server_stop();
}
END_TEST

/* Every value lies in a part that ends less than 1/64 above it. */
START_TEST(histogram_keeps_values_to_within_a_sixtyfourth)
{
	uint64_t r = seed();

	for (int i = 0; i < 100000; i++) {
		uint64_t v = rnd(&r) >> (rnd(&r) % 60 + 4);
		uint64_t upper = histogram_upper(histogram_index(v));

		ck_assert_uint_ge(upper, v);
		ck_assert(upper - v <= v / 64);
	}
}
END_TEST

START_TEST(histogram_percentiles_are_those_of_the_values)
{
	static struct histogram h;

	for (uint64_t v = 1; v <= 1000; v++)
		histogram_add(&h, v * 1000);
	ck_assert_uint_ge(histogram_percentile(&h, 0.5), 500000);
	ck_assert_uint_le(histogram_percentile(&h, 0.5), 508000);
	ck_assert_uint_ge(histogram_percentile(&h, 0.99), 990000);
	ck_assert_uint_le(histogram_percentile(&h, 0.99), 1000000);
	ck_assert_uint_eq(histogram_percentile(&h, 1), 1000000);
	ck_assert_uint_eq(h.max, 1000000);
}
END_TEST

Suite *load_suite(void)
{
	Suite *s = suite_create("load");
	TCase *t = tcase_create("load");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, load_measures_a_closed_loop);
	tcase_add_test(t, load_keeps_the_rate_of_an_open_loop);
	tcase_add_test(t, load_charges_a_slow_server_with_the_queue);
	tcase_add_test(t, load_counts_answers_that_are_errors);
	tcase_add_test(t, load_opens_many_connections);
	tcase_add_test(t, load_refuses_what_it_cannot_do);
	tcase_add_test(t, load_interrupted_prints_what_it_has);
	tcase_add_test(t, histogram_keeps_values_to_within_a_sixtyfourth);
	tcase_add_test(t, histogram_percentiles_are_those_of_the_values);
	suite_add_tcase(s, t);
	return s;
}
