// SPDX-License-Identifier: MIT
/*
 * The events that a measurement waits for: the command's end, signals,
 * commands, times, pages that programs send. One poll; see run.c.
 *
 * Signals to urt are passed on to the command, unless it has them already: the
 * terminal sends its own to the whole group, and so may others (aide.h). When a
 * time limit, --control or SIGTERM asks it to end the command, urt counts until
 * the command has ended; the next SIGINT or SIGTERM kills the command.
 */
#define _GNU_SOURCE
#include "session.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_NS (100 * NS_PER_MS) /* between looks at /proc, a cgroup, pages */
#define REST_NS (5 * NS_PER_MS)	  /* until all descendants have ended */

#define COMMANDS_MAX 64 /* of --control, at one time */

static const int forwarded[] = { SIGINT,  SIGQUIT, SIGTERM,  SIGHUP, SIGUSR1,
				 SIGUSR2, SIGCONT, SIGWINCH, SIGALRM };

/* SIGPIPE is only blocked, since a reader of answers may close. */
void session_signals_open(struct session *s)
{
	sigset_t set;

	sigemptyset(&set);
	for (unsigned i = 0; i < ARRAY_LEN(forwarded); i++)
		sigaddset(&set, forwarded[i]);
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	sigaddset(&set, SIGPIPE);
	sigprocmask(SIG_BLOCK, &set, &s->old_mask);
}

void session_signals_close(struct session *s)
{
	static const struct timespec now;
	sigset_t pipe;

	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	while (!sigismember(&s->old_mask, SIGPIPE) &&
	       sigtimedwait(&pipe, NULL, &now) > 0)
		;
	sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
	close(s->signal_fd);
}

/* Its end by this signal is then not a failure. */
static void end_child(struct session *s, int signal)
{
	if (!s->child_pid || s->child_ended)
		return;
	s->ending = true;
	kill(s->child_pid, signal);
}

static void on_signal(struct session *s)
{
	struct signalfd_siginfo info;
	int sig;

	if (read(s->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	sig = info.ssi_signo;
	if (sig == SIGINT || sig == SIGTERM)
		*s->stopped = true;
	if (!s->child_pid || s->child_ended) {
		s->stop |= sig != SIGWINCH && sig != SIGCONT;
	} else if (s->asked_to_end && (sig == SIGINT || sig == SIGTERM)) {
		end_child(s, SIGKILL);
	} else {
		if (info.ssi_code != SI_KERNEL &&
		    !(s->aide && aide_got_signal(s->aide, sig)))
			kill(s->child_pid, sig);
		s->asked_to_end |= sig == SIGTERM;
	}
}

static void ask_to_end(struct session *s)
{
	s->stop = !s->child_pid;
	s->asked_to_end = true;
	end_child(s, SIGTERM);
}

/* A bounded number, because commands may come faster than they are read. */
static void on_control(struct session *s)
{
	for (int i = 0; i < COMMANDS_MAX; i++) {
		enum control command =
			control_read(s->control_fd, &s->control_line);

		if (command == CONTROL_NONE)
			return;
		if (command == CONTROL_CLOSED) {
			s->control_fd = -1;
			return;
		}
		if (command == CONTROL_ENABLE)
			session_enable(s);
		else if (command == CONTROL_DISABLE)
			session_disable(s, NULL);
		else if (command == CONTROL_STOP)
			ask_to_end(s);
		control_ack(s->o->ack_fd);
	}
}

static void look_around(struct session *s)
{
	static struct look l;
	char path[64];
	struct stat st;

	for (unsigned i = 0; s->polled && i < s->o->pids; i++) {
		snprintf(path, sizeof(path), "/proc/%d", s->o->pid[i]);
		if (!(s->polled >> i & 1) || !stat(path, &st))
			continue;
		s->polled &= ~(UINT64_C(1) << i);
		s->alive--;
	}

	session_look_at_proc(s, &l);
	if (s->user_pages)
		user_pages_take(s->user_pages);
	if (s->o->cgroup && stat(s->o->cgroup, &st)) {
		fprintf(stderr, "urt: the cgroup %s is gone\n", s->o->cgroup);
		s->stop = true;
	}
}

static void on_time(struct session *s, int64_t now)
{
	if (now >= s->delay_at) {
		s->delay_at = SESSION_NEVER;
		session_enable(s);
	}
	if (now >= s->interval_at) {
		session_tell_interval(s);
		s->interval_at += s->o->interval_ns;
		s->intervals += s->enabled;
		if (s->o->interval_count &&
		    s->intervals >= s->o->interval_count) {
			s->interval_at = SESSION_NEVER;
			s->last_told = true;
			ask_to_end(s);
		}
	}
	if (now >= s->cost_at)
		session_cost_toggle(s, now);
	if (now >= s->timeout_at) {
		s->timeout_at = SESSION_NEVER;
		ask_to_end(s);
	}
	if (now >= s->by_at)
		session_find_contexts(s);
	if (now >= s->look_at) {
		s->look_at = now + LOOK_NS;
		look_around(s);
	}
}

static int64_t earliest(const struct session *s)
{
	int64_t at[] = { s->interval_at, s->delay_at, s->timeout_at,
			 s->cost_at,	 s->look_at,  s->by_at };
	int64_t first = SESSION_NEVER;

	for (unsigned i = 0; i < ARRAY_LEN(at); i++)
		if (at[i] < first)
			first = at[i];
	return first;
}

bool session_over(struct session *s)
{
	if (s->stop)
		return true;
	if (s->o->command)
		return s->child_ended &&
		       (!s->o->wait_all || counter_all_ended(s->counter));
	return s->o->pids && !s->alive;
}

void session_reap(struct session *s)
{
	while (wait4(s->child_pid, &s->status, 0, &s->usage) < 0 &&
	       errno == EINTR)
		;
	s->child_ended = true;
	close(s->pidfd[STAT_PIDS_MAX]);
	s->pidfd[STAT_PIDS_MAX] = -1;
}

static void on_process(struct session *s, int i)
{
	if (i == STAT_PIDS_MAX) {
		session_reap(s);
		return;
	}
	s->ended |= UINT64_C(1) << i;
	s->alive--;
}

enum { OF_SIGNALS = STAT_PIDS_MAX + 1, OF_CONTROL, OF_PAGES, SOURCES };

static int source_fd(const struct session *s, int i)
{
	if (i < STAT_PIDS_MAX && s->ended >> i & 1)
		return -1;
	if (i <= STAT_PIDS_MAX)
		return s->pidfd[i];
	return i == OF_SIGNALS	 ? s->signal_fd
	       : i == OF_CONTROL ? s->control_fd
				 : user_pages_fd(s->user_pages);
}

/* Only open ones, since poll takes no more than RLIMIT_NOFILE. */
static int sources(const struct session *s, struct pollfd fds[SOURCES],
		   int which[SOURCES])
{
	int n = 0;

	for (int i = 0; i < SOURCES; i++) {
		int fd = source_fd(s, i);

		if (fd < 0)
			continue;
		which[n] = i;
		fds[n++] = (struct pollfd){ fd, POLLIN, 0 };
	}
	return n;
}

void session_wait(struct session *s)
{
	struct pollfd fds[SOURCES];
	int which[SOURCES], n = sources(s, fds, which);
	int64_t now = now_ns(), at = earliest(s);
	struct timespec ts;

	if (s->child_ended && at > now + REST_NS)
		at = now + REST_NS;
	at = at > now ? at - now : 0;
	ts = (struct timespec){ at / NS_PER_S, at % NS_PER_S };
	if (ppoll(fds, n, &ts, NULL) < 0) {
		if (errno != EINTR) {
			fail("cannot wait: %s", strerror(errno));
			s->stop = true;
		}
		return;
	}
	for (int i = 0; i < n; i++) {
		if (!fds[i].revents)
			continue;
		if (which[i] <= STAT_PIDS_MAX)
			on_process(s, which[i]);
		else if (which[i] == OF_SIGNALS)
			on_signal(s);
		else if (which[i] == OF_CONTROL)
			on_control(s);
		else
			user_pages_take(s->user_pages);
	}
	on_time(s, now_ns());
}
