/* SPDX-License-Identifier: MIT */
/* The parts of `urt profile` to each other; see profile.c. */
#ifndef URT_PROFILE_PARTS_H
#define URT_PROFILE_PARTS_H

#include "../lib/launch.h"
#include "../lib/tool.h"
#include <sys/types.h>

struct profile_options {
	long pid;
	char **command; /* NULL: none */
	const struct launch_user *user;
	const char *user_name;
	int64_t duration_ns; /* 0: until it ends, or Ctrl-C */
	long rate;	     /* samples a second and CPU */
	bool threads;	     /* of one name are kept apart */
	long limit;	     /* entries of the text; 0: all */
	const char *output;  /* its file; NULL: stdout */
};

/* ---- folded stacks (folds.c) ---- */

enum fold_kind { FOLD_ON_CPU, FOLD_OFF_CPU, FOLD_CORO, FOLD_KINDS };

struct fold {
	char *frames;	/* outermost first, separated by ';' */
	uint64_t value; /* ns, or coroutines seen, of all looks */
};

struct folds;

struct folds *folds_new(void);
void folds_free(struct folds *);
void folds_add(struct folds *, enum fold_kind, const char *frames,
	       uint64_t value);
/* The largest first. And the sum of them, and of what found no room. */
const struct fold *folds_sorted(struct folds *, enum fold_kind, size_t *n);
uint64_t folds_sum(const struct folds *, enum fold_kind);
uint64_t folds_other(const struct folds *, enum fold_kind);

/* ---- what is printed (print.c) ---- */

struct profile {
	const struct profile_options *o;
	char title[256];
	struct folds *folds;
	int64_t wall_ns;
	unsigned looks; /* at coroutines; 0: it has none */
	uint64_t lost;	/* events */
};

enum profile_form { PROFILE_TEXT, PROFILE_FOLDED, PROFILE_HTML, PROFILE_PPROF };

/* By the name of the file: .folded, .html, .pb.gz, or text. */
enum profile_form profile_form(const char *path);
/* False: it could not be written; errno says why. */
bool profile_print(FILE *, const struct profile *, enum profile_form);

/* pprof.c */
bool profile_print_pprof(FILE *, const struct profile *);

/* ---- names of addresses (names.c) ---- */

#define FRAMES_MAX 16384 /* bytes of a folded stack */

struct names;

struct names *names_new(void);
void names_free(struct names *);
/* Appends to `text` the frames of a stack, innermost first in pc, and keeps
 * them under (tgid, id), to be had when the process is gone. tgid 0: kernel. */
void names_stack(struct names *, char text[FRAMES_MAX], pid_t tgid, int id,
		 const uint64_t *pc, unsigned n);
bool names_has(const struct names *, pid_t tgid, int id);
void names_one(struct names *, pid_t tgid, uint64_t pc, char *to, size_t size);
/* Appends one frame: no ';', no control characters. */
void frame_add(char text[FRAMES_MAX], const char *frame, const char *ending);

/* ---- threads (sample.c) ---- */

struct sampler;

/* NULL: not possible, and an error was printed. */
struct sampler *sampler_open(const struct profile_options *);
void sampler_close(struct sampler *);
/* A process that runs, or one that waits at its gate. 0 or -errno. */
int sampler_attach(struct sampler *, pid_t pid, bool runs);
/* Reads the names of the stacks there are so far, while the program lives. */
void sampler_learn(struct sampler *, struct names *);
/* No more is counted; and all that was, into the folds. */
void sampler_finish(struct sampler *, struct names *, struct folds *);
uint64_t sampler_lost(const struct sampler *);

/* ---- coroutines (coroutines.c) ---- */

struct coro_looks;

/* NULL: the program does not run on uring_rt, or cannot be read. */
struct coro_looks *coro_looks_open(pid_t pid);
/* Adds all coroutines there are now. False: they are gone. */
bool coro_looks_take(struct coro_looks *, struct folds *);
void coro_looks_close(struct coro_looks *);

#endif
