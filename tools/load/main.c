// SPDX-License-Identifier: MIT
/*
 * urt load: each generator is a process of its own, whose CPU time shows
 * whether it, and not the server, was the limit. This file has the options and
 * the watch over the generators. Nothing is recorded until all connections are
 * open, except with --requests, where each request counts.
 *
 * It always ends: if no connection is opened and no request is answered for the
 * time of --timeout, the generators are stopped.
 */
#define _GNU_SOURCE
#include "../lib/launch.h"
#include "../lib/net.h"
#include "../lib/options.h"
#include "../lib/tool.h"
#include "load.h"
#include "ops.h"
#include "report.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 64
#define OPS_NS	    (100 * NS_PER_MS) /* how often the file is written */

/* The options of `urt load`, and its generators. */
struct run {
	struct load_result result;
	double seconds, wait_s, timeout_s;
	long rate; /* 0: a closed loop */
	bool json;
	const char *ops_file, *hdr; /* NULL: none */
	struct load_shared *shared[THREADS_MAX];
	pid_t pid[THREADS_MAX]; /* 0: has ended */
	uint64_t progress;	/* connections and answers seen so far */
	int64_t progress_ns;	/* when that was more than before */
	int64_t ops_ns;		/* when the file was written */
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
	fail("invalid URL \"%s\": expected http://ADDRESS:PORT/PATH", url);
	return false;
}

/* ---- the watch ---- */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
	interrupted = 1;
}

static uint64_t sum_of(const struct run *r, size_t offset)
{
	uint64_t sum = 0;

	for (long i = 0; i < r->result.threads; i++)
		sum += __atomic_load_n(
			(uint64_t *)((char *)r->shared[i] + offset),
			__ATOMIC_RELAXED);
	return sum;
}
#define SUM_OF(r, field) sum_of(r, offsetof(struct load_shared, field))

/* A new file is renamed over the old one, so a reader never sees half a
 * number. */
static void tell_ops(struct run *r, int64_t every_ns)
{
	char tmp[4096];
	FILE *f;

	ops_tell(SUM_OF(r, completed));
	if (!r->ops_file || now_ns() - r->ops_ns < every_ns)
		return;
	r->ops_ns = now_ns();
	snprintf(tmp, sizeof(tmp), "%s.%d", r->ops_file, getpid());
	f = fopen(tmp, "wxe");
	if (f)
		fprintf(f, "%llu\n", (unsigned long long)SUM_OF(r, completed));
	if (!f || fclose(f) || rename(tmp, r->ops_file)) {
		fail("--ops-file: cannot write %s: %s", r->ops_file,
		     strerror(errno));
		r->ops_file = NULL;
	}
}

/* Whether the server still makes progress. */
static bool goes_on(struct run *r, int64_t now)
{
	uint64_t progress =
		SUM_OF(r, opened) + SUM_OF(r, completed) + SUM_OF(r, errors);

	if (progress != r->progress) {
		r->progress = progress;
		r->progress_ns = now;
	}
	return now - r->progress_ns < r->timeout_s * 1e9;
}

static bool all_connected(const struct run *r)
{
	for (long i = 0; i < r->result.threads; i++)
		if (!__atomic_load_n(&r->shared[i]->connected_ns,
				     __ATOMIC_ACQUIRE))
			return false;
	return true;
}

/* The generators that have not ended. */
static long reap(struct run *r)
{
	long left = 0;

	for (long i = 0; i < r->result.threads; i++) {
		if (r->pid[i] && waitpid(r->pid[i], NULL, WNOHANG) == r->pid[i])
			r->pid[i] = 0;
		left += r->pid[i] != 0;
	}
	return left;
}

/*
 * Waits until then, until Ctrl-C, until there is no progress, or, if asked for,
 * until all connections are open. False: a generator has ended.
 */
static bool watch(struct run *r, int64_t until, bool for_connections)
{
	int64_t now;

	while ((now = now_ns()) < until && !interrupted) {
		if (reap(r) < r->result.threads)
			return false;
		if (for_connections && all_connected(r))
			break;
		if (for_connections && !goes_on(r, now)) {
			r->result.gave_up = true;
			break;
		}
		tell_ops(r, OPS_NS);
		sleep_ns(NS_PER_MS);
	}
	return true;
}

static void set_all(struct run *r, bool recording, bool stop)
{
	int64_t now = now_ns();

	for (long i = 0; i < r->result.threads; i++) {
		struct load_shared *s = r->shared[i];

		if (recording && !s->recording_ns)
			s->recording_ns = now;
		__atomic_store_n(&s->recording, recording, __ATOMIC_RELEASE);
		__atomic_store_n(&s->stop, stop, __ATOMIC_RELEASE);
	}
}

/* CPU seconds so far of the busiest generator. */
static double cpu_seconds(const struct run *r)
{
	double most = 0;

	for (long i = 0; i < r->result.threads; i++) {
		struct timespec ts;
		clockid_t clock;

		if (!r->pid[i] || clock_getcpuclockid(r->pid[i], &clock) ||
		    clock_gettime(clock, &ts))
			continue;
		most = fmax(most, ts.tv_sec + ts.tv_nsec / 1e9);
	}
	return most;
}

/* ---- generators ---- */

static long share_of(long all, long n, long i)
{
	return all / n + (i < all % n);
}

static struct load_options options_of(const struct run *r, long i)
{
	struct load_options o = r->result.load;
	long n = r->result.threads;

	o.connections = share_of(r->result.load.connections, n, i);
	o.requests = share_of(r->result.load.requests, n, i);
	o.first = i * (r->result.load.connections / n + 1);
	o.rate /= n;
	o.rate_offset = (double)i / n;
	return o;
}

static bool start_all(struct run *r)
{
	pid_t parent = getpid();

	r->progress_ns = now_ns();
	for (long i = 0; i < r->result.threads; i++) {
		struct load_options o = options_of(r, i);

		r->shared[i] = load_shared_new();
		if (!r->shared[i])
			return !fail("out of memory");
		if (o.requests) {
			r->shared[i]->recording = 1;
			r->shared[i]->recording_ns = now_ns();
		}
		r->pid[i] = fork();
		if (!r->pid[i]) {
			launch_die_with(parent);
			signal(SIGINT, SIG_IGN);
			_exit(load_run(&o, r->shared[i]) ? 1 : 0);
		}
		if (r->pid[i] < 0)
			return !fail("cannot start a generator: %s",
				     strerror(errno));
	}
	return true;
}

static void stop_all(struct run *r)
{
	set_all(r, false, true);
	for (long i = 0; i < r->result.threads; i++)
		if (r->pid[i])
			waitpid(r->pid[i], NULL, 0);
}

static void add_up(struct run *r)
{
	struct load_shared *sum = &r->result.sum;

	for (long i = 0; i < r->result.threads; i++) {
		const struct load_shared *s = r->shared[i];

		sum->completed += s->completed;
		sum->errors += s->errors;
		sum->broken += s->broken;
		sum->no_length += s->no_length;
		sum->unanswered += s->unanswered;
		sum->charged += s->charged;
		sum->late_count += s->late_count;
		sum->late_sum_ns += s->late_sum_ns;
		if (s->late_max_ns > sum->late_max_ns)
			sum->late_max_ns = s->late_max_ns;
		if (s->failed_errno)
			sum->failed_errno = s->failed_errno;
		histogram_merge(&sum->latency, &s->latency);
	}
}

/* ---- measuring ---- */

static int no_connection(const struct run *r)
{
	int port = ntohs(r->result.load.server.sin_port);

	for (long i = 0; i < r->result.threads; i++)
		if (r->shared[i]->failed_errno)
			return fail("cannot connect to port %d: %s (is the "
				    "server running? `urt serve`)",
				    port, strerror(r->shared[i]->failed_errno));
	if (SUM_OF(r, completed) + SUM_OF(r, errors))
		return fail("the server on port %d stopped answering after "
			    "%llu answers (--timeout)",
			    port, (unsigned long long)SUM_OF(r, completed));
	return fail("the server on port %d accepts connections but does not "
		    "answer: %llu opened, none answered in %g s (--timeout)",
		    port, (unsigned long long)SUM_OF(r, opened), r->timeout_s);
}

/* Measures for a time, from when all connections are open. False: it failed,
 * and an error was printed. */
static bool measure_time(struct run *r)
{
	int64_t begin = now_ns();
	double before;
	bool fine = watch(r, INT64_MAX, true);

	if (!fine || r->result.gave_up) {
		stop_all(r);
		return !no_connection(r);
	}
	r->result.connect_ns = now_ns() - begin;
	begin = now_ns();
	before = cpu_seconds(r);
	set_all(r, true, false);
	fine = watch(r, begin + (int64_t)(r->seconds * 1e9), false);
	r->result.wall = (now_ns() - begin) / 1e9;
	r->result.cpu = (cpu_seconds(r) - before) / r->result.wall;
	stop_all(r);
	return fine || !no_connection(r);
}

/* Measures a number of requests, from the first one until all are answered. */
static bool measure_requests(struct run *r)
{
	int64_t begin = now_ns(), last = begin;
	double cpu = 0;

	while (reap(r) && !interrupted && !r->result.gave_up) {
		cpu = fmax(cpu, cpu_seconds(r));
		r->result.gave_up = !goes_on(r, now_ns());
		tell_ops(r, OPS_NS);
		sleep_ns(NS_PER_MS);
	}
	stop_all(r);
	for (long i = 0; i < r->result.threads; i++)
		if (r->shared[i]->last_answer_ns > last)
			last = r->shared[i]->last_answer_ns;
	r->result.wall = (last - begin) / 1e9;
	r->result.cpu = r->result.wall > 0 ? cpu / r->result.wall : 0;
	return SUM_OF(r, completed) + SUM_OF(r, errors) || interrupted ||
	       !no_connection(r);
}

/* One request, as any client sends it; whether it was answered. */
static bool answers(const struct load_options *o)
{
	struct timeval limit = { 0, 200000 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[600], in[16];
	bool fine;

	snprintf(text, sizeof(text),
		 "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		 o->path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	fine = !connect(fd, (const struct sockaddr *)&o->server,
			sizeof(o->server)) &&
	       send(fd, text, strlen(text), MSG_NOSIGNAL) > 0 &&
	       recv(fd, in, sizeof(in), 0) > 0;
	close(fd);
	return fine;
}

static bool wait_for_server(const struct run *r)
{
	int64_t until = now_ns() + (int64_t)(r->wait_s * 1e9);

	while (r->wait_s && !answers(&r->result.load)) {
		if (now_ns() > until)
			return !fail("no answer from port %d within %g s "
				     "(--wait)",
				     ntohs(r->result.load.server.sin_port),
				     r->wait_s);
		if (interrupted)
			return false;
		sleep_ns(10 * NS_PER_MS);
	}
	return true;
}

static int load_for(struct run *r)
{
	struct load_result *result = &r->result;
	int err = 0;

	signal(SIGINT, on_interrupt);
	signal(SIGTERM, on_interrupt);
	if (!wait_for_server(r) || !start_all(r) ||
	    !(result->load.requests ? measure_requests(r) : measure_time(r)))
		return EXIT_BAD;
	result->interrupted = interrupted;
	add_up(r);
	tell_ops(r, 0);
	if (r->json)
		load_print_json(result);
	else
		load_print_text(result);
	fflush(stdout);
	load_warn(result);
	if (r->hdr)
		err = load_write_hdr(r->hdr, &result->sum.latency);
	return err || result->gave_up || !result->sum.latency.count ? EXIT_BAD
								    : 0;
}

/* ---- options ---- */

#define TO(field) OPTION_TO(struct run, field)

static const struct option_row rows[] = {
	{ .letter = 'c',
	  .name = "connections",
	  .argument = "N",
	  .kind = OPTION_NUMBER,
	  TO(result.load.connections),
	  .min = 1,
	  .max = 1000000,
	  .text = "Open N connections; default 64. Above 25,000 they come from several loopback addresses." },
	{ .letter = 'd',
	  .name = "seconds",
	  .argument = "S",
	  .kind = OPTION_SECONDS,
	  TO(seconds),
	  .max = 86400,
	  .text = "Measure for S seconds (or 500ms, 2m), after all connections are open; default 10." },
	{ .letter = 'n',
	  .name = "requests",
	  .argument = "N",
	  .kind = OPTION_NUMBER,
	  TO(result.load.requests),
	  .min = 1,
	  .max = 1000000000000,
	  .text = "Send exactly N requests in total instead, and measure each." },
	{ .letter = 'R',
	  .name = "rate",
	  .argument = "N",
	  .kind = OPTION_NUMBER,
	  TO(rate),
	  .min = 1,
	  .max = 100000000,
	  .text = "Send N requests per second, however fast the server answers (an open loop). Latencies count from the time at which each request was due, so there is no coordinated omission. Without --rate, the loop is closed: each connection sends its next request when it has read the last answer." },
	{ .letter = 't',
	  .name = "threads",
	  .argument = "N",
	  .kind = OPTION_NUMBER,
	  TO(result.threads),
	  .min = 1,
	  .max = THREADS_MAX,
	  .text = "Start N generators; default 1." },
	{ .name = "per-connection",
	  .argument = "N",
	  .kind = OPTION_NUMBER,
	  TO(result.load.per_connection),
	  .min = 1,
	  .max = 1000000,
	  .text = "Close a connection after N answers; opening the next one is part of its first latency." },
	{ .name = "spin",
	  .kind = OPTION_FLAG,
	  TO(result.load.spin),
	  .text = "Look for answers without sleeping. Each generator then takes a whole CPU, and the server does not spend its CPU time on waking them." },
	{ .name = "wait",
	  .argument = "S",
	  .kind = OPTION_SECONDS,
	  TO(wait_s),
	  .max = 86400,
	  .text = "Before measuring, wait up to S seconds for a first answer." },
	{ .name = "timeout",
	  .argument = "S",
	  .kind = OPTION_SECONDS,
	  TO(timeout_s),
	  .max = 86400,
	  .text = "Give up after S seconds without any answer; default 10." },
	{ .name = "ops-file",
	  .argument = "FILE",
	  .kind = OPTION_TEXT,
	  TO(ops_file),
	  .text = "Keep the number of answers in FILE, for `urt stat --ops-from file:FILE`." },
	{ .name = "hdr",
	  .argument = "FILE",
	  .kind = OPTION_TEXT,
	  TO(hdr),
	  .text = "Write percentiles to FILE in HdrHistogram's format." },
	{ OPTION_JSON("urt.load.v1"), TO(json) },
};

const struct command command_load = {
	.name = "load",
	.run = cmd_load,
	.what = "load an HTTP/1.1 server",
	.usage = "[OPTIONS] URL",
	.about =
		"Loads an HTTP/1.1 server over many connections. URL is http://ADDRESS:PORT/PATH or http://localhost:PORT/PATH; answers must have Content-Length.",
	.notes =
		"On one machine, the server's own CPU delivers the answers and wakes the generator if it sleeps. A generator that does little for a request sleeps often: Node used 19 % less CPU time for a request, and answered 1.14 times as many, when the generator did not sleep (--spin). Compare figures of different generators with that in mind.",
	OPTIONS(rows),
};

static bool parse(int argc, char **argv, struct run *r)
{
	int first = options_parse(&command_load, argc, argv, r);

	if (first < 0)
		return false;
	if (first != argc - 1)
		return !fail("load: give one URL (`urt load --help`)");
	r->result.load.rate = r->rate;
	return parse_url(argv[first], &r->result.load);
}

/* At most one generator per connection, and one connection per request. */
static void clamp(struct load_result *r)
{
	if (r->load.requests &&
	    r->load.requests < (uint64_t)r->load.connections)
		r->load.connections = r->load.requests;
	if (r->threads > r->load.connections)
		r->threads = r->load.connections;
}

int cmd_load(int argc, char **argv)
{
	static struct run r = { .result = { .load.connections = 64,
					    .threads = 1 },
				.seconds = 10,
				.timeout_s = 10 };
	long allowed;

	if (!parse(argc, argv, &r))
		return EXIT_BAD;
	clamp(&r.result);
	if (!net_need_descriptors(r.result.load.connections + 32, &allowed))
		return fail("%ld connections need more open descriptors than "
			    "are allowed: open at most %ld, or raise ulimit -n",
			    r.result.load.connections, allowed - 32);
	return load_for(&r);
}
