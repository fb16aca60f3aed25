/* SPDX-License-Identifier: MIT */
/* Addresses as text. Pure: neither the runtime nor the network is used. */
#ifndef URT_NET_ADDRESS_H
#define URT_NET_ADDRESS_H

#include "../urt.h"

#define URT__HOST_MAX 253 /* RFC 1035, 2.3.4, as text */

struct urt__address {
	struct urt_addr addr;	      /* len 0: the host is to be looked up */
	char host[URT__HOST_MAX + 1]; /* a name; "": none, or addr has it */
	uint16_t port;
};

/* The parts of an address, in the form that urt.h describes. 0, -EINVAL or
 * -ENAMETOOLONG; -ENODEV: no interface of that name behind "%". */
int urt__address_parse(const char *text, struct urt__address *);

/* Makes an IPv4 or IPv6 address; the bytes are in network order. */
void urt__addr_set(struct urt_addr *, int type, int family, const void *bytes,
		   uint32_t scope, uint16_t port);

/*
 * Alternates the families, beginning with the first address's, and keeps the
 * order within each (RFC 8305, section 4, with a First Address Family Count of
 * 1).
 */
void urt__addrs_interleave(struct urt_addr *, size_t n);

#endif
