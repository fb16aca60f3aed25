// SPDX-License-Identifier: MIT
/*
 * The load generator's parser of answers under any bytes: a head is no longer
 * than the input, nothing after the input is read, and the head is the same
 * when more data follow.
 */
#include "../../tools/load/http.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *exact = malloc(size ? size : 1), *longer = malloc(size + 4);
	int status = -1, again = -1;
	long body = 0, body_again = 0, head, head_again;

	memcpy(exact, data, size);
	memcpy(longer, data, size);
	memcpy(longer + size, "1234", 4);
	head = load_head(exact, size, &status, &body);
	REQUIRE(head >= -1 && head <= (long)size);
	REQUIRE(head || size < LOAD_HEAD_MAX);
	if (head > 0) {
		REQUIRE(head >= 4 && !memcmp(exact + head - 4, "\r\n\r\n", 4));
		REQUIRE(body >= 0);
		REQUIRE(status >= 0 && status <= 999);
		head_again = load_head(longer, size + 4, &again, &body_again);
		REQUIRE(head_again == head && again == status &&
			body_again == body);
	}
	free(exact);
	free(longer);
	return 0;
}
