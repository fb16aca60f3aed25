// SPDX-License-Identifier: MIT
/*
 * The request parser under any bytes. A length is never more than the input; an
 * incomplete head gives no result; nothing after the input is read: the same
 * bytes give the same result wherever they lie in memory, and each input is
 * copied to a block of its size, whose end ASan watches; a complete head is the
 * same when more data follow.
 */
#include "../../tools/service/http.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t len = size < HTTP_MAX ? size : HTTP_MAX, used, again;
	struct http_request r = { 0 }, more = { 0 };
	char *exact = malloc(len ? len : 1), *longer = malloc(len + 8);

	memcpy(exact, data, len);
	memcpy(longer, data, len);
	memcpy(longer + len, "\r\n\r\nGET ", 8);
	used = http_parse(exact, len, &r);
	REQUIRE(used <= len);
	REQUIRE(len < HTTP_MAX || used);
	REQUIRE(!used || r.route < HTTP_BAD || r.after == HTTP_CLOSE);
	if (used && r.route != HTTP_TOO_LARGE) {
		REQUIRE(used >= 4 && !memcmp(exact + used - 4, "\r\n\r\n", 4));
		REQUIRE(r.ms <= HTTP_MAX_MS || r.route == HTTP_BAD);
		again = http_parse(longer, len + 8, &more);
		REQUIRE(again == used && more.route == r.route &&
			more.after == r.after);
	}
	free(exact);
	free(longer);
	return 0;
}
