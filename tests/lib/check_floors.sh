#!/bin/sh
# SPDX-License-Identifier: MIT
# The floors of uring_rt: a file includes only files of its own folder or of
# floors below it (uring_rt/HACKING.md).
cd "$(dirname "$0")/../../uring_rt" || exit 1
floors="base exec ring sched wait sync net watch"
bad=0
number() {
	i=0
	for f in $floors; do
		[ "$f" = "$1" ] && { echo $i; return; }
		i=$((i + 1))
	done
	echo -1
}
for from in $floors; do
	mine=$(number "$from")
	for to in $(grep -rhoE '#include "(\.\./)+[a-z]+/' "$from" 2>/dev/null |
		sed 's|.*\.\./||; s|/$||' | sort -u); do
		if [ "$(number "$to")" -gt "$mine" ]; then
			echo "floors: $from includes $to, which is above it" >&2
			bad=1
		fi
	done
done
exit $bad
