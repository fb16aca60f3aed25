// SPDX-License-Identifier: MIT
/* See net.h. */
#define _GNU_SOURCE
#include "net.h"
#include "tool.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

struct sockaddr_in net_loopback(int port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static int try_bind(int nth, int *port)
{
	struct sockaddr_in addr = net_loopback(*port);
	socklen_t len = sizeof(addr);
	int on = 1, err;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK + nth);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* Accepted sockets inherit TCP_NODELAY. Node and Go set it, too. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (!bind(fd, (struct sockaddr *)&addr, sizeof(addr)) &&
	    !getsockname(fd, (struct sockaddr *)&addr, &len)) {
		*port = ntohs(addr.sin_port);
		return fd;
	}
	err = -errno;
	close(fd);
	return err;
}

static int bind_at(int nth, int *port)
{
	int fd = try_bind(nth, port);

	if (fd == -EADDRINUSE)
		fail("port %d is in use: choose another with --port", *port);
	else if (fd == -EACCES)
		fail("port %d is not allowed: choose one above 1023", *port);
	else if (fd < 0)
		fail("cannot use port %d: %s", *port, strerror(-fd));
	return fd < 0 ? -1 : fd;
}

int net_bind(int *port)
{
	return bind_at(0, port);
}

int net_listen_at(int nth, int *port)
{
	int fd = bind_at(nth, port);

	if (fd < 0 || !listen(fd, BACKLOG))
		return fd;
	fail("cannot listen on port %d: %s", *port, strerror(errno));
	close(fd);
	return -1;
}

int net_listen(int *port)
{
	return net_listen_at(0, port);
}

void net_use_source(int fd, const struct sockaddr_in *server, int nth)
{
	struct sockaddr_in source = { .sin_family = AF_INET };
	int on = 1;

	if (!nth || ntohl(server->sin_addr.s_addr) >> 24 != IN_LOOPBACKNET)
		return;
	source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + nth);
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&source, sizeof(source)))
		return;
}

int net_redis_port(const char *url)
{
	char host[32], rest;
	int port = 6379, n;

	n = sscanf(url, "redis://%31[a-z0-9.]:%d%c", host, &port, &rest);
	if ((n != 2 && (n != 1 || strchr(url + 8, ':'))) || port < 1 ||
	    port > 65535 ||
	    (strcmp(host, "127.0.0.1") && strcmp(host, "localhost"))) {
		fail("--backend: invalid URL \"%s\": expected "
		     "redis://127.0.0.1:PORT",
		     url);
		return -1;
	}
	return port;
}

/* The least port that the kernel gives to clients. */
static int first_of_clients(void)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	int first;

	if (!f || fscanf(f, "%d", &first) != 1)
		first = 0;
	if (f)
		fclose(f);
	return first;
}

int net_free_port(void)
{
	enum { FIRST = 10000, ENOUGH = 1000, TRIES = 100 };
	int choice = first_of_clients() - FIRST, port = 0, fd = -1;
	unsigned chance;

	for (int i = 0; i < TRIES && choice > ENOUGH && fd < 0; i++) {
		if (getrandom(&chance, sizeof(chance), 0) < 0)
			break;
		port = FIRST + chance % choice;
		fd = try_bind(0, &port);
	}
	if (fd < 0) {
		port = 0;
		fd = net_bind(&port);
	}
	if (fd < 0)
		return -1;
	close(fd);
	return port;
}

bool net_wait_listening(int port, int ms)
{
	struct sockaddr_in addr = net_loopback(port);

	for (; ms > 0; ms -= 5) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		int ret = connect(fd, (struct sockaddr *)&addr, sizeof(addr));

		close(fd);
		if (!ret)
			return true;
		sleep_ns(5 * NS_PER_MS);
	}
	return false;
}

bool net_need_descriptors(long needed, long *allowed)
{
	struct rlimit r;

	getrlimit(RLIMIT_NOFILE, &r);
	*allowed = r.rlim_max;
	if (r.rlim_cur >= (rlim_t)needed)
		return true;
	r.rlim_cur = needed;
	if (r.rlim_max < (rlim_t)needed)
		r.rlim_max = needed; /* root may, up to fs.nr_open */
	return !setrlimit(RLIMIT_NOFILE, &r);
}

void net_most_descriptors(void)
{
	long allowed;

	if (!net_need_descriptors(1 << 20, &allowed))
		net_need_descriptors(allowed, &allowed);
}
