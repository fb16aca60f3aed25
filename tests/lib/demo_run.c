// SPDX-License-Identifier: MIT
#include "demo_run.h"
#include "json_tree.h"

bool verdict(int n, const char *is)
{
	json_t *claim = row("claims", json_pack("{s:i}", "id", n));
	const char *said = json_string_value(json_object_get(claim, "verdict"));

	return said && !strcmp(said, is);
}

void none_failed(void)
{
	json_t *failed = row(NULL, json_pack("{s:s}", "status", "failed"));

	ck_assert_msg(!failed, "%s", json_dumps(failed, 0));
}
