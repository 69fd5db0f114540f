#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# usage: ledger.sh HOLDFASTCTL HOLDFAST-SOLO
# F47, F12, F14, F21, F30, F37, F38: what holdfastctl does is done by the ledger's state machine, over
# its client port with mutual TLS.
set -euo pipefail

ctl=${1:?usage: ledger.sh HOLDFASTCTL HOLDFAST-SOLO}
solo=${2:?usage: ledger.sh HOLDFASTCTL HOLDFAST-SOLO}
place=$(mktemp -d)
failures=0
fail() {
    echo "ledger: $*"
    failures=$((failures + 1))
}

"$ctl" init --out "$place/c" --nodes 1 --edges 1 --ports auto --json >/dev/null
coproc SOLO { exec "$solo" "$place/c"; }
solo_pid=$SOLO_PID
trap 'kill "$solo_pid" 2>/dev/null || true; rm -rf "$place"' EXIT
read -r -t 20 line <&"${SOLO[0]}" && [ "$line" = ready ] || { echo 'ledger: solo did not start' && exit 1; }
export HOLDFAST_CTL_CONF=$place/c
unset HOLDFAST_ORG

# does TEXT ARGS...: succeeds and prints TEXT (JSON). refuses CODE ARGS...: status 1 and that code.
# Both leave the answer in $said.
said=
run() {
    local want=$1 text=$2 got=0
    shift 2
    said=$("$ctl" "$@" --json 2>&1) || got=$?
    [ "$got" = "$want" ] || fail "'$*' ended with $got, not $want: $said"
    [[ $said == *"$text"* ]] || fail "'$*' did not say '$text': $said"
}
does() { run 0 "$@"; }
refuses() { run 1 "\"code\": \"$1\"" "${@:2}"; }
field() { sed -n "s/.*\"$1\": \"\{0,1\}\([^\",]*\).*/\1/p" <<<"$said" | head -n 1; }

does '"operator": true' whoami
does '"quorum": true' status --wait 5

does '"name": "acme"' org create --name acme --billing-day 5 --fee-ppm 20000
org=$(field org)
does '"fee_ppm": 20000' org show --org "$org"
does '"name": "umlaut ü"' org create --name 'umlaut ü'
refuses ORG_EXISTS org create --name again --uuid "$org"
refuses ORG_UNKNOWN org show --org nobody
does '"allow_unpriced": true' org set --org acme --allow-unpriced yes
does '"billing_day": 5' org show --org acme
printf 'op-hf-nobody\n' >"$place/nobody"
refuses UNAUTHENTICATED whoami --token-file "$place/nobody"
for list in 'org list' 'audit --group'; do
    refuses UNAUTHENTICATED $list --token-file "$place/nobody"
    [[ $said != *'"orgs"'* && $said != *'"audit"'* ]] || fail "$list: a list beside the error: $said"
done
export HOLDFAST_ORG=acme

does '"available": "100.25"' deposit --amount 100.25 --reference payment-1 --reason 'first money'
refuses REFERENCE_USED deposit --amount 100.25 --reference payment-1
does '"promo_nanos": 5000000000' grant --amount 5
does '"balance_nanos": 85250000001' refund --amount 19.999999999
refuses REFUND_EXCEEDS_DEPOSITS refund --amount 1000
refuses NOT_FOUND adjust --hold "$org" --amount 1

# The same id: done once, and the first answer again.
"$ctl" uuid --json >"$place/id"
id=$(sed -n 's/.*"uuid": "\(.*\)".*/\1/p' "$place/id")
does '"duplicate": false' deposit --amount 1 --id "$id"
does '"duplicate": true' deposit --amount 1 --id "$id"
[[ $said == *'"balance": '* ]] || fail "a repetition does not tell the balance: $said"
refuses COMMAND_ID_REUSED deposit --amount 2 --id "$id"
does '"available": "81.250000001"' org show

does '"team": 1' team create --name core
does '"name": "core"' team list
does '"api_key": "sk-hf-0000' key create --team core --label web --env prod --expires 30d --models gpt-4o,gpt-5
public=$(field public) key=$(field api_key)
printf '%s\n' "$key" >"$place/key"
does '"label": "web"' whoami --token-file "$place/key"
[[ $said == *'"operator": false'* && $said == *gpt-5* ]] || fail "a key is not itself: $said"
refuses FORBIDDEN org create --name mine --token-file "$place/key"
does "\"public\": \"$public\"" key list
[[ $said != *"$key"* ]] || fail 'key list shows a secret'
does '"key": 1' key rotate --key "$public"
refuses KEY_REVOKED whoami --token-file "$place/key"
refuses TEAM_NOT_EMPTY team delete --team core
does '"revoked": true' key revoke --key 1 --reason 'left the company'
does '"team": 1' team delete --team core

does '"budget": 1' budget put --scope org --limit 50
does '"team": 2' team create --name lab
refuses LIMIT_EXCEEDS_PARENT budget put --scope team --subject lab --limit 60
[[ $said == *'"limit": 50000000000'* ]] || fail "the parent's limit is not told: $said"
does '"override": true' budget put --scope team --subject lab --limit 60 --override
refuses LIMIT_EXCEEDS_PARENT budget put --budget 1 --limit 45
[[ $said == *'of a budget under it: budget 2 allows 60.00'* ]] || fail "a child is called a parent: $said"
does '"budget": 3' budget put --scope customer --subject '*' --window daily --limit 0.50 --label 'each customer'
does '"budget": 1' budget put --budget 1 --limit 70
does '"limit": "70.00"' budget list
refuses BUDGET_UNKNOWN budget put --budget 99 --limit 1
does '"budget": 3' budget delete --budget 3
does '"deleted": true' budget list

printf '{"m": {"litellm_provider": "x", "input_cost_per_token": 1.5e-07, "output_cost_per_token": 1e-06}}' >"$place/p.json"
does '"version": 1' price import "$place/p.json"
does '"version": 2' price import "$place/p.json"
does '"dollars_per_million": "0.15"' price show m
refuses NOT_FOUND price show other
map=${HOLDFAST_SHARED:-../shared}/data/prices/litellm_model_prices_2026-03-09.json
if [ -r "$map" ]; then
    does '"version": 3' price import "$map"
    does '"nanos_per_giga": 2500000000000' price show gpt-4o
else
    echo "ledger: no $map: its import is skipped"
fi

does '"name": "spare"' team create --name spare
[[ $said != *notice* ]] || fail "a notice without a cause: $said"
does '"notice": "2 teams have this name' team create --name spare
does '"paused": true' org pause --reason drill
does '"paused": true' org show
does '"paused": false' org resume
does '"action": "org_pause"' audit
[[ $said == *'"reason": "drill"'* && $said == *'"ip": "127.0.0.1"'* ]] || fail "audit is incomplete: $said"
does '"action": "price_import"' audit --group
does '"drift_nanos": 0' status

people=$("$ctl" org list)
[[ $people == *'acme'*'81.250000001'* && $people != *_nanos* ]] || fail "org list for people: $people"

[ $failures = 0 ] || exit 1
echo 'ledger: all as expected'
