/* SPDX-License-Identifier: MIT */
/*
 * Languages in which some models, units and benchmarks are written. Their
 * programs are embedded in the command (lib/embed.h), written to the user's
 * cache when they are first needed, and built there where the language is
 * compiled.
 */
#ifndef URT_LANGUAGE_H
#define URT_LANGUAGE_H

#include <stdbool.h>
#include <stddef.h>

enum language {
	LANGUAGE_C,
	LANGUAGE_NODE,
	LANGUAGE_GO,
	LANGUAGE_PYTHON,
	LANGUAGE_JAVA,
	LANGUAGE_RUST,
};

#define LANGUAGE_ARGS 4 /* words before the path of a program, at most */

struct language_info {
	const char *name;    /* for people: "Node" */
	const char *command; /* the command that must be installed; NULL:
				none */
	/* If not every version is good: a shell command that prints the
	 * directory of one that is, or nothing; and the required version, for
	 * people. */
	const char *find, *wanted;
	const char
		*version; /* a shell command; its first line is the version */
	/* MANAGER:PACKAGE for each package manager. tools/deps.sh reads these
	 * lines, too: keep each on one line. */
	const char *packages;
	const char *run[LANGUAGE_ARGS + 1]; /* an interpreter and its options */
	/* A compiled one: a shell command whose two %s are the program and its
	 * source. */
	const char *build;
	bool fetches; /* building it downloads others' sources */
};

/* By enum language. */
extern const struct language_info languages[];
extern const unsigned nr_languages;

/* Why its programs cannot be run here, or NULL. */
const char *language_missing(enum language);

#define LANGUAGE_VERSION 160 /* bytes of a version, at most */

/* "" if it is not installed. The second function asks all languages with bit n
 * set, by enum language, at the same time, since a JVM is slow. */
void language_version(enum language, char *buf, size_t size);
void language_versions(unsigned wanted, char (*versions)[LANGUAGE_VERSION]);

/* Whether the embedded program can run at once, without building or downloading
 * anything. */
bool language_built(enum language, const char *source);

/*
 * The command that runs an embedded program with these arguments, the last of
 * which is NULL. A compiled program is built first, once for each text of it.
 * NULL: it could not be built; an error message was printed. For command_free.
 */
char **language_command(enum language, const char *source,
			const char *const *args);
void command_free(char **argv);

/* Whether PATH has the command. */
bool command_exists(const char *command);

/* First line of what a shell command prints, cut to size; "" if it fails. */
void command_first_line(const char *command, char *buf, size_t size);

#endif
