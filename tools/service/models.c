// SPDX-License-Identifier: MIT
/* The table of models. */
#define _GNU_SOURCE
#include "model.h"
#include "../lib/tool.h"
#include <stdlib.h>
#include <string.h>

#define RING "one thread; a ring of 256 requests and 4096 completions"
#define COROUTINE_VARIABLES                                                 \
	{                                                                   \
		{ "URT_WORKERS", "a worker for each CPU that it may use" }, \
			{ "URT_FEATURES", "all that the kernel has" },      \
			{ "URT_PREEMPT", "on" },                            \
	}
#define NODE_VARIABLES                                             \
	{                                                          \
		{ "UV_THREADPOOL_SIZE",                            \
		  "4 threads, which sockets do not use" },         \
			{ "NODE_OPTIONS", "V8's own heap limit" }, \
	}
#define GO_VARIABLES                                                          \
	{                                                                     \
		{ "GOMAXPROCS", "a processor for each CPU that it may use" }, \
			{ "GOGC", "100" }, { "GOMEMLIMIT", "none" },          \
	}

#define ONE_LOOP "n/a: callbacks of one loop, which are not counted"

const struct model models[] = {
	{
		.name = "thread",
		.unit = "OS thread",
		.lives = "a kernel stack",
		.waits_in = "the kernel",
		.settings = "stacks of 128 KB; as many threads as connections",
		.flags = MODEL_STRAIGHT_LINE,
		.role = ROLE_THREADS,
		.alone = UNIT_THREAD,
		.run = model_thread,
		.no_switches = "n/a: the kernel switches its threads",
		.light = "#c8500a",
		.dark = "#ff9552",
	},
	{
		.name = "thread-pool",
		.unit = "OS thread",
		.lives = "a kernel stack",
		.waits_in = "epoll, then the kernel",
		.settings = "200 threads (Tomcat's default), stacks of 128 KB",
		.flags = MODEL_STRAIGHT_LINE | MODEL_STEP | MODEL_EXTRA,
		.alone = UNIT_THREAD,
		.run = model_thread_pool,
		.no_switches = "n/a: the kernel switches its threads",
		.light = "#e08a4a",
		.dark = "#ffc299",
		.line = LINE_DASHED,
	},
	{
		.name = "epoll",
		.unit = "callback",
		.lives = "a C struct",
		.waits_in = "epoll",
		.settings = "one thread; up to 256 events a call",
		.flags = MODEL_EVENT_LOOP,
		.role = ROLE_CALLBACKS,
		.alone = UNIT_STRUCT,
		.captured = &model_epoll_captured,
		.run = model_epoll,
		.no_switches = ONE_LOOP,
		.light = "#1f62b0",
		.dark = "#5fa0f0",
	},
	{
		.name = "uring-single",
		.unit = "callback",
		.lives = "a C struct",
		.waits_in = "io_uring, entered for each request to it",
		.settings = RING ", no DEFER_TASKRUN; one request a call",
		.flags = MODEL_EVENT_LOOP | MODEL_NEEDS_RING | MODEL_STEP |
			 MODEL_EXTRA,
		.alone = UNIT_STRUCT,
		.captured = &model_uring_loop_captured,
		.run = model_uring_single,
		.no_switches = ONE_LOOP,
		.light = "#88b8d8",
		.dark = "#b9dcf2",
		.line = LINE_DASHED,
	},
	{
		.name = "uring-plain",
		.unit = "callback",
		.lives = "a C struct",
		.waits_in = "io_uring without DEFER_TASKRUN",
		.settings = RING ", no DEFER_TASKRUN",
		.flags = MODEL_EVENT_LOOP | MODEL_NEEDS_RING | MODEL_STEP |
			 MODEL_EXTRA,
		.alone = UNIT_STRUCT,
		.captured = &model_uring_loop_captured,
		.run = model_uring_plain,
		.no_switches = ONE_LOOP,
		.light = "#5a9cc5",
		.dark = "#8cc4ea",
		.line = LINE_DASHED,
	},
	{
		.name = "uring-loop",
		.unit = "callback",
		.lives = "a C struct",
		.waits_in = "io_uring",
		.settings = RING "; SINGLE_ISSUER, DEFER_TASKRUN",
		.flags = MODEL_EVENT_LOOP | MODEL_NEEDS_RING,
		.role = ROLE_RING_LOOP,
		.alone = UNIT_STRUCT,
		.captured = &model_uring_loop_captured,
		.run = model_uring_loop,
		.no_switches = ONE_LOOP,
		.light = "#4aa7e0",
		.dark = "#8fd0ff",
		.line = LINE_DASHED,
	},
	{
		.name = "coroutine",
		.unit = "coroutine",
		.lives = "its stack",
		.waits_in = "io_uring",
		.settings = "stacks of 128 KB, reserved",
		.variable = COROUTINE_VARIABLES,
		.flags = MODEL_STRAIGHT_LINE | MODEL_NEEDS_RING,
		.role = ROLE_COROUTINES,
		.alone = UNIT_COROUTINE,
		.run = model_coroutine,
		.switches = SWITCHES_PAGE,
		.switches_are = "switches to a coroutine, by the runtime's "
				"counters",
		.no_switches = "n/a: its counters could not be read",
		.light = "#0b8f63",
		.dark = "#3fd6a0",
		.line = LINE_BOLD,
	},
	{
		.name = "coroutine-lent",
		.unit = "coroutine",
		.lives = "its stack, without a read buffer",
		.waits_in = "io_uring",
		.settings =
			"as coroutine; read buffers are lent by the runtime",
		.flags = MODEL_STRAIGHT_LINE | MODEL_NEEDS_RING | MODEL_EXTRA,
		.role = ROLE_LENT,
		.alone = UNIT_COROUTINE,
		.run = model_coroutine_lent,
		.switches = SWITCHES_PAGE,
		.switches_are = "as coroutine's",
		.no_switches = "n/a: its counters could not be read",
		.light = "#00695c",
		.dark = "#7ff0d0",
		.line = LINE_DASHED,
	},
	{
		.name = "coroutine-all",
		.unit = "coroutine",
		.lives = "its stack",
		.waits_in = "io_uring",
		.settings = "as coroutine, on all CPUs",
		.flags = MODEL_STRAIGHT_LINE | MODEL_NEEDS_RING | MODEL_STEP |
			 MODEL_EXTRA | MODEL_ALL_CPUS,
		.alone = UNIT_COROUTINE,
		.run = model_coroutine,
		.switches = SWITCHES_PAGE,
		.switches_are = "as coroutine's",
		.no_switches = "n/a: its counters could not be read",
		.light = "#3fae86",
		.dark = "#8fe8c8",
		.line = LINE_DASHED,
	},
	{
		.name = "node",
		.unit = "continuation",
		.lives = "a closure",
		.waits_in = "libuv",
		.settings = "one process, one loop; --expose-gc, for claim 5",
		.variable = NODE_VARIABLES,
		.flags = MODEL_EVENT_LOOP | MODEL_TELLS_MEMORY,
		.role = ROLE_NODE,
		.alone = UNIT_PROMISE,
		.language = LANGUAGE_NODE,
		.source = "service/models/node.js",
		.switches = SWITCHES_SIGNAL,
		.switches_are = "events that the event loop handled, each by a "
				"callback, by Node's uvMetricsInfo",
		.no_switches = "n/a: needs uvMetricsInfo, of Node 20.18",
		.light = "#b0549b",
		.dark = "#e58fd2",
	},
	{
		.name = "node-workers",
		.unit = "continuation",
		.lives = "a closure",
		.waits_in = "libuv",
		.settings = "as node, and a worker thread for each CPU",
		.flags = MODEL_CPU_VARIANT,
		.role = ROLE_NODE_WORKERS,
		.alone = UNIT_PROMISE,
		.language = LANGUAGE_NODE,
		.source = "service/models/node.js",
		.argument = "workers",
		.light = "#7a5bc9",
		.dark = "#b49cff",
		.line = LINE_DASHED,
	},
	{
		.name = "node-cluster",
		.unit = "continuation",
		.lives = "a closure",
		.waits_in = "libuv",
		.settings = "as node, a process for each CPU",
		.flags = MODEL_CPU_VARIANT | MODEL_EXTRA | MODEL_ALL_CPUS,
		.alone = UNIT_PROMISE,
		.language = LANGUAGE_NODE,
		.source = "service/models/node.js",
		.argument = "cluster",
		.no_switches = "n/a: its processes are not asked",
		.light = "#5f3f9c",
		.dark = "#cdb8ff",
		.line = LINE_DASHED,
	},
	{
		.name = "go",
		.unit = "goroutine",
		.lives = "its stack",
		.waits_in = "netpoller",
		.settings = "stacks by Go",
		.variable = GO_VARIABLES,
		.flags = MODEL_STRAIGHT_LINE | MODEL_TELLS_MEMORY,
		.role = ROLE_GO,
		.alone = UNIT_GOROUTINE,
		.language = LANGUAGE_GO,
		.source = "service/models/go.go",
		.switches = SWITCHES_SIGNAL,
		.switches_are = "times that a goroutine was set running, by "
				"Go's /sched/latencies, which samples one in 8",
		.no_switches = "n/a: Go did not answer",
		.light = "#c99600",
		.dark = "#ffd04d",
	},
	{
		.name = "go-all",
		.unit = "goroutine",
		.lives = "its stack",
		.waits_in = "netpoller",
		.settings = "as go, on all CPUs",
		.flags = MODEL_STRAIGHT_LINE | MODEL_STEP | MODEL_EXTRA |
			 MODEL_ALL_CPUS,
		.alone = UNIT_GOROUTINE,
		.language = LANGUAGE_GO,
		.source = "service/models/go.go",
		.switches = SWITCHES_SIGNAL,
		.switches_are = "as go's",
		.no_switches = "n/a: Go did not answer",
		.light = "#a67c00",
		.dark = "#ffe08a",
		.line = LINE_DASHED,
	},
	{
		.name = "java",
		.unit = "virtual thread",
		.lives = "its stack, on the heap",
		.waits_in = "epoll",
		.settings =
			"a carrier thread for each CPU that it may use; the JVM's own choice of heap and collector",
		.variable = { { "JAVA_TOOL_OPTIONS", "no flags" } },
		.flags = MODEL_STRAIGHT_LINE | MODEL_EXTRA | MODEL_ONE_ASK,
		.alone = UNIT_OTHER,
		.language = LANGUAGE_JAVA,
		.source = "service/models/java.java",
		.no_switches = "n/a: Java does not count the times that it "
			       "mounts a virtual thread",
		.light = "#b3261e",
		.dark = "#ff8a80",
		.warm_up_ms = 3000,
	},
	{
		.name = "tokio",
		.unit = "task",
		.lives = "a future on the heap",
		.waits_in = "epoll",
		.settings = "multi-thread runtime, LTO, panic=abort",
		.variable = { { "TOKIO_WORKER_THREADS",
				"a worker for each CPU that it may use" } },
		.flags = MODEL_STRAIGHT_LINE | MODEL_EXTRA | MODEL_ONE_ASK,
		.alone = UNIT_OTHER,
		.language = LANGUAGE_RUST,
		.source = "service/models/tokio.rs",
		.no_switches = "n/a: tokio counts the polls of its tasks only "
			       "in unstable builds",
		.light = "#555555",
		.dark = "#c8c8c8",
	},
	{
		.name = "asyncio",
		.unit = "task",
		.lives = "a generator frame",
		.waits_in = "epoll",
		.settings = "one loop, asyncio's own; gc.freeze() at the start",
		.flags = MODEL_EVENT_LOOP | MODEL_STRAIGHT_LINE | MODEL_EXTRA,
		.alone = UNIT_OTHER,
		.language = LANGUAGE_PYTHON,
		.source = "service/models/asyncio.py",
		.no_switches = "n/a: asyncio does not count the steps of its "
			       "tasks",
		.light = "#7a4b2a",
		.dark = "#d3a27c",
	},
};
const unsigned nr_models = ARRAY_LEN(models);

const struct model *model_find(const char *name)
{
	for (unsigned i = 0; i < nr_models; i++)
		if (!strcmp(models[i].name, name))
			return &models[i];
	return NULL;
}

const struct model *model_of(enum model_role role)
{
	for (unsigned i = 0; i < nr_models; i++)
		if (models[i].role == role)
			return &models[i];
	return NULL;
}

const char *model_names(void)
{
	static char *text;
	size_t len;
	FILE *f;

	if (text || !(f = open_memstream(&text, &len)))
		return text ? text : "";
	for (unsigned i = 0; i < nr_models; i++)
		fprintf(f, "%s%s",
			!i		     ? ""
			: i == nr_models - 1 ? " and "
					     : ", ",
			models[i].name);
	fclose(f);
	return text;
}

const char *model_settings(const struct model *m, char buf[MODEL_SETTINGS])
{
	size_t len = snprintf(buf, MODEL_SETTINGS, "%s", m->settings);

	for (unsigned i = 0; i < ARRAY_LEN(m->variable); i++) {
		const struct model_variable *v = &m->variable[i];
		const char *value = v->name ? getenv(v->name) : NULL;

		if (v->name && len < MODEL_SETTINGS)
			len += snprintf(buf + len, MODEL_SETTINGS - len,
					value ? "; %s=%s" : "; %s not set: %s",
					v->name, value ? value : v->without);
	}
	return buf;
}

/* The servers in C are this program itself. */
static char **own_command(const struct model *m, int port, int backend_port,
			  bool redis)
{
	const char *words[] = { "/proc/self/exe", "serve", m->name,
				"--port",	  NULL,	   "--backend" };
	char **argv = calloc(ARRAY_LEN(words) + 2, sizeof(*argv));

	for (unsigned i = 0; i < ARRAY_LEN(words); i++)
		argv[i] = words[i] ? strdup(words[i]) : NULL;
	if (asprintf(&argv[4], "%d", port) < 0 ||
	    asprintf(&argv[6], redis ? "redis://127.0.0.1:%d" : "%d",
		     backend_port) < 0)
		abort();
	return argv;
}

const char *model_missing(const struct model *m)
{
	static char text[160];
	const char *missing = language_missing(m->language);

	if (missing || !m->source || language_built(m->language, m->source))
		return missing;
	snprintf(
		text, sizeof(text),
		"it is not built yet: `urt serve --build` downloads its dependencies and builds it");
	return text;
}

/* ---- a user's own server ---- */

#define NAME_CHARS \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

/* Colours that no model has. */
static const char *const own_colours[][2] = {
	{ "#008b8b", "#40e0e0" },
	{ "#8b008b", "#f070f0" },
	{ "#556b2f", "#b8d080" },
	{ "#a0522d", "#f0a880" },
};

struct model *model_of_command(const char *text)
{
	static unsigned n;
	size_t len = strspn(text, NAME_CHARS);
	struct model *m;
	char *name;

	if (!len || len > 24 || text[len] != '=' ||
	    !strstr(text + len, "{port}")) {
		fail("--server: invalid \"%s\": expected NAME='COMMAND', "
		     "with {port} in it where the command takes the port",
		     text);
		return NULL;
	}
	name = strndup(text, len);
	if (model_find(name)) {
		fail("--server: %s is a model of urt: choose another name",
		     name);
		free(name);
		return NULL;
	}
	m = calloc(1, sizeof(*m));
	*m = (struct model){
		.name = name,
		.unit = "of its own",
		.settings = text + len + 1,
		.flags = MODEL_ONE_ASK,
		.lives = "not known",
		.waits_in = "not known",
		.alone = UNIT_OTHER,
		.command = text + len + 1,
		.no_switches = "n/a: it is not known whether it "
			       "has any",
		.light = own_colours[n % ARRAY_LEN(own_colours)][0],
		.dark = own_colours[n % ARRAY_LEN(own_colours)][1]
	};
	n++;
	return m;
}

/* The text with {port} and {backend} filled in, run by the shell. */
static char **filled_in(const char *text, const char *port, const char *backend)
{
	char **argv = calloc(4, sizeof(*argv)), *command;
	size_t size;
	FILE *f = open_memstream(&command, &size);

	if (!argv || !f)
		abort();
	fputs("exec ", f);
	for (const char *p = text; *p;) {
		const char *value = !strncmp(p, "{port}", 6)	  ? port
				    : !strncmp(p, "{backend}", 9) ? backend
								  : NULL;

		if (value) {
			fputs(value, f);
			p = strchr(p, '}') + 1;
		} else {
			fputc(*p++, f);
		}
	}
	fclose(f);
	argv[0] = strdup("/bin/sh");
	argv[1] = strdup("-c");
	argv[2] = command;
	return argv;
}

char **model_command(const struct model *m, int port, int backend_port,
		     bool redis)
{
	const char *args[5] = { 0 };
	char ports[2][16];
	unsigned n = 2;

	if (!model_is_program(m))
		return own_command(m, port, backend_port, redis);
	snprintf(ports[0], sizeof(ports[0]), "%d", port);
	snprintf(ports[1], sizeof(ports[1]), "%d", backend_port);
	if (m->command)
		return filled_in(m->command, ports[0], ports[1]);
	args[0] = ports[0];
	args[1] = ports[1];
	if (m->argument)
		args[n++] = m->argument;
	if (redis)
		args[n++] = "redis";
	return language_command(m->language, m->source, args);
}
