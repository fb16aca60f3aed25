// SPDX-License-Identifier: MIT
/* Unpacking and building the peers; see peers.h. */
#define _GNU_SOURCE
#include "peers.h"
#include "../../lib/tool.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* FNV-1a, 64 bits (Fowler, Noll, Vo). */
static uint64_t hash(const char *p, const char *end)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	while (p < end)
		h = (h ^ (unsigned char)*p++) * UINT64_C(0x100000001b3);
	return h;
}

/* $XDG_CACHE_HOME/urt or ~/.cache/urt, made if need be. */
static bool cache_dir(char *buf, size_t size)
{
	const char *base = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");
	struct stat st;

	if (base && *base)
		snprintf(buf, size, "%s", base);
	else
		snprintf(buf, size, "%s/.cache", home && *home ? home : "/tmp");
	mkdir(buf, 0700);
	strncat(buf, "/urt", size - strlen(buf) - 1);
	if (!mkdir(buf, 0700))
		return true;
	/* What lies there will be run: nobody else may have put it there. */
	return errno == EEXIST && !lstat(buf, &st) && S_ISDIR(st.st_mode) &&
	       st.st_uid == geteuid() && !(st.st_mode & 022);
}

char *peer_file(const char *name, const char *text, const char *end)
{
	char dir[512], tmp[600], *path;
	FILE *f;

	if (!cache_dir(dir, sizeof(dir))) {
		fail("%s cannot be made, or is not ours alone: remove it or "
		     "set XDG_CACHE_HOME",
		     dir);
		return NULL;
	}
	if (asprintf(&path, "%s/%016llx-%s", dir,
		     (unsigned long long)hash(text, end), name) < 0)
		return NULL;
	if (!access(path, R_OK))
		return path;
	snprintf(tmp, sizeof(tmp), "%s.%d", path, getpid());
	f = fopen(tmp, "we");
	if (!f || fwrite(text, 1, end - text, f) != (size_t)(end - text) ||
	    fclose(f) || rename(tmp, path)) {
		fail("cannot write %s: %s", tmp, strerror(errno));
		free(path);
		return NULL;
	}
	return path;
}

int peer_has(const char *command)
{
	char buf[128];

	snprintf(buf, sizeof(buf), "command -v %s >/dev/null 2>&1", command);
	return !system(buf);
}

char *peer_go_program(const char *name, const char *text, const char *end)
{
	char *source = peer_file(name, text, end);
	char *program = NULL, command[1600];

	if (!source ||
	    asprintf(&program, "%.*s", (int)strlen(source) - 3, source) < 0)
		goto out;
	if (!access(program, X_OK))
		goto out;
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "building the Go peer %s (once) ...\r", name);
	snprintf(command, sizeof(command),
		 "cd /tmp && GO111MODULE=off GOFLAGS= GOTOOLCHAIN=local "
		 "HOME=${HOME:-/tmp} go build -o '%s.tmp' '%s' >&2 && "
		 "mv '%s.tmp' '%s'",
		 program, source, program, program);
	if (system(command)) {
		fail("Go could not build %s", source);
		free(program);
		program = NULL;
	}
out:
	free(source);
	return program;
}

void peer_version(const char *command, char *buf, size_t size)
{
	FILE *f = popen(command, "re");

	buf[0] = '\0';
	if (!f)
		return;
	if (!fgets(buf, size, f))
		buf[0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	pclose(f);
}
