/* SPDX-License-Identifier: MIT */
/* Running the command urt in tests, and reading what it printed. */
#ifndef URT_TOOL_RUN_H
#define URT_TOOL_RUN_H

#include "test.h"
#include <stdarg.h>
#include <sys/wait.h>

#define UNUSED __attribute__((unused))

static UNUSED char text[1 << 20];

/* Runs a shell command; what it printed is in text. Its exit code. */
static int sh(const char *format, ...)
	__attribute__((format(printf, 1, 2), unused));

static int sh(const char *format, ...)
{
	char command[4096];
	va_list ap;
	FILE *f;
	size_t len;
	int status;

	va_start(ap, format);
	vsnprintf(command, sizeof(command), format, ap);
	va_end(ap);
	f = popen(command, "r");
	ck_assert_ptr_nonnull(f);
	len = fread(text, 1, sizeof(text) - 1, f);
	text[len] = '\0';
	status = pclose(f);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The number behind "name": in text, after the first "section":{; or -1. */
static UNUSED long long number(const char *section, const char *name)
{
	char key[64];
	const char *p = text;

	if (section) {
		snprintf(key, sizeof(key), "\"%s\":{", section);
		p = strstr(p, key);
		if (!p)
			return -1;
	}
	snprintf(key, sizeof(key), "\"%s\":", name);
	p = strstr(p, key);
	return p ? atoll(p + strlen(key)) : -1;
}

/* Whether BPF can be used: else tests that need it skip, visibly. */
static UNUSED bool have_bpf(void)
{
	static int known = -1;

	if (known < 0) {
		sh("./urt stat --json -- true 2>&1");
		known = strstr(text, "\"source\":\"bpf\"") != NULL;
	}
	return known;
}

#define NEED_BPF()                                                  \
	do {                                                        \
		if (!have_bpf())                                    \
			SKIP("no BPF here: `urt doctor` says why"); \
	} while (0)

/* One line that says what to do, and that exit code. */
static UNUSED void refuses_by(int expected, const char *command,
			      const char *says)
{
	int code = sh("%s 2>&1 >/dev/null", command);

	ck_assert_msg(code == expected, "%s: exit code %d", command, code);
	ck_assert_msg(strstr(text, says), "%s: %s", command, text);
	ck_assert_msg(strlen(text) &&
			      strchr(text, '\n') == text + strlen(text) - 1,
		      "%s: not one line: %s", command, text);
}

static UNUSED void refuses(const char *command, const char *says)
{
	refuses_by(1, command, says);
}

#endif
