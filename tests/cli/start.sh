#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# usage: start.sh HOLDFASTCTL HOLDFAST_LEDGER HOLDFAST_EDGE HOLDFAST_MOCK
# F47, F32: --check finds what would keep a program from serving; what may be otherwise in a while
# (an address, a name) ends a node with 1, which systemd restarts; a port is not shared.
set -euo pipefail

ctl=${1:?usage: start.sh HOLDFASTCTL HOLDFAST_LEDGER HOLDFAST_EDGE HOLDFAST_MOCK}
ledger=$2 edge=$3 mock=$4
place=$(mktemp -d)
mock_pid='' edge_pid='' node_pid=''
cleanup() {
    [ -z "$mock_pid" ] || kill "$mock_pid" 2>/dev/null || true
    [ -z "$edge_pid" ] || kill "$edge_pid" 2>/dev/null || true
    [ -z "$node_pid" ] || kill "$node_pid" 2>/dev/null || true
    rm -rf "$place"
}
trap cleanup EXIT
failures=0
fail() {
    echo "start: $*"
    failures=$((failures + 1))
}

# expect STATUS TEXT PROGRAM ARGS...
expect() {
    local want=$1 text=$2 got=0 output
    shift 2
    output=$(timeout 20 "$@" 2>&1 </dev/null) || got=$?
    [ "$got" = "$want" ] || fail "'$*' ended with $got, not $want: $output"
    [[ $output == *"$text"* ]] || fail "'$*' did not say '$text': $output"
}

# seen TEXT FILE PID: waits until TEXT stands in FILE, ten seconds at most, while PID lives.
seen() {
    local i
    for ((i = 0; i < 200; i++)); do
        grep -q "$1" "$2" && return 0
        kill -0 "$3" 2>/dev/null || return 1
        read -rt 0.05 <> <(:) || true
    done
    return 1
}

# changed FILE SED: a configuration that differs from FILE, beside it.
changed() {
    sed "$2" "$dir/$1" >"$dir/changed.conf"
    if cmp -s "$dir/$1" "$dir/changed.conf"; then fail "'$2' changes nothing of $1"; fi
}

dir=$place/cluster
"$ctl" init --out "$dir" --edges 1 --ports auto --provider-key-env START_SH_KEY --json >/dev/null
export START_SH_KEY=secret

node() { expect "$1" "$2" "$ledger" --config "$dir/changed.conf" --check; }
expect 0 valid "$ledger" --config "$dir/node-1.conf" --check
changed node-1.conf 's#certs/node-1.pem#certs/node-2.pem#'
node 2 'not for the name node-1.peer.holdfast'
changed node-1.conf 's#certs/node-1.pem#certs/edge-1.pem#'
node 2 'not signed by the CA'
changed node-1.conf 's#certs/node-1-client.pem#certs/edge-1.pem#'
node 2 'not for the name node-1.ledger.holdfast'
changed node-1.conf 's#^data = .*#data = /nonexistent/deep/node-1#'
node 2 '[node] data: /nonexistent/deep'
changed node-1.conf 's#^data = .*#data = cluster.conf#'
node 2 'Not a directory'

expect 0 good "$edge" --config "$dir/edge-1.conf" --check
changed edge-1.conf 's#certs/edge-1.pem#certs/node-1.pem#'
expect 2 'not signed by the CA' "$edge" --config "$dir/changed.conf" --check
expect 2 'the key is empty' env START_SH_KEY= "$edge" --config "$dir/edge-1.conf" --check

for command in backup restore seed archive; do
    expect 0 "usage: holdfast-ledger $command" "$ledger" "$command" --help
done
expect 3 'holds no log files' "$ledger" archive --from "$dir"

# A port that somebody has; a host that nobody knows.
"$mock" --port 0 >"$place/mock" &
mock_pid=$!
seen . "$place/mock" "$mock_pid" || fail 'the mock says nothing'
port=$(grep -o '[0-9]\{4,5\}' "$place/mock" | head -n 1)
[ -n "$port" ] || fail "no port in what the mock says: $(cat "$place/mock")"
expect 1 'in use' "$mock" --port "$port"
changed node-1.conf "s#^data = .*#&\npeer_listen = 127.0.0.1:$port#"
expect 1 'address already in use' "$ledger" --config "$dir/changed.conf" --init-if-empty
changed node-1.conf 's#^data = .*#&\npeer_listen = no-such-host.invalid:7400#'
expect 1 'no-such-host.invalid' "$ledger" --config "$dir/changed.conf" --init-if-empty

changed edge-1.conf 's#^listen = .*#listen = no-such-host.invalid:7406#'
expect 1 'cannot listen on no-such-host.invalid' "$edge" --config "$dir/changed.conf"

# An edge listens by a name, too. http:// to a port that speaks TLS: the log says so.
changed edge-1.conf 's#^listen = 127.0.0.1:#listen = localhost:#'
"$edge" --config "$dir/changed.conf" >"$place/edge" 2>"$place/edge.log" &
edge_pid=$!
seen '^ready' "$place/edge" "$edge_pid" || fail "the edge does not start: $(cat "$place/edge.log")"
exec 9<>"/dev/tcp/127.0.0.1/$(sed -n 's/^ready address=.*:\([0-9]*\)$/\1/p' "$place/edge")"
# The edge hangs up at the first bytes: what cannot be written any more does not end this script.
(trap '' PIPE && printf 'GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n' >&9) 2>/dev/null || true
seen 'what came is no TLS' "$place/edge.log" "$edge_pid" || fail "nothing of plain HTTP: $(cat "$place/edge.log")"

# F43: whoever opens connections to a node does not take the descriptors that its log needs.
"$ctl" init --out "$place/one" --nodes 1 --edges 1 --ports auto --json >/dev/null
run_node() { # ULIMIT_OPTIONS: one node, in node_pid
    : >"$place/node" # what a run before has said
    (ulimit "$@" && exec "$ledger" --config "$place/one/node-1.conf" --init-if-empty >"$place/node" 2>"$place/node.log") &
    node_pid=$!
    seen '^ready' "$place/node" "$node_pid" || fail "the node does not start: $(cat "$place/node.log")"
}
end_node() {
    kill "$node_pid"
    wait "$node_pid" || fail "the node ended with $?"
    node_pid=''
}
hard=$(ulimit -Hn)
# What may be otherwise in a while is no reason for systemd to leave a node alone (that is 3).
"$ledger" init --config "$place/one/node-1.conf" >/dev/null 2>&1 || fail 'init'
for few in 16 18; do
    expect 1 'Too many open files' bash -c "ulimit -n $few && exec \"\$0\" \"\$@\"" "$ledger" --config "$place/one/node-1.conf"
done
run_node -S -n 200
files=$(sed -n 's/^Max open files *\([0-9]*\) .*/\1/p' "/proc/$node_pid/limits")
[ "$hard" != unlimited ] && [ "$hard" -lt 65536 ] || hard=65536
[ "$files" = "$hard" ] || fail "a node may open $files files where $hard are allowed"
end_node
run_node -n 200
seen 'few files may be open' "$place/node.log" "$node_pid" || fail "nothing of few files: $(cat "$place/node.log")"
client=$(sed -n 's/^ready .*client=.*:\([0-9]*\)$/\1/p' "$place/node")
for ((i = 0; i < 250; i++)); do
    exec {connection}<>"/dev/tcp/127.0.0.1/$client" || fail 'no connection'
done
seen 'too many connections' "$place/node.log" "$node_pid" || fail "all are let in: $(cat "$place/node.log")"
files=$(find "/proc/$node_pid/fd" -type l | wc -l)
[ "$files" -lt 150 ] || fail "$files files are open"
end_node

[ $failures = 0 ] || exit 1
echo 'start: all as expected'
