// SPDX-License-Identifier: MIT
/* urt: finds the subcommand. */
#include "lib/environment.h"
#include "lib/options.h"
#include "lib/output.h"
#include "lib/tool.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#ifdef URT_STATIC
#include <nss.h>
#endif

static const struct command *const commands[] = {
	&command_demo,	  &command_stat,  &command_record, &command_report,
	&command_profile, &command_dump,  &command_top,	   &command_compare,
	&command_sim,	  &command_bench, &command_export, &command_doctor,
	&command_assist,  &command_serve, &command_load,   NULL,
};

static int usage(FILE *out)
{
	fputs("usage: urt COMMAND [OPTIONS]\n\n", out);
	for (unsigned i = 0; commands[i]; i++)
		fprintf(out, "  %-8s %s\n", commands[i]->name,
			commands[i]->what);
	fputs("\n`urt help COMMAND` lists a command's options, `urt help "
	      "environment` the\nenvironment variables. `urt help --man "
	      "COMMAND` prints a manual page, `urt help\n--bash`, `--zsh` and "
	      "`--fish` print a shell's completion.\n",
	      out);
	return out == stdout ? 0 : EXIT_BAD;
}

/* Suggests a command that differs by at most two letters. */
static int unknown(const char *name)
{
	const char *nearest = NULL;
	unsigned distance, least = 3;

	for (unsigned i = 0; commands[i]; i++) {
		distance = edit_distance(name, commands[i]->name);
		if (distance >= least)
			continue;
		least = distance;
		nearest = commands[i]->name;
	}
	if (nearest)
		return fail("no such command: \"%s\"; did you mean \"%s\"?",
			    name, nearest);
	return fail("no such command: \"%s\" (`urt help` lists them)", name);
}

static const struct command *find(const char *name)
{
	for (unsigned i = 0; commands[i]; i++)
		if (!strcmp(name, commands[i]->name))
			return commands[i];
	return NULL;
}

/* The page urt(1). */
static int manual(void)
{
	puts(".TH URT 1 \"\" \"urt\" \"User Commands\"\n.SH NAME\n"
	     "urt \\- measures context switches, system calls and io_uring operations\n"
	     ".SH SYNOPSIS\n.B urt\nCOMMAND [OPTIONS]\n.SH COMMANDS");
	for (unsigned i = 0; commands[i]; i++)
		printf(".TP\n.BR urt\\-%s (1)\n%s\n", commands[i]->name,
		       commands[i]->what);
	puts(".SH SEE ALSO\n.BR urt\\-environment (1),\n.BR uring_rt (3)");
	return 0;
}

static bool is(const char *word, const char *a, const char *b, const char *c)
{
	return !strcmp(word, a) || !strcmp(word, b) || !strcmp(word, c);
}

/* urt help [--man|--bash|--zsh|--fish] [COMMAND|environment] */
static int help(int argc, char **argv)
{
	const struct command *c;
	bool man = !strcmp(argv[0], "--man");

	if (is(argv[0], "--bash", "--zsh", "--fish")) {
		help_completion(stdout, argv[0] + 2, commands);
		return 0;
	}
	if (man && argc == 1)
		return manual();
	argv += man;
	if (!strcmp(argv[0], "environment")) {
		if (man)
			environment_man(stdout);
		else
			environment_print(stdout);
		return 0;
	}
	c = find(argv[0]);
	if (!c)
		return unknown(argv[0]);
	if (man)
		help_man(stdout, c);
	else
		help_text(stdout, c);
	return 0;
}

/* NSS's plug-ins need the system's libc, but a static program has its own. */
static void ask_no_plugins(void)
{
#ifdef URT_STATIC
	static const char *const names[] = { "passwd", "group", "initgroups",
					     "services" };

	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		__nss_configure_lookup(names[i], "files");
	__nss_configure_lookup("hosts", "files dns");
#endif
}

/*
 * A standard stream that was closed gets a descriptor that fails with EBADF, as
 * gnulib's stdopen does: otherwise the next file that urt opens would have its
 * number, and output would go into that file. The measured command still finds
 * it closed.
 */
static void keep_standard_streams_apart(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null",
			     (fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) |
				     O_CLOEXEC);
}

static int run(int argc, char **argv)
{
	const struct command *c;

	if (argc < 2)
		return usage(stderr);
	if (argc > 2 && !strcmp(argv[1], "help"))
		return help(argc - 2, argv + 2);
	if (is(argv[1], "help", "--help", "-h"))
		return usage(stdout);
	if (is(argv[1], "version", "--version", "-v")) {
		puts("urt " URT_VERSION);
		return 0;
	}
	c = find(argv[1]);
	if (c)
		return c->run(argc - 1, argv + 1);
	return unknown(argv[1]);
}

int main(int argc, char **argv)
{
	keep_standard_streams_apart();
	ask_no_plugins();
	output_begins();
	return output_end(run(argc, argv));
}
