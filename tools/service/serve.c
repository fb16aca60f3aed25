// SPDX-License-Identifier: MIT
/* urt serve: one server of the demo, to load with your own client. */
#define _GNU_SOURCE
#include "backend.h"
#include "../lib/burn.h"
#include "model.h"
#include "../lib/net.h"
#include "../lib/options.h"
#include "../lib/output.h"
#include "../lib/tool.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

static int unknown_model(const char *name)
{
	fail("no such model: \"%s\"; there are %s; and backend", name,
	     model_names());
	return EXIT_BAD;
}

static bool take_list(void *to, char *arg)
{
	for (unsigned i = 0; i < nr_models; i++)
		printf("%-14s %-15s %-7s %-6s %s\n", models[i].name,
		       models[i].unit, languages[models[i].language].name,
		       model_is(&models[i], MODEL_EXTRA) ? "extra" : "",
		       models[i].waits_in);
	exit(output_end(0));
}

/* Builds the models whose language is installed, and names the others. */
static bool take_build(void *to, char *arg)
{
	int status = 0;

	for (unsigned i = 0; i < nr_models; i++) {
		const struct model *m = &models[i];
		const char *missing = language_missing(m->language);
		char **argv;

		if (!m->source)
			continue;
		if (missing) {
			printf("%-14s skipped: %s\n", m->name, missing);
			continue;
		}
		argv = model_command(m, 0, 0, false);
		printf("%-14s %s\n", m->name,
		       argv ? "built" : "could not be built");
		if (!argv)
			status = EXIT_BAD;
		command_free(argv);
	}
	exit(status);
}

/* The options of `urt serve`. */
struct choice {
	const struct model *model; /* NULL: only the backend */
	long port, backend;	   /* backend 0: to be started */
	bool redis;		   /* the backend is one */
};

static bool take_backend(void *to, char *text)
{
	struct choice *c = to;

	if (strncmp(text, "redis:", 6))
		return parse_number("--backend", text, 1, 65535, &c->backend);
	c->redis = true;
	c->backend = net_redis_port(text);
	return c->backend > 0;
}

static void words(option_word *f, void *arg)
{
	for (unsigned i = 0; i < nr_models; i++)
		f(models[i].name, arg);
	f("backend", arg);
}

static const struct option_row rows[] = {
	{ .name = "list",
	  .kind = OPTION_TAKE,
	  .take = take_list,
	  .text = "Print each model: its unit of scheduling, its language, whether the demo leaves it out by default (extra), and where its requests wait." },
	{ .name = "build",
	  .kind = OPTION_TAKE,
	  .take = take_build,
	  .text = "Build the models of other languages now, instead of when they are first served. Downloads the crates that the models in Rust need." },
	{ .name = "port",
	  .argument = "N",
	  .kind = OPTION_NUMBER,
	  OPTION_TO(struct choice, port),
	  .max = 65535,
	  .text = "Listen on port N; default 8080; 0: any free port." },
	{ .name = "backend",
	  .argument = "N|URL",
	  .kind = OPTION_TAKE,
	  .take = take_backend,
	  .text = "Use the backend that runs on port N; by default, the server comes with its own. With redis://127.0.0.1:PORT, /wait?ms=N is a SET and GET of a key in Redis, over 64 connections that all clients share." },
};

const struct command command_serve = {
	.name = "serve",
	.run = cmd_serve,
	.what = "run one server of the demo alone",
	.usage = "MODEL [OPTIONS]",
	.about =
		"Serves HTTP/1.1 on 127.0.0.1: / at once, /wait?ms=N after a round trip to a backend, /cpu?ms=N after burning CPU.\n\nMODEL is a name that --list prints, or backend, which is only the server that /wait calls.",
	OPTIONS(rows),
	.words = words,
};

static bool parse(int argc, char **argv, struct choice *c)
{
	int first = options_parse(&command_serve, argc, argv, c);

	if (first < 0)
		return false;
	if (first != argc - 1)
		return !fail("serve: name one model (`urt serve --help`)");
	if (!strcmp(argv[first], "backend"))
		return true;
	c->model = model_find(argv[first]);
	return c->model || !unknown_model(argv[first]);
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

/* The program replaces this process; our socket only kept the port until
 * now. */
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

static int listening;

/* The kernel frees the sockets of an io_uring a while after its process has
 * ended; until then the port would stay in use. */
static void stop_listening(int sig)
{
	shutdown(listening, SHUT_RDWR);
	raise(sig); /* with the default action, when the handler returns */
}

static void stop_listening_at_end(int fd)
{
	struct sigaction sa = { .sa_handler = stop_listening,
				.sa_flags = SA_RESETHAND };

	listening = fd;
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}

int cmd_serve(int argc, char **argv)
{
	struct choice c = { .port = 8080 };
	struct server s = { 0 };
	int backend;

	if (!parse(argc, argv, &c))
		return EXIT_BAD;
	if (c.model && c.model->run && model_missing(c.model))
		return fail("%s: %s", c.model->name, model_missing(c.model));
	net_most_descriptors(); /* for the backend, too */
	signal(SIGPIPE, SIG_IGN);
	if (!c.model)
		return serve_backend(c.port);
	/* First, so that it does not inherit the server's socket. */
	backend = c.backend;
	if (!backend && backend_start(&backend, -1, NULL) < 0)
		return EXIT_BAD;
	s.port = c.port;
	/* A program listens itself; binding only checks whether it can. */
	s.listen_fd = model_is_program(c.model) ? net_bind(&s.port)
						: net_listen(&s.port);
	if (s.listen_fd < 0)
		return EXIT_BAD;
	s.backend = net_loopback(backend);
	s.redis = c.redis;
	if (!model_is_program(c.model)) {
		burn_calibrate();
		stop_listening_at_end(s.listen_fd);
	}
	printf("%s on http%s://127.0.0.1:%d\n", c.model->name,
	       model_is(c.model, MODEL_TLS) ? "s" : "", s.port);
	fflush(stdout);
	return model_is_program(c.model) ? exec_program(c.model, &s)
					 : c.model->run(&s);
}
