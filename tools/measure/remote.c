// SPDX-License-Identifier: MIT
/*
 * What the child process does that reads other processes: see remote.h, and reader.c
 * for why it is a child.
 */
#define _GNU_SOURCE
#include "remote.h"
#include "../lib/tool.h"
#include "reader.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define BUFFER	 READER_ANSWER
#define FILE_MAX (256 << 20) /* a million mappings */

/* ---- memory ---- */

struct pieces {
	size_t n, size;
	struct iovec there[REMOTE_PIECES];
};
static_assert(sizeof(struct pieces) <= READER_QUESTION, "it fits");

static ssize_t read_memory(pid_t pid, const void *question, void *answer,
			   struct reader_fds *fds)
{
	const struct pieces *p = question;
	struct iovec here = { answer, p->size };
	ssize_t got = process_vm_readv(pid, &here, 1, p->there, p->n, 0);

	return got < 0 ? -errno : got;
}

/* What remote_begin has begun. */
static struct begun {
	pid_t pid;
	struct remote_piece *p;
	size_t n;     /* 0: nothing */
	size_t some;  /* of n, in the question */
	int number;   /* of the question that waits for its answer; or -errno */
	ssize_t done; /* the pieces that are dealt with, or -errno */
} begun = { .number = -ENOENT };

/* The number for take, or -errno. */
static int ask(pid_t pid, const struct remote_piece *p, size_t n)
{
	static struct pieces pieces;

	pieces.n = n;
	pieces.size = 0;
	for (size_t i = 0; i < n; i++) {
		pieces.there[i] =
			(struct iovec){ (void *)(uintptr_t)p[i].at, p[i].size };
		pieces.size += p[i].size;
	}
	return reader_begin(pid, read_memory, &pieces,
			    offsetof(struct pieces, there[n]));
}

/* The number of pieces that were read or found missing: the kernel stops at the
 * first missing piece, after reading all before it. n is not 0. */
static ssize_t take(int number, struct remote_piece *p, size_t n)
{
	const void *answer = NULL;
	ssize_t got = number < 0 ? number : reader_end(number, &answer, NULL);
	const uint8_t *from = answer;
	size_t i;

	if (got < 0 && got != -EFAULT)
		return got;
	if (got < 0)
		got = 0;
	for (i = 0; i < n && (size_t)got >= p[i].size; i++) {
		memcpy(p[i].to, from, p[i].size);
		from += p[i].size;
		got -= p[i].size;
	}
	if (i < n)
		p[i++].size = 0;
	return i;
}

/* What was begun has its answer after this. */
static void wait_for_begun(void)
{
	if (begun.number >= 0)
		begun.done = take(begun.number, begun.p, begun.some);
	begun.number = -ENOENT;
}

static ssize_t read_some(pid_t pid, struct remote_piece *p, size_t n)
{
	wait_for_begun();
	return take(ask(pid, p, n), p, n);
}

/* Of the first pieces, as many as one call can read. */
static size_t in_one_call(const struct remote_piece *p, size_t n)
{
	size_t i = 0, size = 0;

	while (i < n && i < REMOTE_PIECES && size + p[i].size <= BUFFER)
		size += p[i++].size;
	return i;
}

int remote_read_all(pid_t pid, struct remote_piece *p, size_t n)
{
	while (n) {
		size_t some = in_one_call(p, n);
		ssize_t done = some ? read_some(pid, p, some) : -E2BIG;

		if (done < 0)
			return done;
		p += done;
		n -= done;
	}
	return 0;
}

/* Reads what did not fit in the question, or comes after a missing piece. */
static int rest_of(const struct begun *b)
{
	if (!b->n || b->done < 0)
		return b->n ? b->done : 0;
	return remote_read_all(b->pid, b->p + b->done, b->n - b->done);
}

int remote_begin(pid_t pid, struct remote_piece *p, size_t n)
{
	struct begun old = begun;

	begun = (struct begun){ .pid = pid,
				.p = p,
				.n = n,
				.some = in_one_call(p, n),
				.number = -ENOENT };
	if (begun.some)
		begun.number = ask(pid, p, begun.some);
	if (begun.number < 0 && begun.some)
		begun.done = begun.number;
	if (old.number >= 0)
		old.done = take(old.number, old.p, old.some);
	return rest_of(&old);
}

int remote_end(void)
{
	struct begun old;

	wait_for_begun();
	old = begun;
	begun.n = 0;
	return rest_of(&old);
}

bool remote_read(pid_t pid, uint64_t at, void *to, size_t size)
{
	size_t some;

	for (size_t had = 0; had < size; had += some) {
		struct remote_piece p = { at + had, (char *)to + had, 0 };

		some = size - had < BUFFER ? size - had : BUFFER;
		p.size = some;
		if (remote_read_all(pid, &p, 1) || p.size != some)
			return false;
	}
	return true;
}

/* ---- files ---- */

struct part {
	size_t size;
	off_t at;
	char name[REMOTE_NAME];
};

/* The file stays open for its next part. */
static ssize_t read_part(pid_t pid, const void *question, void *answer,
			 struct reader_fds *fds)
{
	static char open_path[96];
	static int fd = -1;
	const struct part *p = question;
	char path[96];
	ssize_t n = 0, got = 0;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, p->name);
	if (fd < 0 || !p->at || strcmp(path, open_path)) {
		if (fd >= 0)
			close(fd);
		strcpy(open_path, path);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return -errno;
	}
	while ((size_t)got < p->size &&
	       (n = pread(fd, (char *)answer + got, p->size - got,
			  p->at + got)) > 0)
		got += n;
	return got || !n ? got : -errno;
}

ssize_t remote_pread(pid_t pid, const char *name, void *to, size_t size,
		     off_t at)
{
	struct part p = { size < BUFFER ? size : BUFFER, at, "" };
	const void *answer;
	ssize_t got;

	snprintf(p.name, sizeof(p.name), "%s", name);
	got = reader_ask(pid, read_part, &p, sizeof(p), &answer, NULL);
	if (got > 0)
		memcpy(to, answer, got);
	return got;
}

bool remote_text(pid_t pid, const char *name, char *text, size_t size)
{
	ssize_t got = remote_pread(pid, name, text, size - 1, 0);

	text[got > 0 ? got : 0] = '\0';
	return got > 0;
}

FILE *remote_file(pid_t pid, const char *name)
{
	char *text = NULL, *more;
	size_t size = 0;
	ssize_t got;
	FILE *f = NULL;

	do {
		more = realloc(text, size + BUFFER);
		if (!more)
			break;
		text = more;
		got = remote_pread(pid, name, text + size, BUFFER, size);
		if (got < 0)
			goto out;
		size += got;
	} while (got == BUFFER && size < FILE_MAX);
	f = fmemopen(NULL, size + 1, "w+");
	if (f) {
		fwrite(text, 1, size, f);
		rewind(f);
	}
out:
	free(text);
	return f;
}

struct names {
	size_t n;
	char name[READER_FDS][REMOTE_NAME];
};
static_assert(sizeof(struct names) <= READER_QUESTION, "it fits");

/* The answer is which of them were opened. */
static ssize_t open_files(pid_t pid, const void *question, void *answer,
			  struct reader_fds *fds)
{
	const struct names *o = question;
	bool *opened = answer;
	char path[96];

	for (size_t i = 0; i < o->n; i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", pid, o->name[i]);
		fds->fd[fds->n] = open(path, O_PATH | O_CLOEXEC);
		opened[i] = fds->fd[fds->n] >= 0;
		fds->n += opened[i];
	}
	return 0;
}

void remote_open_all(pid_t pid, const char (*name)[REMOTE_NAME], int *fd,
		     size_t n)
{
	static struct names o;
	static struct reader_fds fds;
	const void *answer;

	for (; n; n -= o.n, name += o.n, fd += o.n) {
		bool any;
		unsigned k = 0;

		o.n = n < READER_FDS ? n : READER_FDS;
		memcpy(o.name, name, o.n * REMOTE_NAME);
		any = !reader_ask(pid, open_files, &o,
				  offsetof(struct names, name[o.n]), &answer,
				  &fds);
		for (size_t i = 0; i < o.n; i++)
			fd[i] = any && ((const bool *)answer)[i] && k < fds.n
					? fds.fd[k++]
					: -1;
	}
}

int remote_open(pid_t pid, const char *name)
{
	char one[1][REMOTE_NAME];
	int fd;

	snprintf(one[0], sizeof(one[0]), "%s", name);
	remote_open_all(pid, one, &fd, 1);
	return fd;
}

bool remote_answers(pid_t pid)
{
	char c;

	return remote_pread(pid, "stat", &c, 1, 0) != -ETIME &&
	       remote_pread(pid, "maps", &c, 1, 0) != -ETIME;
}

/* ---- whether it may be read ---- */

/* -1: this kernel has no Yama. */
static int ptrace_scope(void)
{
	FILE *f = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
	int scope = -1;

	if (f && fscanf(f, "%d", &scope) != 1)
		scope = -1;
	if (f)
		fclose(f);
	return scope;
}

const char *remote_error(int err)
{
	return err == -ETIME ? "it does not answer; it may be that of a file "
			       "system that does not"
			     : strerror(-err);
}

bool remote_allowed(pid_t pid, uint64_t address, char *why, size_t size)
{
	struct remote_piece p = { address, &(char){ 0 }, 1 };
	int err = remote_read_all(pid, &p, 1);

	if (!err)
		return true;
	if (err == -EPERM && ptrace_scope() > 0)
		snprintf(
			why, size,
			"not allowed to read the memory of %d: run as root, or "
			"let one's own processes be read by `sysctl "
			"kernel.yama.ptrace_scope=0`",
			pid);
	else if (err == -EPERM)
		snprintf(why, size,
			 "not allowed to read the memory of %d: run as its "
			 "user or as root; in a container, with CAP_SYS_PTRACE",
			 pid);
	else
		snprintf(why, size, "cannot read the memory of %d: %s", pid,
			 remote_error(err));
	return false;
}
