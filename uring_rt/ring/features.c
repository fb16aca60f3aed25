// SPDX-License-Identifier: MIT
/* The table of optional kernel features and its mask; see features.h. */
#include "features.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

const struct urt__feature_info urt__feature_info[] = {
#define X(symbol, name, kernel, what) { name, kernel, what },
	URT__FEATURES(X)
#undef X
};

static int mask_one(const char *name, size_t len, unsigned *features)
{
	for (unsigned i = 0; i < URT__FEATURE_COUNT; i++) {
		if (strlen(urt__feature_info[i].name) == len &&
		    !memcmp(urt__feature_info[i].name, name, len)) {
			*features &= ~(1u << i);
			return 0;
		}
	}
	return -EINVAL;
}

int urt__features_wanted(unsigned *features, const char **bad)
{
	const char *s = getenv("URT_FEATURES");

	*features = URT__FEATURES_ALL;
	while (s && *s) {
		size_t len = strcspn(s, ",");

		if (*s != '-' || mask_one(s + 1, len - 1, features)) {
			*bad = s;
			return -EINVAL;
		}
		s += len + (s[len] == ',');
	}
	return 0;
}
