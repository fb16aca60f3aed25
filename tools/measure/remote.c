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
 * One question may be under way while the caller deals with the answer of the one before
 * (remote_begin), and for a moment both are. Each has its own memory and its own child, so
 * two CPUs read. Any other question waits for the one that is under way.
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

static struct asked *asked; /* two; NULL: nothing was asked yet */
static int64_t first_ns, lost_ns;

/* The child for each. */
static struct reader {
	pid_t pid, owner; /* 0: there is none; whose child it is */
	int bell;	  /* a byte for each question, and each answer */
} readers[2];

/* What remote_begin has begun. */
static struct begun {
	pid_t pid;
	struct remote_piece *p;
	size_t n;	 /* 0: nothing */
	size_t some;	 /* of n, in the question */
	unsigned number; /* of the question */
	bool waits;	 /* for its answer */
	ssize_t done;	 /* the pieces that are dealt with, or -errno */
} begun;

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

static void read_for_parent(pid_t parent, struct asked *a, int socket)
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
		struct iovec here = { a->to, a->size };

		a->got = 0;
		if (!a->n)
			take_locks(a->pid);
		else if ((a->got = process_vm_readv(a->pid, &here, 1, a->there,
						    a->n, 0)) < 0)
			a->got = -errno;
		if (write(3, &c, 1) != 1)
			break;
	}
	_exit(0);
}

/* ---- its parent ---- */

static void forget_reader(struct reader *r)
{
	if (!r->pid)
		return;
	if (r->owner == getpid()) {
		kill(r->pid, SIGKILL);
		waitpid(r->pid, NULL, __WALL | WNOHANG);
	}
	close(r->bell);
	r->pid = 0;
}

/* Its end sends no signal, because the program waits for other children. */
static int start_reader(unsigned number)
{
	struct reader *r = &readers[number];
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return -ENOMEM;
	r->owner = getpid();
	r->bell = fds[0];
	r->pid = syscall(SYS_clone, 0, 0, 0, 0, 0);
	if (!r->pid)
		read_for_parent(r->owner, &asked[number], fds[1]);
	close(fds[1]);
	if (r->pid > 0)
		return 0;
	close(fds[0]);
	r->pid = 0;
	return -EAGAIN;
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
	forget_reader(&readers[0]);
	forget_reader(&readers[1]);
	munmap(asked, 2 * sizeof(*asked));
	asked = NULL;
}

static int write_question(unsigned number, pid_t pid,
			  const struct remote_piece *p, size_t n)
{
	struct asked *a;

	if (!asked)
		asked = mmap(NULL, 2 * sizeof(*asked), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (asked == MAP_FAILED) {
		asked = NULL;
		return -ENOMEM;
	}
	a = &asked[number];
	a->pid = pid;
	a->n = n;
	a->size = 0;
	for (size_t i = 0; i < n; i++) {
		a->there[i] =
			(struct iovec){ (void *)(uintptr_t)p[i].at, p[i].size };
		a->size += p[i].size;
	}
	return 0;
}

/* A child that has just ended, because it was idle, is replaced. */
static int send_question(unsigned number)
{
	struct reader *r = &readers[number];
	int err = 0;

	while (!err) {
		if (r->pid && r->owner == getpid() &&
		    send(r->bell, "", 1, MSG_NOSIGNAL) == 1)
			return 0;
		forget_reader(r);
		err = start_reader(number);
	}
	return err;
}

/* 1: it has answered; 0: it has ended; -ETIME. */
static int wait_for_answer(const struct reader *r, int64_t end)
{
	int64_t left;
	char c;

	while ((left = end - now_ns()) > 0) {
		struct pollfd p = { r->bell, POLLIN, 0 };

		if (poll(&p, 1, left / NS_PER_MS + 1) == 1)
			return read(r->bell, &c, 1) == 1;
	}
	return -ETIME;
}

/* The number of bytes now in asked[number].to, or -errno. A child that ended before it
 * found the question does not answer; on a busy machine, that happens more than once. */
static ssize_t answer_of(unsigned number, pid_t pid)
{
	int64_t end = now_ns() + ANSWER_NS;
	int answer, err;

	while (!(answer = wait_for_answer(&readers[number], end))) {
		forget_reader(&readers[number]);
		err = now_ns() < end ? send_question(number) : -EAGAIN;
		if (err)
			return err;
	}
	if (answer == 1)
		return asked[number].got;
	leave_reader(pid);
	begun.waits = false;
	return answer;
}

/* The number of pieces that were read or found missing: the kernel stops at the
 * first missing piece, after reading all before it. n is not 0. */
static ssize_t take(unsigned number, ssize_t got, struct remote_piece *p,
		    size_t n)
{
	const uint8_t *from;
	size_t i;

	if (got < 0 && got != -EFAULT)
		return got;
	if (got < 0)
		got = 0;
	from = asked[number].to;
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
	ssize_t got;

	if (!begun.waits)
		return;
	got = answer_of(begun.number, begun.pid);
	begun.waits = false;
	begun.done = take(begun.number, got, begun.p, begun.some);
}

/* The number of bytes in asked[*number].to, or -errno. */
static ssize_t ask(pid_t pid, const struct remote_piece *p, size_t n,
		   unsigned *number)
{
	int err;

	wait_for_begun();
	*number = !begun.number;
	if (is_silent(pid, now_ns()))
		return -ETIME;
	err = write_question(*number, pid, p, n);
	if (!err)
		err = send_question(*number);
	return err ? err : answer_of(*number, pid);
}

static ssize_t read_some(pid_t pid, struct remote_piece *p, size_t n)
{
	unsigned number;
	ssize_t got = ask(pid, p, n, &number);

	return take(number, got, p, n);
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
	ssize_t got = old.done;
	int err;

	begun = (struct begun){ .pid = pid,
				.p = p,
				.n = n,
				.some = in_one_call(p, n),
				.number = !old.number };
	err = is_silent(pid, now_ns())
		      ? -ETIME
		      : write_question(begun.number, pid, p, begun.some);
	if (!err && begun.some)
		err = send_question(begun.number);
	begun.waits = !err && begun.some;
	begun.done = err;
	if (old.waits) {
		got = answer_of(old.number, old.pid);
		begun.done = got == -ETIME ? got : begun.done;
		old.done = take(old.number, got, old.p, old.some);
	}
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

bool remote_answers(pid_t pid)
{
	unsigned number;

	return ask(pid, NULL, 0, &number) != -ETIME;
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
