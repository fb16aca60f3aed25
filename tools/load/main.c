// SPDX-License-Identifier: MIT
/*
 * urt load: the generator in a process of its own, whose CPU time tells whether
 * it, and not the server, was the limit; here the options, the watch over it
 * and what is printed. Nothing is recorded until all connections stand.
 */
#define _GNU_SOURCE
#include "../lib/launch.h"
#include "load.h"
#include "../lib/net.h"
#include "../lib/tool.h"
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* From here on the generator's one CPU counts as the limit. */
#define BUSY 0.95

static const char usage_text[] =
	"usage: urt load [OPTIONS] URL\n"
	"\n"
	"Loads an HTTP/1.1 server with keep-alive connections.\n"
	"\n"
	"  URL                   http://ADDRESS:PORT/PATH (127.0.0.1 if\n"
	"                        localhost; answers must have Content-Length)\n"
	"  -c, --connections N   default 64; above 25,000 they come from several\n"
	"                        loopback addresses\n"
	"  -d, --seconds N       default 10, after all connections stand\n"
	"  -R, --rate N          open loop: N requests per second are due, whatever\n"
	"                        the server does, and latencies count from then\n"
	"                        (coordinated omission corrected). Without it a\n"
	"                        closed loop: each connection sends its next\n"
	"                        request when it has read the last answer\n"
	"      --json            one JSON document (schema urt.load.v1)\n";

/* What `urt load` was told, and found out. */
struct run {
	struct load_options load;
	long seconds;	    /* to measure */
	bool json;	    /* instead of text */
	double wall;	    /* seconds measured */
	double cpu;	    /* share of a CPU that the generator took */
	int64_t connect_ns; /* that opening all connections took */
	bool interrupted;
};

/* path points into the URL. */
static bool parse_url(const char *url, struct load_options *o)
{
	char host[64], port[8] = "80";
	long n;

	if (sscanf(url, "http://%63[^/:]:%7[0-9]", host, port) < 1)
		goto bad;
	if (!parse_number("port", port, 1, 65535, &n))
		return false;
	o->path = strchr(url + strlen("http://"), '/');
	if (!o->path)
		o->path = "/";
	o->server = net_loopback(n);
	if (!strcmp(host, "localhost") ||
	    inet_pton(AF_INET, host, &o->server.sin_addr) == 1)
		return true;
bad:
	fail("\"%s\" is no URL for this: write http://ADDRESS:PORT/PATH", url);
	return false;
}

/* ---- results ---- */

static const struct {
	const char *name; /* in JSON */
	double share;	  /* of the requests */
} percentiles[] = {
	{ "p50", 0.5 },	   { "p90", 0.9 },	{ "p99", 0.99 },
	{ "p999", 0.999 }, { "p9999", 0.9999 },
};

/* One bar per row of the histogram, which is a power of two. */
static void print_histogram(const struct histogram *h)
{
	for (unsigned row = 6; row < HISTOGRAM_ROWS; row++) {
		uint64_t n = 0;
		int width;

		for (unsigned i = 0; i < HISTOGRAM_PARTS; i++)
			n += h->part[row * HISTOGRAM_PARTS + i];
		if (!n)
			continue;
		width = n * 40 / h->count;
		printf("%12.1f us to %10.1f us %10llu %.*s\n",
		       (64ull << (row - 1)) / 1e3, (64ull << row) / 1e3,
		       (unsigned long long)n, width ? width : 1,
		       "########################################");
	}
}

static void print_text(const struct run *r, const struct load_shared *s)
{
	if (r->load.rate)
		printf("open loop, %.0f requests/s due; latencies from when a "
		       "request was due\n(coordinated omission corrected)\n",
		       r->load.rate);
	else
		puts("closed loop: latencies of a server loaded to its limit; "
		     "stalls hold the load back");
	printf("%12.0f requests/s\n", s->latency.count / r->wall);
	printf("%12llu requests, %llu errors, in %.2f s, %ld connections\n",
	       (unsigned long long)s->latency.count,
	       (unsigned long long)s->errors, r->wall, r->load.connections);
	for (unsigned i = 0; i < ARRAY_LEN(percentiles); i++)
		printf("%12.1f us at %g %%\n",
		       histogram_percentile(&s->latency, percentiles[i].share) /
			       1e3,
		       percentiles[i].share * 100);
	printf("%12.1f us at most\n", s->latency.max / 1e3);
	print_histogram(&s->latency);
	printf("%11.0f%% of a CPU for the generator\n", r->cpu * 100);
	if (r->interrupted)
		puts("interrupted: this is what was measured until then");
}

static void warn(const struct run *r, const struct load_shared *s)
{
	if (r->cpu > BUSY)
		fprintf(stderr, "urt: warning: the generator had no CPU to "
				"spare: the server may be faster than this\n");
	if (s->unanswered > s->latency.count / 100 + 1)
		fprintf(stderr,
			"urt: warning: %llu requests were due and not answered "
			"at the end: the server is slower than the rate, and "
			"their latencies are missing\n",
			(unsigned long long)s->unanswered);
	if (s->no_length)
		fprintf(stderr, "urt: warning: answers without Content-Length "
				"cannot be read\n");
}

static void json_latency(struct json *j, const struct histogram *h)
{
	json_object(j, "latency_ns");
	for (unsigned i = 0; i < ARRAY_LEN(percentiles); i++)
		json_int(j, percentiles[i].name,
			 histogram_percentile(h, percentiles[i].share));
	json_int(j, "max", h->max);
	json_double(j, "mean", h->count ? (double)h->sum / h->count : 0);
	json_end_object(j);
	json_array(j, "histogram");
	for (unsigned i = 0; i < HISTOGRAM_ROWS * HISTOGRAM_PARTS; i++) {
		if (!h->part[i])
			continue;
		json_object(j, NULL);
		json_int(j, "up_to_ns", histogram_upper(i));
		json_int(j, "count", h->part[i]);
		json_end_object(j);
	}
	json_end_array(j);
}

static void print_json(const struct run *r, const struct load_shared *s)
{
	struct json j = { .out = stdout };

	json_object(&j, NULL);
	json_string(&j, "schema", "urt.load.v1");
	json_int(&j, "requests", s->latency.count);
	json_int(&j, "errors", s->errors);
	json_int(&j, "wall_ns", r->wall * 1e9);
	json_double(&j, "rps", s->latency.count / r->wall);
	json_string(&j, "loop", r->load.rate ? "open" : "closed");
	if (r->load.rate)
		json_double(&j, "rate", r->load.rate);
	else
		json_null(&j, "rate");
	json_int(&j, "connections", r->load.connections);
	json_int(&j, "connect_ns", r->connect_ns);
	json_int(&j, "unanswered", s->unanswered);
	json_double(&j, "generator_cpu", r->cpu);
	json_string(&j, "interrupted", r->interrupted ? "yes" : "no");
	json_latency(&j, &s->latency);
	json_end_object(&j);
}

/* ---- running ---- */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
	interrupted = 1;
}

/* Until then, or Ctrl-C, or the generator has ended. */
static bool watch(pid_t pid, struct load_shared *s, int64_t until,
		  bool for_connections, int *status)
{
	while (now_ns() < until && !interrupted) {
		if (waitpid(pid, status, WNOHANG) == pid)
			return false;
		if (for_connections &&
		    __atomic_load_n(&s->connected_ns, __ATOMIC_ACQUIRE))
			break;
		sleep_ns(NS_PER_MS);
	}
	return true;
}

static double cpu_seconds(void)
{
	struct rusage ru;

	getrusage(RUSAGE_CHILDREN, &ru);
	return ru.ru_utime.tv_sec + ru.ru_stime.tv_sec +
	       (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
}

static bool measure(struct run *r, struct load_shared *s, pid_t pid)
{
	int64_t begin = now_ns();
	int status;

	if (!watch(pid, s, begin + 3600 * NS_PER_S, true, &status))
		return false;
	r->connect_ns = now_ns() - begin;
	begin = now_ns();
	__atomic_store_n(&s->recording, 1, __ATOMIC_RELAXED);
	if (!watch(pid, s, begin + r->seconds * NS_PER_S, false, &status))
		return false;
	__atomic_store_n(&s->recording, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&s->stop, 1, __ATOMIC_RELAXED);
	r->wall = (now_ns() - begin) / 1e9;
	waitpid(pid, &status, 0);
	r->cpu = cpu_seconds() / (r->wall + r->connect_ns / 1e9);
	r->interrupted = interrupted;
	return true;
}

static int load_for(struct run *r)
{
	struct load_shared *s = load_shared_new();
	pid_t parent = getpid(), pid;

	if (!s)
		return fail("out of memory");
	signal(SIGINT, on_interrupt);
	signal(SIGTERM, on_interrupt);
	pid = fork();
	if (!pid) {
		launch_die_with(parent);
		signal(SIGINT, SIG_IGN);
		_exit(load_run(&r->load, s) ? 1 : 0);
	}
	if (pid < 0)
		return fail("cannot start the generator: %s", strerror(errno));
	if (!measure(r, s, pid))
		return fail("cannot connect to port %d: %s (is the server "
			    "running? `urt serve`)",
			    ntohs(r->load.server.sin_port),
			    s->failed_errno ? strerror(s->failed_errno)
					    : "the generator died");
	if (r->json)
		print_json(r, s);
	else
		print_text(r, s);
	fflush(stdout);
	warn(r, s);
	return s->latency.count ? 0 : EXIT_BAD;
}

static bool parse(int argc, char **argv, struct run *r)
{
	static const struct option longs[] = {
		{ "connections", required_argument, NULL, 'c' },
		{ "seconds", required_argument, NULL, 'd' },
		{ "rate", required_argument, NULL, 'R' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	bool ok = true;
	long rate;
	int opt;

	while (ok &&
	       (opt = getopt_long(argc, argv, "c:d:R:h", longs, NULL)) != -1) {
		if (opt == 'h') {
			fputs(usage_text, stdout);
			exit(0);
		} else if (opt == 'j') {
			r->json = true;
		} else if (opt == 'c') {
			ok = parse_number("--connections", optarg, 1, 1000000,
					  &r->load.connections);
		} else if (opt == 'd') {
			ok = parse_number("--seconds", optarg, 1, 86400,
					  &r->seconds);
		} else if (opt == 'R') {
			ok = parse_number("--rate", optarg, 1, 100000000,
					  &rate);
			r->load.rate = rate;
		} else {
			ok = !fail("`urt load --help` lists the options");
		}
	}
	if (ok && optind != argc - 1)
		ok = !fail("load: give one URL (`urt load --help`)");
	return ok && parse_url(argv[optind], &r->load);
}

int cmd_load(int argc, char **argv)
{
	struct run r = { .load.connections = 64, .seconds = 10 };
	long allowed;

	if (!parse(argc, argv, &r))
		return EXIT_BAD;
	if (!net_need_descriptors(r.load.connections + 32, &allowed))
		return fail("%ld connections need more open descriptors than "
			    "are allowed: at most %ld fit (ulimit -n)",
			    r.load.connections, allowed - 32);
	return load_for(&r);
}
