// SPDX-License-Identifier: MIT
/*
 * The screen of `urt top`: full, on the terminal's other page, and drawn in one
 * write. Lines are cut at the terminal's width, since one that wraps moves all
 * below it. A key or a new size redraws the last counts; only the clock and the
 * space bar count anew, since rates over a moment mean nothing.
 *
 * However the program ends (q, Ctrl-C, a signal, a lost terminal), it restores
 * the terminal; it does so, too, while stopped by Ctrl-Z.
 */
#define _GNU_SOURCE
#include "../lib/tool.h"
#include "../lib/text.h"
#include "top.h"
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define WIDTH_MAX 256

static struct termios before;

/* ---- lines ---- */

struct frame {
	unsigned width, height, lines;
	bool batch;
};

static void line(struct frame *f, const char *look, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* look: an escape sequence, or "". */
static void line(struct frame *f, const char *look, const char *format, ...)
{
	char text[WIDTH_MAX + 1];
	va_list ap;

	if (f->lines == f->height)
		return;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	text_clean(text); /* a process may call itself anything */
	if (f->batch)
		puts(text);
	else
		printf("%s%s%.*s\033[m\033[K", f->lines ? "\r\n" : "", look,
		       (int)f->width, text);
	f->lines++;
}

static const char *number(double n, char buf[32])
{
	if (n < 0)
		return "n/a";
	snprintf(buf, 32, "%.0f", n);
	return buf;
}

static void row_line(struct frame *f, const struct top *t, const struct row *r)
{
	char of[320], user[32], wait[32], handoffs[32];
	const char *group;

	if (t->cgroups) {
		group = cgroups_label(t->cgroups, r->cgroup);
		snprintf(of, sizeof(of), "%-40s", group ? group : "(removed)");
	} else if (t->by == TOP_THREADS) {
		snprintf(of, sizeof(of), "%8u %8u %-16s", r->pid, r->tid,
			 r->name);
	} else {
		snprintf(of, sizeof(of), "%8u %-16s", r->pid, r->name);
	}
	line(f, "", "%s %11.0f %11.0f %11.0f %11s %9s %7.1f %11s", of,
	     r->per_s[SWITCHES], r->per_s[SYSCALLS], r->per_s[URING],
	     number(r->per_s[USER], user), number(r->wait_us, wait),
	     r->per_s[CPU], number(r->per_s[HANDOFFS], handoffs));
}

static void title_line(struct frame *f, const struct top *t)
{
	static const char *const rows[] = { "processes", "threads", "cgroups",
					    "units" };
	time_t now = time(NULL);
	struct tm tm;
	char clock[16];

	strftime(clock, sizeof(clock), "%T", localtime_r(&now, &tm));
	line(f, "",
	     "urt top %s, sorted by %s (s c u w p h), %s (t g), %lld ms, q quits",
	     clock, top_column_names[t->sort], rows[t->by],
	     (long long)(t->delay_ns / NS_PER_MS));
}

static void draw_counts(struct frame *f, const struct top *t)
{
	static const char *const of[] = {
		"     pid name            ",
		"     pid      tid name            ",
		"cgroup                                  ",
		"unit                                    ",
	};

	line(f, "\033[7m", "%s %11s %11s %11s %11s %9s %7s %11s", of[t->by],
	     "switches/s", "syscalls/s", "uring/s", "user sw/s", "p99 us",
	     "CPU %", "handoffs/s");
	if (t->lost)
		line(f, "", "LOST: %llu events", (unsigned long long)t->lost);
	for (unsigned i = 0; i < t->rows; i++)
		row_line(f, t, &t->row[i]);
}

static void draw(const struct top *t)
{
	struct frame f = { .height = -1, .batch = t->batch };
	struct winsize w;

	if (!t->batch) {
		if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) || !w.ws_row)
			w = (struct winsize){ .ws_row = 24, .ws_col = 80 };
		f.height = w.ws_row;
		f.width = w.ws_col;
		fputs("\033[H", stdout);
		if (!t->coros)
			title_line(&f, t);
	}
	for (unsigned i = 0; i < t->lines; i++)
		line(&f, i == 1 ? "\033[7m" : "", "%s", t->line[i]);
	if (!t->coros)
		draw_counts(&f, t);
	fputs(t->batch ? "\n" : "\033[J", stdout);
	fflush(stdout);
}

/* ---- the terminal ---- */

static void screen_enter(void)
{
	struct termios raw;

	tcgetattr(STDIN_FILENO, &before);
	raw = before;
	raw.c_lflag &= ~(ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
	fputs("\033[?1049h\033[?25l\033[H\033[J", stdout);
}

static void screen_leave(void)
{
	tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
	fputs("\033[m\033[?25h\033[?1049l", stdout);
	fflush(stdout);
}

/* ---- keys and signals ---- */

enum action { NOTHING, REDRAW, RECOUNT, QUIT };

static enum action key(struct top *t)
{
	static const char keys[] = "scuwph";
	const char *at;
	char c;

	if (read(STDIN_FILENO, &c, 1) != 1 || c == 'q')
		return QUIT;
	at = t->coros ? NULL : strchr(keys, c);
	if (at && *at) {
		t->sort = at - keys;
		top_sort(t);
		return REDRAW;
	}
	if (c == 't')
		top_by(t, t->by == TOP_THREADS ? TOP_PROCESSES : TOP_THREADS);
	else if (c == 'g')
		top_by(t, t->cgroups ? TOP_PROCESSES : TOP_CGROUPS);
	return c == 't' || c == 'g' || c == ' ' ? RECOUNT : NOTHING;
}

static enum action signalled(int fd, bool batch)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != sizeof(info) ||
	    (info.ssi_signo != SIGWINCH && info.ssi_signo != SIGTSTP))
		return QUIT;
	if (info.ssi_signo == SIGTSTP) {
		if (!batch)
			screen_leave();
		kill(getpid(), SIGSTOP);
		if (!batch)
			screen_enter();
	}
	return REDRAW;
}

/* Waits until something happens; NOTHING: the time has come. */
static enum action wait_until(struct top *t, int signals, int64_t when_ns)
{
	struct pollfd fds[] = { { signals, POLLIN, 0 },
				{ t->batch ? -1 : STDIN_FILENO, POLLIN, 0 } };
	enum action a = NOTHING;
	int64_t left;

	while (!a && (left = when_ns - now_ns()) > 0) {
		if (poll(fds, 2, left / NS_PER_MS + 1) <= 0)
			continue;
		if (fds[0].revents)
			a = signalled(signals, t->batch);
		else if (fds[1].revents)
			a = key(t);
	}
	return a;
}

static void run(struct top *t, int signals)
{
	int64_t next = now_ns() + t->delay_ns;

	for (long round = 0;
	     (!t->rounds || round < t->rounds) && !ferror(stdout);) {
		enum action a = wait_until(t, signals, next);

		if (a == QUIT)
			return;
		if (a != REDRAW && t->coros && !top_coros_refresh(t))
			return;
		if (a != REDRAW && !t->coros)
			top_refresh(t);
		draw(t);
		if (a != NOTHING)
			continue;
		round++;
		next += t->delay_ns;
		if (next < now_ns()) /* the program was stopped, or the machine
					slept */
			next = now_ns() + t->delay_ns;
	}
}

static int signals_open(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGTSTP);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

void top_show(struct top *t)
{
	static char buf[1 << 16];
	int signals = signals_open();

	setvbuf(stdout, buf, _IOFBF, sizeof(buf));
	if (!t->batch) {
		screen_enter();
		draw(t);
	}
	run(t, signals);
	if (!t->batch)
		screen_leave();
	close(signals);
}
