// SPDX-License-Identifier: MIT
/* See example.h. */
#define _GNU_SOURCE
#include "example.h"

char example_dir[] = "/tmp/urt-examples.XXXXXX";

void example_start_with(const char *name, char **argv)
{
	char path[64], address[32];

	snprintf(path, sizeof(path), "%s%s",
		 strchr(name, '/') ? "" : "examples/", name);
	server_port = net_free_port();
	snprintf(address, sizeof(address), "127.0.0.1:%d", server_port);
	argv[0] = path;
	argv[1] = address;
	server = fork();
	if (!server) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execv(path, argv);
		_exit(127);
	}
	ck_assert_msg(server_listens(), "%s does not listen", name);
}

void example_start(const char *name, const char *arg, const char *more)
{
	example_start_with(name, (char *[]){ NULL, NULL, (char *)arg,
					     (char *)more, NULL });
}

/* TSan delays a signal until the thread calls a function that TSan knows, which
 * io_uring_enter is not; so under TSan, the signal is sent again. */
void example_await_end(void)
{
	int status;
	pid_t ended;

	for (int ms = 1;
	     !(ended = waitpid(server, &status, TSANITIZED ? WNOHANG : 0));
	     ms++) {
		usleep(1000);
		if (ms % 1000 == 0)
			kill(server, SIGTERM);
	}
	ck_assert_int_eq(ended, server);
	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "status %x",
		      status);
	server = 0;
}

void example_end(void)
{
	ck_assert_int_eq(kill(server, SIGTERM), 0);
	example_await_end();
}

void send_text(int fd, const char *s)
{
	ck_assert_int_eq(send(fd, s, strlen(s), MSG_NOSIGNAL), strlen(s));
}

void expect_text(int fd, const char *expected)
{
	size_t len = strlen(expected), n = 0;
	char buf[4096];

	while (n < len) {
		ssize_t got = recv(fd, buf + n, len - n, 0);

		ck_assert_msg(got > 0, "after \"%.*s\", not \"%s\"", (int)n,
			      buf, expected);
		n += got;
	}
	ck_assert_mem_eq(buf, expected, len);
}

void expect_end(int fd)
{
	char c;

	ck_assert_int_eq(recv(fd, &c, 1, 0), 0);
	close(fd);
}

void example_setup(void)
{
	new_directory(example_dir);
}

void example_teardown(void)
{
	server_stop();
	sh("rm -rf %s", example_dir);
}
