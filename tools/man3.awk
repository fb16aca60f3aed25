# SPDX-License-Identifier: MIT
# Manual pages of section 3 from a header: uring_rt.3 (of urt_tls.h: uring_rt_tls.3)
# from its opening comment, and a page for each group of declarations, from the
# comment above it. Each further function of a group is a link to that page.
#
#	awk -v dir=DIRECTORY -f tools/man3.awk uring_rt/urt.h

function roff(s) {
	gsub(/\\/, "\\e", s)
	gsub(/-/, "\\-", s)
	if (s ~ /^[.']/)
		s = "\\&" s
	return s
}

# The text of a comment: paragraphs are filled, lists and code are not.
function text(s,   n, line, i) {
	n = split(s, line, "\n")
	for (i = 1; i <= n; i++) {
		if (line[i] == "")
			print ".PP" >file
		else if (line[i] ~ /^ +- /) {
			sub(/^ +- /, "", line[i])
			print ".IP \\(bu 2\n" roff(line[i]) >file
		} else if (line[i] ~ /^\t/) {
			sub(/^\t/, "", line[i])
			print ".br\n.RS 4\n" roff(line[i]) "\n.RE" >file
		} else {
			sub(/^ +/, "", line[i])
			print roff(line[i]) >file
		}
	}
}

function head(name, all, what) {
	file = dir "/" name ".3"
	printf ".TH %s 3 \"\" \"uring_rt\" \"Library Functions\"\n", \
		toupper(name) >file
	printf ".SH NAME\n%s \\- %s\n", all, roff(what) >file
	print ".SH SYNOPSIS\n.nf\n#include <" header ">\n" >file
}

function tail(name) {
	print ".SH ERRORS\nResults are \\-errno where they are below 0;" >file
	print "errno says nothing. Where a call takes a deadline," >file
	print "\\-ETIME is that it passed; a call that may suspend returns" >file
	print "\\-ECANCELED in a coroutine that was cancelled." >file
	print ".SH SEE ALSO\n.BR " overview " (3)" >file
	close(file)
}

# One page for the declarations since the last blank line.
function page(   names, n, i, seen, rest, name, all) {
	rest = declaration
	while (match(rest, /urt_[a-z0-9_]+\(/)) {
		name = substr(rest, RSTART, RLENGTH - 1)
		if (!(name in seen)) {
			seen[name] = 1
			names[++n] = name
		}
		rest = substr(rest, RSTART + RLENGTH)
	}
	if (!n)
		return
	all = names[1]
	for (i = 2; i <= n; i++)
		all = all ", " names[i]
	head(names[1], all, section)
	gsub(/URT_API /, "", declaration)
	print roff(declaration) ".fi\n.SH DESCRIPTION" >file
	text(comment != "" ? comment : section_comment)
	tail()
	for (i = 2; i <= n; i++) {
		print ".so man3/" names[1] ".3" >(dir "/" names[i] ".3")
		close(dir "/" names[i] ".3")
	}
}

function flush_page() {
	if (declaration ~ /URT_API/)
		page()
	declaration = ""
}

/^\/\* ---- / {
	flush_page()
	section = $0
	sub(/^\/\* ---- /, "", section)
	sub(/ -+ \*\/$/, "", section)
	comment = section_comment = ""
	next
}
/^\/\*/ {
	flush_page()
	in_comment = 1
	comment = ""
}
in_comment {
	line = $0
	ends = line ~ /\*\/$/
	sub(/^\/\* ?/, "", line)
	sub(/ ?\*\/$/, "", line)
	sub(/^ \*/, "", line)
	sub(/^ /, "", line)
	if (!(comment == "" && line == ""))
		comment = comment line "\n"
	if (ends) {
		in_comment = 0
		sub(/\n+$/, "", comment)
		if (!intro && comment ~ /^urt[a-z_]*\.h - /) {
			intro = 1
			header = comment
			sub(/ - .*/, "", header)
			overview = header == "urt.h" ? "uring_rt" : "uring_rt_" substr(header, 5, length(header) - 6)
			section = comment
			sub(/^[^-]* - /, "", section)
			sub(/[,:.].*/, "", section)
			head(overview, overview, section)
			print ".fi\n.SH DESCRIPTION" >file
			text(comment)
			print ".SH SEE ALSO\n.BR urt (1),\n.BR urt_run (3)" >file
			close(file)
		}
		if (section_comment == "")
			section_comment = comment
	}
	next
}
/^#/ { next }
/^$/ { flush_page(); comment = ""; next }
section != "" { declaration = declaration $0 "\n" }
END { flush_page() }
