#!/bin/sh
# SPDX-License-Identifier: MIT
# The floors of uring_rt/ and tools/. A file includes only files of its own room
# and of rooms on floors below it; rooms on the same floor do not include each
# other. Below, each line names the rooms of one floor, the lowest floor first;
# a file and its header can be a room, too.
cd "$(dirname "$0")/../.." || exit 1

# Prints FILE INCLUDED for every quoted include, both paths from the top of the tree.
includes() {
	grep -roE '^#include "[^"]+"' --include='*.[ch]' "$1" | awk -F: '{
		dir = $1
		sub(/\/[^\/]*$/, "", dir)
		gsub(/^#include "|"$/, "", $2)
		n = split(dir "/" $2, part, "/")
		path = ""
		for (i = 1; i <= n; i++) {
			if (part[i] == "..")
				sub(/\/?[^\/]*$/, "", path)
			else
				path = path (path == "" ? "" : "/") part[i]
		}
		print $1, path
	}'
}

floors() {
	includes "$1" | awk -v top="$1" -v list="$2" '
	# The longest name of a room that the path lies in.
	function room(path,   r, best) {
		for (r in floor)
			if ((index(path, top "/" r "/") == 1 ||
			     index(path, top "/" r ".") == 1) && length(r) > length(best))
				best = r
		return best
	}
	BEGIN {
		n = split(list, line, "\n")
		for (i = 1; i <= n; i++) {
			m = split(line[i], word, " ")
			for (j = 1; j <= m; j++)
				floor[word[j]] = i
		}
	}
	index($2, top "/") == 1 {
		from = room($1)
		to = room($2)
		if (from == "" || to == "") {
			print "floors: " (from == "" ? $1 : $2) " is in no room: " \
				"name it in tests/lib/check_floors.sh"
			bad = 1
		} else if (from != to && floor[to] >= floor[from]) {
			print "floors: " $1 " includes " $2 ", which is not below it"
			bad = 1
		}
	}
	END { exit bad }' >&2
}

bad=0
floors uring_rt 'urt
urt_tls
base
exec
ring
sched sim
wait
sync
net
watch
tls
examples' || bad=1
floors tools 'lib
measure
load service/http
service/server
service
stat demo/results
assist bench compare doctor dump export profile record sim top demo/measure demo/judge demo/show
demo
main' || bad=1
exit $bad
