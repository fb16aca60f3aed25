// SPDX-License-Identifier: MIT
/* Servers of the demo in tests; see service.h. */
#define _GNU_SOURCE
#include "service.h"
#include "relay.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

bool has(const char *what)
{
	return strstr(text, what);
}

/* ---- a server ---- */

pid_t server;
static pid_t relay; /* in front of a server of TLS */
int server_port;
unsigned server_descriptors;
const char *server_log;

struct sockaddr_in server_address(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_port = htons(server_port) };

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return addr;
}

int server_connect(void)
{
	struct sockaddr_in addr = server_address();
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval patience = { 60, 0 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	close(fd);
	return -1;
}

void server_stop(void)
{
	if (server > 0) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	server = 0;
	if (relay > 0) {
		kill(relay, SIGKILL);
		waitpid(relay, NULL, 0);
	}
	relay = 0;
}

void server_relay(void)
{
#ifdef URT_HAVE_TLS
	relay = relay_start(&server_port, server_port);
#endif
}

bool server_listens(void)
{
	for (int i = 0; i < 3000; i++) {
		int fd = server_connect();

		if (fd >= 0) {
			close(fd);
			return true;
		}
		if (server > 0 && waitpid(server, NULL, WNOHANG) == server) {
			server = 0;
			return false;
		}
		usleep(i < 100 ? 1000 : 10000);
	}
	return false;
}

/* False: it has ended, or does not listen. */
static bool try_to_start(const char *model, const char *option,
			 const char *value)
{
	char port[8];

	server_port = net_free_port();
	snprintf(port, sizeof(port), "%d", server_port);
	server = fork();
	if (!server) {
		int null = open("/dev/null", O_WRONLY);

		prctl(PR_SET_PDEATHSIG, SIGKILL); /* also if the test fails */
		setpgid(0, 0);
		dup2(null, 1);
		if (server_log)
			dup2(open(server_log, O_WRONLY | O_CREAT | O_TRUNC,
				  0644),
			     2);
		if (server_descriptors)
			setrlimit(RLIMIT_NOFILE,
				  &(struct rlimit){ server_descriptors,
						    server_descriptors });
		execl("./urt", "./urt", "serve", model, "--port", port, option,
		      value, NULL);
		_exit(127);
	}
	if (server_listens())
		return true;
	server_stop();
	return false;
}

/* Another program may have taken the free port. */
void server_start(const char *model, const char *option, const char *value)
{
	for (int i = 0; i < 3; i++)
		if (try_to_start(model, option, value))
			return;
	ck_abort_msg("%s does not listen", model);
}

bool not_here(const char *model)
{
	return model_missing(model_find(model));
}
