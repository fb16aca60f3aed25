/*
 * A port scanner: thousands of dials, with a bounded number at a time.
 *
 *	cc scan.c $(pkg-config --cflags --libs uring_rt) -o scan
 *	./scan localhost 1 1024
 *
 * A coroutine for each port costs little; what is scarce are descriptors and
 * the other side's patience, so a semaphore lets 100 through.
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <urt.h>

#define AT_A_TIME 100
#define DIAL_NS	  INT64_C(1000000000)

static const char *host;
static int from, to;
static bool is_open[65536]; /* each written by one coroutine */
static struct urt_sem slots = URT_SEM_INIT(AT_A_TIME);

static int scan_port(void *arg)
{
	int port = (int)(intptr_t)arg, fd;
	char address[300];

	snprintf(address, sizeof(address), "%s:%d", host, port);
	fd = urt_dial(address, urt_after(DIAL_NS));
	if (fd >= 0) {
		is_open[port] = true;
		urt_close(fd);
	}
	urt_sem_post(&slots);
	/* Refused or silent is an answer; a bad name ends the whole scan. */
	return fd == -EINVAL || fd == -ENOENT ? fd : 0;
}

static void first(void *arg)
{
	struct urt_scope scan;
	int port, ended, *err = arg;

	urt_scope_open(&scan, URT_NEVER);
	for (port = from; port <= to; port++) {
		/* Here the loop waits until one of the dials has ended. */
		urt_sem_wait(&slots, URT_NEVER);
		*err = urt_scope_go(&scan, scan_port, (void *)(intptr_t)port);
		if (*err) /* -ECANCELED: one of them has failed */
			break;
	}
	ended = urt_scope_close(&scan); /* the error of the first that failed */
	if (ended)
		*err = ended;
}

int main(int argc, char **argv)
{
	int err;

	if (argc == 4) {
		host = argv[1];
		from = atoi(argv[2]);
		to = atoi(argv[3]);
	}
	if (argc != 4 || from < 1 || to > 65535)
		errx(1, "usage: scan HOST FROM TO");
	if (urt_run(first, &err))
		errx(1, "%s", urt_why());
	if (err)
		errx(1, "%s: %s", host, strerror(-err));
	for (int port = from; port <= to; port++)
		if (is_open[port])
			printf("%d\n", port);
	return 0;
}
