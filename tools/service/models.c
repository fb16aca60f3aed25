// SPDX-License-Identifier: MIT
/* The table of models. */
#include "model.h"
#include "../lib/tool.h"

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

/* What all models of the runtime have in common. */
#define OF_COROUTINES                                                         \
	.unit = "coroutine", .waits_in = "io_uring", .alone = UNIT_COROUTINE, \
	.switches = SWITCHES_PAGE,                                            \
	.no_switches = "n/a: its counters could not be read"

#define ONE_LOOP "n/a: callbacks of one loop, which are not counted"

const struct model models[] = {
	{
		.name = "thread",
		.unit = "OS thread",
		.lives = "a kernel stack",
		.waits_in = "the kernel",
		.settings = "stacks of 128 KB; as many threads as connections",
		.step = "a thread for each connection",
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
		.step = "a thread for each request that is ready: connections wait in epoll",
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
		.step = "one thread, callbacks",
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
		.step = "io_uring in place of epoll, entered for each request to it",
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
		.step = "one call for many requests",
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
		.step = "completions when the thread asks for them (DEFER_TASKRUN)",
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
		OF_COROUTINES,
		.lives = "its stack",
		.settings = "stacks of 128 KB, reserved",
		.variable = COROUTINE_VARIABLES,
		.step = "coroutines in place of callbacks",
		.flags = MODEL_STRAIGHT_LINE | MODEL_NEEDS_RING,
		.role = ROLE_COROUTINES,
		.run = model_coroutine,
		.switches_are = "switches to a coroutine, by the runtime's "
				"counters",
		.light = "#0b8f63",
		.dark = "#3fd6a0",
		.line = LINE_BOLD,
	},
	{
		.name = "coroutine-lent",
		OF_COROUTINES,
		.lives = "its stack, buffer lent",
		.settings =
			"as coroutine; read buffers are lent by the runtime",
		.step = "coroutine, with read buffers that the runtime lends",
		.flags = MODEL_STRAIGHT_LINE | MODEL_NEEDS_RING | MODEL_EXTRA,
		.role = ROLE_LENT,
		.run = model_coroutine_lent,
		.switches_are = "as coroutine's",
		.light = "#00695c",
		.dark = "#7ff0d0",
		.line = LINE_DASHED,
	},
	{
		.name = "coroutine-all",
		OF_COROUTINES,
		.lives = "its stack",
		.settings = "as coroutine, on all CPUs",
		.step = "coroutine, on all CPUs",
		.flags = MODEL_STRAIGHT_LINE | MODEL_NEEDS_RING | MODEL_STEP |
			 MODEL_EXTRA | MODEL_ALL_CPUS,
		.run = model_coroutine,
		.switches_are = "as coroutine's",
		.light = "#3fae86",
		.dark = "#8fe8c8",
		.line = LINE_DASHED,
	},
	{
		.name = "coroutine-tls",
		OF_COROUTINES,
		.lives = "its stack",
		.settings =
			"as coroutine, over TLS 1.3 by uring_rt's own TLS (OpenSSL); a certificate of ECDSA P-256",
		.flags = MODEL_STRAIGHT_LINE | MODEL_NEEDS_RING | MODEL_EXTRA |
			 MODEL_TLS,
		.run = model_coroutine_tls,
		.switches_are = "as coroutine's",
		.light = "#1b7f8c",
		.dark = "#66d9e8",
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
		.source = "service/models/node.cjs",
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
		.source = "service/models/node.cjs",
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
		.source = "service/models/node.cjs",
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
		.name = "java-pool",
		.unit = "virtual thread",
		.lives = "its stack, on the heap",
		.waits_in = "epoll",
		.settings = "as java, CPU work on a pool of kernel threads, "
			    "one for each CPU",
		.flags = MODEL_STRAIGHT_LINE | MODEL_CPU_VARIANT | MODEL_EXTRA |
			 MODEL_ONE_ASK,
		.alone = UNIT_OTHER,
		.language = LANGUAGE_JAVA,
		.source = "service/models/java.java",
		.argument = "pool",
		.light = "#d9736c",
		.dark = "#ffb4ad",
		.line = LINE_DASHED,
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
		.name = "tokio-blocking",
		.unit = "task",
		.lives = "a future on the heap",
		.waits_in = "epoll",
		.settings = "as tokio, CPU work by spawn_blocking, on 512 "
			    "threads at most, tokio's default",
		.flags = MODEL_STRAIGHT_LINE | MODEL_CPU_VARIANT | MODEL_EXTRA |
			 MODEL_ONE_ASK,
		.alone = UNIT_OTHER,
		.language = LANGUAGE_RUST,
		.source = "service/models/tokio.rs",
		.argument = "blocking",
		.light = "#8a8a8a",
		.dark = "#9a9a9a",
		.line = LINE_DASHED,
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
