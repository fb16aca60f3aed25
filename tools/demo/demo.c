// SPDX-License-Identifier: MIT
/*
 * urt demo: the experiment. Each model in turn serves the same requests under
 * the counters; then the claims are judged by what was measured.
 */
#define _GNU_SOURCE
#include "demo.h"
#include "../backend.h"
#include "../launch.h"
#include "../net.h"
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

volatile int demo_stop;

static const char usage_text[] =
	"usage: urt demo [OPTIONS]\n"
	"\n"
	"Runs one HTTP service in several models of concurrency and prints what\n"
	"each asked of the kernel per request.\n"
	"\n"
	"  -m, --models LIST      of thread, epoll, uring-loop, coroutine, node, go\n"
	"                         (default: all)\n"
	"  -c, --connections N    default 256\n"
	"  -d, --seconds N        measured per model and request; default 2\n"
	"  -w, --wait MS          what the backend takes in /wait; default 10\n"
	"      --json             one JSON document (schema urt.demo.v1)\n"
	"  -o, --output FILE      the result goes there\n";

static void on_interrupt(int sig)
{
	demo_stop = 1;
}

/* ---- options ---- */

static int parse_models(struct demo_options *o, char *list)
{
	char *save, *name;

	o->nr_models = 0;
	for (name = strtok_r(list, ",", &save); name;
	     name = strtok_r(NULL, ",", &save)) {
		const struct model *m = model_find(name);

		if (!m)
			return fail("no such model: \"%s\"; there are thread, "
				    "epoll, uring-loop, coroutine, node and go",
				    name);
		if (o->nr_models == DEMO_MODELS_MAX)
			return fail("--models: at most %d", DEMO_MODELS_MAX);
		o->model[o->nr_models++] = m;
	}
	return o->nr_models ? 0 : fail("--models: name at least one");
}

static int parse(int argc, char **argv, struct demo_options *o)
{
	static const struct option longs[] = {
		{ "models", required_argument, NULL, 'm' },
		{ "connections", required_argument, NULL, 'c' },
		{ "seconds", required_argument, NULL, 'd' },
		{ "wait", required_argument, NULL, 'w' },
		{ "json", no_argument, NULL, 'j' },
		{ "output", required_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	bool ok = true;
	int opt;

	while (ok && (opt = getopt_long(argc, argv, "m:c:d:w:o:h", longs,
					NULL)) != -1) {
		if (opt == 'm')
			ok = !parse_models(o, optarg);
		else if (opt == 'c')
			ok = parse_number("--connections", optarg, 1, 1000000,
					  &o->connections);
		else if (opt == 'd')
			ok = parse_number("--seconds", optarg, 1, 3600,
					  &o->seconds);
		else if (opt == 'w')
			ok = parse_number("--wait", optarg, 0, HTTP_MAX_MS,
					  &o->wait_ms);
		else if (opt == 'j')
			o->json = true;
		else if (opt == 'o')
			o->out = optarg;
		else if (opt == 'h') {
			fputs(usage_text, stdout);
			exit(0);
		} else
			ok = !fail("`urt demo --help` lists the options");
	}
	if (ok && optind != argc)
		ok = !fail("demo: \"%s\" is too much (`urt demo --help`)",
			   argv[optind]);
	return ok ? 0 : EXIT_BAD;
}

/* A client and a backend connection per connection, in one process. */
static int check_descriptors(const struct demo_options *o)
{
	long allowed, needed = 2 * o->connections + 64;

	if (net_need_descriptors(needed, &allowed))
		return 0;
	return fail("%ld connections need %ld open descriptors and %ld are "
		    "allowed: raise the limit (ulimit -n %ld), or use "
		    "--connections %ld",
		    o->connections, needed, allowed, needed,
		    (allowed - 64) / 2);
}

/* ---- the parts ---- */

/* The first two CPUs that we may use; -1 if there is only one. */
static void choose_cpus(struct demo *d)
{
	cpu_set_t set;
	int found = 0;

	d->server_cpu = d->load_cpu = -1;
	if (sched_getaffinity(0, sizeof(set), &set))
		return;
	for (int i = 0; i < CPU_SETSIZE && found < 2; i++) {
		if (!CPU_ISSET(i, &set))
			continue;
		if (found++)
			d->load_cpu = i;
		else
			d->server_cpu = i;
	}
	if (found < 2)
		d->server_cpu = d->load_cpu = -1;
}

static int start_backend(struct demo *d)
{
	int fd = net_listen(&d->backend_port);
	pid_t parent = getpid();

	if (fd < 0)
		return EXIT_BAD;
	d->backend = fork();
	if (!d->backend) {
		cpu_set_t set;

		launch_die_with(parent);
		signal(SIGINT, SIG_IGN);
		CPU_ZERO(&set);
		CPU_SET(d->load_cpu, &set);
		if (d->load_cpu >= 0)
			sched_setaffinity(0, sizeof(set), &set);
		backend_serve(fd);
	}
	close(fd);
	return 0;
}

static void progress(const struct demo *d, const char *what, const char *path,
		     unsigned i, unsigned n)
{
	if (isatty(STDERR_FILENO) && !d->options.json)
		fprintf(stderr, "\r\033[K[%u/%u] %s %s", i + 1, n, what, path);
}

static void run_all(struct demo *d)
{
	const struct demo_options *o = &d->options;
	unsigned n = 2 * o->nr_models + 1;

	for (unsigned i = 0; i < 2 * o->nr_models && !demo_stop; i++) {
		struct demo_row *r = &d->row[d->nr_rows++];

		r->model = o->model[i % o->nr_models];
		if (i < o->nr_models)
			strcpy(r->path, "/");
		else
			snprintf(r->path, sizeof(r->path), "/wait?ms=%ld",
				 o->wait_ms);
		progress(d, r->model->name, r->path, i, n);
		demo_measure(d, r);
		if (r->status == DEMO_NOT_RUN)
			d->nr_rows--;
	}
	progress(d, "the cost of a switch", "", n - 1, n);
	demo_count_switches(d);
	counter_close(d->counter);
	d->counter = NULL;
	demo_time_switches(d);
	if (isatty(STDERR_FILENO) && !o->json)
		fputs("\r\033[K", stderr);
	d->interrupted = demo_stop;
}

int cmd_demo(int argc, char **argv)
{
	static struct demo d; /* large */
	FILE *out = stdout;
	bool any = false;

	d.options = (struct demo_options){ .connections = 256,
					   .seconds = 2,
					   .wait_ms = 10 };
	for (unsigned i = 0; i < nr_models; i++)
		d.options.model[i] = &models[i];
	d.options.nr_models = nr_models;
	if (parse(argc, argv, &d.options) || check_descriptors(&d.options))
		return EXIT_BAD;
	if (d.options.out && !(out = fopen(d.options.out, "we")))
		return fail("cannot write %s: %s", d.options.out,
			    strerror(errno));
	d.begin_ns = now_ns();
	choose_cpus(&d);
	d.counter = counter_open(d.why_no_bpf, sizeof(d.why_no_bpf));
	d.counted = d.counter;
	if (start_backend(&d))
		return EXIT_BAD;
	sigaction(SIGINT, &(struct sigaction){ .sa_handler = on_interrupt },
		  NULL);
	sigaction(SIGTERM, &(struct sigaction){ .sa_handler = on_interrupt },
		  NULL);
	run_all(&d);
	kill(d.backend, SIGKILL);
	waitpid(d.backend, NULL, 0);
	demo_judge(&d);
	if (d.options.json)
		demo_print_json(out, &d);
	else
		demo_print_text(out, &d);
	for (unsigned i = 0; i < d.nr_rows; i++)
		any |= d.row[i].status == DEMO_OK;
	if (fflush(out) || ferror(out))
		return fail("cannot write the result: %s", strerror(errno));
	return any ? 0 : EXIT_BAD;
}
