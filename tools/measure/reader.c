// SPDX-License-Identifier: MIT
/*
 * The child process that does what may hang; see reader.h.
 *
 * An address of another process may belong to a file of a FUSE mount whose server never
 * answers. As a process executes a program (its files are closed) or replaces a
 * mapping, such a file system also holds a lock for ever for which reading most of
 * /proc/PID waits: its mappings, descriptors, `stat`, `exe`. A thread that waits so
 * sleeps in the kernel until SIGKILL, in the worst case longer. To ask first whether the
 * process answers would not help: it may begin to hang just then. So a child process
 * does it all, in memory that it shares with its parent. The parent waits for a bounded
 * time; then it leaves the child behind and asks nothing more about that process.
 *
 * The child has none of the parent's descriptors, since the reader of a pipe would wait
 * for it. It ends when it is idle for a moment, because it was forked with privileges
 * that the parent gives up in the meantime (lib/privileges.h).
 *
 * A question may be under way while another one is asked. Each has its own memory and its
 * own child, so two CPUs work.
 *
 * Each silent process costs time, so all together may cost LOST_NS, and later a quarter
 * of the time; then those that were not asked are left out like silent ones.
 */
#define _GNU_SOURCE
#include "reader.h"
#include "../lib/launch.h"
#include "../lib/tool.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_NS (3 * NS_PER_S)  /* pages may have to be swapped in */
#define AGAIN_NS  (60 * NS_PER_S) /* until a silent process is asked again */
#define LOST_NS	  (9 * NS_PER_S)
#define IDLE_MS	  10

/* A question and its answer, in memory of both. */
struct asked {
	pid_t pid;
	reader_job *job;
	ssize_t got; /* what the job returned */
	uint8_t question[READER_QUESTION];
	uint8_t answer[READER_ANSWER];
};

static struct asked *asked; /* two; NULL: nothing was asked yet */
static int64_t first_ns, lost_ns;

/* The child for each. */
static struct reader {
	pid_t pid, owner; /* 0: there is none; whose child it is */
	int bell;	  /* a byte for each question, and each answer */
	bool asked;	  /* a question that has no answer yet */
} readers[2];

/* Processes that did not answer. */
static struct silent {
	pid_t pid;
	int64_t until_ns;
} silent[64];
static unsigned silents;

/* ---- the bell ---- */

union rights {
	char bytes[CMSG_SPACE(READER_FDS * sizeof(int))];
	struct cmsghdr align;
};

/* A byte and descriptors, which are closed here. */
static bool ring(int socket, struct reader_fds *fds)
{
	union rights r;
	struct iovec v = { "", 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	size_t size = fds->n * sizeof(int);
	bool rung;

	if (fds->n) {
		m.msg_control = r.bytes;
		m.msg_controllen = CMSG_SPACE(size);
		r.align = (struct cmsghdr){ .cmsg_len = CMSG_LEN(size),
					    .cmsg_level = SOL_SOCKET,
					    .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&r.align), fds->fd, size);
	}
	rung = sendmsg(socket, &m, MSG_NOSIGNAL) == 1;
	while (fds->n)
		close(fds->fd[--fds->n]);
	return rung;
}

/* 1: it rang; 0: the other end is closed. */
static int hear(int socket, struct reader_fds *fds)
{
	union rights r;
	char c;
	struct iovec v = { &c, 1 };
	struct msghdr m = { .msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_control = r.bytes,
			    .msg_controllen = sizeof(r.bytes) };
	int rang = recvmsg(socket, &m, MSG_CMSG_CLOEXEC) == 1;
	struct cmsghdr *h = rang ? CMSG_FIRSTHDR(&m) : NULL;

	fds->n = 0;
	if (h && h->cmsg_type == SCM_RIGHTS) {
		fds->n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds->fd, CMSG_DATA(h), fds->n * sizeof(int));
	}
	return rang;
}

static bool has_memory(pid_t tid)
{
	char path[64], c;

	snprintf(path, sizeof(path), "/proc/%d/exe", tid);
	return readlink(path, &c, 1) >= 0 || errno != ENOENT;
}

/*
 * The thread to ask. A process's first thread may exit before the others; /proc/PID then
 * has no descriptors and no memory. All threads share those, and /proc/TID has them.
 */
static pid_t thread_of(pid_t pid)
{
	static pid_t asked_for, thread;
	struct dirent *e;
	char path[64];
	DIR *d;

	if (pid == asked_for)
		return thread;
	asked_for = thread = pid;
	if (has_memory(pid))
		return pid;
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d && thread == pid && (e = readdir(d)))
		if (atoi(e->d_name) && has_memory(atoi(e->d_name)))
			thread = atoi(e->d_name);
	if (d)
		closedir(d);
	return thread;
}

/* ---- the child ---- */

static void work(pid_t parent, struct asked *a, int socket)
{
	struct pollfd p = { 3, POLLIN, 0 };
	int null = open("/dev/null", O_RDWR);
	struct reader_fds fds;
	sigset_t all;

	launch_die_with(parent);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	socket = fcntl(socket, F_DUPFD, 3);
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	if (dup2(socket, 3) < 0)
		_exit(1);
	closefrom(4);
	while (poll(&p, 1, IDLE_MS) == 1 && hear(3, &fds)) {
		a->got =
			a->job(thread_of(a->pid), a->question, a->answer, &fds);
		if (!ring(3, &fds))
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
		work(r->owner, &asked[number], fds[1]);
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
static void leave_readers(pid_t pid)
{
	silent[silents++ % ARRAY_LEN(silent)] =
		(struct silent){ pid, now_ns() + AGAIN_NS };
	lost_ns += ANSWER_NS;
	for (unsigned i = 0; i < ARRAY_LEN(readers); i++) {
		forget_reader(&readers[i]);
		readers[i].asked = false;
	}
	munmap(asked, 2 * sizeof(*asked));
	asked = NULL;
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
static int wait_for_answer(const struct reader *r, int64_t end,
			   struct reader_fds *fds)
{
	int64_t left;

	while ((left = end - now_ns()) > 0) {
		struct pollfd p = { r->bell, POLLIN, 0 };

		if (poll(&p, 1, left / NS_PER_MS + 1) == 1)
			return hear(r->bell, fds);
	}
	return -ETIME;
}

int reader_begin(pid_t pid, reader_job *job, const void *question, size_t size)
{
	unsigned number = readers[0].asked;
	struct asked *a;
	int err;

	if (is_silent(pid, now_ns()))
		return -ETIME;
	if (!asked)
		asked = mmap(NULL, 2 * sizeof(*asked), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (asked == MAP_FAILED) {
		asked = NULL;
		return -ENOMEM;
	}
	a = &asked[number];
	a->pid = pid;
	a->job = job;
	memcpy(a->question, question, size);
	err = send_question(number);
	readers[number].asked = !err;
	return err ? err : (int)number;
}

/* A child that ended before it found the question does not answer; on a busy machine,
 * that happens more than once. */
ssize_t reader_end(unsigned number, const void **answer, struct reader_fds *fds)
{
	int64_t end = now_ns() + ANSWER_NS;
	struct reader *r = &readers[number];
	struct reader_fds none;
	int answers, err;

	fds = fds ? fds : &none;
	fds->n = 0;
	if (!r->asked)
		return -ETIME; /* both were left */
	while (!(answers = wait_for_answer(r, end, fds))) {
		forget_reader(r);
		err = now_ns() < end ? send_question(number) : -EAGAIN;
		if (err) {
			r->asked = false;
			return err;
		}
	}
	r->asked = false;
	if (answers == 1) {
		if (answer)
			*answer = asked[number].answer;
		return asked[number].got;
	}
	leave_readers(asked[number].pid);
	return -ETIME;
}

ssize_t reader_ask(pid_t pid, reader_job *job, const void *question,
		   size_t size, const void **answer, struct reader_fds *fds)
{
	int number = reader_begin(pid, job, question, size);

	if (number >= 0)
		return reader_end(number, answer, fds);
	if (fds)
		fds->n = 0;
	return number;
}
