// SPDX-License-Identifier: MIT
/*
 * Commands to `urt stat --control` under any bytes: only a whole line is a
 * command, and only the four words are known.
 */
#include "../../tools/lib/output.h"
#include "../../tools/stat/control.h"
#include "fuzz.h"
#include <unistd.h>

int output_parent(const char *path, const char **name, const char **why)
{
	abort(); /* no FIFO is opened here */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct control_line line = { .n = 0 };
	size_t begin = 0;
	static int quiet;

	if (!quiet++ && !freopen("/dev/null", "w", stderr))
		_exit(1);
	for (size_t i = 0; i < size; i++) {
		enum control got = control_add(&line, data[i]);

		REQUIRE(line.n < sizeof(line.text));
		REQUIRE((got != CONTROL_NONE) == (data[i] == '\n'));
		if (data[i] != '\n')
			continue;
		REQUIRE((got == CONTROL_PING) ==
			(i - begin == 4 && !memcmp(data + begin, "ping", 4)));
		REQUIRE(got != CONTROL_CLOSED);
		begin = i + 1;
	}
	return 0;
}
