// SPDX-License-Identifier: MIT
/* urt load: its options; watch.c runs the generators. */
#define _GNU_SOURCE
#include "../lib/net.h"
#include "../lib/options.h"
#include "../lib/tool.h"
#include "watch.h"
#include <arpa/inet.h>
#include <string.h>

/* path points into the URL. */
static bool parse_url(const char *url, struct load_options *o)
{
	bool https = !strncmp(url, "https://", 8);
	char host[64], port[8];
	const char *rest = url + (https ? 8 : 7);
	long n;

	o->tls |= https;
	strcpy(port, o->tls ? "443" : "80");
	if ((!https && strncmp(url, "http://", 7)) ||
	    sscanf(rest, "%63[^/:]:%7[0-9]", host, port) < 1)
		goto bad;
	if (!parse_number("port", port, 1, 65535, &n))
		return false;
	o->path = strchr(rest, '/');
	if (!o->path)
		o->path = "/";
	o->server = net_loopback(n);
	if (!strcmp(host, "localhost") ||
	    inet_pton(AF_INET, host, &o->server.sin_addr) == 1)
		return true;
bad:
	fail("invalid URL \"%s\": expected http://ADDRESS:PORT/PATH or https://ADDRESS:PORT/PATH",
	     url);
	return false;
}

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
	  .text = "Measure for S seconds, after all connections are open; default 10." },
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
	{ .name = "tls",
	  .kind = OPTION_FLAG,
	  TO(result.load.tls),
	  .text = "Speak TLS, as with https in the URL. The server's certificate is not verified, and each connection makes a whole handshake." },
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
		"Loads an HTTP/1.1 server over many connections. URL is http://ADDRESS:PORT/PATH or http://localhost:PORT/PATH, or the same with https, which is TLS; answers must have Content-Length.",
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
	if (!parse_url(argv[first], &r->result.load))
		return false;
	return !r->result.load.tls || !load_tls_missing() ||
	       !fail("load: %s", load_tls_missing());
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
	return load_watch(&r);
}
