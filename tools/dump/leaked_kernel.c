// SPDX-License-Identifier: MIT
/*
 * Pointers that a program has given to the kernel, which gives them back with an event:
 * the data of the files in an epoll set, and the values of POSIX timers. A server may
 * keep the object of a connection there only. Both stand in /proc.
 *
 * Requests of io_uring have such a word, too, which the kernel does not show while they
 * run. Those of uring_rt belong to coroutines, which the search knows; those of another
 * ring of the program are missed.
 */
#define _GNU_SOURCE
#include "leaked_kernel.h"
#include "../lib/proc.h"
#include "../lib/tool.h"
#include "../measure/remote.h"
#include <dirent.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* The word after `before` in each line of the file. */
static bool take_lines(pid_t pid, const char *name, const char *before,
		       heap_words *f, void *arg)
{
	FILE *file = remote_file(pid, name);
	char line[256];
	bool ok = true;

	while (ok && proc_next_line(file, line, sizeof(line))) {
		const char *at = strstr(line, before);
		uint64_t word;

		if (at && sscanf(at + strlen(before), "%" SCNx64, &word) == 1)
			ok = f(&word, 1, 0, arg);
	}
	if (file)
		fclose(file);
	return ok;
}

static bool is_epoll(int directory, const char *fd)
{
	static const char is[] = "anon_inode:[eventpoll]";
	char link[sizeof(is)];

	return readlinkat(directory, fd, link, sizeof(link)) ==
		       sizeof(is) - 1 &&
	       !memcmp(link, is, sizeof(is) - 1);
}

bool leaked_kernel_words(pid_t pid, int64_t end_ns, heap_words *f, void *arg)
{
	bool ok = take_lines(pid, "timers", "/", f, arg);
	char path[64];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	d = opendir(path);
	while (d && ok && (e = readdir(d))) {
		if (!is_epoll(dirfd(d), e->d_name))
			continue;
		snprintf(path, sizeof(path), "fdinfo/%.16s", e->d_name);
		ok = now_ns() < end_ns &&
		     take_lines(pid, path, " data:", f, arg);
	}
	if (d)
		closedir(d);
	return ok;
}
