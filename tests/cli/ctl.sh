#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# usage: ctl.sh HOLDFASTCTL
# F47: every command and action has its help, wrong command lines say what is wrong with status 2,
# and init makes a cluster's files once. Needs no running cluster.
set -euo pipefail

ctl=${1:?usage: ctl.sh HOLDFASTCTL}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
failures=0
fail() {
    echo "ctl: $*"
    failures=$((failures + 1))
}

# expect STATUS TEXT ARGS...: exit status, and TEXT in what it prints.
expect() {
    local want=$1 text=$2 got=0 output
    shift 2
    output=$("$ctl" "$@" 2>&1) || got=$?
    [ "$got" = "$want" ] || fail "'$*' ended with $got, not $want: $output"
    [[ $output == *"$text"* ]] || fail "'$*' did not say '$text': $output"
}

expect 0 'usage: holdfastctl COMMAND' --help
nouns=$("$ctl" --help | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p')
[ "$(wc -w <<<"$nouns")" -ge 16 ] || fail "--help names too few commands: $nouns"
for noun in $nouns; do
    expect 0 "usage: holdfastctl $noun" "$noun" --help
    if [ "$noun" = certs ]; then
        expect 0 '--json' certs --help
        continue
    fi
    for verb in $("$ctl" "$noun" --help | sed -n '/ACTION/,$s/^  \([a-z][a-z]*\) .*/\1/p'); do
        expect 0 "usage: holdfastctl $noun $verb" "$noun" "$verb" --help
        expect 0 ' --json ' "$noun" "$verb" --help
    done
done

expect 2 'say what to do'
expect 2 'unknown command: frobnicate' frobnicate
expect 2 'options come after the command: --json' --json org list
expect 0 'holdfastctl ' --version
expect 2 'unknown action: frobnicate' org frobnicate
expect 2 '--name NAME is missing' org create
expect 2 'a name is not empty' org create --name ''
expect 2 'a name is not empty' team create --org x --name ''
expect 2 "'2020-01-01' is past" key create --org x --expires 2020-01-01
expect 2 'unknown option' org list --frobnicate
expect 2 'unexpected argument' org list acme
expect 2 'dollars are written' deposit --org x --amount 12,50
expect 2 'not a UUID' adjust --org x --hold 3 --amount 1
expect 2 'not a UUIDv7' deposit --org x --amount 1 --id 3f2504e0-4f89-41d3-9a0c-0305e82c3301
expect 2 'one of org, team' budget put --org x --scope galaxy --limit 1
expect 2 'a new budget needs' budget put --org x --scope org
expect 2 'not built yet' budget put --org x --scope org --limit 1 --mode throttle
expect 2 'not built yet' budget put --org x --scope org --limit 1 --mode auto_downgrade
expect 2 'unknown option: --alerts' budget put --org x --scope org --limit 1 --alerts 50
expect 2 'unknown option: --soft' budget put --org x --scope org --limit 1 --soft 1
expect 2 '"code": "usage"' org list --frobnicate --json
expect 2 '"code": "usage"' frobnicate --json
expect 2 'No such file' org list --config "$place/none.conf"
expect 2 '"error"' org list --config "$place/none.conf" --json
expect 2 'No such file' price import "$place/none.json" --dry-run
printf '{"a": 1}' >"$place/odd.json"
expect 2 'neither the LiteLLM price map nor' price import "$place/odd.json" --dry-run
expect 0 '"uuid"' uuid --json
[[ $("$ctl" uuid) =~ ^[0-9a-f-]{36}$ ]] || fail 'uuid prints more than a UUID'

printf '{"m": {"litellm_provider": "x", "input_cost_per_token": 1e-06}}' >"$place/map.json"
expect 0 '"rows": 1' price import "$place/map.json" --dry-run --json

dir=$place/cluster
expect 0 '"cluster"' init --out "$dir" --ports auto --json
expect 0 'node-2-client.pem' certs show "$dir/certs"
expect 0 '"days_left": 82' certs show "$dir/certs" --json
expect 2 'No such file' certs show "$dir/none"
expect 2 'no .pem and no .crt' certs show "$dir/data"
expect 2 '"code": "files"' certs show "$dir/none" --json
expect 2 '"code": "usage"' certs show --json
expect 2 '"code": "usage"' certs issue --frobnicate --json
expect 2 '"code": "files"' certs issue --json --out "$dir/certs" --kind node --name node-1
expect 0 'peer_name = four.peer.holdfast' certs issue --out "$dir/certs" --kind node --name four
expect 2 'exists: init overwrites nothing' init --out "$dir"
[ "$(stat -c %a "$dir/operator.token")" = 600 ] || fail 'operator.token is readable by others'
expect 2 'exclude each other' init --out "$place/b" --ports auto --base-port 8000
expect 2 '8 numbers' init --out "$place/b" --ports 1,2,3
expect 2 'http:// or https://' init --out "$place/b" --provider-url localhost
[ ! -e "$place/b" ] || fail 'a refused init left files'
token=$(cat "$dir/operator.token")
if "$ctl" init --out "$place/c" --ports auto --json | grep -q 'op-hf-'; then fail 'init printed a token'; fi
if grep -rq --exclude operator.token -e "$token" "$dir"; then fail 'the token stands in another file'; fi

expect 3 '"quorum": false' status --config "$dir" --timeout 1 --json
expect 3 '"drift": null' status --config "$dir" --timeout 1 --json
expect 3 'no leader, 0 of 3 nodes reachable' org list --config "$dir" --timeout 1
expect 0 'bears no more losses' init --out "$place/two" --nodes 2 --ports auto
expect 0 'node-1.conf --init-if-empty' init --out "$place/one" --nodes 1 --ports auto
expect 0 '"cluster"' init --out "$place/five" --nodes 5 --ports auto --json
asked=$SECONDS
expect 3 'connection refused' status --config "$place/five" --timeout 1 --json
[ $((SECONDS - asked)) -lt 4 ] || fail "five dead nodes were asked one after the other: $((SECONDS - asked)) s"
expect 3 'not available' org list --config "$dir" --timeout 1
chmod 000 "$dir/operator.token"
[ "$(id -u)" = 0 ] || expect 2 'ermission' org list --config "$dir" --timeout 1
printf '[ledger]\nclutser = x\n' >"$dir/ctl.conf"
expect 2 'ctl.conf' status --config "$dir"

[ $failures = 0 ] || exit 1
echo 'ctl: all as expected'
