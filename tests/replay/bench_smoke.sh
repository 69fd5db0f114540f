#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# holdfast-bench against the mock and against a ledger of one node: it measures, its exit codes are
# right, and its record of acknowledged commands is what replay finds in the log (F44).
# usage: bench_smoke.sh FOLDER_OF_PROGRAMS
set -euo pipefail
bin=$(cd "$1" && pwd)
dir=$(mktemp -d)
pids=()
finish() {
    [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
    wait || true
    rm -rf "$dir"
}
trap finish EXIT
fail() {
    echo "bench smoke: $*" >&2
    exit 1
}
# field NAME: a whole number of the JSON object on stdin, by its first appearance.
field() {
    grep -oE "\"$1\":[0-9]+" | head -1 | cut -d: -f2
}
# status WANTED COMMAND...: its exit code.
status() {
    local want=$1 got=0
    shift
    "$@" >"$dir/out" 2>&1 || got=$?
    [ "$got" = "$want" ] || fail "exit $got, not $want: $* ($(head -c 300 "$dir/out"))"
}

export HOLDFAST_API_KEY=none
"$bin/holdfast-mock" --port-file "$dir/port" >/dev/null &
pids+=($!)
deadline=$((SECONDS + 10))
until [ -s "$dir/port" ]; do
    [ $SECONDS -lt $deadline ] || fail "the mock does not start"
done
url=http://127.0.0.1:$(cat "$dir/port")
for mode in "--clients 4" "--clients 4 --rate 200" "--clients 8 --threads 2 --stream"; do
    # shellcheck disable=SC2086
    "$bin/holdfast-bench" http --url "$url" $mode --seconds 0.5 --warmup 0.1 --json >"$dir/out"
    [ "$(field calls <"$dir/out")" -gt 0 ] || fail "no calls with $mode: $(cat "$dir/out")"
done
status 1 "$bin/holdfast-bench" http --url http://127.0.0.1:1 --seconds 0.2 --warmup 0
status 2 "$bin/holdfast-bench" http --url gopher://x --seconds 0.2
status 2 "$bin/holdfast-bench" ledger --config "$dir/missing" --seconds 0.2
status 2 "$bin/holdfast-bench" what

"$bin/holdfastctl" init --out "$dir/ledger" --nodes 1 --edges 1 --ports auto >/dev/null
"$bin/holdfast-ledger" --config "$dir/ledger/node-1.conf" --init-if-empty 2>"$dir/node.log" &
node=$!
pids+=($node)
"$bin/holdfastctl" status --wait 20 --config "$dir/ledger/ctl.conf" >/dev/null || fail "$(tail -3 "$dir/node.log")"
"$bin/holdfast-bench" ledger --config "$dir/ledger/ctl.conf" --orgs 2 --keys-per-org 3 --clients 8 \
    --seconds 2 --warmup 0.1 --population smoke --record "$dir/record" --json >"$dir/out"
[ "$(field cycles <"$dir/out")" -gt 0 ] || fail "no cycles: $(cat "$dir/out")"
status 2 "$bin/holdfast-bench" ledger --config "$dir/ledger/ctl.conf" --orgs 2 --keys-per-org 3 \
    --population smoke --seconds 0.2
"$bin/holdfast-replay" --data "$dir/ledger/data/node-1" --json >"$dir/out" || fail "live: $(cat "$dir/out")"
kill "$node"
wait "$node" || fail "the node: $(tail -3 "$dir/node.log")"
"$bin/holdfast-replay" --data "$dir/ledger/data/node-1" --log >"$dir/log" || fail "$(tail -3 "$dir/log")"

# Every acknowledged command stands once, where the record says, with the code it says.
tail -n +2 "$dir/record" | awk -F, '$8 == 0 {print $1, $4, $7, $3}' | sort >"$dir/acknowledged"
sed -nE 's/^\{"index":([0-9]+),"ordinal":([0-9]+),.*"head":\{"kind":[0-9]+,"id":"([^"]+)".*"result":\{"code":"([A-Z_]+)","flags":0.*/\3 \1 \2 \4/p' \
    "$dir/log" | sort >"$dir/logged"
[ -s "$dir/acknowledged" ] || fail "the record is empty"
lost=$(comm -23 "$dir/acknowledged" "$dir/logged" | head -3)
[ -z "$lost" ] || fail "not in the log as acknowledged: $lost"
doubled=$(cut -d' ' -f1 "$dir/logged" | uniq -d | head -3)
[ -z "$doubled" ] || fail "twice in the log: $doubled"
echo "bench smoke: $(wc -l <"$dir/acknowledged") acknowledged commands are in the log, once each"
