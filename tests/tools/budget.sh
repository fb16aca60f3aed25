#!/bin/sh
# SPDX-License-Identifier: MIT
# Holds the demo's coroutine server to a budget of switches and system calls
# for each receive, under load: as README says a CI can.
#
#   tests/tools/budget.sh URT
set -eu
urt=$1
port=18473
if ! "$urt" stat --json -- true 2>&1 | grep -q '"source":"bpf"'; then
	echo "SKIP budget: no BPF here (urt doctor says why)"
	exit 0
fi
"$urt" stat --timeout 8000 --ops-from uring:RECV \
	--assert 'switches/op < 0.5' --assert 'syscalls/op < 1.5' \
	--assert 'lost == 0' --assert 'mismatch == 0' \
	-- "$urt" serve coroutine --port $port >/dev/null 2>budget.txt &
tool=$!
tries=0
until "$urt" load -c 64 -d 2 http://127.0.0.1:$port/ >/dev/null 2>&1; do
	tries=$((tries + 1))
	[ $tries -lt 50 ] || break
	sleep 0.1
done
code=0
wait $tool || code=$?
grep -e 'kernel switches' -e 'system calls' -e 'assertion' budget.txt || :
rm -f budget.txt
exit $code
