// SPDX-License-Identifier: MIT
/* JSON documents of any bytes: each value lies in the text. */
#include "../../tools/lib/json_tree.h"
#include "fuzz.h"

static const char *begin, *end;

static void check(const struct json_value *v)
{
	for (; v; v = v->next) {
		REQUIRE(v->type <= JSON_OBJECT);
		REQUIRE(!v->name || (v->name > begin && v->name < end));
		REQUIRE(!v->name || v->name + strlen(v->name) < end);
		REQUIRE(!v->string == (v->type != JSON_STRING));
		REQUIRE(!v->string || v->string + strlen(v->string) < end);
		REQUIRE(!v->child || v->type >= JSON_ARRAY);
		check(v->child);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct json_value *v;
	const char *wrong;

	memcpy(text, data, size);
	text[size] = '\0';
	begin = text;
	end = text + size;
	v = json_tree(text, size, &wrong);
	REQUIRE(wrong >= begin && wrong <= end);
	check(v);
	json_tree_free(v);
	free(text);
	return 0;
}
