// SPDX-License-Identifier: MIT
/* Timelines of any bytes, as `urt report` reads them. */
#include "../../tools/lib/embed.h"
#include "../../tools/lib/output.h"
#include "../../tools/record/report.h"
#include "fuzz.h"

/* The page is not written here. */
const struct embedded embedded_files[] = { { 0 } };

FILE *output_open(const char *path)
{
	return NULL;
}

int output_close(FILE *f, const char *name)
{
	(void)f, (void)name;
	return 0;
}

int output_end(int code)
{
	return code;
}

/* Steps lie within their request. */
static void check_paths(struct report *r)
{
	for (int i = 0; i < REPORT_SLOW; i++) {
		struct report_request *q = &r->slow[i];

		for (unsigned k = 0; k < q->steps; k++) {
			const struct report_step *s = &q->step[k];

			REQUIRE(s->ns && s->at_ns <= q->ns);
			REQUIRE(s->ns <= q->ns - s->at_ns);
		}
		free(q->step);
	}
	memset(r->slow, 0, sizeof(r->slow));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct report r;
	FILE *f = size ? fmemopen((void *)data, size, "rb") : NULL;

	if (!f)
		return 0;
	memset(&r.track, 0, sizeof(r.track[0]) * 16);
	report_read(&r, f);
	REQUIRE(r.packets <= UINT64_MAX / 2);
	report_paths(&r, f);
	check_paths(&r);
	fclose(f);
	return 0;
}
