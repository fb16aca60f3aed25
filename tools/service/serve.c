// SPDX-License-Identifier: MIT
/* urt serve: one server of the demo, to load with your own client. */
#define _GNU_SOURCE
#include "backend.h"
#include "../lib/launch.h"
#include "model.h"
#include "../lib/net.h"
#include "../lib/tool.h"
#include <errno.h>
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
	"  MODEL               one of those that --list prints, or backend: only\n"
	"                      what /wait waits for\n"
	"      --list          print the models: unit of scheduling, what it waits\n"
	"                      in, language\n"
	"      --port N        default 8080\n"
	"      --backend N     port of a backend that runs already; by default\n"
	"                      one is started with the server\n"
	"      --backend redis://127.0.0.1:PORT\n"
	"                      /wait?ms=N is a SET and GET of a key in Redis,\n"
	"                      over 64 connections that all clients share\n";

static int start_backend(void)
{
	pid_t parent = getpid();
	int fds[BACKEND_ADDRESSES], port = 0;

	if (!backend_listen(&port, fds))
		return -1;
	if (!fork()) {
		launch_die_with(parent);
		backend_serve(fds, NULL);
	}
	for (int i = 0; i < BACKEND_ADDRESSES; i++)
		close(fds[i]);
	return port;
}

static int unknown_model(const char *name)
{
	fail("no such model: \"%s\"; there are %s; and backend", name,
	     model_names());
	return EXIT_BAD;
}

static void list_models(void)
{
	for (unsigned i = 0; i < nr_models; i++)
		printf("%-14s %-14s %-12s %s\n", models[i].name, models[i].unit,
		       models[i].waits_in, languages[models[i].language].name);
}

/* What `urt serve` was told. */
struct choice {
	const struct model *model; /* NULL: only the backend */
	long port, backend;	   /* backend 0: to be started */
	bool redis;		   /* the backend is one */
};

static bool parse_backend(const char *text, struct choice *c)
{
	if (strncmp(text, "redis:", 6))
		return parse_number("--backend", text, 1, 65535, &c->backend);
	c->redis = true;
	c->backend = net_redis_port(text);
	return c->backend > 0 || !fail("--backend: \"%s\" is not "
				       "redis://127.0.0.1:PORT",
				       text);
}

static bool parse(int argc, char **argv, struct choice *c)
{
	static const struct option longs[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "backend", required_argument, NULL, 'b' },
		{ "list", no_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	bool ok = true;
	int opt;

	while (ok && (opt = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (opt == 'h') {
			fputs(usage_text, stdout);
			exit(0);
		} else if (opt == 'l') {
			list_models();
			exit(0);
		} else if (opt == 'p') {
			ok = parse_number("--port", optarg, 0, 65535, &c->port);
		} else if (opt == 'b') {
			ok = parse_backend(optarg, c);
		} else {
			ok = !fail("`urt serve --help` lists the options");
		}
	}
	if (ok && optind != argc - 1)
		ok = !fail("serve: name one model (`urt serve --help`)");
	if (!ok || !strcmp(argv[optind], "backend"))
		return ok;
	c->model = model_find(argv[optind]);
	return c->model || !unknown_model(argv[optind]);
}

static int serve_backend(long port)
{
	int fds[BACKEND_ADDRESSES], p = port;

	if (!backend_listen(&p, fds))
		return EXIT_BAD;
	printf("backend on 127.0.0.1:%d\n", p);
	fflush(stdout);
	backend_serve(fds, NULL);
}

/* It takes this process over; our socket only kept the port until now. */
static int exec_program(const struct model *m, const struct server *s)
{
	const char *missing = language_missing(m->language);
	char **argv;

	if (missing)
		return fail("%s", missing);
	close(s->listen_fd);
	argv = model_command(m, s->port, ntohs(s->backend.sin_port), s->redis);
	if (!argv)
		return EXIT_BAD;
	execvp(argv[0], argv);
	return fail("cannot run %s: %s", argv[0], strerror(errno));
}

int cmd_serve(int argc, char **argv)
{
	struct choice c = { .port = 8080 };
	struct server s = { 0 };
	long allowed;

	if (!parse(argc, argv, &c))
		return EXIT_BAD;
	/* As many descriptors as we may have, for the backend too. */
	if (!net_need_descriptors(1 << 20, &allowed))
		net_need_descriptors(allowed, &allowed);
	signal(SIGPIPE, SIG_IGN);
	if (!c.model)
		return serve_backend(c.port);
	/* First, so that it does not inherit the server's socket. */
	if (!c.backend)
		c.backend = start_backend();
	s.port = c.port;
	/* A program listens by itself; bound, we only see whether it can. */
	s.listen_fd = c.backend < 0		  ? -1
		      : model_is_program(c.model) ? net_bind(&s.port)
						  : net_listen(&s.port);
	if (s.listen_fd < 0)
		return EXIT_BAD;
	s.backend = net_loopback(c.backend);
	s.redis = c.redis;
	if (!model_is_program(c.model))
		http_calibrate();
	printf("%s on http://127.0.0.1:%d\n", c.model->name, s.port);
	fflush(stdout);
	return model_is_program(c.model) ? exec_program(c.model, &s)
					 : c.model->run(&s);
}
