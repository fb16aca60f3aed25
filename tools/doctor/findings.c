// SPDX-License-Identifier: MIT
/* The list of findings. */
#include "doctor.h"
#include "../lib/tool.h"
#include <stdarg.h>

static struct finding findings[64];
static unsigned nr_findings;

void doctor_found(const char *name, bool ok, const char *format, ...)
{
	struct finding *f = &findings[nr_findings];
	va_list ap;

	if (nr_findings == ARRAY_LEN(findings))
		return;
	nr_findings++;
	f->name = name;
	f->ok = ok;
	va_start(ap, format);
	vsnprintf(f->text, sizeof(f->text), format, ap);
	va_end(ap);
}

const struct finding *doctor_finding(unsigned nth)
{
	return nth < nr_findings ? &findings[nth] : NULL;
}

void doctor_forget(void)
{
	nr_findings = 0;
}
