#!/bin/sh
# SPDX-License-Identifier: MIT
# The bill of materials of a static `urt`, as SPDX 2.3 JSON on stdout: the
# command, and the source package, with its version, of each library of which
# the linker took a part, as its map tells. Scanners know packages by their purl.
#
#   tools/packaging/sbom.sh VERSION build/static/urt.map
set -eu
version=$1 map=$2
made=$(date -u -d "@${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}" +%Y-%m-%dT%H:%M:%SZ)
distribution=$(. /etc/os-release && echo "$ID")
# "/usr/lib/.../libz.a(inflate.o)"; our own libraries have no absolute paths.
archives=$(sed -n 's|^\(/[^()]*\.a\)(.*|\1|p' "$map" | sort -u)
[ -n "$archives" ] || {
	echo "sbom.sh: $map names no libraries" >&2
	exit 1
}
owners=$(for a in $archives; do
	dpkg-query -S "$(realpath "$a")" || exit 1
done)
owners=$(echo "$owners" | sed 's/: .*//' | sort -u)
# shellcheck disable=SC2016,SC2086
sources=$(dpkg-query -W -f '${source:Package} ${source:Version}\n' $owners | sort -u)

package() { # name version license further members
	printf '    {"SPDXID": "SPDXRef-%s", "name": "%s", "versionInfo": "%s", "downloadLocation": "NOASSERTION", "filesAnalyzed": false, "licenseDeclared": "%s"%s}' \
		"$(echo "$1" | tr -c 'A-Za-z0-9.\n' -)" "$1" "$2" "$3" "${4-}"
}

relationship() { # from kind to
	printf '    {"spdxElementId": "SPDXRef-%s", "relationshipType": "%s", "relatedSpdxElement": "SPDXRef-%s"}' \
		"$1" "$2" "$(echo "$3" | tr -c 'A-Za-z0-9.\n' -)"
}

printf '{\n  "spdxVersion": "SPDX-2.3",\n  "dataLicense": "CC0-1.0",\n'
printf '  "SPDXID": "SPDXRef-DOCUMENT",\n  "name": "urt-%s",\n' "$version"
printf '  "documentNamespace": "https://spdx.org/spdxdocs/urt-%s-%s",\n' \
	"$version" "$(git rev-parse --short HEAD)"
printf '  "creationInfo": {"created": "%s", "creators": ["Tool: tools/packaging/sbom.sh"]},\n' "$made"
printf '  "packages": [\n'
package urt "$version" MIT
echo "$sources" | while read -r name its; do
	printf ',\n'
	purl="pkg:deb/$distribution/$name@$(echo "$its" | sed 's/:/%3A/; s/+/%2B/g')?arch=source"
	package "$name" "$its" NOASSERTION \
		", \"externalRefs\": [{\"referenceCategory\": \"PACKAGE-MANAGER\", \"referenceType\": \"purl\", \"referenceLocator\": \"$purl\"}]"
done
printf '\n  ],\n  "relationships": [\n'
relationship DOCUMENT DESCRIBES urt
echo "$sources" | while read -r name its; do
	printf ',\n'
	relationship urt STATIC_LINK "$name"
done
printf '\n  ]\n}\n'
