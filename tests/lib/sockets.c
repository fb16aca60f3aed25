// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "sockets.h"
#include <arpa/inet.h>
#include <sys/syscall.h>

int fds[2];

/* TSan does not see what the ring closes, and would report the next file of
 * that number as a race; so this does not use the function that TSan knows. */
void pair_of(int type, int fd[2])
{
	ck_assert_int_eq(
		syscall(SYS_socketpair, AF_UNIX, type | SOCK_CLOEXEC, 0, fd),
		0);
}

void pair(void)
{
	pair_of(SOCK_STREAM, fds);
}

void tcp_pair(int listener_and_pair[3])
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int l = urt_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_ge(l, 0);
	ck_assert_int_eq(urt_setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, 4),
			 0);
	ck_assert_int_eq(urt_bind(l, (void *)&a, sizeof(a)), 0);
	ck_assert_int_eq(urt_bind(l, (void *)&a, sizeof(a)), -EINVAL);
	ck_assert_int_eq(urt_listen_on(l, 16), 0);
	ck_assert_int_eq(getsockname(l, (void *)&a, &len), 0);
	listener_and_pair[2] = urt_socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(
		urt_connect(listener_and_pair[2], (void *)&a, len, never), 0);
	listener_and_pair[1] = urt_accept(l, NULL, NULL, SOCK_CLOEXEC, never);
	ck_assert_int_ge(listener_and_pair[1], 0);
	listener_and_pair[0] = l;
}

static const char *const masks[] = { "", "-optional_ops,-buffer_pieces" };

void with_mask(int mask, unsigned workers, urt_fn *fn)
{
	struct urt_options o = { .workers = workers };

	setenv("URT_FEATURES", masks[mask], 1);
	ck_assert_msg(!urt_run_with(fn, NULL, &o), "%s", urt_why());
}
