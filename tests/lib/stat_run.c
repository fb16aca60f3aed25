// SPDX-License-Identifier: MIT
/* See stat_run.h. */
#include "stat_run.h"

int stat_json(const char *options, const char *args)
{
	int code = sh("./urt stat --json -o stat2.json %s -- tests/probe %s "
		      ">probe2.out 2>stat2.err; code=$?\n"
		      "cat stat2.json; exit $code",
		      options, args);

	if (code != 77)
		ck_assert_msg(strstr(text, "\"schema\":\"urt.stat.v1\""),
			      "%s %s: %s", options, args, text);
	return code;
}

void stat_ok(const char *options, const char *args)
{
	ck_assert_int_eq(stat_json(options, args), 0);
	ck_assert_msg(number(NULL, "drops") == 0, "%s", text);
}

void kernel_agrees(void)
{
	ck_assert_int_eq(number("switches", "total"),
			 number("kernel", "nvcsw") +
				 number("kernel", "nivcsw"));
	ck_assert_int_eq(number("switches", "voluntary"),
			 number("kernel", "nvcsw"));
}
