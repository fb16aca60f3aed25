#!/bin/sh
# SPDX-License-Identifier: MIT
# sites.sh PROGRAM: prints each call of the sanitizer's functions in the program,
# with its lines of the source, and the program's variables. See sites.c.
set -eu
program=$1
calls=$(mktemp)
trap 'rm -f "$calls"' EXIT
objdump -d --no-show-raw-insn "$program" | awk '
	/^[0-9a-f]+ </ { next }
	op { sub(":", "", $1); print $1, op; op = "" }
	/(call|bl) .*<(__tsan_|k_[a-z_]*>|urt__sys_|urt__membarrier)/ {
		op = $NF; gsub(/[<>]/, "", op) }' >"$calls"
# A return address may belong to the next line; one byte before it is in the call.
while read -r at op; do printf '0x%x\n' $((0x$at - 1)); done <"$calls" |
	addr2line -e "$program" -a -i -f | awk -v calls="$calls" '
	/^0x[0-9a-f]+$/ { getline line <calls; print "@ " line; next }
	!fn { fn = $1; next }
	{ print fn, $1; fn = "" }'
nm -S "$program" | awk '$3 ~ /[bBdD]/ { print "=", $1, $2, $4 }'
