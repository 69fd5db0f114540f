#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# usage: programs.sh PROGRAM...
# F47: every program has --help and --version, names what it does not understand, and keeps to the
# exit codes of docs/operations.md: 0 done, 2 command line or configuration. What comes back on
# stdout is nothing but what was asked for.
set -euo pipefail

failures=0
fail() {
    echo "programs: $*"
    failures=$((failures + 1))
}

# try STATUS PROGRAM ARGS...: sets out and err.
try() {
    local want=$1 got=0
    shift
    out=$("$@" 2>"$place/err" </dev/null) || got=$?
    err=$(cat "$place/err")
    [ "$got" = "$want" ] || fail "'$*' ended with $got, not $want: $out$err"
}

# wrong WORD PROGRAM ARGS...: status 2, nothing on stdout, and one line names program and word.
wrong() {
    local word=$1
    shift
    try 2 "$@"
    [ -z "$out" ] || fail "'$*' wrote to stdout: $out"
    [[ ${err%%$'\n'*} == "$(basename "$1"): "*"$word"* ]] || fail "'$*' did not name '$word': $err"
    [[ $err == *"--help"* ]] || fail "'$*' does not point to --help: $err"
}

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
version=
for program in "$@"; do
    name=$(basename "$program")
    try 0 "$program" --help
    [[ $out == "usage: $name"* ]] || fail "$name --help begins with: ${out%%$'\n'*}"
    [ -z "$err" ] || fail "$name --help wrote to stderr: $err"
    [[ ${out,,} == *exit* ]] || fail "$name --help tells no exit codes"
    [[ $out == *--version* ]] || fail "$name --help does not name --version"
    try 0 "$program" -h
    [[ $out == "usage: $name"* ]] || fail "$name -h begins with: ${out%%$'\n'*}"
    try 0 "$program" --version
    [[ $out =~ ^$name\ [0-9]+\.[0-9]+\.[0-9]+$ ]] || fail "$name --version says: $out"
    [ "${version:=${out#* }}" = "${out#* }" ] || fail "$name is another version: $out"
    wrong --frobnicate "$program" --frobnicate
    wrong frobnicate "$program" frobnicate
    case $name in
    holdfast-edge | holdfast-ledger)
        wrong --config "$program"
        wrong --config "$program" --config
        wrong leftover "$program" --config x leftover
        try 2 "$program" --config "$place/none.conf"
        [[ $err == *none.conf* ]] || fail "$name does not name the missing file: $err"
        [ "$name" = holdfast-ledger ] || continue
        for sub in init rebuild backup restore seed archive; do
            try 0 "$program" "$sub" --help
            [[ $out == "usage: $name $sub "* && ${out,,} == *exit* ]] || fail "$name $sub --help: $out"
            try 2 "$program" "$sub" --frobnicate
            [[ $err == "$name $sub: "*--frobnicate*"$sub --help"* ]] || fail "$name $sub: $err"
            try 2 "$program" "$sub"
            [[ $err == "$name $sub: missing: "* ]] || fail "$name $sub: $err"
        done
        try 2 "$program" backup --json
        [ "$out" = '{"result":"failed","cause":"missing: --config FILE"}' ] || fail "backup --json: $out"
        ;;
    holdfast-replay)
        wrong --data "$program"
        wrong --at "$program" --data x --at
        wrong leftover "$program" --data x leftover
        try 2 "$program" --data "$place/none"
        ;;
    holdfast-bench)
        wrong ledger "$program"
        wrong --clients "$program" ledger --clients
        wrong --frobnicate "$program" http --frobnicate
        wrong leftover "$program" http --url http://127.0.0.1:1 leftover
        ;;
    holdfast-mock)
        wrong --port "$program" --port
        ;;
    holdfastctl)
        wrong --frobnicate "$program" org list --frobnicate
        wrong leftover "$program" org list leftover
        wrong --timeout "$program" org list --timeout
        ;;
    esac
done
[ $# = 6 ] || fail "six programs, not $#"
[ $failures = 0 ] || exit 1
echo 'programs: all as expected'
