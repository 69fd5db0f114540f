/* SPDX-License-Identifier: Apache-2.0
 * replay-fixture DIR [ROUNDS [PER_ENTRY [TAIL]]]: a data directory to try holdfast-replay on, or to
 * time it with (many rounds).
 */
#include "proto/text.h"
#include "tests/replay/fixture.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    struct fixture_options o = {.rounds = 300, .per_entry = 4, .tail = 5};
    struct fixture f;
    if (argc < 2 || argc > 5) {
        (void)fputs("usage: replay-fixture DIR [ROUNDS [PER_ENTRY [TAIL]]]\n", stderr);
        return 2;
    }
    if (argc > 2)
        o.rounds = (unsigned)strtoul(argv[2], NULL, 10);
    if (argc > 3)
        o.per_entry = (unsigned)strtoul(argv[3], NULL, 10);
    if (argc > 4)
        o.tail = (unsigned)strtoul(argv[4], NULL, 10);
    o.scale = 1 + o.rounds * (int64_t)o.per_entry / 1000; /* the money lasts */
    fixture_make(argv[1], &o, &f);
    char hash[PROTO_HASH_TEXT];
    struct proto_text t = proto_text_over(hash, sizeof hash);
    proto_text_hex(&t, f.last_chain.b, sizeof f.last_chain.b);
    (void)printf("%" PRIu64 " entries, %" PRIu64 " commands, head %" PRIu64 ":%s\n", f.last,
                 f.commands, f.last, hash);
    return 0;
}
