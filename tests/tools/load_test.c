// SPDX-License-Identifier: MIT
/*
 * The load generator against a server of known behaviour, which its figures
 * must match.
 */
#include "../lib/service.h"
#include "../../tools/lib/histogram.h"

START_TEST(load_measures_a_closed_loop)
{
	server_start("epoll", NULL, NULL);
	do /* a busy machine may answer few in the time; so below */
		ck_assert_int_eq(
			sh("./urt load --json -c 8 -d 0.3 http://127.0.0.1:%d/",
			   server_port),
			0);
	while (figure(NULL, "requests") <= 8);
	ck_assert(figure(NULL, "errors") == 0);
	ck_assert(has("\"loop\":\"closed\""));
	ck_assert(figure("latency_ns", "p50") > 0);
	ck_assert(figure("latency_ns", "p99") >= figure("latency_ns", "p50"));
	ck_assert(figure(NULL, "generator_cpu") > 0);
	/* With a backend of 20 ms, no answer comes sooner, and 8 connections
	 * give at most 8 * 50 answers a second. */
	ck_assert_int_eq(sh("./urt load --json -c 8 -d 0.3 "
			    "'http://127.0.0.1:%d/wait?ms=20'",
			    server_port),
			 0);
	ck_assert(figure("latency_ns", "p50") >= 20e6);
	ck_assert(figure(NULL, "rps") <= 400);
	server_stop();
}
END_TEST

/* The number of due requests follows from the time; the number answered in time
 * depends on the machine. */
static bool rate_was_kept(double rate)
{
	double due = rate * figure(NULL, "wall_ns") / 1e9;
	double n = figure(NULL, "requests") + figure(NULL, "unanswered");

	return n > 0.9 * due && n < 1.1 * due;
}

START_TEST(load_keeps_the_rate_of_an_open_loop)
{
	server_start("epoll", NULL, NULL);
	ck_assert_int_eq(sh("./urt load --json -c 8 -d 0.7 -R 500 "
			    "http://127.0.0.1:%d/",
			    server_port),
			 0);
	ck_assert(has("\"loop\":\"open\""));
	ck_assert_msg(rate_was_kept(500), "%.300s", text);
	server_stop();
}
END_TEST

/*
 * One connection, a server that takes 20 ms, 200 requests due a second: it can
 * give 50, so the queue grows by 150 requests a second, and after 1 s the last
 * ones have waited 0.75 s. A generator that counted from the time of sending
 * would report 20 ms for each.
 */
START_TEST(load_charges_a_slow_server_with_the_queue)
{
	server_start("epoll", NULL, NULL);
	ck_assert_int_eq(sh("./urt load --json -c 1 -d 1 -R 200 "
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
	do
		ck_assert_int_eq(sh("./urt load --json -c 4 -d 0.3 "
				    "http://127.0.0.1:%d/nothing",
				    server_port),
				 0);
	while (figure(NULL, "requests") + figure(NULL, "errors") <= 4);
	ck_assert(figure(NULL, "errors") > 0);
	server_stop();
}
END_TEST

START_TEST(load_opens_many_connections)
{
	long n = FEWER(3000);

	server_start("epoll", NULL, NULL);
	/* On a busy machine, each has got its answer later. */
	for (int s = 1; s == 1 || (figure(NULL, "requests") < n && s < 60);
	     s *= 2) {
		ck_assert_int_eq(sh("./urt load --json -c %ld -d %d "
				    "http://127.0.0.1:%d/",
				    n, s, server_port),
				 0);
		ck_assert(figure(NULL, "errors") == 0);
	}
	ck_assert(figure(NULL, "requests") >= n);
	server_stop();
}
END_TEST

START_TEST(load_refuses_what_it_cannot_do)
{
	ck_assert_int_eq(sh("./urt load http://127.0.0.1:1/ 2>&1"), 1);
	ck_assert(has("cannot connect"));
	ck_assert_int_eq(sh("./urt load -n 3 http://127.0.0.1:1/ 2>&1"), 1);
	ck_assert(has("cannot connect"));
	ck_assert_int_eq(sh("./urt load ftp://x 2>&1"), 1);
	ck_assert(has("invalid URL"));
	ck_assert_int_eq(sh("./urt load -R 0 http://127.0.0.1:1/ 2>&1"), 1);
	ck_assert(has("not a number"));
	ck_assert_int_eq(sh("./urt load -d 10h http://127.0.0.1:1/ 2>&1"), 1);
	ck_assert(has("as 10, 10s, 500ms or 2m"));
	ck_assert_int_eq(sh("./urt load -d 1ms http://127.0.0.1:1/ 2>&1"), 1);
	ck_assert(has("is not a time"));
	ck_assert_int_eq(sh("./urt load 2>&1"), 1);
	ck_assert(has("give one URL"));
}
END_TEST

START_TEST(load_interrupted_prints_what_it_has)
{
	int seconds = 1, code;

	server_start("epoll", NULL, NULL);
	do { /* without a single answer, it fails */
		code = sh("timeout -s INT --preserve-status %d ./urt load "
			  "-d 60 http://127.0.0.1:%d/",
			  seconds *= 2, server_port);
		ck_assert(has("interrupted"));
		ck_assert(has("requests/s"));
	} while (code == 1 && seconds < 32);
	ck_assert_int_eq(code, 0);
	server_stop();
}
END_TEST

START_TEST(load_sends_exactly_the_requests_it_is_told)
{
	static const long numbers[] = { 1, 7, 1000, 4321 };

	server_start("epoll", NULL, NULL);
	for (unsigned i = 0; i < ARRAY_LEN(numbers); i++) {
		for (int threads = 1; threads <= 3; threads++) {
			ck_assert_int_eq(
				sh("./urt load --json -c 10 -n %ld -t %d "
				   "--ops-file ops http://127.0.0.1:%d/",
				   numbers[i], threads, server_port),
				0);
			ck_assert(figure(NULL, "requests") == numbers[i]);
			ck_assert(figure(NULL, "answered") == numbers[i]);
			ck_assert(figure(NULL, "errors") == 0);
			ck_assert_int_eq(sh("cat ops"), 0);
			ck_assert_int_eq(atol(text), numbers[i]);
		}
	}
	server_stop();
}
END_TEST

/* A blocking receive and a send for each request, one more receive for each
 * connection: the number of requests is known to the last one. */
START_TEST(load_tells_stat_how_many_requests_there_were)
{
	double calls;

	if (!have_bpf())
		SKIP("no BPF here: `urt doctor` says why");
	server_start("thread", NULL, NULL);
	ck_assert_int_eq(
		sh("./urt load -n 4 -c 4 http://127.0.0.1:%d/ && "
		   "./urt stat --json -o stat.json -p %d --ops-from "
		   "file:ops -- ./urt load -n 3000 -c 4 --ops-file ops "
		   "http://127.0.0.1:%d/ && cat stat.json",
		   server_port, server, server_port),
		0);
	ck_assert(figure(NULL, "ops") == 3000);
	calls = figure("by_name", "sendto");
	ck_assert_msg(calls == 3000, "%g calls of sendto", calls);
	server_stop();
}
END_TEST

START_TEST(load_opens_a_connection_for_so_many_requests)
{
	server_start("epoll", NULL, NULL);
	do { /* one on each proves nothing */
		ck_assert_int_eq(
			sh("./urt load --json -c 4 -d 0.5 --per-connection 1 "
			   "http://127.0.0.1:%d/",
			   server_port),
			0);
		ck_assert(figure(NULL, "errors") == 0);
	} while (figure(NULL, "requests") <= 4);
	ck_assert_int_eq(sh("./urt load --json -c 4 -d 0.5 --per-connection 3 "
			    "-R 300 http://127.0.0.1:%d/",
			    server_port),
			 0);
	ck_assert(figure(NULL, "errors") == 0);
	ck_assert_msg(rate_was_kept(300), "%.300s", text);
	server_stop();
}
END_TEST

/* A server whose backlog accepts, but which never answers. */
START_TEST(load_ends_where_the_server_says_nothing)
{
	struct sockaddr_in addr;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	server_port = net_free_port();
	addr = server_address();
	ck_assert(!bind(fd, (struct sockaddr *)&addr, sizeof(addr)) &&
		  !listen(fd, 64));
	ck_assert_int_eq(sh("timeout 90 ./urt load -c 4 --timeout 0.3 "
			    "http://127.0.0.1:%d/ 2>&1",
			    server_port),
			 1);
	ck_assert_msg(has("does not answer: 4 opened"), "%s", text);
	ck_assert_int_eq(sh("timeout 90 ./urt load -c 4 -n 9 --timeout 0.3 "
			    "http://127.0.0.1:%d/ 2>&1",
			    server_port),
			 1);
	ck_assert(has("does not answer"));
	ck_assert_int_eq(sh("timeout 90 ./urt load --wait 0.3 "
			    "http://127.0.0.1:%d/ 2>&1",
			    server_port),
			 1);
	ck_assert(has("no answer from port"));
	close(fd);
}
END_TEST

/* The server comes later than its client. */
START_TEST(load_waits_until_the_server_answers)
{
	server_port = net_free_port();
	ck_assert_int_eq(sh("(./urt load --wait 90 -n 10 http://127.0.0.1:%d/; "
			    "echo code $?) >out.txt 2>&1 & "
			    "timeout -s KILL 90 ./urt serve epoll --port %d & "
			    "wait %%1; cat out.txt; kill %%2",
			    server_port, server_port),
			 0);
	ck_assert_msg(has("10 requests, 0 errors") && has("code 0"), "%s",
		      text);
}
END_TEST

START_TEST(load_writes_percentiles_as_hdrhistogram_does)
{
	double value = -1, share = -1, last_value, last_share;
	unsigned lines = 0;
	char *line, *save;

	server_start("epoll", NULL, NULL);
	ck_assert_int_eq(sh("./urt load -n 2000 --hdr hdr http://127.0.0.1:%d/ "
			    ">/dev/null && cat hdr",
			    server_port),
			 0);
	ck_assert(has("       Value     Percentile TotalCount "
		      "1/(1-Percentile)\n\n"));
	ck_assert(has("Total count    =         2000]"));
	strtok_r(text, "\n", &save);
	while ((line = strtok_r(NULL, "\n", &save)) && *line != '#') {
		last_value = value;
		last_share = share;
		ck_assert_int_eq(sscanf(line, "%lf %lf", &value, &share), 2);
		ck_assert(value >= last_value && share > last_share);
		lines++;
	}
	ck_assert(share == 1);
	ck_assert_uint_gt(lines, 20);
	server_stop();
}
END_TEST

START_TEST(load_writes_its_files_through_no_link)
{
	server_start("epoll", NULL, NULL);
	sh("rm -rf load.d; mkdir load.d; echo keep >load.d/victim; "
	   "ln -s victim load.d/hdr; ln -s victim load.d/ops");
	ck_assert_int_eq(sh("./urt load -n 100 --hdr load.d/hdr "
			    "http://127.0.0.1:%d/ 2>&1 >/dev/null",
			    server_port),
			 1);
	ck_assert(has("it is a link"));
	/* A new file takes the link's place. */
	ck_assert_int_eq(sh("./urt load -n 100 --ops-file load.d/ops "
			    "http://127.0.0.1:%d/ >/dev/null && "
			    "test ! -h load.d/ops && cat load.d/victim",
			    server_port),
			 0);
	ck_assert_str_eq(text, "keep\n");
	sh("rm -rf load.d");
	server_stop();
}
END_TEST

/* Without sleeping, its CPU is busy however slow the server is. */
START_TEST(load_that_spins_takes_a_whole_cpu)
{
	double cpu;

	server_start("epoll", NULL, NULL);
	ck_assert_int_eq(sh("./urt load --json -c 1 -d 300ms "
			    "'http://127.0.0.1:%d/wait?ms=50'",
			    server_port),
			 0);
	cpu = figure(NULL, "generator_cpu");
	do /* others may have had the CPU */
		ck_assert_int_eq(sh("./urt load --json --spin -c 1 -d 300ms "
				    "'http://127.0.0.1:%d/wait?ms=50'",
				    server_port),
				 0);
	while (figure(NULL, "requests") < 1 ||
	       figure(NULL, "generator_cpu") <= 4 * cpu);
	server_stop();
}
END_TEST

/* ---- TLS ---- */

#define NEED_TLS()                                                        \
	do {                                                              \
		if (not_here("coroutine-tls"))                            \
			SKIP("%s",                                        \
			     model_missing(model_find("coroutine-tls"))); \
	} while (0)

START_TEST(load_over_tls_sends_exactly_the_requests_it_is_told)
{
	NEED_TLS();
	server_start("coroutine-tls", NULL, NULL);
	for (int threads = 1; threads <= 2; threads++) {
		ck_assert_int_eq(sh("./urt load --json -c 10 -n 1234 -t %d "
				    "--ops-file ops https://127.0.0.1:%d/ && "
				    "cat ops >&2",
				    threads, server_port),
				 0);
		ck_assert(figure(NULL, "answered") == 1234);
		ck_assert(figure(NULL, "requests") == 1234);
		ck_assert(figure(NULL, "errors") == 0);
		ck_assert(has("\"tls\":\"TLSv1.3, "));
		ck_assert_int_eq(sh("cat ops"), 0);
		ck_assert_int_eq(atol(text), 1234);
	}
	/* A handshake for each three, and requests that wait. */
	ck_assert_int_eq(sh("./urt load --wait 90 -n 40 -c 4 --per-connection "
			    "3 --tls 'http://127.0.0.1:%d/wait?ms=1'",
			    server_port),
			 0);
	ck_assert_msg(has("40 requests, 0 errors"), "%s", text);
	ck_assert(has("certificates were not verified"));
	server_stop();
}
END_TEST

/* A server that says these bytes to each client, and hangs up. */
static pid_t says(const char *bytes, size_t len)
{
	int listener = net_listen((server_port = 0, &server_port));
	pid_t pid;

	ck_assert_int_ge(listener, 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			int fd = accept(listener, NULL, NULL);
			char hello[4096];

			if (recv(fd, hello, sizeof(hello), 0) > 0 &&
			    send(fd, bytes, len, MSG_NOSIGNAL) < 0)
				_exit(1);
			close(fd);
		}
	}
	close(listener);
	return pid;
}

/* The head and the end of an answer come in different reads. */
START_TEST(load_counts_long_answers_that_are_errors)
{
	static char answer[2 << 20];
	int head = snprintf(answer, sizeof(answer),
			    "HTTP/1.1 503 Busy\r\nContent-Length: %zu\r\n\r\n",
			    sizeof(answer) / 2);
	pid_t busy = says(answer, head + sizeof(answer) / 2);

	ck_assert_int_eq(sh("./urt load --json -c 1 -n 1 http://127.0.0.1:%d/",
			    server_port),
			 0);
	ck_assert(figure(NULL, "answered") == 0);
	ck_assert(figure(NULL, "errors") == 1);
	kill(busy, SIGKILL);
	waitpid(busy, NULL, 0);
}
END_TEST

START_TEST(load_over_tls_says_why_a_handshake_fails)
{
	static const struct {
		const char *bytes;
		size_t len;
	} servers[] = {
		{ "", 0 },				    /* hangs up */
		{ "HTTP/1.1 400 Bad Request\r\n\r\n", 28 }, /* has no TLS */
		{ "\x15\x03\x03\0\2\2\x28", 7 },      /* alert: no cipher */
		{ "\x16\x03\x03\0\5\2\0\0\1\0", 10 }, /* nonsense */
	};

	NEED_TLS();
	for (unsigned i = 0; i < ARRAY_LEN(servers); i++) {
		pid_t pid = says(servers[i].bytes, servers[i].len);

		ck_assert_int_eq(sh("./urt load -c 2 -n 9 "
				    "https://127.0.0.1:%d/ 2>&1",
				    server_port),
				 1);
		ck_assert_msg(has("the TLS handshake with port"), "%u: %s", i,
			      text);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}
END_TEST

/* A server without TLS waits for the rest of a request, one with TLS answers a
 * request without TLS by an alert: both are said, and no figure is invented. */
START_TEST(load_notices_who_speaks_tls_and_who_does_not)
{
	NEED_TLS();
	server_start("epoll", NULL, NULL);
	ck_assert_int_eq(sh("./urt load -c 2 --timeout 0.2 "
			    "https://127.0.0.1:%d/ 2>&1",
			    server_port),
			 1);
	ck_assert_msg(has("does it speak TLS?"), "%s", text);
	server_stop();
	server_start("coroutine-tls", NULL, NULL);
	ck_assert_int_eq(sh("./urt load -c 2 -n 5 http://127.0.0.1:%d/ 2>&1",
			    server_port),
			 1);
	ck_assert_msg(has("0 requests, ") && has(" n/a us at 50 %") &&
			      has(" n/a us at most"),
		      "%s", text);
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

	tcase_add_test(t, load_measures_a_closed_loop);
	tcase_add_test(t, load_keeps_the_rate_of_an_open_loop);
	tcase_add_test(t, load_charges_a_slow_server_with_the_queue);
	tcase_add_test(t, load_counts_answers_that_are_errors);
	tcase_add_test(t, load_counts_long_answers_that_are_errors);
	tcase_add_test(t, load_opens_many_connections);
	tcase_add_test(t, load_refuses_what_it_cannot_do);
	tcase_add_test(t, load_interrupted_prints_what_it_has);
	tcase_add_test(t, load_sends_exactly_the_requests_it_is_told);
	tcase_add_test(t, load_tells_stat_how_many_requests_there_were);
	tcase_add_test(t, load_opens_a_connection_for_so_many_requests);
	tcase_add_test(t, load_ends_where_the_server_says_nothing);
	tcase_add_test(t, load_waits_until_the_server_answers);
	tcase_add_test(t, load_writes_percentiles_as_hdrhistogram_does);
	tcase_add_test(t, load_writes_its_files_through_no_link);
	tcase_add_test(t, load_that_spins_takes_a_whole_cpu);
	tcase_add_test(t, load_over_tls_sends_exactly_the_requests_it_is_told);
	tcase_add_test(t, load_over_tls_says_why_a_handshake_fails);
	tcase_add_test(t, load_notices_who_speaks_tls_and_who_does_not);
	tcase_add_test(t, histogram_keeps_values_to_within_a_sixtyfourth);
	tcase_add_test(t, histogram_percentiles_are_those_of_the_values);
	suite_add_tcase(s, t);
	return s;
}
