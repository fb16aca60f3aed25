// SPDX-License-Identifier: MIT
/* Assertions of `urt stat --assert` under any text: one that is valid can be
 * asked of a result, and one that is not never holds. */
#include "../../tools/stat/stat.h"
#include "fuzz.h"
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct stat_options options = { .times = true };
	static struct stat_result result = { .options = &options,
					     .source = STAT_BPF };
	char *text = malloc(size + 1);
	static int quiet;
	bool valid;

	if (!quiet++ && !freopen("/dev/null", "w", stderr))
		_exit(1);
	memcpy(text, data, size);
	text[size] = '\0';
	valid = stat_assert_valid(text);
	REQUIRE(!stat_assert_holds(&result, text, stderr) || valid);
	free(text);
	return 0;
}
