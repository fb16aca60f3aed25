/* SPDX-License-Identifier: MIT */
/* Shared by the parts of `urt profile`. */
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
	int64_t duration_ns; /* 0: until the program ends, or Ctrl-C */
	long rate;	     /* samples per second and CPU */
	bool threads;	     /* threads of the same name are kept apart */
	long limit;	     /* entries of the text form; 0: all */
	const char *output;  /* its file; NULL: stdout */
};

/* ---- folded stacks (folds.c) ---- */

enum fold_kind { FOLD_ON_CPU, FOLD_OFF_CPU, FOLD_CORO, FOLD_KINDS };

struct fold {
	char *frames;	/* outermost first, separated by ';' */
	uint64_t value; /* ns, or coroutines seen, summed over all looks */
};

struct folds;

struct folds *folds_new(void);
void folds_free(struct folds *);
void folds_add(struct folds *, enum fold_kind, const char *frames,
	       uint64_t value);
/* The folds of a kind, the largest first; nothing can be added afterwards. */
const struct fold *folds_sorted(struct folds *, enum fold_kind, size_t *n);
/* The sum of all values of a kind; the part of it that found no room. */
uint64_t folds_sum(const struct folds *, enum fold_kind);
uint64_t folds_other(const struct folds *, enum fold_kind);

/* ---- what is printed (print.c) ---- */

struct profile {
	const struct profile_options *o;
	char title[256];
	struct folds *folds;
	int64_t wall_ns;
	unsigned looks; /* at coroutines; 0: the program has none */
	uint64_t lost;	/* events that found no room */
};

enum profile_form { PROFILE_TEXT, PROFILE_FOLDED, PROFILE_HTML, PROFILE_PPROF };

/* By the name of the file: .folded, .html, .pb.gz, or text. */
enum profile_form profile_form(const char *path);
/* 0, or EXIT_BAD after a message: not all of it could be written. */
int profile_print(FILE *, const char *name, const struct profile *,
		  enum profile_form);

/* pprof.c; false: errno gives the reason. */
bool profile_print_pprof(FILE *, const struct profile *);

/* ---- names of addresses (names.c) ---- */

#define FRAMES_MAX 16384 /* bytes of a folded stack */

/* Whose addresses they are: those of a program that runs, or ran, in a process. */
struct image {
	pid_t tgid;	  /* 0: the kernel */
	uint64_t program; /* bpf/profile.h */
};

struct names;

struct names *names_new(void);
void names_free(struct names *);
/* Appends the frames of a stack to `text`; pc has the innermost first. Keeps the
 * text under (image, id), so that it outlives the process. */
void names_stack(struct names *, char text[FRAMES_MAX], struct image, int id,
		 const uint64_t *pc, unsigned n);
bool names_has(const struct names *, struct image, int id);
void names_one(struct names *, struct image, uint64_t pc, char *to,
	       size_t size);
/* The program's mappings, with that address if it has it; NULL: not known. */
struct modules *names_modules(struct names *, struct image, uint64_t pc);
/* Appends one frame and its ending, with ';' and control characters replaced. */
void frame_add(char text[FRAMES_MAX], const char *frame, const char *ending);

/* ---- threads (sample.c) ---- */

struct sampler;

/* NULL: sampling is not possible, and an error was printed. */
struct sampler *sampler_open(const struct profile_options *);
void sampler_close(struct sampler *);
/* Adds a process: one that runs, or one that waits at its gate (lib/launch.h).
 * Returns 0 or -errno. */
int sampler_attach(struct sampler *, pid_t pid, bool runs);
/* Reads the names of the stacks seen so far, while the program lives. */
void sampler_learn(struct sampler *, struct names *);
/* Stops counting and adds all that was counted to the folds. */
void sampler_finish(struct sampler *, struct names *, struct folds *);
uint64_t sampler_lost(const struct sampler *);

/* Appends the frames of a thread that has slept since before profiling began, and
 * still does. False: they cannot be read (asleep.c). */
bool asleep_add(struct names *, char text[FRAMES_MAX], struct image, pid_t tid);

/* ---- coroutines (coroutines.c) ---- */

struct coro_looks;

/* NULL: the program does not run on uring_rt, or cannot be read. */
struct coro_looks *coro_looks_open(pid_t pid);
/* Adds all coroutines that exist now. 0; -ESRCH: they are gone; -E2BIG: there are too
 * many. */
int coro_looks_take(struct coro_looks *, struct folds *);
void coro_looks_close(struct coro_looks *);

#endif
