// SPDX-License-Identifier: MIT
/*
 * Addresses as text.
 *
 * One string names any address to dial or to listen at, as in Go, so that it
 * can come unchanged from a command line. The parser is strict: each kind of
 * address has one form, and any other text is refused here, before it reaches
 * getaddrinfo, which takes "1.2" and "0x7f.1" for addresses (inet_aton's forms,
 * by which filters have been fooled).
 *
 * Rejected: URLs (a second syntax, with escapes), and names of services (the
 * runtime would have to read a file for a number that the caller knows).
 */
#define _GNU_SOURCE
#include "address.h"
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#undef errno

static const struct network {
	const char *prefix;
	int family, type; /* family AF_UNSPEC: IPv4 or IPv6 */
} networks[] = {
	{ "tcp:", AF_UNSPEC, SOCK_STREAM },
	{ "udp:", AF_UNSPEC, SOCK_DGRAM },
	{ "unix:", AF_UNIX, SOCK_STREAM },
	{ "unixgram:", AF_UNIX, SOCK_DGRAM },
};

void urt__addr_set(struct urt_addr *a, int type, int family, const void *bytes,
		   uint32_t scope, uint16_t port)
{
	struct sockaddr_in *in4 = (void *)&a->storage;
	struct sockaddr_in6 *in6 = (void *)&a->storage;

	memset(a, 0, sizeof(*a));
	a->type = type;
	a->sa.sa_family = family;
	if (family == AF_INET) {
		a->len = sizeof(*in4);
		in4->sin_port = htons(port);
		memcpy(&in4->sin_addr, bytes, sizeof(in4->sin_addr));
	} else {
		a->len = sizeof(*in6);
		in6->sin6_port = htons(port);
		in6->sin6_scope_id = scope;
		memcpy(&in6->sin6_addr, bytes, sizeof(in6->sin6_addr));
	}
}

/* ---- parsing ----------------------------------------------------------- */

static int parse_path(const char *path, int type, struct urt_addr *a)
{
	struct sockaddr_un *un = (void *)&a->storage;
	size_t len = strlen(path);

	if (!len || !strcmp(path, "@"))
		return -EINVAL;
	if (len >= sizeof(un->sun_path))
		return -ENAMETOOLONG;
	a->type = type;
	a->sa.sa_family = AF_UNIX;
	memcpy(un->sun_path, path, len + 1);
	a->len = offsetof(struct sockaddr_un, sun_path) + len;
	if (*path == '@')
		un->sun_path[0] = '\0'; /* an abstract name has no end mark */
	else
		a->len++;
	return 0;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Parses all of text; < 0: it is not a port. */
static int parse_port(const char *text)
{
	int port = 0;

	if (!*text || (*text == '0' && text[1]))
		return -EINVAL;
	for (; *text; text++) {
		if (!is_digit(*text))
			return -EINVAL;
		port = port * 10 + (*text - '0');
		if (port > UINT16_MAX)
			return -EINVAL;
	}
	return port;
}

/* Letters, digits, "-", "_" in labels with dots between (one may be at the
 * end); the last label is not all digits. */
static bool is_name(const char *s)
{
	bool digits_only = true, empty = true;

	for (; *s; s++) {
		if (*s == '.') {
			if (empty)
				return false;
			if (!s[1])
				break;
			empty = digits_only = true;
			continue;
		}
		empty = false;
		if (is_digit(*s))
			continue;
		digits_only = false;
		if (*s != '-' && *s != '_' && !(*s >= 'a' && *s <= 'z') &&
		    !(*s >= 'A' && *s <= 'Z'))
			return false;
	}
	return !empty && !digits_only;
}

/* The text in brackets. */
static int parse_in6(char *host, struct urt__address *out)
{
	char *zone = strchr(host, '%');
	uint32_t scope = 0;
	struct in6_addr in6;

	if (zone)
		*zone++ = '\0';
	if (inet_pton(AF_INET6, host, &in6) != 1)
		return -EINVAL;
	if (zone) {
		scope = if_nametoindex(zone);
		if (!scope)
			return -ENODEV;
	}
	urt__addr_set(&out->addr, out->addr.type, AF_INET6, &in6, scope,
		      out->port);
	return 0;
}

static int parse_host(const char *host, struct urt__address *out)
{
	struct in_addr in4;

	if (!*host)
		return 0;
	if (inet_pton(AF_INET, host, &in4) == 1) {
		urt__addr_set(&out->addr, out->addr.type, AF_INET, &in4, 0,
			      out->port);
		return 0;
	}
	if (!is_name(host))
		return -EINVAL;
	strcpy(out->host, host);
	return 0;
}

static int parse_internet(const char *text, struct urt__address *out)
{
	const char *colon = strrchr(text, ':');
	char host[URT__HOST_MAX + 1];
	size_t len;
	int port;

	if (!colon)
		return -EINVAL;
	port = parse_port(colon + 1);
	if (port < 0)
		return port;
	out->port = port;
	len = colon - text;
	if (len > URT__HOST_MAX)
		return -ENAMETOOLONG;
	memcpy(host, text, len);
	host[len] = '\0';
	if (*host != '[')
		return parse_host(host, out);
	if (host[len - 1] != ']')
		return -EINVAL;
	host[len - 1] = '\0';
	return parse_in6(host + 1, out);
}

int urt__address_parse(const char *text, struct urt__address *out)
{
	const struct network *net = NULL;

	memset(out, 0, sizeof(*out));
	out->addr.type = SOCK_STREAM;
	for (size_t i = 0; i < sizeof(networks) / sizeof(*networks); i++) {
		size_t len = strlen(networks[i].prefix);

		if (strncmp(text, networks[i].prefix, len))
			continue;
		net = &networks[i];
		text += len;
		out->addr.type = net->type;
		break;
	}
	if (net && net->family == AF_UNIX)
		return parse_path(text, net->type, &out->addr);
	return parse_internet(text, out);
}

/* ---- order ------------------------------------------------------------- */

/* The index of the first address whose family is, or is not, that; or n. */
static size_t find(const struct urt_addr *a, size_t from, size_t n, int family,
		   bool is)
{
	while (from < n && (a[from].sa.sa_family == family) != is)
		from++;
	return from;
}

void urt__addrs_interleave(struct urt_addr *a, size_t n)
{
	int first = n ? a[0].sa.sa_family : 0;

	for (size_t i = 1; i < n; i++) {
		size_t at = find(a, i, n, first, i % 2 == 0);
		struct urt_addr moved;

		if (at == n)
			return;
		moved = a[at];
		memmove(&a[i + 1], &a[i], (at - i) * sizeof(*a));
		a[i] = moved;
	}
}

/* ---- printing ---------------------------------------------------------- */

static int print_path(const struct urt_addr *a, char *out, size_t size)
{
	const struct sockaddr_un *un = (const void *)&a->storage;
	int len = (int)a->len - (int)offsetof(struct sockaddr_un, sun_path);
	const char *prefix = a->type == SOCK_DGRAM ? "unixgram:" : "unix:";

	if (len <= 0) /* a socket without a name */
		return snprintf(out, size, "%s", prefix);
	if (!un->sun_path[0])
		return snprintf(out, size, "%s@%.*s", prefix, len - 1,
				un->sun_path + 1);
	return snprintf(out, size, "%s%.*s", prefix, len, un->sun_path);
}

static int print_in6(const struct sockaddr_in6 *in6, const char *prefix,
		     char *out, size_t size)
{
	char host[INET6_ADDRSTRLEN], zone[IF_NAMESIZE + 1] = "";

	inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
	if (in6->sin6_scope_id && if_indextoname(in6->sin6_scope_id, zone + 1))
		zone[0] = '%';
	return snprintf(out, size, "%s[%s%s]:%u", prefix, host, zone,
			ntohs(in6->sin6_port));
}

int urt_addr_text(const struct urt_addr *a, char *buf, size_t size)
{
	const struct sockaddr_in *in4 = (const void *)&a->storage;
	const char *prefix = a->type == SOCK_DGRAM ? "udp:" : "";
	char host[INET_ADDRSTRLEN], text[URT_ADDR_TEXT];
	int len;

	if (size)
		*buf = '\0';
	if (a->sa.sa_family == AF_UNIX) {
		len = print_path(a, text, sizeof(text));
	} else if (a->sa.sa_family == AF_INET6) {
		len = print_in6((const void *)&a->storage, prefix, text,
				sizeof(text));
	} else if (a->sa.sa_family == AF_INET) {
		inet_ntop(AF_INET, &in4->sin_addr, host, sizeof(host));
		len = snprintf(text, sizeof(text), "%s%s:%u", prefix, host,
			       ntohs(in4->sin_port));
	} else {
		return -EAFNOSUPPORT;
	}
	if ((size_t)len >= size)
		return -ENOSPC;
	memcpy(buf, text, len + 1);
	return len;
}
