// SPDX-License-Identifier: MIT
/*
 * The parser of addresses under any text: an accepted address has one printed
 * form, which parses to the same address; a name for the resolver has only
 * characters of names.
 */
#include "../../uring_rt/net/address.h"
#include "fuzz.h"
#include <errno.h>

int *urt_errno_location(void)
{
	static int none;

	return &none;
}

static void check_name(const char *host)
{
	REQUIRE(strlen(host) <= URT__HOST_MAX);
	REQUIRE(strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789-_."
			     "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == strlen(host));
	REQUIRE(host[strspn(host, "0123456789.")] || !*host);
}

static void check_address(const struct urt_addr *a)
{
	char first[URT_ADDR_TEXT], second[URT_ADDR_TEXT];
	struct urt__address again;
	int len = urt_addr_text(a, first, sizeof(first));

	REQUIRE(a->len <= sizeof(a->storage));
	REQUIRE(len > 0 && (size_t)len == strlen(first));
	REQUIRE(!urt__address_parse(first, &again));
	REQUIRE(again.addr.len == a->len && again.addr.type == a->type);
	REQUIRE(!memcmp(&again.addr.storage, &a->storage, a->len));
	REQUIRE(urt_addr_text(&again.addr, second, sizeof(second)) == len);
	REQUIRE(!strcmp(first, second));
	REQUIRE(urt_addr_text(a, second, len) == -ENOSPC);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct urt__address a;
	int err;

	memcpy(text, data, size);
	text[size] = '\0';
	err = urt__address_parse(text, &a);
	REQUIRE(!err || err == -EINVAL || err == -ENAMETOOLONG ||
		err == -ENODEV);
	if (!err && a.addr.len) {
		REQUIRE(!a.host[0]);
		check_address(&a.addr);
	} else if (!err) {
		check_name(a.host);
	}
	free(text);
	return 0;
}
