#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# usage: instructions.sh CORE_BENCH COMPILER [--print]
# Counts the instructions of the core's hot commands (callgrind) and compares them with
# instructions.txt: a count does not depend on what else the machine does. Only the program's own code
# counts, not libc or Nettle, whose code follows the processor. --print: lines for instructions.txt.
set -euo pipefail

bench=${1:?usage: instructions.sh CORE_BENCH COMPILER [--print]}
compiler=${2:?usage: instructions.sh CORE_BENCH COMPILER [--print]}
baselines=$(dirname "$0")/instructions.txt
skip=77

if ! command -v valgrind >/dev/null || ! command -v callgrind_annotate >/dev/null; then
    echo "skipped: valgrind is not installed"
    exit $skip
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What is counted, and how often each is called in 1,000 pairs (1,100 with the warm-up).
pairs=1000
declare -A calls=([core_reserve]=1200 [core_settle]=990 [core_release]=110 [core_extend]=110
                  [core_ahead]=160 [proto_command_get]=1 [proto_result_put]=1 [core_machine_apply]=1)

own_instructions() { # FUNCTION: with all it calls
    valgrind --tool=callgrind --callgrind-out-file="$work/out" --toggle-collect="$1" \
        "$bench" --orgs 20 --keys 80 --pairs $pairs --mixed >"$work/log" 2>&1 || {
        cat "$work/log"
        return 1
    }
    callgrind_annotate --threshold=100 --auto=no "$work/out" |
        awk -v object="/$(basename "$bench")]" '
            /^ *[0-9,]+ \(/ && index($0, object) { gsub(",", "", $1); sum += $1 } END { print sum + 0 }'
}

names=$(printf '%s\n' "${!calls[@]}" | sort)
if [ "${3:-}" = --print ]; then
    for name in $names; do
        echo "$compiler $name $(own_instructions "$name")"
    done
    exit 0
fi

# A compiler that has no lines of its own is held to gcc-12's, loosely.
with=$compiler tolerance=3
if ! grep -q "^$compiler " "$baselines"; then
    with=gcc-12 tolerance=20
    echo "no baseline for $compiler: compared with $with"
fi
status=0
for name in $names; do
    wanted=$(awk -v c="$with" -v n="$name" '$1 == c && $2 == n { print $3 }' "$baselines")
    if [ -z "$wanted" ]; then
        echo "$name: no baseline in instructions.txt"
        status=1
        continue
    fi
    got=$(own_instructions "$name")
    percent=$(awk -v g="$got" -v w="$wanted" 'BEGIN { printf "%+.1f", (g / w - 1) * 100 }')
    echo "$name: $got instructions, baseline $wanted ($percent %)"
    if awk -v p="$percent" -v t=$tolerance 'BEGIN { exit !(p > t) }'; then
        echo "$name: more than $tolerance % above the baseline. If that is meant: instructions.sh" \
            "CORE_BENCH $compiler --print, and say why in the commit"
        status=1
    elif awk -v p="$percent" -v t=$tolerance 'BEGIN { exit !(p < -t) }'; then
        echo "$name: fewer than before; write the new figure into instructions.txt"
    fi
done
exit $status
