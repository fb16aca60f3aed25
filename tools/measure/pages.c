// SPDX-License-Identifier: MIT
/* Finding and mapping the shared memory of other programs; see pages.h. */
#define _GNU_SOURCE
#include "pages.h"
#include "../lib/tool.h"
#include "reader.h"
#include "remote.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* The time for one process's descriptors, of which a program may have a
 * million. The first ones are always looked at, however slow the machine is. */
#define LOOK_NS	 (10 * NS_PER_MS)
#define LOOK_MIN 1024
#define BACKLOG	 4096

/* ---- what may be opened ---- */

static bool look_at(int fd, struct statx *st)
{
	/* Does not ask the daemon of a FUSE file. */
	return !statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC,
		      STATX_TYPE | STATX_SIZE | STATX_INO, st);
}

/* All memfds lie in one file system that the kernel keeps for itself. */
static bool is_memfd(const struct statx *st)
{
	static struct statx own;

	if (!own.stx_ino) {
		int fd = memfd_create("urt-own", MFD_CLOEXEC);

		if (fd < 0 || !look_at(fd, &own))
			own.stx_ino = 0;
		if (fd >= 0)
			close(fd);
	}
	return own.stx_ino && S_ISREG(st->stx_mode) &&
	       st->stx_dev_major == own.stx_dev_major &&
	       st->stx_dev_minor == own.stx_dev_minor;
}

const char *page_map(int fd, size_t max, bool writable, struct page_map *map)
{
	int prot = PROT_READ | (writable ? PROT_WRITE : 0), seals;
	struct statx st;

	*map = (struct page_map){ 0 };
	if (!look_at(fd, &st) || !is_memfd(&st))
		return "its page is not a memfd";
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		return "its page is not sealed: an older version of uring_rt";
	/* Once the memfd is sealed, its size is final. */
	if (!look_at(fd, &st) || !st.stx_size)
		return "its page is empty";
	map->size = st.stx_size < max ? st.stx_size : max;
	map->ino = st.stx_ino;
	map->at =
		mmap(NULL, map->size, prot, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (map->at != MAP_FAILED)
		return NULL;
	*map = (struct page_map){ 0 };
	return "its page cannot be mapped";
}

void page_unmap(struct page_map *map)
{
	if (map->at)
		munmap(map->at, map->size);
	*map = (struct page_map){ 0 };
}

/* ---- descriptors of a process ---- */

/* By O_PATH no file is asked to open itself. */
static int open_memfd(const char *path)
{
	int at = open(path, O_PATH | O_CLOEXEC), fd = -1;
	struct statx st;
	char own[64];

	if (at < 0)
		return -1;
	if (look_at(at, &st) && is_memfd(&st)) {
		snprintf(own, sizeof(own), "/proc/self/fd/%d", at);
		fd = open(own, O_RDWR | O_CLOEXEC | O_NONBLOCK);
		if (fd < 0)
			fd = open(own, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	}
	close(at);
	return fd;
}

static bool is_named(const char *path, const char *name)
{
	char target[300];
	size_t len = strlen(name);
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	if (n < 0)
		return false;
	target[n] = '\0';
	return !strncmp(target, "/memfd:", 7) &&
	       !strncmp(target + 7, name, len) &&
	       (!target[7 + len] || target[7 + len] == ' ');
}

/* Where names are read to, behind the answer: whether there were too many. An entry of
 * such a directory has at most 32 bytes. */
#define NAMES_AT   64
#define NAMES_SIZE (LOOK_MIN * 32)

/* The kernel's: getdents64(2). */
struct entry {
	uint64_t ino, off;
	unsigned short size;
	unsigned char type;
	char name[];
};

/* Whether the look is to go on. */
static bool look_at_names(pid_t pid, const char *names, ssize_t size,
			  const char *name, struct reader_fds *fds)
{
	char path[64];

	while (size > 0) {
		const struct entry *e = (const struct entry *)names;

		snprintf(path, sizeof(path), "/proc/%d/fd/%.20s", pid, e->name);
		if (is_named(path, name)) {
			fds->fd[fds->n] = open_memfd(path);
			fds->n += fds->fd[fds->n] >= 0;
		}
		if (fds->n == READER_FDS)
			return false;
		names += e->size;
		size -= e->size;
	}
	return true;
}

static ssize_t find_pages(pid_t pid, const void *question, void *answer,
			  struct reader_fds *fds)
{
	char *names = (char *)answer + NAMES_AT, path[64];
	int64_t end = now_ns() + LOOK_NS;
	bool *too_many = answer, looked = false;
	ssize_t size;
	int dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*too_many = false;
	while (!*too_many &&
	       (size = syscall(SYS_getdents64, dir, names, NAMES_SIZE)) > 0) {
		*too_many = (looked && now_ns() > end) ||
			    !look_at_names(pid, names, size, question, fds);
		looked = true;
	}
	close(dir);
	return 0;
}

void pages_each(pid_t pid, const char *name, bool (*found)(int fd, void *arg),
		void *arg, const char **why)
{
	static struct reader_fds fds;
	bool enough = false;
	const void *answer;
	ssize_t err = reader_ask(pid, find_pages, name, strlen(name) + 1,
				 &answer, &fds);
	bool too_many = !err && *(const bool *)answer;

	for (unsigned i = 0; i < fds.n; i++) {
		enough = enough || found(fds.fd[i], arg);
		close(fds.fd[i]);
	}
	if (why && err == -ETIME)
		*why = REMOTE_SILENT;
	else if (why && too_many && !enough)
		*why = "it has too many descriptors to look for its page";
}

/* ---- pages that programs send ---- */

#define SILENT_MAX 64

struct page_inbox {
	int fd;
	const char *variable;
	char text[80]; /* "@NAME/SECRET" */
	/* Connections that have sent nothing yet; a new one replaces the
	 * oldest. */
	struct silent {
		int fd; /* -1: none */
		pid_t pid;
	} silent[SILENT_MAX];
	unsigned oldest;
	bool stuck; /* out of descriptors: not to be polled for a while */
};

static bool listen_at(struct page_inbox *b)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	size_t n = strcspn(b->text, "/");

	memcpy(a.sun_path + 1, b->text + 1, n - 1);
	b->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
		       0);
	return b->fd >= 0 &&
	       !bind(b->fd, (struct sockaddr *)&a,
		     offsetof(struct sockaddr_un, sun_path) + n) &&
	       !listen(b->fd, BACKLOG) && !setenv(b->variable, b->text, 1);
}

struct page_inbox *page_inbox_open(const char *variable)
{
	struct page_inbox *b = calloc(1, sizeof(*b));
	uint64_t chance[3];

	if (!b)
		return NULL;
	b->variable = variable;
	b->fd = -1;
	for (unsigned i = 0; i < SILENT_MAX; i++)
		b->silent[i].fd = -1;
	if (getrandom(chance, sizeof(chance), 0) == sizeof(chance)) {
		snprintf(b->text, sizeof(b->text),
			 "@urt-%016llx/%016llx%016llx",
			 (unsigned long long)chance[0],
			 (unsigned long long)chance[1],
			 (unsigned long long)chance[2]);
		if (listen_at(b))
			return b;
	}
	page_inbox_close(b);
	return NULL;
}

int page_inbox_fd(const struct page_inbox *b)
{
	return b && !b->stuck ? b->fd : -1;
}

/* Keeps one of the received descriptors, if the text is right. */
static int take_rights(struct msghdr *m, bool right)
{
	int fd = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int one;

			memcpy(&one, CMSG_DATA(c) + i * sizeof(int),
			       sizeof(int));
			if (right && fd < 0)
				fd = one;
			else
				close(one);
		}
	}
	return fd;
}

/* The received descriptor; -1: something else came; -EAGAIN: nothing yet. */
static int receive(const struct page_inbox *b, int socket)
{
	union {
		char bytes[CMSG_SPACE(4 * sizeof(int))];
		struct cmsghdr align;
	} control;
	char text[sizeof(b->text)];
	struct iovec v = { text, sizeof(text) };
	struct msghdr m = { .msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_control = control.bytes,
			    .msg_controllen = sizeof(control.bytes) };
	ssize_t n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN ? -EAGAIN : -1;
	return take_rights(&m, n == (ssize_t)strlen(b->text) &&
				       !memcmp(text, b->text, n));
}

static void keep_silent(struct page_inbox *b, int socket, pid_t pid)
{
	struct silent *s = &b->silent[b->oldest++ % SILENT_MAX];

	if (s->fd >= 0)
		close(s->fd);
	*s = (struct silent){ socket, pid };
}

/* A connection can be seen before the message that follows it. */
static int next_of_silent(struct page_inbox *b, pid_t *from)
{
	for (unsigned i = 0; i < SILENT_MAX; i++) {
		struct silent *s = &b->silent[i];
		int fd = s->fd < 0 ? -EAGAIN : receive(b, s->fd);

		if (fd == -EAGAIN)
			continue;
		*from = s->pid;
		close(s->fd);
		s->fd = -1;
		if (fd >= 0)
			return fd;
	}
	return -1;
}

int page_inbox_next(struct page_inbox *b, pid_t *from)
{
	struct ucred who = { 0 };
	socklen_t len = sizeof(who);
	int fd = b ? next_of_silent(b, from) : -1;

	/* Bounded: any process can connect, and any number of times. */
	for (int i = 0; b && fd < 0 && i < BACKLOG; i++) {
		int s = accept4(b->fd, NULL, NULL, SOCK_CLOEXEC);

		b->stuck = s < 0 && errno != EAGAIN;
		if (s < 0)
			break;
		if (getsockopt(s, SOL_SOCKET, SO_PEERCRED, &who, &len))
			who.pid = 0;
		*from = who.pid;
		fd = receive(b, s);
		if (fd == -EAGAIN)
			keep_silent(b, s, who.pid);
		else
			close(s);
	}
	return fd < 0 ? -1 : fd;
}

void page_inbox_close(struct page_inbox *b)
{
	if (!b)
		return;
	unsetenv(b->variable);
	for (unsigned i = 0; i < SILENT_MAX; i++)
		if (b->silent[i].fd >= 0)
			close(b->silent[i].fd);
	if (b->fd >= 0)
		close(b->fd);
	free(b);
}
