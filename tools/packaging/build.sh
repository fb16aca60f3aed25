#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds packages from the files that git tracks, in build/packages.
#
#   tools/packaging/build.sh deb VERSION      Debian packages, by dpkg-buildpackage
#   tools/packaging/build.sh rpm VERSION      RPM packages, by rpmbuild
#   tools/packaging/build.sh source VERSION   the source archive that both start from
#
# The same commit gives the same bytes: times are those of the commit, names of
# directories are mapped away, and the eBPF programs are compiled against
# bpf/vmlinux_min.h and not against the kernel that happens to run here.
set -eu
cd "$(dirname "$0")/../.."
what=$1 version=$2
out=$PWD/build/packages
name=uring-rt-$version
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}"

need() {
	command -v "$1" >/dev/null || {
		echo "$1 is missing: as root, apt-get install $2" >&2
		exit 1
	}
}

source_archive() {
	mkdir -p "$out"
	git ls-files -z | tar --null -T - --transform "s|^|$name/|" --sort=name \
		--owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
		-cf - | gzip -n >"$out/$name.tar.gz"
	echo "$out/$name.tar.gz"
}

# A single entry; the list of changes is in .github/CHANGELOG.md.
debian_changelog() {
	printf 'uring-rt (%s) unstable; urgency=medium\n\n' "$version"
	printf '  * Changes: .github/CHANGELOG.md of the source.\n\n'
	printf ' -- uring_rt maintainers <maintainers@users.noreply.uring-rt.example>  %s\n' \
		"$(date -u -d "@$SOURCE_DATE_EPOCH" '+%a, %d %b %Y %H:%M:%S +0000')"
}

deb() {
	need dpkg-buildpackage build-essential
	need dh debhelper
	work=$out/deb
	rm -rf "$work"
	mkdir -p "$work"
	tar -xzf "$(source_archive)" -C "$work"
	cp -r tools/packaging/debian "$work/$name/debian"
	debian_changelog >"$work/$name/debian/changelog"
	(cd "$work/$name" && dpkg-buildpackage -b -us -uc >"$work/log" 2>&1) || {
		tail -n 30 "$work/log" >&2
		echo "the whole log is in $work/log" >&2
		exit 1
	}
	ls "$work"/*.deb
}

rpm() {
	need rpmbuild rpm
	work=$out/rpm
	rm -rf "$work"
	mkdir -p "$work/SOURCES"
	cp "$(source_archive)" "$work/SOURCES/"
	# On a system with other packages, rpm does not know which are installed.
	nodeps=
	command rpm -q rpm >/dev/null 2>&1 || nodeps=--nodeps
	# shellcheck disable=SC2086
	rpmbuild -bb $nodeps --define "_topdir $work" --define "urt_version $version" \
		--define "source_date_epoch_from_changelog 0" \
		tools/packaging/uring_rt.spec >"$work/log" 2>&1 || {
		tail -n 30 "$work/log" >&2
		echo "the whole log is in $work/log" >&2
		exit 1
	}
	find "$work/RPMS" -name '*.rpm'
}

case $what in
deb) deb ;;
rpm) rpm ;;
source) source_archive ;;
*)
	echo "build.sh: expected deb, rpm or source, not \"$what\"" >&2
	exit 1
	;;
esac
