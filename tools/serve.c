// SPDX-License-Identifier: MIT
/* urt serve: one server of the demo, to load with your own client. */
#define _GNU_SOURCE
#include "backend.h"
#include "launch.h"
#include "models/model.h"
#include "net.h"
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <unistd.h>

static const char usage_text[] =
	"usage: urt serve MODEL [OPTIONS]\n"
	"\n"
	"Serves HTTP/1.1 on 127.0.0.1: / at once, /wait?ms=N after a round trip\n"
	"to a backend, /cpu?ms=N after burning CPU.\n"
	"\n"
	"  MODEL               thread, epoll, uring-loop, coroutine, node or go;\n"
	"                      backend: only what /wait waits for\n"
	"      --port N        default 8080\n"
	"      --backend N     port of a backend that runs already; by default\n"
	"                      one is started with the server\n";

static int start_backend(void)
{
	pid_t parent = getpid();
	int port = 0;
	int fd = net_listen(&port);

	if (fd < 0)
		return -1;
	if (!fork()) {
		launch_die_with(parent);
		backend_serve(fd);
	}
	close(fd);
	return port;
}

static int unknown_model(const char *name)
{
	fail("no such model: \"%s\"; there are thread, epoll, uring-loop, "
	     "coroutine, node, go and backend",
	     name);
	return EXIT_BAD;
}

int cmd_serve(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "backend", required_argument, NULL, 'b' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	long port = 8080, backend = 0, allowed;
	struct server s = { 0 };
	const struct model *m;
	bool is_backend;
	int opt;

	while ((opt = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (opt == 'h') {
			fputs(usage_text, stdout);
			return 0;
		}
		if (opt == 'p'
			    ? !parse_number("--port", optarg, 0, 65535, &port)
		    : opt == 'b'
			    ? !parse_number("--backend", optarg, 1, 65535,
					    &backend)
			    : (bool)fail(
				      "`urt serve --help` lists the options"))
			return EXIT_BAD;
	}
	if (optind != argc - 1)
		return fail("serve: name one model (`urt serve --help`)");
	is_backend = !strcmp(argv[optind], "backend");
	m = model_find(argv[optind]);
	if (!m && !is_backend)
		return unknown_model(argv[optind]);
	/* As many descriptors as we may have, for the backend too. */
	if (!net_need_descriptors(1 << 20, &allowed))
		net_need_descriptors(allowed, &allowed);
	/* First, so that it does not inherit the server's socket. */
	if (!is_backend && !backend)
		backend = start_backend();
	s.port = port;
	/* A peer listens by itself; bound, we only see whether it can. */
	s.listen_fd = backend < 0    ? -1
		      : m && m->peer ? net_bind(&s.port)
				     : net_listen(&s.port);
	if (s.listen_fd < 0)
		return EXIT_BAD;
	signal(SIGPIPE, SIG_IGN);
	if (is_backend) {
		printf("backend on 127.0.0.1:%d\n", s.port);
		fflush(stdout);
		backend_serve(s.listen_fd);
	}
	s.backend = net_loopback(backend);
	printf("%s on http://127.0.0.1:%d\n", m->name, s.port);
	fflush(stdout);
	return m->run(&s);
}
