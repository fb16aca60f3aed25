/*
 * An HTTP server that is replaced while it runs, and no request is lost.
 *
 *	cc restart.c $(pkg-config --cflags --libs uring_rt) -o restart
 *	./restart :8080 10 &
 *	kill -HUP $!               the program that is at this path now takes over
 *	kill $!                    ends, when requests that have begun are answered
 *
 * The listening socket is handed over, so that connections that wait in it are not
 * lost, as they are where each process listens for itself (SO_REUSEPORT). The new
 * process says by SIGTERM that it serves; until then, and if it never does, the old one
 * continues. Then the old one accepts no more, tells each connection with its next
 * answer that it is the last one, and closes those that are still there after some
 * seconds (10).
 *
 * Under systemd the socket can be systemd's: it comes as descriptor 3 (LISTEN_FDS), and
 * stays open while the service restarts.
 */
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <urt.h>
#define SECONDS(n) ((n)*INT64_C(1000000000))

static struct urt_scope connections;
static struct urt_waitgroup open_ones = URT_WAITGROUP_INIT;
static int listener;
static _Atomic bool draining;
static double patience = 10;

static int serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	struct urt_stream *s = urt_stream_new(fd, 0);
	bool last = !s;
	char *line;

	/* A new connection may have its request already: so read first. */
	while (!last && urt_stream_read_line(s, &line, NULL,
					     urt_after(SECONDS(60))) == 1) {
		if (*line) /* of the request's head */
			continue;
		last = draining;
		urt_stream_printf(s, urt_after(SECONDS(10)),
				  "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n"
				  "%s\r\n%10d\n",
				  last ? "Connection: close\r\n" : "",
				  (int)getpid());
		if (urt_stream_flush(s, urt_after(SECONDS(10))))
			last = true;
	}
	urt_stream_free(s);
	urt_linger(fd, urt_after(SECONDS(1))); /* so the last answer arrives */
	urt_close(fd);
	urt_waitgroup_done(&open_ones);
	return 0;
}

/* Not urt_serve, which ends by shutdown(2): that would end the socket for all. */
static int accept_all(void *arg)
{
	int fd;

	while ((fd = urt_accept(listener, NULL, NULL, SOCK_CLOEXEC,
				URT_NEVER)) != -ECANCELED) {
		urt_waitgroup_add(&open_ones, 1);
		if (fd >= 0 &&
		    !urt_scope_go(&connections, serve, (void *)(intptr_t)fd))
			continue;
		urt_waitgroup_done(&open_ones);
		urt_close(fd);
		urt_sleep(SECONDS(1) / 100); /* something is short */
	}
	return 0;
}

/* Starts the program anew, with the listener as its standard input. */
static void replace(char **argv, struct urt_process *next)
{
	struct urt_command c = { .argv = (const char *const *)argv,
				 .in = listener };
	char pid[16];
	int err;

	if (urt_process_wait(next, 0) == -ETIME)
		return;		 /* there is one that does not serve yet */
	urt_process_close(next); /* it has failed */
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("REPLACES", pid, 1);
	err = urt_process_start(next, &c);
	if (err)
		warnx("%s: %s", argv[0], strerror(-err));
}

/* From the process that is replaced, from systemd, or a new one. */
static int find_listener(const char *address)
{
	const char *fds = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");

	if (getenv("REPLACES"))
		return fcntl(0, F_DUPFD_CLOEXEC, 3);
	if (fds && pid && atoi(fds) == 1 && atoi(pid) == getpid())
		return fcntl(3, F_DUPFD_CLOEXEC, 3);
	return urt_listen(address, URT_NEVER);
}

static void first(void *arg)
{
	char **argv = arg, *old = getenv("REPLACES");
	int signals = urt_signal_open(SIGINT, SIGTERM, SIGHUP, 0);
	struct urt_process next = { .pidfd = -1 };
	struct urt_scope accepting;

	listener = find_listener(argv[1]);
	if (listener < 0)
		errx(1, "%s: %s", argv[1], strerror(-listener));
	urt_scope_open(&connections, URT_NEVER);
	urt_scope_open(&accepting, URT_NEVER);
	if (urt_scope_go(&accepting, accept_all, NULL))
		errx(1, "no memory for a coroutine");
	if (old && atoi(old) == getppid())
		kill(getppid(), SIGTERM);
	while (urt_signal_wait(signals, NULL, URT_NEVER) == SIGHUP)
		replace(argv, &next);
	draining = true;
	urt_scope_cancel(&accepting);
	urt_scope_close(&accepting); /* what it had accepted is served */
	urt_close(listener);
	urt_waitgroup_wait(&open_ones, urt_after(SECONDS(1) * patience));
	urt_scope_cancel(&connections);
	urt_scope_close(&connections);
}

int main(int argc, char **argv)
{
	if (argc < 2 || argc > 3)
		errx(1, "usage: restart ADDRESS [SECONDS]");
	if (argc == 3)
		patience = atof(argv[2]);
	if (urt_run(first, argv))
		errx(1, "%s", urt_why());
	return 0;
}
