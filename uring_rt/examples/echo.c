/*
 * A TCP echo server: a coroutine for each connection, code as if it blocked.
 *
 *	cc echo.c $(pkg-config --cflags --libs uring_rt) -o echo
 *	./echo :7777          and elsewhere: nc localhost 7777
 *
 * SIGINT or SIGTERM ends it: every wait is cancelled, and every coroutine
 * returns before the program does.
 */
#include <err.h>
#include <signal.h>
#include <string.h>
#include <urt.h>

static struct urt_scope
	server; /* all connections, and the coroutine that accepts them */

static void echo(int fd, void *arg)
{
	char buf[4096];
	ssize_t n;

	/* Parks while there is nothing to read, and while the client does not
	 * read the reply: send returns when all of it is. */
	while ((n = urt_recv(fd, buf, sizeof(buf), 0, URT_NEVER)) > 0)
		if (urt_send(fd, buf, n, MSG_NOSIGNAL, URT_NEVER) != n)
			break;
	/* fd is closed when we return. */
}

static void first(void *arg)
{
	int signals = urt_signal_open(SIGINT, SIGTERM, 0);
	int listener = urt_listen(arg, URT_NEVER);

	if (listener < 0)
		errx(1, "%s: %s", (char *)arg, strerror(-listener));
	urt_scope_open(&server, URT_NEVER);
	urt_serve(&server, listener, echo, NULL);
	urt_signal_wait(signals, NULL, URT_NEVER);
	urt_scope_cancel(&server); /* every wait in it returns -ECANCELED */
	urt_scope_close(&server);  /* and now all have returned */
	urt_close(listener);
}

int main(int argc, char **argv)
{
	if (urt_run(first, argc > 1 ? argv[1] : ":7777"))
		errx(1, "%s", urt_why());
	return 0;
}
