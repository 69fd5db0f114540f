#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Shows that every lint can fail: plants one offence at a time in a small tree of its own, and
# expects the lint to fail and to name it. A clean tree must pass.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failures=0

spdx='/* SPDX-License-Identifier: Apache-2.0 */'
plant() { # plant FILE LINE...
    local file=$tree/$1
    shift
    mkdir -p "${file%/*}"
    printf '%s\n' "$@" >"$file"
}
fresh() {
    rm -rf "${tree:?}"/*
    plant proto/a.h "$spdx" '#include <stdint.h>' '#include "proto/b.h"'
    plant ledger/core/hold.c "$spdx" '#include "proto/a.h"' '#include "budget.h"'
    plant tools/mock/main.c "$spdx" '#include "edge/http/server.h"'
    plant tools/run.sh '#!/bin/sh' '# SPDX-License-Identifier: Apache-2.0'
}
# fails LINT TEXT: the lint fails on the tree and its output holds TEXT.
fails() {
    local output
    if output=$("$here/$1" "$tree" 2>&1); then
        echo "selftest: $1 passed a tree with: $2"
        failures=$((failures + 1))
    elif [[ $output != *"$2"* ]]; then
        echo "selftest: $1 failed without naming $2: $output"
        failures=$((failures + 1))
    fi
}

fresh
for lint in includes.sh names.sh spdx.sh; do
    "$here/$lint" "$tree" || { echo "selftest: $lint fails a clean tree" && failures=$((failures + 1)); }
done

plant proto/a.h "$spdx" '#include "ledger/core/hold.h"'
fails includes.sh 'proto/a.h:2: proto/ may not include ledger/core/hold.h'
fresh
plant ledger/core/hold.c "$spdx" '#include "../raft/pump.h"'
fails includes.sh 'ledger/core/ may not include ledger/raft/pump.h'
fresh
plant edge/main.c "$spdx" '# include "ledger/core/hold.h"'
fails includes.sh 'edge/ may not include ledger/core/hold.h'
fresh
plant ledger/serve/intake.c "$spdx" '#include "edge/http/server.h"'
fails includes.sh 'ledger/ may not include edge/http/server.h'
fresh
plant tools/ctl/main.c "$spdx" '#include "ledger/store/log.h"'
fails includes.sh 'tools/ may not include ledger/store/log.h'
fresh
plant elsewhere/x.c "$spdx" '#include "proto/a.h"'
fails includes.sh 'elsewhere/x.c:2: no folder'

fresh
plant docs/a.md 'get it from registry.''npmjs.org'
fails names.sh 'docs/a.md:1:registry.''npmjs'
fresh
plant tools/b.sh '#!/bin/sh' '# SPDX-License-Identifier: Apache-2.0' 'cd /wo''rk/main'
fails names.sh 'tools/b.sh:3:'
fresh
plant edge/main.c "$spdx" '/* TO''DO: later */'
fails names.sh 'edge/main.c:2:TO''DO'
fresh
plant tests/e2e/package-lock.json '"resolved": "https://host/x.tgz"'
fails names.sh 'lock file'

fresh
plant edge/main.c 'int x;'
fails spdx.sh 'edge/main.c:1:'
fresh
plant tools/thing '#!/bin/sh' 'true'
fails spdx.sh 'tools/thing:1:'

# The symbol lint reads a library: build one that reads the clock, and one that does not.
cc=${CC:-cc}
build() { # build NAME C-TEXT: a static library of one object
    printf '%s\n' "$2" | "$cc" -x c -c -o "$tree/$1.o" - && ar rcs "$tree/$1.a" "$tree/$1.o"
}
symbols() { # symbols NAME TEXT: fails naming TEXT
    local output
    if output=$("$here/core_symbols.sh" "$tree/$1.a"); then
        echo "selftest: core_symbols.sh passed a library with $2" && failures=$((failures + 1))
    elif [[ $output != *"$2"* ]]; then
        echo "selftest: core_symbols.sh did not name $2: $output" && failures=$((failures + 1))
    fi
}
build pure '#include <string.h>
int proto_x(void); int core_y(void); int core_y(void) { return proto_x(); }
int core_z(const char *a, const char *b); int core_z(const char *a, const char *b) { return memcmp(a, b, 8) + core_y(); }'
"$here/core_symbols.sh" "$tree/pure.a" || { echo 'selftest: a pure library failed' && failures=$((failures + 1)); }
for name in clock_gettime rand fopen getenv printf time socket arc4random qsort; do
    build "uses_$name" "extern void $name(void); void core_x(void); void core_x(void) { $name(); }" 2>/dev/null
    symbols "uses_$name" "uses $name,"
done

[ $failures = 0 ] || exit 1
echo 'selftest: every lint fails on what it is for'
