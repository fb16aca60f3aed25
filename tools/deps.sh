#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs the packages that the build, the tests and the demo need, with the
# system's own package manager. Without root, prints the command instead.
#
#   tools/deps.sh          all, including the languages that the demo compares
#   tools/deps.sh minimal  without these languages: their models are skipped
set -eu

# The languages' packages for a package manager, from the table of languages.
languages() {
	sed -n 's/.*\.packages = "\(.*\)".*/\1/p' \
		"$(dirname "$0")/service/language.c" | tr ' ' '\n' |
		sed -n "s/^$1://p"
}

if command -v apt-get >/dev/null; then
	install="apt-get install -y --no-install-recommends"
	refresh="apt-get update"
	packages="make gcc g++ libc6-dev clang clang-format pkg-config strace
		liburing-dev libbpf-dev check libjansson-dev libelf-dev zlib1g-dev
		libprotobuf-c-dev protobuf-c-compiler libssl-dev openssl curl python3-jsonschema"
	# bpftool is a package of its own on Debian, part of the kernel's tools on Ubuntu.
	if grep -qi '^ID=ubuntu' /etc/os-release; then
		packages="$packages linux-tools-common linux-tools-generic"
	else
		packages="$packages bpftool"
	fi
	[ "${1-}" = minimal ] || packages="$packages $(languages apt)"
	present() { dpkg-query -W -f '${Status}\n' "$1" 2>/dev/null |
		grep -q 'ok installed'; }
elif command -v dnf >/dev/null; then
	install="dnf install -y"
	refresh=true
	packages="make gcc gcc-c++ clang clang-tools-extra pkgconf-pkg-config strace
		liburing-devel libbpf-devel bpftool check-devel jansson-devel
		elfutils-libelf-devel zlib-devel protobuf-c-devel
		protobuf-c-compiler openssl-devel openssl curl python3-jsonschema"
	[ "${1-}" = minimal ] || packages="$packages $(languages dnf)"
	present() { rpm -q "$1" >/dev/null 2>&1; }
elif command -v pacman >/dev/null; then
	install="pacman -S --needed --noconfirm"
	refresh=true
	packages="make gcc clang pkgconf strace liburing libbpf bpf check jansson
		libelf zlib protobuf-c openssl curl python-jsonschema"
	[ "${1-}" = minimal ] || packages="$packages $(languages pacman)"
	present() { pacman -Q "$1" >/dev/null 2>&1; }
else
	echo "deps: no apt-get, dnf or pacman here; install by hand: make, gcc," \
		"clang, pkg-config, strace, bpftool and the development files" \
		"of liburing, libbpf, Check, jansson, libelf, zlib and protobuf-c" >&2
	exit 1
fi

missing=
for p in $packages; do
	case $p in
	nodejs) command -v node >/dev/null && continue ;;
	golang-go | golang | go) command -v go >/dev/null && continue ;;
	python3 | python) command -v python3 >/dev/null && continue ;;
	cargo | rust) command -v cargo >/dev/null && continue ;;
	esac
	present "$p" || missing="$missing $p"
done

# A language that the distribution lacks is left out, and its models are skipped:
# Debian 12 has no JDK with virtual threads.
if [ -n "$missing" ] && [ "${1-}" != minimal ] &&
	command -v apt-cache >/dev/null; then
	all=$missing
	missing=
	for p in $all; do
		case " $(languages apt | tr '\n' ' ') " in
		*" $p "*)
			apt-cache show "$p" >/dev/null 2>&1 || {
				echo "deps: $p is not in this distribution" >&2
				continue
			} ;;
		esac
		missing="$missing $p"
	done
fi
if [ -z "$missing" ]; then
	echo "deps: all packages are installed"
	exit 0
fi
if [ "$(id -u)" != 0 ]; then
	echo "deps: missing packages; run: sudo $install$missing" >&2
	exit 1
fi
echo "deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if ! { $refresh && $install $missing; } >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	echo "deps: could not install; the whole log is in $log" >&2
	exit 1
fi
rm -f "$log"
