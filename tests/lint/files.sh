# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by the lints. Every lint is run as `NAME.sh [ROOT]`, prints one line for each offence
# (file:line: what) and exits 1 if there was any.
lint_root=$(cd "${1:-$(dirname "$0")/../..}" && pwd)

# The project's own files, relative to the root: what git knows or would take, else what is there.
lint_files() {
    if [ -e "$lint_root/.git" ]; then
        git -C "$lint_root" ls-files --cached --others --exclude-standard
    else
        (cd "$lint_root" && find . \( -name build -o -name node_modules \) -prune -o -type f -print |
            sed 's|^\./||')
    fi | sort -u | while IFS= read -r file; do
        [ ! -f "$lint_root/$file" ] || printf '%s\n' "$file"
    done
}
