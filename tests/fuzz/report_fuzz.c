// SPDX-License-Identifier: MIT
/* Timelines of any bytes, as `urt report` reads them. */
#include "../../tools/record/report.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct report r;
	FILE *f = size ? fmemopen((void *)data, size, "rb") : NULL;

	if (!f)
		return 0;
	memset(&r.track, 0, sizeof(r.track[0]) * 16);
	report_read(&r, f);
	REQUIRE(r.packets <= UINT64_MAX / 2);
	fclose(f);
	return 0;
}
