// SPDX-License-Identifier: MIT
/*
 * Texts that are printed from the tables of options: the help text, the manual
 * page and the completion of shells; see options.h.
 */
#include "options.h"
#include "tool.h"
#include <ctype.h>
#include <string.h>

#define WIDTH  79
#define COLUMN 25 /* where the texts of options begin */

static const char times[] = "Times may have a unit: 500ms, 10s, 2m.";

static bool takes_a_time(const struct command *c)
{
	for (unsigned i = 0; i < c->nr_options; i++)
		if (c->options[i].kind == OPTION_MS ||
		    c->options[i].kind == OPTION_SECONDS)
			return true;
	return false;
}

/* ---- the help text ---- */

/* At most WIDTH wide; "\n" in the text begins a new line. */
static void wrapped(FILE *f, const char *text, int at, int indent)
{
	while (*text) {
		int n = strcspn(text, " \n");

		if (at > indent && at + 1 + n > WIDTH) {
			fprintf(f, "\n%*s", indent, "");
			at = indent;
		} else if (at > indent) {
			fputc(' ', f);
			at++;
		}
		fprintf(f, "%.*s", n, text);
		at += n;
		text += n;
		if (*text == '\n') {
			fprintf(f, "\n%*s", indent, "");
			at = indent;
		}
		text += *text != '\0';
	}
	fputc('\n', f);
}

/* Paragraphs are separated by "\n\n". */
static void paragraphs(FILE *f, const char *text)
{
	const char *end;
	char one[4096];

	for (; text && *text; text = end + strspn(end, "\n")) {
		end = strstr(text, "\n\n");
		if (!end)
			end = text + strlen(text);
		snprintf(one, sizeof(one), "%.*s", (int)(end - text), text);
		fputc('\n', f);
		wrapped(f, one, 0, 0);
	}
}

static int option_head(char *to, size_t size, const struct option_row *o)
{
	const char *space = o->argument ? " " : "";
	const char *argument = o->argument ? o->argument : "";

	if (o->letter && o->name)
		return snprintf(to, size, "-%c, --%s%s%s", o->letter, o->name,
				space, argument);
	if (!o->name)
		return snprintf(to, size, "-%c%s%s", o->letter, space,
				argument);
	return snprintf(to, size, "    --%s%s%s", o->name, space, argument);
}

void help_text(FILE *f, const struct command *c)
{
	char head[128];

	fprintf(f, "usage: urt %s%s%s\n", c->name, *c->usage ? " " : "",
		c->usage);
	paragraphs(f, c->about);
	fputc('\n', f);
	for (unsigned i = 0; i < c->nr_options; i++) {
		const struct option_row *o = &c->options[i];
		int at;

		if (o->kind == OPTION_INSTEAD)
			continue;
		if (o->kind == OPTION_SPACE) {
			fputc('\n', f);
			continue;
		}
		at = 2 + option_head(head, sizeof(head), o);
		fprintf(f, "  %s", head);
		if (at >= COLUMN)
			fprintf(f, "\n%*s", COLUMN, "");
		else
			fprintf(f, "%*s", COLUMN - at, "");
		wrapped(f, o->text, COLUMN, COLUMN);
	}
	if (takes_a_time(c))
		paragraphs(f, times);
	paragraphs(f, c->notes);
}

/* ---- the manual page ---- */

static void roff(FILE *f, const char *text)
{
	bool begins = true;

	for (; *text; text++) {
		if (begins && (*text == '.' || *text == '\''))
			fputs("\\&", f);
		if (*text == '-')
			fputs("\\-", f);
		else if (*text == '\\')
			fputs("\\e", f);
		else
			fputc(*text, f);
		begins = *text == '\n';
	}
}

static void man_paragraphs(FILE *f, const char *text)
{
	for (; text && *text; text++) {
		char c[] = { *text, '\0' };

		if (!strncmp(text, "\n\n", 2)) {
			fputs("\n.PP\n", f);
			text++;
		} else {
			roff(f, c);
		}
	}
	fputc('\n', f);
}

/* The options of this command; or those of other tools, with the substitute. */
static void man_options(FILE *f, const struct command *c, bool instead)
{
	bool first = instead;
	char head[128];

	for (unsigned i = 0; i < c->nr_options; i++) {
		const struct option_row *o = &c->options[i];

		if (o->kind == OPTION_SPACE ||
		    (o->kind == OPTION_INSTEAD) != instead)
			continue;
		if (first)
			fputs(".SH OPTIONS OF OTHER TOOLS\nThese are refused, "
			      "with this advice.\n",
			      f);
		first = false;
		option_head(head, sizeof(head), o);
		fputs(".TP\n.B ", f);
		roff(f, head + strspn(head, " "));
		fputc('\n', f);
		roff(f, o->text);
		fputc('\n', f);
	}
}

void help_man(FILE *f, const struct command *c)
{
	char upper[32];
	size_t n = 0;

	for (; c->name[n] && n < sizeof(upper) - 1; n++)
		upper[n] = toupper((unsigned char)c->name[n]);
	upper[n] = '\0';
	fprintf(f,
		".TH URT\\-%s 1 \"\" \"urt\" \"User Commands\"\n.SH NAME\n"
		"urt\\-%s \\- ",
		upper, c->name);
	roff(f, c->what);
	fprintf(f, "\n.SH SYNOPSIS\n.B urt %s\n", c->name);
	roff(f, c->usage);
	fputs("\n.SH DESCRIPTION\n", f);
	man_paragraphs(f, c->about);
	fputs(".SH OPTIONS\n", f);
	man_options(f, c, false);
	if (takes_a_time(c)) {
		fputs(".PP\n", f);
		man_paragraphs(f, times);
	}
	man_options(f, c, true);
	if (c->notes)
		fputs(".SH NOTES\n", f);
	man_paragraphs(f, c->notes);
	fputs(".SH EXIT STATUS\n0: success. 1: a failure, or wrong usage. 3: an "
	      "assertion does not hold.\nA program that urt runs passes its own "
	      "exit status on.\n.SH SEE ALSO\n.BR urt (1),\n"
	      ".BR urt\\-environment (1)\n",
	      f);
}

/* ---- completion ---- */

static void print_word(const char *word, void *arg)
{
	fprintf(arg, "%s ", word);
}

/* The values of an option; without any, shells complete files. */
static void print_values(FILE *f, const struct option_row *o)
{
	for (int i = 0; o->choices && o->choices[i]; i++)
		print_word(o->choices[i], f);
	if (o->words)
		o->words(print_word, f);
}

static bool has_values(const struct option_row *o)
{
	return o->choices || o->words;
}

static void print_options(FILE *f, const struct command *c)
{
	for (unsigned i = 0; i < c->nr_options; i++) {
		if (c->options[i].kind == OPTION_INSTEAD)
			continue;
		if (c->options[i].letter)
			fprintf(f, "-%c ", c->options[i].letter);
		if (c->options[i].name)
			fprintf(f, "--%s ", c->options[i].name);
	}
	fputs("--help ", f);
	if (c->words)
		c->words(print_word, f);
}

static void print_names(FILE *f, const struct command *const *commands)
{
	for (; *commands; commands++)
		print_word((*commands)->name, f);
}

/* The cases that bash and zsh share; give: what the shell does with the
 * words. */
static void print_cases(FILE *f, const struct command *const *commands,
			const char *give, const char *end)
{
	const struct command *const *c;

	for (c = commands; *c; c++)
		for (unsigned i = 0; i < (*c)->nr_options; i++) {
			const struct option_row *o = &(*c)->options[i];

			if (!o->argument || !o->name)
				continue;
			fprintf(f, "\t%s:--%s", (*c)->name, o->name);
			if (o->letter)
				fprintf(f, "|%s:-%c", (*c)->name, o->letter);
			fprintf(f, ") %s", give);
			print_values(f, o);
			fprintf(f, "%s ;;\n", end);
		}
	fprintf(f, "\thelp:*) %s", give);
	print_names(f, commands);
	fprintf(f, "environment %s ;;\n", end);
	for (c = commands; *c; c++) {
		fprintf(f, "\t%s:*) %s", (*c)->name, give);
		print_options(f, *c);
		fprintf(f, "%s ;;\n", end);
	}
}

static void bash(FILE *f, const struct command *const *commands)
{
	fputs("# Completion of urt for bash.\n_urt() {\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]} words=\n"
	      "\tif [ \"$COMP_CWORD\" = 1 ]; then words=\"",
	      f);
	print_names(f, commands);
	fputs("help\"\n"
	      "\telse case ${COMP_WORDS[1]}:${COMP_WORDS[COMP_CWORD-1]} in\n",
	      f);
	print_cases(f, commands, "words=\"", "\"");
	fputs("\tesac; fi\n"
	      "\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\n"
	      "complete -o default -F _urt urt\n",
	      f);
}

static void zsh(FILE *f, const struct command *const *commands)
{
	fputs("#compdef urt\n# Completion of urt for zsh.\n"
	      "if (( CURRENT == 2 )); then\n\tcompadd -- ",
	      f);
	print_names(f, commands);
	fputs("help\nelse\n\tcase $words[2]:$words[CURRENT-1] in\n", f);
	print_cases(f, commands, "compadd -- ", "; _files");
	fputs("\tesac\nfi\n", f);
}

static void fish_option(FILE *f, const char *command,
			const struct option_row *o)
{
	fprintf(f, "complete -c urt -n '__fish_seen_subcommand_from %s'",
		command);
	if (o->letter)
		fprintf(f, " -s %c", o->letter);
	fprintf(f, " -l %s%s", o->name, o->argument ? " -r" : "");
	if (has_values(o)) {
		fputs(" -f -a '", f);
		print_values(f, o);
		fputc('\'', f);
	}
	fputs(" -d '", f);
	for (const char *p = o->text; *p && *p != '.'; p++)
		if (*p == '\'')
			fputs("\\'", f);
		else
			fputc(*p == '\n' ? ' ' : *p, f);
	fputs("'\n", f);
}

static void fish(FILE *f, const struct command *const *commands)
{
	const struct command *const *c;

	fputs("# Completion of urt for fish.\n", f);
	for (c = commands; *c; c++)
		fprintf(f,
			"complete -c urt -n __fish_use_subcommand -f -a %s -d "
			"'%s'\n",
			(*c)->name, (*c)->what);
	fputs("complete -c urt -n __fish_use_subcommand -f -a help\n", f);
	for (c = commands; *c; c++) {
		for (unsigned i = 0; i < (*c)->nr_options; i++)
			if ((*c)->options[i].name &&
			    (*c)->options[i].kind != OPTION_INSTEAD)
				fish_option(f, (*c)->name, &(*c)->options[i]);
		if ((*c)->words) {
			fprintf(f,
				"complete -c urt -n "
				"'__fish_seen_subcommand_from %s' -f -a '",
				(*c)->name);
			(*c)->words(print_word, f);
			fputs("'\n", f);
		}
	}
}

void help_completion(FILE *f, const char *shell,
		     const struct command *const *commands)
{
	if (!strcmp(shell, "bash"))
		bash(f, commands);
	else if (!strcmp(shell, "zsh"))
		zsh(f, commands);
	else
		fish(f, commands);
}
