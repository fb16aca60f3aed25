/* SPDX-License-Identifier: MIT */
/*
 * Languages that some models, units and benchmarks are written in. Their
 * programs are embedded in the command (lib/embed.h), written to the user's
 * cache when they are first needed, and built there where the language is
 * compiled.
 */
#ifndef URT_LANGUAGE_H
#define URT_LANGUAGE_H

#include <stdbool.h>
#include <stddef.h>

enum language { LANGUAGE_C, LANGUAGE_NODE, LANGUAGE_GO, LANGUAGE_PYTHON };

#define LANGUAGE_ARGS 3 /* words before the path of a program, at most */

struct language_info {
	const char *name;    /* for people: "Node" */
	const char *command; /* what has to be installed; NULL: nothing */
	const char
		*version; /* a shell command; its first line is the version */
	/* MANAGER:PACKAGE for each package manager. tools/deps.sh reads these
	 * lines, too: keep each on one line. */
	const char *packages;
	const char *run[LANGUAGE_ARGS + 1]; /* an interpreter and its options */
	/* A compiled one: a shell command whose two %s are the program and its
	 * source. */
	const char *build;
};

/* By enum language. */
extern const struct language_info languages[];
extern const unsigned nr_languages;

/* Why its programs cannot be run here, or NULL. */
const char *language_missing(enum language);

/* "" if it is not installed. */
void language_version(enum language, char *buf, size_t size);

/*
 * The command that runs an embedded program with these arguments, the last of
 * which is NULL. A compiled program is built first, once for each text of it.
 * NULL: it could not be built, which was printed. For command_free.
 */
char **language_command(enum language, const char *source,
			const char *const *args);
void command_free(char **argv);

/* Whether PATH has the command. */
bool command_exists(const char *command);

/* First line of what a shell command prints, cut to size; "" if it fails. */
void command_first_line(const char *command, char *buf, size_t size);

#endif
