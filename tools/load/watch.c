// SPDX-License-Identifier: MIT
/*
 * The watch over the generators of `urt load`: each is a process of its own,
 * whose CPU time shows whether it, and not the server, was the limit. Nothing is
 * recorded until all connections are open, except with --requests, where each
 * request counts.
 *
 * It always ends: if no connection is opened and no request is answered for the
 * time of --timeout, the generators are stopped.
 */
#define _GNU_SOURCE
#include "watch.h"
#include "../lib/launch.h"
#include "../lib/output.h"
#include "../lib/tool.h"
#include "ops.h"
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OPS_NS	(100 * NS_PER_MS) /* how often the file is written */
#define STOP_NS (10 * NS_PER_S)	  /* for a generator to stop by itself */

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

static void tell_ops(struct run *r, int64_t every_ns)
{
	char new[OUTPUT_NEW];
	int err;
	FILE *f;

	ops_tell(SUM_OF(r, completed));
	if (!r->ops_file || now_ns() - r->ops_ns < every_ns)
		return;
	r->ops_ns = now_ns();
	f = output_begin(r->ops_dir, new);
	if (f)
		fprintf(f, "%llu\n", (unsigned long long)SUM_OF(r, completed));
	err = f ? output_replace(f, r->ops_dir, new, r->ops_name) : -errno;
	if (err) {
		fail("--ops-file: cannot write %s: %s", r->ops_file,
		     strerror(-err));
		r->ops_file = NULL;
	}
}

/* Whether the server still makes progress. Connections that break are none: a
 * server that has ended refuses a new one every 10 ms. */
static bool goes_on(struct run *r, int64_t now)
{
	int64_t progress = SUM_OF(r, opened) + SUM_OF(r, completed) +
			   SUM_OF(r, errors) - SUM_OF(r, broken);

	if (progress > r->progress) {
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

/* A server that sends tickets of TLS without end holds a generator inside
 * OpenSSL, where it does not see that it shall stop. */
static void stop_all(struct run *r)
{
	int64_t until = now_ns() + STOP_NS;

	set_all(r, false, true);
	while (reap(r) && now_ns() < until)
		sleep_ns(NS_PER_MS);
	for (long i = 0; i < r->result.threads; i++) {
		if (!r->pid[i])
			continue;
		kill(r->pid[i], SIGKILL);
		waitpid(r->pid[i], NULL, 0);
	}
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
		if (!*sum->tls)
			memcpy(sum->tls, s->tls, sizeof(sum->tls));
		histogram_merge(&sum->latency, &s->latency);
	}
}

/* ---- measuring ---- */

static int no_connection(const struct run *r)
{
	int port = ntohs(r->result.load.server.sin_port);
	const char *advice = "--timeout";

	if (r->result.load.tls && !SUM_OF(r, opened))
		advice = "--timeout; does it speak TLS?";
	for (long i = 0; i < r->result.threads; i++)
		if (r->shared[i]->failed_errno && !r->shared[i]->opened &&
		    *r->shared[i]->tls)
			return fail("the TLS handshake with port %d failed: %s "
				    "(does the server speak TLS?)",
				    port, r->shared[i]->tls);
		else if (r->shared[i]->failed_errno)
			return fail("cannot connect to port %d: %s (is the "
				    "server running? `urt serve`)",
				    port, strerror(r->shared[i]->failed_errno));
	if (SUM_OF(r, completed) + SUM_OF(r, errors))
		return fail("the server on port %d stopped answering after "
			    "%llu answers (--timeout)",
			    port, (unsigned long long)SUM_OF(r, completed));
	return fail("the server on port %d accepts connections but does not "
		    "answer: %llu opened, none answered in %g s (%s)",
		    port, (unsigned long long)SUM_OF(r, opened), r->timeout_s,
		    advice);
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
	return (SUM_OF(r, opened) &&
		SUM_OF(r, completed) + SUM_OF(r, errors)) ||
	       interrupted || !no_connection(r);
}

/* One request, as any client sends it; whether it was answered. */
static bool answers(const struct load_options *o, struct ssl_ctx_st *ctx)
{
	struct timeval limit = { 0, 200000 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[600], in[16], said[LOAD_TLS_SAID] = "";
	struct ssl_st *tls = NULL;
	bool fine;

	snprintf(text, sizeof(text),
		 "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		 o->path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	fine = !connect(fd, (const struct sockaddr *)&o->server,
			sizeof(o->server)) &&
	       (!ctx || ((tls = load_tls_new(ctx, fd)) &&
			 !load_tls_shake(tls, said))) &&
	       load_send(fd, tls, text, strlen(text)) > 0 &&
	       load_recv(fd, tls, in, sizeof(in)) > 0;
	if (tls)
		load_tls_free(tls);
	close(fd);
	return fine;
}

static bool wait_for_server(const struct run *r)
{
	int64_t until = now_ns() + (int64_t)(r->wait_s * 1e9);
	struct ssl_ctx_st *ctx = NULL;
	bool fine = true;

	if (r->wait_s && r->result.load.tls && !(ctx = load_tls_open()))
		return !fail("out of memory");
	while (fine && r->wait_s && !answers(&r->result.load, ctx)) {
		if (now_ns() > until)
			fine = !fail("no answer from port %d within %g s "
				     "(--wait)",
				     ntohs(r->result.load.server.sin_port),
				     r->wait_s);
		else
			fine = !interrupted;
		sleep_ns(10 * NS_PER_MS);
	}
	if (ctx)
		load_tls_close(ctx);
	return fine;
}

int load_watch(struct run *r)
{
	struct load_result *result = &r->result;
	const char *why = NULL;
	int err = 0;

	if (r->ops_file) {
		r->ops_dir = output_parent(r->ops_file, &r->ops_name, &why);
		if (r->ops_dir < 0)
			return fail("--ops-file: cannot write %s: %s",
				    r->ops_file,
				    why ? why : strerror(-r->ops_dir));
	}
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
