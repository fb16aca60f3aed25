// SPDX-License-Identifier: MIT
/*
 * The load generator (load.h) and `urt load`. One thread, plain epoll: it
 * belongs to none of the models that it measures.
 */
#define _GNU_SOURCE
#include "load.h"
#include "net.h"
#include "tool.h"
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct conn {
	int fd;
	int64_t sent_ns;
	size_t len;
	char buf[1024];
};

struct load {
	const struct load_options *options;
	struct load_shared *shared;
	int epfd;
	char request[512];
	size_t request_len;
	struct conn *conns;
};

struct load_shared *load_shared_new(void)
{
	void *p = mmap(NULL, sizeof(struct load_shared), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

void load_shared_free(struct load_shared *s)
{
	munmap(s, sizeof(*s));
}

static void count(uint64_t *counter)
{
	__atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

static int conn_open(struct load *l, struct conn *c)
{
	struct epoll_event ev = { EPOLLIN, { .ptr = c } };
	int on = 1, err;

	c->len = 0;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return -errno;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(c->fd, (const struct sockaddr *)&l->options->server,
		    sizeof(l->options->server))) {
		err = -errno;
		close(c->fd);
		return err;
	}
	epoll_ctl(l->epfd, EPOLL_CTL_ADD, c->fd, &ev);
	return 0;
}

static void conn_send(struct load *l, struct conn *c)
{
	c->len = 0;
	c->sent_ns = now_ns();
	/* A whole request always fits an empty socket buffer; if the peer has
	 * closed, the next event says so. */
	if (send(c->fd, l->request, l->request_len, MSG_NOSIGNAL) < 0)
		shutdown(c->fd, SHUT_RDWR);
}

static void conn_broken(struct load *l, struct conn *c)
{
	count(&l->shared->errors);
	close(c->fd);
	if (conn_open(l, c))
		c->fd = -1;
	else
		conn_send(l, c);
}

/* Length of the whole answer, 0: not all there, -1: not HTTP, or too long. */
static long answer_length(const struct conn *c, int *status)
{
	const char *end = memmem(c->buf, c->len, "\r\n\r\n", 4);
	const char *field;
	long body = 0;

	if (!end)
		return c->len < sizeof(c->buf) - 1 ? 0 : -1;
	if (sscanf(c->buf, "HTTP/1.%*d %d", status) != 1)
		return -1;
	field = strcasestr(c->buf, "\r\nContent-Length:");
	if (field && field < end)
		body = strtol(field + 17, NULL, 10);
	if (body < 0)
		return -1;
	return end + 4 - c->buf + body;
}

static void conn_readable(struct load *l, struct conn *c)
{
	ssize_t n = recv(c->fd, c->buf + c->len, sizeof(c->buf) - 1 - c->len,
			 MSG_DONTWAIT);
	int status = 0;
	long length;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		conn_broken(l, c);
		return;
	}
	c->len += n;
	c->buf[c->len] = '\0';
	length = answer_length(c, &status);
	if (length < 0 || length > (long)sizeof(c->buf) - 1) {
		conn_broken(l, c);
		return;
	}
	if (!length || (size_t)length > c->len)
		return;
	if (__atomic_load_n(&l->shared->recording, __ATOMIC_RELAXED))
		histogram_add(&l->shared->latency, now_ns() - c->sent_ns);
	count(status == 200 ? &l->shared->completed : &l->shared->errors);
	conn_send(l, c);
}

static int open_all(struct load *l)
{
	for (long i = 0; i < l->options->connections; i++) {
		int err = conn_open(l, &l->conns[i]);

		if (err)
			return err;
	}
	for (long i = 0; i < l->options->connections; i++)
		conn_send(l, &l->conns[i]);
	__atomic_store_n(&l->shared->connected_ns, now_ns(), __ATOMIC_RELEASE);
	return 0;
}

static void loop(struct load *l)
{
	struct epoll_event events[256];

	while (!__atomic_load_n(&l->shared->stop, __ATOMIC_RELAXED)) {
		int n = epoll_wait(l->epfd, events, ARRAY_LEN(events), 100);

		for (int i = 0; i < n; i++)
			conn_readable(l, events[i].data.ptr);
	}
}

int load_run(const struct load_options *o, struct load_shared *shared)
{
	struct load l = { .options = o, .shared = shared };
	int err;

	l.request_len = snprintf(l.request, sizeof(l.request),
				 "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", o->path,
				 inet_ntoa(o->server.sin_addr));
	if (l.request_len >= sizeof(l.request))
		return -ENAMETOOLONG;
	l.conns = calloc(o->connections, sizeof(*l.conns));
	l.epfd = epoll_create1(EPOLL_CLOEXEC);
	if (!l.conns || l.epfd < 0)
		return -ENOMEM;
	err = open_all(&l);
	if (!err)
		loop(&l);
	close(l.epfd);
	free(l.conns);
	__atomic_store_n(&shared->failed_errno, -err, __ATOMIC_RELEASE);
	return err;
}

/* ---- urt load ---- */

static const char usage_text[] =
	"usage: urt load [OPTIONS] URL\n"
	"\n"
	"Loads an HTTP/1.1 server on this machine: a closed loop, in which each\n"
	"connection sends its next request when it has read the last answer.\n"
	"\n"
	"  URL                   http://ADDRESS:PORT/PATH\n"
	"  -c, --connections N   default 64\n"
	"  -d, --seconds N       default 10\n"
	"      --json            one JSON document (schema urt.load.v1)\n";

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

static void print_text(const struct load_shared *s, double seconds)
{
	static const double shares[] = { 0.5, 0.9, 0.99, 0.999 };

	printf("%12.0f requests/s\n", s->latency.count / seconds);
	printf("%12llu requests, %llu errors, in %.2f s\n",
	       (unsigned long long)s->latency.count,
	       (unsigned long long)s->errors, seconds);
	for (unsigned i = 0; i < ARRAY_LEN(shares); i++)
		printf("%12.1f us at %g %%\n",
		       histogram_percentile(&s->latency, shares[i]) / 1e3,
		       shares[i] * 100);
	printf("%12.1f us at most\n", s->latency.max / 1e3);
}

static void print_json(const struct load_shared *s, double seconds)
{
	struct json j = { .out = stdout };

	json_object(&j, NULL);
	json_string(&j, "schema", "urt.load.v1");
	json_int(&j, "requests", s->latency.count);
	json_int(&j, "errors", s->errors);
	json_int(&j, "wall_ns", seconds * 1e9);
	json_double(&j, "rps", s->latency.count / seconds);
	json_object(&j, "latency_ns");
	json_int(&j, "p50", histogram_percentile(&s->latency, 0.5));
	json_int(&j, "p90", histogram_percentile(&s->latency, 0.9));
	json_int(&j, "p99", histogram_percentile(&s->latency, 0.99));
	json_int(&j, "p999", histogram_percentile(&s->latency, 0.999));
	json_int(&j, "max", s->latency.max);
	json_end_object(&j);
	json_end_object(&j);
}

static struct load_shared *interrupted;

static void on_interrupt(int sig)
{
	__atomic_store_n(&interrupted->stop, 1, __ATOMIC_RELAXED);
}

static int load_for(const struct load_options *o, long seconds, bool json)
{
	struct load_shared *shared = load_shared_new();
	struct itimerspec when = { .it_value.tv_sec = seconds };
	struct sigevent alarm = { .sigev_notify = SIGEV_SIGNAL,
				  .sigev_signo = SIGALRM };
	timer_t timer;
	int64_t begin;
	int err;

	if (!shared)
		return fail("out of memory");
	interrupted = shared;
	signal(SIGINT, on_interrupt);
	signal(SIGTERM, on_interrupt);
	signal(SIGALRM, on_interrupt);
	timer_create(CLOCK_MONOTONIC, &alarm, &timer);
	timer_settime(timer, 0, &when, NULL);
	shared->recording = 1;
	begin = now_ns();
	err = load_run(o, shared);
	if (err)
		return fail("cannot connect to port %d: %s (is the server "
			    "running? `urt serve`)",
			    ntohs(o->server.sin_port), strerror(-err));
	if (json)
		print_json(shared, (now_ns() - begin) / 1e9);
	else
		print_text(shared, (now_ns() - begin) / 1e9);
	return shared->latency.count ? 0 : EXIT_BAD;
}

int cmd_load(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "connections", required_argument, NULL, 'c' },
		{ "seconds", required_argument, NULL, 'd' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct load_options o = { .connections = 64 };
	long seconds = 10, allowed;
	bool json = false, ok = true;
	int opt;

	while (ok &&
	       (opt = getopt_long(argc, argv, "c:d:h", longs, NULL)) != -1) {
		if (opt == 'h') {
			fputs(usage_text, stdout);
			return 0;
		} else if (opt == 'j') {
			json = true;
		} else if (opt == 'c') {
			ok = parse_number("--connections", optarg, 1, 1000000,
					  &o.connections);
		} else if (opt == 'd') {
			ok = parse_number("--seconds", optarg, 1, 86400,
					  &seconds);
		} else {
			ok = !fail("`urt load --help` lists the options");
		}
	}
	if (!ok)
		return EXIT_BAD;
	if (optind != argc - 1)
		return fail("load: give one URL (`urt load --help`)");
	if (!parse_url(argv[optind], &o))
		return EXIT_BAD;
	if (!net_need_descriptors(o.connections + 32, &allowed))
		return fail("%ld connections need more open descriptors than "
			    "are allowed: at most %ld fit (ulimit -n)",
			    o.connections, allowed - 32);
	return load_for(&o, seconds, json);
}
