/* SPDX-License-Identifier: MIT */
/*
 * The models of concurrency: one row each. Every fact about a model is in its
 * row; all other code iterates over the rows. tools/README.md has the recipe
 * for a new one.
 */
#ifndef URT_MODEL_H
#define URT_MODEL_H

#include "language.h"
#include "server.h"

/* Units of scheduling that are also measured alone, without a server. */
enum unit_kind {
	UNIT_THREAD,
	UNIT_COROUTINE,
	UNIT_PROMISE,
	UNIT_TIMER, /* a promise that sleeps */
	UNIT_GOROUTINE,
	UNIT_KINDS,
	UNIT_STRUCT, /* a struct of C: its size is known (captured) */
	UNIT_OTHER,  /* not measured alone */
};

/* The part that a model plays in the claims. */
enum model_role {
	ROLE_NONE,
	ROLE_THREADS,	 /* a thread for each connection */
	ROLE_CALLBACKS,	 /* an event loop over epoll */
	ROLE_RING_LOOP,	 /* the same over io_uring */
	ROLE_COROUTINES, /* uring_rt */
	ROLE_LENT,	 /* the same, with buffers that are lent */
	ROLE_NODE,
	ROLE_NODE_WORKERS, /* Node, with CPU work in worker threads */
	ROLE_GO,
};

enum model_flags {
	MODEL_EVENT_LOOP = 1,	 /* all requests share one thread's callbacks */
	MODEL_STRAIGHT_LINE = 2, /* its code reads from top to bottom */
	MODEL_CPU_VARIANT = 4,	 /* differs only where CPU is burnt */
	MODEL_NEEDS_RING = 8,	 /* cannot run where io_uring is forbidden */
	MODEL_TELLS_MEMORY = 16, /* prints its heap after SIGUSR2 */
	MODEL_STEP = 32,	 /* a step between two others: measured only
				    under load */
	MODEL_EXTRA = 64,	 /* only in a full run, or where it is named */
	MODEL_ALL_CPUS = 128,	 /* its server may use all CPUs under load */
	MODEL_ONE_ASK = 256,	 /* it does not answer /chain and /fan */
	MODEL_TLS = 512,	 /* it speaks HTTP over TLS: another workload */
};

/* Where the number of its user switches comes from. */
enum model_switches {
	SWITCHES_NONE,	 /* not counted */
	SWITCHES_PAGE,	 /* the counters page of uring_rt */
	SWITCHES_SIGNAL, /* it prints "user=N" after SIGHUP */
};

/* Paths that a user's own server may answer. */
enum model_answers {
	ANSWERS_NOW = 1,  /* "/" */
	ANSWERS_WAIT = 2, /* "/wait", by the backend */
	ANSWERS_CPU = 4,  /* "/cpu" */
};

enum model_line { LINE_PLAIN, LINE_DASHED, LINE_BOLD };

/* A variable of the environment that changes how a model's server runs. */
struct model_variable {
	const char *name;
	const char *without; /* what holds if it is not set */
};

struct model {
	const char *name;
	const char *unit;     /* of scheduling */
	const char *lives;    /* where a request lives while it waits */
	const char *waits_in; /* the interface in which it waits */
	const char *settings; /* threads, stacks, heap, flags: for people */
	const char *step; /* of the ladder: what it changes of the one before;
			     NULL: it is on no step */
	struct model_variable variable[3];
	unsigned flags; /* of enum model_flags */
	enum model_role role;
	enum unit_kind alone;	/* the unit as it is measured alone */
	const size_t *captured; /* UNIT_STRUCT: its size, with read buffer */

	/* Its server: a function, or an embedded program that is called with
	 * PORT BACKEND_PORT [argument] [redis]. */
	int (*run)(const struct server *);
	enum language language;
	const char *source;
	const char *argument;
	/* ... or by a user's command, with {port} and {backend} in it, whose
	 * server answers only these paths. */
	const char *command;
	unsigned answers; /* of enum model_answers */
	long warm_up_ms;  /* that its compiler needs under load; 0: none */

	enum model_switches switches;
	const char *switches_are; /* what counts as one, and who counts */
	const char *no_switches;  /* why the number may be missing */

	/* Of its lines and bars: light and dark background. */
	const char *light, *dark;
	enum model_line line;
};

extern const struct model models[];
extern const unsigned nr_models;

const struct model *model_find(const char *name);
/* The model that plays this part. */
const struct model *model_of(enum model_role);

/* "thread, epoll, ... and go", for messages; static. */
const char *model_names(void);

#define MODEL_SETTINGS 320 /* bytes of them, at most */

/* The settings of its server, from its row and our environment. Returns the
 * buffer. */
const char *model_settings(const struct model *, char buf[MODEL_SETTINGS]);

/* Whether the model has one of the flags. */
static inline bool model_is(const struct model *m, unsigned flags)
{
	return m->flags & flags;
}

static inline bool model_answers(const struct model *m, unsigned what)
{
	return !m->command || (m->answers & what) == what;
}

/* Whether a program in another language, or of a user, serves it. */
static inline bool model_is_program(const struct model *m)
{
	return m->source || m->command;
}

/* Why it cannot be served here at present, or NULL; static. */
const char *model_missing(const struct model *);

/*
 * A model for a user's server: "NAME=CMD". NULL: the text is invalid; an error
 * message was printed. Never freed.
 */
struct model *model_of_command(const char *text);

/*
 * The command that serves as the model on `port`. NULL: its program could not
 * be built; an error message was printed. For command_free.
 */
char **model_command(const struct model *, int port, int backend_port,
		     bool redis);

#endif
