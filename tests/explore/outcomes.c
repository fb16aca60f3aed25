// SPDX-License-Identifier: MIT
/* The ends of a scenario's executions, for scenarios that name all of them. */
#include "explore_in.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define OUTCOMES 64

static char seen[OUTCOMES][32];
static unsigned nr_seen;

void x_outcomes_begin(void)
{
	nr_seen = 0;
}

void explore_outcome(const char *format, ...)
{
	char text[32];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	for (unsigned i = 0; i < nr_seen; i++)
		if (!strcmp(seen[i], text))
			return;
	if (nr_seen == OUTCOMES)
		explore_fail("more than %u different outcomes", OUTCOMES);
	strcpy(seen[nr_seen++], text);
}

/* Whether text is a word of the list. */
static bool is_in(const char *list, const char *text)
{
	size_t len = strlen(text);

	for (const char *p = list; (p = strstr(p, text)); p += len)
		if ((p == list || p[-1] == ' ') && (!p[len] || p[len] == ' '))
			return true;
	return false;
}

static unsigned words(const char *list)
{
	unsigned n = *list != '\0';

	for (; *list; list++)
		n += *list == ' ';
	return n;
}

bool x_outcomes_are(const char *list, char *message, size_t size)
{
	bool all = nr_seen == words(list);
	size_t len = 0;

	for (unsigned i = 0; i < nr_seen; i++)
		all &= is_in(list, seen[i]);
	if (all)
		return true;
	len = snprintf(message, size, "its outcomes are to be %s, and were",
		       list);
	for (unsigned i = 0; i < nr_seen && len < size; i++)
		len += snprintf(message + len, size - len, " %s", seen[i]);
	return false;
}
