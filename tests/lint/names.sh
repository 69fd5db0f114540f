#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What must stand in no file of the repository: hosts of package registries and mirrors (the
# machine's own configuration names them), paths of somebody's machine, and unfinished marks.
# This folder is left out, because it names them to find them.
set -euo pipefail
. "$(dirname "$0")/files.sh"

status=0
# find_all WHAT PATTERN: offences, one a line.
find_all() {
    local hits
    hits=$(cd "$lint_root" && lint_files | grep -v '^tests/lint/' |
        xargs -r -d '\n' grep -nHIoE "$2" || true)
    if [ -n "$hits" ]; then
        printf '%s\n' "$hits" | sed "s|\$| ($1)|"
        status=1
    fi
}

find_all 'host of a registry or mirror' \
    'registry\.npmjs|(deb|security|snapshot|ftp\.[a-z]+)\.debian\.org|pypi\.org|pythonhosted|crates\.io|nodesource\.com|proxy\.golang'
find_all 'lock file with resolved hosts' '"resolved": *"https?:'
find_all 'path of one machine' '(^|[^A-Za-z0-9_.])/(work|tmp/hf|home/[a-z]+|root)/[A-Za-z0-9_.-]*'
find_all 'unfinished' '\b(TODO|FIXME)\b'
exit $status
