// SPDX-License-Identifier: MIT
/* Symbols of an ELF file of any bytes: each address gets a symbol, or itself as
 * its name, in time. */
#define _GNU_SOURCE
#include "../../tools/measure/symbols.h"
#include "fuzz.h"
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	static const char *const some[] = { "main", ".text", NULL };
	char name[SYMBOL_NAME];
	struct symbols *s;
	uint64_t bytes;

	REQUIRE(fd >= 0);
	REQUIRE(write(fd, data, size) == (ssize_t)size);
	s = symbols_open(fd, "", 0);
	for (uint64_t at = 0; at < 1 << 20; at += 4096 + 7) {
		symbols_name(s, at, name, sizeof(name));
		REQUIRE(*name && strlen(name) < sizeof(name));
	}
	symbols_close(s);
	s = symbols_open_some(fd, 0, "", 0, some);
	REQUIRE(!symbols_find(s, "other", &bytes) && !bytes);
	symbols_find(s, "main", &bytes);
	symbols_close(s);
	close(fd);
	return 0;
}
