#!/bin/sh
# SPDX-License-Identifier: MIT
# The bill of materials of a static `urt`, as SPDX 2.3 JSON on stdout: the
# command, and each library that is linked into it, with the version and the
# source package that the distribution names.
#
#   tools/packaging/sbom.sh VERSION
set -eu
version=$1
made=$(date -u -d "@${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}" +%Y-%m-%dT%H:%M:%SZ)
libraries="libc6-dev liburing-dev libbpf-dev libelf-dev zlib1g-dev libprotobuf-c-dev"

package() { # name version license
	printf '    {"SPDXID": "SPDXRef-%s", "name": "%s", "versionInfo": "%s", "downloadLocation": "NOASSERTION", "licenseDeclared": "%s"}' \
		"$1" "$1" "$2" "$3"
}

printf '{\n  "spdxVersion": "SPDX-2.3",\n  "dataLicense": "CC0-1.0",\n'
printf '  "SPDXID": "SPDXRef-DOCUMENT",\n  "name": "urt-%s",\n' "$version"
printf '  "documentNamespace": "https://spdx.org/spdxdocs/urt-%s-%s",\n' \
	"$version" "$(git rev-parse --short HEAD)"
printf '  "creationInfo": {"created": "%s", "creators": ["Tool: tools/packaging/sbom.sh"]},\n' "$made"
printf '  "packages": [\n'
package urt "$version" MIT
for l in $libraries; do
	printf ',\n'
	# shellcheck disable=SC2016
	package "$(dpkg-query -W -f '${source:Package}' "$l")" \
		"$(dpkg-query -W -f '${Version}' "$l")" NOASSERTION
done
printf '\n  ],\n  "relationships": [\n'
printf '    {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-urt"}'
for l in $libraries; do
	# shellcheck disable=SC2016
	printf ',\n    {"spdxElementId": "SPDXRef-urt", "relationshipType": "STATIC_LINK", "relatedSpdxElement": "SPDXRef-%s"}' \
		"$(dpkg-query -W -f '${source:Package}' "$l")"
done
printf '\n  ]\n}\n'
