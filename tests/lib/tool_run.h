/* SPDX-License-Identifier: MIT */
/* Running the command urt in tests, and reading its output. Tests run in the build
 * directory. */
#ifndef URT_TOOL_RUN_H
#define URT_TOOL_RUN_H

#include "json.h"
#include "test.h"
#include <stdarg.h>
#include <sys/wait.h>

extern char text[1 << 20];

/* Runs a shell command, with its stdout in `text`. Returns its exit code. */
int sh(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Whether BPF can be used; if not, tests that need it skip. */
bool have_bpf(void);

#define NEED_BPF()                                                  \
	do {                                                        \
		if (!have_bpf())                                    \
			SKIP("no BPF here: `urt doctor` says why"); \
	} while (0)

/* Expects that the command fails with this exit code (refuses: 1) and prints one line,
 * which contains `says`. */
void refuses_by(int expected, const char *command, const char *says);
void refuses(const char *command, const char *says);

/* A test that counts on the whole host uses RARE_CALL, which `probe rare` makes and no
 * other test nor any usual program, and calls whole_host() first: until it ends, no
 * other such test runs here, also of another checkout. */
#define RARE_CALL "sched_rr_get_interval"
void whole_host(void);

#endif
