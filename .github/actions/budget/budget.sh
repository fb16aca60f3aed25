#!/bin/sh
# SPDX-License-Identifier: MIT
# Holds a server to a budget of context switches, system calls and io_uring
# operations for each request. The action next to this file runs it, and so can
# any other pipeline: it needs only `urt`.
#
#   URT_COMMAND      starts the server; it must not go to the background
#   URT_URL          the URL that the load requests
#   URT_BUDGET       file of the budget, in lines WHEN ASSERTION. WHEN is "rate" or
#                    "saturation", ASSERTION is as in `urt stat --assert`; a limit
#                    such as 1.1x is relative to the baseline. Begin with an empty
#                    file: the tables show the figures
#   URT_BASELINE     directory with the figures of an earlier run (URT_OUT of
#                    that run), or empty
#   URT_RATE         requests/s of the first measurement (default 1000); batching
#                    makes figures depend on the load, so there are two
#   URT_CONNECTIONS  connections of the load; default 64
#   URT_SECONDS      length of each measurement; default 5
#   URT_OUT          directory for the results; default urt-budget
#   URT              the command; default urt
#
# Exit status 3: the server exceeds the budget; 1: it could not be measured.
set -eu
: "${URT:=urt}" "${URT_RATE:=1000}" "${URT_CONNECTIONS:=64}" "${URT_SECONDS:=5}"
: "${URT_OUT:=urt-budget}" "${URT_BASELINE:=}"
server=
code=0

# BPF needs root. Without BPF, figures come from perf events or /proc, and a limit
# on a figure that these lack counts as exceeded.
sudo=
[ "$(id -u)" = 0 ] || ! sudo -n true 2>/dev/null || sudo="sudo -n"
children=--children

# The next run begins when the port is free.
stop() {
	[ -n "$server" ] && kill "$server" 2>/dev/null || return 0
	tries=0
	while kill -0 "$server" 2>/dev/null; do
		tries=$((tries + 1))
		[ $tries -lt 50 ] || kill -9 "$server"
		sleep 0.1
	done
}
trap stop EXIT

fail() {
	echo "::error::$*"
	exit 1
}

answers() {
	"$URT" load --json -c 1 -n 1 "$URT_URL" >"$URT_OUT/answers.log" 2>&1 &&
		grep -q '"errors":0,' "$URT_OUT/answers.log"
}

server_failed() {
	tail -n 5 "$URT_OUT/server.log" "$URT_OUT/answers.log" >&2
	fail "the server $*"
}

check_server() { kill -0 "$server" 2>/dev/null || server_failed "ended before $*"; }

# Of another server that answers, the requests would be counted, but not the calls.
start_server() {
	! answers || fail "$URT_URL is answered before the server was started"
	sh -c "exec $URT_COMMAND" >"$URT_OUT/server.log" 2>&1 &
	server=$!
	tries=0
	until answers; do
		check_server "it answered at $URT_URL"
		tries=$((tries + 1))
		[ $tries -lt 300 ] || server_failed "did not answer 200 OK at $URT_URL within 30 s"
		sleep 0.1
	done
	warm_up=2
	[ "$URT_SECONDS" != 1 ] || warm_up=1
	"$URT" load -c "$URT_CONNECTIONS" -d $warm_up "$URT_URL" >/dev/null ||
		server_failed "failed while warming up"
}

# measure WHEN [OPTION ...]: holds the server to the lines of the budget that begin
# with WHEN. The first half second, in which connections are opened, is not counted.
measure() {
	when=$1
	shift
	budget=$URT_BUDGET:$when
	grep -q "^[[:space:]]*$when[[:space:]]" "$URT_BUDGET" || {
		budget= # the table shows the figures to choose limits from
		printf '\n## %s, without limits\n' "$when" >>"${GITHUB_STEP_SUMMARY:-/dev/stdout}"
	}
	result=0
	check_server "it was measured"
	$sudo env GITHUB_STEP_SUMMARY="${GITHUB_STEP_SUMMARY-}" \
		"$URT" stat -p "$server" $children -D 500 --ops-from load \
		${budget:+--budget "$budget"} \
		--baseline "${URT_BASELINE:-$URT_OUT/none}/$when.json" \
		--format github --format json -o "$URT_OUT/$when.json" -- \
		"$URT" load -c "$URT_CONNECTIONS" -d "$URT_SECONDS" "$@" "$URT_URL" \
		>"$URT_OUT/$when.load" || result=$?
	[ $result = 0 ] || [ $result = 3 ] || fail "$when: the measurement failed"
	[ $result = 0 ] || code=3
}

# A line that no measurement reads would be a limit that is never checked.
check_lines() {
	number=0
	while read -r when rest; do
		number=$((number + 1))
		case $when in
		'' | '#'* | rate | saturation) ;;
		*) fail "$URT_BUDGET, line $number: expected rate or saturation, not \"$when\"" ;;
		esac
	done <"$URT_BUDGET"
}

[ -n "${URT_COMMAND-}" ] || fail "URT_COMMAND is not set: how is the server started?"
[ -n "${URT_URL-}" ] || fail "URT_URL is not set: what is asked for?"
[ -r "${URT_BUDGET-}" ] || fail "URT_BUDGET: cannot read \"${URT_BUDGET-}\""
mkdir -p "$URT_OUT"
check_lines
$sudo "$URT" stat --json -- true 2>&1 >/dev/null | grep -q '"source":"bpf"' || {
	children=
	echo "::warning::no BPF here (urt doctor says why): the server's child processes" \
		"are not counted, nor system calls; a budget can hold kernel.reads/op" \
		"and kernel.writes/op (read, write and the like, but not recv and send)," \
		"kernel.voluntary/op and cpu/op"
}
start_server
measure rate --rate "$URT_RATE"
measure saturation
exit $code
