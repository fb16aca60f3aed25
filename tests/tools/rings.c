// SPDX-License-Identifier: MIT
/*
 * What io_uring can be asked, and how often it answers: prints the requests that it
 * submitted, those of them that the kernel refused before they began, and the
 * completions that it saw. 77: the kernel lacks this.
 *
 *	rings HOW N
 */
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENTRIES 8

static struct io_uring ring, other;
static long n, submitted, refused, completed;
static int pipes[2];

static struct io_uring_sqe *sqe(void)
{
	return io_uring_get_sqe(&ring);
}

static void submit(void)
{
	submitted += io_uring_sq_ready(&ring);
	while (io_uring_sq_ready(&ring))
		if (io_uring_submit(&ring) < 0)
			exit(1);
}

static int take(struct io_uring *from)
{
	struct io_uring_cqe *cqe;
	int res;

	if (io_uring_wait_cqe(from, &cqe))
		exit(1);
	res = cqe->res;
	io_uring_cqe_seen(from, cqe);
	completed++;
	return res;
}

static void take_all(long until)
{
	while (completed < until)
		take(&ring);
}

/* With the program's end, requests that go on would complete, too. */
static void end(void)
{
	printf("%ld %ld %ld\n", submitted, refused, completed);
	fflush(stdout);
}

/* ---- one round each ---- */

static void nop(unsigned flags)
{
	struct io_uring_sqe *s = sqe();

	io_uring_prep_nop(s);
	io_uring_sqe_set_flags(s, flags);
}

static void no_opcode(unsigned flags)
{
	nop(flags);
	ring.sq.sqes[(ring.sq.sqe_tail - 1) & ring.sq.ring_mask].opcode = 200;
	refused++;
}

static void unknown_opcode(long i)
{
	no_opcode(0);
	submit();
	if (take(&ring) >= 0)
		exit(1);
}

static void unknown_flags(long i)
{
	nop(0x80);
	refused++;
	submit();
	take(&ring);
}

/* Each of the chain completes. */
static void refused_in_a_chain(long i)
{
	nop(IOSQE_IO_LINK);
	no_opcode(IOSQE_IO_LINK);
	nop(0);
	submit();
	take_all(submitted);
}

static void chain(long i)
{
	nop(IOSQE_IO_LINK);
	nop(IOSQE_IO_HARDLINK);
	nop(0);
	submit();
	take_all(submitted);
}

static void no_completion(long i)
{
	nop(IOSQE_CQE_SKIP_SUCCESS);
	submit();
}

static void overflow(long i)
{
	nop(0);
	submit();
	if (i == n - 1)
		take_all(submitted);
}

static void fixed_buffer(long i)
{
	static char buffer[64];
	struct iovec v = { buffer, sizeof(buffer) };

	if (!i && io_uring_register_buffers(&ring, &v, 1))
		exit(77);
	if (write(pipes[1], "x", 1) != 1)
		exit(1);
	io_uring_prep_read_fixed(sqe(), pipes[0], buffer, 1, 0, 0);
	submit();
	if (take(&ring) != 1)
		exit(77);
}

static void worker(long i)
{
	nop(IOSQE_ASYNC);
	submit();
	take(&ring);
}

static void cancelled(long i)
{
	struct io_uring_sqe *s = sqe();

	io_uring_prep_poll_add(s, pipes[0], POLLIN);
	io_uring_sqe_set_data64(s, 1);
	submit();
	io_uring_prep_cancel64(sqe(), 1, 0);
	submit();
	take_all(submitted);
}

static void updated(long i)
{
	struct io_uring_sqe *s = sqe();

	io_uring_prep_poll_add(s, pipes[0], POLLPRI);
	io_uring_sqe_set_data64(s, 1);
	submit();
	io_uring_prep_poll_update(sqe(), 1, 2, POLLOUT | POLLIN,
				  IORING_POLL_UPDATE_EVENTS |
					  IORING_POLL_UPDATE_USER_DATA);
	submit();
	io_uring_prep_poll_remove(sqe(), 2);
	submit();
	take_all(submitted);
}

static void timed_out(long i)
{
	static struct __kernel_timespec ts = { 0, 1 };

	io_uring_prep_timeout(sqe(), &ts, 0, 0);
	io_uring_prep_poll_add(sqe(), pipes[0], POLLIN);
	ring.sq.sqes[(ring.sq.sqe_tail - 1) & ring.sq.ring_mask].flags =
		IOSQE_IO_LINK;
	io_uring_prep_link_timeout(sqe(), &ts, 0);
	submit();
	take_all(submitted);
}

/* The message is a completion of the other ring. */
static void send_message(long i)
{
	if (!i && io_uring_queue_init(ENTRIES, &other, 0))
		exit(1);
	io_uring_prep_msg_ring(sqe(), other.ring_fd, 1, 2, 0);
	submit();
	if (take(&ring) < 0)
		exit(77);
}

static void message(long i)
{
	send_message(i);
	take(&other);
}

/* Nothing is taken from the other ring until all messages are sent. */
static void message_to_full_ring(long i)
{
	send_message(i);
	for (long k = 0; i == n - 1 && k < n; k++)
		take(&other);
}

/* One request completes each time, and goes on. */
static void many_completions(long i)
{
	struct io_uring_sqe *s;
	char c;

	if (!i) {
		s = sqe();
		io_uring_prep_poll_multishot(s, pipes[0], POLLIN);
		submit();
	}
	if (write(pipes[1], "x", 1) != 1 || take(&ring) < 0 ||
	    read(pipes[0], &c, 1) != 1)
		exit(1);
}

static const struct {
	const char *name;
	void (*round)(long i);
	unsigned setup;
} ways[] = {
	{ "unknown-opcode", unknown_opcode, 0 },
	{ "unknown-flags", unknown_flags, 0 },
	{ "refused-in-a-chain", refused_in_a_chain, 0 },
	{ "chain", chain, 0 },
	{ "no-completion", no_completion, 0 },
	{ "overflow", overflow, 0 },
	{ "overflow-single", overflow,
	  IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN },
	{ "fixed-buffer", fixed_buffer, 0 },
	{ "worker", worker, 0 },
	{ "cancelled", cancelled, 0 },
	{ "updated", updated, 0 },
	{ "timed-out", timed_out, 0 },
	{ "message", message, 0 },
	{ "message-to-full-ring", message_to_full_ring, 0 },
	{ "many-completions", many_completions, 0 },
	{ "sqpoll", worker, IORING_SETUP_SQPOLL },
};

int main(int argc, char **argv)
{
	const char *how = argc > 2 ? argv[1] : "";
	unsigned i = 0;

	while (i < sizeof(ways) / sizeof(*ways) && strcmp(ways[i].name, how))
		i++;
	if (i == sizeof(ways) / sizeof(*ways))
		return 1;
	n = atol(argv[2]);
	if (io_uring_queue_init(ENTRIES, &ring, ways[i].setup))
		return 77;
	if (pipe(pipes))
		return 1;
	for (long round = 0; round < n; round++)
		ways[i].round(round);
	end();
	/* What goes on would complete at exit. */
	if (ways[i].round == many_completions)
		for (;;)
			pause();
	return 0;
}
