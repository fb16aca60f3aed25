#!/bin/sh
# SPDX-License-Identifier: MIT
# Holds the demo's coroutine server to a budget of switches and system calls
# for each receive, under load, as README proposes for a CI.
#
#   tests/tools/budget.sh URT
set -eu
urt=$1
if ! "$urt" stat --json -- true 2>&1 | grep -q '"source":"bpf"'; then
	echo "SKIP budget: no BPF here (urt doctor says why)"
	exit 0
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkfifo "$dir/control"
"$urt" stat --control "fifo:$dir/control" --ops-from uring:RECV \
	--assert 'switches/op < 0.5' --assert 'syscalls/op < 1.5' \
	--assert 'lost == 0' --assert 'mismatch == 0' \
	-- "$urt" serve coroutine --port 0 >"$dir/url" 2>"$dir/text" &
tool=$!
url=
while [ -z "$url" ] && kill -0 $tool; do
	sleep 0.05
	url=$(sed -n 's/.* on //p' "$dir/url")
done
"$urt" load -c 64 -d 2 "$url" >/dev/null || kill $tool
timeout 60 sh -c 'echo stop >"$0"' "$dir/control" || :
code=0
wait $tool || code=$?
grep -e 'kernel switches' -e 'system calls' -e 'assertion' "$dir/text" ||
	cat "$dir/text"
exit $code
