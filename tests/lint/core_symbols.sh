#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# usage: core_symbols.sh LIBRARY
# The ledger's core is a pure function of its log. Whatever the library needs from outside must be
# on this list; a clock, a socket, a random number, a file or the environment is not.
set -euo pipefail

library=${1:?usage: core_symbols.sh LIBRARY}
if [ ! -r "$library" ]; then
    echo "core_symbols: cannot read $library" >&2
    exit 2
fi

allowed='
    memcpy memset memcmp memmove memchr strlen strnlen strcmp strncmp
    malloc calloc realloc free
    base_check_failed base_pages_large
    __stack_chk_fail __memcpy_chk __memset_chk __memmove_chk
    _GLOBAL_OFFSET_TABLE_ __start___sancov_guards __stop___sancov_guards
'
# proto's types and codecs, byte buffers, SHA-256 and HMAC, and what sanitizers insert.
allowed_families='proto_* base_buf_* nettle_sha256_* __asan_* __ubsan_* __tsan_* __sanitizer_*'

declare -A fine=()
for name in $allowed; do fine[$name]=1; done
while read -r name; do fine[$name]=1; done < <(nm --defined-only --format=just-symbols "$library" | sort -u)

permitted() {
    [ -n "${fine[$1]:-}" ] && return 0
    local family
    set -f
    for family in $allowed_families; do
        # shellcheck disable=SC2053 # a pattern on purpose
        [[ $1 == $family ]] && return 0
    done
    return 1
}

status=0 object=
while read -r first second; do
    if [[ $first == *: ]]; then
        object=${first%:}
    elif [ "$first" = U ] || [ "$first" = w ]; then
        if ! permitted "$second"; then
            echo "${library##*/}($object): uses $second, which is not on the core's list"
            status=1
        fi
    fi
done < <(nm -u "$library")
exit $status
