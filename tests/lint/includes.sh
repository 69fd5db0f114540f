#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Dependencies run one way: proto <- ledger/core <- ledger; proto <- edge; tools -> proto. Reads
# every quoted #include and judges it by the table below: the longest folder that holds the
# including file says which folders (or file-name beginnings) it may include from.
set -euo pipefail
. "$(dirname "$0")/files.sh"

declare -A allowed=(
    [proto/]='proto/'
    [ledger/core/]='proto/ ledger/core/'
    [ledger/]='proto/ ledger/'
    [edge/]='proto/ edge/'
    [tools/]='proto/ tools/'
    [tools/mock/]='proto/ tools/ edge/http/'              # the provider speaks HTTP as the edge does
    [tools/replay/]='proto/ tools/ ledger/core/ ledger/store/' # re-executes a node's own log
    [tests/]='proto/ ledger/ edge/ tools/ tests/'
)

# rule_for FILE: the longest folder of the table that holds it.
rule_for() {
    local folder=${1%/*}/
    while [ -z "${allowed[$folder]:-}" ]; do
        [[ $folder == */*/ ]] || return 1
        folder=${folder%/}
        folder=${folder%/*}/
    done
    printf '%s' "$folder"
}

# target_of FILE INCLUDED: the included file's path from the root.
target_of() {
    case $2 in
    proto/* | ledger/* | edge/* | tools/* | tests/*) printf '%s' "$2" ;;
    *) realpath -ms --relative-to=/ "/${1%/*}/$2" ;;
    esac
}

status=0
while IFS=: read -r file line text; do
    included=${text#*\"}
    included=${included%%\"*}
    target=$(target_of "$file" "$included")
    if ! rule=$(rule_for "$file"); then
        echo "$file:$line: no folder of the dependency table holds this file"
        status=1
        continue
    fi
    fits=no
    for prefix in ${allowed[$rule]}; do
        [[ $target == "$prefix"* ]] && fits=yes
    done
    if [ $fits = no ]; then
        echo "$file:$line: $rule may not include $target (only: ${allowed[$rule]})"
        status=1
    fi
done < <(cd "$lint_root" && lint_files | grep -E '\.[ch]$' |
    xargs -r -d '\n' grep -nHE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' || true)
exit $status
