/* SPDX-License-Identifier: MIT */
/*
 * Commands and their options, as tables. An option is one row of its command's
 * table: options_parse() reads the row, and `--help`, the manual page and the
 * completion of shells are printed from it.
 *
 * Options are stored by their offset in a structure of the command's, so that
 * tables are constant: { .name = "runs", OPTION_TO(struct x, runs), ... }.
 */
#ifndef URT_OPTIONS_H
#define URT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum option_kind {
	OPTION_FLAG,	/* bool: becomes true */
	OPTION_SET,	/* an enum, which becomes min */
	OPTION_NUMBER,	/* long, from min to max */
	OPTION_MS,	/* int64_t in ns: a time from min to max milliseconds */
	OPTION_SECONDS, /* double: a time from 0.01 to max seconds */
	OPTION_TEXT,	/* const char * */
	OPTION_CHOICE,	/* an enum: the index of one of choices */
	OPTION_TAKE,	/* take() */
	OPTION_ANYWAY,	/* accepted without effect: urt does this anyway */
	OPTION_INSTEAD, /* another tool's option: text names the substitute */
	OPTION_SPACE,	/* no option: an empty line in the help text */
};

/* Calls f for each word. */
typedef void option_word(const char *word, void *arg);
typedef void option_words(option_word *f, void *arg);

struct option_row {
	enum option_kind kind;
	char letter;	      /* 0: none */
	const char *name;     /* without "--" */
	const char *argument; /* as the help text names it; NULL: takes none */
	size_t to;	      /* offset of the field that it sets */
	long min, max;
	const char *const *choices;	   /* ends with NULL */
	option_words *words;		   /* possible values, for completion */
	bool (*take)(void *to, char *arg); /* false: wrong; has printed why */
	const char *text; /* an imperative sentence; "use ..." of INSTEAD */
};

#define OPTION_TO(type, field) .to = offsetof(type, field)

/* Beginnings of rows that several commands share. OPTION_TO follows, and the
 * text where it is not given here. */
#define OPTION_PID                                       \
	.letter = 'p', .name = "pid", .argument = "PID", \
	.kind = OPTION_NUMBER, .min = 1, .max = 1 << 22
#define OPTION_USER                                              \
	.name = "user", .argument = "NAME", .kind = OPTION_TEXT, \
	.text = "Run the command as this user. Default: under sudo, the user who called sudo."
#define OPTION_JSON(schemas)                 \
	.name = "json", .kind = OPTION_FLAG, \
	.text = "Print one JSON document (schema " schemas ")."
#define OPTION_RUNS                                                            \
	.letter = 'r', .name = "runs", .argument = "N", .kind = OPTION_NUMBER, \
	.min = 1
#define OPTION_CONTEXT                                       \
	.letter = 'k', .name = "context", .argument = "KEY", \
	.kind = OPTION_TEXT,                                 \
	.text = "Also group coroutines by this attribute of their context."
#define OPTION_OUTPUT \
	.letter = 'o', .name = "output", .argument = "FILE", .kind = OPTION_TEXT

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char
		*what; /* what the command does, a line without a full stop */
	const char *usage; /* the rest of the line "usage: urt NAME" */
	const char *about; /* paragraphs above the options */
	const char *notes; /* paragraphs below them; NULL: none */
	const struct option_row *options; /* ends with a row without kind */
	unsigned nr_options;
	bool runs_command;   /* options end at the first operand */
	option_words *words; /* operands, for completion */
};

/* argv[0] is the command's name; the result is the exit code. */
int cmd_assist(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_compare(int argc, char **argv);
int cmd_demo(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_dump(int argc, char **argv);
int cmd_export(int argc, char **argv);
int cmd_load(int argc, char **argv);
int cmd_profile(int argc, char **argv);
int cmd_record(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_serve(int argc, char **argv);
int cmd_sim(int argc, char **argv);
int cmd_stat(int argc, char **argv);
int cmd_top(int argc, char **argv);

extern const struct command command_assist, command_bench, command_compare,
	command_demo, command_doctor, command_dump, command_export,
	command_load, command_profile, command_record, command_report,
	command_serve, command_sim, command_stat, command_top;

#define OPTIONS_MAX   128 /* rows of a table */
#define OPTIONS(rows) .options = rows, .nr_options = ARRAY_LEN(rows)

/*
 * Reads the options into `to`. Returns the index of the first operand, or -1
 * after printing what is wrong. `--help` prints the help text and exits.
 */
int options_parse(const struct command *, int argc, char **argv, void *to);

/* ---- what is printed from the tables ---- */

void help_text(FILE *, const struct command *);
void help_man(FILE *, const struct command *);
/* shell: "bash", "zsh" or "fish"; the array ends with NULL. */
void help_completion(FILE *, const char *shell,
		     const struct command *const *commands);

#endif
