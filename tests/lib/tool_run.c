// SPDX-License-Identifier: MIT
/* Running the command urt; see tool_run.h. */
#include "tool_run.h"
#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

char text[1 << 20];

/* Runs a shell command, with its output in text. Returns its exit code. */
int sh(const char *format, ...) __attribute__((format(printf, 1, 2), unused));

int sh(const char *format, ...)
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

/* Each test is a process of its own, so the result of the first is kept for the
 * others. */
static enum { UNKNOWN, ABSENT, PRESENT } * bpf;

static __attribute__((constructor)) void share(void)
{
	bpf = mmap(NULL, sizeof(*bpf), PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (bpf == MAP_FAILED)
		abort();
}

bool have_bpf(void)
{
	if (*bpf == UNKNOWN) {
		sh("./urt stat --json -- true 2>&1");
		*bpf = strstr(text, "\"source\":\"bpf\"") ? PRESENT : ABSENT;
	}
	return *bpf == PRESENT;
}

/* A name of a socket has one owner, and is free when that process ends. */
void whole_host(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	socklen_t len = offsetof(struct sockaddr_un, sun_path) +
			sprintf(name.sun_path + 1, "urt-tests-host") + 1;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	while (bind(fd, (void *)&name, len)) {
		ck_assert_int_eq(errno, EADDRINUSE);
		usleep(2000);
	}
}

void refuses_by(int expected, const char *command, const char *says)
{
	int code = sh("%s 2>&1 >/dev/null", command);

	ck_assert_msg(code == expected, "%s: exit code %d", command, code);
	ck_assert_msg(strstr(text, says), "%s: %s", command, text);
	ck_assert_msg(strlen(text) &&
			      strchr(text, '\n') == text + strlen(text) - 1,
		      "%s: not one line: %s", command, text);
}

void refuses(const char *command, const char *says)
{
	refuses_by(1, command, says);
}
