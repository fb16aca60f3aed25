// SPDX-License-Identifier: MIT
/*
 * Messages with busy loops (the second half of claim 6), by the same code as
 * `urt bench stall`: a server of messages on the server's CPU, the load on the
 * other CPUs. The load never shares the server's CPU here, since then the
 * kernel's division of time between the two would decide the result.
 */
#include "stage.h"
#include "../../load/messages.h"
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WARM_NS (300 * NS_PER_MS)

/* The command of a model's server of messages, for command_free; NULL: it has
 * none, or it could not be built. */
static char **server_command(const struct model *m)
{
	static const char *const no_args[] = { NULL };
	const char *words[] = { "/proc/self/exe", "bench", "--child", "serve",
				m->name };
	char **argv;

	if (m->role == ROLE_GO)
		return language_command(LANGUAGE_GO, "service/messages.go",
					no_args);
	argv = calloc(ARRAY_LEN(words) + 1, sizeof(*argv));
	for (unsigned i = 0; i < ARRAY_LEN(words); i++)
		argv[i] = strdup(words[i]);
	return argv;
}

/* The port that a server prints; 0: it ended. */
static int port_of(int out)
{
	char line[64];
	ssize_t n = read(out, line, sizeof(line) - 1);
	int port = 0;

	line[n > 0 ? n : 0] = '\0';
	return sscanf(line, "port %d", &port) == 1 ? port : 0;
}

static void ask(struct lab *lab, struct demo_stall *m, int out)
{
	static struct messages_result r; /* large */
	double ns = lab->demo->options.seconds * NS_PER_S;
	struct messages_plan p = {
		.port = port_of(out),
		.not_on_cpu = lab->demo->server_cpu,
		.warm_ns = fmin(WARM_NS, ns),
		.ns = ns,
		.stop = &demo_stop,
	};
	int err;

	if (!p.port) {
		stage_failed(&m->outcome,
			     "its server of messages did not start");
		return;
	}
	err = messages_stall(&stall_cases[m->nth], &p, 1, &r);
	if (err) {
		stage_failed(&m->outcome, "%s", strerror(-err));
		return;
	}
	m->outcome.status = DEMO_OK;
	m->rate[m->nr_rounds++] = r.rate;
	histogram_merge(&m->plain, &r.plain);
	histogram_merge(&m->loop, &r.loop);
}

void demo_measure_stall(struct lab *lab, struct demo_stall *m)
{
	const char *missing = model_missing(m->model);
	char **argv = NULL;
	struct launch l;
	int out;

	m->outcome.status = DEMO_SKIPPED;
	if (lab->demo->server_cpu < 0)
		missing = "the load needs a CPU of its own, and there is one";
	if (missing) {
		snprintf(m->outcome.reason, sizeof(m->outcome.reason), "%s",
			 missing);
		return;
	}
	setenv("URT_WORKERS", "1", 1);
	setenv("GOMAXPROCS", "1", 1);
	argv = server_command(m->model);
	if (!argv || launch_piped(&l, argv, lab->demo->server_cpu, &out)) {
		stage_failed(&m->outcome, "its server could not be started");
	} else {
		if (!launch_go(&l))
			ask(lab, m, out);
		kill(l.pid, SIGKILL);
		waitpid(l.pid, NULL, 0);
		close(out);
	}
	unsetenv("URT_WORKERS");
	unsetenv("GOMAXPROCS");
	command_free(argv);
	if (demo_stop)
		m->outcome.status = m->nr_rounds ? DEMO_OK : DEMO_NOT_RUN;
}
