// SPDX-License-Identifier: MIT
/* Assertions of `urt stat --assert` and documents of --baseline under any text:
 * an accepted assertion can be checked. */
#include "../../tools/lib/json_tree.h"
#include "../../tools/stat/options.h"
#include "fuzz.h"
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct stat_options options = { .times = true };
	static struct stat_result result = { .options = &options,
					     .source = STAT_BPF };
	char *text = malloc(size + 1);
	const char *wrong;
	static int quiet;
	struct stat_verdict v;
	double n;

	if (!quiet++ && !freopen("/dev/null", "w", stderr))
		_exit(1);
	memcpy(text, data, size);
	text[size] = '\0';
	options.nr_asserts = 0;
	options.baseline_path = "-";
	options.baseline = NULL;
	if (stat_take_assert(&options, text))
		stat_assert_check(&result, &options.asserts[0], &v);
	options.baseline = json_tree(text, size, &wrong);
	REQUIRE(!stat_baseline_figure(&options, "wall", &n) || n == n);
	REQUIRE(!stat_baseline_ops(&options, &n) || n > 0);
	json_tree_free(options.baseline);
	free(text);
	return 0;
}
