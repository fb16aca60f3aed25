/* SPDX-License-Identifier: MIT */
#ifndef URT_NET_DIAL_H
#define URT_NET_DIAL_H

#include "../urt.h"

#define URT__ATTEMPT_DELAY_NS (250 * INT64_C(1000000)) /* RFC 8305, section 5 */

/* Connects to the first of n >= 1 addresses that answers; as urt_dial. */
int urt__dial_race(const struct urt_addr *, size_t n, int64_t deadline_ns);

#endif
