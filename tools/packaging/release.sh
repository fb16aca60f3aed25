#!/bin/sh
# SPDX-License-Identifier: MIT
# Collects the results of `make deb` and `make static` for a release in
# build/packages/release: the Debian packages as one archive, and the static command
# with its bill of materials. The names of the files say for which system they are.
#
#   tools/packaging/release.sh debian-12-amd64
set -eu
cd "$(dirname "$0")/../.."
for=$1
version=$(make -s version)
out=build/packages/release
mkdir -p "$out"
tar -C build/packages/deb --sort=name --owner=0 --group=0 --numeric-owner \
	--mtime="@$(git log -1 --format=%ct)" -cf - \
	$(cd build/packages/deb && ls ./*.deb) | gzip -n >"$out/urt-$version-$for-packages.tar.gz"
if [ -x build/static/urt ]; then
	name=urt-$version-static-${for##*-}
	cp build/static/urt "$out/$name"
	sh tools/packaging/sbom.sh "$version" build/static/urt.map >"$out/$name.spdx.json"
fi
ls "$out"
