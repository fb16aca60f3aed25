/* SPDX-License-Identifier: MIT */
/* Names to addresses; the part that the dialler needs, and a seam for tests. */
#ifndef URT_NET_RESOLVE_H
#define URT_NET_RESOLVE_H

#include "address.h"

struct addrinfo;

/* getaddrinfo(3) and freeaddrinfo(3), or a test's. */
struct urt__resolver {
	int (*get)(const char *host, const char *service,
		   const struct addrinfo *hints, struct addrinfo **out);
	void (*free)(struct addrinfo *);
};
extern struct urt__resolver urt__resolver;

/* The most addresses of one name that are tried. */
#define URT__ADDRS_MAX 16

/* As urt_resolve, for a parsed address. */
int urt__resolve(const struct urt__address *, struct urt_addr *, size_t n,
		 int64_t deadline_ns);

#endif
