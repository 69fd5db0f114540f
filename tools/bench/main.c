/* SPDX-License-Identifier: Apache-2.0
 * holdfast-bench: load for a ledger or an edge, and honest figures of it.
 */
#include "tools/bench/mode.h"

int main(int argc, char **argv)
{
    struct bench_options o;
    switch (bench_options_parse(&o, argc, argv)) {
    case BENCH_HELP:
        return BENCH_DONE;
    case BENCH_BAD:
        return BENCH_FAILED;
    case BENCH_PARSED:
    default:
        return o.mode == BENCH_HTTP || o.mode == BENCH_STREAMS ? bench_http(&o) : bench_ledger(&o);
    }
}
