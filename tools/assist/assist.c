// SPDX-License-Identifier: MIT
/*
 * urt assist makes the kernel tell running programs on uring_rt when one of
 * their workers goes to sleep in a blocking call, so that another thread takes
 * over at once (uring_rt/watch/told.c).
 *
 * For each run one BPF program is loaded, and the descriptor of its ring buffer
 * is sent to the process. The run's counters page names a socket in the process
 * for that; pidfd_getfd(2) takes it. The program may be hostile. Three numbers
 * of its page are used, each checked or harmless. Only the BPF program reads
 * the place where the page says that a thread keeps its worker's address, in
 * that process's own memory. The socket must be one of a pair that the process
 * made itself, so that no other process gets the descriptor. And urt writes
 * nothing else to the process, and reads only an answer of four bytes, for
 * which it waits a second at most.
 *
 * An assistance ends when the other end of the socket is closed: the run has
 * ended, or the process has.
 */
#define _GNU_SOURCE
#include "../../bpf/assist_bpf.h"
#include "../../uring_rt/base/assist.h"
#include "../../uring_rt/base/stats.h"
#include "../lib/launch.h"
#include "../lib/options.h"
#include "../lib/privileges.h"
#include "../lib/tool.h"
#include "../measure/pages.h"
#include "../measure/reader.h"
#include "../measure/remote.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUNS_MAX  64 /* each costs every switch of the machine */
#define LOOK_MS	  500
#define SOON	  20
#define SOON_MS	  5
#define ANSWER_MS 1000

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

struct run {
	pid_t pid;
	ino_t page; /* its counters page */
	int socket; /* a duplicate of the program's */
	struct urt__assist assist;
};

struct assistance {
	struct run run[RUNS_MAX];
	unsigned n, ever;
	ino_t refused; /* a page about which nothing more is printed */
	struct page_inbox *inbox;
	bool verbose;
};

static volatile sig_atomic_t stops;

static void on_signal(int sig)
{
	(void)sig;
	stops++;
}

/* ---- the offer ---- */

/* One of a pair of sockets that the process made itself. */
static bool is_its_own(int socket, pid_t pid)
{
	struct ucred who = { 0 };
	socklen_t len = sizeof(who), n = sizeof(int);
	int domain = 0, type = 0;

	return !getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &n) &&
	       domain == AF_UNIX &&
	       !getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &n) &&
	       type == SOCK_SEQPACKET &&
	       !getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &who, &len) &&
	       who.pid == pid;
}

static int send_offer(int socket, int ring)
{
	struct urt_told_offer offer = { URT_TOLD_MAGIC, URT_TOLD_RING,
					sizeof(struct urt_told) };
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec v = { &offer, sizeof(offer) };
	struct msghdr m = { .msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	struct pollfd p = { socket, POLLIN, 0 };
	int err;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &ring, sizeof(int));
	if (sendmsg(socket, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return -errno;
	if (poll(&p, 1, ANSWER_MS) <= 0)
		return -ETIMEDOUT;
	if (recv(socket, &err, sizeof(err), MSG_DONTWAIT) != sizeof(err))
		return -EPROTO;
	return err;
}

/* The required fields of the first slot of its page. NULL, or what is wrong. */
static const char *read_page(int fd, struct run *r, struct urt__assisted *whom,
			     int *socket)
{
	struct urt__stats_page head;
	struct urt__stats_slot slot;
	struct page_map map;
	const char *why = page_map(fd, 1 << 20, false, &map);

	if (why)
		return why;
	r->page = map.ino;
	why = "its run is of another version of uring_rt";
	if (map.size >= sizeof(head)) {
		memcpy(&head, map.at, sizeof(head));
		if (head.magic == URT__STATS_MAGIC &&
		    head.slot_size >= sizeof(slot) &&
		    head.counters == URT__STAT_COUNT &&
		    head.header_size <= map.size - sizeof(slot)) {
			memcpy(&slot, (char *)map.at + head.header_size,
			       sizeof(slot));
			whom->word_tls = slot.word_tls;
			*socket = slot.told_socket;
			why = slot.told_socket
				      ? NULL
				      : "its run cannot receive reports";
		}
	}
	page_unmap(&map);
	return why;
}

/* Its number in its own PID namespace, and that namespace. */
static bool find_namespace(pid_t pid, struct urt__assisted *whom)
{
	char path[64], line[256], *last = NULL;
	int ns = remote_open(pid, "ns/pid");
	struct stat st;
	FILE *f;

	if (ns < 0)
		return false;
	fstat(ns, &st);
	close(ns);
	whom->ns_dev = st.st_dev;
	whom->ns_ino = st.st_ino;
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && !last && fgets(line, sizeof(line), f))
		if (!strncmp(line, "NSpid:", 6))
			last = strrchr(line, '\t');
	if (last)
		whom->pid = atoi(last + 1);
	if (f)
		fclose(f);
	return whom->pid > 0;
}

/* May wait for the process, as reading its files in /proc does. */
static ssize_t take_descriptor(pid_t pid, const void *number, void *answer,
			       struct reader_fds *fds)
{
	int process = syscall(SYS_pidfd_open, pid, 0);

	(void)answer;
	if (process < 0) /* its first thread has exited */
		process = syscall(SYS_pidfd_open, pid, PIDFD_THREAD);
	if (process < 0)
		return -errno;
	fds->fd[0] = syscall(SYS_pidfd_getfd, process, *(const int *)number, 0);
	if (fds->fd[0] < 0)
		return -errno;
	fds->n = 1;
	return 0;
}

/* Takes the process's descriptor; -1: it is not such a socket. */
static int take_socket(pid_t pid, int number, int *err)
{
	static struct reader_fds fds;
	int fd;

	*err = reader_ask(pid, take_descriptor, &number, sizeof(number), NULL,
			  &fds);
	fd = fds.n ? fds.fd[0] : -1;
	if (fd >= 0 && !is_its_own(fd, pid)) {
		close(fd);
		fd = -1;
		*err = -EPROTO;
	}
	return fd;
}

static const char *refusal(int err)
{
	if (bpf_is_refused(err))
		return bpf_refusal();
	switch (err) {
	case -EALREADY:
		return "it already receives reports (URT_ASSIST=on)";
	case -ETIMEDOUT:
		return "it does not answer: is it stopped?";
	case -EPROTO:
		return "its run has another version, or an invalid page";
	default:
		return strerror(-err);
	}
}

/* ---- runs ---- */

static void run_close(struct run *r)
{
	urt__assist_unload(&r->assist);
	if (r->socket >= 0)
		close(r->socket);
}

static bool complain(struct assistance *a, const struct run *r, const char *why)
{
	if (a->refused != r->page)
		fail("%d cannot be assisted: %s", r->pid, why);
	a->refused = r->page;
	return false;
}

/* The run whose page that is; whether it is assisted now. */
static bool assist(struct assistance *a, pid_t pid, int fd)
{
	struct run r = { .pid = pid, .socket = -1, .assist = { -1, -1 } };
	struct urt__assisted whom = { 0 };
	int number, err;
	const char *why = read_page(fd, &r, &whom, &number);

	for (unsigned i = 0; i < a->n; i++)
		if (a->run[i].page == r.page)
			return true;
	if (!why && a->n == RUNS_MAX)
		why = "64 runs are assisted already";
	if (!why && !find_namespace(pid, &whom))
		why = "it has ended";
	if (why)
		return complain(a, &r, why);
	r.socket = take_socket(pid, number, &err);
	if (!err)
		err = urt__assist_load(&r.assist, &whom);
	if (!err)
		err = send_offer(r.socket, r.assist.ring);
	if (err) {
		run_close(&r);
		return complain(a, &r, refusal(err));
	}
	if (a->verbose)
		fprintf(stderr, "urt: assisting %d\n", pid);
	a->run[a->n++] = r;
	a->ever++;
	return true;
}

struct finding {
	struct assistance *a;
	pid_t pid;
	bool any; /* there is a page */
};

static bool found(int fd, void *arg)
{
	struct finding *f = arg;

	f->any = true;
	assist(f->a, f->pid, fd);
	return false;
}

/* Releases the runs that have ended. */
static void sweep(struct assistance *a, const struct pollfd *p)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < a->n; i++) {
		if (p[i].revents & (POLLHUP | POLLERR | POLLNVAL)) {
			if (a->verbose)
				fprintf(stderr, "urt: a run of %d has ended\n",
					a->run[i].pid);
			a->refused = a->run[i].page; /* while it closes */
			run_close(&a->run[i]);
		} else {
			a->run[kept++] = a->run[i];
		}
	}
	a->n = kept;
}

/* Waits until the process has ended, or until a signal. */
static void follow(struct assistance *a, pid_t pid, int process)
{
	struct pollfd p[RUNS_MAX + 2];
	struct finding f = { a, pid, false };
	unsigned soon = 0; /* looks: a page may follow its connection */

	while (!stops) {
		unsigned n = a->n;
		pid_t from;
		int fd;

		for (unsigned i = 0; i < n; i++)
			p[i] = (struct pollfd){ a->run[i].socket, 0, 0 };
		p[n] = (struct pollfd){ process, POLLIN, 0 };
		p[n + 1] =
			(struct pollfd){ page_inbox_fd(a->inbox), POLLIN, 0 };
		/* A run that begins later is found by a look, or sends its
		 * page. */
		poll(p, n + 2,
		     soon		? SOON_MS
		     : a->inbox || a->n ? -1
					: LOOK_MS);
		soon = p[n + 1].revents ? SOON : soon - !!soon;
		sweep(a, p);
		if (p[n].revents)
			return;
		if (!a->inbox)
			pages_each(pid, URT__STATS_NAME, found, &f, NULL);
		while (a->inbox && !stops &&
		       (fd = page_inbox_next(a->inbox, &from)) >= 0) {
			if (from)
				assist(a, from, fd);
			close(fd);
		}
	}
}

/* ---- the command ---- */

static int assist_running(struct assistance *a, pid_t pid)
{
	struct finding f = { a, pid, false };
	const char *why = NULL;
	int process = process_open(pid);

	if (process < 0)
		return EXIT_BAD;
	pages_each(pid, URT__STATS_NAME, found, &f, &why);
	if (!f.any)
		fail("no run of uring_rt is visible in process %d%s%s", pid,
		     why ? ": " : "", why ? why : "");
	if (a->n)
		follow(a, pid, process);
	close(process);
	return a->ever ? 0 : EXIT_BAD;
}

static int assist_command(struct assistance *a, char **command,
			  const struct launch_user *user)
{
	struct launch l = { 0 };
	int err, process, status = 0;

	a->inbox = page_inbox_open(URT__STATS_TO_ENV);
	if (!a->inbox)
		return fail("cannot make a socket: %s", strerror(errno));
	err = launch_command(&l, command, NULL, user, NULL);
	if (err)
		return fail("cannot start a process: %s", strerror(-err));
	process = syscall(SYS_pidfd_open, l.pid, 0);
	err = launch_go(&l);
	if (err) {
		fail("cannot run \"%s\": %s", command[0], strerror(-err));
		return launch_exit_code(err);
	}
	follow(a, l.pid, process);
	if (stops) /* it continues without us, unless it got the Ctrl-C, too */
		return 0;
	waitpid(l.pid, &status, 0);
	if (!a->ever)
		fprintf(stderr,
			"urt: the command had no run of uring_rt to assist\n");
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

static int run(struct assistance *a, long pid, char **command, const char *name)
{
	struct sigaction stop = { .sa_handler = on_signal };
	struct launch_user user;
	bool other;
	int code;

	if (!may_use_bpf())
		return fail("%s", bpf_refusal());
	if (name && !launch_user_find(name, &user))
		return EXIT_BAD;
	other = name || launch_user_find(NULL, &user);
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGHUP, &stop, NULL);
	code = command ? assist_command(a, command, other ? &user : NULL)
		       : assist_running(a, pid);
	for (unsigned i = 0; i < a->n; i++)
		run_close(&a->run[i]);
	page_inbox_close(a->inbox);
	return code;
}

struct options {
	long pid;
	const char *user;
	bool verbose;
};

#define TO(field) OPTION_TO(struct options, field)

static const struct option_row rows[] = {
	{ OPTION_PID, TO(pid), .text = "Assist this running program." },
	{ OPTION_USER, TO(user) },
	{ .letter = 'v',
	  .name = "verbose",
	  .kind = OPTION_FLAG,
	  TO(verbose),
	  .text = "Print which runs are assisted, and when they end." },
};

const struct command command_assist = {
	.name = "assist",
	.run = cmd_assist,
	.what = "report blocked threads to a program at once",
	.usage = "[OPTIONS] -p PID | -- COMMAND [ARGUMENT ...]",
	.about =
		"Loads a BPF program that reports to a program on uring_rt at once when one of its workers goes to sleep in a blocking call, a page fault or a slow file system, so that another thread takes over after some 50 us. Without that, the runtime looks for such workers itself, and other coroutines wait for 1 to 2 ms. Ends when the program ends, or at Ctrl-C.",
	.notes =
		"Needs root, or CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE. A program that has the first two needs no helper: run it with URT_ASSIST=on. `urt stat` counts the hand-offs that these reports caused.",
	OPTIONS(rows),
	.runs_command = true,
};

int cmd_assist(int argc, char **argv)
{
	static struct assistance a;
	struct options o = { 0 };
	int first = options_parse(&command_assist, argc, argv, &o);

	if (first < 0)
		return EXIT_BAD;
	a.verbose = o.verbose;
	if (!o.pid == (first == argc))
		return fail("assist: give a program by -p PID, or a command "
			    "(`urt help assist`)");
	return run(&a, o.pid, first < argc ? argv + first : NULL, o.user);
}
