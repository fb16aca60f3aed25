/* SPDX-License-Identifier: MIT */
/* The JSON document that a command printed (`text` of tool_run.h). */
#ifndef URT_TEST_JSON_H
#define URT_TEST_JSON_H

/*
 * The number of the member `name`, in the first object or array called `section` that
 * has it, at any depth; section NULL: in the whole document. number: -1 if there is
 * none; figure: NaN if there is none or it is null. A document on a line of its own
 * may follow other text; of several, the first counts.
 */
long long number(const char *section, const char *name);
double figure(const char *section, const char *name);

#endif
