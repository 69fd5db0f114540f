#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every source file says its licence: C files in their first line, scripts and build files in one
# of the first three.
set -euo pipefail
. "$(dirname "$0")/files.sh"

status=0
cd "$lint_root"
while IFS= read -r file; do
    mark='SPDX-License-Identifier: Apache-2.0' lines=3
    case $file in
    *.c | *.h) mark="/[*] $mark" lines=1 ;;
    *.sh | *.mjs | *.js | *.cmake | */CMakeLists.txt | CMakeLists.txt) ;;
    *) head -c 2 "$file" | tr -d '\0' | grep -q '^#!' || continue ;;
    esac
    if ! head -n $lines "$file" | grep -q "$mark"; then
        echo "$file:1: no line with SPDX-License-Identifier: Apache-2.0 in the first $lines"
        status=1
    fi
done < <(lint_files)
exit $status
