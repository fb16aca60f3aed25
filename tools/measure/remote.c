// SPDX-License-Identifier: MIT
/*
 * Reading another process's memory, and asking whether its /proc answers; see
 * remote.h.
 *
 * An address there may belong to a file of a FUSE mount whose server never answers. A
 * thread that reads it sleeps in the kernel, in the worst case so that not even SIGKILL
 * ends it. So a child process reads, into memory that it shares with its
 * parent. The parent waits for a bounded time; then it leaves the child behind
 * and reads nothing more of that process. The child has none of the parent's
 * descriptors, since the reader of a pipe would wait for it. It ends when it is
 * idle for a moment, because it was forked with privileges that the parent
 * gives up in the meantime (lib/privileges.h).
 *
 * In the same way, a file system that does not answer as a process executes a program
 * (its files are closed) or unmaps a file holds a lock for ever for which reading most
 * files of /proc/PID waits, so that only SIGKILL ends the reader. Reading such files
 * in the child, too, would be a file system of our own; instead, the child takes both
 * locks before the parent reads. A process that begins to hang between the two
 * still holds the parent up. Each silent process costs time, so all together may cost
 * LOST_NS, and later a quarter of the time; then those that were not asked are left
 * out like silent ones.
 */
#define _GNU_SOURCE
#include "remote.h"
#include "../lib/launch.h"
#include "../lib/tool.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUFFER	  (1 << 20)
#define ANSWER_NS (3 * NS_PER_S)  /* pages may have to be swapped in */
#define AGAIN_NS  (60 * NS_PER_S) /* until a silent process is asked again */
#define LOST_NS	  (9 * NS_PER_S)
#define IDLE_MS	  10

/* A question and its answer, in memory of both. n 0: whether /proc answers. */
struct asked {
	pid_t pid;
	struct iovec there[REMOTE_PIECES];
	size_t n, size;
	ssize_t got; /* or -errno */
	uint8_t to[BUFFER];
};

static struct asked *asked; /* NULL: no reader was started yet */
static pid_t reader, owner; /* the child, 0: none; whose child it is */
static int bell = -1;	    /* a byte for each question, and each answer */
static int64_t first_ns, lost_ns;

/* Processes that did not answer. */
static struct silent {
	pid_t pid;
	int64_t until_ns;
} silent[64];
static unsigned silents;

/* ---- the child ---- */

/* Takes the lock of exec, and that of the mappings. */
static void take_locks(pid_t pid)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	snprintf(path, sizeof(path), "/proc/%d/map_files/0-1000", pid);
	access(path, F_OK);
}

static void read_for_parent(pid_t parent, int socket)
{
	struct pollfd p = { 3, POLLIN, 0 };
	int null = open("/dev/null", O_RDWR);
	sigset_t all;
	char c;

	launch_die_with(parent);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	socket = fcntl(socket, F_DUPFD, 3);
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	if (dup2(socket, 3) < 0)
		_exit(1);
	closefrom(4);
	while (poll(&p, 1, IDLE_MS) == 1 && read(3, &c, 1) == 1) {
		struct iovec here = { asked->to, asked->size };

		asked->got = 0;
		if (!asked->n)
			take_locks(asked->pid);
		else if ((asked->got = process_vm_readv(asked->pid, &here, 1,
							asked->there, asked->n,
							0)) < 0)
			asked->got = -errno;
		if (write(3, &c, 1) != 1)
			break;
	}
	_exit(0);
}

/* ---- its parent ---- */

static void forget_reader(void)
{
	if (owner == getpid() && reader) {
		kill(reader, SIGKILL);
		waitpid(reader, NULL, __WALL | WNOHANG);
	}
	if (bell >= 0)
		close(bell);
	reader = 0;
	bell = -1;
}

/* Its end sends no signal, because the program waits for other children. */
static int start_reader(void)
{
	pid_t parent = getpid();
	int fds[2];

	if (!asked)
		asked = mmap(NULL, sizeof(*asked), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (asked == MAP_FAILED)
		asked = NULL;
	if (!asked || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return -ENOMEM;
	reader = syscall(SYS_clone, 0, 0, 0, 0, 0);
	if (!reader)
		read_for_parent(parent, fds[1]);
	close(fds[1]);
	bell = fds[0];
	owner = parent;
	if (reader > 0)
		return 0;
	reader = 0;
	forget_reader();
	return -EAGAIN;
}

/* 1: it has answered; 0: it has ended; -ETIME. */
static int wait_for_answer(void)
{
	int64_t end = now_ns() + ANSWER_NS, left;
	char c;

	while ((left = end - now_ns()) > 0) {
		struct pollfd p = { bell, POLLIN, 0 };

		if (poll(&p, 1, left / NS_PER_MS + 1) == 1)
			return read(bell, &c, 1) == 1;
	}
	return -ETIME;
}

static bool is_silent(pid_t pid, int64_t now)
{
	for (unsigned i = 0; i < ARRAY_LEN(silent); i++)
		if (silent[i].pid == pid && now < silent[i].until_ns)
			return true;
	first_ns = first_ns ? first_ns : now;
	return lost_ns > LOST_NS + (now - first_ns) / 4;
}

/* A child that is left behind may still write there. */
static void leave_reader(pid_t pid)
{
	silent[silents++ % ARRAY_LEN(silent)] =
		(struct silent){ pid, now_ns() + AGAIN_NS };
	lost_ns += ANSWER_NS;
	forget_reader();
	munmap(asked, sizeof(*asked));
	asked = NULL;
}

static void write_question(pid_t pid, const struct remote_piece *p, size_t n)
{
	asked->pid = pid;
	asked->n = n;
	asked->size = 0;
	for (size_t i = 0; i < n; i++) {
		asked->there[i] =
			(struct iovec){ (void *)(uintptr_t)p[i].at, p[i].size };
		asked->size += p[i].size;
	}
}

/* The number of bytes now in asked->to, or -errno. */
static ssize_t ask(pid_t pid, const struct remote_piece *p, size_t n)
{
	int64_t end = now_ns() + ANSWER_NS;
	int answer = 0, err;

	if (is_silent(pid, end - ANSWER_NS))
		return -ETIME;
	do {
		if (!reader || owner != getpid()) {
			forget_reader();
			err = start_reader();
			if (err)
				return err;
		}
		write_question(pid, p, n);
		/* A child that has just ended, because it was idle, does not
		 * answer. On a busy machine, that happens more than once. */
		if (send(bell, "", 1, MSG_NOSIGNAL) == 1)
			answer = wait_for_answer();
		if (!answer)
			forget_reader();
	} while (!answer && now_ns() < end);
	if (answer == -ETIME)
		leave_reader(pid);
	return answer == 1 ? asked->got : answer ? answer : -EAGAIN;
}

/* The number of pieces that were read or found missing: the kernel stops at the
 * first missing piece, after reading all before it. n is not 0. */
static ssize_t read_some(pid_t pid, struct remote_piece *p, size_t n)
{
	ssize_t got = ask(pid, p, n);
	const uint8_t *from;
	size_t i;

	if (got < 0 && got != -EFAULT)
		return got;
	if (got < 0)
		got = 0;
	from = asked->to;
	for (i = 0; i < n && (size_t)got >= p[i].size; i++) {
		memcpy(p[i].to, from, p[i].size);
		from += p[i].size;
		got -= p[i].size;
	}
	if (i < n)
		p[i++].size = 0;
	return i;
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

bool remote_answers(pid_t pid)
{
	return ask(pid, NULL, 0) != -ETIME;
}

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
