#!/bin/sh
# SPDX-License-Identifier: MIT
# Man pages and completions of urt, from the one place where its commands and
# options are described: what `urt help` prints.
#
#   tools/man.sh URT man DIR         urt.1 and urt-COMMAND.1 into DIR
#   tools/man.sh URT bash|zsh|fish   a completion, to stdout
set -eu
urt=$1
commands=$("$urt" help | sed -n 's/^  \([a-z]*\)  *.*/\1/p')

options() {
	"$urt" help "$1" | grep -oE -- '(^|[ ,|])--?[a-zA-Z][a-z-]*' |
		tr -d ' ,|' | sort -u
}

# One page: its name, what it is, and a text that is shown as it stands.
page() {
	printf '.TH %s 1 "" "urt" "User Commands"\n' \
		"$(echo "$1" | tr a-z A-Z)"
	printf '.SH NAME\n%s \\- %s\n.SH SYNOPSIS\n.nf\n' "$1" "$2"
	roff | awk '
		!sep && /^$/ { sep = 1; print ".fi\n.SH DESCRIPTION\n.nf"; next }
		{ sub(/^usage: /, ""); print }
		END { if (!sep) print ".fi\n.SH DESCRIPTION\n.nf" }'
	printf '.fi\n.SH EXIT STATUS\n0: fine. 1: it failed, or was used '
	printf 'wrongly. 3: an assertion failed.\nA program that urt runs '
	printf 'passes its own exit status on.\n'
}

roff() { sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^\([.']\)/\\\\\&\1/"; }

case $2 in
man)
	"$urt" help | page urt "measures what programs ask of the kernel" \
		>"$3/urt.1"
	"$urt" help environment | page urt-environment \
		"environment variables of uring_rt and urt" \
		>"$3/urt-environment.1"
	for c in $commands; do
		what=$("$urt" help | sed -n "s/^  $c  *//p")
		"$urt" help "$c" | page "urt-$c" "$what" >"$3/urt-$c.1"
	done
	;;
bash)
	echo '# Completion of urt for bash.'
	printf '_urt() {\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} words=\n'
	printf '\tif [ "$COMP_CWORD" = 1 ]; then\n\t\twords="%s"\n' \
		"$(echo $commands help)"
	printf '\telse case ${COMP_WORDS[1]} in\n'
	for c in $commands; do
		printf '\t%s) words="%s" ;;\n' "$c" "$(echo $(options "$c"))"
	done
	printf '\thelp) words="%s" ;;\n\tesac; fi\n' "$(echo $commands)"
	printf '\tCOMPREPLY=($(compgen -W "$words" -- "$cur"))\n}\n'
	echo 'complete -o default -F _urt urt'
	;;
zsh)
	printf '#compdef urt\n# Completion of urt for zsh.\n'
	printf 'if (( CURRENT == 2 )); then\n\tcompadd -- %s\nelse\n' \
		"$(echo $commands help)"
	printf '\tcase $words[2] in\n'
	for c in $commands; do
		printf '\t%s) compadd -- %s; _files ;;\n' "$c" \
			"$(echo $(options "$c"))"
	done
	printf '\thelp) compadd -- %s ;;\n\tesac\nfi\n' "$(echo $commands)"
	;;
fish)
	echo '# Completion of urt for fish.'
	for c in $commands help; do
		printf "complete -c urt -n __fish_use_subcommand -f -a %s\n" "$c"
	done
	for c in $commands; do
		for o in $(options "$c"); do
			case $o in
			--*) kind="-l ${o#--}" ;;
			*) kind="-s ${o#-}" ;;
			esac
			printf "complete -c urt -n '%s %s' %s\n" \
				"__fish_seen_subcommand_from" "$c" "$kind"
		done
	done
	;;
esac
