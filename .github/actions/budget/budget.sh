#!/bin/sh
# SPDX-License-Identifier: MIT
# Holds a server to a budget of context switches, system calls and io_uring
# operations for each request. The steps of the action beside this file, and of
# any other pipeline: all it needs is `urt`.
#
#   URT_COMMAND      starts the server; it must not go to the background
#   URT_URL          what is asked for
#   URT_BUDGET       file of the budget; one line each: WHEN FIGURE COMPARISON
#                    LIMIT, WHEN being "rate" or "saturation", LIMIT a number or,
#                    as 1.1x, so many times the baseline's figure
#   URT_BASELINE     directory with the figures of an earlier run (URT_OUT of
#                    that run), or empty
#   URT_RATE         requests/s of the first measurement (default 1000); batching
#                    makes figures depend on the load, so there are two
#   URT_CONNECTIONS  default 64
#   URT_SECONDS      of each measurement; default 5
#   URT_OUT          directory for the results; default urt-budget
#   URT              the command; default urt
#
# Exit status 3 where the budget is not kept, 1 where it could not be measured.
set -eu
: "${URT:=urt}" "${URT_RATE:=1000}" "${URT_CONNECTIONS:=64}" "${URT_SECONDS:=5}"
: "${URT_OUT:=urt-budget}" "${URT_BASELINE:=}"
summary=${GITHUB_STEP_SUMMARY:-/dev/null}
server=
code=0

# BPF needs root; without it, figures come from perf events or /proc.
sudo=
[ "$(id -u)" = 0 ] || ! sudo -n true 2>/dev/null || sudo="sudo -n"

stop() { [ -z "$server" ] || kill "$server" 2>/dev/null || :; }
trap stop EXIT

fail() {
	echo "::error::$*"
	exit 1
}

start_server() {
	sh -c "exec $URT_COMMAND" >"$URT_OUT/server.log" 2>&1 &
	server=$!
	"$URT" load --wait 30 -c 1 -n 1 "$URT_URL" >/dev/null || {
		tail -n 5 "$URT_OUT/server.log" >&2
		fail "the server did not answer at $URT_URL within 30 s"
	}
	"$URT" load -c "$URT_CONNECTIONS" -d 2 "$URT_URL" >/dev/null ||
		fail "the server failed while warming up"
}

# measure WHEN [OPTION ...]: figures into URT_OUT/WHEN.tsv, a line each: figure,
# value, unit, value for each request, and where it came from.
measure() {
	when=$1
	shift
	rm -f "$URT_OUT/ops"
	$sudo "$URT" stat -p "$server" --ops-from "file:$URT_OUT/ops" -x '	' \
		-o "$URT_OUT/$when.raw" -- \
		"$URT" load -c "$URT_CONNECTIONS" -d "$URT_SECONDS" \
		--ops-file "$URT_OUT/ops" "$@" "$URT_URL" >"$URT_OUT/$when.load" ||
		fail "$when: the measurement failed"
	awk -F '\t' -v OFS='\t' '{ print $3, $1, $2, $5, $4 }' \
		"$URT_OUT/$when.raw" >"$URT_OUT/$when.tsv"
	rm -f "$URT_OUT/$when.raw"
}

# value FILE FIGURE: FIGURE may end in /op. Nothing where it is not known.
value() {
	awk -F '\t' -v f="${2%/op}" -v op="$2" '
		$1 == f { print op ~ /\/op$/ ? $4 : $2 }' "$1" 2>/dev/null
}

# One line of the budget; its number is for the annotation.
check_line() {
	number=$1 when=$2 figure=$3 comparison=$4 limit=$5
	got=$(value "$URT_OUT/$when.tsv" "$figure")
	case $limit in
	*x)
		was=$(value "${URT_BASELINE:-/nonexistent}/$when.tsv" "$figure")
		if [ -z "$was" ]; then
			echo "| $when | $figure | ${got:-n/a} | no baseline yet | - |" >>"$summary"
			return 0
		fi
		limit=$(awk -v a="${limit%x}" -v b="$was" 'BEGIN { print a * b }')
		;;
	esac
	verdict=$(awk -v a="$got" -v how="$comparison" -v b="$limit" 'BEGIN {
		if (a == "" || a !~ /^[0-9.e+-]+$/) print "not measured"
		else print (how == "<" && a + 0 < b + 0) || (how == "<=" && a + 0 <= b + 0) ||
			(how == ">" && a + 0 > b + 0) || (how == ">=" && a + 0 >= b + 0) ||
			(how == "==" && a + 0 == b + 0) ? "kept" : "broken"
	}')
	echo "$verdict: $when: $figure $comparison $limit (it is ${got:-n/a})"
	echo "| $when | $figure | ${got:-n/a} | $comparison $limit | $verdict |" >>"$summary"
	[ "$verdict" = kept ] && return 0
	echo "::error file=$URT_BUDGET,line=$number::$verdict: at $when, $figure is ${got:-n/a}; the budget says $comparison $limit"
	code=3
}

check_budget() {
	printf '| load | figure | measured | budget | |\n|---|---|--:|---|---|\n' >>"$summary"
	number=0
	while read -r when figure comparison limit rest; do
		number=$((number + 1))
		case $when in
		'' | '#'*) continue ;;
		rate | saturation) ;;
		*) fail "$URT_BUDGET, line $number: expected rate or saturation, not \"$when\"" ;;
		esac
		case $comparison in
		'<' | '<=' | '>' | '>=' | '==') ;;
		*) fail "$URT_BUDGET, line $number: expected < <= > >= or ==, not \"$comparison\"" ;;
		esac
		[ -n "$limit" ] && [ -z "${rest%%#*}" ] ||
			fail "$URT_BUDGET, line $number: expected one limit"
		check_line "$number" "$when" "$figure" "$comparison" "$limit"
	done <"$URT_BUDGET"
}

# The figures for each request, beside those of the baseline.
print_table() {
	printf '\n| load | for each request | now | before | difference |\n|---|---|--:|--:|--:|\n'
	for when in rate saturation; do
		for figure in switches voluntary involuntary syscalls submitted cpu; do
			now=$(value "$URT_OUT/$when.tsv" "$figure/op")
			was=$(value "${URT_BASELINE:-/nonexistent}/$when.tsv" "$figure/op")
			[ -n "$now" ] || continue
			awk -v w="$when" -v f="$figure" -v n="$now" -v b="$was" 'BEGIN {
				printf "| %s | %s | %s | %s | %s |\n", w, f, n, b == "" ? "-" : b,
				b + 0 ? sprintf("%+.1f %%", 100 * (n - b) / b) : "-"
			}'
		done
	done
}

# All figures as one document, for whoever reads it by machine.
write_json() {
	awk -F '\t' '
		function number(s) { return s ~ /^-?[0-9.]+(e[+-]?[0-9]+)?$/ ? s : "null" }
		FNR == 1 {
			n = split(FILENAME, part, "/")
			sub(/\.tsv$/, "", part[n])
			printf "%s\"%s\":{", files++ ? "}," : "{\"schema\":\"urt.budget.v1\",", part[n]
		}
		{
			printf "%s\"%s\":{\"value\":%s,\"per_request\":%s,\"source\":\"%s\"}",
				(FNR > 1) ? "," : "", $1, number($2), number($4), $5
		}
		END { print "}}" }' "$URT_OUT/rate.tsv" "$URT_OUT/saturation.tsv" \
		>"$URT_OUT/budget.json"
}

[ -n "${URT_COMMAND-}" ] || fail "URT_COMMAND is not set: how is the server started?"
[ -n "${URT_URL-}" ] || fail "URT_URL is not set: what is asked for?"
[ -r "${URT_BUDGET-}" ] || fail "URT_BUDGET: cannot read \"${URT_BUDGET-}\""
mkdir -p "$URT_OUT"
start_server
measure rate --rate "$URT_RATE"
measure saturation
check_budget
print_table | tee -a "$summary"
write_json
exit $code
